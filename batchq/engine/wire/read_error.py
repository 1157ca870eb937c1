# SPDX-License-Identifier: MIT
"""Read the server's ErrorResponse into a Violation.

A guard's failure is an ErrorResponse as well: its message holds a sentinel, which is read here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from psycopg.pq import DiagnosticField as Field

from batchq.engine.compile import sentinel
from batchq.language.violation import KIND_BY_SQLSTATE, Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.dialects import Dialect, ErrorAnswer

LoadCell = Callable[[sentinel.Cell], object]
"""Converts a value that a guard reported to a Python value."""


def as_text(cell: sentinel.Cell) -> str | None:
    """Return a value as the server writes it."""
    return cell.text


def read_error(
    answer: ErrorAnswer, dialect: Dialect, encoding: str, load: LoadCell = as_text
) -> Violation:
    """Return the violation that an ErrorResponse reports.

    :param encoding: Python's codec for the client's encoding.
    :param load: converts the values that a guard reported.
    """

    def read(code: Field) -> str | None:
        value = answer.error_field(code)
        return None if value is None else value.decode(encoding, "replace")

    sqlstate = read(Field.SQLSTATE) or ""
    message = read(Field.MESSAGE_PRIMARY) or ""
    kind = KIND_BY_SQLSTATE.get(sqlstate, ViolationKind.OTHER)
    # A guard fails by a cast, so it has a failed cast's SQLSTATE. Only the sentinel identifies it.
    guard = sentinel.read(message, encoding) if sqlstate == "22P02" else None
    position = read(Field.STATEMENT_POSITION)
    return Violation(
        kind=kind if guard is None else ViolationKind.GUARD,
        sqlstate=sqlstate,
        constraint=read(Field.CONSTRAINT_NAME),
        schema=read(Field.SCHEMA_NAME),
        table=read(Field.TABLE_NAME),
        column=read(Field.COLUMN_NAME) or dialect.column(kind, message),
        message=message,
        detail=read(Field.MESSAGE_DETAIL),
        hint=read(Field.MESSAGE_HINT),
        severity=read(Field.SEVERITY_NONLOCALIZED) or read(Field.SEVERITY) or "ERROR",
        may_quote_values=dialect.may_quote_values(
            sqlstate, position, read(Field.SOURCE_FILE), read(Field.SOURCE_FUNCTION)
        ),
        position=int(position) if position else None,
        rows=None if guard is None else guard.rows,
        requirement=None if guard is None else guard.requirement,
        isolation=None if guard is None else guard.isolation,
        row={} if guard is None else {cell.column: load(cell) for cell in guard.cells},
    )
