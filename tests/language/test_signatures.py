# SPDX-License-Identifier: MIT
"""What is called with one argument is looked at before, whatever it is, and is not kept alive."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from operator import itemgetter
from typing import Any

import pytest

from batchq.language.signatures import why_not_one


def two(a: object, b: object) -> None: ...


def with_keyword(a: object, b: object, *, c: object) -> None: ...


async def awaited(a: object, b: object) -> None: ...


class Model:
    def __init__(self, a: object) -> None: ...

    def method(self, a: object) -> None: ...

    def __call__(self, a: object) -> None: ...


class Awaited:
    async def __call__(self, a: object) -> None: ...


class Unhashable(type):
    __hash__ = None  # type: ignore[assignment]


CALLED = [
    *(partial(two, 1), partial(partial(two, 1)), partial(two, b=1), partial(with_keyword, 1, c=2)),
    *(Model, Model(1), Model(1).method, partial(Model(1).method), partial(Model.method, Model(1))),
    *(int, str, any, print, itemgetter(1), {}.get, ", ".join, partial(int)),
    Unhashable("Made", (Model,), {}),
]
REFUSED: list[tuple[Any, str]] = [
    (partial(two), "it needs 2 arguments"),
    (partial(two, 1, 2), "it takes no argument"),
    (partial(with_keyword, 1), "by keyword"),
    (partial(awaited, 1), "it is async"),
    (Awaited(), "it is async"),
    (partial(Awaited()), "it is async"),
    (isinstance, "missing a required argument"),
    (str.join, "missing a required argument"),
]


@pytest.mark.parametrize("function", CALLED)
def test_what_takes_one_argument_is_accepted(function) -> None:
    assert why_not_one(function) is None


@pytest.mark.parametrize(("function", "reason"), REFUSED)
def test_what_does_not_is_rejected_with_the_reason(function, reason) -> None:
    assert reason in (why_not_one(function) or "")


@pytest.mark.parametrize(
    "made",
    [
        lambda held: partial(two, held),
        lambda held: partial(two, b=held),
        lambda held: held,
        lambda held: held.method,
        partial,
    ],
    ids=["partial", "keywords", "object", "method", "partial of an object"],
)
def test_what_a_function_holds_is_not_kept_alive(made) -> None:
    held = Model(1)
    why_not_one(made(held))
    seen = weakref.ref(held)
    del held
    gc.collect()
    assert seen() is None
