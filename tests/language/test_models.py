# SPDX-License-Identifier: MIT
# ruff: noqa: A006, ARG002, ARG003, ARG005  what arguments are called is what this is about
"""What cannot be made of a row, or called with a result, is refused when it is written.

After COMMIT the rows are there, and it is too late to find that out.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
import functools
import typing
from datetime import date, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any, Generic, NamedTuple, NotRequired, Protocol, TypedDict, TypeVar
from uuid import UUID

import attrs
import pytest

from batchq import (
    InvalidBatch,
    explain,
    format_error,
    gather,
    insert,
    into,
    select,
    sql,
    steps,
    update,
)
from tests.support.titles import title

T = TypeVar("T")


@attrs.frozen
class Attrs:
    id: int
    name: str
    size: int = 3
    made: int = attrs.field(init=False, default=4)


@attrs.frozen
class Aliased:
    id: int = attrs.field(alias="identity")
    _name: str


@attrs.define(init=False)
class OwnInit:
    id: int
    name: str

    def __init__(self, id, label):
        self.id, self.name = id, label


@attrs.frozen
class Page(Generic[T]):
    id: T
    name: str


@dataclasses.dataclass
class Data:
    id: int
    name: str
    size: int = dataclasses.field(default=3, kw_only=True)


@dataclasses.dataclass
class Derived:
    id: int
    name: str = dataclasses.field(init=False)
    label: dataclasses.InitVar[str]

    def __post_init__(self, label):
        self.name = label


class Named(NamedTuple):
    id: int
    name: str
    size: int = 3


class Typed(TypedDict):
    id: int
    name: str
    size: NotRequired[int]


class Keywords:
    def __init__(self, *, id, name, size=3):
        self.id, self.name, self.size = id, name, size


class Positions:
    def __init__(self, id, name, size=3):
        self.id, self.name, self.size = id, name, size


class Open:
    def __init__(self, *, id, **others):
        self.id, self.others = id, others


class Field:
    """As Pydantic's FieldInfo."""

    def __init__(self, *, required=True, alias=None):
        self.required, self.alias, self.validation_alias = required, alias, None

    def is_required(self):
        return self.required


class Pydantic:
    """Of the shape of Pydantic's models, which take keywords and say more than their signature."""

    model_fields: typing.ClassVar = {
        "id": Field(alias="identity"),
        "name": Field(),
        "size": Field(required=False),
    }
    model_config: typing.ClassVar[dict[str, Any]] = {}

    def __init__(self, /, **data):
        self.data = data

    @classmethod
    def model_validate(cls, data):
        raise NotImplementedError


class PydanticByName(Pydantic):
    model_config: typing.ClassVar[dict[str, Any]] = {"populate_by_name": True}


class PydanticOpen(Pydantic):
    model_config: typing.ClassVar[dict[str, Any]] = {"extra": "allow"}


class Struct:
    """Of the shape of msgspec's Structs."""

    __struct_fields__ = ("id", "name", "size")

    def __init__(self, id, name, size=3):
        self.id, self.name, self.size = id, name, size


def of_keywords(*, id, name, size=3):
    return id, name, size


def of_two(id, name, size=3):
    return id, name, size


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


def test_model_with_fields_is_returned_by_its_columns():
    for model in (Attrs, Data, Named, Typed, Keywords, Positions, Pydantic, Struct, of_keywords):
        columns = '"id", "name", "size"'
        assert f"RETURNING {columns}" in steps(insert("t", {"a": 1}).one(model))[0].sql
        assert f"SELECT {columns} FROM" in steps(select("t", where={"b": 1}).all(model))[0].sql


class Row:
    def __init__(self, row):
        self.row = row

    @classmethod
    def of(cls, row, strict=False):
        return cls(row)

    def __call__(self, row):
        return row


class Strict:
    def __init__(self, row, *, strict=False):
        self.row = row


class Tag(str):
    __slots__ = ()

    def __new__(cls, row):
        return super().__new__(cls, row["id"])


OF_ROWS = [
    lambda row: row,
    lambda row, extra=1: row,
    lambda *rows: rows,
    lambda row, /, **more: row,
    Row,
    Row.of,
    Row({}),
    Row({}).__call__,
    Strict,
    Tag,
    functools.partial(of_two, size=1, name=2),
    functools.partial(lambda a, b: b, 1),
    repr,
    print,
    len,
    dict,
    lambda id: id,
]


@pytest.mark.parametrize("model", OF_ROWS, ids=title)
def test_function_of_one_argument_gets_the_row_as_a_dict(model):
    for columns in ("colour", "colour shape"):
        for _, statement in built(columns):
            assert answers(statement, model)
    with pytest.raises(InvalidBatch, match=r"returning\("):
        _ = steps(insert("t", {"a": 1}).one(model))[0].sql


def test_class_of_one_argument_gets_the_column_of_that_name():
    assert answers(select("t", ["row"], where={"b": 1}), Row)
    with pytest.raises(InvalidBatch, match="no field for colour"):
        select("t", ["row", "colour"], where={"b": 1}).one(Row)


