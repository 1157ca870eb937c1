# SPDX-License-Identifier: MIT
"""What a chunked delete costs, and whom: half of a table goes, by one DELETE and by batchq.bulk.

Three questions. How many rows a second go in chunks, beside one single DELETE of the same rows? How
long does a writer in another VPC wait meanwhile, beside one that is alone? And does the deleting
process grow? Every run has a fresh copy of the same database, all of it in the server's memory;
the sides take turns, and what counts is the median of each round's ratio: the machine's moods hit
both.

The rules of the VPC lie among those of others, as they came in turns. Their keys are random, as
uuid4 makes them, so that the order of the keys is not that of the rows; or in order, as of uuid7.

    python -m benchmarks.bulk [rows] [rounds]
"""

from __future__ import annotations

import math
import multiprocessing
import os
import platform
import resource
import sys
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, sleep
from typing import Any
from uuid import UUID, uuid4

import psycopg
from attrs import define, field, frozen
from psycopg.conninfo import make_conninfo

from batchq import insert, run
from batchq.bulk import Budget, ChunkSize, Drain, Fenced, Report, Tree, resume, start
from batchq.hierarchy import Parent
from batchq.testing import Server, server

ROWS, ROUNDS = 1_000_000, 3
OTHERS = 1_000
"""VPCs that have as many rules together as the one that goes."""
WRITES_BEFORE = 500
"""Writes until the server has prepared them, and planned for good."""
QUIET = 2.0
"""Seconds that the writer is alone, before each delete."""
RATE_AIMS = {"chunks of 1,000": 1 / 5, "chunks of 10,000": 1 / 4}
WAIT_AIM = 2.0
GROWTH_AIM = 20.0
"""MB."""

VPC = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen")
RULES = VPC.children("vpc_firewall_rule", by="vpc_id", deleted_at=None)
TREE = Tree(name="vpc", parent=VPC, drains=[Drain(children=RULES, order="id")])
LARGE, WRITTEN = UUID(int=1), UUID(int=2)
"""The VPC that goes, and the one that the writer adds rules to."""

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
KEYS = {
    "random": "md5(n::text)::uuid",
    "ordered": "lpad(to_hex(n), 32, '0')::uuid",
}
WARM = (
    "SET max_parallel_workers_per_gather = 0",
    "SELECT count(name) FROM vpc_firewall_rule",
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SELECT count(id) FROM vpc_firewall_rule WHERE id IS NOT NULL",
    "SELECT count(vpc_id) FROM vpc_firewall_rule WHERE vpc_id IS NOT NULL",
    "RESET ALL",
)
"""Read the table and both indexes into the server's memory."""
AUDIT = """
CREATE TABLE audit (seq bigint PRIMARY KEY, rows_done bigint NOT NULL);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO audit VALUES (new.seq, new.rows_done); RETURN NULL; END $$;
CREATE TRIGGER audit AFTER UPDATE ON bulk_job FOR EACH ROW WHEN (new.seq <> old.seq)
EXECUTE FUNCTION audit()
"""
"""Write down each step of a job as the server committed it."""
STEPS = "SELECT seq, rows_done - lag(rows_done, 1, 0) OVER (ORDER BY seq) FROM audit ORDER BY seq"
DELETE = "DELETE FROM vpc_firewall_rule WHERE vpc_id = %s"
LEFT = "SELECT count(*) FILTER (WHERE vpc_id = %s), count(*) FROM vpc_firewall_rule"

Connected = psycopg.Connection[Any]
Delete = Callable[[Connected], object]


def single(conn: Connected) -> None:
    """Delete by one statement."""
    conn.execute(DELETE, [LARGE])


def chunked(conn: Connected, size: ChunkSize) -> None:
    """Delete by batchq, and see that the job has counted what the report says."""
    fenced = start(conn, TREE, LARGE, missing=LookupError("no such vpc"))
    report = resume(conn, [TREE], owner="benchmark", budget=Budget(seconds=math.inf), size=size)
    _accounted(conn, fenced, report)


def _accounted(conn: Connected, fenced: object, report: Report) -> None:
    if not isinstance(fenced, Fenced) or report.jobs_done != 1:
        sys.exit(f"not deleted in chunks: {fenced}, {report}")
    job = run(conn, TREE.jobs.read(fenced.job))
    # The step behind the chunks removes the VPC itself.
    if job is None or (job.rows_done, job.seq) != (report.rows, report.chunks + 1):
        sys.exit(f"the job has counted something else than the report: {job}, {report}")


