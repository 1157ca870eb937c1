# SPDX-License-Identifier: MIT
"""The patterns of docs/guards.md that are about one row, two at a time, in every order and at every
isolation level: no overrun, no lost update, no second row.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import pytest
from psycopg import IsolationLevel

from batchq import check, delete, gather, insert, insert_or_get, sql, update
from batchq.hierarchy import Parent
from tests.support.interleaved_session import Side, once
from tests.support.interleavings import Interleaver

pytestmark = pytest.mark.postgres_only("waits are seen in pg_blocking_pids()")

TABLES = """
CREATE TABLE project (
    id int GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY,
    name text NOT NULL, state text NOT NULL, rcgen int NOT NULL, time_deleted timestamptz,
    vpcs_used int NOT NULL, vpcs_limit int NOT NULL,
    CONSTRAINT within_limit CHECK (vpcs_used <= vpcs_limit));
CREATE UNIQUE INDEX project_name ON project (name) WHERE time_deleted IS NULL;
CREATE TABLE vpc (project_id int NOT NULL);
"""
RESET = """
DELETE FROM vpc; DELETE FROM project; INSERT INTO vpc VALUES (1);
INSERT INTO project OVERRIDING SYSTEM VALUE VALUES (1, 'web', 'ready', 1, NULL, 1, 2);
"""
RC, RR, SER = LEVELS = (
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
)
ALL_PAIRS = list(product(LEVELS, LEVELS))
IN_PAIRS = pytest.mark.parametrize(
    "levels",
    [
        pytest.param(pair, id=f"{pair[0].name} {pair[1].name}", marks=marks)
        for pair in ALL_PAIRS
        for marks in [() if pair in {(RC, RC), (RR, RC), (SER, SER)} else (pytest.mark.soak,)]
    ],
)
ONE = {(True, False), (False, True)}
BOTH = {(True, True)}


class Missing(Exception):
    pass


class Refused(Exception):
    pass


class Project(NamedTuple):
    id: int
    name: str
    state: str


SLOT = (
    update("project", {"vpcs_used": sql("vpcs_used + 1")}, where={"id": 1})
    .on(check("within_limit"), Refused)
    .expect(1, missing=Missing)
)
CREATE = gather(insert("vpc", {"project_id": 1}), SLOT)


def rename(name):
    return (
        update("project", {"name": name, "rcgen": sql("rcgen + 1")}, where={"id": 1})
        .expect(1, missing=Missing)
        .require({"time_deleted": None}, raises=Missing)
        .require({"rcgen": 1}, raises=Refused)
    )


def ensure(name, state="ready", same=("state",)):
    return insert_or_get(
        "project",
        {"name": name, "state": state, "rcgen": 1, "vpcs_used": 0, "vpcs_limit": 2},
        Project,
        key=["name"],
        where={"time_deleted": None},
        same=same,
        raises=Refused if same else None,
    )


@pytest.fixture
def table(conn, connect):
    conn.execute(TABLES)
    return Interleaver.connect(connect, RESET)


@pytest.fixture
def play(table, levels):
    """Play two batches, and expect that nothing is wrong and that so many are committed."""

    def play(first, second, wrong, committed):
        def is_wrong(schedule):
            return wrong(schedule, table.observer)

        sides = (Side(str(n), once(batch), levels[n]) for n, batch in enumerate((first, second)))
        summary = table.check_all(*sides, is_wrong)
        assert not summary.wrong, str(summary)
        assert all(failure.sqlstate != "57014" for failure in summary.failures), "a deadlock"
        above = {(True, False), (False, True)} if max(levels) > RC else set()
        assert summary.committed <= committed | above
        assert summary.committed >= committed - above

    return play


def counted(_played, observer):
    query = "SELECT vpcs_used = (SELECT count(*) FROM vpc) AND vpcs_used <= 2 FROM project"
    return observer.execute(query).fetchone() != (True,)


@IN_PAIRS
def test_last_slot_is_taken_by_one_of_two(play):
    play(CREATE, CREATE, counted, ONE)


@IN_PAIRS
def test_same_generation_lets_one_of_two_continue(play):
    def wrong(schedule, observer):
        winner = "db" if schedule.failures[0] is None else "www"
        row = observer.execute("SELECT name, rcgen FROM project").fetchone()
        return row != (winner, 2)

    play(rename("db"), rename("www"), wrong, ONE)


@IN_PAIRS
def test_a_row_that_has_its_tombstone_is_not_renamed(play):
    hide = (
        update("project", {"time_deleted": sql("now()"), "rcgen": sql("rcgen + 1")}, {"id": 1})
        .expect(1, missing=Missing)
        .require({"rcgen": 1}, raises=Refused)
    )

    def wrong(schedule, observer):
        renamed = schedule.failures[0] is None
        row = observer.execute("SELECT name, time_deleted IS NULL, rcgen FROM project").fetchone()
        return row != (("db", True, 2) if renamed else ("web", False, 2))

    play(rename("db"), hide, wrong, ONE)


@IN_PAIRS
def test_two_children_that_are_added_at_once_are_both_counted(play):
    vpcs = Parent(
        table="project", key="id", deleted_at="time_deleted", generation="rcgen"
    ).children("vpc", by="project_id", deleted_at=None)
    add = vpcs.add(1, insert("vpc", {"project_id": 1}), missing=Missing)

    def wrong(schedule, observer):
        row = observer.execute("SELECT rcgen, (SELECT count(*) FROM vpc) FROM project").fetchone()
        return row != (1 + schedule.failures.count(None), 1 + schedule.failures.count(None))

    play(add, add, wrong, BOTH)


def living(observer, name):
    query = "SELECT id FROM project WHERE name = %s AND time_deleted IS NULL"
    return [id_ for (id_,) in observer.execute(query, [name])]


@IN_PAIRS
def test_row_that_two_insert_or_get_is_created_by_one(play):
    def wrong(schedule, observer):
        got = [result for (result,) in filter(None, schedule.results)]
        rows = {one.row.id for one in got}
        return living(observer, "api") != list(rows) or sum(one.created for one in got) != 1

    play(ensure("api"), ensure("api"), wrong, BOTH)


@IN_PAIRS
def test_different_row_is_rejected_for_the_second(play):
    def wrong(schedule, observer):
        winner = "ready" if schedule.failures[0] is None else "idle"
        return observer.execute("SELECT state FROM project WHERE name = 'api'").fetchall() != [
            (winner,)
        ]

    play(ensure("api"), ensure("api", "idle"), wrong, ONE)


END = {
    "hidden": update("project", {"time_deleted": sql("now()")}, {"name": "web"}).expect(1),
    "really deleted": delete("project", {"name": "web"}).expect(1),
}


@IN_PAIRS
@pytest.mark.parametrize("same", [(), ("state",)], ids=["not summary", "summary"])
@pytest.mark.parametrize("end", END)
def test_a_row_that_was_got_while_it_is_deleted_was_there_or_is_new(play, end, same):
    def wrong(schedule, observer):
        here = living(observer, "web")
        if schedule.failures[0] is not None:
            return here != ([] if schedule.failures[1] is None else [1])
        (got,) = schedule.results[0]
        if got.created:
            return here != [got.row.id]
        # It came first: the other, if it was not in conflict, has deleted it.
        return got.row.id != 1 or here != ([] if schedule.failures[1] is None else [1])

    # Deleted between the two steps, it fails by the guard of the second; with same= it cannot be.
    play(ensure("web", same=same), END[end], wrong, BOTH if same else {*BOTH, (False, True)})
