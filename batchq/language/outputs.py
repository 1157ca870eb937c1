# SPDX-License-Identifier: MIT
"""Define outputs: values of one statement that a later statement uses, without a round trip.

Such a value is an identity column, a default, or a computed column; the client does not know it
before COMMIT. The statements stay separate, unlike those of one CTE, so each has its own errors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

from batchq.language.errors import InvalidBatch
from batchq.language.old import Returned
from batchq.language.special import Special
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
    """One column of the row that a statement returns; created by :meth:`Statement.output`."""

    identity: object
    """The statement as first built; a label or a mapping added later does not change it."""
    title: str
    """The title of that statement."""
    column: Returned
    type: str | None
    """Its SQL type; None if that of a column applies."""

    def __repr__(self) -> str:
        """Return the column and the title of its statement."""
        return f"<Output {self.column!r} of {self.title}>"


def checked_type(name: str | None) -> str | None:
    """Return the name of a SQL type, or None.

    :raises InvalidBatch: if it is anything else, because it becomes part of the SQL text.
    """
    if name is not None and not (is_text(name) and _TYPE.fullmatch(name)):
        raise InvalidBatch(
            f'output(): pass the name of a SQL type, such as "bigint", not {name!r:.40}'
        )
    return name


def casts(params: Sequence[object]) -> tuple[str | None, ...]:
    """Return the type of each output among the parameters of ``sql()``; empty if there is none.

    :raises InvalidBatch: for an output without a type. In ``sql()``, no column determines it.
    """
    if Output not in map(type, params):
        return ()
    for value in params:
        if isinstance(value, Output) and value.type is None:
            raise InvalidBatch(
                f"sql(): the output {value.column!r} has no type; write "
                f'.output({value.column!r}, "bigint"), or another type'
            )
    return tuple(value.type if isinstance(value, Output) else None for value in params)