def computing(_: Connected) -> None:
    """Delete nothing, but keep a CPU busy meanwhile, as the server does: what the rest may do."""
    end = monotonic() + QUIET
    while monotonic() < end:
        pass


def of_size(rows: int) -> ChunkSize:
    """Chunks of just so many rows."""
    return ChunkSize(least=rows, first=rows, most=rows)


SINGLE, FIXED, LARGER = "one DELETE", *RATE_AIMS
SIDES: dict[str, Delete] = {
    SINGLE: single,
    FIXED: lambda conn: chunked(conn, of_size(1_000)),
    LARGER: lambda conn: chunked(conn, of_size(10_000)),
    "adaptive chunks": lambda conn: chunked(conn, ChunkSize()),
}


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
    def copy(self, keys: str) -> Generator[Connected]:
        """Connect to a fresh copy; it ends with a checkpoint, so that none is due for long."""
        with psycopg.connect(self.postgres.conninfo(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE copy TEMPLATE {keys} STRATEGY file_copy".encode())
        try:
            with psycopg.connect(self.postgres.conninfo("copy"), autocommit=True) as conn:
                for statement in WARM:
                    conn.execute(statement.encode(), prepare=False)
                yield conn
        finally:
            self.postgres.drop_database("copy")

    def gone(self, conn: Connected, written: int = 0) -> None:
        """See that all rules of that VPC are gone, and none of the others'."""
        seen = conn.execute(LEFT, [LARGE]).fetchone()
        if seen != (0, self.rows + written):
            sys.exit(f"left of the VPC, and in all: {seen} and not (0, {self.rows + written})")


def main(rows: int = ROWS, rounds: int = ROUNDS) -> None:
    """Measure and print."""
    began = monotonic()
    settings: dict[str, str | int] = {
        "shared_buffers": f"{max(rows // 1_000, 64)}MB",
        "max_wal_size": "64GB",
        "checkpoint_timeout": "1h",
        "autovacuum": "off",
    }
    with server(settings=settings) as postgres:
        print(
            f"Python {platform.python_version()}, psycopg {psycopg.__version__}, "
            f"PostgreSQL {postgres.version}, unix socket, {os.cpu_count()} CPUs\n"
            f"fsync and full_page_writes off, synchronous_commit on, "
            + ", ".join(f"{name} {value}" for name, value in settings.items())
        )
        bench = Bench(postgres, rows)
        for keys in KEYS:
            bench.prepare(keys)
        print(
            f"{rows:,} rules of {2 * rows:,} go, in {rounds} rounds; the median (and all) of them"
        )
        _memory(bench)
        for keys in KEYS:
            _rates(bench, keys, rounds)
        _waits(bench, rounds)
    print(f"\n{monotonic() - began:.0f} seconds")


def _memory(bench: Bench) -> None:
    """Sample this process over a delete; first of all, before others have made it grow."""
    samples: list[float] = []

    def sample() -> bool:
        samples.append(_resident())
        return False

    with bench.copy("random") as conn:
        conn.execute(AUDIT)
        fenced = start(conn, TREE, LARGE, missing=LookupError("no such vpc"))
        budget, size = Budget(seconds=math.inf), of_size(1_000)
        report = resume(
            conn, [TREE], owner="benchmark", budget=budget, size=size, stop=sample
        )  # asked before each chunk
        _accounted(conn, fenced, report)
        bench.gone(conn)
        steps = conn.execute(STEPS).fetchall()
    if [seq for seq, _ in steps] != list(range(1, report.chunks + 2)):
        sys.exit("a step of the job is missing")
    full = sum(gone == size.most for _, gone in steps)
    if sum(gone for _, gone in steps) != bench.rows or full != bench.rows // size.most:
        sys.exit("the chunks that the job has counted are not those that it was asked for")
    print(
        f"accounted: {report.chunks:,} chunks, seq 1 to {steps[-1][0]:,} without a gap, {full:,} "
        f"of {size.most:,} rows; rows_done {report.rows:,}"
    )
    first, tenth, growth = samples[0], samples[10], max(samples) - samples[0]
    print(
        f"memory: {first:.1f} MB at first, {tenth:.1f} MB after 10 chunks, at most "
        f"{max(samples):.1f} MB, {samples[-1]:.1f} MB in the end: growth {growth:.1f} MB   "
        f"aim {GROWTH_AIM:.0f} MB   {_met(met=growth <= GROWTH_AIM)}"
    )


def _resident() -> float:
    """MB of this process in memory; where nobody says, the most that it ever had."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _rates(bench: Bench, keys: str, rounds: int) -> None:
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, delete in SIDES.items():
            with bench.copy(keys) as conn:
                begin = monotonic()
                delete(conn)
                seconds[name].append(monotonic() - begin)
                bench.gone(conn)
    print(f"\n{keys + ' keys':20}{'rows/s':>12}    beside one DELETE")
    for name, taken in seconds.items():
        line = f"  {name:18}{bench.rows / median(taken):12,.0f}"
        if name != SINGLE:
            beside = [ours / one for ours, one in zip(taken, seconds[SINGLE], strict=True)]
            line += f"    1/{median(beside):<5.1f} {_all(beside, '1/')}"
            if aim := RATE_AIMS.get(name):
                line += f"   aim 1/{1 / aim:.0f}   {_met(met=median(beside) <= 1 / aim)}"
        print(line)


@define
class Waits:
    """How long the writer waited, in milliseconds, alone and while somebody deleted."""

    quiet: list[float] = field(factory=list[float])
    busy: list[float] = field(factory=list[float])
    ratios: list[float] = field(factory=list[float])
    """Of the 99th percentiles, for each round."""

    def add(self, quiet: list[float], busy: list[float]) -> None:
        """Take in one round."""
        self.quiet += quiet
        self.busy += busy
        self.ratios.append(_percentile(busy, 99) / _percentile(quiet, 99))


def _waits(bench: Bench, rounds: int) -> None:
    waits: dict[str, Waits] = defaultdict(Waits)
    sides = {"no delete, a loop": computing, **{name: SIDES[name] for name in (SINGLE, *RATE_AIMS)}}
    for _ in range(rounds):
        for name, delete in sides.items():
            waits[name].add(*_wait(bench, delete))
    print("\na writer in another VPC, random keys: one INSERT after the other, in ms")
    print(
        f"{'':18}{'writes alone, busy':>19}{'p50 alone':>11}{'busy':>8}{'p99 alone':>11}{'busy':>8}"
    )
    for name, seen in waits.items():
        line = f"  {name:18}{len(seen.quiet):8,}{len(seen.busy):9,}"
        for percent in (50, 99):
            alone, busy = _percentile(seen.quiet, percent), _percentile(seen.busy, percent)
            line += f"{alone:11.3f}{busy:8.3f}"
        line += f"    p99 x {median(seen.ratios):.2f} {_all(seen.ratios)}"
        if name in RATE_AIMS:
            line += f"   aim {WAIT_AIM:.0f}   {_met(met=median(seen.ratios) <= WAIT_AIM)}"
        print(line)


def _wait(bench: Bench, delete: Delete) -> tuple[list[float], list[float]]:
    """Let a writer be alone for a while, then not; what its writes took in both."""
    # A process and not a thread: it would wait for this one's interpreter.
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    with bench.copy("random") as conn:
        conninfo = make_conninfo(bench.postgres.conninfo("copy"))
        writer = spawning.Process(target=_write, args=(conninfo, theirs))
        writer.start()
        theirs.close()  # or nobody would see that it has died
        ours.recv()
        alone = monotonic()
        sleep(QUIET)
        begin = monotonic()
        delete(conn)
        end = monotonic()
        ours.send(None)
        written, starts, ends = ours.recv()
        writer.join()
        if delete is not computing:
            bench.gone(conn, written)
    taken = [(ended - begun) * 1e3 for begun, ended in zip(starts, ends, strict=True)]
    first, busy, behind = (
        bisect_left(starts, alone),
        bisect_left(ends, begin),
        bisect_left(starts, end),
    )
    return taken[first:busy], taken[busy:behind]


def _write(conninfo: str, pipe: Pipe) -> None:
    """Be the writer. `time.monotonic` is the same clock in every process."""
    starts, ends = array("d"), array("d")
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for number in count():
            if number == WRITES_BEFORE:
                pipe.send("ready")
            if pipe.poll():
                break
            rule = insert("vpc_firewall_rule", _rule(number))
            starts.append(monotonic())
            run(conn, rule)
            ends.append(monotonic())
    pipe.send((len(starts), starts, ends))


def _rule(number: int) -> dict[str, object]:
    return {
        "id": uuid4(),
        "vpc_id": WRITTEN,
        "name": f"new-{number}",
        "direction": "inbound",
        "action": "allow",
        "protocols": ["tcp"],
        "priority": number % 65_536,
    }


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1]


def _all(values: list[float], prefix: str = "") -> str:
    return "(" + ", ".join(f"{prefix}{value:.1f}" for value in sorted(values)) + ")"


def _met(*, met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
