# SPDX-License-Identifier: MIT
"""What a failure means: a rule pairs a matcher with the exception that the caller should see."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast

from attrs import frozen

from batchq.language.errors import InvalidBatch
from batchq.language.matchers import Matcher, is_matcher
from batchq.language.saying import Saying

if TYPE_CHECKING:
    from batchq.language.violation import Violation


class Internal(Enum):
    """The outcome of ``.internal(...)``; an enum so that type checkers can tell it apart."""

    INTERNAL = "internal"


INTERNAL: Final = Internal.INTERNAL

Meaning = BaseException | type[BaseException] | Callable[["Violation"], BaseException]
"""What ``.on(matcher, ...)`` takes: an exception, a class of them, or a function that makes one."""


@frozen(eq=False, repr=False)
class Rule:
    """A mapping: failures that ``matcher`` accepts mean ``meaning``."""

    matcher: Matcher
    meaning: Meaning | Internal

    def __str__(self) -> str:
        """Show the mapping without the exception's own text, which may hold the caller's data."""
        return f"{self.matcher} -> {describe(self.meaning)}"

    def __repr__(self) -> str:
        """Show the same: tracebacks may print what the engine holds."""
        return f"<Rule {self}>"


def rule(matcher: Matcher, meaning: Meaning) -> Rule:
    """Make a rule of what a user wrote in ``batch.on(matcher, meaning)``.

    :raises InvalidBatch: when the meaning can never become an exception.
    """
    return Rule(matcher, checked_meaning(matcher, meaning))


def checked_meaning(matcher: Matcher, meaning: Meaning) -> Meaning:
    """Refuse a meaning that can never become an exception, and what is no matcher.

    :raises InvalidBatch: saying what ``.on`` takes.
    """
    if not is_matcher(matcher):
        message = f'.on() takes a matcher, such as unique("name"), not {matcher!r:.40}'
        raise InvalidBatch(message)
    if isinstance(meaning, BaseException):
        return meaning
    if isinstance(meaning, Saying) and meaning.columns and matcher.requirement is None:
        message = f".on({matcher}, saying(…)): only the guards on a row find one to tell of"
        raise InvalidBatch(message)
    if issubclass(meaning, BaseException) if isinstance(meaning, type) else callable(meaning):
        return meaning
    message = (
        f".on({matcher}, …) takes an exception, an exception class, or a function from the "
        f"Violation to an exception, not {type(meaning).__name__}"
    )
    raise InvalidBatch(message)


def describe(meaning: Meaning | Internal) -> str:
    """Name a meaning for people: ``NameTaken``, a function's name, ``InvariantViolation``."""
    if meaning is INTERNAL:
        return "InvariantViolation"
    if isinstance(meaning, BaseException):
        return type(meaning).__name__
    return getattr(meaning, "__name__", type(meaning).__name__)


def exception_for(meaning: Meaning, violation: Violation) -> BaseException:
    """Make the exception that the caller gets, a new one each time.

    :raises TypeError: when the caller's function returns something else.
    """
    if isinstance(meaning, BaseException):
        return _fresh(meaning)
    made = cast("object", meaning(violation))
    if not isinstance(made, BaseException):
        message = f"{describe(meaning)} was to make an exception but returned {type(made).__name__}"
        raise TypeError(message)
    return made


def _fresh(error: BaseException) -> BaseException:
    """Copy an exception without its traceback and causes.

    Raising one object from two threads would mix their tracebacks. ``copy.copy`` calls the class
    with ``args`` again, which breaks every exception whose ``__init__`` takes anything else.
    """
    cls = type(error)
    twin = cls.__new__(cls, *error.args)
    object.__setattr__(twin, "args", error.args)  # its class may be frozen
    # __dict__ alone, or a pair with what lies in __slots__; a class's own may leave out notes.
    state = cast("Any", object.__getstate__(error))
    parts = cast("tuple[dict[str, Any] | None, ...]", state if type(state) is tuple else (state,))
    for part in parts:
        for name, value in (part or {}).items():
            object.__setattr__(twin, name, list(value) if name == "__notes__" else value)
    return twin
