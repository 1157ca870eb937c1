# SPDX-License-Identifier: MIT
"""Format the text of an exception from the row that failed a guard."""

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
"""Conversions of a replacement field (Python documentation, "Format String Syntax")."""


@frozen(eq=False, repr=False)
class ErrorTemplate:
    """An exception with a text template; created by :func:`format_error`."""

    error: Callable[[str], BaseException]
    template: str
    columns: tuple[str, ...] = field(init=False)
    """The columns in the template, whose values the guard reports."""

    def __attrs_post_init__(self) -> None:
        """Parse the template."""
        object.__setattr__(self, "columns", _columns(self.template))

    def __call__(self, violation: Violation) -> BaseException:
        """Return the exception for the row in a violation."""
        return self.error(self.template.format_map(violation.row))

    @property
    def __name__(self) -> str:
        """The name of the exception class, for messages."""
        return getattr(self.error, "__name__", type(self.error).__name__)


def format_error(error: Callable[[str], BaseException], template: str, /) -> ErrorTemplate:
    """Return an exception factory for ``raises=`` and ``unexpected=`` of guards on rows.

    Its text is built from the row that failed the guard, which the error reports.

    :param error: an exception class, or a function that returns an exception, of one str.
    :param template: the text, with ``{column}`` for the value of a column of the row, whose name
        must be an identifier. It is formatted as by ``str.format``: write ``{{`` for a brace.
    :raises InvalidBatch: if a replacement field is not an identifier, or ``error`` cannot be
        called with one argument.

    >>> from batchq import select
    >>> vpcs = select("vpc", ["name"], where={"project_id": 7, "deleted_at": None})
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
        raise InvalidBatch(
            f"format_error(): the template cannot be parsed: {error}; write {{{{ for a brace"
        ) from error
    names: list[str] = []
    for _, name, spec, conversion in parsed:
        if name is None:
            continue
        if not name.isidentifier() or "{" in (spec or "") or conversion not in _CONVERSIONS:
            raise InvalidBatch(
                f"format_error(): {{{name}…}} cannot be filled; write {{column}}, with a name that "
                'is an identifier. For another name pass columns=["…"] to the guard, and a '
                'function of the Violation: lambda v: Error(v.row["…"])'
            )
        names.append(name)
    return tuple(dict.fromkeys(names))