async def unawaited(row):
    return row


async def unawaited_rows(row):
    yield row


class Unawaited:
    async def __call__(self, row):
        return row


class Abstract(abc.ABC):
    def __init__(self, row):
        self.row = row

    @abc.abstractmethod
    def method(self): ...


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


# -- functions of results --------------------------------------------------------------------------


NO_MAPS = [
    (lambda: None, "takes no argument"),
    (lambda a, b: None, "needs 2 arguments"),
    (lambda a, *, b: None, "by keyword"),
    (lambda *, a: None, "takes no argument"),
    (unawaited, "async"),
    (unawaited_rows, "async"),
    (Unawaited(), "async"),
    (functools.partial(unawaited), "async"),
    (of_two, "needs 2 arguments"),
    (Keywords, "positional"),
    (Named, "missing"),
    (Abstract, "abstract"),
]


@pytest.mark.parametrize(("function", "teaches"), NO_MAPS, ids=title)
def test_map_rejects_a_function_that_cannot_take_a_result(function, teaches):
    for batch in (sql("SELECT 1").scalar(int), gather(sql("SELECT 1"), sql("SELECT 2"))):
        with pytest.raises(InvalidBatch, match=rf"map\(\): .*{teaches}"):
            batch.map(function)


@pytest.mark.parametrize("function", [*OF_ROWS, int, str, sum, tuple, [].append])
def test_map_accepts_a_function_of_one_argument(function):
    assert sql("SELECT 1").scalar(int).map(function)


ONE = sql("SELECT 1").scalar(int)


@pytest.mark.parametrize(
    ("model", "names", "teaches"),
    [
        (Attrs, "id", "name"),
        (Attrs, "id name colour", "colour"),
        (Aliased, "id name", "id"),
        (Data, "name", "id"),
        (Named, "", "id"),
        (Typed, "id", "name"),
        (Pydantic, "id name", "identity"),
        (lambda id: id, "id name", "name"),
        (lambda: None, "id", "id"),
        (unawaited, "row", "async"),
        (Abstract, "row", "abstract"),
        (tuple, "id", "id"),
    ],
    ids=title,
)
def test_into_rejects_arguments_that_the_model_does_not_take(model, names, teaches):
    with pytest.raises(InvalidBatch, match=rf"into\(\): .*{teaches}"):
        into(model, **dict.fromkeys(names.split(), ONE))


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (Attrs, "id name"),
        (Aliased, "identity name"),
        (Typed, "id name"),
        (Pydantic, "identity name"),
        (PydanticByName, "id name"),
        (PydanticByName, "identity name"),
        (dict, "anything"),
        (lambda **named: named, "id name"),
        (lambda: None, ""),
        (functools.partial(of_two, 1), "name"),
    ],
    ids=title,
)
def test_into_accepts_arguments_that_the_model_takes(model, names):
    assert into(model, **dict.fromkeys(names.split(), ONE))


def test_format_error_of_a_function_without_arguments_is_rejected():
    with pytest.raises(InvalidBatch, match=r"format_error\(\)"):
        format_error(lambda: Words("x"), "{name}")


# -- unknown columns -------------------------------------------------------------------------------


UNKNOWN = [
    sql("INSERT INTO t DEFAULT VALUES RETURNING *").one(Named),
    sql("SELECT id, name FROM t").all(Attrs),
    select("t", [sql("*")], where={"b": 1}).maybe(Named),
    select("t", ["id", sql("upper(n)")], where={"b": 1}).one(Named),
    sql("SELECT sum(n) FROM t").scalar(int),
    select("t", [sql("sum(n)")], where={"b": 1}).scalar(int),
]


@pytest.mark.parametrize("statement", UNKNOWN, ids=title)
def test_unknown_columns_are_noted(statement):
    (note,) = steps(statement)[0].notes
    assert "after COMMIT" in note
    assert f"note: {note}" in explain(statement)


@pytest.mark.parametrize(
    "statement",
    [
        sql("SELECT 1").one(tuple),
        sql("SELECT 1").all(lambda row: row),
        sql("SELECT 1").count(),
        select("t", ["n"], where={"b": 1}).scalar(int),
        insert("t", {"a": 1}).returning("id").scalar(int),
        insert("t", {"a": 1}).one(Named),
    ],
    ids=title,
)
def test_known_columns_are_not_noted(statement):
    assert steps(statement)[0].notes == ()


def test_columns_named_by_the_server_are_rejected_only_if_known():
    upper = sql("upper(n)")
    assert select("t", ["id", upper], where={"b": 1}).one(Named)
    with pytest.raises(InvalidBatch, match="colour"):
        select("t", ["colour", upper], where={"b": 1}).one(Named)
    with pytest.raises(InvalidBatch, match="also needs id, name"):
        select("t", ["size", upper], where={"b": 1}).one(Named)
