# SPDX-License-Identifier: MIT
"""Read the server's ErrorResponse into a Violation, and what else it says.

A guard's failure is an ErrorResponse as well: its message holds a sentinel, which is read here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from psycopg.pq import DiagnosticField as Field

from batchq.engine.compile import sentinel
from batchq.engine.compile.row_text import Cell
from batchq.engine.dialects import ErrorFields
from batchq.language.value import value
from batchq.language.violation import KIND_BY_SQLSTATE, Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.dialects import Dialect, ErrorAnswer

_FIELDS = (
    *(Field.SQLSTATE, Field.MESSAGE_PRIMARY, Field.SEVERITY_NONLOCALIZED, Field.SEVERITY),
    *(Field.STATEMENT_POSITION, Field.SOURCE_FILE, Field.SOURCE_FUNCTION),
    *(Field.SCHEMA_NAME, Field.TABLE_NAME, Field.COLUMN_NAME, Field.CONSTRAINT_NAME),
    *(Field.MESSAGE_DETAIL, Field.MESSAGE_HINT),
)

LoadCell = Callable[[Cell], object]
"""Converts a value that a guard reported to a Python value."""


def as_text(cell: Cell) -> str | None:
    """Return a value as the server writes it."""
    return cell.text


@value
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
    read = answer.error_field
    texts = [
        None if (text := read(code)) is None else text.decode(encoding, "replace")
        for code in _FIELDS
    ]
    sqlstate, message = texts[0] or "", texts[1] or ""
    nonlocalized, localized, position, file, function = texts[2:7]
    schema, table, column, constraint, detail, hint = texts[7:]
    severity = nonlocalized or localized or "ERROR"
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
