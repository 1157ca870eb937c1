# SPDX-License-Identifier: MIT
"""The one exception to "nothing is sent twice unless you ask": what a preparation may be to blame
for is sent once more, with nothing prepared, and that is counted."""

from __future__ import annotations

import psycopg
import pytest

from batchq import Outcome, Retry, gather, insert, run, select, sql, sqlstate, update
from batchq.engine.outcome.stale import LOST, STALE
from batchq.result import Failed, Ok, attempt
from tests.support.clients import item, parsed, prepared
from tests.support.flights import wrapped_wait

pytestmark = pytest.mark.link(prepare_threshold=0)


def raising(conn, code):
    """Return a statement that the schema itself rejects, with any code."""
    conn.execute(
        "CREATE OR REPLACE FUNCTION refuse() RETURNS int LANGUAGE plpgsql AS "
        f"$$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END$$"
    )
    return sql("SELECT refuse()").label("here")


@pytest.mark.parametrize("nested", [False, True], ids=["of its own", "nested"])
@pytest.mark.parametrize("code", [*STALE, "23505", "40001", "22003", "42703"])
def test_only_these_codes_are_sent_once_more(link, client, conn, code, nested):
    batch = gather(item(1), raising(conn, code))
    client.attempt(gather(item(2, size=0)))
    if nested:
        client.execute("BEGIN")
    with link.record() as recording:
        answer = client.attempt(batch, nested=nested)
    twice = code in STALE
    assert isinstance(answer, Failed)
    assert (answer.report.attempts, answer.outcome) == (1 + twice, Outcome.ROLLED_BACK)
    assert (answer.report.path, answer.report.violation.sqlstate) == ("here", code)
    if not nested:  # BEGIN, two steps and COMMIT
        assert parsed(recording).count(b"") == 4 * twice
    if nested:
        client.execute("COMMIT")
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)


@pytest.mark.parametrize("code", STALE)
def test_unprepared_statement_is_sent_once(link, client, conn, code):
    client.conn.prepare_threshold = None
    with link.record() as recording:
        answer = client.attempt(gather(item(1), raising(conn, code)))
    assert (answer.report.attempts, recording.client.count("S")) == (1, 2)


def test_statement_prepared_by_another_step_is_not_sent_once_more(client, conn):
    """It is the failed step that has to have been prepared."""
    client.conn.prepare_threshold = 1
    client.run(item(1))
    answer = client.attempt(gather(item(2), raising(conn, "0A000")))
    assert answer.report.attempts == 1
    assert client.attempt(gather(item(2), raising(conn, "0A000"))).report.attempts == 2


