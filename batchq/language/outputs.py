# SPDX-License-Identifier: MIT
"""Outputs: values that one statement produces on the server and a later one uses there.

An identity column, a default, a computed column: the client never sees them before COMMIT, and the
statements stay apart, so that each still has its own errors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from batchq.language.errors import InvalidBatch
from batchq.language.guards import EXACTLY_ONE
from batchq.language.results import Rows
from batchq.language.validation import is_text

if TYPE_CHECKING:
    from batchq.language.batch import Batch
    from batchq.language.statement import Statement

_NAME = r'(?:[^\W\d]\w*|"(?:[^"]|"")+")'
_WORDS = (
    r"double precision|(?:character|bit) varying(?:\(\d+\))?"
    r"|(?:timestamp|time)(?:\(\d\))? with(?:out)? time zone"
)
_TYPE = re.compile(
    rf"(?:{_WORDS}|{_NAME}(?:\.{_NAME})?(?:\(\d+(?:, ?-?\d+)?\))?)(?:\[\d*\])*", re.IGNORECASE
)


@frozen(repr=False)
class Output:
    """One column of the row that a statement produces; made by :meth:`Statement.output`."""

    origin: Statement[Any]
    """The statement as it was first built: what it is called since makes it no other one."""
    column: str
    type: str | None
    """Its SQL type, where no column says it."""

    def __repr__(self) -> str:
        """Say whose it is."""
        return f"<Output {self.column!r} of {self.origin.title}>"


def checked_type(name: str | None) -> str | None:
    """Refuse what is no name of a type.

    :raises InvalidBatch: it would stand in the SQL as it is.
    """
    if name is not None and not (is_text(name) and _TYPE.fullmatch(name)):
        message = f'output(): the name of a SQL type, such as "bigint", not {name!r:.40}'
        raise InvalidBatch(message)
    return name


def refuse_rows(producer: Statement[Any]) -> None:
    """Refuse outputs of a statement that may produce another number of rows than one.

    :raises InvalidBatch: saying so.
    """
    counts = producer.guard in (None, EXACTLY_ONE)
    if not counts or producer.result.rows in (Rows.MAYBE, Rows.ALL, Rows.COUNT):
        message = (
            f"an output is of exactly one row, and {producer.title} may have another number of them"
        )
        raise InvalidBatch(message)


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


def still_needed(parts: Sequence[Batch[Any]]) -> tuple[Output, ...]:
    """The outputs that these batches, run in this order, need from statements before them.

    :raises InvalidBatch: for an output that is used before its statement runs.
    """
    for part in parts:
        if part.needs:
            break
    else:
        return ()  # as nearly always

    from batchq.language.traversal import statements  # noqa: PLC0415  whose batches need this

    runs: dict[Statement[Any], int] = {}
    for index, part in enumerate(parts):
        for statement in statements(part):
            runs.setdefault(statement.origin, index)
    needed: list[Output] = []
    for index, part in enumerate(parts):
        for output in part.needs:
            producer = runs.get(output.origin)
            if producer is None:
                needed.append(output)
            elif producer >= index:
                message = (
                    f"the output {output.column!r} is used before its statement, "
                    f"{output.origin.title}, has run: put that first"
                )
                raise InvalidBatch(message)
    return tuple(needed)


def refuse_needs(batch: Batch[Any]) -> None:
    """Refuse to run a batch that needs outputs of statements outside.

    :raises InvalidBatch: naming the first.
    """
    for output in batch.needs:
        message = (
            f"the output {output.column!r} of {output.origin.title} is used, but that statement is "
            f"not in the batch: gather() it in front"
        )
        raise InvalidBatch(message)
