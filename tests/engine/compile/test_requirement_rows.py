# SPDX-License-Identifier: MIT
"""Which rows a requirement is about, in which order several decide, and on what kinds of tables."""

from __future__ import annotations

from itertools import product

import pytest

from batchq import GuardFailed, delete, gather, run, select, sql, update
from batchq.result import Ok, attempt
from tests.support.row_values import Unmet

TABLES = """
CREATE TABLE project (id int PRIMARY KEY, silo int, state text, rcgen int,
                      time_deleted timestamptz);
INSERT INTO project VALUES (1, 1, 'ready', 3, NULL), (2, 1, 'ready', 3, '2024-01-01'),
                           (3, 1, 'busy', 3, NULL), (4, 1, 'busy', 4, NULL), (5, 1, NULL, 4, NULL);
"""


class Missing(Exception):
    pass


class Deleted(Unmet):
    pass


class WrongState(Unmet):
    pass


class Stale(Unmet):
    pass


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


def required(statement):
    return (
        statement.require({"time_deleted": None}, raises=Deleted)
        .require({"state": "ready"}, raises=WrongState)
        .require({"rcgen": 3}, raises=Stale, columns=["state"])
    )


ROW = {
    "update": lambda i: update("project", {"state": "x"}, {"id": i}).expect(1, missing=Missing),
    "delete": lambda i: delete("project", {"id": i}).expect(1, missing=Missing),
    "select": lambda i: select("project", ["id"], where={"id": i}).expect(1, missing=Missing),
    "lock": lambda i: select("project", where={"id": i}).for_update().expect(1, missing=Missing),
}


@pytest.mark.parametrize("row", ROW.values(), ids=ROW)
def test_missing_deleted_wrong_state_and_stale_rows_are_distinguished(scanned, row):
    scanned.execute("UPDATE project SET state = 'ready', rcgen = 4 WHERE id = 5", prepare=False)
    for id_, error, found in (
        (9, Missing, None),
        (2, Deleted, {"time_deleted"}),
        (3, WrongState, {"state": "busy"}),
        (4, WrongState, {"state": "busy"}),  # stale as well: the first unmet decides
        (5, Stale, {"rcgen": 4, "state": "ready"}),
    ):
        caught = attempt(scanned, required(row(id_)))
        assert type(caught.error) is error
        if error is not Missing:
            assert caught.report.violation.requirement == caught.error.requirement
            assert set(caught.error.found) == set(found)
        if isinstance(found, dict):
            assert caught.error.found == found
    assert isinstance(attempt(scanned, required(row(1))), Ok)


def test_first_requirement_decides_in_each_order_of_columns(planned):
    for first, second in product((Stale, WrongState), repeat=2):
        conditions = {Stale: {"rcgen": 3}, WrongState: {"state": "ready"}}
        both = update("project", {"silo": 2}, {"id": 4})
        for meaning in (first, second):
            both = both.require(conditions[meaning], raises=meaning)
        caught = attempt(planned, both)
        assert type(caught.error) is first
        assert caught.error.requirement == 0


def test_requirement_after_an_unmet_one_is_not_evaluated(scanned):
    """As in any CASE: a later condition may rely on an earlier one."""
    change = (
        update("project", {"silo": 2}, {"id": 3})
        .require(sql("rcgen <> 3"), raises=Stale)
        .require(sql("1 / (rcgen - 3) > 0"), raises=WrongState)
    )
    assert type(attempt(scanned, change).error) is Stale


@pytest.mark.parametrize("row", ROW.values(), ids=ROW)
def test_rows_that_where_does_not_find_are_not_judged(scanned, row):
    """Neither by a condition that they do not meet nor by one that would raise on them."""
    run(scanned, row(1).require(sql("1 / (id - 2) = -1 AND state = 'ready'"), raises=Unmet))
    absent = row(9).require(sql("1 / (id - 2) = 7"), raises=Unmet)
    assert type(attempt(scanned, absent).error) is Missing


def test_rows_that_where_finds_at_a_great_cost_only_are_not_judged_before(scanned, observer):
    """A planner tries what is cheap first, and what is required may be cheaper."""
    observer.execute(
        "CREATE FUNCTION dear(i int) RETURNS int LANGUAGE plpgsql COST 1000000 STABLE AS "
        "$$ BEGIN RETURN i; END $$"
    )
    dear = sql("dear(id) = %(id)s", id=1)
    for row in (
        update("project", {"silo": 1}, dear),
        select("project", ["id"], where=dear),
        select("project", where=dear).for_update().expect(1, missing=Missing),
    ):
        run(scanned, row.require({"state": "ready"}, raises=Unmet))
        run(scanned, row.require(sql("1 / (id - 2) = -1"), raises=Unmet, columns=["id"]))


