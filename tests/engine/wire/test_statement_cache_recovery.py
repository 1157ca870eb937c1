# SPDX-License-Identifier: MIT
"""A prepared statement that is lost, stale or another client's is prepared again, and the batch is
sent once more: nothing was applied, so only the server notices."""

from __future__ import annotations

import pytest
from psycopg import IsolationLevel

from batchq import Outcome, UnmappedViolation, gather, run, sql
from batchq.running import waiting
from tests.support.clients import ITEMS, SyncClient, item, parsed

pytestmark = pytest.mark.link(
    ITEMS, "CREATE TABLE thing (a int); INSERT INTO thing VALUES (7)", prepare_threshold=0
)

THING = sql("SELECT * FROM thing").one(tuple)


def ids(conn):
    return [key for (key,) in conn.execute("SELECT id FROM item ORDER BY id")]


def steal(link, client, batch):
    """Take the names that a fresh connection would prepare the batch's statements by."""
    with SyncClient(link.conninfo(), prepare_threshold=0) as other, link.record() as recording:
        other.execute("BEGIN")
        other.run(batch, nested=True)
        other.execute("ROLLBACK")
    for name in filter(None, parsed(recording)):
        client.execute(f'PREPARE "{name.decode()}" AS SELECT 42')


# And the row that THING finds then.
LOSSES = {
    "DISCARD ALL": (7,),
    "DEALLOCATE ALL": (7,),
    "ALTER TABLE thing ALTER a TYPE text": ("7",),
    "ALTER TABLE thing ADD b int DEFAULT 8": (7, 8),
}


