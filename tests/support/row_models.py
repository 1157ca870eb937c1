# SPDX-License-Identifier: MIT
# ruff: noqa: A006, ARG002, ARG003, ARG005  what arguments are called is what this is about
"""Classes and functions that make something of a row, and some that cannot."""

from __future__ import annotations

import abc
import dataclasses
import functools
import inspect
import typing
from typing import Any, Generic, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs

T = TypeVar("T")


class Same:
    """Equal to another of its class that holds the same."""

    def __eq__(self, other):
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self):
        return hash(type(self))


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


class Keywords(Same):
    def __init__(self, *, id, name, size=3):
        self.id, self.name, self.size = id, name, size


class Spare(Same):
    def __init__(self, other=None, /, id=None, name=None):
        self.other, self.id, self.name = other, id, name


class Decorated(Same):
    """Of a constructor that a decorator has wrapped, so it shows no arguments."""

    def __init__(self, *arguments, **named):
        self.set(*arguments, **named)

    def set(self, id, name):
        self.id, self.name = id, name


class SignedByHand(Same):
    """Of a signature in another order than the arguments."""

    __signature__ = inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for name in ("name", "id")
        ]
    )

    def __init__(self, id, name):
        self.id, self.name = id, name


class SignedInit(Same):
    """The same, of a method."""

    def __init__(self, id, name):
        self.id, self.name = id, name

    __init__.__signature__ = inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for name in ("self", "name", "id")
        ]
    )


class Positions(Same):
    def __init__(self, id, name, size=3):
        self.id, self.name, self.size = id, name, size


class Open(Same):
    def __init__(self, *, id, **others):
        self.id, self.others = id, others


class Field:
    """As Pydantic's FieldInfo."""

    def __init__(self, *, required=True, alias=None):
        self.required, self.alias, self.validation_alias = required, alias, None

    def is_required(self):
        return self.required


class Pydantic(Same):
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


class Struct(Same):
    """Of the shape of msgspec's Structs."""

    __struct_fields__ = ("id", "name", "size")

    def __init__(self, id, name, size=3):
        self.id, self.name, self.size = id, name, size


def of_keywords(*, id, name, size=3):
    return id, name, size


def of_two(id, name, size=3):
    return id, name, size


# -- called with the row, or never -----------------------------------------------------------------


class Row(Same):
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
