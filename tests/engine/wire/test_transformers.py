# SPDX-License-Identifier: MIT
"""A connection's Transformer is kept from one batch to the next, and is as good as a new one."""

from __future__ import annotations

import gc
import json
import weakref
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.adapt import AdaptersMap, Dumper, Loader
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Jsonb, set_json_dumps, set_json_loads

from batchq import gather, insert, param, run, sql
from batchq.engine.wire import transformers
from batchq.engine.wire.connection_state import state_of
from batchq.result import attempt

WARM_UP = 4
"""Runs until a batch is sent by the names of its prepared statements, and once more."""


@pytest.fixture
def client(database):
    with psycopg.connect(database, autocommit=True, prepare_threshold=0) as client:
        yield client


@pytest.fixture
def made(monkeypatch):
    """Return the list of Transformers that are made from now on."""
    made = []

    def make(connection):
        made.append(connection)
        return psycopg.adapt.Transformer(connection)

    monkeypatch.setattr(transformers, "Transformer", make)
    return made


def echo(value, as_type):
    return sql(f"SELECT %(value)s::{as_type}", value=value).one(tuple).map(lambda row: row[0])


def warm(client, batch):
    for _ in range(WARM_UP):
        result = run(client, batch)
    return result


VALUES = [
    (7, "int8"),
    ("seven", "text"),
    (uuid4(), "uuid"),
    (date(2026, 2, 3), "date"),
    (datetime(2026, 2, 3, 4, 5), "timestamp"),  # noqa: DTZ001  a timestamp has no zone
    (timedelta(days=3, hours=4), "interval"),
    ([1, 2], "int8[]"),
    ([UUID(int=7)], "uuid[]"),
    (None, "text"),
    (1.5, "float8"),
    (b"\0", "bytea"),
]


@pytest.mark.parametrize(("value", "as_type"), VALUES, ids=[as_type for _, as_type in VALUES])
def test_transformer_is_kept_for_values_of_psycopg_types(client, made, value, as_type):
    assert warm(client, echo(value, as_type)) == value
    made.clear()
    assert run(client, echo(value, as_type)) == value
    assert made == []


def test_kept_transformer_does_not_keep_the_rows(client):
    warm(client, echo("a secret", "text"))
    (kept,) = state_of(client).transformers._idle
    assert kept.transformer.pgresult is None


def test_kept_transformer_does_not_keep_the_connection(database):
    client = psycopg.connect(database, autocommit=True, prepare_threshold=0)
    warm(client, echo("é", "text"))
    assert state_of(client).transformers._idle
    client.close()
    left = weakref.ref(client)
    del client
    gc.collect()
    assert left() is None


def test_constants_of_a_dropped_declaration_are_dropped(client):
    for number in range(2 * WARM_UP):
        declared = gather(
            sql("SELECT %(a)s::int8, %(b)s::int8", a=number, b=param("b", int)).one(tuple)
        )
        run(client, declared.bind(b=7))
        del declared
        gc.collect()
    (kept,) = state_of(client).transformers._idle
    assert len(kept.constants) == 1


def test_classes_of_values_are_not_kept_without_a_bound(client, monkeypatch):
    monkeypatch.setattr(transformers, "_MOST_CLASSES", 4)
    made = weakref.WeakSet()
    for number in range(WARM_UP * 4):
        kind = type("Kind", (str,), {"__slots__": ()})
        made.add(kind)
        run(client, echo(kind(number), "text"))
    seen = [each for each in state_of(client).transformers._idle if each.stateless & set(made)]
    assert sum(len(each.stateless) for each in seen) <= 6


class Shouting(str):
    """A str with a dumper of its own."""

    __slots__ = ()


class Upper(Dumper):
    def dump(self, obj):
        return obj.upper().encode()


class Lower(Upper):
    def dump(self, obj):
        return obj.lower().encode()


class Reversed(Loader):
    def load(self, data):
        return bytes(data).decode()[::-1]


@pytest.mark.parametrize(
    ("register", "before", "after"),
    [
        (lambda adapters: adapters.register_dumper(str, Upper), "Ab", "AB"),
        (lambda adapters: adapters.register_loader("text", Reversed), "Ab", "bA"),
    ],
    ids=["dumper", "loader"],
)
def test_adapter_registered_between_batches_is_used(client, register, before, after):
    assert warm(client, echo("Ab", "text")) == before
    register(client.adapters)
    assert [run(client, echo("Ab", "text")) for _ in range(WARM_UP)] == [after] * WARM_UP


def test_adapter_replaced_by_another_is_used(client):
    client.adapters.register_dumper(Shouting, Upper)
    assert warm(client, echo(Shouting("Ab"), "text")) == "AB"
    client.adapters.register_dumper(Shouting, Lower)
    assert run(client, echo(Shouting("Ab"), "text")) == "ab"


def test_enum_registered_between_batches_is_used(client, conn):
    conn.execute("CREATE TYPE mood AS ENUM ('fine')")
    schema = conn.execute("SELECT current_schema").fetchone()[0]
    batch = sql(f"SELECT 'fine'::{schema}.mood").one(tuple)
    assert warm(client, batch) == ("fine",)
    info = EnumInfo.fetch(client, f"{schema}.mood")
    register_enum(info, client)
    assert run(client, batch)[0].name == "fine"


@pytest.fixture
def json_functions():
    yield
    set_json_dumps(json.dumps)
    set_json_loads(json.loads)


@pytest.mark.usefixtures("json_functions")
def test_json_function_set_for_all_is_used(client):
    batch = gather(echo(Jsonb({"a": 1}), "jsonb"), sql("""SELECT '{"a": 2}'::jsonb""").one(tuple))
    assert warm(client, batch) == ({"a": 1}, ({"a": 2},))
    set_json_dumps(lambda _: '{"a": 3}')
    assert run(client, batch) == ({"a": 3}, ({"a": 2},))
    set_json_loads(lambda _: "loaded")
    assert run(client, batch) == ("loaded", ("loaded",))


