# SPDX-License-Identifier: MIT
"""Errors whose text is filled from the row that a guard refused."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import field, frozen

from batchq.language.errors import InvalidBatch
from batchq.language.exceptions import why_not_made
from batchq.language.signatures import why_not_one
from batchq.language.validation import checked_call

if TYPE_CHECKING:
    from batchq.language.violation import Violation


_CONVERSIONS = (None, "", "r", "s", "a")
"""Python documentation, "Format String Syntax"."""


@frozen(eq=False, repr=False)
class ErrorTemplate:
    """A meaning made by :func:`format_error`."""

    error: Callable[[str], BaseException]
    template: str
    columns: tuple[str, ...] = field(init=False)
    """The columns that the template names: the guard reports their values."""

    def __attrs_post_init__(self) -> None:
        """Read the template."""
        object.__setattr__(self, "columns", _columns(self.template))

    def __call__(self, violation: Violation) -> BaseException:
        """Make the exception, of the row that the guard found."""
        return self.error(self.template.format_map(violation.row))

    @property
    def __name__(self) -> str:
        """The name of the class, for people."""
        return getattr(self.error, "__name__", type(self.error).__name__)


def format_error(error: Callable[[str], BaseException], template: str, /) -> ErrorTemplate:
    """Make an exception whose text says what a guard found.

    :param error: an exception class, or a function, that takes the text.
    :param template: the text, with ``{column}`` for each value wanted of the row; a brace of its
        own is doubled, as for ``str.format``.
    :raises InvalidBatch: when the template names anything but columns.

    >>> from batchq import select
    >>> vpcs = select("vpc", ["name"], where={"project_id": 7, "time_deleted": None})
    >>> vpcs.expect(0, unexpected=format_error(ValueError, "the project contains a vpc: {name}"))
    <Statement select vpc: exactly 0 rows>
    """
    called: object = error
    if isinstance(called, type) and issubclass(called, BaseException):
        checked_call("format_error()", error, why_not_made(called, ""))
    else:
        checked_call("format_error()", error, why_not_one(error))
    return ErrorTemplate(error, template)


def _columns(template: str) -> tuple[str, ...]:
    try:
        parsed = list(string.Formatter().parse(template))
    except (TypeError, ValueError) as error:
        message = f"format_error(): the template cannot be read: {error}"
        raise InvalidBatch(message) from error
    names: list[str] = []
    for _, name, spec, conversion in parsed:
        if name is None:
            continue
        if not name.isidentifier() or "{" in (spec or "") or conversion not in _CONVERSIONS:
            message = f"format_error(): a template names columns, as {{name}}; {{{name}…}} is none"
            raise InvalidBatch(message)
        names.append(name)
    return tuple(dict.fromkeys(names))
