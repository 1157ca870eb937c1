# SPDX-License-Identifier: MIT
"""INSERT of the rows of a select, on a server: results, guards, blame, values."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from batchq import (
    GuardFailed,
    UnmappedViolation,
    gather,
    insert,
    param,
    run,
    select,
    sql,
    unique,
    update,
)
from batchq.conditions import gt
from batchq.result import Failed, Ok, attempt

TABLES = """
CREATE TABLE job (id int PRIMARY KEY, state text, cost numeric(6, 2));
CREATE TABLE archive (id bigint PRIMARY KEY, state varchar(20), cost numeric(6, 1), note text);
INSERT INTO job VALUES (1, 'done', 1.25), (2, 'done', 2), (3, 'open', 3), (4, NULL, 4);
"""


class Archived(NamedTuple):
    id: int
    note: str | None


class TakenError(Exception):
    pass


@pytest.fixture
def jobs(planned, observer):
    observer.execute(TABLES)
    return planned


def of(state: object, note: object = None):
    columns = ["id", "state", "cost", sql("%(note)s AS note", note=note)]
    return insert("archive", select("job", columns, where={"state": state}))


def stored(conn) -> list[tuple[object, ...]]:
    text = "SELECT id, state, note FROM archive ORDER BY id"
    return conn.execute(text, prepare=False).fetchall()


def test_rows_of_the_select_are_inserted_and_counted(jobs):
    assert run(jobs, of("done", "x").count()) == 2
    assert run(jobs, of(None).one(Archived)) == (4, None)
    assert run(jobs, of("closed").all(Archived)) == []
    assert stored(jobs) == [(1, "done", "x"), (2, "done", "x"), (4, None, None)]


def test_guards_fire_and_do_not_fire(jobs):
    assert attempt(jobs, of("done").expect(3)).report.violation.rows == 2
    for result in of("done").one(Archived), of("closed").one(Archived), of("done").maybe(Archived):
        assert isinstance(attempt(jobs, result).error, GuardFailed)
    cheap = of("done").ensure({"cost": gt(1.25)}, raises=TakenError, columns=["id"])
    assert isinstance(attempt(jobs, cheap), Ok)
    dear = of("open").ensure({"cost": gt(3)}, raises=TakenError, columns=["id"])
    answer = attempt(jobs, dear)
    assert isinstance(answer.error, TakenError)
    assert answer.report.violation.row == {"id": 3, "cost": 3}
    assert stored(jobs) == [(1, "done", None), (2, "done", None)]


def test_conflicts_are_blamed_or_resolved(jobs):
    run(jobs, insert("archive", {"id": 2, "state": "old"}))
    answer = attempt(jobs, gather(of("open"), of("done")))
    assert isinstance(answer.error, UnmappedViolation)
    assert (answer.report.index, answer.report.violation.constraint) == (1, "archive_pkey")
    mapped = of("done").on(unique("archive_pkey"), TakenError)
    assert isinstance(attempt(jobs, mapped).error, TakenError)
    assert run(jobs, of("done").on_conflict_do_nothing("id").count()) == 1
    newer = of("done", "new").on_conflict_do_update(
        "id", set={"note": sql("excluded.note"), "state": "again"}, where={"state": "old"}
    )
    assert run(jobs, newer.all(Archived)) == [(2, "new")]
    assert stored(jobs) == [(1, "done", None), (2, "again", "new")]


def test_deferred_violation_of_its_rows_is_not_blamed_on_another(jobs, observer):
    observer.execute(
        "ALTER TABLE archive ADD CONSTRAINT note_key UNIQUE (note) DEFERRABLE INITIALLY DEFERRED"
    )
    one = insert("archive", {"id": 9, "note": "y"}).on(unique("note_key"), TakenError)
    answer = attempt(jobs, gather(one, of("done", "x")))
    assert isinstance(answer, Failed)
    assert not isinstance(answer.error, TakenError)


def test_declared_bound_and_repeated(jobs):
    declared = of(param("state", str), param("note", str)).count()
    assert run(jobs, declared.bind(state="done", note="b")) == 2
    later = of(param("state", str), "each").returning("id").all(tuple)

    class State(NamedTuple):
        state: str

    each = later.takes(State).each([State("open"), State("closed")])
    assert run(jobs, each) == [[(3,)], []]


def test_outputs_into_and_out_of_it(jobs):
    first = update("job", {"state": "moved"}, where={"id": 1}).expect(1)
    moved = of(first.output("state"), "m").expect(1)
    after = insert("archive", {"id": 50, "note": moved.output("note")}).one(Archived)
    assert run(jobs, gather(first, moved, after))[2] == (50, "m")
    assert stored(jobs) == [(1, "moved", "m"), (50, None, "m")]


def test_rows_of_the_select_are_locked(jobs, connect):
    other = connect()
    with jobs.transaction():
        columns = ["id", "state"]
        locked = select("job", columns, where={"state": "done"}).for_update(skip_locked=True)
        run(jobs, insert("archive", locked), nested=True)
        text = "SELECT id FROM job ORDER BY id FOR UPDATE SKIP LOCKED"
        assert other.execute(text, prepare=False).fetchall() == [(3,), (4,)]
