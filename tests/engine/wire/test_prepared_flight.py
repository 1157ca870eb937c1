# SPDX-License-Identifier: MIT
"""A batch like an earlier one is sent by the names of the earlier one, as long as they hold."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date

import psycopg
import pytest

from batchq import Outcome, UnmappedViolation, gather, insert, run, sequence, sql
from batchq.engine.outcome import decode
from batchq.engine.wire.connection_state import state_of
from batchq.engine.wire.flight import CLOSING, OPENING, SYNC
from batchq.engine.wire.prepared_flight import PreparedFlight

WARM_UP = 3
LEVEL = sql("SELECT current_setting('transaction_isolation')").scalar(str)
TABLE = "CREATE TABLE item (id int PRIMARY KEY, place int, note text, tags text[])"


@pytest.fixture
def client(database, conn):
    conn.execute(TABLE)
    with psycopg.connect(database, autocommit=True, prepare_threshold=0) as client:
        yield client


@pytest.fixture
def repeated(monkeypatch):
    """Return the prepared flights that are sent from now on."""
    sent = []
    original = PreparedFlight.send

    def send(flight, pg, encoded):
        sent.append(flight)
        original(flight, pg, encoded)

    monkeypatch.setattr(PreparedFlight, "send", send)
    return sent


def item(key, place=1, note="a", tags=("x",)):
    return insert("item", {"id": key, "place": place, "note": note, "tags": list(tags)})


def warm(client, first=0):
    for key in range(first, first + WARM_UP):
        run(client, gather(item(key), item(-key - 1)))
    return first + WARM_UP


def test_third_run_is_sent_by_the_names_of_the_second(client, repeated):
    key = warm(client)
    repeated.clear()
    run(client, gather(item(key), item(-key - 1)))
    (flight,) = repeated
    assert flight.flight.owners == [OPENING, 0, 1, SYNC, CLOSING, SYNC]


def test_flight_is_not_repeated_before_begin_is_prepared(database, conn, repeated):
    # The inserts run often enough to be prepared in the first batch, BEGIN and COMMIT do not.
    conn.execute(TABLE)
    with psycopg.connect(database, autocommit=True, prepare_threshold=4) as client:
        for first in range(0, 80, 10):
            run(client, sequence(item(key) for key in range(first, first + 10)))
    assert repeated
    assert all(flight.before[0].command.startswith(b"batchq_BEGIN") for flight in repeated)


def test_long_batch_leaves_nothing_in_the_caches(client, repeated):
    def inserts(first, count=257):
        return sequence(item(key) for key in range(first, first + count))

    for n in range(2 * WARM_UP):
        run(client, inserts(1000 * n))
    assert repeated == []
    assert state_of(client)._flights == {}
    before = decode._decoders.cache_info().currsize
    run(client, sequence(text(n % 3) for n in range(257)))
    assert decode._decoders.cache_info().currsize == before


def rows(client):
    return client.execute("SELECT * FROM item ORDER BY id").fetchall()


VALUES = {
    "NULL in place of an int": {"place": None},
    "NULL in place of a str": {"note": None},
    "an empty list": {"tags": ()},
    "a large int": {"place": 1 << 30},
    "NULL everywhere": {"place": None, "note": None, "tags": ()},
}


@pytest.mark.parametrize("values", VALUES)
def test_values_without_a_type_use_the_same_names(client, values):
    key = warm(client)
    names = "SELECT count(*) FROM pg_prepared_statements"
    before = client.execute(names).fetchone()
    for _ in range(WARM_UP):
        run(client, gather(item(key, **VALUES[values]), item(-key - 1)))
        run(client, gather(item(key + 1), item(-key - 2, **VALUES[values])))
        key += 2
    assert client.execute(names).fetchone() == before


def test_text_after_null_is_not_sent_by_the_name_for_an_int(client, conn):
    # NULL and a str are both sent without a type. NULL runs by the name for an int, which would
    # store "007" as 7.
    for code in (7, 7, 7, None, None, None, "007"):
        run(client, insert("item", {"id": len(rows(conn)), "note": code}))
    assert [note for _, _, note, _ in rows(conn)] == ["7", "7", "7", None, None, None, "007"]


@pytest.mark.parametrize(
    "before", [b"x", bytearray(b"x"), date(2026, 2, 3), 7, "x", ["x"], [7], None], ids=repr
)
def test_empty_list_is_stored_the_same_whatever_was_sent_before(client, before):
    # An empty list is the text {}, which is another value by way of bytea.
    for value in (before, before, before, [], before, [], [], [], None, []):
        batch = sql("SELECT %(value)s::text", value=value).one(tuple)
        assert run(client, batch) == (("{}",) if value == [] else run(client, batch))


@pytest.mark.parametrize(
    "lose", ["DISCARD ALL", "DEALLOCATE ALL", 'DEALLOCATE "batchq_BEGIN"', "ALTER"]
)
def test_lost_names_are_noticed_and_nothing_is_lost(client, conn, lose, repeated):
    key = warm(client)
    path = client.execute("SHOW search_path").fetchone()[0]
    client.execute("ALTER TABLE item ALTER place TYPE bigint" if lose == "ALTER" else lose)
    client.execute(f"SET search_path = {path}")
    for _ in range(2 * WARM_UP):
        run(client, gather(item(key), item(-key - 1)))
        assert conn.execute("SELECT count(*) FROM item WHERE id = %s", [key]).fetchone() == (1,)
        key += 1
    assert repeated[-1] is not repeated[0]


def test_nothing_is_repeated_once_preparing_is_switched_off(client, repeated):
    key = warm(client)
    client.prepare_threshold = None
    repeated.clear()
    run(client, gather(item(key), item(-key - 1)))
    assert repeated == []


def test_evicted_name_is_not_used(client):
    client.prepared_max = 4  # BEGIN, COMMIT, and two statements
    texts = [sql(f"SELECT {n}, %(a)s::int8", a=n).one(tuple) for n in range(5)]
    for _ in range(4):
        for n, text in enumerate(texts):
            for _ in range(WARM_UP):
                assert run(client, text) == (n, n)
    count = "SELECT count(*) FROM pg_prepared_statements"
    assert client.execute(count, prepare=False).fetchone() == (4,)


def evicted_by_another(client):
    """Return the numbers of the statements that are prepared after one more has been."""
    run(client, text(3))
    names = "SELECT statement FROM pg_prepared_statements ORDER BY 1"
    prepared = [sql_text for (sql_text,) in client.execute(names, prepare=False)]
    return [n for n in range(4) if any(f"SELECT {n}," in sql_text for sql_text in prepared)]


def text(number):
    return sql(f"SELECT {number}, %(a)s::int8", a=number).one(tuple)


def test_recently_repeated_statement_is_evicted_last(client, repeated):
    client.prepared_max = 4  # BEGIN, COMMIT, and two statements
    for number in (0, 1, 0):
        for _ in range(WARM_UP):
            run(client, text(number))
    repeated.clear()
    run(client, text(1))
    assert len(repeated) == 1
    assert evicted_by_another(client) == [1, 3]


def test_statement_repeated_after_one_that_was_laid_out_is_evicted_last(client, repeated):
    client.prepared_max = 4
    for number in (0, 1, 0):
        for _ in range(WARM_UP):
            run(client, text(number))
    repeated.clear()
    run(client, text(0))
    run(client, text(1), deadline=60)  # its limit is never the same, so it is laid out
    run(client, text(0))
    assert len(repeated) == 2
    assert evicted_by_another(client) == [0, 3]


def test_value_that_a_prepared_statement_would_change_is_not_sent_to_it(client, conn):
    warm = [insert("item", {"id": key, "tags": "{x}"}) for key in range(WARM_UP)]
    for batch in warm:
        run(client, batch)
    conn.execute("ALTER TABLE item ALTER tags TYPE text")
    run(client, insert("item", {"id": WARM_UP, "tags": "{ x }"}))
    assert rows(conn)[-1] == (WARM_UP, None, None, "{ x }")


@pytest.mark.parametrize(
    "options", [{}, {"nested": True}, {"timeout": 30}, {"isolation": "serializable"}], ids=str
)
def test_frame_with_options_is_repeated_as_it_is(client, conn, repeated, options):
    for key in range(2 * WARM_UP):
        batch = gather(item(key), LEVEL)
        with client.transaction() if "nested" in options else nullcontext():
            level = run(client, batch, **options)[1]
        assert level == options.get("isolation", "read committed")
    assert repeated
    assert len(rows(conn)) == 2 * WARM_UP


def test_failure_of_a_repeated_flight_is_that_of_the_first(client, repeated):
    def failure(key):
        with pytest.raises(UnmappedViolation) as info:
            run(client, gather(item(key), item(0)))
        error = info.value
        return str(error), error.outcome, error.index, error.violation.constraint

    run(client, item(0))
    first = failure(100)
    assert repeated == []
    key = warm(client, first=1)
    repeated.clear()
    assert failure(key) == first
    assert len(repeated) == 1
    assert first[1:] == (Outcome.ROLLED_BACK, 1, "item_pkey")


def test_batch_that_always_fails_is_repeated_too(client, conn, repeated):
    run(client, item(0))
    for key in range(100, 100 + 2 * WARM_UP):
        with pytest.raises(UnmappedViolation) as info:
            run(client, gather(item(key), item(0)))
        assert info.value.index == 1
    assert len(repeated) > WARM_UP
    assert rows(conn) == [(0, 1, "a", ["x"])]
    run(client, gather(item(1), item(2)))
    assert len(rows(conn)) == 3
