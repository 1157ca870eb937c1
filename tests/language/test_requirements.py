# SPDX-License-Identifier: MIT
"""``.require()`` and ``.ensure()``: what they accept and reject, and the SQL sent for them."""

from __future__ import annotations

import pytest

from batchq import InvalidBatch, Violation, delete, explain, insert, select, sql, steps, update
from batchq.engine.outcome.resolve import mapping_for
from batchq.types import ViolationKind


class Stale(Exception):
    pass


CHANGE = update("t", {"name": "web"}, {"id": 7})
FOUND = {
    "update": CHANGE,
    "delete": delete("t", {"id": 7}),
    "select": select("t", ["id"], where={"id": 7}),
    "lock": select("t", where={"id": 7}).for_update().expect(1, missing=Stale),
}


def sent(statement):
    (step,) = steps(statement)
    return step.sql


@pytest.mark.parametrize(
    "statement",
    [insert("t", {"id": 7}), sql("UPDATE t SET id = 7"), sql("SELECT id FROM t")],
    ids=str,
)
def test_require_on_a_statement_without_where_is_rejected(statement):
    with pytest.raises(InvalidBatch, match=r"\.ensure\("):
        statement.require({"id": 7}, raises=Stale)


@pytest.mark.parametrize("statement", FOUND.values(), ids=FOUND)
def test_requirement_is_a_case_after_the_where(statement):
    """The one thing in SQL whose parts are tried in order."""
    text = sent(statement.require({"rcgen": 3}, raises=Stale).require({"a": None}, raises=Stale))
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
def test_require_implies_one_row_unless_a_number_is_given(ask, guard):
    statement = ask(CHANGE.require({"rcgen": 3}, raises=Stale))
    assert (str(statement._shape.guard) if statement._shape.guard else None) == guard
    statement = ask(CHANGE).require({"rcgen": 3}, raises=Stale)
    assert (str(statement._shape.guard) if statement._shape.guard else None) == guard


def test_ensure_implies_no_number_of_rows():
    assert CHANGE.ensure({"rcgen": 3}, raises=Stale)._shape.guard is None


def test_repr_of_requirements_shows_no_value():
    statement = (
        CHANGE.require({"a": "secret", "b": None}, raises=Stale)
        .require(sql("c = %(c)s", c="secret"), raises=Stale, columns=["c"])
        .ensure({"d": "secret"}, raises=Stale("secret"))
    )
    shown = 'exactly 1 row, require("a", "b"), require(sql), ensure("d")'
    assert repr(statement) == f"<Statement update t: {shown}>"
    (step,) = steps(statement)
    assert step.mappings == (
        'require("a", "b") -> Stale',
        "require(sql) -> Stale",
        'ensure("d") -> Stale',
    )
    assert "secret" not in explain(statement)
    assert step.parameters == ("web", 7, "secret", "secret", "secret")


def test_requirement_is_mapped_by_its_index():
    statement = CHANGE.require({"a": 1}, raises=KeyError).require({"a": 1}, raises=IndexError)
    (step,) = steps(statement)

    def meaning(requirement):
        seen = Violation(kind=ViolationKind.GUARD, sqlstate="22P02", requirement=requirement)
        resolution = mapping_for(step.placed, seen)
        return resolution and resolution.for_caller

    assert [meaning(n) for n in (0, 1, 2, None)] == [KeyError, IndexError, None, None]


def test_statements_that_differ_in_values_only_are_one_text():
    one, two = (
        CHANGE.require({"rcgen": n}, raises=Stale).ensure({"state": str(n)}, raises=Stale)
        for n in (1, 2)
    )
    assert one._shape is two._shape
    assert sent(one) == sent(two)


def test_ensure_returns_columns_that_the_result_does_not_have():
    text = sent(
        CHANGE.returning("id").one(tuple).ensure({"state": "on"}, raises=Stale, columns=["n"])
    )
    assert 'RETURNING "id", "state", "n")' in text
    assert 'SELECT _batchq_rows."id" FROM' in text
    assert 'RETURNING "state")' in sent(CHANGE.ensure({"state": "on"}, raises=Stale))


# -- what is refused -------------------------------------------------------------------------------


def test_requirement_without_raises_has_no_mapping():
    guarded = CHANGE.require({"a": 3}).ensure({"b": 4})
    assert guarded._mappings == ()
    assert [str(one) for one in guarded._shape.requirements] == ['require("a")', 'ensure("b")']


def test_ensure_of_a_text_that_returns_nothing_asks_for_returning():
    with pytest.raises(InvalidBatch, match="RETURNING"):
        sent(sql("UPDATE t SET a = 1").ensure({"a": 1}, raises=Stale))


def test_ensure_adds_no_columns_to_a_select():
    unnamed = select("t", where={"id": 7}).ensure({"state": "on"}, raises=Stale)
    for model in (dict, tuple):
        for shaped in (unnamed.one(model), unnamed.all(model), unnamed.maybe(model)):
            with pytest.raises(InvalidBatch, match="has no columns"):
                sent(shaped)
