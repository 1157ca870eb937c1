# SPDX-License-Identifier: MIT
"""psycopg's own ways: a transaction block, pipeline mode in two forms, executemany() and COPY.

https://www.psycopg.org/psycopg3/docs/basic/transactions.html, and for the rows
https://www.psycopg.org/psycopg3/docs/advanced/typing.html,
https://www.psycopg.org/psycopg3/docs/advanced/pipeline.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import psycopg
from attrs import frozen
from psycopg.rows import BaseRowFactory, class_row, tuple_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.peers import Connection, OnPsycopg
from benchmarks.workloads import Command, Rows, Workload


@frozen
class _Sent:
    """A command in the form that psycopg takes."""

    command: Command
    text: bytes
    factory: BaseRowFactory[Any]
    returns: bool


class Transaction(OnPsycopg):
    """Wait for the answer to each statement."""

    name: ClassVar[str] = "psycopg transaction()"

    def __init__(self, workload: Workload[Any]) -> None:
        super().__init__(workload)
        self.sent = [
            _Sent(
                command,
                self.text(command).encode(),
                class_row(command.model) if command.model else tuple_row,
                command.model is not None or command.sql.startswith("SELECT"),
            )
            for command in workload.commands
        ]

    def text(self, command: Command) -> str:
        """Return a command's SQL with the placeholders of psycopg."""
        return re.sub(r"\$\d+", "%s", command.sql)

    def call(self, conn: Connection, given: Any) -> object:
        """Run the commands in a transaction block."""
        try:
            with conn.transaction():
                return self.work(conn, given)
        except psycopg.IntegrityError as error:
            raise self.workload.error(error.diag.constraint_name, given) from error

    def work(self, conn: Connection, given: Any) -> object:
        """Send each command, and check its answer before the next one."""
        rows: list[Rows] = []
        for sent, values in zip(self.sent, self.workload.values(given), strict=True):
            cursor = conn.cursor(row_factory=sent.factory).execute(sent.text, values)
            rows.append(self.checked(cursor, sent, given))
        return self.workload.result(rows)

    async def apooled(self, pool: AsyncConnectionPool[Any], given: Any) -> object:
        """Run the commands on an async pool."""
        rows: list[Rows] = []
        async with pool.connection() as conn, conn.transaction():
            for sent, values in zip(self.sent, self.workload.values(given), strict=True):
                cursor = await conn.cursor(row_factory=sent.factory).execute(sent.text, values)
                rows.append(await cursor.fetchall() if sent.returns else ())
                sent.command.check(cursor.rowcount, rows[-1], given)
        return self.workload.result(rows)

    def send(self, conn: Connection, given: Any) -> list[psycopg.Cursor[Any]]:
        """Send all commands in pipeline mode."""
        return [
            conn.cursor(row_factory=sent.factory).execute(sent.text, values)
            for sent, values in zip(self.sent, self.workload.values(given), strict=True)
        ]

    def checked(self, cursor: psycopg.Cursor[Any], sent: _Sent, given: Any) -> Rows:
        """Return the rows of an answer, if it is as it has to be."""
        rows: Rows = cursor.fetchall() if sent.returns else ()
        sent.command.check(cursor.rowcount, rows, given)
        return rows

    def result(self, cursors: Sequence[psycopg.Cursor[Any]], given: Any) -> object:
        """Make the result of all answers."""
        pairs = zip(cursors, self.sent, strict=True)
        return self.workload.result([self.checked(cursor, sent, given) for cursor, sent in pairs])


class Pipeline(Transaction):
    """Send all between BEGIN and COMMIT at once, and check the answers before COMMIT.

    The block waits for its BEGIN and for its COMMIT.
    """

    name: ClassVar[str] = "psycopg pipeline() + transaction()"

    def call(self, conn: Connection, given: Any) -> object:
        """Run the commands in a transaction block in pipeline mode."""
        try:
            with conn.pipeline() as pipeline, conn.transaction():
                cursors = self.send(conn, given)
                pipeline.sync()
                return self.result(cursors, given)
        except psycopg.IntegrityError as error:
            raise self.workload.error(error.diag.constraint_name, given) from error


class Queued(Transaction):
    """Send all at once, BEGIN and COMMIT included.

    COMMIT is sent before any answer is read, so the server itself has to abort if a row is missing:
    it divides by zero. A transaction that has failed is still open, and is rolled back in a second
    flight.
    """

    name: ClassVar[str] = "psycopg pipeline(), BEGIN queued"

    def text(self, command: Command) -> str:
        """Return a command's SQL, guarded."""
        text = super().text(command)
        if command.rows is None:
            return text
        return f"WITH done AS ({text} RETURNING 1) SELECT 1 / count(*) FROM done"  # noqa: S608

    def call(self, conn: Connection, given: Any) -> object:
        """Run the commands between BEGIN and COMMIT in pipeline mode."""
        try:
            with conn.pipeline():
                conn.execute("BEGIN")
                cursors = self.send(conn, given)
                conn.execute("COMMIT")
            return self.result(cursors, given)
        except psycopg.errors.DivisionByZero as error:
            conn.rollback()
            raise self.workload.commands[0].error(given, ()) from error
        except psycopg.IntegrityError as error:
            conn.rollback()
            raise self.workload.error(error.diag.constraint_name, given) from error


class ExecuteMany(Transaction):
    """Send one statement with the values of all commands, which are the same statement."""

    name: ClassVar[str] = "psycopg executemany()"

    def call(self, conn: Connection, given: Any) -> object:
        """Run the commands by ``executemany()``."""
        with conn.transaction(), conn.cursor() as cursor:
            cursor.executemany(self.sent[0].text, self.workload.values(given))
        return None


class Copy(OnPsycopg):
    """Load the values of all commands, which are the same insert."""

    name: ClassVar[str] = "psycopg COPY"

    def call(self, conn: Connection, given: Any) -> object:
        """Load the rows by COPY."""
        command = self.workload.commands[0]
        text = f"COPY {command.table} ({', '.join(command.columns)}) FROM STDIN"
        with conn.cursor() as cursor, cursor.copy(text.encode()) as copy:
            for row in self.workload.values(given):
                copy.write_row(row)
        return None
