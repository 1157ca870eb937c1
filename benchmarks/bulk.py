# SPDX-License-Identifier: MIT
"""Measure a chunked delete: half of a table, by one DELETE and by batchq.bulk.

How many rows a second are deleted in chunks, beside one single DELETE of the same rows? And how
long does a writer in another VPC wait meanwhile, beside its waits while it is alone? Each delete
has a fresh copy of the same database, all of it in the server's memory; the sides take turns, and
the figure is the median of each round's ratio.

The rules of the VPC lie among those of others, as they came in turns. Their keys are random, as
uuid4 makes them, so that the order of the keys is not that of the rows; or in order, as of uuid7.

    python -m benchmarks.bulk [rows] [rounds]
"""

from __future__ import annotations

import math
import multiprocessing
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection as Pipe
from statistics import median, quantiles
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import psycopg
from attrs import frozen

from batchq import run
from batchq.bulk import Budget, ChildDelete, ChunkSize, DeleteTree, Fenced, resume, start
from batchq.hierarchy import Parent
from batchq.testing import Server, server
from benchmarks.workloads.rules import rules, rules_insert

ROWS, ROUNDS = 1_000_000, 3
QUIET = 2.0
"""Seconds that the writer is alone before each delete."""
OTHERS = 1_000
"""VPCs that have as many rules together as the one that is deleted."""

VPC = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen")
RULES = VPC.children("vpc_firewall_rule", by="vpc_id", deleted_at=None)
TREE = DeleteTree(name="vpc", parent=VPC, children=[ChildDelete(relation=RULES, order="id")])
LARGE, WRITTEN = UUID(int=1), UUID(int=2)
"""The VPC that is deleted, and the one that the writer adds rules to."""

TABLES = """
CREATE TABLE vpc (
    id uuid CONSTRAINT vpc_pkey PRIMARY KEY, name text NOT NULL, rcgen bigint NOT NULL DEFAULT 1,
    time_deleted timestamptz
);
CREATE TABLE vpc_firewall_rule (
    id uuid NOT NULL, vpc_id uuid NOT NULL, name text NOT NULL, direction text NOT NULL,
    action text NOT NULL, protocols text[] NOT NULL, priority integer NOT NULL,
    time_created timestamptz NOT NULL DEFAULT now()
);
"""
FILL = """
INSERT INTO vpc (id, name)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'vpc-' || n FROM generate_series(1, {others} + 1) AS n;
INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
SELECT {key}, lpad(to_hex(CASE n % 2 WHEN 0 THEN 1 ELSE 2 + n / 2 % {others} END), 32, '0')::uuid,
    'rule-' || n, 'inbound', 'allow', '{{tcp}}', n % 65536
FROM generate_series(0, 2 * {rows} - 1) AS n;
ALTER TABLE vpc_firewall_rule ADD CONSTRAINT vpc_firewall_rule_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX rules_by_vpc ON vpc_firewall_rule (vpc_id, id)
"""
KEYS = {"random": "md5(n::text)::uuid", "ordered": "lpad(to_hex(n), 32, '0')::uuid"}
WARM = """
SET max_parallel_workers_per_gather = 0;
SELECT count(name) FROM vpc_firewall_rule;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(id) FROM vpc_firewall_rule WHERE id IS NOT NULL;
SELECT count(vpc_id) FROM vpc_firewall_rule WHERE vpc_id IS NOT NULL;
RESET ALL
"""
"""Read the table and both indexes into the server's memory."""
LEFT = "SELECT count(*) FILTER (WHERE vpc_id = %s), count(*) FROM vpc_firewall_rule"

Connection = psycopg.Connection[Any]
Delete = Callable[[Connection], object]


def chunked(conn: Connection, size: ChunkSize) -> None:
    """Delete by batchq, and check that the job has counted what the report says."""
    fenced = start(conn, TREE, LARGE, missing=LookupError("no such vpc"))
    budget = Budget(seconds=math.inf)
    report = resume(conn, [TREE], owner="benchmark", budget=budget, chunk_size=size)
    job = run(conn, TREE.jobs.get(fenced.job)) if isinstance(fenced, Fenced) else None
    # The step after the chunks removes the VPC itself.
    if job is None or (job.rows_done, job.seq) != (report.rows, report.chunks + 1):
        sys.exit(f"the job has counted something else than the report: {job}, {report}")


def of_size(rows: int) -> ChunkSize:
    """Return chunks of just so many rows."""
    return ChunkSize(minimum=rows, initial=rows, maximum=rows)


SINGLE = "one DELETE"
SIDES: dict[str, Delete] = {
    SINGLE: lambda conn: conn.execute("DELETE FROM vpc_firewall_rule WHERE vpc_id = %s", [LARGE]),
    "chunks of 1,000": lambda conn: chunked(conn, of_size(1_000)),
    "chunks of 10,000": lambda conn: chunked(conn, of_size(10_000)),
    "adaptive chunks": lambda conn: chunked(conn, ChunkSize()),
}
RATE_TARGETS = {"chunks of 1,000": 5, "chunks of 10,000": 4}
"""At most so many times as long as one DELETE."""


