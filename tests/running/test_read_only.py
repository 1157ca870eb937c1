# SPDX-License-Identifier: MIT
"""A server that takes no writes, as against a transaction that the caller wants to read only: both
answer 25006, and only the second is the caller's bug."""

from __future__ import annotations

import psycopg
import pytest
from attrs import evolve

import batchq
from batchq import Outcome, ReadOnlyServer, Retry, UnmappedViolation, gather, sql, sqlstate
from batchq.result import attempt
from batchq.testing import server
from batchq.versions import Fleet, TooOld
from tests.support.clients import ITEMS, AsyncClient, SyncClient, item

pytestmark = pytest.mark.postgres_only("what is reported of a read-only server is PostgreSQL's")

FLEET = Fleet(name="nexus", version=7)
READ = sql("SELECT 1").scalar(int)
READ_ONLY = "SET default_transaction_read_only = on"


class Refused(Exception):
    pass


def retry(attempts=3, **hook):
    return Retry(attempts=attempts, backoff=0, **hook)


def ids(conn):
    return [key for (key,) in conn.execute("SELECT id FROM item ORDER BY id")]


def make_read_only(pool):
    """Let the pool's one connection be to a server that takes no writes."""
    pool.run(sql("SELECT set_config('default_transaction_read_only', 'on', false)"))


def pid(client):
    return client.run(sql("SELECT pg_backend_pid()").scalar(int))


@pytest.fixture(scope="module")
def standby(pytestconfig):
    """Start a real standby, which waits for a primary that never comes."""
    with server(pytestconfig.getoption("--postgres")) as running:
        with psycopg.connect(running.conninfo()) as conn:
            conn.execute(ITEMS)
            conn.execute("CREATE SEQUENCE numbers")
            for command in FLEET.ddl():
                conn.execute(command.encode())
            batchq.run(conn, gather(FLEET.expand(7), FLEET.retire(below=7)), nested=True)
        (running.directory / "data" / "standby.signal").touch()
        running.restart()
        yield running


class TestAStandby:
    @pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
    def client(self, request, standby):
        with request.param(standby.conninfo(tcp=True)) as client:
            yield client

    @pytest.mark.parametrize(
        "options",
        [{}, {"read_only": False}, {"isolation": "serializable"}, {"timeout": 5}],
        ids=str,
    )
    def test_is_a_server_that_takes_no_writes(self, client, options):
        answer = client.attempt(gather(READ, item(1)), retry=retry(), **options)
        assert type(answer.error) is ReadOnlyServer
        assert answer.outcome is Outcome.ROLLED_BACK
        assert answer.report.attempts == 1
        assert "it is a standby" in str(answer.error)
        assert not client.conn.closed
        assert client.run(READ) == 1

    @pytest.mark.parametrize(
        "batch",
        [
            batchq.select("item", where={"id": 1}).for_update().expect(1, missing=Refused),
            sql("SELECT nextval('numbers')"),
            sql("SELECT pg_notify('news', '')"),
        ],
        ids=["lock", "nextval", "notify"],
    )
    def test_takes_nothing_else_that_writes(self, client, batch):
        assert type(client.attempt(batch).error) is ReadOnlyServer

    def test_lets_a_gated_batch_read_while_its_version_may_run(self, client):
        assert client.run(FLEET.gate(READ), read_only=True) == 1
        retired = client.attempt(evolve(FLEET, version=6).gate(READ), read_only=True)
        assert type(retired.error) is TooOld
        assert retired.outcome is Outcome.ROLLED_BACK

    def test_is_not_to_blame_for_a_batch_that_should_read_only(self, client):
        answer = client.attempt(item(1), read_only=True)
        assert type(answer.error) is UnmappedViolation

    def test_is_to_blame_in_a_nested_batch_too(self, client):
        client.execute("BEGIN")
        answer = client.attempt(item(1), nested=True)
        assert type(answer.error) is ReadOnlyServer
        client.execute("ROLLBACK")


