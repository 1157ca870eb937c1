# SPDX-License-Identifier: MIT
"""Map failures to the exceptions that a caller has declared for them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import lru_cache, partial
from types import FunctionType
from typing import Any, Final, cast

from batchq.language.errors import InvalidBatch
from batchq.language.exceptions import fresh_copy, why_not_made
from batchq.language.matchers import UNEXPECTED_ROWS, Matcher, is_matcher
from batchq.language.parameters import Parameter
from batchq.language.signatures import why_not_one
from batchq.language.spelling import with_article
from batchq.language.templates import ErrorTemplate
from batchq.language.value import value
from batchq.language.violation import Violation, ViolationKind


class Invariant(Enum):
    """What ``.invariant(...)`` maps to; an enum, so that type checkers can distinguish it."""

    INVARIANT = "invariant"


INVARIANT: Final = Invariant.INVARIANT

Raises = BaseException | type[BaseException] | Callable[[Violation], BaseException]
"""What to raise: an exception, an exception class, or a function of the Violation."""


@value
class ErrorMapping:
    """A mapping: a failure that ``matcher`` accepts raises ``raises``."""

    matcher: Matcher
    raises: Raises | Invariant

    def __str__(self) -> str:
        """Return the mapping without the text of the exception, which may contain data."""
        raises = describe(self.raises)
        return f"{self.matcher} -> {raises}"

    def __repr__(self) -> str:
        """Return the same, because a traceback may print it."""
        return f"<ErrorMapping {self}>"


def mapping_of(matcher: Matcher, raises: Raises) -> ErrorMapping:
    """Return the mapping for ``batch.on(matcher, raises)``.

    :raises InvalidBatch: as :func:`checked_raises`.
    """
    return ErrorMapping(matcher, checked_raises(matcher, raises))


def checked_raises(matcher: Matcher, raises: Raises) -> Raises:
    """Return ``raises`` if it can raise an exception.

    :raises InvalidBatch: if it cannot, or if ``matcher`` is not a matcher.
    """
    if type(raises) in _COPIED and type(matcher) is Matcher:
        error: Any = raises
        if Parameter not in map(type, error.args):
            return raises
    return _first_checked(matcher, raises)


def _first_checked(matcher: Matcher, raises: Raises) -> Raises:
    """Check what may be the first exception of its class, or a class, or a function."""
    if not is_matcher(matcher):
        raise InvalidBatch(f'.on(): pass a matcher, such as unique("name"), not {matcher!r:.40}')
    if isinstance(raises, BaseException):
        if Parameter in map(type, raises.args):
            raise InvalidBatch(
                f"{_call(matcher, '…')}: the exception holds a parameter, whose value is not known "
                'before bind(); pass a function: lambda v: MyError(v.values["org"])'
            )
        _check_copy(matcher, raises)
        return raises
    if isinstance(raises, ErrorTemplate):
        _check_template(matcher, raises)
    cls: object = raises
    if isinstance(cls, type):
        if issubclass(cls, BaseException):
            _check_call(matcher, cls, _why_not_made(cls))  # type: ignore[arg-type]  # is hashable
            return cls
    elif callable(raises):
        _check_call(matcher, raises, why_not_one(raises))
        return raises
    raise InvalidBatch(
        f"{_call(matcher, '…')}: pass an exception, an exception class, or a function of the "
        f"Violation that returns an exception, not {with_article(type(raises))}"
    )


def _call(matcher: Matcher, raises: str) -> str:
    """Return the call that a mapping was passed to, for the text of an error."""
    if matcher.kind is not ViolationKind.GUARD or matcher.is_outer:
        return f".on({matcher}, {raises})"
    if matcher.requirement is not None:
        return f"{str(matcher)[:-1]}, raises={raises})"
    return f"expect({'unexpected' if matcher is UNEXPECTED_ROWS else 'missing'}={raises})"


def _check_template(matcher: Matcher, raises: ErrorTemplate) -> None:
    """Reject a template with columns that the failure may not report."""
    _check_stop(matcher, raises.error)
    if _has_columns(matcher, raises.columns):
        return
    reason = (
        "this failure has no row for {column}; use a template without columns, or map the guard of "
        "a row"
    )
    if matcher.columns is not None:
        reason = (
            "the row is sure to have the columns that unmet() names, and no others; pass a "
            "function of the Violation for more"
        )
    raise InvalidBatch(f"{_call(matcher, 'format_error(…)')}: {reason}")


def _has_columns(matcher: Matcher, columns: tuple[str, ...]) -> bool:
    """Return whether a failure is sure to report a row with these columns."""
    if not columns or matcher.requirement is not None or matcher is UNEXPECTED_ROWS:
        return True
    return matcher.columns is not None and matcher.columns.issuperset(columns)


_COPIED: set[type[BaseException]] = set()
"""Classes whose exceptions can be copied and raised; each is checked once."""
_MAX_COPIED = 1024


def _check_copy(matcher: Matcher, error: BaseException) -> None:
    """Reject an exception that cannot be copied, or that a coroutine cannot raise.

    Otherwise it would fail only when a batch has failed.
    """
    _check_stop(matcher, type(error))
    try:
        fresh_copy(error)
    except Exception as problem:
        raise InvalidBatch(
            f"{_call(matcher, f'{describe(error)}(…)')}: it cannot be copied, and each failure "
            f"raises a copy: {problem}; pass a function, lambda violation: "
            f"{describe(error)}(…)"
        ) from problem
    if len(_COPIED) >= _MAX_COPIED:
        _COPIED.clear()
    _COPIED.add(type(error))


def _check_call(matcher: Matcher, raises: Raises, reason: str | None) -> None:
    """Reject a class or function that cannot be called with the Violation.

    Otherwise the call would fail only when a batch has failed.

    :param reason: why it cannot be called, or None if it can.
    """
    _check_stop(matcher, raises)
    if reason is None:
        return
    name = describe(raises)
    message = f"{_call(matcher, name)}: it cannot be called with the Violation: {reason}"
    if isinstance(raises, type):
        message += f"; pass an exception, {name}(…), or a function: lambda violation: {name}(…)"
    raise InvalidBatch(message)


def _check_stop(matcher: Matcher, cls: object) -> None:
    """Reject what Python converts to a RuntimeError if a coroutine or generator raises it."""
    if isinstance(cls, type) and issubclass(cls, StopIteration | StopAsyncIteration):
        raise InvalidBatch(
            f"{_call(matcher, cls.__name__)}: Python converts it to a RuntimeError in a coroutine; "
            f"use another exception"
        )


@lru_cache(maxsize=1024)
def _why_not_made(cls: type[BaseException]) -> str | None:
    return why_not_made(cls, Violation(kind=ViolationKind.OTHER, sqlstate=""))


_ANY_EXCEPTION = frozenset({"BaseException", "Exception", "Any"})
"""Annotations that say less than the name of the function."""


def describe(raises: Raises | Invariant) -> str:
    """Return a short name: ``NameTaken``, ``InvariantViolation``, or the name of a function.

    A function that is annotated with the class that it returns is named by that.
    """
    if raises is INVARIANT:
        return "InvariantViolation"
    if isinstance(raises, BaseException):
        return type(raises).__name__
    called: object = raises
    while isinstance(called, partial):
        called = cast("object", called.func)
    if isinstance(called, FunctionType):
        made = called.__annotations__.get("return")
        name = getattr(made, "__name__", made)
        if isinstance(name, str) and name.isidentifier() and name not in _ANY_EXCEPTION:
            return name
    return getattr(called, "__name__", type(called).__name__)


def exception_for(raises: Raises, violation: Violation) -> BaseException:
    """Return the exception to raise, a new one for each failure.

    :raises TypeError: if the function of the caller does not return an exception.
    """
    if isinstance(raises, BaseException):
        return fresh_copy(raises)
    error = cast("object", raises(violation))
    if not isinstance(error, BaseException):
        raise TypeError(
            f"{describe(raises)} must return an exception, and returned {type(error).__name__}"
        )
    return error