@frozen
class Bench:
    """A server, and a database for each kind of keys, to be copied."""

    postgres: Server
    rows: int

    def prepare(self, keys: str) -> None:
        """Create the database that the others are copies of."""
        self.postgres.create_database(keys)
        with psycopg.connect(self.postgres.conninfo(keys), autocommit=True) as conn:
            conn.execute(TABLES)
            conn.execute(TREE.jobs.ddl().encode())
            conn.execute(FILL.format(rows=self.rows, others=OTHERS, key=KEYS[keys]).encode())
            conn.execute("VACUUM (FREEZE, ANALYZE)")

    @contextmanager
    def copy(self, keys: str) -> Iterator[Connection]:
        """Connect to a fresh copy; it ends with a checkpoint, so that none is due for long."""
        with psycopg.connect(self.postgres.conninfo(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE copy TEMPLATE {keys} STRATEGY file_copy".encode())
        try:
            with psycopg.connect(self.postgres.conninfo("copy"), autocommit=True) as conn:
                for statement in WARM.split(";"):
                    conn.execute(statement.encode(), prepare=False)
                yield conn
        finally:
            self.postgres.drop_database("copy")

    def check_deleted(self, conn: Connection, written: int = 0) -> None:
        """Check that all rules of that VPC are deleted, and none of the others'."""
        left = conn.execute(LEFT, [LARGE]).fetchone()
        if left != (0, self.rows + written):
            sys.exit(f"left of the VPC, and in all: {left} and not (0, {self.rows + written})")

    def rates(self, keys: str, rounds: int) -> None:
        """Time each side's delete."""
        seconds: dict[str, list[float]] = defaultdict(list)
        for _ in range(rounds):
            for name, delete in SIDES.items():
                with self.copy(keys) as conn:
                    begin = monotonic()
                    delete(conn)
                    seconds[name].append(monotonic() - begin)
                    self.check_deleted(conn)
        print(f"\n{keys + ' keys':20}{'rows/s':>12}    times as long as one DELETE")
        for name, taken in seconds.items():
            ratios = [mine / one for mine, one in zip(taken, seconds[SINGLE], strict=True)]
            target = f"target {RATE_TARGETS[name]}" if name in RATE_TARGETS else ""
            rate = f"{self.rows / median(taken):12,.0f}"
            print(f"  {name:18}{rate}    {median(ratios):5.1f} {_all(ratios)}  {target}")

    def waits(self, rounds: int) -> None:
        """Time a writer in another VPC, alone and while each side deletes."""
        waits: dict[str, list[tuple[list[float], list[float]]]] = defaultdict(list)
        for _ in range(rounds):
            for name, delete in SIDES.items():
                waits[name].append(self._wait(delete))
        print("\na writer in another VPC, random keys: the 99th percentile of an INSERT, in ms")
        for name, own in waits.items():
            ratios = [_p99(then) / _p99(before) for before, then in own]
            alone, busy = (median(map(_p99, side)) for side in zip(*own, strict=True))
            figures = f"alone {alone:.3f}, meanwhile {busy:.3f}"
            print(f"  {name:18} {figures}: x {median(ratios):.2f} {_all(ratios)}")

    def _wait(self, delete: Delete) -> tuple[list[float], list[float]]:
        # A process and not a thread: a thread would wait for this one's interpreter.
        spawning = multiprocessing.get_context("spawn")
        near, far = spawning.Pipe()
        with self.copy("random") as conn:
            conninfo = self.postgres.conninfo("copy")
            writer = spawning.Process(target=write, args=(conninfo, far))
            writer.start()
            far.close()  # or the writer's death would not be seen
            near.recv()
            alone = monotonic()
            sleep(QUIET)
            begin = monotonic()
            delete(conn)
            end = monotonic()
            near.send(None)
            writes = near.recv()
            writer.join()
            self.check_deleted(conn, len(writes))
        return (
            [(last - first) * 1e3 for first, last in writes if alone <= first and last <= begin],
            [(last - first) * 1e3 for first, last in writes if begin <= last and first <= end],
        )


def write(conninfo: str, pipe: Pipe[Any, Any]) -> None:
    """Be the writer. ``time.monotonic`` is the same clock in every process."""
    writes: list[tuple[float, float]] = []
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for number in count():
            if number == 500:  # noqa: PLR2004  the server has planned for good
                pipe.send("ready")
            if pipe.poll():
                break
            batch = rules_insert(rules(WRITTEN, range(number, number + 1)))
            begin = monotonic()
            run(conn, batch)
            writes.append((begin, monotonic()))
    pipe.send(writes)


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[-1]


def _all(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in sorted(values)) + ")"


def main(rows: int = ROWS, rounds: int = ROUNDS) -> None:
    """Measure and print."""
    settings: dict[str, str | int] = {
        "shared_buffers": f"{max(rows // 1_000, 64)}MB",
        "max_wal_size": "64GB",
        "checkpoint_timeout": "1h",
        "autovacuum": "off",
    }
    with server(settings=settings) as postgres:
        print(f"PostgreSQL {postgres.version}, unix socket, fsync off, {settings}")
        print(f"{rows:,} of {2 * rows:,} rules are deleted, in {rounds} rounds: medians (and all)")
        bench = Bench(postgres, rows)
        for keys in KEYS:
            bench.prepare(keys)
        for keys in KEYS:
            bench.rates(keys, rounds)
        bench.waits(rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