class TestOnABareConnection:
    def test_it_is_raised_after_one_attempt_and_stays_open(self, connection, conn):
        connection.execute(READ_ONLY)
        retries = []
        answer = connection.attempt(item(1), retry=retry(before_sleep=retries.append))
        assert type(answer.error) is ReadOnlyServer
        assert (answer.report.attempts, retries) == (1, [])
        assert answer.report.index == 0
        assert answer.report.violation.sqlstate == "25006"
        assert isinstance(answer.error.__cause__, psycopg.errors.ReadOnlySqlTransaction)
        assert "default_transaction_read_only is on" in str(answer.error)
        connection.execute("SET default_transaction_read_only = off")
        connection.run(item(2))
        assert ids(conn) == [2]

    def test_what_is_mapped_is_raised_from_it(self, connection):
        connection.execute(READ_ONLY)
        answer = connection.attempt(item(1).on(sqlstate("25006"), Refused))
        assert isinstance(answer.error, Refused)
        assert type(answer.report) is ReadOnlyServer

    def test_at_commit_it_is_so_as_well(self, connection, conn):
        """A deferred trigger may be the first that writes."""
        conn.execute(
            "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
            "RAISE EXCEPTION 'no' USING ERRCODE = '25006'; END$$;"
            "CREATE CONSTRAINT TRIGGER stop AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION stop()"
        )
        answer = connection.attempt(item(1))
        assert type(answer.error) is ReadOnlyServer
        assert answer.outcome is Outcome.ROLLED_BACK
        assert answer.report.step is None


class TestInAPool:
    def test_the_connection_does_not_go_back(self, pool, conn):
        before = pid(pool)
        make_read_only(pool)
        answer = pool.attempt(item(1))
        assert type(answer.error) is ReadOnlyServer
        assert pid(pool) != before
        pool.run(item(2))
        assert ids(conn) == [2]

    def test_the_next_attempt_takes_another(self, pool, conn):
        make_read_only(pool)
        retries = []
        pool.run(item(1), retry=retry(before_sleep=retries.append))
        assert [type(one.report) for one in retries] == [ReadOnlyServer]
        assert ids(conn) == [1]

    def test_where_it_is_mapped_it_is_tried_again_and_not_given_back(self, pool, conn):
        make_read_only(pool)
        pool.run(item(1).on(sqlstate("25006"), Refused), retry=retry())
        assert ids(conn) == [1]

    def test_that_ends_with_the_attempts(self, pool, conn):
        conn.execute(
            "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
            "RAISE EXCEPTION 'no' USING ERRCODE = '25006'; END$$;"
            "CREATE TRIGGER stop BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION stop()"
        )
        answer = pool.attempt(item(1), retry=retry(3))
        assert type(answer.error) is ReadOnlyServer
        assert answer.report.attempts == 3

    def test_the_callers_own_read_only_costs_no_connection(self, pool):
        before = pid(pool)
        assert type(pool.attempt(item(1), read_only=True).error) is UnmappedViolation
        assert pid(pool) == before


class TestTheCallersOwn:
    def test_read_only_is_the_callers_bug(self, client):
        answer = client.attempt(item(1), read_only=True, retry=retry())
        assert type(answer.error) is UnmappedViolation
        assert answer.report.attempts == 1
        assert "read_only=True" in str(answer.error)

    @pytest.mark.usefixtures("items")
    def test_so_it_is_where_the_connection_says_so(self, connect):
        mine = connect()
        mine.read_only = True
        answer = attempt(mine, item(1))
        assert type(answer.error) is UnmappedViolation
        assert "the connection's read_only" in str(answer.error)

    def test_so_it_is_where_the_transaction_around_it_says_so(self, connection):
        connection.execute("BEGIN READ ONLY")
        answer = connection.attempt(item(1), nested=True)
        assert type(answer.error) is UnmappedViolation
        assert "the outer transaction" in str(answer.error)

    @pytest.mark.usefixtures("items")
    def test_and_where_both_are_so(self, connect):
        mine = connect()
        mine.execute(READ_ONLY)
        mine.read_only = True
        with mine.transaction():
            answer = attempt(mine, item(1), nested=True)
        assert type(answer.error) is UnmappedViolation
