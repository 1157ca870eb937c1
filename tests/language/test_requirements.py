# SPDX-License-Identifier: MIT
"""``.require()`` and ``.check()``: what they take and refuse, and what is sent for them."""

from __future__ import annotations

import pytest

from batchq import (
    InvalidBatch,
    Kind,
    Violation,
    delete,
    insert,
    lock,
    select,
    sql,
    update,
)


class Stale(Exception):
    pass


CHANGE = update("t", {"name": "web"}, {"id": 7})
FOUND = {
    "update": CHANGE,
    "delete": delete("t", {"id": 7}),
    "select": select("t", ["id"], where={"id": 7}),
    "lock": lock("t", {"id": 7}, missing=Stale),
}


def sent(statement):
    (step,) = statement.steps()
    return step.sql


@pytest.mark.parametrize(
    "statement",
    [insert("t", {"id": 7}), sql("UPDATE t SET id = 7"), sql("SELECT id FROM t")],
    ids=str,
)
def test_a_require_is_of_rows_that_where_finds(statement):
    with pytest.raises(InvalidBatch, match=r"\.check\("):
        statement.require({"id": 7}, else_=Stale)


@pytest.mark.parametrize("statement", FOUND.values(), ids=FOUND)
def test_what_is_required_stands_in_a_case_behind_what_is_looked_for(statement):
    """The one thing in SQL whose parts are tried in order."""
    text = sent(statement.require({"rcgen": 3}, else_=Stale).require({"a": None}, else_=Stale))
    places = [
        text.index("CASE WHEN ("),
        text.index('IS NOT TRUE THEN false WHEN ("rcgen" = $'),
        text.index('WHEN ("a" IS NULL) IS NOT TRUE'),
        text.index("ELSE true END"),
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("ask", "guard"),
    [
        (lambda s: s, "exactly 1 row"),
        (lambda s: s.expect(2), "exactly 2 rows"),
        (lambda s: s.expect(at_most=1), "at most 1 row"),
        (lambda s: s.count(), None),
        (lambda s: s.returning("id").all(tuple), None),
        (lambda s: s.returning("id").maybe(tuple), "at most 1 row"),
        (lambda s: s.returning("id").one(tuple), "exactly 1 row"),
    ],
)
def test_a_require_implies_one_row_where_nothing_says_how_many(ask, guard):
    statement = ask(CHANGE.require({"rcgen": 3}, else_=Stale))
    assert (str(statement.guard) if statement.guard else None) == guard
    statement = ask(CHANGE).require({"rcgen": 3}, else_=Stale)
    assert (str(statement.guard) if statement.guard else None) == guard


def test_a_check_implies_nothing_about_how_many():
    assert CHANGE.check("rcgen", 3, else_=Stale).guard is None


def test_they_read_as_they_are_called_and_show_no_value():
    statement = (
        CHANGE.require({"a": "secret", "b": None}, else_=Stale)
        .require(sql("c = %(c)s", c="secret"), else_=Stale, found=["c"])
        .check("d", "secret", else_=Stale("secret"))
    )
    shown = 'exactly 1 row, require("a", "b"), require(sql), check("d")'
    assert repr(statement) == f"<Statement update t: {shown}>"
    (step,) = statement.steps()
    assert step.meanings == (
        'check("d") -> Stale',
        "require(sql) -> Stale",
        'require("a", "b") -> Stale',
    )
    assert "secret" not in statement.explain()
    assert step.parameters == ("web", 7, "secret", "secret", "secret")


def test_each_is_matched_by_its_own_place():
    statement = CHANGE.require({"a": 1}, else_=KeyError).require({"a": 1}, else_=IndexError)
    (step,) = statement.steps()

    def meaning(requirement):
        seen = Violation(kind=Kind.GUARD, sqlstate="22P02", requirement=requirement)
        resolution = step.leaf.resolve(seen)
        return resolution and resolution.for_caller

    assert [meaning(n) for n in (0, 1, 2, None)] == [KeyError, IndexError, None, None]


def test_statements_that_differ_in_values_only_are_one_text():
    one, two = (
        CHANGE.require({"rcgen": n}, else_=Stale).check("state", str(n), else_=Stale)
        for n in (1, 2)
    )
    assert one.shape is two.shape
    assert sent(one) == sent(two)


def test_the_statement_before_stays_what_it_is():
    CHANGE.require({"rcgen": 3}, else_=Stale)
    CHANGE.check("rcgen", 3, else_=Stale)
    assert "CASE" not in sent(CHANGE)


