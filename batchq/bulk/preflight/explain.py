# SPDX-License-Identifier: MIT
"""Explain statements without executing them.

They are explained in transactions that are rolled back, each after a savepoint: if the server
rejects one, the next is explained all the same. The transactions are READ ONLY, except on
CockroachDB, which does not explain a write in such a transaction.
"""

from __future__ import annotations

from typing import Any

import psycopg
from attrs import evolve
from psycopg import AsyncConnection, AsyncRawCursor, Connection, RawCursor
from psycopg.rows import tuple_row

from batchq.bulk.preflight.findings import Finding, FindingCode
from batchq.bulk.preflight.statements import PlannedStatement
from batchq.engine.client_encoding import codec, textual
from batchq.engine.dialects import POSTGRESQL, dialect_of

_STATEMENT_ERRORS = ("42", "22")
"""The classes of errors in a statement itself: syntax, access rules, data (PostgreSQL
documentation, appendix A)."""
_INSUFFICIENT_PRIVILEGE = "42501"
"""No error of the statement: the worker may have another role."""

Explained = tuple[list[PlannedStatement], list[Finding]]
"""The statements with their plans, and the errors of those that the server rejects."""


def explain(connection: Connection[Any], statements: list[PlannedStatement]) -> Explained:
    """Explain statements, on a connection that is in no transaction."""
    explained, errors = list[PlannedStatement](), list[Finding]()
    encoding = codec(connection.info.encoding)
    with connection.transaction(force_rollback=True):
        if _is_read_only(connection):
            connection.execute("SET TRANSACTION READ ONLY")
        # It takes $1, $2, … as they are, so that exactly what would be sent is explained.
        cursor = RawCursor(connection, row_factory=tuple_row)
        for statement in statements:
            if statement.unexplained:
                explained.append(statement)
                continue
            try:
                with connection.transaction():
                    cursor.execute(_explain(statement, encoding), statement.values, prepare=False)
                    explained.append(_with_plan(statement, cursor.fetchall()))
            except psycopg.Error as error:
                explained.append(_without_plan(statement, error, errors))
    return explained, errors


async def aexplain(
    connection: AsyncConnection[Any], statements: list[PlannedStatement]
) -> Explained:
    """Explain statements on an async connection; as :func:`explain`."""
    explained, errors = list[PlannedStatement](), list[Finding]()
    encoding = codec(connection.info.encoding)
    async with connection.transaction(force_rollback=True):
        if _is_read_only(connection):
            await connection.execute("SET TRANSACTION READ ONLY")
        cursor = AsyncRawCursor(connection, row_factory=tuple_row)
        for statement in statements:
            if statement.unexplained:
                explained.append(statement)
                continue
            try:
                async with connection.transaction():
                    query = _explain(statement, encoding)
                    await cursor.execute(query, statement.values, prepare=False)
                    explained.append(_with_plan(statement, await cursor.fetchall()))
            except psycopg.Error as error:
                explained.append(_without_plan(statement, error, errors))
    return explained, errors


def _is_read_only(connection: Connection[Any] | AsyncConnection[Any]) -> bool:
    return dialect_of(connection.pgconn) is POSTGRESQL


def _explain(statement: PlannedStatement, encoding: str) -> bytes:
    return f"EXPLAIN {statement.sql}".encode(encoding)


def _with_plan(statement: PlannedStatement, rows: list[tuple[Any, ...]]) -> PlannedStatement:
    return evolve(statement, explain=tuple(str(textual(line)) for (line,) in rows))


def _without_plan(
    statement: PlannedStatement, error: psycopg.Error, errors: list[Finding]
) -> PlannedStatement:
    """Keep the server's message; it is an error of the preflight if the statement is the cause.

    :raises psycopg.Error: if the connection has failed.
    """
    message, sqlstate = error.diag.message_primary, error.sqlstate
    if message is None or sqlstate is None:
        raise error
    if sqlstate.startswith(_STATEMENT_ERRORS) and sqlstate != _INSUFFICIENT_PRIVILEGE:
        errors.append(rejected(statement.title, message))
    return evolve(statement, unexplained=f"the server's message: {message}")


def rejected(title: str, message: str) -> Finding:
    """Make the finding that the server rejects a statement."""
    remedy = "check the key, the values that are set, and the types of these columns"
    return Finding(code=FindingCode.REJECTED, table=title, detail=message, remedy=remedy)
