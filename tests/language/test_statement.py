# SPDX-License-Identifier: MIT
"""A statement is a value: methods return another, and what contradicts itself is refused."""

from __future__ import annotations

import attrs
import pytest

from batchq import InvalidBatch, delete, explain, gather, insert, select, sql, steps, unique, update
from batchq.language.builders import raw_sql

STATEMENT = update("t", {"a": 1}, {"b": 2})
QUERY = select("vpc", ["id"], where={"a": 1})


@pytest.mark.parametrize("name", ["guard", "result", "source", "anything"])
def test_statement_rejects_new_attributes_and_derived_ones_are_read_only(name):
    """That the others are read only is for type checkers to see: tests/typing/rejected.py."""
    with pytest.raises(AttributeError):
        setattr(STATEMENT, name, None)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.returning("a").one(tuple),
        lambda s: s.maybe(tuple),
        lambda s: s.all(dict),
        lambda s: s.scalar(int),
        lambda s: s.count(),
        lambda s: s.returning("a"),
        lambda s: s.on(unique("k"), KeyError),
        lambda s: s.invariant("k"),
        lambda s: s.expect(1, missing=KeyError),
        lambda s: s.expect(at_least=1),
        lambda s: s.require({"a": 1}),
        lambda s: s.ensure({"a": 1}),
        lambda s: s.label("x"),
        lambda s: s.map(str),
        lambda s: s.as_invariant("x"),
    ],
)
def test_method_returns_a_new_statement_and_changes_nothing(change):
    before = attrs.asdict(STATEMENT, recurse=False), explain(STATEMENT, parameters=True)
    assert change(STATEMENT) is not STATEMENT
    assert (attrs.asdict(STATEMENT, recurse=False), explain(STATEMENT, parameters=True)) == before


def test_equal_statements_are_not_the_same_object():
    one, two = insert("t", {"a": 1}), insert("t", {"a": 1})
    assert one != two
    assert len({one, two}) == 2


def test_later_change_of_a_row_changes_no_statement():
    row, where = {"a": 1}, {"b": 2}
    statement = update("t", row, where)
    row["c"] = where["d"] = 3
    assert steps(statement)[0].parameters == (1, 2)


def test_labels_of_a_statement_nest_outwards():
    labelled = STATEMENT.label("inner").expect(1).label("outer")
    (step,) = steps(gather(labelled).label("batch"))
    assert step.path == "batch/outer/inner"
    assert step.statement is labelled


# -- what contradicts itself -----------------------------------------------------------------------


def _query():
    return sql("SELECT a FROM t")


@pytest.mark.parametrize(
    ("arguments", "teaches"),
    [
        ({}, "exactly one of a number of rows"),
        ({"rows": 1, "at_least": 1}, "exactly one of a number of rows"),
        ({"rows": 1, "at_most": 1}, "exactly one of a number of rows"),
        ({"at_least": 1, "at_most": 1}, "exactly one of a number of rows"),
        ({"rows": -1}, "number of rows can fail it"),
        ({"at_least": 0}, "number of rows can fail it"),
        ({"at_least": -1}, "number of rows can fail it"),
        ({"at_most": -1}, "number of rows can fail it"),
        ({"at_most": 1, "missing": LookupError}, "any number of rows is enough"),
        ({"at_least": 1, "unexpected": LookupError}, "no number is too large"),
    ],
    ids=repr,
)
def test_expect_of_a_bound_that_decides_nothing_is_rejected(arguments, teaches):
    rows = arguments.get("rows")
    named = {name: value for name, value in arguments.items() if name != "rows"}
    with pytest.raises(InvalidBatch, match=teaches):
        STATEMENT.expect(rows, **named)


def test_at_most_none_is_none():
    shape = STATEMENT.expect(0)._shape
    assert STATEMENT.expect(at_most=0)._shape is shape
    with pytest.raises(InvalidBatch, match="any number of rows is enough"):
        STATEMENT.expect(at_most=0, missing=LookupError)
    with pytest.raises(InvalidBatch, match="the number of rows must be an int"):
        STATEMENT.expect(at_most=False)


def test_invariant_without_a_name_is_rejected():
    with pytest.raises(InvalidBatch, match=r"invariant\(\): no constraints"):
        STATEMENT.invariant()


