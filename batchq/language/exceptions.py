# SPDX-License-Identifier: MIT
"""Construct, copy and chain exceptions of the caller's classes.

Such a class may be frozen (as a dataclass), take other arguments than those in ``args``, or define
``__new__``, ``__copy__`` or ``__reduce__``. So no code of the class runs when an exception is
copied or chained: the state is read and written by the descriptors of the built-in classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any, TypeVar, cast

from batchq.language.errors import BatchError
from batchq.language.signatures import why_not_called

E = TypeVar("E", bound=BaseException)

_BASE: Any = BaseException.__dict__
_GROUP: Any = BaseExceptionGroup.__dict__
_NOTES = "__notes__"
_OF_FIELDS = frozenset({MemberDescriptorType, GetSetDescriptorType})
"""The types of the descriptors by which slots, and the fields of built-in classes, are read."""


def why_not_made(cls: type[BaseException], given: object) -> str | None:
    """Return why an exception class cannot be called with one argument; None if it can, or may.

    :param given: an argument of the type that it will be called with. Only built-in classes are
        called with it here; classes written in Python have a signature.
    """
    if type(cls).__call__ is not type.__call__:
        return why_not_called(cls, 1)
    for name in ("__new__", "__init__"):
        constructor = getattr(cls, name)
        if isinstance(constructor, FunctionType):
            reason = why_not_called(constructor, 2)
        elif _is_builtin(cls, name):
            reason = _why_refused(cls, name, given)
        else:
            reason = None  # written in C, or wrapped: no signature
        if reason is not None:
            return reason
    return None


def may_read_argument(cls: type[BaseException]) -> bool:
    """Return whether an exception class has a constructor that may read its argument."""
    is_builtin = all(_is_builtin(cls, name) for name in ("__new__", "__init__"))
    return type(cls).__call__ is not type.__call__ or not is_builtin


def fresh_copy(error: E) -> E:
    """Return a copy of an exception without its traceback and cause, to raise one per failure.

    Raising one object in two threads would mix their tracebacks. ``copy.copy`` is not used: it
    calls the class with ``args``, which fails if ``__init__`` takes other arguments.

    :raises TypeError: if a class written in C cannot be constructed this way.
    """
    copy = _bare(type(error), error)
    for descriptor in _descriptors(type(error)):
        value = _read(descriptor, error)
        # OSError, for one, distinguishes None from a field that was never set.
        if value is not _UNSET and value is not _read(descriptor, copy):
            with suppress(AttributeError, TypeError):  # read-only after construction
                descriptor.__set__(copy, value)
    own = _attributes(error)
    if own:
        copied = _attributes(copy)
        copied.update(own)
        notes = own.get(_NOTES)
        if type(notes) is list:
            copied[_NOTES] = notes[:]
    _BASE["args"].__set__(copy, error.args)
    return copy


def caused_by(error: BaseException, report: BatchError) -> None:
    """Set a report as the ``__cause__`` of an exception, even if the exception is frozen.

    A cause that the caller's function has set before becomes the ``__context__``.
    """
    earlier: BaseException | None = _BASE["__cause__"].__get__(error)
    context = _BASE["__context__"]
    is_callers = earlier is not None and not isinstance(earlier, BatchError)
    if is_callers and context.__get__(error) is None:
        context.__set__(error, earlier)
    _BASE["__cause__"].__set__(error, report)


def annotate(error: BaseException, note: str) -> None:
    """Add a note as ``add_note`` does, even if the exception is frozen."""
    attributes = _attributes(error)
    notes = attributes.get(_NOTES)
    attributes[_NOTES] = [*notes, note] if isinstance(notes, list) else [note]


def _bare(cls: type[E], error: E) -> E:
    """Construct an exception by the ``__new__`` of a built-in class, without ``__init__``."""
    args: tuple[object, ...] = error.args
    if isinstance(error, BaseExceptionGroup):  # its __new__ takes exactly these
        args = _GROUP["message"].__get__(error), _GROUP["exceptions"].__get__(error)
    return cast("E", _new(cls)(cls, *args))


def _new(cls: type[BaseException]) -> Callable[..., object]:
    """Return the ``__new__`` of the nearest base class that is not written in Python."""
    for base in cls.__mro__:
        if "__new__" in base.__dict__ and not isinstance(base.__new__, FunctionType):
            break
    else:  # BaseException has one
        base = BaseException
    return base.__new__


def _descriptors(cls: type[BaseException]) -> Iterator[Any]:
    """Yield the descriptors of state outside ``__dict__``: slots, fields of built-in classes."""
    for base in cls.__mro__:
        if base is BaseException:
            return
        for name, value in vars(base).items():
            if type(value) in _OF_FIELDS and name not in ("__dict__", "__weakref__"):
                yield value


_UNSET = object()


def _read(descriptor: Any, error: BaseException) -> object:
    try:
        return descriptor.__get__(error)
    except AttributeError:
        return _UNSET


def _attributes(error: BaseException) -> dict[str, Any]:
    attributes: dict[str, Any] = _BASE["__dict__"].__get__(error)
    return attributes


def _is_builtin(cls: type[BaseException], name: str) -> bool:
    owner = next(base for base in cls.__mro__ if name in base.__dict__)
    return owner.__module__ == "builtins" and not inspect.isfunction(getattr(owner, name))


def _why_refused(cls: type[BaseException], name: str, given: object) -> str | None:
    """Return why a built-in constructor rejects an argument. No code of the user runs."""
    try:
        error = _new(cls)(cls, given)
        if name == "__init__":
            cls.__init__(cast("Any", error), given)
    except TypeError as refusal:
        return str(refusal)
    return None
