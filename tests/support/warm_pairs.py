# SPDX-License-Identifier: MIT
"""A warm connection, which repeats flights and keeps its Transformer, and one that has no state.

Whatever happens to both, they must answer and store the same."""

from __future__ import annotations

from itertools import count

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.types.string import StrDumper

from batchq import InvalidBatch
from batchq.result import Ok, attempt
from tests.support.clients import prepared

TABLES = """
CREATE TABLE parent (id int PRIMARY KEY, gen int NOT NULL DEFAULT 1);
CREATE TABLE item (
    id bigint CONSTRAINT item_pkey PRIMARY KEY, parent int, note text, number bigint,
    tags text[], day date
);
INSERT INTO parent (id) VALUES (1), (2)
"""


class Text(str):
    """A str that is not one to psycopg, which declares its type as text."""

    __slots__ = ()


class TextDumper(StrDumper):
    """Declare the type, as psycopg does not for a str."""


class Quoting(Dumper):
    """A dumper of the caller's."""

    def dump(self, obj):
        return f"<{obj}>".encode(self.connection.info.encoding)


class Reading(Loader):
    """A loader of the caller's."""

    def load(self, data):
        return "read", bytes(data)


def attempted(conn, batch, options):
    """Return the answer to a batch, or the error if it cannot be sent."""
    try:
        return attempt(conn, batch, **options)
    except InvalidBatch as error:
        return error


class WarmPair:
    """The two connections, each in a schema of its own with the same history."""

    def __init__(self, conninfo):
        self.warm, self.cold = (
            psycopg.connect(conninfo, autocommit=True, prepare_threshold=threshold)
            for threshold in (0, None)
        )
        self.changes = count()
        for conn, schema in ((self.warm, "warm"), (self.cold, "cold")):
            self.execute(conn, f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")
        self.set_paths()
        for conn in (self.warm, self.cold):
            self.execute(conn, TABLES)
            conn.adapters.register_dumper(Text, TextDumper)

    def execute(self, conn, text):
        for command in text.split(";\n"):
            conn.execute(command, prepare=False)

    def set_paths(self):
        self.execute(self.warm, "SET search_path = warm")
        self.execute(self.cold, "SET search_path = cold")

    def both(self, text):
        for conn in (self.warm, self.cold):
            self.execute(conn, text)

    def apply(self, event):
        EVENTS[event](self, next(self.changes) % 2)

    def discard(self, _):
        self.both("DISCARD ALL")
        self.set_paths()

    def deallocate(self, _):
        for name in sorted(prepared(self.warm))[:1]:
            self.execute(self.warm, f'DEALLOCATE "{name.decode()}"')

    def register(self, dumper, loader):
        for conn in (self.warm, self.cold):
            if dumper is not None:
                conn.adapters.register_dumper(str, dumper)
            if loader is not None:
                conn.adapters.register_loader("text", loader)

    def set(self, **attributes):
        for name, value in attributes.items():
            setattr(self.warm, name, value)

    def run(self, batch, other, options):
        """Run a batch on the warm connection, and one that must do the same on the other."""
        assert self.seen(self.warm, batch, options) == self.seen(self.cold, other, options)
        for rows in "SELECT * FROM item ORDER BY id", "SELECT * FROM parent ORDER BY id":
            warm, cold = (
                conn.execute(rows, prepare=False).fetchall() for conn in (self.warm, self.cold)
            )
            assert warm == cold

    def seen(self, conn, batch, options):
        if "nested" in options:
            self.execute(conn, "BEGIN")
        answer = attempted(conn, batch, options)
        if "nested" in options:
            self.execute(conn, "COMMIT")
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        if isinstance(answer, Ok):
            return answer.value
        if isinstance(answer, InvalidBatch):
            return str(answer), answer.index, answer.outcome
        report = answer.report
        what = report.violation and (report.violation.sqlstate, report.violation.constraint)
        return type(answer.error), type(report), str(report), report.outcome, report.path, what


EVENTS = {
    "discard all": WarmPair.discard,
    "deallocate": lambda pair, n: pair.deallocate(n),
    "alter": lambda pair, n: pair.both(
        f"ALTER TABLE item ALTER note TYPE {('text', 'varchar(50)')[n]}"
    ),
    "style": lambda pair, n: pair.both(f"SET DateStyle = {('German', 'ISO')[n]}"),
    "encoding": lambda pair, n: pair.both(f"SET client_encoding = {('latin1', 'utf8')[n]}"),
    "dumper": lambda pair, _: pair.register(Quoting, None),
    "loader": lambda pair, _: pair.register(None, Reading),
    "prepared_max": lambda pair, n: pair.set(prepared_max=(3, 100)[n]),
    "prepare_threshold": lambda pair, n: pair.set(prepare_threshold=(None, 0)[n]),
}
