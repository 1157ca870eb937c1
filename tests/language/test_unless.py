# SPDX-License-Identifier: MIT
"""``.unless()`` and ``.updated()``: what they accept and reject, and what is shown of them."""

from __future__ import annotations

import pytest

from batchq import InvalidBatch, delete, explain, insert, select, sql, steps, update

CHANGE = update("t", {"name": "web"}, {"id": 7})
LEFT = CHANGE.unless({"name": "web"})


@pytest.mark.parametrize(
    ("statement", "instead"),
    [
        (insert("t", {"id": 7}), r"insert_or_get\(\)"),
        (delete("t", {"id": 7}), r"expect\(at_most=1\).*insert_or_get\(\)"),
        (select("t", ["id"], where={"id": 7}), "write the condition into where="),
        (sql("UPDATE t SET a = 1"), "write the condition into it"),
    ],
    ids=str,
)
def test_unless_of_another_statement_is_rejected(statement, instead):
    with pytest.raises(InvalidBatch, match=rf"^unless\(\): .*{instead}"):
        statement.unless({"id": 7})


@pytest.mark.parametrize(
    ("ask", "asked"),
    [
        (lambda s: s.count(), "count"),
        (lambda s: s.returning("id").all(tuple), "all"),
        (lambda s: s.expect(2), "exactly 2 rows"),
        (lambda s: s.expect(at_least=1), "at least 1 row"),
        (lambda s: s.expect(0), "exactly 0 rows"),
    ],
)
def test_unless_with_a_result_of_several_rows_is_rejected(ask, asked):
    for build in (lambda: ask(LEFT), lambda: ask(CHANGE).unless({"name": "web"})):
        with pytest.raises(InvalidBatch, match=rf"unless\(\): .*{asked}.*use updated\(\)"):
            build()


def test_updated_without_unless_is_rejected():
    for statement in CHANGE, insert("t", {"id": 7}), select("t", ["id"], where={"id": 7}):
        with pytest.raises(InvalidBatch, match=r"updated\(\): .*\.unless\(\{…\}\) before it"):
            statement.updated(tuple)


def test_updated_with_another_number_of_rows_is_rejected():
    returned = LEFT.returning("id")
    for build in (
        lambda: returned.updated(tuple).expect(at_most=1),
        lambda: returned.expect(at_most=1).updated(tuple),
        lambda: returned.expect(at_most=1).one(tuple),
    ):
        with pytest.raises(InvalidBatch, match=r"returns exactly 1 row.*drop .* use maybe\(\)$"):
            build()
    with pytest.raises(InvalidBatch, match=r"maybe\(\): .*; drop expect\(\)$"):
        returned.expect(at_most=1).maybe(tuple)


def test_model_of_updated_is_checked_against_the_columns():
    with pytest.raises(InvalidBatch, match=r"updated\(.*the columns are id"):
        LEFT.returning("id").updated(lambda *, name, size: (name, size))
    with pytest.raises(InvalidBatch, match=r"updated\(\): .*scalar\(int\)"):
        LEFT.updated(int)
    with pytest.raises(InvalidBatch, match=r"updated\(…\).*add \.returning"):
        _ = steps(LEFT.updated(tuple))[0].sql


@pytest.mark.parametrize(
    ("ask", "guard"),
    [
        (lambda s: s, "exactly 1 row"),
        (lambda s: s.expect(at_most=1), "at most 1 row"),
        (lambda s: s.returning("id").maybe(tuple), "at most 1 row"),
        (lambda s: s.returning("id").updated(tuple), "exactly 1 row"),
    ],
)
def test_unless_implies_one_row_unless_none_is_allowed(ask, guard):
    assert steps(ask(LEFT))[0].guard == guard


def test_unless_is_shown_without_its_value_and_maps_nothing():
    statement = CHANGE.unless({"name": "secret"}).require({"n": 1}, raises=KeyError)
    shown = 'exactly 1 row, unless("name"), require("n")'
    assert repr(statement) == f"<Statement update t: {shown}>"
    assert "secret" not in explain(statement)
    assert steps(statement)[0].mappings == ('require("n") -> KeyError',)


def test_statements_that_differ_in_values_only_are_one_text():
    one, two = (CHANGE.unless({"name": name}) for name in "ab")
    assert one._shape is two._shape
