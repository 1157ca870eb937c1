# SPDX-License-Identifier: MIT
"""A bound statement is sent, answered and reported as the built one with the same values."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any
from uuid import UUID

import psycopg
import pytest
from attrs import Factory, frozen

from batchq import (
    InvalidBatch,
    Outcome,
    Statement,
    gather,
    insert,
    param,
    row,
    run,
    sql,
    unique,
    update,
)
from tests.support.answers import seen
from tests.support.clients import AsyncClient, SyncClient, parsed, prepared

TABLE = """
CREATE TABLE item (
    id uuid CONSTRAINT item_pkey PRIMARY KEY, name text CONSTRAINT item_name_key UNIQUE,
    number bigint, tags text[]
)
"""
TAKEN = f"INSERT INTO item (id, name) VALUES ('{UUID(int=9)}', 'taken')"
pytestmark = pytest.mark.link(TABLE, TAKEN)


class Taken(Exception):
    """The name exists."""


@frozen
class Item:
    """A row."""

    id: UUID
    name: str | None = "web"
    number: int | None = 1
    tags: list[str] | None = None


@frozen
class Tagged:
    """A row with a default that is made for each."""

    id: UUID
    tags: list[str] = Factory(list)


DEFAULT = insert("item", Tagged).partial(id=UUID(int=1))
BY_ID = {"id": row(Item).id}
DECLARED: dict[str, Statement[Any, Any]] = {
    "insert": insert("item", Item)
    .one(Item)
    .on(unique("item_name_key"), lambda v: Taken(v.values["name"])),
    "update": update("item", {"number": row(Item).number}, where=BY_ID).expect(1, missing=Taken),
    "a guard": update("item", {"tags": row(Item).tags}, where=BY_ID).require(
        {"name": "web"}, raises=Taken
    ),
    "sql": sql(
        "SELECT %(name)s::text || 'x', %(n)s::int8", name=row(Item).name, n=row(Item).number
    ).one(tuple),
}
BUILT = {
    "insert": lambda item: (
        insert("item", item).one(Item).on(unique("item_name_key"), lambda _: Taken(item.name))
    ),
    "update": lambda item: update("item", {"number": item.number}, {"id": item.id}).expect(
        1, missing=Taken
    ),
    "a guard": lambda item: update("item", {"tags": item.tags}, {"id": item.id}).require(
        {"name": "web"}, raises=Taken
    ),
    "sql": lambda item: sql(
        "SELECT %(name)s::text || 'x', %(n)s::int8", name=item.name, n=item.number
    ).one(tuple),
}
ITEMS = (
    Item(UUID(int=1)),
    Item(UUID(int=9), "new"),
    Item(UUID(int=2), "taken"),
    Item(UUID(int=3), None, None, []),
    Item(UUID(int=9), "é", 1 << 40, ["x", "y"]),
)


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def clients(request, link):
    """Return a client for bound statements, and one for built ones."""
    settings = {"prepare_threshold": 0}
    with (
        request.param(link.conninfo(), **settings) as bound,
        request.param(link.conninfo(), **settings) as built,
    ):
        yield bound, built


@pytest.mark.parametrize("case", DECLARED)
def test_bound_statement_is_sent_and_answered_as_the_built_one(clients, link, case):
    bound, built = clients
    one, more = sql("SELECT 1"), sql("SELECT 2").scalar(int)
    for item in ITEMS * 3:
        statement = DECLARED[case].bind(item)
        assert seen(bound, link, gather(one, statement.label("a"), more).label("b")) == seen(
            built, link, gather(one, BUILT[case](item).label("a"), more).label("b")
        )


def test_null_and_values_of_any_size_have_one_name(conn, database):
    conn.execute(TABLE)
    declared = insert("item", Item)
    with SyncClient(database, prepare_threshold=0) as client:
        counts = []
        for n, number in enumerate((1, None, 1 << 40, None, 2)):
            client.run(declared.bind(Item(UUID(int=n), str(n), number, [] if n % 2 else None)))
            client.run(declared.bind(Item(UUID(int=n + 50), None, number, ["x"])))
            counts.append(len(prepared(client.conn)))
    assert counts[1:] == counts[1:2] * 4


def test_values_without_a_type_of_a_whole_batch_parse_nothing(clients, link):
    numbers = param("numbers", list[int])
    tagged = update("item", {"name": "x"}, where={"number": numbers}).count()
    whole = gather(DECLARED["update"].label("a"), tagged)
    client, _ = clients
    typed, untyped = [(1, [1])] * 3, [(None, []), (2, []), (None, [1]), (3, [1])]
    sent = []
    for number, chosen in typed + untyped:
        with link.record() as recording:
            client.run(whole.bind(Item(UUID(int=9), number=number), numbers=chosen))
        sent.append(parsed(recording))
    assert sent[0] != []
    assert sent[3:] == [[]] * len(untyped)


def test_unbound_statement_is_rejected_before_anything_is_sent(clients, link):
    name = update("item", {"name": param("name", str)}, where={"id": UUID(int=9)})
    for declared, text in (
        (DECLARED["insert"], "'id' is not bound: .bind(Item…)"),
        (name, "'name' is not bound: .bind(name=…)"),
        (DEFAULT, "'Tagged.tags' is not bound: .bind()"),
    ):
        batch: Any = gather(sql("SELECT 1"), declared.label("here"))  # type: ignore[call-overload]
        for client in clients:
            with link.record() as recording, pytest.raises(InvalidBatch) as raised:
                client.run(batch)
            assert text in str(raised.value)
            assert (raised.value.index, raised.value.path) == (1, "here")
            assert raised.value.outcome is Outcome.NOT_SENT
            assert recording.bytes_sent == 0


def test_parameter_is_not_sent_by_a_dumper_of_the_caller(clients, link):
    class Anything(psycopg.adapt.Dumper):
        def dump(self, obj):
            return str(type(obj)).encode()

    for client in clients:
        client.conn.adapters.register_dumper(object, Anything)
        with pytest.raises(InvalidBatch, match="not bound"):
            client.run(DECLARED["insert"])


def test_constant_that_changes_is_sent_as_it_is(conn):
    conn.prepare_threshold = 0
    content = bytearray(b"a")
    declared = gather(
        sql("SELECT %(content)s::bytea, %(n)s::int8", content=content, n=param("n", int)).one(tuple)
    )
    for text in (b"a", b"b", b"c"):
        content[:] = text
        assert [run(conn, declared.bind(n=n)) for n in (1, 2)] == [((text, n),) for n in (1, 2)]


class Own(tzinfo):
    """A time zone whose offset changes, as that of a process that reads TZ again."""

    hours = 0

    def utcoffset(self, _):
        return timedelta(hours=self.hours)


@pytest.mark.parametrize("in_a_list", [False, True])
def test_constant_with_a_time_zone_of_the_caller_is_sent_as_it_is(conn, in_a_list):
    conn.prepare_threshold = 0
    zone = Own()
    constant = datetime(2026, 2, 3, tzinfo=zone)
    text = "(%(c)s::timestamptz[])[1]" if in_a_list else "%(c)s::timestamptz"
    declared = gather(
        sql(
            f"SELECT {text}, %(n)s::int8",
            c=[constant] if in_a_list else constant,
            n=param("n", int),
        ).one(tuple)
    )
    for zone.hours in (0, 1, 2):
        assert [run(conn, declared.bind(n=n)) for n in (1, 2)] == [
            ((datetime(2026, 2, 3, tzinfo=timezone(timedelta(hours=zone.hours))), n),)
            for n in (1, 2)
        ]
