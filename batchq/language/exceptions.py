# SPDX-License-Identifier: MIT
"""The callers' own exceptions: whether one can be made, how it is copied, and how it is chained.

Their classes may do as they like: refuse to be written to once made (a frozen dataclass does),
take other arguments than ``args`` says, define ``__new__``, ``__copy__`` or ``__reduce__``. So
nothing of theirs runs when an exception is copied or chained: what Python itself keeps of an
exception is read and written by Python's own descriptors.
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


def why_not_made(cls: type[BaseException], given: object) -> str | None:
    """Say why a class cannot be called with one argument; None when it can, or does not say.

    :param given: an argument of the kind that it will be given. Only classes of Python's own are
        called with it to find out: the others say in their signature what they take.
    """
    if type(cls).__call__ is not type.__call__:
        return why_not_called(cls, 1)
    for name in ("__new__", "__init__"):
        maker = getattr(cls, name)
        if isinstance(maker, FunctionType):
            why = why_not_called(maker, 2)
        elif _is_pythons_own(cls, name):
            why = _why_refused(cls, name, given)
        else:
            why = None  # written in C, or wrapped: it does not say
        if why is not None:
            return why
    return None


def fresh_copy(error: E) -> E:
    """Copy an exception without its traceback and causes, so that each failure has one of its own.

    Raising one object from two threads would mix their tracebacks. ``copy.copy`` calls the class
    with ``args`` again, which breaks every exception whose ``__init__`` takes anything else.

    :raises TypeError: where a class written in C keeps it from being made.
    """
    twin = _bare(type(error), error)
    for descriptor in _kept(type(error)):
        value = _read(descriptor, error)
        # OSError, for one, tells None from what was never set.
        if value is not _UNSET and value is not _read(descriptor, twin):
            with suppress(AttributeError, TypeError):  # set for good when it was made
                descriptor.__set__(twin, value)
    for name, value in _attributes(error).items():
        copied = cast("object", value.copy()) if name == _NOTES and type(value) is list else value
        _attributes(twin)[name] = copied
    _BASE["args"].__set__(twin, error.args)
    return twin


def caused_by(error: BaseException, report: BatchError) -> None:
    """Chain an exception to the report that it is raised from, even one that is frozen.

    What it was raised from before, in the caller's own function, stays as its context.
    """
    earlier: BaseException | None = _BASE["__cause__"].__get__(error)
    context = _BASE["__context__"]
    is_theirs = earlier is not None and not isinstance(earlier, BatchError)
    if is_theirs and context.__get__(error) is None:
        context.__set__(error, earlier)
    _BASE["__cause__"].__set__(error, report)


def annotate(error: BaseException, note: str) -> None:
    """Add a note, as ``add_note`` does, even to an exception that is frozen."""
    attributes = _attributes(error)
    notes = attributes.get(_NOTES)
    attributes[_NOTES] = [*notes, note] if isinstance(notes, list) else [note]


def _bare(cls: type[E], error: E) -> E:
    """Make an exception by Python's own ``__new__``, whatever the class has."""
    args: tuple[object, ...] = error.args
    if isinstance(error, BaseExceptionGroup):  # which takes no others
        args = _GROUP["message"].__get__(error), _GROUP["exceptions"].__get__(error)
    return cast("E", _new(cls)(cls, *args))


def _new(cls: type[BaseException]) -> Callable[..., object]:
    """The ``__new__`` of the nearest class that is not written in Python."""
    return next(
        base.__new__
        for base in cls.__mro__
        if "__new__" in base.__dict__ and not isinstance(base.__new__, FunctionType)
    )


def _kept(cls: type[BaseException]) -> Iterator[Any]:
    """What is kept outside ``__dict__``: slots, and the fields of Python's own classes."""
    for base in cls.__mro__:
        if base is BaseException:
            return
        for name, value in vars(base).items():
            kept = isinstance(value, MemberDescriptorType | GetSetDescriptorType)
            if kept and name not in ("__dict__", "__weakref__"):
                yield value


_UNSET = object()


def _read(descriptor: Any, error: BaseException) -> object:
    try:
        return descriptor.__get__(error)
    except AttributeError:
        return _UNSET


def _attributes(error: BaseException) -> dict[str, Any]:
    return cast("dict[str, Any]", _BASE["__dict__"].__get__(error))


def _is_pythons_own(cls: type[BaseException], name: str) -> bool:
    owner = next(base for base in cls.__mro__ if name in base.__dict__)
    return owner.__module__ == "builtins" and not inspect.isfunction(getattr(owner, name))


def _why_refused(cls: type[BaseException], name: str, given: object) -> str | None:
    """Call a maker of Python's own. Nothing of the user's runs by it."""
    try:
        made = _new(cls)(cls, given)
        if name == "__init__":
            cls.__init__(cast("Any", made), given)
    except TypeError as error:
        return str(error)
    return None
