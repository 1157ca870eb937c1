# SPDX-License-Identifier: MIT
# ruff: noqa: ARG005  what arguments are called is what this is about
"""What cannot be made of a row, or called with a result, is refused when it is written.

After COMMIT the rows are there, and it is too late to find that out.
"""

from __future__ import annotations

import enum
import functools
import typing
from datetime import date, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any, Protocol
from uuid import UUID

import pytest

from batchq import (
    InvalidBatch,
    insert,
    into,
    select,
    sql,
    steps,
    update,
)
from batchq.engine.plan import plan
from batchq.language.models import maker
from tests.support.row_models import (
    OF_ROWS,
    Abstract,
    Aliased,
    Attrs,
    Data,
    Decorated,
    Derived,
    Keywords,
    Named,
    Open,
    OwnInit,
    Page,
    Positions,
    Pydantic,
    PydanticByName,
    PydanticOpen,
    Row,
    SignedByHand,
    SignedInit,
    Spare,
    Struct,
    Typed,
    Unawaited,
    of_keywords,
    of_two,
    unawaited,
    unawaited_rows,
)
from tests.support.titles import title

PLAIN = [Attrs, Data, Named, Typed, Keywords, Positions, Pydantic, Struct, of_keywords, of_two]
TAKES = [(model, columns) for model in PLAIN for columns in ("id name", "name id", "id name size")]
TAKES += [
    (Open, "id"),
    (Open, "id name colour"),
    (PydanticByName, "identity name"),
    (PydanticByName, "id name"),
    (Pydantic, "identity name"),
    (PydanticOpen, "id name colour"),
    (Aliased, "id _name"),
    (OwnInit, "id label"),
    (Derived, "id label"),
    (Page[int], "id name"),
    (functools.partial(of_two, name="x"), "anything"),
    (tuple, "id id"),
    (tuple[int, str], "id name"),
    (dict, "anything"),
    (dict[str, Any], "anything"),
]
TAKES_NOT = [(model, columns) for model in PLAIN for columns in ("id", "name", "id name colour")]
TAKES_NOT += [(model, "id name name") for model in [*PLAIN, dict, Open, repr]]
TAKES_NOT += [
    (Open, "name"),
    (Pydantic, "id identity"),
    (PydanticOpen, "id"),
    (Aliased, "identity _name"),
    (Aliased, "id name"),
    (OwnInit, "id name"),
    (Derived, "id name"),
    (Page[int], "id"),
    (Data, "id name made"),
    (Attrs, "id name made"),
]


def built(columns):
    names = columns.split()
    write = update("t", {"a": 1}, where={"b": 2})
    yield "select", select("t", names, where={"b": 2})
    yield "labelled", select("t", [sql(f'x AS "{name}"') for name in names], where={"b": 2})
    yield "returning", write.returning(*names)


def answers(statement, model):
    return [getattr(statement, shape)(model) for shape in ("one", "maybe", "all")]


@pytest.mark.parametrize(("model", "columns"), TAKES, ids=title)
def test_model_accepts_the_columns_of_its_fields(model, columns):
    for _, statement in built(columns):
        for shaped in answers(statement, model):
            assert steps(shaped)[0].sql
            assert steps(shaped)[0].notes == ()


@pytest.mark.parametrize(("model", "columns"), TAKES_NOT, ids=title)
def test_model_rejects_columns_without_a_field(model, columns):
    for _, statement in built(columns):
        for shape in ("one", "maybe", "all"):
            with pytest.raises(InvalidBatch, match=rf"{shape}\(.*columns"):
                getattr(statement, shape)(model)


def test_contradictory_results_are_rejected_in_each_order():
    new = insert("t", {"a": 1})
    with pytest.raises(InvalidBatch, match=r"one\(Named\).*also needs name"):
        new.returning("id").one(Named)
    with pytest.raises(InvalidBatch, match=r"one\(Named\).*also needs name"):
        new.one(Named).returning("id")
    with pytest.raises(InvalidBatch, match=r"one\(Named\).*no field for colour"):
        select("t", ["id", sql("1 AS name"), "colour"], where={"b": 1}).one(Named)


