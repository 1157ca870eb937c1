# SPDX-License-Identifier: MIT
"""A VPC with rules, fenced, and helpers that read its tables over a connection of their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

import batchq
from batchq.bulk import ChildDelete, ChunkSize, DeleteTree, Job, Jobs, Report, StopReason, resume
from tests.support.order_key_items import ITEMS, REWRITE
from tests.support.vpcs import VPC, VPC_TABLE

ROWS, STEP = 1_000, 300
"""Four chunks, the last of them not full."""
SIZE = ChunkSize(minimum=STEP, initial=STEP, maximum=STEP)

TABLES = """
CREATE TABLE vpc (id int PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 0, time_deleted timestamptz);
CREATE TABLE rule (id int PRIMARY KEY, vpc_id int NOT NULL, name text, UNIQUE (vpc_id, id));
INSERT INTO vpc VALUES (1), (2);
INSERT INTO rule SELECT n, 1 FROM generate_series(1, 1000) n;
INSERT INTO rule SELECT n, 2 FROM generate_series(10001, 10010) n;
"""
HEAP_TABLES = """
CREATE TABLE vpc (id int PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 0, time_deleted timestamptz);
CREATE TABLE rule (id int NOT NULL, vpc_id int NOT NULL, name text NOT NULL,
    UNIQUE (vpc_id, name), UNIQUE (vpc_id, id));
INSERT INTO vpc SELECT generate_series(1, 1001);
INSERT INTO rule SELECT n, CASE WHEN n % 13 = 0 THEN 1 + n / 13 ELSE 1 END, md5(n::text)
FROM generate_series(1, 13000) AS n;
"""
BLOCK = "(ctid::text::point)[0]::int"

RULES = VPC.children("rule", by="vpc_id", deleted_at=None)


class Missing(Exception):
    """There is no such VPC."""


class Estate:
    """Two VPCs: the one to delete, and one that must stay complete."""

    tables, order = TABLES, "id"
    rows, step, size = ROWS, STEP, SIZE
    rules, missing = RULES, Missing

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self.conn = conn
        child = ChildDelete(relation=RULES, order=self.order)
        self.tree = DeleteTree(name="vpc", parent=VPC, children=[child])
        conn.execute(self.tables)  # type: ignore[arg-type]
        conn.execute(self.tree.jobs.ddl())  # type: ignore[arg-type]

    def fence(self, vpc: int = 1) -> UUID:
        return batchq.run(self.conn, self.tree.fence(vpc, missing=Missing()))

    def resume(self, database: Any = None, **options: Any) -> Report:
        options = {"owner": "test", "chunk_size": self.size, **options}
        return resume(self.conn if database is None else database, [self.tree], **options)

    def seen(self) -> Job:
        """Return the first job, as a worker finds it."""
        return batchq.run(self.conn, self.tree.jobs.all("vpc"))[0]

    def claimed(self, owner: str = "test") -> Job:
        """Return the first job, claimed."""
        claim = self.tree.jobs.claim(self.seen(), owner, timedelta(minutes=2), None)
        job = batchq.run(self.conn, claim)
        assert job is not None
        return job

    def end_lease(self) -> None:
        self.conn.execute(
            "UPDATE bulk_job SET lease_until = now() - interval '1 second' "
            "WHERE lease_until IS NOT NULL"
        )

    def one(self, query: str, *values: object) -> Any:
        row = self.conn.execute(query, values).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return row[0] if len(row) == 1 else row

    def left(self) -> int:
        return self.one("SELECT count(*) FROM rule WHERE vpc_id = 1")

    def job(self, columns: str) -> Any:
        return self.one(f"SELECT {columns} FROM bulk_job WHERE root = '1'")

    def assert_deleted(self, rows: int = ROWS) -> None:
        """Nothing is left of it, all of it is accounted for, and the neighbour is whole."""
        assert self.left() == 0
        assert self.one("SELECT array_agg(id) FROM vpc") == [2]
        assert self.one("SELECT count(*) FROM rule WHERE vpc_id = 2") == 10
        assert self.job("phase, rows_done, lease_until") == ("done", rows, None)

    def stuck(self, report: Report) -> str:
        """Return why the one job is stuck, after a worker that has deleted nothing of it."""
        assert (report.jobs_stuck, report.jobs_done, report.detail) == (1, 0, "")
        phase, detail = self.job("phase, last_error")
        assert phase == "stuck"
        return str(detail)

    def assert_released(self, report: Report, sqlstate: str) -> None:
        """Assert that the job was released, with the server's error, and nothing is done."""
        assert report.stop_reason is StopReason.FAILED
        assert (report.jobs_released, report.jobs_unfinished) == (1, 1)
        *job, error = self.job("phase, lease_until, owner, rows_done, last_error")
        assert job == ["active", None, None, 0]
        assert sqlstate in error
        assert sqlstate in report.detail

    def assert_exact(self) -> None:
        """Every row is either still there or counted."""
        assert self.job("rows_done") + self.left() == self.rows


