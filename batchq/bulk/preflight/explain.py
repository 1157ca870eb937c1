# SPDX-License-Identifier: MIT
"""What the server would do with a statement, which is not executed.

In transactions that are rolled back, each statement behind a savepoint: what is refused of one is
known, and the next is explained all the same. They are READ ONLY, but on CockroachDB, which refuses
there to explain what would write.
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

_OWN = ("42", "22")
"""The classes of errors that are a statement's own: of syntax and access rules, and of data
(PostgreSQL documentation, appendix A)."""
_FORBIDDEN = "42501"
"""Not to this user. Whoever does the work may be another."""

Explained = tuple[list[PlannedStatement], list[Finding]]
"""The statements with what was said, and what is refused of them."""


def explained(connection: Connection[Any], statements: list[PlannedStatement]) -> Explained:
    """Explain statements, on a connection that is in no transaction."""
    done, refusals = list[PlannedStatement](), list[Finding]()
    encoding = codec(connection.info.encoding)
    with connection.transaction(force_rollback=True):
        if _reads_only(connection):
            connection.execute("SET TRANSACTION READ ONLY")
        # Takes $1, $2, … as they are: what is explained is what would be sent, to the letter.
        cursor = RawCursor(connection, row_factory=tuple_row)
        for one in statements:
            if one.unexplained:
                done.append(one)
                continue
            try:
                with connection.transaction():
                    cursor.execute(_explain(one, encoding), one.values, prepare=False)
                    done.append(_said(one, cursor.fetchall()))
            except psycopg.Error as error:
                done.append(_unsaid(one, error, refusals))
    return done, refusals


async def aexplained(
    connection: AsyncConnection[Any], statements: list[PlannedStatement]
) -> Explained:
    """Explain statements, on an async connection."""
    done, refusals = list[PlannedStatement](), list[Finding]()
    encoding = codec(connection.info.encoding)
    async with connection.transaction(force_rollback=True):
        if _reads_only(connection):
            await connection.execute("SET TRANSACTION READ ONLY")
        cursor = AsyncRawCursor(connection, row_factory=tuple_row)
        for one in statements:
            if one.unexplained:
                done.append(one)
                continue
            try:
                async with connection.transaction():
                    await cursor.execute(_explain(one, encoding), one.values, prepare=False)
                    done.append(_said(one, await cursor.fetchall()))
            except psycopg.Error as error:
                done.append(_unsaid(one, error, refusals))
    return done, refusals


def _reads_only(connection: Connection[Any] | AsyncConnection[Any]) -> bool:
    return dialect_of(connection.pgconn) is POSTGRESQL


def _explain(one: PlannedStatement, encoding: str) -> bytes:
    return f"EXPLAIN {one.sql}".encode(encoding)


def _said(one: PlannedStatement, rows: list[tuple[Any, ...]]) -> PlannedStatement:
    return evolve(one, explain=tuple(str(textual(line)) for (line,) in rows))


def _unsaid(
    one: PlannedStatement, error: psycopg.Error, refusals: list[Finding]
) -> PlannedStatement:
    """Keep the server's words, as a refusal if they are about the statement.

    :raises psycopg.Error: when it was the connection that failed.
    """
    message, sqlstate = error.diag.message_primary, error.sqlstate
    if message is None or sqlstate is None:
        raise error
    if sqlstate.startswith(_OWN) and sqlstate != _FORBIDDEN:
        refusals.append(refused(one.title, message))
    return evolve(one, unexplained=f"the server says: {message}")


def refused(title: str, message: str) -> Finding:
    """Say that the server refuses a statement, in its own words."""
    remedy = "look at the key, the values that are set, and the types of these columns"
    return Finding(code=FindingCode.REJECTED, table=title, detail=message, remedy=remedy)
