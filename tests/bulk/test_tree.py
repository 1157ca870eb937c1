# SPDX-License-Identifier: MIT
"""Trees: their batches, what they reject, and what is left of parents and children."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import attrs
import pytest

from batchq import InvalidBatch, explain, gather, insert, run, select, steps
from batchq.bulk import (
    ChildDelete,
    ChunkSize,
    Deleted,
    DeleteTree,
    Fenced,
    Jobs,
    StopReason,
    TooManyRows,
    resume,
    start,
)
from batchq.hierarchy import Parent
from batchq.language.syntax import RawSql
from batchq.result import Failed, attempt

TABLES = """
CREATE TABLE vpc (
    id int PRIMARY KEY, name text, rcgen bigint NOT NULL DEFAULT 1, time_deleted timestamptz
);
CREATE UNIQUE INDEX vpc_name ON vpc (name) WHERE time_deleted IS NULL;
CREATE TABLE rule (id int PRIMARY KEY, vpc_id int NOT NULL, UNIQUE (vpc_id, id));
CREATE TABLE route (id int PRIMARY KEY, vpc_id int NOT NULL, time_deleted timestamptz);
INSERT INTO vpc VALUES (1, 'web'), (2, 'other');
INSERT INTO rule SELECT n, 1 + (n > 25)::int FROM generate_series(1, 30) AS n;
INSERT INTO route SELECT n, 1 + (n > 12)::int FROM generate_series(1, 15) AS n;
"""
MISSING = LookupError("no such vpc")
VPC = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen")
RULES = VPC.children("rule", by="vpc_id", deleted_at=None)
ROUTES = VPC.children("route", by="vpc_id", deleted_at="time_deleted")
TREE = DeleteTree(
    name="vpc",
    parent=VPC,
    children=[ChildDelete(relation=ROUTES), ChildDelete(relation=RULES)],
    inline_limit=10,
)
FIVE = ChunkSize(initial=5, minimum=5, maximum=5)


@pytest.fixture
def tables(conn):
    conn.execute(TABLES, prepare=False)
    conn.execute(TREE.jobs.ddl(), prepare=False)


def left(conn):
    """Return the parents, and the number of rules and of living routes of each."""
    parents = conn.execute("SELECT id, time_deleted IS NULL FROM vpc ORDER BY id").fetchall()
    rules = conn.execute("SELECT vpc_id, count(*) FROM rule GROUP BY 1 ORDER BY 1").fetchall()
    routes = conn.execute(
        "SELECT vpc_id, count(*) FROM route WHERE time_deleted IS NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return parents, rules, routes


OTHER = ([(2, True)], [(2, 5)], [(2, 3)])


def titles(batch):
    """Return what each step does; for a text, its path."""
    return [
        step.path if isinstance(step.statement._shape.source, RawSql) else step.statement.title
        for step in steps(batch)
    ]


def test_fence_locks_checks_hides_and_inserts_a_job():
    def no_subnet(vpc):
        return select("vpc_subnet", ["name"], where={"vpc_id": vpc})

    guarded = attrs.evolve(TREE, guards=[lambda vpc: no_subnet(vpc).expect(0)])
    assert titles(guarded.fence(1, missing=MISSING)) == [
        "lock vpc",
        "settings",
        "select vpc_subnet",
        "settings put back",
        "update vpc",
        "insert bulk_job",
        "settings put back",
    ]


@pytest.mark.usefixtures("tables")
def test_what_a_broken_fence_raises_has_a_name(conn):
    """It stands in the text of errors, where <lambda> says nothing."""
    job = run(conn, TREE.jobs.get(run(conn, TREE.fence(1, missing=MISSING))))
    chunk = TREE.chunk(job, 1, timedelta(minutes=1))

    for text in map(explain, (chunk, TREE.finish(job))):
        assert "-> broken" in text
        assert "<lambda>" not in text


@pytest.mark.usefixtures("tables")
def test_small_tree_is_deleted_in_one_batch_without_a_job(conn):
    few = attrs.evolve(TREE, inline_limit=25)
    assert start(conn, few, 1, missing=MISSING) == Deleted(37)
    assert left(conn) == OTHER
    assert conn.execute("SELECT count(*) FROM bulk_job").fetchone() == (0,)


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(("inline", "fits"), [(25, True), (24, False)])
def test_inline_limit_is_exact(conn, inline, fits):
    answer = attempt(conn, attrs.evolve(TREE, inline_limit=inline).delete_now(1, missing=MISSING))
    if fits:
        assert answer.value == 37
    else:
        assert isinstance(answer.error, TooManyRows)
        assert (answer.error.table, answer.error.limit) == ("rule", 24)


@pytest.mark.usefixtures("tables")
def test_large_tree_is_fenced_deleted_in_chunks_and_its_parent_last(conn):
    fenced = start(conn, TREE, 1, missing=MISSING)
    assert isinstance(fenced, Fenced)
    assert left(conn) == ([(1, False), (2, True)], [(1, 25), (2, 5)], [(1, 12), (2, 3)])
    report = resume(conn, [TREE], owner="a", chunk_size=FIVE)
    assert (report.stop_reason, report.jobs_done, report.rows) == (StopReason.EXHAUSTED, 1, 37)
    assert left(conn) == OTHER
    job = run(conn, TREE.jobs.get(fenced.job))
    assert (job.phase, job.rows_done, job.root) == ("done", 37, "1")


@pytest.mark.usefixtures("tables")
def test_soft_deleted_parent_stays(conn):
    keeps = attrs.evolve(TREE, hard=False)
    start(conn, keeps, 1, missing=MISSING)
    resume(conn, [keeps], owner="a")
    assert left(conn) == ([(1, False), (2, True)], *OTHER[1:])
    assert isinstance(attempt(conn, keeps.delete_now(1, missing=MISSING)), Failed)
    run(conn, attrs.evolve(keeps, inline_limit=25).delete_now(2, missing=MISSING))
    assert left(conn) == ([(1, False), (2, False)], [], [])


@pytest.mark.usefixtures("tables")
def test_fenced_parent_is_hidden_and_its_name_is_free(conn):
    run(conn, TREE.fence(1, missing=MISSING))
    run(conn, insert("vpc", {"id": 3, "name": "web"}))
    for not_found in (
        TREE.fence(1, missing=MISSING),
        TREE.delete_now(1, missing=MISSING),
        VPC.touch(1, missing=MISSING),
    ):
        answer = attempt(conn, not_found)
        assert isinstance(answer.error, LookupError)


@pytest.mark.usefixtures("tables")
def test_fence_composes_and_fails_as_a_whole(conn):
    taken = attempt(conn, gather(TREE.fence(1, missing=MISSING), insert("vpc", {"id": 2})))
    assert taken.report.violation.constraint == "vpc_pkey"
    assert left(conn)[0] == [(1, True), (2, True)]
    assert conn.execute("SELECT count(*) FROM bulk_job").fetchone() == (0,)


@pytest.mark.usefixtures("tables")
def test_stale_generation_raises_and_hides_nothing(conn):
    for batch in (
        TREE.fence(1, missing=MISSING, generation=7, stale=ValueError("stale")),
        attrs.evolve(TREE, inline_limit=25).delete_now(
            1, missing=MISSING, generation=7, stale=ValueError("stale")
        ),
    ):
        assert isinstance(attempt(conn, batch).error, ValueError)
    assert left(conn)[0] == [(1, True), (2, True)]


@pytest.mark.usefixtures("tables")
def test_two_trees_are_deleted_by_one_worker_and_others_left_alone(conn):
    run(conn, gather(TREE.fence(1, missing=MISSING), TREE.fence(2, missing=MISSING)))
    assert resume(conn, [attrs.evolve(TREE, name="subnet")], owner="a").chunks == 0
    report = resume(conn, [TREE], owner="a", chunk_size=FIVE)
    assert (report.jobs_done, report.rows) == (2, 45)
    assert left(conn) == ([], [], [])


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        (
            lambda: ChildDelete(relation=RULES, hard=False),
            "hard=False): the table has no column for soft deletes; write hard=True, or declare",
        ),
        (
            lambda: ChildDelete(relation=RULES, set={"vpc_id": None}, hard=True),
            "set=…, hard=True): rows are either updated or deleted; leave out one of the two",
        ),
        (
            lambda: ChildDelete(relation=RULES, set="vpc_id"),
            "set=…): pass a mapping of columns to values, not str; write set={'vpc_id': None}",
        ),
        (
            lambda: ChildDelete(relation=VPC),
            "pass what Parent(…).children(…) returns, not a Parent",
        ),
        (
            lambda: DeleteTree(name="vpc", parent=VPC, children=[RULES]),
            "of ChildDelete, not one that contains a Children; write [ChildDelete(relation=…)]",
        ),
        (
            lambda: DeleteTree(name="vpc", parent=VPC, children=ChildDelete(relation=RULES)),
            "children=: pass a list, such as [ChildDelete(relation=…)], not a ChildDelete",
        ),
        (
            lambda: attrs.evolve(TREE, guards=RULES.forbid(1, unexpected=MISSING)),
            "guards=…): pass a list of functions of the parent's key; write guards=[lambda key:",
        ),
        (
            lambda: attrs.evolve(TREE, guards=[RULES.forbid(1, unexpected=MISSING)]),
            "guards=…): pass a list of functions of the parent's key; write guards=[lambda key:",
        ),
        (lambda: attrs.evolve(TREE, name=""), "DeleteTree(name=''): its jobs are found by the"),
        (lambda: TREE.adopt(None), "adopt(): pass the Job that run(conn, tree.jobs.get(id)) has"),
        (
            lambda: TREE.jobs.adopt(uuid4(), select("vpc", where={"id": 1})),
            "returned, not a UUID",
        ),
    ],
    ids=range(11),
)
def test_invalid_tree_is_rejected_at_its_construction(invalid, message):
    with pytest.raises(InvalidBatch, match=re.escape(message)):
        invalid()


def test_child_that_is_updated_is_not_deleted_hard():
    assert not ChildDelete(relation=RULES, set={"vpc_id": None}).hard
    assert ChildDelete(relation=RULES).hard


def test_job_table_may_be_in_a_schema_with_its_own_constraint_names():
    text = Jobs(table="ops.deletes").ddl()
    assert text.startswith('CREATE TABLE IF NOT EXISTS "ops"."deletes"')
    assert '"deletes_unfinished_key"' in text