def test_a_guard_that_fires_is_sent_once(client):
    """It borrows 22P02, which a stale preparation has as well."""
    batch = update("item", {"size": 2}, {"id": 7}).expect(1)
    assert [client.attempt(batch).report.attempts for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("code", [code for code in STALE if code not in LOST])
def test_a_deferred_constraint_that_fails_at_commit_is_sent_once(client, conn, code):
    raising(conn, code)
    conn.execute(
        """CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN PERFORM refuse(); RETURN NULL; END$$;
        CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION at_commit()"""
    )
    assert client.attempt(item(1)).report.attempts == 1


def test_same_failure_again_leaves_the_statement_cache_unchanged(link, client, conn):
    client.run(item(1))
    for _ in range(2):
        client.attempt(gather(item(2), raising(conn, "42883")))
    with link.record() as recording:
        client.run(item(2))
    assert not parsed(recording)


def test_the_second_answer_is_the_one_that_counts(client, conn):
    """The table has other rules by then, and the failure is what they say."""
    conn.execute("CREATE TABLE word (text text); INSERT INTO word VALUES ('a')")
    batch = insert("word", {"text": "b"}).on(sqlstate("22P02"), KeyError("no uuid"))
    client.run(batch)
    conn.execute("DROP TABLE word; CREATE TABLE word (text uuid)")
    answer = client.attempt(batch)
    assert isinstance(answer.error, KeyError)
    assert answer.report.attempts == 2


def test_interrupt_before_the_second_time_is_of_the_first(link, conn):
    """It was sent, and rolled back; nothing can have come of the second time."""
    batch = gather(item(1), raising(conn, "0A000"))

    def interrupted(_flight):
        raise KeyboardInterrupt
        yield

    with (
        psycopg.connect(link.conninfo(), autocommit=True, prepare_threshold=0) as mine,
        wrapped_wait(interrupted, skip=1),
        link.record() as recording,
        pytest.raises(KeyboardInterrupt) as raised,
    ):
        run(mine, batch)
    assert raised.value.__notes__[0].endswith(Outcome.ROLLED_BACK.value)
    assert recording.client.count("S") == 2


def test_a_retry_counts_them_as_well(connect, conn):
    """Each attempt may be sent once more: the report counts what was sent."""
    failing = gather(raising(conn, "0A000"))
    reported = []
    retry = Retry(
        attempts=3, backoff=0, before_sleep=lambda one: reported.append(one.report.attempts)
    )
    prepares = connect(prepare_threshold=0)
    assert attempt(prepares, failing, retry=retry).report.attempts == 2
    conn.execute(
        """CREATE SEQUENCE calls;
        CREATE OR REPLACE FUNCTION refuse() RETURNS int LANGUAGE plpgsql AS $$BEGIN
        IF nextval('calls') % 2 = 1 THEN RAISE EXCEPTION 'no' USING ERRCODE = '0A000'; END IF;
        RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END$$"""
    )
    answer = attempt(prepares, failing, retry=retry)
    assert answer.report.attempts == 2 * 3
    assert reported == [2, 4]


class TestLosing:
    """What a pooler does that knows nothing of prepared statements: names come and go."""

    def test_connection_that_always_loses_stops_preparing(self, link, client, conn):
        for n in range(12):
            client.run(item(n))
            client.execute("DEALLOCATE ALL")
        with link.record() as recording:
            client.run(item(12))
        assert not any(parsed(recording))
        assert recording.client.count("S") == 2
        assert conn.execute("SELECT count(*) FROM item").fetchone() == (13,)

    def test_connection_that_rarely_loses_keeps_preparing(self, link, client):
        """One loss in a hundred batches is that of a DISCARD ALL, and no pooler."""
        for n in range(5):
            client.execute("DEALLOCATE ALL")
            for m in range(102):
                client.run(item(n * 102 + m))
        with link.record() as recording:
            client.run(gather(item(-1)))
        assert recording.client.count("S") == 2
        assert not parsed(recording), "all of it is prepared"

    def test_connection_that_succeeds_in_between_stops_preparing_too(self, link, client):
        """Through a pooler a batch may well meet the server connection that it was prepared on."""
        for n in range(0, 40, 10):
            client.execute("DEALLOCATE ALL")
            for m in range(10):
                client.run(item(n + m))
        with link.record() as recording:
            client.run(item(40))
        assert not any(parsed(recording))
        assert recording.client.count("S") == 2

    def test_connection_that_meets_schema_changes_keeps_preparing(self, link, client, conn):
        conn.execute("CREATE TABLE thing (a int)")
        for n in range(6):
            client.run(sql("SELECT * FROM thing").all(tuple))
            conn.execute(f"ALTER TABLE thing ADD c{n} int")
            client.run(sql("SELECT * FROM thing").all(tuple))
        with link.record() as recording:
            client.run(sql("SELECT * FROM thing").all(tuple))
        assert all(parsed(recording))


def test_statement_is_prepared_again_by_a_new_name(connect, conn):
    conn.execute("CREATE TABLE thing (a text)")
    prepares = connect(prepare_threshold=0)
    batch = insert("thing", {"a": "7"})
    run(prepares, batch)
    before = prepared(prepares)
    conn.execute("ALTER TABLE thing ALTER a TYPE int USING a::int")
    for _ in range(2):
        assert isinstance(attempt(prepares, batch), Ok)
    run(prepares, select("thing", ["a"], where={"a": 7}).all(tuple))
    assert not prepared(prepares) & before
