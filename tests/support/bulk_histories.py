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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg
from attrs import define, field

from batchq import insert, run
from batchq.bulk import (
    Budget,
    ChildDelete,
    ChunkSize,
    Deleted,
    DeleteTree,
    JobExists,
    Jobs,
    resume,
    start,
)
from batchq.hierarchy import Parent
from batchq.testing import Proxy

TABLES = """
CREATE TABLE vpc (id int PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 0, time_deleted timestamptz);
CREATE TABLE rule (id int PRIMARY KEY, vpc_id int NOT NULL, UNIQUE (vpc_id, id));
CREATE TABLE router (id int PRIMARY KEY, vpc_id int NOT NULL, rcgen bigint NOT NULL DEFAULT 0,
    time_deleted timestamptz, UNIQUE (vpc_id, id));
CREATE TABLE route (id int PRIMARY KEY, router_id int NOT NULL, UNIQUE (router_id, id));
"""
TIMEOUT = 0.1
"""Seconds that a chunk waits, for a row that others have locked say."""
NAMES = ("vpc", "rule", "router", "route")
CHILDREN = """
SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM (
    SELECT id FROM rule WHERE vpc_id = %(vpc)s
    UNION ALL SELECT id FROM router WHERE vpc_id = %(vpc)s AND time_deleted IS NULL
    UNION ALL SELECT route.id FROM route JOIN router ON router.id = router_id
        WHERE vpc_id = %(vpc)s AND time_deleted IS NULL
) AS children
"""
"""No two of any kind have one id."""
ORPHANS = """
SELECT (SELECT count(*) FROM rule WHERE NOT EXISTS (SELECT FROM vpc WHERE vpc.id = vpc_id))
    + (SELECT count(*) FROM router WHERE NOT EXISTS (SELECT FROM vpc WHERE vpc.id = vpc_id))
    + (SELECT count(*) FROM route WHERE NOT EXISTS (SELECT FROM router WHERE router.id = router_id))
"""
RESTORED = """
UPDATE vpc SET time_deleted = NULL, rcgen = rcgen + %s WHERE id = %s AND time_deleted IS NOT NULL
"""

VPC, ROUTER = (
    Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen"),
    Parent(table="router", key="id", deleted_at="time_deleted", generation="rcgen"),
)
RULES = VPC.children("rule", by="vpc_id", deleted_at=None)
ROUTERS = VPC.children("router", by="vpc_id", deleted_at="time_deleted")
ROUTES = ROUTER.children("route", by="router_id", deleted_at=None)
BELOW = ChildDelete(relation=ROUTERS, hard=True, children=[ChildDelete(relation=ROUTES)])
ORDERS = ([ChildDelete(relation=RULES), BELOW], [BELOW, ChildDelete(relation=RULES)])


class Missing(Exception):
    """There is no such parent, or no longer."""


@define(eq=False)
class History:
    """One history, in three schemas: the tables, others of the same names, and the jobs."""

    conn: psycopg.Connection[Any]
    link: Proxy
    schema: str
    seed: int
    tree: DeleteTree = field(init=False)
    random: random.Random = field(init=False)
    ids: Iterator[int] = field(init=False)
    living: dict[int, set[int]] = field(factory=dict)
    """The children that each living parent has to have."""
    routers: dict[int, int] = field(factory=dict)
    """Whose each router is."""
    pids: dict[int, int] = field(factory=dict)
    over: threading.Event = field(factory=threading.Event)
    failures: list[BaseException] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311  not a secret
        self.ids = iter(range(1, 100_000))
        children = ORDERS[self.random.randrange(2)]
        jobs = Jobs(table=f"{self.schema}_jobs.job")
        self.tree = DeleteTree(name="vpc", parent=VPC, children=children, jobs=jobs, inline_limit=4)

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

    def _expire(self) -> None:
        """All leases end, of owners that live as well."""
        self.conn.execute(f"UPDATE {self.tree.jobs.table} SET lease_until = NULL")

    def _retry(self) -> None:
        for job in run(self.conn, self.tree.jobs.all("vpc")):
            run(self.conn, self.tree.jobs.retry(job.id))

    def _abandon(self) -> None:
        jobs = run(self.conn, self.tree.jobs.all("vpc"))
        for job in jobs:
            if job.phase in {"active", "stuck"} and int(job.root) in self.living:
                run(self.conn, self.tree.jobs.abandon(job.id))

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
        draw = random.Random(f"{self.seed} {number}")  # noqa: S311  not a secret
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

    def _resume(self, conn: Any, owner: str, rows: int) -> None:
        resume(
            conn,
            [self.tree],
            owner=owner,
            chunk_size=ChunkSize(minimum=1, initial=rows, maximum=rows),
            budget=Budget(chunks=5),
            timeout=TIMEOUT if owner != "last" else 2,
            lease=timedelta(seconds=60),
        )

    # -- the beginning and the end

    def _create(self) -> None:
        for suffix in ("", "_other", "_jobs"):
            self.conn.execute(f"CREATE SCHEMA {self.schema}{suffix}")
        for suffix in ("_other", ""):
            self.conn.execute(f"SET search_path = {self.schema}{suffix}")
            self.conn.execute(TABLES)
        self.conn.execute(self.tree.jobs.ddl())  # type: ignore[arg-type]
        # There the same parents live, in the same generations, with the same children.
        self.conn.execute(
            f"INSERT INTO {self.schema}_other.vpc SELECT n, 1 FROM generate_series(1, 200) AS n"
        )
        self.conn.execute(
            f"INSERT INTO {self.schema}_other.rule SELECT n, n FROM generate_series(1, 200) AS n"
        )

    def _end(self) -> None:
        """Everybody may finish: no parent is hidden then, and none that lives misses a child."""
        for _ in range(50):
            self._expire()
            self._abandon()
            self._retry()
            self._resume(self.conn, "last", 5)
            if not self._one("SELECT count(*) FROM vpc WHERE time_deleted IS NOT NULL"):
                break
        else:
            raise AssertionError(run(self.conn, self.tree.jobs.all("vpc")))
        self._look()
        assert self._one("SELECT count(*) FROM vpc") == len(self.living)
        assert self._one(f"SELECT count(*) FROM {self.schema}_other.rule") == 200
        assert self._one(f"SELECT count(*) FROM {self.schema}_other.vpc") == 200

    def _see(self, vpc: int) -> None:
        assert self._children(vpc) == sorted(self.living[vpc]), f"seed {self.seed}: {vpc}"

    def _children(self, vpc: int) -> list[int]:
        row = self.conn.execute(CHILDREN, {"vpc": vpc}).fetchone()
        assert row is not None
        return list(row[0])

    def _one(self, query: str) -> Any:
        row = self.conn.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return row[0]

    @contextmanager
    def _moved(self, there: str, back: str) -> Iterator[None]:
        self._ddl(there)
        try:
            yield
        finally:
            self._ddl(back)

    def _ddl(self, text: str) -> None:
        """Report the session in the way; then try once more."""
        while True:
            with suppress(psycopg.errors.DeadlockDetected), self.conn.transaction():
                self.conn.execute(text)
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
