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
from psycopg.types.string import StrDumper

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


class Text(str):
    """A str that is not one to psycopg, which declares its type as text."""

    __slots__ = ()


class TextDumper(StrDumper):
    """Declare the type, as psycopg does not for a str."""


class Taken(Exception):
    """The id exists."""


def new(values):
    row = {
        "id": values["id"],
        "parent": values["parent"],
        "note": values["note"],
        "number": values["number"],
    }
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
        "parent": st.sampled_from([1, 1, 1, 1, 2, 3]),
        "note": st.sampled_from([None, "a", "007", "é", Text("b")]),
        "number": st.sampled_from([None, 1, 1 << 40]),
        "tags": st.sampled_from([None, [], ["x"], ["x", None]]),
        "list": st.sampled_from([None, [], [1], [1 << 40]]),
    }
)
OPTIONS = st.sampled_from(
    (
        *({}, {}, {}, {"nested": True}, {"timeout": 60}, {"deadline": 60}),
        *({"retry": Retry(attempts=2)}, {"isolation": "serializable"}, {"read_only": True}),
    )
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

    def run(self, name, values, options):
        batch = BATCHES[name](values)
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


EVENTS = {
    "discard all": Pair.discard,
    "deallocate": Pair.deallocate,
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


@st.composite
def histories(draw):
    """Draw runs of one batch with a few kinds of values, so that many are alike, and events."""
    name = draw(st.sampled_from(sorted(BATCHES)))
    kinds = draw(st.lists(VALUES, min_size=1, max_size=3))
    options = draw(OPTIONS)
    run = st.tuples(st.just(name), st.sampled_from(kinds), st.just(options))
    return draw(
        st.lists(run | run | run | st.sampled_from(sorted(EVENTS)), min_size=16, max_size=32)
    )


@settings(max_examples=60)
@given(history=histories())
def test_repeated_flights_answer_and_store_the_same(postgres, repeated, history):
    connection_state._states.clear()
    before = next(repeated)
    pair = Pair(postgres.conninfo())
    with pair.warm, pair.cold:
        for shift, step in enumerate(history):
            if isinstance(step, str):
                pair.apply(step)
            else:
                name, values, options = step
                pair.run(name, values | {"id": values["id"] + shift}, options)
    event("repeated" if next(repeated) - before > 1 else "never repeated")
