# SPDX-License-Identifier: MIT
"""The tables of a history, and what has to be true of them at its end."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg
from attrs import define, field

from batchq import run
from batchq.bulk import (
    Budget,
    ChildDelete,
    ChunkSize,
    DeleteTree,
    Jobs,
    resume,
)
from batchq.testing import Proxy
from tests.support.vpcs import ROUTER, VPC

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

RULES = VPC.children("rule", by="vpc_id", deleted_at=None)
ROUTERS = VPC.children("router", by="vpc_id", deleted_at="time_deleted")
ROUTES = ROUTER.children("route", by="router_id", deleted_at=None)
BELOW = ChildDelete(relation=ROUTERS, hard=True, children=[ChildDelete(relation=ROUTES)])
ORDERS = ([ChildDelete(relation=RULES), BELOW], [BELOW, ChildDelete(relation=RULES)])


class Missing(Exception):
    """There is no such parent, or no longer."""


@define(eq=False)
class HistoryTables:
    """Three schemas: the tables, others of the same names, and the jobs."""

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
        self.random = random.Random(self.seed)
        self.ids = iter(range(1, 100_000))
        children = ORDERS[self.random.randrange(2)]
        jobs = Jobs(table=f"{self.schema}_jobs.job")
        self.tree = DeleteTree(name="vpc", parent=VPC, children=children, jobs=jobs, inline_limit=4)

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
