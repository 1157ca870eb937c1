# SPDX-License-Identifier: MIT
"""Read the server's ErrorResponse into a Violation, and what else it says.

A guard's failure is an ErrorResponse as well: its message holds a sentinel, which is read here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen
from psycopg.pq import DiagnosticField as Field

from batchq.engine.compile import sentinel
from batchq.engine.compile.row_text import Cell
from batchq.engine.dialects import ErrorFields
from batchq.language.violation import KIND_BY_SQLSTATE, Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.dialects import Dialect, ErrorAnswer

LoadCell = Callable[[Cell], object]
"""Converts a value that a guard reported to a Python value."""


def as_text(cell: Cell) -> str | None:
    """Return a value as the server writes it."""
    return cell.text


@frozen
class ServerError:
    """An ErrorResponse."""

    violation: Violation
    ends_session: bool
    """Whether the server ended the session with it."""
    is_relayed: bool
    """Whether a pooler between client and server wrote it."""


def read_error(
    answer: ErrorAnswer, dialect: Dialect, encoding: str, load: LoadCell = as_text
) -> ServerError:
    """Return the error that an ErrorResponse reports.

    :param encoding: Python's codec for the client's encoding.
    :param load: converts the values that a guard reported.
    """

    def read(code: Field) -> str | None:
        value = answer.error_field(code)
        return None if value is None else value.decode(encoding, "replace")

    sqlstate = read(Field.SQLSTATE) or ""
    message = read(Field.MESSAGE_PRIMARY) or ""
    position = read(Field.STATEMENT_POSITION)
    nonlocalized = read(Field.SEVERITY_NONLOCALIZED)
    severity = nonlocalized or read(Field.SEVERITY) or "ERROR"
    file, function = read(Field.SOURCE_FILE), read(Field.SOURCE_FUNCTION)
    constraint, column = read(Field.CONSTRAINT_NAME), read(Field.COLUMN_NAME)
    schema, table = read(Field.SCHEMA_NAME), read(Field.TABLE_NAME)
    detail, hint = read(Field.MESSAGE_DETAIL), read(Field.MESSAGE_HINT)
    # A guard fails by a cast, so it has a failed cast's SQLSTATE. Only the sentinel identifies it.
    guard = sentinel.read(message, encoding) if sqlstate == "22P02" else None
    facts = dialect.judge(
        ErrorFields(sqlstate, message, severity, nonlocalized, position, file, function)
    )
    kind = KIND_BY_SQLSTATE.get(sqlstate, ViolationKind.OTHER)
    violation = Violation(
        kind=kind if guard is None else ViolationKind.GUARD,
        sqlstate=sqlstate,
        constraint=constraint,
        schema=schema,
        table=table,
        column=column or facts.column,
        message=message,
        detail=detail,
        hint=hint,
        severity=severity,
        may_quote_values=facts.may_quote_values,
        position=int(position) if position else None,
        rows=None if guard is None else guard.rows,
        requirement=None if guard is None else guard.requirement,
        isolation=None if guard is None else guard.isolation,
        row={} if guard is None else {cell.column: load(cell) for cell in guard.cells},
    )
    # A pooler that has lost the server reports class 08.
    has_lost = facts.ends_session and sqlstate.startswith("08")
    return ServerError(violation, facts.ends_session, has_lost or not facts.is_from_server)
