# SPDX-License-Identifier: MIT
"""Result shapes: the columns they ask for, and the guards that they are."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import attrs
import pytest

from batchq import InvalidBatch, delete, insert, select, sql, steps, update
from batchq.language.results import model_fields
from tests.support.row_models import Keywords, Positions, Pydantic, Struct, Typed, of_keywords

BUILT = {
    "insert": insert("t", {"x": 1}),
    "update": update("t", {"x": 1}, {"y": 2}),
    "delete": delete("t", {"y": 2}),
}


@attrs.define
class Attrs:
    id: int
    _hidden: int
    mac: str = attrs.field(default="m", alias="address")
    made: int = attrs.field(init=False, default=4)
    late: int = attrs.field(kw_only=True, default=5)


@dataclasses.dataclass
class Data:
    id: int
    made: int = dataclasses.field(init=False, default=4)
    name: str = "n"
    tags: list = dataclasses.field(default_factory=list)
    late: int = dataclasses.field(kw_only=True, default=5)


class Named(NamedTuple):
    id: int
    name: str = "n"


def text(statement):
    (step,) = steps(statement)
    return step.sql


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        (Attrs, '"id", "_hidden", "mac", "late"'),
        (Data, '"id", "name", "tags", "late"'),
        (Named, '"id", "name"'),
        *((model, '"id", "name", "size"') for model in (Typed, Keywords, Positions)),
        *((model, '"id", "name", "size"') for model in (Pydantic, Struct, of_keywords)),
    ],
)
def test_fields_of_the_model_are_the_columns_in_their_order(model, columns):
    for write in BUILT.values():
        for shaped in (write.one(model), write.maybe(model), write.all(model)):
            assert f"RETURNING {columns}" in text(shaped)
    query = select("t", where={"y": 2})
    assert text(query.all(model)) == f'SELECT {columns} FROM "t" WHERE "y" = $1'
    for shaped in (query.one(model), query.maybe(model)):
        assert f'(SELECT {columns} FROM "t" WHERE "y" = $1' in text(shaped)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (
            Attrs,
            [
                ("id", "id", True, False),
                ("_hidden", "hidden", True, False),
                ("mac", "address", False, False),
                ("late", "late", False, True),
            ],
        ),
        (
            Data,
            [
                ("id", "id", True, False),
                ("name", "name", False, False),
                ("tags", "tags", False, False),
                ("late", "late", False, True),
            ],
        ),
        (Named, [("id", "id", True, False), ("name", "name", False, False)]),
    ],
)
def test_column_is_the_field_and_the_argument_is_its_alias(model, fields):
    found = model_fields(model)
    assert [(f.column, f.argument, f.required, f.keyword_only) for f in found] == fields


@pytest.mark.parametrize("model", [tuple, dict, int, lambda row: row, print, attrs.define])
def test_model_without_fields_has_no_columns(model):
    assert model_fields(model) is None


@pytest.mark.parametrize("write", BUILT.values(), ids=BUILT)
@pytest.mark.parametrize("shape", ["one", "maybe", "all"])
@pytest.mark.parametrize("model", [tuple, dict, lambda row: row])
def test_write_whose_model_has_no_columns_needs_returning(write, shape, model):
    with pytest.raises(InvalidBatch, match=rf'\.{shape}\(…\): .*\.returning\("…"\)'):
        text(getattr(write, shape)(model))


@pytest.mark.parametrize("write", BUILT.values(), ids=BUILT)
def test_returning_names_columns_for_a_result_without_fields(write):
    assert 'RETURNING "a", "b"' in text(write.returning("a", "b").all(tuple))
    assert 'RETURNING "a"' in text(write.returning("a").scalar(int))


def test_returning_wins_over_the_model_and_is_silent_without_a_shape():
    assert 'RETURNING "name", "id"' in text(BUILT["insert"].one(Named).returning("name", "id"))
    assert "RETURNING" not in text(BUILT["insert"].returning("name"))


@pytest.mark.parametrize(
    "statement", [BUILT["delete"], select("t", ["a"], where={"y": 2}), sql("SELECT 1")], ids=str
)
def test_returning_is_for_built_writes_and_names_a_column(statement):
    names = () if statement is BUILT["delete"] else ("a",)
    with pytest.raises(InvalidBatch, match=r"returning\(\): name at least one column"):
        statement.returning(*names)


def test_select_without_columns_needs_a_model_that_has_some():
    with pytest.raises(InvalidBatch, match="list them, or pass a model"):
        text(select("t", where={"y": 2}).one(tuple))


def test_count_needs_no_row_to_be_returned():
    for write in BUILT.values():
        assert "RETURNING" not in text(write.count())
    assert 'SELECT 1 FROM "t" WHERE "y" = $1' in text(select("t", where={"y": 2}).count())


def test_count_and_returning_contradict_in_each_order():
    with pytest.raises(InvalidBatch, match=r"count\(\)"):
        BUILT["delete"].returning("a").count()
    with pytest.raises(InvalidBatch, match=r"count\(\)"):
        BUILT["delete"].count().returning("a")


@pytest.mark.parametrize(
    ("shaped", "guard"),
    [
        (BUILT["update"].one(Named), "exactly 1 row"),
        (BUILT["delete"].returning("a").scalar(int), "exactly 1 row"),
        (BUILT["delete"].maybe(Named), "at most 1 row"),
        (select("t", where={"y": 2}).one(Named), "exactly 1 row"),
        (sql("SELECT 1").scalar(int), "exactly 1 row"),
        (sql("SELECT 1").maybe(tuple), "at most 1 row"),
        (BUILT["update"].all(Named), "None"),
        (BUILT["update"].count(), "None"),
        (BUILT["insert"].one(Named), "None"),
        (BUILT["insert"].returning("a").scalar(int), "None"),
    ],
    ids=str,
)
def test_result_shape_implies_a_guard_unless_it_always_holds(shaped, guard):
    assert str(shaped._shape.guard) == guard


@dataclasses.dataclass
class Reader:
    """Callable on a row, and as little hashable as any dataclass that may change."""

    column: str

    def __call__(self, row):
        return row[self.column]


@pytest.mark.parametrize("shape", ["one", "maybe", "all"])
def test_unhashable_model_is_rejected(shape):
    with pytest.raises(InvalidBatch, match="hashable"):
        getattr(sql("SELECT 1 AS a"), shape)(Reader("a"))


def test_statements_of_one_text_keep_their_own_models():
    query = sql("SELECT id, name FROM t")
    models = [Named, Data, dict, Named]
    assert [query.one(model)._shape.result.model for model in models] == models


def test_last_result_shape_replaces_the_earlier_one():
    statement = sql("SELECT 1").one(tuple).all(dict)
    assert str(statement._shape.result) == "all(dict)"
    assert statement._shape.guard is None
