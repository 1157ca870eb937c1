# SPDX-License-Identifier: MIT
"""A parent is deleted while a child is added: in either order there is never an orphan.

Both orders, under every isolation, with the interleaving forced by the parent's lock. And the
spelling that all of this is there to avoid does leave one, so these tests can see one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import IsolationLevel

from batchq import (
    Retry,
    SerializationConflict,
    delete,
    explain,
    format_error,
    insert,
    run,
    sql,
    update,
)
from batchq.hierarchy import Parent
from batchq.result import Ok, attempt
from tests.support.lock_waits import Race, race

TABLES = """
CREATE TABLE project (id int PRIMARY KEY, time_deleted timestamptz, rcgen int NOT NULL);
CREATE TABLE vpc (id int PRIMARY KEY, project_id int NOT NULL, name text);
INSERT INTO project VALUES (1, NULL, 1), (2, NULL, 1);
"""
ORPHANS = """
SELECT count(*) FROM vpc WHERE NOT EXISTS (
    SELECT FROM project WHERE project.id = vpc.project_id AND time_deleted IS NULL
)
"""
READ_COMMITTED = IsolationLevel.READ_COMMITTED
LEVELS = [READ_COMMITTED, IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]
AGAIN = Retry(attempts=2, backoff=0)


class NotFoundError(Exception):
    pass


class InUseError(Exception):
    pass


def parent(kept):
    return Parent(
        table="project", deleted_at="time_deleted" if kept else None, key="id", generation="rcgen"
    )


def add(kept):
    vpcs = parent(kept).children("vpc", by="project_id", deleted_at=None)
    return vpcs.add(
        1, insert("vpc", {"id": 7, "project_id": 1, "name": "web"}), missing=NotFoundError
    )


def end(kept):
    vpcs = parent(kept).children("vpc", by="project_id", deleted_at=None)
    in_use = format_error(InUseError, "project to be deleted contains a vpc: {name}")
    return parent(kept).delete(1, missing=NotFoundError, guards=[vpcs.forbid(1, unexpected=in_use)])


def unsafe(kept):
    """Delete a parent that has no children, the natural way."""
    where = sql("id = 1 AND NOT EXISTS (SELECT FROM vpc WHERE project_id = 1)")
    return (
        update("project", {"time_deleted": sql("now()")}, where)
        if kept
        else delete("project", where)
    )


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(TABLES)


@pytest.fixture
def sides(connect) -> Iterator[Race]:
    with race(connect) as sides:
        yield sides


@pytest.fixture(params=LEVELS, ids=lambda level: level.name)
def isolation(request) -> IsolationLevel:
    return request.param


@pytest.fixture(params=[True, False], ids=["tombstone", "really deleted"])
def kept(request) -> bool:
    return request.param


def orphans(conn):
    return conn.execute(ORPHANS).fetchone()[0]


def lost(answer, isolation, error):
    """Whether it lost in the way that this isolation level has."""
    if isolation is READ_COMMITTED:
        return isinstance(answer.error, error)
    return isinstance(answer.error, SerializationConflict)


def test_a_delete_that_waited_for_a_child_finds_it(sides, conn, isolation, kept):
    answer = sides.run(add(kept), end(kept), isolation=isolation)
    assert lost(answer, isolation, InUseError)
    assert orphans(conn) == 0
    assert conn.execute("SELECT time_deleted, rcgen FROM project WHERE id = 1").fetchone() == (
        None,
        2,
    )


def test_retried_delete_names_the_child_that_prevents_it(sides, conn, isolation, kept):
    answer = sides.run(add(kept), end(kept), isolation=isolation, retry=AGAIN)
    assert isinstance(answer.error, InUseError)
    assert str(answer.error) == "project to be deleted contains a vpc: web"
    assert (answer.report.index, answer.report.statement.title) == (2, "select vpc")
    assert answer.report.attempts == (1 if isolation is READ_COMMITTED else 2)
    assert orphans(conn) == 0


def test_a_child_that_waited_for_a_delete_is_not_added(sides, conn, isolation, kept):
    answer = sides.run(end(kept), add(kept), isolation=isolation)
    assert lost(answer, isolation, NotFoundError)
    assert conn.execute("SELECT count(*) FROM vpc").fetchone() == (0,)


def test_retried_child_finds_its_parent_deleted(sides, conn, isolation, kept):
    answer = sides.run(end(kept), add(kept), isolation=isolation, retry=AGAIN)
    assert isinstance(answer.error, NotFoundError)
    assert (answer.report.index, answer.report.statement.title) == (0, "update project")
    assert answer.report.attempts == (1 if isolation is READ_COMMITTED else 2)
    assert conn.execute("SELECT count(*) FROM vpc").fetchone() == (0,)


@pytest.mark.parametrize("first", [add, end])
def test_batch_that_waited_for_a_rollback_succeeds(sides, conn, isolation, kept, first):
    second = end if first is add else add
    answer = sides.run(first(kept), second(kept), rollback=True, isolation=isolation)
    assert isinstance(answer, Ok)
    assert orphans(conn) == 0


def test_a_snapshot_that_is_older_than_the_child_deletes_no_parent(connect, conn, isolation, kept):
    late = connect()
    late.isolation_level = isolation
    with late.transaction():
        late.execute("SELECT count(*) FROM vpc")
        run(conn, add(kept))
        assert lost(attempt(late, end(kept), nested=True), isolation, InUseError)
    assert orphans(conn) == 0


def test_a_snapshot_that_is_older_than_the_delete_adds_no_child(connect, conn, isolation, kept):
    late = connect()
    late.isolation_level = isolation
    with late.transaction():
        late.execute("SELECT count(*) FROM project")
        run(conn, end(kept))
        assert lost(attempt(late, add(kept), nested=True), isolation, NotFoundError)
    assert conn.execute("SELECT count(*) FROM vpc").fetchone() == (0,)


class TestTheUnsafeSpelling:
    def test_leaves_an_orphan_under_read_committed(self, sides, conn, kept):
        answer = sides.run(add(kept), unsafe(kept), isolation=READ_COMMITTED)
        assert isinstance(answer, Ok)
        assert orphans(conn) == 1

    @pytest.mark.parametrize("level", LEVELS[1:], ids=lambda level: level.name)
    def test_is_a_conflict_under_the_others(self, sides, conn, kept, level):
        answer = sides.run(add(kept), unsafe(kept), isolation=level)
        assert isinstance(answer.error, SerializationConflict)
        assert orphans(conn) == 0

    def test_explain_notes_the_unsafe_batch_and_not_the_safe_one(self, kept):
        assert "note: it reads other rows in the statement that writes" in explain(unsafe(kept))
        assert "note:" not in explain(end(kept))
        assert "note:" not in explain(add(kept))