@pytest.mark.parametrize(
    ("shape", "expectation", "teaches"),
    [
        (lambda s: s.maybe(tuple), lambda s: s.expect(at_most=2), "implies at most 1 row"),
        (lambda s: s.one(tuple), lambda s: s.expect(at_most=1), r"use maybe\(\)"),
        (lambda s: s.scalar(int), lambda s: s.expect(at_most=1), r"use maybe\(\)"),
        (lambda s: s.scalar(int), lambda s: s.expect(0), r"."),
        (lambda s: s.maybe(tuple), lambda s: s.expect(1), r"use one\(\)"),
        (lambda s: s.maybe(tuple), lambda s: s.expect(at_least=1), r"use one\(\)"),
        (lambda s: s.one(tuple), lambda s: s.expect(2), r"use all\(\)"),
        (lambda s: s.one(tuple), lambda s: s.expect(at_least=1), r"use all\(\)"),
        (lambda s: s.one(tuple), lambda s: s.expect(0), r"."),
        (lambda s: s.scalar(int), lambda s: s.expect(2), r"use all\(\)"),
        (lambda s: s.all(tuple), lambda s: s.expect(0), r"use count\(\)"),
    ],
)
def test_expectation_that_contradicts_the_shape_is_rejected_in_each_order(
    shape, expectation, teaches
):
    with pytest.raises(InvalidBatch, match=teaches):
        expectation(shape(_query()))
    with pytest.raises(InvalidBatch, match=teaches):
        shape(expectation(_query()))


@pytest.mark.parametrize(
    ("shape", "expectation", "guard"),
    [
        (lambda s: s.one(tuple), lambda s: s.expect(1), "exactly 1 row"),
        (lambda s: s.scalar(int), lambda s: s.expect(1), "exactly 1 row"),
        (lambda s: s.all(tuple), lambda s: s.expect(3), "exactly 3 rows"),
        (lambda s: s.all(tuple), lambda s: s.expect(at_least=3), "at least 3 rows"),
        (lambda s: s.count(), lambda s: s.expect(0), "exactly 0 rows"),
        (lambda s: s.count(), lambda s: s.expect(at_least=1), "at least 1 row"),
        (lambda s: s, lambda s: s.expect(0), "exactly 0 rows"),
    ],
)
def test_expect_that_fits_the_result_is_the_guard_in_each_order(shape, expectation, guard):
    assert str(expectation(shape(_query()))._shape.guard) == guard
    assert str(shape(expectation(_query()))._shape.guard) == guard


def test_expect_of_an_insert_is_its_guard():
    assert str(insert("t", {"a": 1}).expect(1)._shape.guard) == "exactly 1 row"


def test_last_expect_is_the_guard():
    assert str(STATEMENT.expect(1).expect(at_least=2)._shape.guard) == "at least 2 rows"


# -- its text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (STATEMENT, "<Statement update t>"),
        (STATEMENT.expect(1), "<Statement update t: exactly 1 row>"),
        (delete("s.t", {"a": 1}).count(), "<Statement delete s.t: count()>"),
        (insert("t", {}).returning("a").scalar(int), "<Statement insert t: scalar(int)>"),
        (
            select("t", ["a"], where={"b": 1}).maybe(dict),
            "<Statement select t: maybe(dict), at most 1 row>",
        ),
        (QUERY.expect(at_least=1), "<Statement select vpc: at least 1 row>"),
        (QUERY.expect(0), "<Statement select vpc: exactly 0 rows>"),
        (QUERY.for_update().expect(1), "<Statement lock vpc: exactly 1 row>"),
        (sql("SELECT  1,\n 2, 3").all(tuple), "<Statement SELECT 1, 2,: all(tuple)>"),
        (sql("SELECT %(a)s", a=1), "<Statement SELECT …>"),
    ],
)
def test_repr_of_a_statement_shows_its_title_result_and_guard(statement, text):
    assert repr(statement) == text


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("SELECT name FROM project", "SELECT name FROM"),
        ("SELECT 'secret'::text", "SELECT"),
        ("SELECT E'secret'", "SELECT"),
        ("SELECT $$secret$$", "SELECT"),
        ("CALL charge('secret')", "CALL"),
        ("'secret'", "sql"),
    ],
)
def test_title_of_a_text_shows_none_of_its_strings(text, title):
    assert raw_sql(text).title == title


def test_title_of_a_long_text_is_short():
    statement = sql("SELECT greatest(" + ",".join(f"column_{n}" for n in range(50)) + ")")
    assert len(statement.title) < 100
    assert len(repr(statement)) < 150
