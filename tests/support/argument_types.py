# SPDX-License-Identifier: MIT
"""Call functions with each argument of a wrong type."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from batchq import InvalidBatch

ANY = (object,)
"""For a value of any type, such as a key."""
RAISES = (BaseException, type, type(len))
WRONG = (object(), "1", 7, 1.5, True, None, [object()], {"a": 1})
ADVICE = re.compile(r"\b(?:pass|takes|must|use)\b")

Arguments = dict[str, tuple[Any, tuple[type, ...]]]
"""Of each parameter: a valid value, and the types that it may have."""


class SilentPool:
    """A pool that gives no connection: nothing can be sent by way of it."""

    def connection(self) -> Any:
        raise LookupError("a connection was asked for")

    getconn = putconn = connection


class SilentAsyncPool(SilentPool):
    """The same, async."""

    async def getconn(self) -> Any:
        raise LookupError("a connection was asked for")


def parameters(function: Callable[..., Any], options: type[Any] | None = None) -> set[str]:
    """Return the names of the parameters, those of a TypedDict of options included."""
    found = inspect.signature(function).parameters.values()
    names = {one.name for one in found if one.kind is not one.VAR_KEYWORD}
    return names | set(() if options is None else options.__annotations__)


def wrong_values(arguments: Arguments) -> Iterator[tuple[str, object]]:
    """Return each parameter with each value of another type; a bool is not a number."""
    for name, (_, types) in arguments.items():
        for value in WRONG:
            if not isinstance(value, types) or (value is True and types not in (ANY, (bool,))):
                yield name, value


def call(function: Callable[..., Any], arguments: Arguments, **changed: object) -> Any:
    """Call a function with valid values except those that are changed, sync or async."""
    values = {name: value for name, (value, _) in arguments.items()} | changed
    signature = inspect.signature(function)
    first = [
        values.pop(one.name)
        for one in signature.parameters.values()
        if one.kind is one.POSITIONAL_ONLY
    ]
    result = function(*first, **values)
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    if hasattr(result, "__enter__"):
        with ExitStack() as stack:
            return stack.enter_context(result)
    return result


def assert_rejects_wrong_types(function: Callable[..., Any], arguments: Arguments) -> None:
    """Assert that each wrong value is rejected with what to pass instead; nothing is sent."""
    for name, value in wrong_values(arguments):
        result = f"{name}={value!r} was accepted"
        try:
            call(function, arguments, **{name: value})
        except Exception as error:  # noqa: BLE001  the report names the argument
            result = f"{name}={value!r}: {type(error).__name__}: {error}"
            if isinstance(error, InvalidBatch | TypeError) and ADVICE.search(str(error)):
                continue
        pytest.fail(result)


def public_methods(classes: Iterable[type[Any]]) -> dict[str, Callable[..., Any]]:
    """Return the public methods of classes that take arguments, inherited ones as well, by name."""
    return {
        f"{cls.__qualname__}.{name}": method
        for cls in classes
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_") and parameters(method) - {"self"}
    }