def test_a_check_returns_its_columns_and_answers_without_them():
    text = sent(CHANGE.returning("id").one(tuple).check("state", "on", else_=Stale, found=["n"]))
    assert 'RETURNING "id", "state", "n")' in text
    assert 'SELECT _batchq_rows."id" FROM' in text
    assert 'RETURNING "state")' in sent(CHANGE.check("state", "on", else_=Stale))


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [{}, None, "rcgen = 3", 7, [("rcgen", 3)]], ids=repr)
def test_a_condition_is_as_in_where(condition):
    with pytest.raises(InvalidBatch):
        CHANGE.require(condition, else_=Stale)


@pytest.mark.parametrize(
    "slip",
    [
        lambda: CHANGE.require({7: 3}, else_=Stale),
        lambda: CHANGE.require({"": 3}, else_=Stale),
        lambda: CHANGE.require({"a\0b": 3}, else_=Stale),
        lambda: CHANGE.check(7, 3, else_=Stale),
        lambda: CHANGE.check("", 3, else_=Stale),
        lambda: CHANGE.require({"a": 3}, else_=Stale, found=[7]),
        lambda: CHANGE.require({"a": 3}, else_=Stale, found=[""]),
        lambda: CHANGE.require({"a": 3}, else_=Stale, found="name"),
        lambda: CHANGE.check("a", 3, else_=Stale, found="name"),
    ],
)
def test_columns_are_names_and_found_is_a_list_of_them(slip):
    with pytest.raises(InvalidBatch):
        slip()


@pytest.mark.parametrize("meaning", ["gone", 7, int])
def test_what_is_no_exception_is_refused(meaning):
    with pytest.raises(InvalidBatch, match="takes an exception"):
        CHANGE.require({"a": 3}, else_=meaning)
    with pytest.raises(InvalidBatch, match="takes an exception"):
        CHANGE.check("a", 3, else_=meaning)


def test_left_out_it_is_mapped_to_nothing():
    guarded = CHANGE.require({"a": 3}).check("b", 4)
    assert guarded.rules == ()
    assert [str(one) for one in guarded.shape.requirements] == ['require("a")', 'check("b")']


def test_a_whole_statement_is_no_value():
    for value in (select("t", ["id"], where={"id": 7}), sql("SELECT 1").scalar(int), CHANGE):
        with pytest.raises(InvalidBatch):
            CHANGE.check("a", value, else_=Stale)
        with pytest.raises(InvalidBatch):
            CHANGE.require({"a": value}, else_=Stale)


FRAGMENTS = {
    "a parameter of one's own": lambda: sql("$1"),
    "a parameter in quotes": lambda: sql("'%(x)s'", x="a"),
    "a parameter in a comment": lambda: sql("1 -- %(x)s", x="a"),
    "an open quote": lambda: sql("'a"),
    "an open comment": lambda: sql("1 /* a"),
    "two commands": lambda: sql("1); DELETE FROM t WHERE (true"),
    "two expressions": lambda: sql("1, 2"),
    "nothing": lambda: sql("-- nothing"),
}
GUARDED = {
    "require a column": lambda fragment: CHANGE.require({"a": fragment}, else_=Stale),
    "require": lambda fragment: CHANGE.require(fragment, else_=Stale),
    "check": lambda fragment: CHANGE.check("a", fragment, else_=Stale),
    "check a text": lambda fragment: sql("UPDATE t SET a = 1 RETURNING a").check("a", fragment),
}


@pytest.mark.parametrize("guarded", GUARDED.values(), ids=GUARDED)
@pytest.mark.parametrize("fragment", FRAGMENTS.values(), ids=FRAGMENTS)
def test_a_fragment_that_no_statement_could_hold_is_refused_in_a_guard_when_written(
    fragment, guarded
):
    with pytest.raises(InvalidBatch):
        guarded(fragment())


def test_a_check_of_a_text_that_returns_nothing_asks_for_returning():
    with pytest.raises(InvalidBatch, match="RETURNING"):
        sent(sql("UPDATE t SET a = 1").check("a", 1, else_=Stale))


def test_a_check_gives_a_select_no_columns_that_nobody_named():
    unnamed = select("t", where={"id": 7}).check("state", "on", else_=Stale)
    for model in (dict, tuple):
        for shaped in (unnamed.one(model), unnamed.all(model), unnamed.maybe(model)):
            with pytest.raises(InvalidBatch, match="has no columns"):
                sent(shaped)
