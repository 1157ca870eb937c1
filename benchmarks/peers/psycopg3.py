# SPDX-License-Identifier: MIT
"""psycopg's own ways: a transaction block, pipeline mode in two forms, executemany() and COPY.

https://www.psycopg.org/psycopg3/docs/basic/transactions.html, and for the rows
https://www.psycopg.org/psycopg3/docs/advanced/typing.html,
https://www.psycopg.org/psycopg3/docs/advanced/pipeline.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg.rows import class_row, tuple_row

from benchmarks.peers import AsyncConnection, Connection, OnPsycopg
from benchmarks.workloads import Command, Rows, Workload


class Transaction(OnPsycopg):
    """Wait for the answer to each statement."""

    name = "psycopg transaction()"

    def __init__(self, workload: Workload, name: str = "") -> None:
        super().__init__(workload, name)
        self.sent = [
            (self.text(command).encode(), class_row(command.model) if command.model else tuple_row)
            for command in workload.commands
        ]

    def text(self, command: Command) -> str:
        """Return a command's SQL with the placeholders of psycopg."""
        return re.sub(r"\$\d+", "%s", command.sql)

    def call(self, conn: Connection, given: Any) -> object:
        """Run the commands in a transaction block."""
        with conn.transaction():
            # The cursors come one by one: the next one when the answer to the last was checked.
            return self.result(self.cursors(conn, given), given)

    def cursors(self, conn: Connection, given: Any) -> Iterator[psycopg.Cursor[Any]]:
        """Send the commands."""
        for (text, factory), values in zip(self.sent, self.workload.values(given), strict=True):
            yield conn.cursor(row_factory=factory).execute(text, values)

    def result(self, cursors: Iterable[psycopg.Cursor[Any]], given: Any) -> object:
        """Check the answers, and make the result of their rows."""
        rows: list[Rows] = []
        for cursor, command in zip(cursors, self.workload.commands, strict=True):
            rows.append(cursor.fetchall() if command.model else ())
            command.check(cursor.rowcount, given)
        return self.workload.result(rows)

    async def acall(self, conn: AsyncConnection, given: Any) -> object:
        """Run the commands in a transaction block on an async connection."""
        rows: list[Rows] = []
        work = zip(self.workload.commands, self.sent, self.workload.values(given), strict=True)
        async with conn.transaction():
            for command, (text, factory), values in work:
                cursor = await conn.cursor(row_factory=factory).execute(text, values)
                rows.append(await cursor.fetchall() if command.model else ())
                command.check(cursor.rowcount, given)
        return self.workload.result(rows)


class Autocommit(Transaction):
    """Let each statement be a transaction of its own: enough for a single one."""

    name = "psycopg, in autocommit"

    def call(self, conn: Connection, given: Any) -> object:
        """Run the commands without a transaction block."""
        return self.result(self.cursors(conn, given), given)


class Pipeline(Transaction):
    """Send all between BEGIN and COMMIT at once, and check the answers before COMMIT.

    The block waits for its BEGIN and for its COMMIT.
    """

    name = "psycopg pipeline() + transaction()"

    def call(self, conn: Connection, given: Any) -> object:
        """Run the commands in a transaction block in pipeline mode."""
        with conn.pipeline() as pipeline, conn.transaction():
            cursors = [*self.cursors(conn, given)]
            pipeline.sync()
            return self.result(cursors, given)


class Queued(Transaction):
    """Send all at once, BEGIN and COMMIT included.

    COMMIT is sent before any answer is read, so the server itself has to abort if a row is missing:
    it divides by zero. A transaction that has failed is still open, and is rolled back in a second
    flight.
    """

    name = "psycopg pipeline(), BEGIN queued"

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
                cursors = [*self.cursors(conn, given)]
                conn.execute("COMMIT")
            return self.result(cursors, given)
        except psycopg.Error as error:
            conn.rollback()
            if isinstance(error, psycopg.errors.DivisionByZero):
                raise self.workload.commands[0].error(given) from error
            raise


class ExecuteMany(Transaction):
    """Send one statement with the values of all commands, which are the same statement."""

    name = "psycopg executemany()"

    def call(self, conn: Connection, given: Any) -> object:
        """Run the commands by ``executemany()``."""
        with conn.transaction(), conn.cursor() as cursor:
            cursor.executemany(self.sent[0][0], self.workload.values(given))
        return None


class Copy(OnPsycopg):
    """Load the values of all commands, which are the same insert."""

    name = "psycopg COPY"

    def call(self, conn: Connection, given: Any) -> object:
        """Load the rows by COPY."""
        command = self.workload.commands[0]
        text = f"COPY {command.table} ({', '.join(command.columns)}) FROM STDIN"
        with conn.cursor() as cursor, cursor.copy(text.encode()) as copy:
            for row in self.workload.values(given):
                copy.write_row(row)
        return None
