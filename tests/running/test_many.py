# SPDX-License-Identifier: MIT
"""``run_many``: independent batches in one flight, each with its own result and outcome."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import date

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolTimeout

from batchq import (
    BatchError,
    ConnectionFailed,
    DecodeFailed,
    InvalidBatch,
    Outcome,
    Retry,
    SerializationConflict,
    StatementCanceled,
    gather,
    insert,
    into,
    param,
    select,
    sql,
    unique,
    update,
)
from batchq.result import Failed, Ok, arun_many, attempt, run_many
from tests.support.clients import ITEMS, SyncClient, item

READ = sql("SELECT 1").scalar(int)


class Taken(Exception):
    pass


def ids(conn):
    return [key for (key,) in conn.execute("SELECT id FROM item ORDER BY id")]


def outcomes(results):
    return [Outcome.COMMITTED if isinstance(result, Ok) else result.outcome for result in results]


class TestOnAnything:
    def test_each_has_its_result_and_one_that_fails_takes_none_with_it(self, target, conn):
        clash = item(1).on(unique("item_pkey"), Taken("1"))
        batches = [
            gather(item(1), READ),
            gather(item(2), clash),
            item(3),
            gather(item(4, place=7), item(5, place=7)),  # fails at COMMIT
            update("item", {"size": 9}, {"id": 99}).expect(1, missing=Taken("99")),
            gather(item(6), READ),
        ]
        first, second, third, fourth, fifth, sixth = target.run_many(batches)
        assert (first, third, sixth) == (Ok((None, 1)), Ok(None), Ok((None, 1)))
        assert isinstance(second.error, Taken)
        assert second.error.__cause__ is second.report
        assert (second.report.statement, second.report.index) == (clash, 1)
        assert fourth.report.violation.constraint == "item_place_key"
        assert str(fifth.error) == "99"
        assert {each.outcome for each in (second, fourth, fifth)} == {Outcome.ROLLED_BACK}
        assert ids(conn) == [1, 3, 6]
        assert target.run_many([READ, READ]) == [Ok(1), Ok(1)]

    def test_later_ones_see_what_earlier_ones_have_committed(self, target):
        count = sql("SELECT count(*) FROM item").scalar(int)
        seen = target.run_many([count, item(1), count, gather(item(2), item(1)), count])
        assert [seen[n].value for n in (0, 2, 4)] == [0, 1, 1]

    def test_none_is_sent_if_one_cannot_be(self, target, conn):
        wrong = {
            "a value that cannot be encoded": sql("SELECT %(x)s", x=object()),
            "a parameter without a value": update("item", {"size": 2}, {"id": param("id", int)}),
        }
        for batch in wrong.values():
            with pytest.raises(InvalidBatch) as refused:
                target.run_many([item(1), item(2), batch, item(3)])
            assert refused.value.__notes__ == [
                "batchq: in batches[2] of run_many(); no batch was sent"
            ]
        with pytest.raises(TypeError, match="not a batch: int") as refused:
            target.run_many([item(1), 7])
        assert "batches[1]" in refused.value.__notes__[0]
        assert ids(conn) == []
        assert target.run_many([READ]) == [Ok(1)]

    def test_error_of_the_callers_own_iterator_is_of_no_batch(self, conn):
        def batches():
            yield item(1)
            raise TypeError("their own")

        with pytest.raises(TypeError, match="their own") as raised:
            run_many(conn, batches())
        assert not hasattr(raised.value, "__notes__")

    def test_none_at_all(self, target):
        assert target.run_many([]) == []

    def test_batch_without_a_statement_keeps_its_place(self, target):
        assert target.run_many([gather(), READ, gather()]) == [Ok(()), Ok(1), Ok(())]
        assert target.run_many([gather()]) == [Ok(())]
        assert target.run_many(iter([READ])) == [Ok(1)]

    def test_model_that_does_not_fit_is_its_own_failure(self, target, conn):
        def explode():
            raise LookupError

        bad, good = target.run_many([into(explode, item(1)), item(2)])
        assert isinstance(bad.error, DecodeFailed)
        assert bad.outcome is Outcome.COMMITTED
        assert good == Ok(None)
        assert ids(conn) == [1, 2]

    def test_options_are_those_of_each_transaction(self, target):
        level = sql("SELECT current_setting('transaction_isolation')").scalar(str)
        mode = sql("SELECT current_setting('transaction_read_only')").scalar(str)
        timeout = sql("SELECT current_setting('statement_timeout')").scalar(str)
        batches = [gather(level, mode, timeout)] * 2
        found = target.run_many(batches, isolation="serializable", read_only=True, timeout=7)
        assert found == [Ok(("serializable", "on", "7s"))] * 2
        slow, quick = target.run_many([sql("SELECT pg_sleep(9)"), READ], timeout=0.01)
        assert isinstance(slow.error, StatementCanceled)
        assert quick == Ok(1)

    def test_values_are_read_under_the_settings_of_their_time(self, target):
        day = sql("SELECT DATE '2024-02-01'").scalar(date)
        changed = sql("SELECT set_config('DateStyle', 'SQL, DMY', false)").scalar(str)
        results = target.run_many([day, changed, day])
        assert [results[0].value, results[2].value] == [date(2024, 2, 1)] * 2


class TestArguments:
    def test_nested_is_refused(self, conn):
        with pytest.raises(InvalidBatch, match=r"run_many\(\) is a transaction of its own; run\("):
            run_many(conn, [READ], nested=True)

    @pytest.mark.parametrize("wrong", [READ, "SELECT 1", {"a": READ}, None, 7])
    def test_other_arguments_are_refused(self, conn, wrong):
        with pytest.raises(TypeError, match=r"run_many\(\) takes a list of batches, not .*pass \["):
            run_many(conn, wrong)

    def test_unknown_option_is_refused(self, conn):
        with pytest.raises(TypeError, match="no option 'isolaton'; it has deadline, isolation"):
            run_many(conn, [READ], isolaton="serializable")

    async def test_kind_of_target_is_checked(self, conn):
        with pytest.raises(TypeError, match=r"arun_many\(\) takes .* use run_many\(\)"):
            await arun_many(conn, [READ])

    def test_open_transaction_is_refused(self, conn):
        advice = r"run_many\(\): .*INTRANS, not IDLE; .* run\(conn, gather\(…\), nested=True\)"
        with conn.transaction(), pytest.raises(InvalidBatch, match=advice):
            run_many(conn, [READ])


class TestWithoutAConnection:
    def test_closed_one_has_sent_none_of_them(self, connection):
        connection.disconnect()
        results = connection.run_many([READ, gather(), READ])
        assert results[1] == Ok(())
        first, last = results[0], results[2]
        assert isinstance(first.error, ConnectionFailed)
        assert outcomes([first, last]) == [Outcome.NOT_SENT] * 2
        assert first.error is not last.error
        assert str(first.error) == str(last.error)

    def test_one_that_the_server_has_closed(self, connection, conn):
        conn.execute("SELECT pg_terminate_backend(%s, 60000)", [connection.conn.info.backend_pid])
        first, last = connection.run_many([READ, READ])
        assert outcomes([first, last]) == [Outcome.NOT_SENT] * 2
        assert first.report.violation.sqlstate == last.report.violation.sqlstate == "57P01"
        assert connection.conn.closed

    def test_pool_that_gives_none(self, database):
        with ConnectionPool(database, min_size=1, max_size=1, timeout=0.01) as pool:
            with pool.connection(timeout=30):  # the time to connect is not tested
                first, last = run_many(pool, [READ, READ])
            assert outcomes([first, last]) == [Outcome.NOT_SENT] * 2
            assert isinstance(last.error.__cause__, PoolTimeout)
            assert first.error is not last.error

    def test_deadline_that_has_passed(self, database):
        with ConnectionPool(database, min_size=1, max_size=1) as pool:
            with pool.connection():
                results = run_many(pool, [READ, READ], deadline=0.01)
            assert outcomes(results) == [Outcome.NOT_SENT] * 2


CONFLICTS = """
CREATE SEQUENCE tries;
CREATE FUNCTION conflict() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('tries') < 4 THEN RAISE 'again' USING ERRCODE = '40001'; END IF;
    RETURN 7;
