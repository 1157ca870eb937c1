# SPDX-License-Identifier: MIT
"""Whatever is run, in whatever order, a connection that repeats flights and keeps its Transformer
answers and stores the same as one that prepares nothing and has no state."""

from __future__ import annotations

from datetime import date
from itertools import count
from typing import NamedTuple

import psycopg
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from psycopg.adapt import Dumper, Loader

from batchq import Retry, gather, insert, select, sql, unique, update
from batchq.engine.wire import connection_state
from batchq.engine.wire.prepared_flight import PreparedFlight
from batchq.hierarchy import Parent
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
PARENT = Parent(table="parent", key="id", deleted_at=None, generation="gen")
ITEMS = PARENT.children("item", by="parent", deleted_at=None)


class Item(NamedTuple):
    """A row of the table, with the column whose format depends on a setting."""

    id: int
    note: object
    tags: object
    day: date


class Taken(Exception):
    """The id exists."""


def new(values):
    row = {"id": values["id"], "parent": values["parent"], "note": values["note"], "number": values["number"]}
    row |= {"tags": values["tags"], "day": date(2026, 2, 3)}
    return insert("item", row).one(Item).on(unique("item_pkey"), Taken)


BATCHES = {
    "one insert": new,
    "several": lambda values: gather(
        new(values).label("new"),
        select("item", ["id", "note"], where={"note": values["note"]}).all(tuple),
        update("item", {"number": values["number"]}, {"id": [values["id"], 3]}).count(),
    ),
    "once and last": lambda values: ITEMS.add(values["parent"], new(values), missing=LookupError),
    "an output": lambda values: gather(
        item := new(values),
        update("item", {"number": item.output("id")}, {"note": values["note"]}).count(),
        sql("SELECT %(a)s::text, %(b)s::int8[]", a=values["note"], b=values["list"]).one(tuple),
    ),
    "a guard": lambda values: gather(
        new(values),
        update("item", {"note": "changed"}, {"id": values["id"]})
        .expect(1)
        .require({"number": values["number"]}, raises=Taken),
    ),
}
VALUES = st.fixed_dictionaries(
    {
        "id": st.integers(0, 30) | st.just(1 << 40),
        "parent": st.sampled_from([1, 1, 1, 2, 3]),
        "note": st.none() | st.sampled_from(["a", "007", "é", "{x}"]) | st.just(7),
        "number": st.none() | st.sampled_from([1, 1 << 40, "5"]),
        "tags": st.sampled_from([None, [], ["x"], ["x", None]]),
        "list": st.sampled_from([None, [], [1], [1 << 40]]),
    }
)
OPTIONS = st.sampled_from(
    [{}, {}, {}, {"nested": True}, {"timeout": 60}, {"deadline": 60}, {"retry": Retry(attempts=2)}]
    + [{"isolation": "serializable"}, {"read_only": True}]
)
RUNS = st.tuples(
    st.sampled_from(sorted(BATCHES)),
    st.lists(VALUES, min_size=1, max_size=3),
    OPTIONS,
    st.integers(1, 6),
)
EVENTS = st.sampled_from(
    ["DISCARD ALL", "DEALLOCATE", "ALTER", "DateStyle", "client_encoding", "dumper", "loader"]
    + ["prepared_max", "prepare_threshold"]
)


class Quoting(Dumper):
    """A dumper of the caller's."""

    def dump(self, obj):
        return f"<{obj}>".encode(self.connection.info.encoding)


class Reading(Loader):
    """A loader of the caller's."""

    def load(self, data):
        return "read", bytes(data)


class Pair:
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

    def execute(self, conn, text):
        for command in text.split(";\n"):
            conn.execute(command, prepare=False)

    def set_paths(self):
        self.execute(self.warm, "SET search_path = warm")
        self.execute(self.cold, "SET search_path = cold")

    def apply(self, name):
        n = next(self.changes)
        match name:
            case "DISCARD ALL":
                for conn in (self.warm, self.cold):
                    self.execute(conn, "DISCARD ALL")
                self.set_paths()
            case "DEALLOCATE":
                for known in sorted(prepared(self.warm))[:1]:
                    self.execute(self.warm, f'DEALLOCATE "{known.decode()}"')
            case "ALTER":
                for conn in (self.warm, self.cold):
                    kind = ("varchar(50)", "text")[n % 2]
                    self.execute(conn, f"ALTER TABLE item ALTER note TYPE {kind}")
            case "DateStyle" | "client_encoding":
                values = {"DateStyle": ("German", "ISO"), "client_encoding": ("latin1", "utf8")}
                for conn in (self.warm, self.cold):
                    self.execute(conn, f"SET {name} = '{values[name][n % 2]}'")
            case "dumper":
                for conn in (self.warm, self.cold):
                    conn.adapters.register_dumper(str, Quoting)
            case "loader":
                for conn in (self.warm, self.cold):
                    conn.adapters.register_loader("text", Reading)
            case "prepared_max":
                self.warm.prepared_max = (3, 100)[n % 2]
            case "prepare_threshold":
                self.warm.prepare_threshold = (None, 0, 2)[n % 3]

    def run(self, name, values, options, times):
        for shift in range(times):
            chosen = values[shift % len(values)]
            batch = BATCHES[name](chosen | {"id": chosen["id"] + shift})
            assert self.seen(self.warm, batch, options) == self.seen(self.cold, batch, options)
        rows = "SELECT * FROM item ORDER BY id"
        stored = [conn.execute(rows, prepare=False).fetchall() for conn in (self.warm, self.cold)]
        assert stored[0] == stored[1]

    def seen(self, conn, batch, options):
        if "nested" in options:
            self.execute(conn, "BEGIN")
        answer = attempt(conn, batch, **options)
        if "nested" in options:
            self.execute(conn, "COMMIT")
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        if isinstance(answer, Ok):
            return answer.value
        report = answer.report
        what = report.violation and (report.violation.sqlstate, report.violation.constraint)
        return type(answer.error), type(report), str(report), report.outcome, report.path, what


@pytest.fixture
def repeated(monkeypatch):
    """Count the flights that are repeated."""
    numbers = count()
    original = PreparedFlight.send

    def send(flight, pg, encoded):
        next(numbers)
        original(flight, pg, encoded)

    monkeypatch.setattr(PreparedFlight, "send", send)
    return numbers


@settings(max_examples=60)
@given(history=st.lists(RUNS | RUNS | EVENTS, min_size=2, max_size=14))
def test_repeated_flights_answer_and_store_the_same(postgres, repeated, history):
    connection_state._states.clear()
    before = next(repeated)
    pair = Pair(postgres.conninfo())
    with pair.warm, pair.cold:
        for step in history:
            if isinstance(step, str):
                pair.apply(step)
            else:
                pair.run(*step)
    event("repeated" if next(repeated) - before > 1 else "never repeated")
