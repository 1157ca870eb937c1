# SPDX-License-Identifier: MIT
"""What a failure means: a rule pairs a matcher with the exception that the caller should see."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import lru_cache, partial
from typing import Final, cast

from batchq.language.errors import InvalidBatch
from batchq.language.exceptions import fresh_copy, why_not_made
from batchq.language.matchers import UNEXPECTED_ROWS, Matcher, is_matcher
from batchq.language.signatures import why_not_one
from batchq.language.templates import ErrorTemplate
from batchq.language.value import value
from batchq.language.violation import Violation, ViolationKind


class Invariant(Enum):
    """The outcome of ``.invariant(...)``; an enum so that type checkers can tell it apart."""

    INVARIANT = "internal"


INVARIANT: Final = Invariant.INVARIANT

Raises = BaseException | type[BaseException] | Callable[[Violation], BaseException]
"""What ``.on(matcher, ...)`` takes: an exception, a class of them, or a function that makes one."""


@value
class ErrorMapping:
    """A mapping: failures that ``matcher`` accepts mean ``meaning``."""

    matcher: Matcher
    raises: Raises | Invariant

    def __str__(self) -> str:
        """Show the mapping without the exception's own text, which may hold the caller's data."""
        return f"{self.matcher} -> {describe(self.raises)}"

    def __repr__(self) -> str:
        """Show the same: tracebacks may print what the engine holds."""
        return f"<Rule {self}>"


def mapping_of(matcher: Matcher, meaning: Raises) -> ErrorMapping:
    """Make a rule of what a user wrote in ``batch.on(matcher, meaning)``.

    :raises InvalidBatch: when the meaning can never become an exception.
    """
    return ErrorMapping(matcher, checked_raises(matcher, meaning))


def checked_raises(matcher: Matcher, meaning: Raises) -> Raises:
    """Refuse a meaning that can never become an exception, and what is no matcher.

    :raises InvalidBatch: saying what ``.on`` takes.
    """
    if not is_matcher(matcher):
        message = f'.on() takes a matcher, such as unique("name"), not {matcher!r:.40}'
        raise InvalidBatch(message)
    if isinstance(meaning, BaseException):
        if type(meaning) not in _COPIED:
            _check_copy(matcher, meaning)
        return meaning
    if isinstance(meaning, ErrorTemplate) and meaning.columns and not _finds_a_row(matcher):
        message = f".on({matcher}, format_error(…)): only the guards on a row find one to tell of"
        raise InvalidBatch(message)
    if isinstance(meaning, ErrorTemplate):
        _check_stop(matcher, meaning.error)
    told: object = meaning
    if isinstance(told, type):
        if issubclass(told, BaseException):
            _check_call(matcher, told, _why_not_made(told))  # type: ignore[arg-type]  # is hashable
            return told
    elif callable(meaning):
        _check_call(matcher, meaning, why_not_one(meaning))
        return meaning
    message = (
        f".on({matcher}, …) takes an exception, an exception class, or a function from the "
        f"Violation to an exception, not {type(meaning).__name__}"
    )
    raise InvalidBatch(message)


def _finds_a_row(matcher: Matcher) -> bool:
    return matcher.requirement is not None or matcher is UNEXPECTED_ROWS


_COPIED: set[type[BaseException]] = set()
"""Classes whose exceptions can be copied and raised: each is tried once."""
_MOST_COPIED = 1024


def _check_copy(matcher: Matcher, error: BaseException) -> None:
    """Refuse an exception that could not be raised when the time comes.

    :raises InvalidBatch: for one that cannot be copied, and one that no coroutine lets out.
    """
    _check_stop(matcher, type(error))
    try:
        fresh_copy(error)
    except Exception as problem:
        message = (
            f".on({matcher}, {describe(error)}(…)): a copy is raised each time, and this cannot be "
            f"copied: {problem}; pass a function: lambda violation: {describe(error)}(…)"
        )
        raise InvalidBatch(message) from problem
    if len(_COPIED) >= _MOST_COPIED:
        _COPIED.clear()
    _COPIED.add(type(error))


def _check_call(matcher: Matcher, meaning: Raises, why: str | None) -> None:
    """Refuse what cannot be called with the Violation: it would be called when a batch has failed.

    :raises InvalidBatch: saying why, and what else may be passed.
    """
    _check_stop(matcher, meaning)
    if why is None:
        return
    name = describe(meaning)
    message = f".on({matcher}, {name}): it is called with the Violation, and cannot be: {why}"
    if isinstance(meaning, type):
        message += f"; pass an exception, {name}(…), or a function: lambda violation: {name}(…)"
    raise InvalidBatch(message)


def _check_stop(matcher: Matcher, cls: object) -> None:
    """Refuse what Python turns into a RuntimeError where a coroutine or a generator raises it."""
    if isinstance(cls, type) and issubclass(cls, StopIteration | StopAsyncIteration):
        message = (
            f".on({matcher}, {cls.__name__}): a coroutine cannot raise it: Python would make a "
            f"RuntimeError of it"
        )
        raise InvalidBatch(message)


@lru_cache(maxsize=1024)
def _why_not_made(cls: type[BaseException]) -> str | None:
    return why_not_made(cls, Violation(kind=ViolationKind.OTHER, sqlstate=""))


def describe(meaning: Raises | Invariant) -> str:
    """Name a meaning for people: ``NameTaken``, a function's name, ``InvariantViolation``."""
    if meaning is INVARIANT:
        return "InvariantViolation"
    if isinstance(meaning, BaseException):
        return type(meaning).__name__
    called: object = meaning
    while isinstance(called, partial):
        called = cast("object", called.func)
    return getattr(called, "__name__", type(called).__name__)


def exception_for(meaning: Raises, violation: Violation) -> BaseException:
    """Make the exception that the caller gets, a new one each time.

    :raises TypeError: when the caller's function returns something else.
    """
    if isinstance(meaning, BaseException):
        return fresh_copy(meaning)
    made = cast("object", meaning(violation))
    if not isinstance(made, BaseException):
        message = f"{describe(meaning)} was to make an exception but returned {type(made).__name__}"
        raise TypeError(message)
    return made
