# SPDX-License-Identifier: MIT
"""The runner of interleavings itself: it leaves out no order, and sees what there is to see."""

from __future__ import annotations

from math import comb

import pytest
from psycopg import IsolationLevel

from batchq import gather, insert, sql, update
from tests.support.interleaved_session import Side, once
from tests.support.interleavings import Interleaver

pytestmark = pytest.mark.postgres_only("waits are seen in pg_blocking_pids()")

TABLES = "CREATE TABLE account (id int PRIMARY KEY, n int NOT NULL); CREATE TABLE log (n int)"
RESET = "DELETE FROM log; DELETE FROM account; INSERT INTO account VALUES (1, 0), (2, 0)"
RC, RR = IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ


@pytest.fixture
def table(conn, connect):
    conn.execute(TABLES)
    return Interleaver.connect(connect, RESET)


def adding(*accounts):
    return gather(*(update("account", {"n": sql("n + 1")}, {"id": id_}) for id_ in accounts))


@pytest.mark.parametrize(("first", "second"), [(1, 1), (2, 3), (3, 1)])
@pytest.mark.parametrize("level", [RC, RR], ids=["each its snapshot", "one snapshot"])
def test_schedules_without_waits_run_once_in_each_order(table, first, second, level):
    logging = [
        gather(*(insert("log", {"n": n}) for n in range(count))) for count in (first, second)
    ]
    schedule = list(
        table.run_all(Side("a", once(logging[0]), level), Side("b", once(logging[1]), level))
    )
    ends = 1 if level is RC else 2  # COMMIT, and what takes the snapshot
    orders = {tuple(move[0] for move in one.moves) for one in schedule}
    assert len(orders) == len(schedule) == comb(first + second + 2 * ends, first + ends)


def test_snapshot_is_taken_before_or_after_the_other_commit(table):
    count = sql("SELECT count(*) FROM log").scalar(int)
    seen = {
        level: {
            one.results[0][0]
            for one in table.run_all(
                Side("a", once(gather(count, count)), level),
                Side("b", once(insert("log", {"n": 1}))),
            )
        }
        for level in (RC, RR)
    }
    assert seen == {RC: {(0, 0), (0, 1), (1, 1)}, RR: {(0, 0), (1, 1)}}


def test_waiting_side_continues_only_after_the_other_has_ended(table):
    schedule = list(table.run_all(Side("a", once(adding(1))), Side("b", once(adding(1)))))
    assert [one.moves for one in schedule if any("waits" in move for move in one.moves)] == [
        ("a: update account", "b: update account: waits", "a: COMMIT",
         "b: update account (had waited)", "b: COMMIT"),
        ("b: update account", "a: update account: waits", "b: COMMIT",
         "a: update account (had waited)", "a: COMMIT"),
    ]  # fmt: skip
    assert len(schedule) == 4
    assert all(one.failures == (None, None) for one in schedule)


def test_deadlock_makes_either_side_the_victim(table):
    summary = table.check_all(
        Side("a", once(adding(1, 2))), Side("b", once(adding(2, 1))), lambda _: False
    )
    assert summary.committed == {(True, True), (True, False), (False, True)}
    assert {failure.sqlstate for failure in summary.failures} == {"57014"}


def test_conflict_ends_one_side_and_the_other_continues(table):
    def wrong(_played):
        return table.observer.execute("SELECT n FROM account WHERE id = 1").fetchone() != (1,)

    summary = table.check_all(Side("a", once(adding(1)), RR), Side("b", once(adding(1)), RR), wrong)
    assert {failure.sqlstate for failure in summary.failures} == {"40001"}
    # Where both are committed, one after the other, both have counted.
    assert {len(one.results[0]) + len(one.results[1]) for one in summary.wrong} == {2}


def test_a_side_of_several_transactions_is_sent_the_result_of_each(table):
    def program():
        count = yield sql("SELECT count(*) FROM log").scalar(int)
        yield insert("log", {"n": count})

    for one in table.run_all(Side("a", program), Side("b", once(insert("log", {"n": 9})))):
        assert len(one.results[0]) == 2
        assert table.observer.execute("SELECT count(*) FROM log").fetchone() == (2,)


def test_lost_update_is_found_with_a_schedule_that_can_be_replayed(table):
    def program():
        n = yield sql("SELECT n FROM account WHERE id = 1").scalar(int)
        yield update("account", {"n": n + 1}, {"id": 1})

    def wrong(_played):
        return table.observer.execute("SELECT n FROM account WHERE id = 1").fetchone() != (2,)

    a, b = Side("a", program), Side("b", program)
    summary = table.check_all(a, b, wrong)
    assert str(summary).startswith(
        f"{len(summary.wrong)} of {summary.schedules} schedules are wrong"
    )
    assert "a: update account\n" in str(summary)
    again = table.run(a, b, summary.wrong[0].choices)
    assert again.moves == summary.wrong[0].moves
    assert wrong(again)
