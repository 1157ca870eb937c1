# SPDX-License-Identifier: MIT
"""A tree is deleted while others write to it or read it, in every order.

There is no orphan, no reader sees half of a tree, and a restored parent loses no row, as
docs/bulk.md promises.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest
from attrs import evolve, frozen
from psycopg import IsolationLevel

import batchq
from batchq import delete, gather, insert, sql, update
from batchq.bulk import ChildDelete, DeleteTree
from tests.support.interleaved_session import Side, once
from tests.support.interleavings import Interleaver
from tests.support.vpcs import MISSING, VPC

pytestmark = pytest.mark.postgres_only("waits are seen in pg_blocking_pids()")

TABLES = """
CREATE TABLE vpc (
    id int PRIMARY KEY, name text NOT NULL, rcgen bigint NOT NULL, time_deleted timestamptz);
CREATE TABLE rule (
    id int PRIMARY KEY, vpc_id int NOT NULL, name text NOT NULL, UNIQUE (vpc_id, id));
INSERT INTO vpc VALUES (1, 'web', 1, NULL); INSERT INTO rule VALUES (1, 1, 'a'), (2, 1, 'b');
"""
KEEP = """
CREATE TABLE kept_vpc AS TABLE vpc; CREATE TABLE kept_rule AS TABLE rule;
CREATE TABLE kept_job AS TABLE bulk_job;
"""
RESET = """
DELETE FROM rule; DELETE FROM vpc; DELETE FROM bulk_job; INSERT INTO vpc TABLE kept_vpc;
INSERT INTO rule TABLE kept_rule; INSERT INTO bulk_job TABLE kept_job;
"""
ORPHANS = """
SELECT id FROM rule WHERE NOT EXISTS (SELECT FROM vpc WHERE vpc.id = rule.vpc_id)
"""
RULES_LEFT = "SELECT count(*) FROM rule WHERE vpc_id = 1"
_, RC, RR, SER = IsolationLevel
LEVELS = (RC, RR, SER)
LEASE, JOB = timedelta(hours=1), UUID(int=7)


@frozen
class Vpc:
    id: int
    time_deleted: object


@frozen
class Rule:
    id: int
    vpc_id: int


RULES = VPC.children("rule", by="vpc_id", deleted_at=None)
TREE = DeleteTree(name="vpc", parent=VPC, children=[ChildDelete(relation=RULES)])
FENCE = TREE.fence(1, missing=MISSING, job=JOB)
NEW = insert("rule", {"id": 9, "vpc_id": 1, "name": "new"})
LIVES = "SELECT 1 FROM vpc WHERE id = 1 AND time_deleted IS NULL"
READ = gather(RULES.read(1, Rule), VPC.read(1, Vpc, missing=MISSING)).map(lambda read: read[::-1])

ADDS = {
    "Children.add": RULES.add(1, NEW, missing=MISSING),
    "FOR SHARE": gather(sql(f"{LIVES} FOR SHARE").expect(1), NEW),
}

RESTORE = update("vpc", {"time_deleted": None, "rcgen": sql("rcgen + 1")}, {"id": 1}).expect(1)
TOUCH = update("rule", {"name": "kept"}, {"vpc_id": 1}).count()
RESTORES = {
    "restores": RESTORE,
    "touches the children, then restores": gather(TOUCH, RESTORE),
    "restores, then touches the children": gather(RESTORE, TOUCH),
    "restores, then adds a child": gather(RESTORE, RULES.add(1, NEW, missing=MISSING)),
}


@pytest.fixture
def table(conn, connect):
    conn.execute(TABLES)
    conn.execute(TREE.jobs.ddl())
    conn.execute(KEEP)
    return Interleaver.connect(connect, RESET)


@pytest.fixture
def job(conn, table):
    """Return the job of a fence as its worker has it; no other worker claims it."""
    batchq.run(conn, FENCE)
    job = batchq.run(conn, TREE.jobs.get(JOB))
    conn.execute(RESET)
    return job


@pytest.fixture
def fenced(conn, job):
    """Return the same job; schedules begin after the parent is hidden."""
    batchq.run(conn, FENCE)
    conn.execute("DROP TABLE kept_vpc, kept_rule, kept_job")
    conn.execute(KEEP)
    return job


def sweeping(job, rows=3):
    """Return a program: what a worker does with a job until it ends or a step fails."""

    def program():
        here = job
        while here.stage < len(TREE.stages):
            done = yield TREE.chunk(here, rows, LEASE)
            here = evolve(here, seq=done.seq, stage=done.stage, cursor=done.cursor)
        yield TREE.finish(here)

    return program


def orphans(table):
    return lambda _played: table.observer.execute(ORPHANS).fetchall()


AT_ONCE = once(TREE.delete_now(1, missing=MISSING))


def levels(*few):
    return pytest.mark.parametrize(
        "levels",
        [
            pytest.param(pair, id=f"{pair[0].name} {pair[1].name}", marks=marks)
            for pair in product(LEVELS, LEVELS)
            for marks in [() if pair in few else (pytest.mark.soak,)]
        ],
    )


@levels((RC, RC), (RR, RC))
@pytest.mark.parametrize("adds", ADDS)
def test_delete_now_leaves_no_child_whatever_the_interleaving(table, adds, levels):
    own, other = levels
    summary = table.check_all(
        Side("delete", AT_ONCE, own), Side("add", once(ADDS[adds]), other), orphans(table)
    )
    if adds == "FOR SHARE" and own is not RC and not own is other is SER:
        assert summary.wrong, "docs/bulk.md says less than is so"
    else:
        assert not summary.wrong, str(summary)
        assert summary.committed >= {(True, False)}


@pytest.mark.parametrize("adds", ADDS)
@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_fence_keeps_out_writers_that_check_the_parent(table, fenced, adds, level):
    summary = table.check_all(
        Side("job", sweeping(fenced)), Side("add", once(ADDS[adds]), level), orphans(table)
    )
    assert not summary.wrong, str(summary)
    assert summary.committed == {(True, False)}


# -- a session that locks children ---------------------------------------------------------------


LOCKERS = {
    "locks one": sql("SELECT 1 FROM rule WHERE id = 1 FOR UPDATE"),
    "shares one": sql("SELECT 1 FROM rule WHERE id = 2 FOR KEY SHARE"),
    "changes one": update("rule", {"name": "new"}, {"id": 1}),
    "gives one away": update("rule", {"vpc_id": 2}, {"id": 2}),
    "deletes one": delete("rule", {"id": 1}),
}


@pytest.mark.parametrize("locker", LOCKERS)
def test_chunk_that_skips_locked_rows_never_waits_and_loses_none(table, fenced, conn, locker):
    """It reports what it skips, and that stays; what is left before its cursor was skipped."""
    conn.execute("INSERT INTO vpc VALUES (2, 'other', 1, NULL)")
    conn.execute("CREATE TABLE other_vpc AS TABLE vpc; DROP TABLE kept_vpc")
    conn.execute("ALTER TABLE other_vpc RENAME TO kept_vpc")
    received = []

    def going_around():
        received.append((yield TREE.chunk(fenced, 5, LEASE, skip_locked=True)))

    def wrong(schedule):
        done, received[:] = received[-1] if received else None, []
        (left,) = table.observer.execute(RULES_LEFT).fetchone()
        rows, seq = table.observer.execute("SELECT rows_done, seq FROM bulk_job").fetchone()
        not_found = 2 - left - (locker in {"gives one away", "deletes one"})
        waited = any("waits" in move and "job" in move for move in schedule.moves)
        if done is None or waited or seq != 1:
            return "it waited, or did nothing"
        if rows != done.rows or (left and not done.skipped):
            return f"{left} are left of {rows}, and it says {done}"
        return not_found > rows

    summary = table.check_all(
        Side("job", going_around), Side("other", once(LOCKERS[locker])), wrong
    )
    assert not summary.wrong, str(summary)
    assert summary.committed == {(True, True)}


ENDS = {"at once": TREE.delete_now(1, missing=MISSING), "fence": FENCE}


@levels((RC, RC))
@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", ENDS)
def test_one_of_two_deletes_of_a_parent_succeeds(table, first, second, levels):
    def wrong(_played):
        query = "SELECT (SELECT count(*) FROM vpc), (SELECT count(*) FROM bulk_job)"
        return table.observer.execute(query).fetchone() not in {(0, 0), (1, 1)}

    summary = table.check_all(
        Side("a", once(ENDS[first]), levels[0]), Side("b", once(ENDS[second]), levels[1]), wrong
    )
    assert not summary.wrong, str(summary)
    assert summary.committed == {(True, False), (False, True)}


def test_two_workers_of_one_job_count_each_row_once(table, fenced):
    def wrong(_played):
        query = "SELECT rows_done + (SELECT count(*) FROM rule) FROM bulk_job"
        return table.observer.execute(query).fetchone() != (2,)

    summary = table.check_all(Side("a", sweeping(fenced, 1)), Side("b", sweeping(fenced, 1)), wrong)
    assert not summary.wrong, str(summary)
    assert summary.committed == {(True, False), (False, True)}


ONE_LEVEL = pytest.mark.parametrize(
    "level",
    [RC, pytest.param(RR, marks=pytest.mark.soak), pytest.param(SER, marks=pytest.mark.soak)],
    ids=lambda level: level.name,
)


@ONE_LEVEL
@pytest.mark.parametrize("adds", ADDS)
def test_no_child_is_left_between_fence_and_end(table, adds, level):
    def program():
        yield FENCE
        yield from sweeping((yield TREE.jobs.get(JOB)))()

    summary = table.check_all(
        Side("job", program), Side("add", once(ADDS[adds]), level), orphans(table)
    )
    assert not summary.wrong, str(summary)
    # A child from before the fence is deleted with the others; a later one is not.
    assert summary.committed == {(True, True), (True, False)}


@ONE_LEVEL
@pytest.mark.parametrize("restores", RESTORES)
def test_restored_parent_keeps_its_children_in_any_order(table, fenced, restores, level):
    table.look = RULES_LEFT

    def wrong(schedule):
        if schedule.failures[1] is not None:
            return False
        committed = schedule.moves.index("people: COMMIT")
        lives = table.observer.execute(LIVES).fetchone()
        return lives is None or schedule.seen[committed] != schedule.seen[-1]

    people = Side("people", once(RESTORES[restores]), level)
    summary = table.check_all(Side("job", sweeping(fenced, 1)), people, wrong)
    assert not summary.wrong, str(summary)
    assert (False, True) in summary.committed


def check_reader(table, level, other):
    """Check that no reader sees half, and return which transactions were committed."""
    summary = table.check_all(
        Side("read", once(READ), level),
        other,
        lambda schedule: any(len(rules) != 2 for _, rules in schedule.results[0]),
    )
    assert not summary.wrong, str(summary)
    return summary.committed


@levels((RC, RC))
def test_readers_never_see_half_of_a_delete_now(table, levels):
    check_reader(table, levels[0], Side("delete", AT_ONCE, levels[1]))


@ONE_LEVEL
def test_readers_never_see_half_of_a_delete_in_chunks(table, job, level):
    def program():
        yield FENCE
        yield TREE.chunk(job, 1, LEASE)

    assert check_reader(table, level, Side("job", program)) == {(True, True), (False, True)}
