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
from typing import Any, cast

import psycopg
from attrs import fields
from sqlalchemy import CursorResult, Engine, MetaData, create_engine, insert, text
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql.base import Executable

from benchmarks.peers import Driver, Peer
from benchmarks.workloads import Command, Rows


class OnEngine(Peer):
    """A peer on an engine with room for one connection."""

    @contextmanager
    def open(self, conninfo: str) -> Iterator[Driver]:
        """Create an engine, and reflect the tables."""

        def connect() -> psycopg.Connection[Any]:
            return psycopg.connect(conninfo)

        engine = create_engine(
            "postgresql+psycopg://", creator=connect, pool_size=1, max_overflow=0
        )
        metadata = MetaData()
        metadata.reflect(engine, only=[c.table for c in self.workload.commands if c.table])
        self.sent = [*zip(self.workload.commands, self.written(metadata), strict=True)]
        try:
            yield self.driver(partial(self.call, engine))
        finally:
            engine.dispose()

    def written(self, metadata: MetaData) -> list[Any]:
        """Write the commands in SQLAlchemy's form."""
        return [_statement(command, metadata) for command in self.workload.commands]

    @abstractmethod
    def call(self, engine: Engine, given: Any, /) -> object:
        """Run the commands in a transaction."""


class Core(OnEngine):
    """Wait for the answer to each statement; rows are named tuples."""

    name = "SQLAlchemy Core"

    def call(self, engine: Engine, given: Any) -> object:
        """Run the commands."""
        rows: list[Rows] = []
        with engine.begin() as conn:
            for (command, statement), values in zip(
                self.sent, self.workload.values(given), strict=True
            ):
                answer = conn.execute(statement, _named(command, values))
                rows.append(answer.all() if answer.returns_rows else ())
                command.check(answer.rowcount, given)
        return rows


class Orm(OnEngine):
    """Collect objects, and send them when the session is flushed."""

    name = "SQLAlchemy ORM"

    def written(self, metadata: MetaData) -> list[Any]:
        """Map a class to each table, which stands for an insert."""
        base: Any = type("Base", (DeclarativeBase,), {"metadata": metadata})
        classes = {
            name: type(name, (base,), {"__table__": table})
            for name, table in metadata.tables.items()
        }
        statements = zip(self.workload.commands, super().written(metadata), strict=True)
        return [classes.get(command.table, statement) for command, statement in statements]

    def call(self, engine: Engine, given: Any) -> object:
        """Run the commands; inserts are objects."""
        made: list[object] = []
        # Not expired after COMMIT, because the objects are the result.
        with Session(engine, expire_on_commit=False) as session, session.begin():
            for (command, sent), values in zip(self.sent, self.workload.values(given), strict=True):
                if command.table:
                    made.append(sent(**_named(command, values)))
                    continue
                session.add_all(made)
                session.flush()
                answer = session.execute(sent, _named(command, values))
                command.check(cast("CursorResult[tuple[()]]", answer).rowcount, given)
        return made


def _statement(command: Command, metadata: MetaData) -> Executable:
    if not command.table:
        return text(re.sub(r"\$(\d+)", r":p\1", command.sql))
    table = metadata.tables[command.table]
    if command.model is None:
        return insert(table)
    return insert(table).returning(*[table.c[column.name] for column in fields(command.model)])


def _named(command: Command, values: Sequence[object]) -> dict[str, object]:
    names = command.columns or [f"p{number}" for number in range(1, len(values) + 1)]
    return dict(zip(names, values, strict=True))
