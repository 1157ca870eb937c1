# SPDX-License-Identifier: MIT
"""Statements that repeat are prepared: when, under which names, and how many at a time."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

import psycopg
import pytest

import batchq
from batchq import gather, sql
from batchq.result import Failed
from tests.support.clients import SyncClient, item, parsed, prepared


@pytest.fixture
def direct(link):
    """Connect a sync client, for what is the same for both."""
    with SyncClient(link.conninfo()) as client:
        yield client


def steps(link, client, batch):
    """Run the batch; the names of the Parse messages in it, those of BEGIN and COMMIT left out."""
    link.hold(syncs=2)
    with link.record() as recording:
        client.attempt(batch)
    assert recording.flights == 1
    return [
        name for name in parsed(recording) if name not in (b"", b"batchq_BEGIN", b"batchq_COMMIT")
    ]


def select(n):
    """One of any number of statements that differ in their text."""
    return sql(f"SELECT {n} + %(n)s", n=1).scalar(int)


@pytest.mark.parametrize("threshold", [0, 1, 5])
def test_a_statement_is_prepared_after_so_many_uses(link, client, threshold):
    client.conn.prepare_threshold = threshold
    seen = [steps(link, client, item(n, place=n)) for n in range(threshold + 2)]
    assert seen[:threshold] == [[]] * threshold
    assert len(seen[threshold]) == 1
    assert seen[threshold + 1] == []


@pytest.mark.parametrize("threshold", [0, 1, 5])
def test_type_to_infer_is_described_a_batch_earlier(link, client, threshold):
    client.conn.prepare_threshold = threshold
    seen = [steps(link, client, item(n)) for n in range(threshold + 3)]
    assert seen[: threshold + 1] == [[]] * (threshold + 1)
    assert len(seen[threshold + 1]) == 1
    assert seen[threshold + 2] == []


def test_uses_within_one_batch_count(link, client):
    client.conn.prepare_threshold = 2
    assert len(steps(link, client, gather(*(item(n, place=n) for n in range(4))))) == 1


def test_begin_and_commit_are_prepared_as_well(link, client):
    client.conn.prepare_threshold = 0
    with link.record() as recording:
        client.run(item(1, place=1))
    names = parsed(recording)
    assert len(names) == 3
    assert (names[0], names[2]) == (b"batchq_BEGIN", b"batchq_COMMIT")


def test_named_statement_has_no_type_left_to_infer(link, direct, conn):
    """Through a pooler it may be another client that prepared it, under another schema."""
    conn.execute("CREATE TABLE word (k int, v text)")
    direct.conn.prepare_threshold = 0
    batch = gather(
        batchq.insert("word", {"k": 1, "v": "007"}),
        batchq.update("word", {"v": "7"}, {"v": "007"}),
        batchq.select("word", ["k"], where={"v": ["7", "x"]}).all(tuple),
        batchq.delete("word", {"k": None, "v": "7"}).count(),
        sql("SELECT %(v)s::text", v="007").all(tuple),
        sql("INSERT INTO word (v) VALUES (%(v)s)", v="007"),  # never prepared
    )
    with link.record() as recording:
        for _ in range(3):
            direct.run(batch)
    parses = [one.body for one in recording.messages if (one.sender, one.kind) == ("client", "P")]
    named = [body for body in parses if not body.startswith(b"\0")]
    assert len(named) == len({*named}) == 2 + 5
    for body in named:
        types = body.split(b"\0", 2)[2]
        assert b"\0\0\0\0" not in [types[at : at + 4] for at in range(2, len(types), 4)]


def test_names_are_derived_from_content(link, database):
    names = []
    for _ in range(2):
        with SyncClient(link.conninfo(), prepare_threshold=0) as client:
            names.append(steps(link, client, gather(select(1), select(2))))
    assert names[0] == names[1]
    assert len({*names[0]}) == 2
    assert all(re.fullmatch(rb"batchq_[0-9a-f]{32}", name) for name in names[0])


@pytest.mark.parametrize(
    "values",
    [
        [1, 40_000, 3_000_000_000, -1],
        [None, 1],
        [1, None, 2],
    ],
    ids=["integers of any size", "NULL first", "NULL between"],
)
def test_a_statement_is_the_same_whatever_its_values(link, direct, values):
    direct.conn.prepare_threshold = 0
    seen = [
        steps(link, direct, sql("SELECT %(n)s::bigint AS anything", n=value).one(tuple))
        for value in values
    ]
    # Only what the NULL is may be learnt once, from the first value that is none.
    assert sum(map(len, seen)) <= (2 if values[0] is None else 1)
    assert sum(map(len, seen[2:])) == 0


def test_a_list_is_the_same_statement_whatever_is_in_it(link, direct):
    direct.conn.prepare_threshold = 0
    lists = [[1], [3_000_000_000, 2], [], [5]]
    seen = [steps(link, direct, batchq.delete("item", {"id": values})) for values in lists]
    assert sum(map(len, seen)) == 1
    with link.record() as recording:
        direct.run(batchq.delete("item", {"id": []}))
    assert parsed(recording) == []


def test_no_threshold_prepares_nothing(link, client):
    client.conn.prepare_threshold = None
    assert [steps(link, client, item(n)) for n in range(8)] == [[]] * 8


class TestBound:
    @pytest.mark.parametrize("most", range(5))
    def test_no_more_than_prepared_max_are_kept(self, client, most):
        client.conn.prepare_threshold = 0
        client.conn.prepared_max = most
        for n in range(8):
            assert client.run(select(n)) == n + 1
            assert len(names_of(client)) <= most

    @pytest.mark.parametrize("most", range(5))
    def test_repeats_within_one_batch_prepare_nothing(self, client, most):
        client.conn.prepare_threshold = 0
        client.conn.prepared_max = most
        for _ in range(3):
            assert client.run(gather(*map(select, range(7)))) == tuple(range(1, 8))
            assert len(names_of(client)) <= most

    def test_the_one_not_used_for_longest_is_closed(self, link, direct):
        direct.conn.prepare_threshold = 0
        direct.conn.prepared_max = 4  # BEGIN, COMMIT and two more
        first = steps(link, direct, select(1))
        second = steps(link, direct, select(2))
        assert steps(link, direct, select(1)) == []
        third = steps(link, direct, select(3))
        assert {*first, *third} <= prepared(direct.conn)
        assert not {*second} & prepared(direct.conn)

    def test_a_statement_that_was_closed_is_prepared_by_another_name(self, link, direct):
        direct.conn.prepare_threshold = 0
        direct.conn.prepared_max = 4  # BEGIN, COMMIT and two more
        names = [name for n in (1, 2, 3) * 3 for name in steps(link, direct, select(n))]
        assert len(names) == len({*names}) == 9

    def test_statement_closed_by_a_failed_batch_is_closed(self, direct):
        direct.conn.prepare_threshold = 0
        direct.conn.prepared_max = 3
        direct.run(select(1))
        assert isinstance(direct.attempt(gather(select(2), sql("SELECT 1/0"))), Failed)
        assert len(prepared(direct.conn)) <= 3

    def test_cache_without_a_bound_keeps_all_statements(self, direct):
        direct.conn.prepare_threshold = 0
        direct.conn.prepared_max = None
        direct.run(gather(*map(select, range(300))))
        assert len(prepared(direct.conn)) == 302


def names_of(client):
    """Return what the server has prepared for the client, whichever kind it is."""
    if isinstance(client, SyncClient):
        return prepared(client.conn)
    answer = client.conn.pgconn.exec_(b"SELECT name FROM pg_prepared_statements")
    return {answer.get_value(row, 0) for row in range(answer.ntuples)}


class TestFailures:
    def test_name_whose_parse_was_skipped_is_not_sent_again(self, link, client):
        """PgBouncer remembers it, and ends a client that sends it again (08P01)."""
        client.conn.prepare_threshold = 0
        sent = []
        for _ in range(3):
            sent += steps(link, client, gather(sql("SELECT 1/0"), select(1), select(2)))
        sent += steps(link, client, gather(select(1), select(2)))
        assert len(sent) == len({*sent})
        assert client.run(gather(select(1), select(2))) == (2, 3)
        assert steps(link, client, gather(select(1), select(2))) == []

    def test_statement_prepared_before_the_failure_stays_prepared(self, link, client):
        client.conn.prepare_threshold = 0
        sent = steps(link, client, gather(select(1), sql("SELECT 1/0")))
        assert len(sent) == 2
        assert steps(link, client, select(1)) == []

    def test_statement_that_failed_to_parse_is_parsed_by_another_name(self, link, client, conn):
        client.conn.prepare_threshold = 0
        missing = sql("SELECT a FROM missing").all(tuple)
        first = steps(link, client, missing)
        conn.execute("CREATE TABLE missing (a int)")
        second = steps(link, client, missing)
        assert len(first) == len(second) == 1
        assert first != second
        assert client.run(missing) == []


def test_a_connections_preparations_are_its_own(link):
    with (
        SyncClient(link.conninfo(), prepare_threshold=0) as one,
        SyncClient(link.conninfo(), prepare_threshold=0) as two,
    ):
        assert len(steps(link, one, select(1))) == 1
        assert len(steps(link, two, select(1))) == 1


def test_psycopgs_own_preparations_are_left_alone(link, direct):
    direct.conn.prepare_threshold = 0
    direct.conn.execute("SELECT 1 + %s", [1])
    direct.run(select(1))
    assert any(name.startswith(b"_pg3_") for name in prepared(direct.conn))
    assert direct.conn.execute("SELECT 1 + %s", [1]).fetchone() == (2,)
    assert isinstance(direct.conn, psycopg.Connection)


def test_a_null_has_the_type_last_sent_on_its_own_connection(connect):
    """One text may be about two tables, of two databases say, whose columns differ in type."""
    values = {"bigint": 5, "inet": IPv4Address("10.0.0.1")}
    sides = {kind: connect(prepare_threshold=0) for kind in values}
    for kind, conn in sides.items():
        conn.execute(f"CREATE TEMPORARY TABLE of_a_type (value {kind})", prepare=False)
        batchq.run(conn, batchq.insert("of_a_type", {"value": values[kind]}))
    for conn in sides.values():
        batchq.run(conn, batchq.insert("of_a_type", {"value": None}))
        assert conn.execute("SELECT count(*) FROM of_a_type", prepare=False).fetchone() == (2,)
