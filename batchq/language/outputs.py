# SPDX-License-Identifier: MIT
"""Outputs: values that one statement produces on the server and a later one uses there.

An identity column, a default, a computed column: the client never sees them before COMMIT, and the
statements stay apart, so that each still has its own errors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

from batchq.language.errors import InvalidBatch
from batchq.language.syntax import Special
from batchq.language.validation import is_text

_NAME = r'(?:[^\W\d]\w*|"(?:[^"]|"")+")'
_WORDS = (
    r"double precision|(?:character|bit) varying(?:\(\d+\))?"
    r"|(?:timestamp|time)(?:\(\d\))? with(?:out)? time zone"
)
_TYPE = re.compile(
    rf"(?:{_WORDS}|{_NAME}(?:\.{_NAME})?(?:\(\d+(?:, ?-?\d+)?\))?)(?:\[\d*\])*", re.IGNORECASE
)


@frozen(repr=False)
class Output(Special):
    """One column of the row that a statement produces; made by :meth:`Statement.output`."""

    identity: object
    """The statement as it was first built. A label or a mapping added later does not change it."""
    title: str
    """The title of that statement."""
    column: str
    type: str | None
    """Its SQL type, where no column says it."""

    def __repr__(self) -> str:
        """Name the column and its statement."""
        return f"<Output {self.column!r} of {self.title}>"


def checked_type(name: str | None) -> str | None:
    """Refuse what is no name of a type.

    :raises InvalidBatch: it would stand in the SQL as it is.
    """
    if name is not None and not (is_text(name) and _TYPE.fullmatch(name)):
        message = f'output(): the name of a SQL type, such as "bigint", not {name!r:.40}'
        raise InvalidBatch(message)
    return name


def casts(params: Sequence[object]) -> tuple[str | None, ...]:
    """The types of the outputs among the parameters of a ``sql()``; empty when there is none.

    :raises InvalidBatch: for an output that does not say its type: no column here says it either.
    """
    if Output not in map(type, params):
        return ()
    for value in params:
        if isinstance(value, Output) and value.type is None:
            message = (
                f'in sql() an output says its type: .output({value.column!r}, "bigint"), or '
                f"whatever it is"
            )
            raise InvalidBatch(message)
    return tuple(value.type if isinstance(value, Output) else None for value in params)
