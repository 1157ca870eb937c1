# SPDX-License-Identifier: MIT
"""Exceptions, classes and functions that are accepted, in each call that takes one: what could not
be raised after a batch has failed is rejected when it is written."""

from __future__ import annotations

import abc
import dataclasses
import functools
from uuid import UUID

import pytest

from batchq import InvalidBatch, format_error, insert, insert_or_get, select, unique
from batchq.hierarchy import Parent
from batchq.limits import Limits
from tests.support.exceptions import (
    EXCEPTIONS,
    Attrs,
    AttrsKeywordOnly,
    Data,
    Frozen,
    FrozenData,
    Group,
    KeywordOnly,
    MadeByNew,
    OtherArguments,
    Plain,
    Slotted,
    raised,
)

STATEMENT = insert("t", {"a": 1})
ROW = select("t", ["a"], where={"a": 1})
LIMITS = Limits()
SCOPE = UUID(int=1)
PARENT = Parent(table="t", key="id", deleted_at="time_deleted", generation="rcgen")

DECLARE = [
    pytest.param(declare, id=name)
    for name, declare in {
        "statement": lambda meaning: STATEMENT.on(unique("k"), meaning),
        "batch": lambda meaning: STATEMENT.map(str).on(unique("k"), meaning),
        "missing": lambda meaning: STATEMENT.expect(1, missing=meaning),
        "statement.require": lambda meaning: ROW.require({"a": 1}, raises=meaning),
        "statement.ensure": lambda meaning: STATEMENT.ensure({"a": 1}, raises=meaning),
        "expect(at_least)": lambda meaning: ROW.expect(at_least=1, missing=meaning),
        "expect(0)": lambda meaning: ROW.expect(0, unexpected=meaning),
        "for_update": lambda meaning: (
            select("t", where={"a": 1}).for_update().expect(1, missing=meaning)
        ),
        "raises": lambda meaning: insert_or_get(
            "t", {"a": 1, "b": 2}, Data, key=["a"], same=["b"], raises=meaning
        ),
        "touch": lambda meaning: PARENT.touch(1, missing=meaning),
        "delete": lambda meaning: PARENT.delete(1, missing=meaning),
        "stale": lambda meaning: PARENT.delete(1, missing=Plain, generation=1, stale=meaning),
        "children": lambda meaning: PARENT.children(
            "c", by="t_id", deleted_at="time_deleted"
        ).forbid(1, unexpected=meaning),
        "exceeded": lambda m: LIMITS.charge("vpcs", scope=SCOPE, id=SCOPE, exceeded=m),
        "limit": lambda meaning: LIMITS.release("vpcs", scope=SCOPE, id=SCOPE, missing=meaning),
        "not_charged": lambda m: LIMITS.resize("vpcs", 1, scope=SCOPE, id=SCOPE, not_charged=m),
    }.items()
]


@pytest.mark.parametrize("declare", DECLARE)
def test_call_that_takes_an_exception_checks_it(declare):
    with pytest.raises(InvalidBatch, match="pass an exception, an exception class, or a function"):
        declare("taken")
    with pytest.raises(InvalidBatch, match="cannot be called with the Violation"):
        declare(KeywordOnly)
    declare(Plain)
    declare(Plain("taken"))


class TwoArguments(Exception):
    def __init__(self, violation, name):
        super().__init__(violation, name)


@dataclasses.dataclass
class TwoFields(Exception):
    name: str
    status: int


class NewByKeyword(Exception):
    def __new__(cls, *, name):
        return super().__new__(cls, name)


class NoArguments(Exception):
    def __init__(self):
        super().__init__()


class GroupOfOne(ExceptionGroup):
    def __init__(self, violation):
        self.violation = violation


class Choosy(type):
    def __call__(cls, *, name):
        return super().__call__(name)


class MadeByItsMetaclass(Exception, metaclass=Choosy):
    pass


NEVER = [
    KeywordOnly,
    AttrsKeywordOnly,
    OtherArguments,
    TwoArguments,
    TwoFields,
    NewByKeyword,
    MadeByNew,
    NoArguments,
    Group,
    GroupOfOne,
    MadeByItsMetaclass,
    ExceptionGroup,
    UnicodeDecodeError,
    functools.partial(OtherArguments, "a", "b"),
    lambda: Plain("a"),
    lambda violation, name: Plain(name, violation),
    lambda violation, *, name: Plain(violation, name),
]


@pytest.mark.parametrize("meaning", NEVER, ids=lambda m: getattr(m, "__name__", "partial"))
def test_function_that_cannot_take_a_violation_is_rejected(meaning):
    with pytest.raises(InvalidBatch, match="cannot be called with the Violation"):
        STATEMENT.on(unique("k"), meaning)


async def never_awaited(_):
    return Plain()


def test_async_function_is_rejected():
    with pytest.raises(InvalidBatch, match="async"):
        STATEMENT.on(unique("k"), never_awaited)


@pytest.mark.parametrize("meaning", [StopIteration, StopIteration(1), StopAsyncIteration("a")])
def test_exception_that_a_coroutine_cannot_raise_is_rejected(meaning):
    with pytest.raises(InvalidBatch, match="RuntimeError"):
        STATEMENT.on(unique("k"), meaning)


def test_format_error_rejects_a_class_that_takes_no_text():
    for error in (KeywordOnly, ExceptionGroup, UnicodeDecodeError, TwoFields):
        with pytest.raises(InvalidBatch, match="cannot be called"):
            format_error(error, "taken")


class Abstract(Exception, metaclass=abc.ABCMeta):
    """Python makes abstract exceptions as any others."""

    @property
    @abc.abstractmethod
    def status(self): ...


class WithDefaults(Exception):
    def __init__(self, violation, status=409, *, name="a"):
        super().__init__(violation, status, name)


class NewAndInit(Exception):
    def __new__(cls, *args, **_):
        return super().__new__(cls, *args)

    def __init__(self, violation):
        super().__init__(violation)


@pytest.mark.parametrize(
    "meaning",
    [
        Plain,
        KeyError,
        OSError,
        SystemExit,
        KeyboardInterrupt,
        Attrs,
        Frozen,
        Data,
        FrozenData,
        Slotted,
        Abstract,
        WithDefaults,
        NewAndInit,
        functools.partial(OtherArguments, "a"),
        functools.partial(WithDefaults, status=1),
        lambda *violations: Plain(violations),
    ],
    ids=lambda m: getattr(m, "__name__", "partial"),
)
def test_function_that_takes_a_violation_is_accepted_and_raised(meaning):
    STATEMENT.on(unique("k"), meaning)
    raised(meaning)


@pytest.mark.parametrize("meaning", EXCEPTIONS, ids=lambda e: type(e).__name__)
def test_exception_that_can_be_copied_is_accepted(meaning):
    STATEMENT.on(unique("k"), meaning)