@pytest.mark.parametrize("model", OF_ROWS, ids=title)
def test_function_of_one_argument_gets_the_row_as_a_dict(model):
    for columns in ("colour", "colour shape"):
        for _, statement in built(columns):
            assert answers(statement, model)
    with pytest.raises(InvalidBatch, match=r"returning\("):
        _ = steps(insert("t", {"a": 1}).one(model))[0].sql


def test_argument_by_position_only_gets_no_column():
    assert made(Spare, ("id", "name"), (1, "web")) == Spare(id=1, name="web")


@pytest.mark.parametrize("model", [Decorated, SignedByHand, SignedInit])
@pytest.mark.parametrize("names", [("id", "name"), ("name", "id")], ids="-".join)
def test_class_whose_signature_says_little_gets_the_columns_by_name(model, names):
    values = {"id": 1, "name": "web"}
    row = tuple(values[name] for name in names)
    assert made(model, names, row) == model(**values)
    assert plan(into(model, **dict.fromkeys(names, sql("SELECT 1").scalar(int)))).combine(
        row
    ) == model(**values)


def made(model, columns, row):
    """Return the model of a row."""
    make, spreads = maker(model, columns)
    return make(*row) if spreads else make(row)


def test_class_of_one_argument_gets_the_column_of_that_name():
    assert answers(select("t", ["row"], where={"b": 1}), Row)
    with pytest.raises(InvalidBatch, match="no field for colour"):
        select("t", ["row", "colour"], where={"b": 1}).one(Row)


class Shape(Protocol):
    id: int


class Colour(enum.Enum):
    RED = "red"


class Words(str):
    __slots__ = ()


NO_MODELS = [
    *(int, float, bool, str, bytes, list, set, frozenset, object, type, list[int], set[int]),
    *(UUID, Decimal, date, datetime, timedelta, IPv4Address, Colour, Words),
    *(Abstract, Shape, typing.Any, int | str, typing.Annotated[int, 1], typing.Literal["a"]),
    *(unawaited, unawaited_rows, Unawaited(), functools.partial(unawaited)),
    lambda: None,
    lambda a, b, /: None,
    lambda a, /, *, b: None,
]


@pytest.mark.parametrize("model", NO_MODELS, ids=title)
@pytest.mark.parametrize("shape", ["one", "maybe", "all"])
def test_model_that_takes_no_row_is_rejected(model, shape):
    for statement in (
        sql("SELECT 1"),
        select("t", ["id"], where={"b": 1}),
        insert("t", {"a": 1}),
        insert("t", {"a": 1}).returning("id"),
    ):
        with pytest.raises(InvalidBatch, match=rf"{shape}\(\)"):
            getattr(statement, shape)(model)


@pytest.mark.parametrize("type_", [Shape, Typed, list[int], typing.Any, "int"], ids=title)
def test_scalar_of_a_type_without_isinstance_is_rejected(type_):
    with pytest.raises(InvalidBatch, match=r"scalar\(\): pass"):
        sql("SELECT 1").scalar(type_)


def test_scalar_of_two_columns_is_rejected_in_each_order():
    with pytest.raises(InvalidBatch, match="one column"):
        select("t", ["a", "b"], where={"c": 1}).scalar(int)
    with pytest.raises(InvalidBatch, match="one column"):
        insert("t", {"a": 1}).scalar(int).returning("a", "b")


def test_columns_named_by_the_server_are_rejected_only_if_known():
    upper = sql("upper(n)")
    assert select("t", ["id", upper], where={"b": 1}).one(Named)
    with pytest.raises(InvalidBatch, match="colour"):
        select("t", ["colour", upper], where={"b": 1}).one(Named)
    with pytest.raises(InvalidBatch, match="also needs id, name"):
        select("t", ["size", upper], where={"b": 1}).one(Named)
