# SPDX-License-Identifier: MIT
"""SQLAlchemy on psycopg: Core, which sends each statement, and the ORM's unit of work.

https://docs.sqlalchemy.org/en/21/core/connections.html: "Begin Once",
https://docs.sqlalchemy.org/en/21/tutorial/data_insert.html: "INSERT...RETURNING", and
https://docs.sqlalchemy.org/en/21/orm/session_basics.html: "Framing out a begin / commit / rollback
block". The tables are reflected. Inserts are its own expressions, everything else is ``text()``.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, cast

import psycopg
from attrs import fields
from sqlalchemy import CursorResult, Engine, MetaData, create_engine, insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql.base import Executable

from benchmarks.peers import Driver, Peer
from benchmarks.workloads import Command, Rows


class OnEngine(Peer):
    """A peer on an engine with room for one connection."""

    @contextmanager
    def open(self, conninfo: str) -> Iterator[Driver]:
        """Create an engine, and reflect the tables."""
        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(conninfo),
            pool_size=1,
            max_overflow=0,
        )
        metadata = MetaData()
        metadata.reflect(engine, only=[c.table for c in self.workload.commands[:10] if c.table])
        self.prepare(metadata)
        try:
            yield self.driver(partial(self._call, engine))
        finally:
            engine.dispose()

    @abstractmethod
    def prepare(self, metadata: MetaData) -> None:
        """Write the commands in SQLAlchemy's form."""

    @abstractmethod
    def call(self, engine: Engine, given: Any) -> object:
        """Run the commands in a transaction."""

    def _call(self, engine: Engine, given: Any) -> object:
        try:
            return self.call(engine, given)
        except IntegrityError as error:
            constraint = cast("psycopg.Error", error.orig).diag.constraint_name
            raise self.workload.error(constraint, given) from error


class Core(OnEngine):
    """Wait for the answer to each statement; rows are named tuples."""

    name: ClassVar[str] = "SQLAlchemy Core"

    def prepare(self, metadata: MetaData) -> None:
        """Make a statement of each command."""
        self._sent = [_statement(command, metadata) for command in self.workload.commands]

    def call(self, engine: Engine, given: Any) -> object:
        """Run the commands."""
        rows: list[Rows] = []
        values_of = zip(
            self.workload.commands, self._sent, self.workload.values(given), strict=True
        )
        with engine.begin() as conn:
            for command, statement, values in values_of:
                answer = conn.execute(statement, _named(command, values))
                rows.append(answer.all() if answer.returns_rows else ())
                count = len(rows[-1]) if answer.returns_rows else answer.rowcount
                command.check(count, rows[-1], given)
        return rows


class CoreMany(Core):
    """Send one statement with the values of all commands, which are the same insert."""

    name: ClassVar[str] = "SQLAlchemy Core, executemany"

    def call(self, engine: Engine, given: Any) -> object:
        """Run the commands as one."""
        command = self.workload.commands[0]
        with engine.begin() as conn:
            rows = [_named(command, values) for values in self.workload.values(given)]
            conn.execute(self._sent[0], rows)
        return None


class Orm(OnEngine):
    """Collect objects, and send them when the session is flushed."""

    name: ClassVar[str] = "SQLAlchemy ORM"

    def prepare(self, metadata: MetaData) -> None:
        """Map a class to each table."""
        base: Any = type("Base", (DeclarativeBase,), {"metadata": metadata})
        self._classes: dict[str, Any] = {
            name: type(name, (base,), {"__table__": table})
            for name, table in metadata.tables.items()
        }
        self._texts = {c: _text(c) for c in self.workload.commands if not c.table}

    def call(self, engine: Engine, given: Any) -> object:
        """Run the commands; inserts are objects."""
        made: list[object] = []
        # Not expired after COMMIT, because the objects are the result.
        with Session(engine, expire_on_commit=False) as session, session.begin():
            values_of = zip(self.workload.commands, self.workload.values(given), strict=True)
            for command, values in values_of:
                if command.table:
                    made.append(self._classes[command.table](**_named(command, values)))
                    continue
                session.add_all(made)
                session.flush()
                answer = session.execute(self._texts[command], _named(command, values))
                count = cast("CursorResult[tuple[()]]", answer).rowcount
                command.check(count, (), given)
        return made


def _statement(command: Command, metadata: MetaData) -> Executable:
    if not command.table:
        return _text(command)
    table = metadata.tables[command.table]
    if command.model is None:
        return insert(table)
    return insert(table).returning(*[table.c[column.name] for column in fields(command.model)])


def _text(command: Command) -> Executable:
    return text(re.sub(r"\$(\d+)", r":p\1", command.sql))


def _named(command: Command, values: Sequence[object]) -> dict[str, object]:
    names = command.columns or [f"p{number}" for number in range(1, len(values) + 1)]
    return dict(zip(names, values, strict=True))
