# SPDX-License-Identifier: MIT
"""Charges that meet: never over the limit, never counted twice, and never a deadlock.

Many at once, from threads with connections of their own; and two or three in an order that locks
force. The spelling that the one order is there to avoid does deadlock, so these tests can see one.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from psycopg_pool import ConnectionPool

from batchq import SerializationConflict, run, sequence, steps
from batchq.limits import LimitExceeded, Limits
from batchq.result import Ok, attempt
from batchq.types import ViolationKind
from tests.limits.helpers import FLEET, LIMITS, PROJECT, SILO, A, B, charge, create, set_limits
from tests.support.lock_waits import until_waits

pytestmark = pytest.mark.usefixtures("vpc_table")


def at_once(database, threads, batches):
    """Run batches from threads, each of which has a connection."""
    with (
        ConnectionPool(database, min_size=threads, max_size=threads, open=True) as pool,
        ThreadPoolExecutor(threads) as workers,
    ):
        pool.wait()
        return list(workers.map(lambda batch: attempt(pool, batch), batches))


# -- many at once ----------------------------------------------------------------------------------


def test_of_200_creates_against_a_limit_of_50_exactly_50_succeed(database, conn, book):
    set_limits(conn, (PROJECT, "vpcs", 50))
    answers = at_once(database, 16, [create(uuid4()) for _ in range(200)])
    refused = [answer for answer in answers if not isinstance(answer, Ok)]
    assert len(refused) == 150
    assert {
        (type(one.error), one.error.requested, one.report.path, one.report.index) for one in refused
    } == {(LimitExceeded, 1, "charge vpcs", 2)}
    assert {one.report.violation.kind for one in refused} == {ViolationKind.CHECK}
    assert book.counter() == (50, 50, 50)
    created = conn.execute("SELECT id FROM vpc ORDER BY id").fetchall()
    assert [(row[2],) for row in book.ledger()] == created
    assert len(created) == 50


def test_one_charge_replayed_from_all_sides_is_counted_once(database, conn, book):
    set_limits(conn, (PROJECT, "vpcs", 50))
    answers = at_once(database, 5, [charge(one) for one in [A, B] * 20])
    assert Counter(answer.value for answer in answers) == {True: 2, False: 38}
    assert (book.used(), len(book.ledger())) == (2, 2)


def many(batches):
    """Batches that charge several levels, in every order in which they can be declared."""
    orders = list(permutations([PROJECT, SILO, FLEET]))
    for number in range(batches):
        one, levels = UUID(int=number), orders[number // 2 % len(orders)]
        if number % 2:
            yield charge(one, 1, levels)
        else:
            yield sequence(charge(one, 1, level) for level in levels)


@pytest.mark.parametrize("batches", [2_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_scopes_declared_in_opposite_orders_from_32_threads_never_deadlock(
    database, conn, book, batches
):
    levels = [PROJECT, SILO, FLEET]
    set_limits(conn, *((level, "vpcs", None) for level in levels))
    answers = at_once(database, 32, many(batches))
    assert [answer for answer in answers if not isinstance(answer, Ok)] == []
    assert [book.used(level) for level in levels] == [batches] * 3
    assert (len(book.ledger()), book.wrong()) == (3 * batches, [])


# -- two, by locks ---------------------------------------------------------------------------------


class Crossing:
    """Two batches on the same three counters, declared in opposite orders, in each other's way.

    A third session holds the counter in the middle until both wait, so that each has started.
    """

    def __init__(self, connect, conn):
        self.observer, self.holder = conn, connect()
        self.sides = [connect(), connect()]
        for side in self.sides:
            side.execute("SET deadlock_timeout = '10ms'")

    def run(self, batches):
        with ThreadPoolExecutor(2) as threads:
            with self.holder.transaction():
                middle = "SELECT FROM resource_limit WHERE scope_id = %s FOR UPDATE"
                self.holder.execute(middle, [self.middle])
                works = []
                for side, batch in zip(self.sides, batches, strict=True):
                    works.append(threads.submit(attempt, side, batch))
                    until_waits(self.observer, side.info.backend_pid, works[-1])
            return [work.result() for work in works]

    levels = sorted([PROJECT, SILO, FLEET], key=str)
    middle = levels[1]


@pytest.fixture
def crossing(connect, conn) -> Crossing:
    set_limits(conn, *((level, "vpcs", None) for level in Crossing.levels))
    return Crossing(connect, conn)


def test_opposite_orders_do_not_deadlock(crossing, book):
    answers = crossing.run([charge(A, 2, crossing.levels), charge(B, 3, reversed(crossing.levels))])
    assert [type(answer) for answer in answers] == [Ok, Ok]
    assert [book.used(level) for level in crossing.levels] == [5, 5, 5]


def test_opposite_orders_deadlock_where_steps_run_as_they_are_written(crossing, book):
    def written(id, levels):
        return sequence(step.statement for level in levels for step in steps(charge(id, 2, level)))

    answers = crossing.run([written(A, crossing.levels), written(B, reversed(crossing.levels))])
    assert sorted(type(answer).__name__ for answer in answers) == ["Failed", "Ok"]
    (failed,) = (answer for answer in answers if not isinstance(answer, Ok))
    assert isinstance(failed.error, SerializationConflict)
    assert failed.report.violation.sqlstate == "40P01"
    assert [book.used(level) for level in crossing.levels] == [2, 2, 2]


def schema_of(conn):
    return conn.execute("SELECT current_schema()").fetchone()[0]


@pytest.mark.parametrize("qualified", ["a", "b"])
@pytest.mark.parametrize("ordinary", ["LIMITS", "the other"])
def test_table_named_in_two_ways_is_locked_in_one_order(racing, conn, book, qualified, ordinary):
    """Whichever counter is called by the longer name, and by whichever the others call both."""
    set_limits(conn, (PROJECT, "a", None), (PROJECT, "b", None))
    schema = schema_of(conn)
    other = Limits(table=f"{schema}.resource_limit", ledger=f"{schema}.resource_charge")
    mixed = sequence(
        (other if name == qualified else LIMITS).charge(name, scope=PROJECT, id=A)
        for name in ("a", "b")
    )
    normal = LIMITS if ordinary == "LIMITS" else other
    racing.second.execute("SET deadlock_timeout = '10ms'")
    with racing.first.transaction():
        run(racing.first, normal.charge("a", scope=PROJECT, id=B), nested=True)
        work = racing.submit(attempt, racing.second, mixed)
        # Were "b" locked by now, this would wait for who waits for us.
        run(racing.first, normal.charge("b", scope=PROJECT, id=B), nested=True)
    assert isinstance(work.result(), Ok), work.result()
    assert (book.used(resource="a"), book.used(resource="b")) == (2, 2)


def test_reconcile_locks_counters_in_the_order_of_charges(connect, conn, book):
    # Read in the order in which they were made, "a" would come first; by their bytes "B" does.
    set_limits(conn, (PROJECT, "a", None))
    set_limits(conn, (PROJECT, "B", None))
    holder, side = connect(), connect()
    for path in ("indexscan", "bitmapscan", "indexonlyscan"):
        side.execute(f"SET enable_{path} = off")
    with ThreadPoolExecutor(1) as threads:
        with holder.transaction():
            run(holder, LIMITS.charge("B", scope=PROJECT, id=A), nested=True)
            work = threads.submit(attempt, side, LIMITS.reconcile(PROJECT))
            until_waits(conn, side.info.backend_pid, work)
            # Were "a" locked by now, this would wait for who waits for us.
            run(holder, LIMITS.charge("a", scope=PROJECT, id=A), nested=True)
        assert isinstance(work.result(), Ok)
    assert book.wrong() == []