@pytest.mark.parametrize("before", [0, WARM_UP], ids=["at first", "after other batches"])
@pytest.mark.parametrize("as_type", ["text", "text[]"])
def test_loader_of_the_caller_is_made_for_each_batch(client, as_type, before):
    batch = sql(f"SELECT CAST(ARRAY['a'] AS text[])::{as_type}").one(tuple)
    for _ in range(before):
        run(client, batch)
    count = 0

    class Counted(Loader):
        def __init__(self, oid, context=None):
            nonlocal count
            count += 1
            super().__init__(oid, context)

        def load(self, data):
            return bytes(data).decode()

    client.adapters.register_loader("text", Counted)
    for runs in range(1, WARM_UP + 2):
        run(client, batch)
        assert count == runs


@pytest.mark.parametrize("in_a_list", [False, True])
def test_dumper_of_the_caller_is_made_for_each_batch(client, in_a_list):
    made = []

    class Counted(Upper):
        oid = 25  # text

        def __init__(self, cls, context=None):
            made.append(cls)
            super().__init__(cls, context)

    client.adapters.register_dumper(Shouting, Counted)
    for _ in range(WARM_UP + 1):
        made.clear()
        value = Shouting("a")
        run(client, echo([value] if in_a_list else value, "text"))
        assert made


SETTINGS = {
    "DateStyle": ("German", "SELECT '2026-02-03'::date"),
    "TimeZone": ("Asia/Tokyo", "SELECT '2026-02-03 12:00+00'::timestamptz"),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_setting_changed_between_batches_is_seen(database, client, setting):
    value, text = SETTINGS[setting]
    batch = sql(text).one(tuple)
    warm(client, batch)
    client.execute(f"SET {setting} = '{value}'")
    with psycopg.connect(database, autocommit=True) as new:
        new.execute(f"SET {setting} = '{value}'")
        expected = run(new, batch)
    assert repr([run(client, batch) for _ in range(WARM_UP)]) == repr([expected] * WARM_UP)
    client.execute(f"RESET {setting}")
    assert run(client, batch) == expected


@pytest.mark.parametrize("setting", ["DateStyle", "TimeZone"])
def test_setting_changed_by_a_step_is_seen(client, setting):
    value, text = SETTINGS[setting]
    batch = sql(text).one(tuple)
    expected = warm(client, batch)
    change = sql(f"SELECT set_config('{setting}', %(value)s, false)", value=value)
    for _ in range(WARM_UP):
        assert run(client, gather(change.one(tuple), batch))[1] == expected
        client.execute(f"RESET {setting}")
        assert run(client, batch) == expected


def test_encoding_changed_between_batches_is_seen(client):
    warm(client, echo("é", "text"))
    client.execute("SET client_encoding = latin1")
    assert run(client, echo("é", "text")) == "é"
    assert run(client, sql("SELECT length(%(a)s::text)", a="é").one(tuple)) == (1,)


def test_type_registered_between_batches_is_used(client):
    warm(client, echo([7], "int8[]"))
    client.adapters.types.add(psycopg.types.TypeInfo("int8", 20, 1009))  # 1009: text[]
    assert run(client, sql("SELECT %(a)s", a=[7]).one(tuple)) == (["7"],)


def test_transformer_is_kept_after_a_failure(client, made):
    client.execute("CREATE TEMPORARY TABLE t (id int PRIMARY KEY)")
    for _ in range(WARM_UP):
        attempt(client, gather(echo(7, "int8"), insert("t", {"id": None})))
    assert len(made) == 1


@pytest.mark.parametrize("own", [False, True])
def test_loader_of_the_caller_is_made_for_each_row_that_a_guard_reports(client, own):
    class Counting(Loader):
        made = 0

        def __init__(self, *args):
            super().__init__(*args)
            Counting.made += 1

        def load(self, data):
            return bytes(data)

    if own:
        client.adapters.register_loader("text", Counting)
    unmet = sql("SELECT 'x'::text AS name").expect(0, unexpected=LookupError, columns=["name"])
    for _ in range(WARM_UP):
        assert isinstance(attempt(client, unmet).error, LookupError)
    assert Counting.made == (WARM_UP if own else 0)


def test_transformer_is_used_by_one_batch_at_a_time(client):
    # Two batches that share one may read one another's types or rows, if a thread is switched in
    # between: too rarely to be seen by running threads.
    warm(client, echo(7, "int8"))
    idle = state_of(client).transformers
    first, second = idle.take(client), idle.take(client)
    assert first.transformer is not second.transformer
    idle.give_back(first)
    assert idle.take(client) is first


def test_contract_a_map_copies_what_another_shares_before_it_changes_it():
    # What Transformers.take() relies on: see batchq/engine/wire/transformers.py.
    now = AdaptersMap(psycopg.adapters)
    kept = AdaptersMap(now)
    assert transformers._CAN_KEEP
    assert now.types._registry is kept.types._registry
    assert now._dumpers == kept._dumpers
    assert all(now._dumpers[format_] is kept._dumpers[format_] for format_ in now._dumpers)
    now.register_dumper(Shouting, Upper)
    assert Shouting not in kept._dumpers[psycopg.adapt.PyFormat.TEXT]
    assert now._dumpers != kept._dumpers
    now.register_loader("text", Reversed)
    assert now._loaders != kept._loaders
    now.types.add(psycopg.types.TypeInfo("made_up", 99_999, 99_998))
    assert now.types._registry is not kept.types._registry