END $$
"""
CONFLICT = sql("SELECT conflict() AS n").scalar(int)


class TestRetry:
    def test_only_what_may_succeed_is_sent_again(self, target, conn):
        conn.execute(CONFLICTS)
        reported = []
        retry = Retry(attempts=3, backoff=0, before_sleep=reported.append)
        batches = [item(1), gather(item(2), CONFLICT), item(1), CONFLICT, gather(), item(3)]
        results = target.run_many(batches, retry=retry)
        # nextval: 1 and 2 in the first flight, 3 and 4 in the second, 5 in the third.
        assert results[:2] == [Ok(None), Ok((None, 7))]
        assert isinstance(results[2], Failed)
        assert results[2].report.attempts == 1
        assert results[3:] == [Ok(7), Ok(()), Ok(None)]
        counted = [(each.attempt, each.report.attempts) for each in reported]
        assert counted == [(1, 1), (1, 1), (2, 2)]
        assert ids(conn) == [1, 2, 3]

    def test_without_success_each_has_its_last_failure(self, target, conn):
        conn.execute(CONFLICTS)
        good, bad = target.run_many([READ, CONFLICT], retry=Retry(attempts=2, backoff=0))
        assert good == Ok(1)
        assert isinstance(bad.error, SerializationConflict)
        assert bad.report.attempts == 2

    def test_hook_that_raises_ends_those_that_would_be_sent_again(self, target, conn):
        conn.execute(CONFLICTS)

        def raise_error(_):
            raise LookupError("hook")

        retry = Retry(attempts=2, backoff=0, before_sleep=raise_error)
        first, good, last = target.run_many([CONFLICT, READ, CONFLICT], retry=retry)
        assert good == Ok(1)
        for failed in (first, last):
            assert isinstance(failed.error, LookupError)
            assert failed.error.__cause__ is failed.report
            assert isinstance(failed.report, SerializationConflict)
        assert first.error is not last.error

    def test_closed_connection_of_a_pool_is_replaced(self, pool, conn):
        pid = pool.run(sql("SELECT pg_backend_pid()").scalar(int))
        conn.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])
        results = pool.run_many([READ, READ], retry=Retry(attempts=1))
        assert results == [Ok(1), Ok(1)]


# -- compared with each alone ----------------------------------------------------------------------


def some_batches(seed, count):
    """Return batches that fail at random: as a step, by a guard, at COMMIT, or not at all."""
    dice = random.Random(seed)
    kinds = [
        lambda n: gather(item(n), READ),
        lambda n: insert("item", {"id": n, "size": 1}).returning("id").one(tuple),
        lambda n: gather(item(n), item(dice.randrange(count)).on(unique("item_pkey"), Taken(n))),
        lambda n: gather(item(n), item(n + count, size=0)),
        lambda n: item(n, place=dice.randrange(4)),
        lambda n: update("item", {"size": n}, {"id": dice.randrange(count)}).expect(
            1, missing=Taken(n)
        ),
        lambda n: select("item", ["id", "size"], where={"id": [n - 1, n - 2]}).all(tuple),
        lambda n: gather(item(n), sql("SELECT 1/(%(n)s::int - %(n)s)", n=n)),
    ]
    return [dice.choice(kinds)(n) for n in range(count)]


def shown(result):
    """Return what can be compared of a result."""
    if isinstance(result, Ok):
        return result.value
    report, violation = result.report, result.report.violation
    return (
        type(result.error),
        str(result.error),
        str(report),
        result.outcome,
        report.index,
        report.statement,
        report.attempts,
        None if violation is None else violation.sqlstate,
    )


@pytest.mark.parametrize("threshold", [None, 0, 3])
def test_hundred_with_failures_are_as_each_alone(conn, database, threshold):
    conn.execute(ITEMS)
    with SyncClient(database, prepare_threshold=threshold) as client:
        for seed in range(3):
            batches = some_batches(seed, 100)
            together = [shown(each) for each in client.run_many(batches)]
            rows = conn.execute("TABLE item ORDER BY id").fetchall()
            conn.execute("TRUNCATE item")
            assert together == [shown(attempt(conn, batch)) for batch in batches]
            assert rows == conn.execute("TABLE item ORDER BY id").fetchall()
            conn.execute("TRUNCATE item")
            kinds = Counter(isinstance(each, tuple) and each[-1] for each in together)
            assert kinds["23505"]
            assert kinds["23514"]
            assert kinds["22P02"]
            assert kinds["22012"]
            assert client.conn.info.transaction_status == TransactionStatus.IDLE


# -- the flight ------------------------------------------------------------------------------------


def test_all_are_one_flight(link):
    with SyncClient(link.conninfo(), prepare_threshold=None) as client:
        link.hold(syncs=2 * 16)
        with link.record() as recording:
            results = client.run_many([gather(item(n), item(n % 15)) for n in range(16)])
        assert recording.flights == 1
        assert recording.client == "PBDEPBDEPBDESPBDES" * 16
        assert outcomes(results) == [Outcome.ROLLED_BACK] * 15 + [Outcome.COMMITTED]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_answers_that_fill_every_buffer_are_read_while_the_rest_is_sent(database, is_async):
    """Each batch sends and returns 250 kB: more than the buffers of both sockets hold."""
    text = "x" * 250_000
    batches = [sql("SELECT %(t)s::text || %(n)s", t=text, n=str(n)).scalar(str) for n in range(100)]

    async def run_async():
        async with await psycopg.AsyncConnection.connect(database) as conn:
            return await arun_many(conn, batches, deadline=60)

    if is_async:
        results = asyncio.run(run_async())
    else:
        with psycopg.connect(database) as conn:
            results = run_many(conn, batches, deadline=60)
    assert [result.value[-2:] for result in results] == [f"x{n}"[-2:] for n in range(100)]
    assert {len(result.value) for result in results} == {250_001, 250_002}


def test_report_is_a_batch_error_of_its_own(client):
    first, second = client.run_many([item(1, size=0), item(2, size=0)])
    assert isinstance(first.report, BatchError)
    assert first.report is not second.report
    assert first.report.statement is not second.report.statement