@pytest.mark.parametrize("nested", [False, True], ids=["of its own", "nested"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_batch_succeeds_all_the_same(link, client, conn, loss, nested):
    assert client.run(gather(item(1, place=1), THING)) == (None, (7,))
    client.execute(loss)
    client.execute("SET search_path = " + schema(conn))  # DISCARD ALL resets it
    if nested:
        client.execute("BEGIN")
    with link.record() as recording:
        assert client.run(gather(item(2, place=2), THING), nested=nested) == (None, LOSSES[loss])
    # Two flights of two Syncs; nested, two of one, and ROLLBACK TO SAVEPOINT between them.
    assert recording.client.count("S") == (3 if nested else 4)
    assert not any(parsed(recording)[-4:]), "nothing is prepared the second time"
    if nested:
        client.execute("COMMIT")
    assert ids(conn) == [1, 2]
    for prepares in (True, False):
        with link.record() as recording:
            client.run(gather(item(3 + prepares, place=3 + prepares), THING))
        assert all(parsed(recording))
        assert bool(parsed(recording)) == prepares


def schema(conn):
    return conn.execute("SELECT current_schema").fetchone()[0]


@pytest.mark.parametrize("nested", [False, True], ids=["of its own", "nested"])
@pytest.mark.parametrize("warm", [False, True], ids=["at first", "later"])
def test_name_taken_by_another_client_is_replaced(link, client, conn, nested, warm):
    if warm:
        client.run(sql("SELECT 1").scalar(int))
    steal(link, client, gather(item(1), THING))
    if nested:
        client.execute("BEGIN")
    assert client.run(gather(item(1), THING), nested=nested) == (None, (7,))
    if nested:
        client.execute("COMMIT")
    assert ids(conn) == [1]
    assert client.run(gather(item(2), THING)) == (None, (7,))


def test_the_name_of_begin_may_be_taken_too(client, conn):
    client.execute('PREPARE "batchq_BEGIN" AS SELECT 42')
    client.execute('PREPARE "batchq_COMMIT" AS SELECT 42')
    client.run(item(1))
    assert ids(conn) == [1]


NAMED = ("BEGIN", "a step", "the last step", "COMMIT")


def placed(n):
    """Return a batch each of whose commands is prepared by a name at once."""
    return gather(item(n, place=n), THING)


@pytest.mark.parametrize("which", range(4), ids=NAMED)
def test_any_one_name_may_be_lost(link, client, conn, which):
    """26000, in whatever slot. What COMMIT leaves open is rolled back before it is sent again."""
    with link.record() as recording:
        client.run(placed(1))
    client.execute(f'DEALLOCATE "{parsed(recording)[which].decode()}"')
    with link.record() as recording:
        assert client.run(placed(2)) == (None, (7,))
    assert recording.client.count("S") == 4 + (NAMED[which] == "COMMIT")
    assert ids(conn) == [1, 2]
    client.attempt(gather(placed(3), item(4, size=0)))
    assert client.run(placed(3)) == (None, (7,))


@pytest.mark.parametrize("which", range(4), ids=NAMED)
def test_any_one_name_may_be_taken(link, client, conn, which):
    """42P05, in the slot of any Parse."""
    with SyncClient(link.conninfo(), prepare_threshold=0) as other, link.record() as recording:
        other.run(placed(1))
    conn.execute("DELETE FROM item")
    client.execute(f'PREPARE "{parsed(recording)[which].decode()}" AS SELECT 42')
    for n in (1, 2, 3):
        assert client.run(placed(n)) == (None, (7,))
    assert ids(conn) == [1, 2, 3]


@pytest.mark.parametrize("nested", [False, True], ids=["of its own", "nested"])
@pytest.mark.parametrize("code", ["26000", "0A000", "42P05"])
def test_lost_statement_is_sent_once_more_and_not_twice(link, client, conn, code, nested):
    """The error is the schema's own: it comes again."""
    conn.execute(
        "CREATE FUNCTION refuse() RETURNS int LANGUAGE plpgsql AS "
        f"$$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END$$"
    )
    client.run(item(1))
    if nested:
        client.execute("BEGIN")
    with link.record() as recording:
        answer = client.attempt(
            gather(item(2), sql("SELECT refuse()").label("here"), item(3)), nested=nested
        )
    assert recording.client.count("S") == 4  # nested: two of one, and two ROLLBACK TO SAVEPOINT
    assert isinstance(answer.error, UnmappedViolation)
    assert answer.outcome is Outcome.ROLLED_BACK
    assert (answer.report.path, answer.report.violation.sqlstate) == ("here", code)
    if nested:
        client.execute("COMMIT")
    client.run(item(4))
    assert ids(conn) == [1, 4]


def test_failure_after_the_loss_is_reported_as_it_is(client, conn):
    batch = gather(item(1), item(2, size=0).label("here"))
    client.attempt(batch)
    client.run(item(3))
    client.execute("DEALLOCATE ALL")
    answer = client.attempt(batch)
    assert (answer.report.path, answer.report.violation.constraint) == ("here", "item_size_check")
    assert ids(conn) == [3]


@pytest.mark.parametrize("isolation", IsolationLevel)
def test_the_longest_begin_recovers_as_often_as_the_shortest(client, conn, isolation):
    """The server compares names by their first 63 bytes only."""
    if isinstance(client, SyncClient):
        client.conn.deferrable = True
    else:
        client.loop.run(client.conn.set_deferrable(True))
    options = {"isolation": isolation, "read_only": True}
    for n in range(12):  # names grow with each loss
        assert client.run(THING, **options) == (7, *range(n))
        conn.execute(f"ALTER TABLE thing ADD c{n} int DEFAULT {n}")


class TestOlderLibpq:
    """Before libpq 17 there is no Close message, and DEALLOCATE fails for a missing name."""

    @pytest.fixture(autouse=True)
    def no_close(self, monkeypatch):
        monkeypatch.setattr(
            "batchq.engine.wire.layout.capabilities.has_send_close_prepared", lambda **_: False
        )

    def test_evicted_statement_is_deallocated(self, client, conn):
        client.conn.prepared_max = 4
        for n in range(20):
            if n % 7 == 6:
                client.execute("DEALLOCATE ALL")
            read = sql(f"SELECT {n % 3}").scalar(int)
            assert client.run(gather(item(n), read)) == (None, n % 3)
            answer = client.conn.pgconn.exec_(b"SELECT count(*) FROM pg_prepared_statements")
            assert int(answer.get_value(0, 0)) <= 4
        assert ids(conn) == list(range(20))

    def test_lost_name_does_not_fail_the_outer_transaction(self, client, conn):
        client.run(gather(item(1), THING))
        client.execute("DEALLOCATE ALL")
        client.execute("BEGIN")
        assert client.run(gather(item(2), THING), nested=True) == (None, (7,))
        client.run(item(3), nested=True)
        client.execute("COMMIT")
        assert ids(conn) == [1, 2, 3]


def test_an_interrupt_while_the_loss_is_noticed_sends_nothing_once_more(connect, conn, monkeypatch):
    """What was interrupted is read to its end: so far, and no further."""
    conn.execute(ITEMS)
    lossy = connect(prepare_threshold=0)
    run(lossy, item(1))
    lossy.execute("DEALLOCATE ALL")
    driven = waiting.wait

    def interrupted(flight, *how):
        driven(flight, *how)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(waiting, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            run(lossy, item(2))

    (note,) = caught.value.__notes__
    assert note.endswith("the outcome of the batch is rolled_back")
    assert ids(conn) == [1]
