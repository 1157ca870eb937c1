# SPDX-License-Identifier: MIT
# ruff: noqa: A006, ARG005  what arguments are called is what this is about
"""Functions and models that are called after COMMIT are checked when they are passed."""

from __future__ import annotations

import datetime as dt
import functools

import pytest

from batchq import InvalidBatch, format_error, gather, into, sql
from batchq.engine.plan import plan
from tests.support.row_models import (
    OF_ROWS,
    Abstract,
    Aliased,
    Attrs,
    Data,
    Keywords,
    Named,
    Pydantic,
    PydanticByName,
    Spare,
    Typed,
    Unawaited,
    of_two,
    unawaited,
    unawaited_rows,
)
from tests.support.titles import title

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
        *[(kind, "x", "x") for kind in (tuple, list, float, int, bool, set, frozenset)],
        *[(kind, "encoding x", "'x'") for kind in (str, bytes, bytearray)],
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
        (int, ""),
        (str, "object"),
        (bytes, "source encoding"),
        (dt.date, "year month day"),
        (lambda **named: named, "id name"),
        (lambda: None, ""),
        (functools.partial(of_two, 1), "name"),
    ],
    ids=title,
)
def test_into_accepts_arguments_that_the_model_takes(model, names):
    assert into(model, **dict.fromkeys(names.split(), ONE))


class Swapped(Spare):
    def __init__(self, name, id):
        super().__init__(None, id, name)


@functools.wraps(Attrs)
def wrapped(**named):
    return named


@pytest.mark.parametrize(
    "model",
    [
        *(Attrs, Data, Named, Typed, PydanticByName, Spare, Swapped, dict, wrapped),
        functools.partial(Swapped, "x"),
        lambda name, id: (name, id),
        lambda id, *others, name: (id, others, name),
        lambda other=None, /, id=None, name=None: (other, id, name),
        lambda **named: named,
    ],
    ids=title,
)
def test_into_passes_each_result_by_its_name(model):
    named = {"id": 1} if isinstance(model, functools.partial) else {"id": 1, "name": "web"}
    batch = into(model, ONE, **dict.fromkeys(named, ONE))
    assert plan(batch).combine([None, *named.values()]) == model(**named)


def test_format_error_of_a_function_without_arguments_is_rejected():
    with pytest.raises(InvalidBatch, match=r"format_error\(\)"):
        format_error(lambda: None, "{name}")