@pytest.mark.parametrize(
    "where",
    [
        lambda: sql("id = 1 OR id = 9"),
        lambda: sql("id = %(a)s OR %(a)s = 9", a=1),
        lambda: sql("id IN (SELECT max(id) FROM project WHERE id < %(n)s)", n=2),
        lambda: sql("id = 1 -- the one\n"),
        lambda: sql("id = 1 -- the one"),
        lambda: {"id": sql("%(x)s::int -- the one", x=1), "silo": 1},
    ],
    ids=["or", "twice", "subselect", "comment", "comment at the end", "comment in a cell"],
)
def test_requirement_works_with_each_kind_of_where(scanned, where):
    for row in (
        update("project", {"silo": 1}, where()),
        select("project", ["id"], where=where()),
        select("project", where=where()).for_update().expect(1, missing=Missing),
    ):
        run(scanned, row.require({"state": "ready"}, raises=Unmet))
        caught = attempt(scanned, row.require({"state": "busy"}, raises=Unmet))
        assert caught.error.found == {"state": "ready"}
        run(scanned, row.require(sql("state = 'ready' -- or else"), raises=Unmet))


def test_comment_after_a_fragment_hides_nothing_of_the_statement(scanned, observer):
    only = sql("id = 1 -- the one")
    renamed = update("project", {"state": "x"}, only).returning("id").all(tuple)
    assert run(scanned, renamed) == [(1,)]
    with scanned.transaction():
        run(
            scanned,
            select("project", where=only).for_update().expect(1, missing=Missing),
            nested=True,
        )
        skipped = "SELECT id FROM project FOR UPDATE SKIP LOCKED"
        assert (1,) not in observer.execute(skipped).fetchall()
    checked = update("project", {"state": "x"}, {"id": 1}).ensure(
        {"state": sql("'x' -- y")}, raises=Unmet
    )
    assert isinstance(attempt(scanned, checked), Ok)


@pytest.mark.parametrize("wanted", [lambda s: s.count(), lambda s: s.returning("id").all(tuple)])
def test_each_of_many_rows_has_to_meet_it(scanned, wanted):
    change = wanted(update("project", {"silo": 2}, {"silo": 1}))
    first = change.require({"rcgen": [3, 4]}, raises=Stale)
    assert run(scanned, first) in (5, [(1,), (2,), (3,), (4,), (5,)])
    run(scanned, update("project", {"silo": 1}, {"silo": 2}).count())
    caught = attempt(
        scanned, first.require(sql("state IS NOT NULL"), raises=WrongState, columns=["id"])
    )
    assert (type(caught.error), caught.error.found) == (WrongState, {"id": 5})
    assert run(scanned, sql("SELECT count(*) FROM project WHERE silo = 1").scalar(int)) == 5


def test_requirement_implies_a_row_unless_none_is_allowed(planned):
    change = update("project", {"silo": 2}, {"id": 9})
    for statement in (
        change,
        delete("project", {"id": 9}),
        select("project", where={"id": 9}).for_update().expect(1, missing=Missing),
    ):
        answer = attempt(planned, statement.require({"rcgen": 3}, raises=Stale))
        assert type(answer.report) is GuardFailed
        assert (answer.report.violation.rows, answer.report.violation.requirement) == (0, None)
    none = change.require({"rcgen": 3}, raises=Stale)
    assert run(planned, none.expect(at_most=1)) is None
    assert run(planned, none.count()) == 0
    assert run(planned, none.returning("id").all(tuple)) == []
    assert run(planned, none.returning("id").maybe(tuple)) is None


def test_a_requirement_of_another_statement_is_not_this_ones(planned):
    """The index in the sentinel is the statement's own, and the slot says whose it is."""
    one, three = (update("project", {"silo": 2}, {"id": id_}) for id_ in (1, 3))
    batch = gather(
        one.require({"state": "ready"}, raises=Stale),
        three.require({"state": "ready"}, raises=WrongState),
    )
    answer = attempt(planned, batch)
    assert (type(answer.error), answer.report.index) == (WrongState, 1)


def test_require_and_ensure_combine_in_any_order(planned):
    change = (
        update(
            "project", {"rcgen": sql("rcgen + %(n)s", n=1), "state": "new"}, {"id": [1], "silo": 1}
        )
        .ensure({"rcgen": sql("%(a)s + %(b)s", a=3, b=1)}, raises=Stale)
        .require({"state": ["ready", "busy"], "rcgen": 3}, raises=WrongState)
        .ensure({"state": "new"}, raises=WrongState)
        .require(sql("%(x)s < rcgen AND %(x)s = %(y)s", x=2, y=2), raises=Stale)
        .returning("id")
    )
    assert run(planned, change.one(dict)) == {"id": 1}
    again = attempt(planned, change.one(dict))
    assert (type(again.error), again.error.requirement) == (WrongState, 1)
    assert again.error.found == {"state": "new", "rcgen": 4}
