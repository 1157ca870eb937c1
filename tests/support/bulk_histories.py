# SPDX-License-Identifier: MIT
"""Histories of a few parents: fenced, restored and written to, while workers run their jobs.

One thread does what people and services do, one random thing after the other, and knows which
children each living parent has. Two others resume, with chunks of few rows, through a link that is
cut now and then, in sessions that are ended now and then. What is drawn depends on the seed alone;
what the threads make of it does not.
"""

from __future__ import annotations

import random
import threading
from contextlib import suppress

import psycopg
from attrs import define

from batchq import insert, run
from batchq.bulk import (
    Deleted,
    JobExists,
    start,
)
from tests.support.bulk_history_tables import (
    NAMES,
    ORPHANS,
    RESTORED,
    ROUTERS,
    ROUTES,
    RULES,
    TIMEOUT,
    HistoryTables,
    Missing,
)


@define(eq=False)
class History(HistoryTables):
    """One history."""

    def play(self, actions: int) -> None:
        """Play it, and see that nothing is missing and nothing is left over."""
        self._create()
        workers = [threading.Thread(target=self._work, args=[n]) for n in range(2)]
        for worker in workers:
            worker.start()
        try:
            for _ in range(3):
                self._new_parent()
            doing = [getattr(self, f"_{name}") for name in ACTIONS]
            for act in self.random.choices(doing, list(ACTIONS.values()), k=actions):
                act()
                assert not self.failures, self.failures
        finally:
            self.over.set()
            for worker in workers:
                worker.join()
        assert not self.failures, self.failures
        self._end()

    # -- what may happen

    def _new_parent(self) -> None:
        vpc = next(self.ids)
        run(self.conn, insert("vpc", {"id": vpc}))
        self.living[vpc] = set()
        for _ in range(self.random.randrange(8)):
            self._add_to(vpc)

    def _add(self) -> None:
        """Add a child to a parent that lives, or once lived."""
        self._add_to(self.random.choice([*self.living, 1]))

    def _add_to(self, vpc: int) -> None:
        child = next(self.ids)
        kind = self.random.choice(["rule", "rule", "router", "route"])
        routers = [router for router, of in self.routers.items() if of == vpc]
        try:
            if kind == "route" and routers:
                router = self.random.choice(routers)
                row = insert("route", {"id": child, "router_id": router})
                run(self.conn, ROUTES.add(router, row, missing=Missing()))
            elif kind == "router":
                row = insert("router", {"id": child, "vpc_id": vpc})
                run(self.conn, ROUTERS.add(vpc, row, missing=Missing()))
                self.routers[child] = vpc
            else:
                row = insert("rule", {"id": child, "vpc_id": vpc})
                run(self.conn, RULES.add(vpc, row, missing=Missing()))
        except Missing:
            if kind != "route":
                assert vpc not in self.living, "a living parent is not found"
        else:
            # A router may outlive the fence of its parent for a while, and its routes with it.
            if vpc in self.living:
                self.living[vpc].add(child)

    def _fence(self) -> None:
        if not self.living:
            return
        vpc = self.random.choice(list(self.living))
        self._see(vpc)
        try:
            begun = start(self.conn, self.tree, vpc, missing=Missing())
        except JobExists as error:
            run(self.conn, self.tree.jobs.abandon(error.job))
            self._see(vpc)
            return
        children = self.living.pop(vpc)
        if isinstance(begun, Deleted):
            assert begun.rows == len(children)

    def _restore(self) -> None:
        """Bring a parent back; from then on it has what the restore has seen."""
        hidden = [
            n for (n,) in self.conn.execute("SELECT id FROM vpc WHERE time_deleted IS NOT NULL")
        ]
        if not hidden:
            return
        vpc = self.random.choice(hidden)
        with suppress(psycopg.errors.DeadlockDetected), self.conn.transaction():
            bump = self.random.randrange(2)
            if self.conn.execute(RESTORED, [bump, vpc]).rowcount:
                self.over.wait(self.random.random() / 200)  # the workers may run into it
                self.conn.execute(  # what a restore of a VPC brings back, it says
                    "UPDATE router SET time_deleted = NULL, rcgen = rcgen + 1 "
                    "WHERE vpc_id = %s AND time_deleted IS NOT NULL",
                    [vpc],
                )
                self.living[vpc] = set(self._children(vpc))

    def _look(self) -> None:
        for vpc in self.living:
            self._see(vpc)
        assert self._one(ORPHANS) == 0

    def _hold_a_row(self) -> None:
        """Lock a child for a while, as a service does."""
        with self.conn.transaction():
            self.conn.execute(
                "SELECT FROM rule ORDER BY id OFFSET %s LIMIT 1 FOR UPDATE",
                [self.random.randrange(9)],
            )
            self.over.wait(self.random.random() / 200)

    def _hold_rows(self) -> None:
        """Lock children for longer than a chunk waits: the worker skips them."""
        table = self.random.choice(["rule", "rule", "router", "route"])
        strength = self.random.choice(["UPDATE", "SHARE", "KEY SHARE"])
        with self.conn.transaction():
            self.conn.execute(
                f"SELECT FROM {table} WHERE id %% 3 = %s FOR {strength} SKIP LOCKED",  # type: ignore[arg-type]
                [self.random.randrange(3)],
            )
            self.over.wait(TIMEOUT * self.random.randrange(1, 5))

    def _terminate(self) -> None:
        for pid in set(self.pids.values()) - {self.conn.info.backend_pid}:
            self.conn.execute("SELECT pg_terminate_backend(%s)", [pid])

    def _cut(self) -> None:
        cut = self.random.choice([self.link.cut_requests, self.link.cut_answers])
        cut(after=self.random.randrange(6))

    def _rename(self) -> None:
        """Move a table to another schema for a while."""
        table = self.random.choice(NAMES)
        with self._moved(f"ALTER TABLE {table} RENAME TO x", f"ALTER TABLE x RENAME TO {table}"):
            self.over.wait(self.random.random() / 200)

    def _swap(self) -> None:
        """For a while the names lead to other tables, where the same parents live."""
        here, there, aside = (f"{self.schema}{suffix}" for suffix in ("", "_other", "_aside"))
        swap = (
            f"ALTER SCHEMA {here} RENAME TO {aside}; ALTER SCHEMA {there} RENAME TO {here}; "
            f"ALTER SCHEMA {aside} RENAME TO {there}"
        )
        with self._moved(swap, swap):
            self.over.wait(self.random.random() / 100)

    def _swap_rules(self) -> None:
        """For a while the rules are those of parents that live elsewhere."""
        here, there, aside = (f"{self.schema}{suffix}" for suffix in ("", "_other", "_jobs"))
        swap = (
            f"ALTER TABLE {here}.rule SET SCHEMA {aside}; "
            f"ALTER TABLE {there}.rule SET SCHEMA {here}; "
            f"ALTER TABLE {aside}.rule SET SCHEMA {there}"
        )
        with self._moved(swap, swap):
            self.over.wait(self.random.random() / 100)

    # -- who resumes

    def _work(self, number: int) -> None:
        draw = random.Random(f"{self.seed} {number}")
        while not self.over.is_set():
            try:
                with psycopg.connect(self.link.conninfo(), autocommit=True) as conn:
                    self.pids[number] = conn.info.backend_pid
                    while not (self.over.is_set() or conn.closed):
                        self._resume(conn, f"worker {number}", draw.randrange(1, 5))
            except psycopg.Error:
                pass  # cut off, or ended
            except BaseException as error:  # noqa: BLE001  reported to the test
                self.failures.append(error)
                return


ACTIONS = {
    "new_parent": 3,
    "add": 8,
    "fence": 6,
    "restore": 6,
    "look": 3,
    "hold_a_row": 2,
    "hold_rows": 3,
    "expire": 3,
    "retry": 2,
    "abandon": 2,
    "terminate": 1,
    "cut": 2,
    "rename": 1,
    "swap": 2,
    "swap_rules": 1,
}
"""What may happen, and how often."""
