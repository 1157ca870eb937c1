# SPDX-License-Identifier: MIT
"""What a function or class can be called with, as far as it says so before it is called.

What it returns is made after COMMIT, and then it is too late to find that it cannot be called.
"""

from __future__ import annotations

import inspect
from functools import lru_cache, partial
from types import FunctionType, MethodType
from typing import Any, cast

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
_UNAWAITED = "it is async, and nobody would await what it returns"


def signature_of(function: object) -> inspect.Signature | None:
    """Read a signature, of the function itself and not of one that it wraps.

    None where it has none, as many that are written in C.
    """
    try:
        return inspect.signature(cast("Any", function), follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def is_async(function: object) -> bool:
    """Whether a call returns something to await."""
    while isinstance(function, partial):
        function = function.func
    called = function if inspect.isroutine(function) else type(function).__call__
    return any(
        inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one)
        for one in (function, called)
    )


def why_not_one(function: object) -> str | None:
    """Say why a function cannot be called with one argument; None when it can, or does not say."""
    if type(function) is FunctionType:
        code = function.__code__
        if code.co_argcount == 1 and not (code.co_kwonlyargcount or code.co_flags & _ASYNC):
            return None  # as nearly always
    bound = 0
    if type(function) is MethodType:
        function, bound = function.__func__, 1
    if type(function) is FunctionType:
        return _why_not_one_of(function, bound)  # with no signature made
    if bound:
        return None  # of what is written in C
    try:
        return _why_not_one(function)
    except TypeError:  # it is not hashable
        return _why_not_one.__wrapped__(function)


def _why_not_one_of(function: FunctionType, bound: int) -> str | None:
    code = function.__code__
    if code.co_flags & _ASYNC:
        return _UNAWAITED
    if code.co_argcount <= bound and not code.co_flags & inspect.CO_VARARGS:
        return "it takes no argument"
    required = code.co_argcount - len(function.__defaults__ or ()) - bound
    if required > 1:
        return f"it needs {required} arguments"
    if code.co_kwonlyargcount > len(function.__kwdefaults__ or ()):
        return "it needs an argument by keyword"
    return None


@lru_cache(maxsize=1024)
def _why_not_one(function: object) -> str | None:
    return _why_not_bound(function, None)


def why_not_called(function: object, arguments: int) -> str | None:
    """Say why something cannot be called with so many arguments; None when it can, or may.

    What calls an exception class asks this, of the class or of what makes its instances: unlike
    other classes one may have abstract methods and be made all the same.
    """
    try:
        signature = signature_of(function)
        if signature is not None:
            signature.bind(*(None,) * arguments)
    except TypeError as error:
        return str(error)
    return None


def why_not_named(function: object, names: tuple[str, ...]) -> str | None:
    """Say why a function cannot be called with these keywords; None when it can, or may."""
    try:
        return _why_not_named(function, names)
    except TypeError:  # it is not hashable
        return _why_not_named.__wrapped__(function, names)


@lru_cache(maxsize=1024)
def _why_not_named(function: object, names: tuple[str, ...]) -> str | None:
    return _why_not_bound(function, **dict.fromkeys(names))


def _why_not_bound(function: object, /, *arguments: None, **named: None) -> str | None:
    if is_async(function):
        return _UNAWAITED
    if isinstance(function, type) and inspect.isabstract(function):
        return "it is abstract"
    signature = signature_of(function)
    try:
        if signature is not None:
            signature.bind(*arguments, **named)
    except TypeError as error:
        return str(error)
    return None