class HeapEstate(Estate):
    """A VPC with most of a table's rows, among those of a thousand others, under random keys."""

    tables, order = HEAP_TABLES, "name"
    rows, step = 12_000, 3_000
    size = ChunkSize(minimum=step, initial=step, maximum=step)

    def next_block(self) -> int:
        """Return the block at which the next chunk begins."""
        assert self.job("cursor_key") == ["rule", "ctid", "27"]
        return int(self.job("cursor")[0])

    def blocks(self) -> tuple[int, int]:
        """Return the first and the last block that have a row of the VPC."""
        return self.one(f"SELECT min({BLOCK}), max({BLOCK}) FROM rule WHERE vpc_id = 1")

    def key_in(self, block: int) -> str:
        """Return the key of a row of the VPC in a block."""
        return self.one(f"SELECT min(name) FROM rule WHERE vpc_id = 1 AND {BLOCK} = %s", block)

    def assert_deleted(self, rows: int = rows) -> None:
        """Nothing is left of it, all of it is accounted for, and the others are whole."""
        assert self.left() == 0
        assert self.one("SELECT count(*), count(*) FILTER (WHERE id = 1) FROM vpc") == (1_000, 0)
        assert self.one("SELECT count(*) FROM rule WHERE vpc_id > 1 AND id > 0") == 1_000
        assert self.job("phase, rows_done, lease_until") == ("done", rows, None)


def at(when: int, do: Callable[[], object]) -> Callable[[], None]:
    """Make a throttle that never holds back, and does something when it is asked this often."""
    asked = 0

    def throttle() -> None:
        nonlocal asked
        asked += 1
        if asked == when:
            do()

    return throttle


@pytest.fixture(name="conn")
def conn_fixture(
    request: pytest.FixtureRequest, conn: psycopg.Connection[Any]
) -> psycopg.Connection[Any]:
    """Connect as all tests do; with the mark `tables`, to these tables and the job table."""
    if mark := request.node.get_closest_marker("tables"):
        for ddl in (*mark.args, Jobs().ddl()):
            conn.execute(ddl, prepare=False)
    return conn


@pytest.fixture
def estate(conn: psycopg.Connection[Any]) -> Estate:
    """Not fenced yet."""
    return Estate(conn)


@pytest.fixture
def fenced(estate: Estate) -> Estate:
    """Its first VPC is hidden, and has a job."""
    estate.fence()
    return estate


@pytest.fixture
def heap(conn: psycopg.Connection[Any]) -> HeapEstate:
    """Its first VPC is hidden, and has a job whose rows are deleted in the order of the heap."""
    estate = HeapEstate(conn)
    conn.execute("VACUUM (ANALYZE) rule")
    estate.fence()
    return estate


@pytest.fixture
def item_table(conn: psycopg.Connection[Any]) -> None:
    """Hold twelve items of a VPC, to be scanned by any order key, beside the job table."""
    conn.execute(ITEMS + VPC_TABLE)
    conn.execute(REWRITE.jobs.ddl())  # type: ignore[arg-type]


@pytest.fixture(name="at")
def at_fixture() -> Callable[[int, Callable[[], object]], Callable[[], None]]:
    return at
