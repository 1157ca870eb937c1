# SPDX-License-Identifier: MIT
"""``missing()``, ``unexpected()`` and ``unmet()`` map guards of a part written elsewhere."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from batchq import (
    GuardFailed,
    InvalidBatch,
    InvariantViolation,
    delete,
    explain,
    format_error,
    gather,
    insert,
    insert_or_get,
    missing,
    run,
    select,
    source,
    sql,
    unexpected,
    unmet,
    update,
)
from batchq.conditions import lt
from batchq.result import attempt

TABLES = """
CREATE TABLE job (id int PRIMARY KEY, state text, attempts int);
INSERT INTO job VALUES (1, 'new', 9), (2, 'done', 1), (3, 'done', 9);
"""


class Job(NamedTuple):
    id: int
    state: str


class NotFound(Exception):
    pass


class Outer(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


def claim(job):
    return (
        update("job", {"state": "claimed"}, {"id": job})
        .expect(1, missing=NotFound)
        .require({"state": "new"}, raises=NotFound)
        .require([{"attempts": lt(5)}, {"id": [1, 2, 3]}], raises=NotFound)
        .refuse(sql("attempts > 7"), raises=NotFound)
    )


ABSENT = select("job", ["id"], where={"state": "done"})
CASES = {
    "no row": (claim(7), missing()),
    "a condition": (claim(2), unmet("state")),
    "two columns": (claim(1), unmet("id", "attempts")),
    "any condition": (claim(1), unmet()),
    "of one()": (select("job", ["id"], where={"id": 7}).one(tuple), missing()),
    "of scalar(), more": (ABSENT.scalar(int), unexpected()),
    "of maybe()": (ABSENT.maybe(tuple), unexpected()),
    "expect(0)": (ABSENT.expect(0, unexpected=NotFound), unexpected()),
    "expect(0) of a write": (delete("job", {"id": 1}).expect(0), unexpected()),
    "at_most": (delete("job", {"state": "done"}).expect(at_most=1), unexpected()),
    "at_least": (delete("job", {"state": "x"}).expect(at_least=1), missing()),
    "refuse": (
        delete("job", {"id": 1}).refuse({"state": "new"}, raises=NotFound),
        unmet("state"),
    ),
    "a fragment": (delete("job", {"id": 1}).refuse(sql("id = 1"), raises=NotFound), unmet()),
    "ensure": (insert("job", {"id": 7}).ensure({"state": "new"}, raises=NotFound), unmet("state")),
    "two matches": (
        update("job", {"state": source("state")}, from_="job", on={"state": "state"}),
        unexpected(),
    ),
    "insert_or_get": (
        insert_or_get(
            "job", {"id": 1, "state": "x"}, Job, key=["id"], same=["state"], raises=NotFound
        ),
        unmet("state"),
    ),
}


@pytest.mark.parametrize(("part", "matcher"), CASES.values(), ids=CASES)
def test_guard_of_a_part_is_mapped_from_outside(planned, part, matcher):
    for whole in (part.on(matcher, Outer), gather(part.label("part")).on(matcher, Outer)):
        assert isinstance(attempt(planned, whole).error, Outer)


@pytest.mark.parametrize(("part", "matcher"), CASES.values(), ids=CASES)
def test_guard_that_is_mapped_within_an_invariant_is_a_bug(conn, part, matcher):
    bug = attempt(conn, part.on(matcher, Outer).as_invariant("claiming")).error
    assert (type(bug), bug.context) == (InvariantViolation, "claiming")


def test_expect_maps_no_row_that_matches_twice(conn):
    twice, _ = CASES["two matches"]
    counted = twice.expect(1, unexpected=NotFound)
    assert isinstance(attempt(conn, counted).error, GuardFailed)
    answer = attempt(conn, gather(counted).on(unexpected(), lambda v: Outer(dict(v.row))))
    assert answer.error.args == ({"state": "done"},)


OTHERS = (missing(), unexpected(), unmet(), unmet("state"), unmet("id", "attempts"), unmet("x"))


@pytest.mark.parametrize(("part", "matcher"), CASES.values(), ids=CASES)
def test_no_other_matcher_takes_it(planned, part, matcher):
    for other in OTHERS:
        # Any condition is also one on certain columns.
        if matcher is other or (other is unmet() and matcher.columns):
            continue
        if matcher is unmet() and other is unmet("id", "attempts"):
            continue
        assert not isinstance(attempt(planned, gather(part).on(other, Outer)).error, Outer), other


def test_part_of_a_condition_is_another_condition(planned):
    for columns in (["id"], ["attempts"], ["id", "attempts", "state"]):
        error = attempt(planned, gather(claim(1)).on(unmet(*columns), Outer)).error
        assert not isinstance(error, Outer)


def test_row_is_in_the_violation(planned):
    whole = gather(claim(2)).on(unmet("state"), format_error(Outer, "{state}"))
    with pytest.raises(Outer, match="done"):
        run(planned, whole)
    whole = gather(claim(2)).on(unmet(), lambda v: Outer(dict(v.row)))
    with pytest.raises(Outer) as caught:
        run(planned, whole)
    assert caught.value.args == ({"state": "done"},)


def test_what_does_not_fail_is_not_mapped(planned, observer):
    observer.execute("UPDATE job SET attempts = 1")
    run(planned, gather(claim(1)).on(missing(), Outer).on(unmet(), Outer).on(unexpected(), Outer))


def test_equal_matchers_are_one_object_and_are_shown_as_called():
    assert missing() is missing()
    assert unexpected() is unexpected()
    assert unmet("a", "b") is unmet("b", "a")
    names = [str(each) for each in (missing(), unexpected(), unmet(), unmet("b", "a"))]
    assert names == ["missing()", "unexpected()", "unmet()", 'unmet("a", "b")']
    assert "unmet() -> Outer" in explain(claim(1).on(unmet(), Outer))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: unmet(""), "unmet(): pass names of columns"),
        (lambda: unmet(7), "unmet(): pass names of columns"),
        (lambda: unmet(["a"]), "unmet(): pass names of columns"),
        (
            lambda: claim(1).on(unmet("id"), format_error(Outer, "{state}")),
            '.on(unmet("id"), format_error(…)): the row is sure to have the columns that unmet()',
        ),
        (
            lambda: gather(claim(1)).on(unexpected(), format_error(Outer, "{state}")),
            ".on(unexpected(), format_error(…)): this failure has no row for {column}",
        ),
        (
            lambda: claim(1).on(missing(), format_error(Outer, "{state}")),
            ".on(missing(), format_error(…)): this failure has no row for {column}",
        ),
        (lambda: claim(1).on(missing(), 7), ".on(missing(), …): pass an exception"),
        (lambda: claim(1).on(missing, Outer), '.on(): pass a matcher, such as unique("name")'),
    ],
)
def test_refused(make, text):
    with pytest.raises(InvalidBatch) as caught:
        make()
    assert text in str(caught.value)
