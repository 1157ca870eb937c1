# SPDX-License-Identifier: MIT
"""Exceptions of callers: each kind has broken copying or chaining an exception somewhere."""

from __future__ import annotations

import dataclasses

import attrs
import pytest

from batchq import BatchError, Violation
from batchq.language.exceptions import caused_by
from batchq.language.mapping import exception_for
from batchq.types import ViolationKind

VIOLATION = Violation(kind=ViolationKind.UNIQUE, sqlstate="23505", constraint="k")


class Plain(Exception):
    pass


class KeywordOnly(Exception):
    def __init__(self, *, name):
        super().__init__(f"{name} is taken")
        self.name = name


class OtherArguments(Exception):
    def __init__(self, name, status):
        super().__init__(f"{name}: {status}")
        self.name, self.status = name, status


class Slotted(Exception):
    __slots__ = ("__private", "name")

    def __init__(self, name):
        super().__init__(name)
        self.name = self.__private = name


@attrs.define
class Attrs(Exception):
    name: str


@attrs.frozen
class Frozen(Exception):
    name: str


@attrs.define
class AttrsKeywordOnly(Exception):
    name: str = attrs.field(kw_only=True)


@dataclasses.dataclass
class Data(Exception):
    name: str


@dataclasses.dataclass(frozen=True)
class FrozenData(Exception):
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots(Exception):
    name: str


class Unwritable(Exception):
    """No attribute can be set after __init__, and all hooks for copying raise."""

    def __init__(self, *, name):
        super().__init__(name)
        self.__dict__["name"] = name

    def __setattr__(self, name, value):
        raise TypeError(name)

    def __copy__(self):
        raise TypeError("copied")

    def __deepcopy__(self, _):
        raise TypeError("copied")

    def __reduce_ex__(self, _):
        raise TypeError("pickled")

    def __getstate__(self):
        raise TypeError("pickled")


class MadeByNew(Exception):
    def __new__(cls, *, name):
        return super().__new__(cls, name)

    def __init__(self, *, name):
        super().__init__()
        self.name = name


class Group(ExceptionGroup):
    def __new__(cls, *, name):
        return super().__new__(cls, name, [ValueError(name)])

    def __init__(self, *, name):
        self.name, self.args = name, (name,)


class Status(OSError):
    def __init__(self, name, *, code):
        super().__init__(code, name, f"/{name}")
        self.name = name


def undecodable():
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no text")


EXCEPTIONS = [
    Plain(),
    Plain("a", 2),
    KeyError("a"),
    FileNotFoundError(2, "no such project"),
    ExceptionGroup("a", [ValueError("b")]),
    KeywordOnly(name="a"),
    OtherArguments("a", 409),
    Slotted("a"),
    Attrs("a"),
    Frozen("a"),
    AttrsKeywordOnly(name="a"),
    Data("a"),
    FrozenData("a"),
    FrozenSlots("a"),
    Unwritable(name="a"),
    MadeByNew(name="a"),
    Group(name="a"),
    Status("a", code=2),
    undecodable(),
    ImportError("no a", name="a", path="/a"),
    AttributeError("no a", name="a", obj=7),
    SyntaxError("no a", ("a.py", 1, 2, "a", 1, 3)),
    OSError(2, "no such project", "/a", None, "/b"),
    SystemExit(3),
    KeyboardInterrupt("a"),
]


def raised(meaning):
    """Raise and chain an exception as ``run`` does; return what the caller gets."""
    error = exception_for(meaning, VIOLATION)
    caused_by(error, BatchError("the report"))
    with pytest.raises(type(error)):
        raise error
    return error
