# SPDX-License-Identifier: MIT
"""A guard on a row that another session is changing: it waits, and judges what it then finds.

The session that comes first holds the lock of the row until the server shows that the other waits
for it.
"""

from __future__ import annotations

import pytest
from psycopg import IsolationLevel

from batchq import (
    GuardFailed,
    SerializationConflict,
    delete,
    gather,
    insert,
    run,
    select,
    sql,
    steps,
    update,
)
from batchq.result import Ok
from tests.support.row_values import Unmet

TABLES = """
CREATE TABLE project (id int PRIMARY KEY, silo int, rcgen int, time_deleted timestamptz);
CREATE TABLE vpc (id int PRIMARY KEY, project_id int); INSERT INTO project VALUES (1, 1, 3, NULL)
"""
ROW = {"id": 1, "time_deleted": None}
BUMP = update("project", {"rcgen": sql("rcgen + 1")}, ROW)


class Missing(Exception):
    pass


class Stale(Unmet):
    pass


SEEN = {
    "update": update("project", {"silo": 2}, ROW).expect(1, missing=Missing),
    "update that returns": update("project", {"silo": 2}, ROW).returning("id", "rcgen").one(tuple),
    "delete": delete("project", ROW).expect(1, missing=Missing),
    "lock": select("project", where=ROW).for_update().expect(1, missing=Missing),
    "lock for share": select("project", where=ROW)
    .for_update(strength="share")
    .expect(1, missing=Missing),
    "lock that counts": select("project", where=ROW)
    .for_update(strength="no key update")
    .expect(1, missing=Missing)
    .count(),
    "many rows": update("project", {"silo": 2}, {"silo": 1}).count(),
}
GUARDED = {name: statement.require({"rcgen": 3}, raises=Stale) for name, statement in SEEN.items()}
# lock() is refused at REPEATABLE READ: tests/engine/compile/test_lock_isolation.py.
CONFLICTS_AT = {
    f"{name}, {level.name}": (guarded, level)
    for name, guarded in GUARDED.items()
    for level in (IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE)
    if level is IsolationLevel.SERIALIZABLE or not name.startswith("lock")
}
OF_ONE = {name: statement for name, statement in GUARDED.items() if "many" not in name}


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


@pytest.mark.parametrize("guarded", GUARDED.values(), ids=GUARDED)
def test_guard_under_read_committed_judges_the_row_it_waited_for(racing, observer, guarded):
    before = observer.execute("SELECT silo, rcgen + 1 FROM project").fetchone()
    answer = racing.run(BUMP, guarded)
    assert (type(answer.error), answer.error.found) == (Stale, {"rcgen": 4})
    assert observer.execute("SELECT silo, rcgen FROM project").fetchone() == before


@pytest.mark.parametrize("guarded", GUARDED.values(), ids=GUARDED)
def test_a_guard_that_waited_for_what_was_rolled_back_passes(racing, guarded):
    assert isinstance(racing.run(BUMP, guarded, rollback=True), Ok)


@pytest.mark.parametrize("guarded", OF_ONE.values(), ids=OF_ONE)
def test_a_row_that_is_deleted_while_it_is_waited_for_is_missing(racing, guarded):
    ended = update("project", {"time_deleted": sql("now()"), "rcgen": 9}, ROW)
    answer = racing.run(ended, guarded)
    assert answer.report.violation.rows == 0
    assert isinstance(answer.error, Missing | GuardFailed)


@pytest.mark.parametrize(("guarded", "isolation"), CONFLICTS_AT.values(), ids=CONFLICTS_AT)
def test_under_stricter_isolation_a_guard_that_waited_is_a_conflict(racing, guarded, isolation):
    answer = racing.run(BUMP, guarded, isolation=isolation)
    assert type(answer.error) is SerializationConflict


def test_waiting_for_a_lock_that_changed_nothing_changes_nothing(racing):
    held = select("project", where=ROW).for_update().expect(1, missing=Missing)
    assert isinstance(racing.run(held, GUARDED["update"]), Ok)


CHILD = insert("vpc", {"id": 7, "project_id": 1})
CHILDREN = select("vpc", ["id"], where={"project_id": 1})
END = update("project", {"time_deleted": sql("now()")}, ROW).expect(1, missing=Missing)
CHILDLESS = sql("id = 1 AND NOT EXISTS (SELECT 1 FROM vpc WHERE project_id = project.id)")


def test_step_after_a_contended_lock_sees_the_new_row(racing, observer):
    """The orphan of the facts: it needs the lock in a step of its own."""
    adding = gather(BUMP.expect(1, missing=Missing), CHILD)
    ending = gather(
        select("project", where=ROW).for_update().expect(1, missing=Missing),
        CHILDREN.expect(0, unexpected=Unmet),
        END,
    )
    answer = racing.run(adding, ending)
    assert (type(answer.error), answer.report.index) == (Unmet, 1)
    assert answer.error.found == {"id": 7}
    assert observer.execute("SELECT time_deleted FROM project").fetchone() == (None,)


def test_require_after_a_contended_lock_sees_the_new_row(racing):
    adding = gather(BUMP.expect(1, missing=Missing), CHILD)
    using = gather(
        select("project", where=ROW).for_update().expect(1, missing=Missing),
        CHILDREN.expect(at_least=1, missing=Missing),
    )
    assert isinstance(racing.run(adding, using), Ok)


def test_a_condition_inside_the_write_does_not_which_is_what_explain_notes(racing, observer):
    """Should this ever fail, the note is no longer true."""
    adding = gather(BUMP.expect(1, missing=Missing), CHILD)
    ending = update("project", {"time_deleted": sql("now()")}, CHILDLESS).expect(1)
    assert steps(ending)[0].notes
    assert isinstance(racing.run(adding, ending), Ok)
    orphan = "SELECT time_deleted IS NOT NULL FROM project JOIN vpc ON project_id = project.id"
    assert observer.execute(orphan).fetchone() == (True,)


def test_child_cannot_be_added_while_the_parent_is_locked(racing, observer):
    ending = gather(
        select("project", where=ROW).for_update().expect(1, missing=Missing),
        CHILDREN.expect(0, unexpected=Unmet),
        END,
    )
    adding = gather(BUMP.expect(1, missing=Missing), CHILD)
    answer = racing.run(ending, adding)
    assert (type(answer.error), answer.report.index) == (Missing, 0)
    assert observer.execute("SELECT count(*) FROM vpc").fetchone() == (0,)


STRENGTHS = ("key share", "share", "no key update", "update")
# PostgreSQL documentation, "Row-Level Locks", table 13.3.
CONFLICTS = {
    "key share": {"update"},
    "share": {"no key update", "update"},
    "no key update": {"share", "no key update", "update"},
    "update": set(STRENGTHS),
}


@pytest.mark.parametrize("held", STRENGTHS)
@pytest.mark.parametrize("wanted", STRENGTHS)
def test_lock_has_the_requested_strength(connect, observer, held, wanted):
    conn = connect()
    with conn.transaction():
        run(
            conn,
            select("project", where=ROW).for_update(strength=held).expect(1, missing=Missing),
            nested=True,
        )
        free = f"SELECT 1 FROM project FOR {wanted.upper()} SKIP LOCKED"
        taken = observer.execute(free).fetchone() is not None
    assert taken == (wanted not in CONFLICTS[held])
