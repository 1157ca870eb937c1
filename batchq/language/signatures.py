# SPDX-License-Identifier: MIT
"""Check by its signature whether a function or class can be called, before it is called.

Such functions are called after COMMIT, when it is too late to find out that they cannot be.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, cast

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
_NONE, _TEXT = frozenset[str](), frozenset({"encoding", "errors"})
_KEYWORDS: Mapping[object, frozenset[str]] = {
    bool: _NONE,
    int: _NONE,
    set: _NONE,
    frozenset: _NONE,
    str: _TEXT | {"object"},
    bytes: _TEXT | {"source"},
    bytearray: _TEXT | {"source"},
}
"""The keywords of built-in types without a signature that can be read; int takes ``base`` only
beside a value."""
_UNAWAITED = "it is async, and its result would never be awaited"


def signature_of(function: object) -> inspect.Signature | None:
    """Return the signature of a function, not of one that it wraps.

    :return: None if it has none, as many functions written in C.
    """
    try:
        return inspect.signature(cast("Any", function), follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def has_own_signature(function: object) -> bool:
    """Return whether a signature was set by hand, which need not have the order of the arguments.

    That of a class may be set on the method that is called to make an instance.
    """
    called = [function]
    if isinstance(function, type):
        cls: Any = function
        called += [cls.__init__, cls.__new__, type(cls).__call__]
    return any(getattr(each, "__signature__", None) is not None for each in called)


def is_async(function: object) -> bool:
    """Return True if a call returns an awaitable."""
    while isinstance(function, partial):
        function = function.func
    called = function if inspect.isroutine(function) else type(function).__call__
    return any(
        inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate)
        for candidate in (function, called)
    )


def why_not_one(function: object) -> str | None:
    """Return why a function cannot be called with one argument; None if it can, or may."""
    if type(function) is FunctionType:
        code = function.__code__
        if code.co_argcount == 1 and not (code.co_kwonlyargcount or code.co_flags & _ASYNC):
            return None  # nearly every function
    found = _python_function(function)
    if found is not None:
        return _why_not_one_of(*found)  # without making a signature
    # Of other objects one may be made for each call, and the cache would keep what it holds.
    own = getattr(function, "__self__", None)  # the module, of a function that is written in C
    if isinstance(function, type | MethodDescriptorType) or isinstance(own, ModuleType):
        try:
            return _why_not_one(function)
        except TypeError:  # it is not hashable
            return _why_not_one.__wrapped__(function)
    if _is_partial(function):  # with keywords
        return _why_not_bound(function, None)
    return None  # an object of a class that is written in C


def takes_in_order(function: object, names: tuple[str, ...]) -> bool:
    """Return whether a function that takes these keywords is known to take them by position.

    That is, in this order, and before all others.
    """
    if type(function) is FunctionType:
        code = function.__code__
        return code.co_varnames[: code.co_argcount][: len(names)] == names
    return type(function) is type and _class_takes_in_order(function, names)


@lru_cache(maxsize=1024)
def _class_takes_in_order(cls: type[Any], names: tuple[str, ...]) -> bool:
    signature = None if has_own_signature(cls) else signature_of(cls)
    first = [] if signature is None else [*signature.parameters.values()][: len(names)]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return tuple([each.name for each in first if each.kind is kind]) == names


def _is_partial(function: object) -> bool:
    return type(function) is partial


def _python_function(function: Any) -> tuple[FunctionType, int] | None:
    """Return the function that a call leads to, and how many arguments it is given before.

    :return: None for a class, a partial with keywords, and what is written in C.
    """
    bound = 0
    while type(function) is not FunctionType:
        if type(function) is MethodType:
            function, bound = function.__func__, bound + 1
        elif type(function) is partial and not function.keywords:
            function, bound = function.func, bound + len(function.args)
        elif isinstance(function, type | partial | BuiltinFunctionType):
            return None
        else:  # an object of a class with __call__
            function, bound = type(function).__call__, bound + 1
            if type(function) is not FunctionType:
                return None
    return function, bound


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
    """Return why a function cannot be called with that many arguments; None if it can, or may.

    Also for exception classes and their constructors: unlike other classes, an exception class with
    abstract methods can be instantiated.
    """
    try:
        signature = signature_of(function)
        if signature is not None:
            signature.bind(*(None,) * arguments)
    except TypeError as error:
        return str(error)
    return None


def why_not_named(function: object, names: Iterable[str]) -> str | None:
    """Return why a function cannot be called with these keywords; None if it can, or may."""
    return _why_not_bound(function, **dict.fromkeys(names))


def _why_not_bound(function: object, /, *arguments: None, **named: None) -> str | None:
    if is_async(function):
        return _UNAWAITED
    if isinstance(function, type) and inspect.isabstract(function):
        return "it is abstract"
    signature = signature_of(function)
    if signature is None:
        return _why_not_built_in(function, named)
    try:
        signature.bind(*arguments, **named)
    except TypeError as error:
        return str(error)
    return None


def _why_not_built_in(function: object, named: Iterable[str]) -> str | None:
    """Return why a function without a signature cannot be called; None for an unknown one."""
    for built_in, taken in _KEYWORDS.items():
        if function is built_in:  # which may not be hashable
            wrong = [name for name in named if name not in taken]
            return f"it takes no keyword argument {wrong[0]!r}" if wrong else None
    return None
