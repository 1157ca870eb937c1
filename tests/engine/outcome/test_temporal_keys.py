# SPDX-License-Identifier: MIT
"""Temporal keys, from PostgreSQL 18: they are matched and mapped as any constraint is."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from psycopg.types.range import Range

from batchq import (
    InvariantViolation,
    Outcome,
    UnmappedViolation,
    delete,
    exclusion,
    foreign_key,
    gather,
    insert,
    not_null,
    param,
    run,
    sql,
    unique,
    update,
)
from batchq.result import Ok, attempt

TABLES = """
CREATE TABLE room (id int4range, at int4range,
    CONSTRAINT room_pkey PRIMARY KEY (id, at WITHOUT OVERLAPS));
CREATE TABLE talk (id int, room int4range, at int4range,
    CONSTRAINT talk_key UNIQUE (room, at WITHOUT OVERLAPS),
    CONSTRAINT talk_room FOREIGN KEY (room, PERIOD at) REFERENCES room (id, PERIOD at));
INSERT INTO room VALUES ('[1,1]', '[10,20)');
INSERT INTO talk VALUES (1, '[1,1]', '[10,12)');
"""
LATE = "ALTER TABLE talk ALTER CONSTRAINT talk_room DEFERRABLE INITIALLY DEFERRED"
LATE_KEY = (
    "ALTER TABLE talk DROP CONSTRAINT talk_key, ADD CONSTRAINT talk_key "
    "UNIQUE (room, at WITHOUT OVERLAPS) DEFERRABLE INITIALLY DEFERRED"
)
ROOM = Range(1, 2)


class TakenError(Exception):
    pass


class NoRoomError(Exception):
    pass


class Talk(NamedTuple):
    id: int
    room: Range[int]
    at: Range[int]


TALK = (
    insert("talk", Talk)
    .on(exclusion("talk_key"), lambda v: TakenError(v.values["at"]))
    .on(foreign_key("talk_room"), NoRoomError)
    .on(not_null("at"), ValueError)
)


def talk(start, end):
    return TALK.bind(Talk(2, ROOM, Range(start, end)))


@pytest.fixture(autouse=True)
def tables(observer):
    if observer.info.server_version < 180000:
        pytest.skip("temporal keys are new in PostgreSQL 18")
    observer.execute(TABLES)


def test_overlap_is_an_exclusion_and_a_gap_a_missing_parent(planned):
    with pytest.raises(TakenError, match=r"\[11, 15\)"):
        run(planned, gather(talk(12, 14), talk(11, 15)))
    with pytest.raises(NoRoomError):
        run(planned, talk(18, 22))
    assert isinstance(attempt(planned, talk(12, 15)), Ok)
    failed = attempt(
        planned, TALK.each([Talk(3, ROOM, Range(15, 16)), Talk(4, ROOM, Range(15, 17))])
    )
    assert (type(failed.error), failed.report.row_index) == (TakenError, 1)
    assert failed.report.violation.constraint == "talk_key"


@pytest.mark.parametrize(
    "change",
    [
        delete("room", where={"id": ROOM}),
        update("room", {"at": param("at", Range)}, where={"id": ROOM}).bind(at=Range(11, 20)),
    ],
    ids=["delete", "update"],
)
def test_parent_that_is_still_referenced_is_a_foreign_key(conn, change):
    with pytest.raises(NoRoomError):
        run(conn, change.on(foreign_key("talk_room"), NoRoomError))
    assert isinstance(attempt(conn, update("room", {"at": Range(10, 15)}, {"id": ROOM})), Ok)


def test_unmapped_key_is_reported_with_the_matcher_that_is_for_it(conn):
    again = insert("room", {"id": ROOM, "at": Range(15, 25)})
    failed = attempt(conn, again.on(unique("room_pkey"), TakenError)).error
    assert type(failed) is UnmappedViolation
    assert failed.outcome is Outcome.ROLLED_BACK
    assert '.on(exclusion("room_pkey"), ' in str(failed)
    with pytest.raises(InvariantViolation):
        run(conn, again.invariant("room_pkey"))
    with pytest.raises(TakenError):
        run(conn, gather(again).on(exclusion("room_pkey"), TakenError))


def test_deferred_keys_are_mapped_at_commit(conn, observer):
    observer.execute(LATE)
    observer.execute(LATE_KEY)
    other = sql("SELECT 1")
    with pytest.raises(TakenError):
        run(conn, gather(other, talk(11, 15), other))
    with pytest.raises(NoRoomError):
        run(conn, gather(talk(18, 22), other))
    removed = delete("room", where={"id": ROOM}).on(foreign_key("talk_room"), NoRoomError)
    assert attempt(conn, gather(other, removed)).report.index == 1
    # Both keys are in DETAIL, and either step may have written either.
    both = attempt(conn, gather(talk(12, 14), talk(13, 15)))
    assert type(both.error) is UnmappedViolation
    assert [step.index for step in both.report.candidates] == [0, 1]


def test_only_do_nothing_without_a_target_knows_it(conn):
    again = insert("room", {"id": ROOM, "at": Range(15, 25)})
    assert run(conn, again.on_conflict_do_nothing().count()) == 0
    for named in (
        again.on_conflict_do_nothing("id", "at"),
        again.on_conflict_do_update("id", "at", set=["at"]),
    ):
        failed = attempt(conn, named)
        assert failed.report.violation.sqlstate == "42P10"
        assert "on_conflict_do_nothing() without a target" in str(failed.error)
