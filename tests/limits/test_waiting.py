# SPDX-License-Identifier: MIT
"""What a change of a counter does that has waited for another, at each isolation level."""

from __future__ import annotations

import pytest
from psycopg import IsolationLevel

from batchq import Retry, gather, insert, run, sql
from batchq.limits import LimitExceeded
from batchq.result import Ok
from tests.limits.helpers import LIMITS, PROJECT, A, B, charge, create, set_limits
from tests.support.lock_waits import TIMEOUT

LEVELS = [
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
]
AGAIN = Retry(attempts=2, backoff=0)


pytestmark = pytest.mark.usefixtures("vpc_table")


@pytest.fixture(params=LEVELS, ids=lambda level: level.name)
def isolation(request) -> IsolationLevel:
    return request.param


def settled(racing, held, waiting, isolation, **options):
    """Return the result of a batch that waited; under the stricter levels it is run again."""
    return racing.run(held, waiting, isolation=isolation, retry=AGAIN, **options)


def test_charge_that_waited_for_the_last_place_is_refused(racing, conn, book, isolation):
    set_limits(conn, (PROJECT, "vpcs", 1))
    answer = settled(racing, create(A), create(B), isolation)
    assert isinstance(answer.error, LimitExceeded)
    assert book.counter() == (1, 1, 1)


def test_charge_that_waited_for_a_released_place_gets_it(racing, conn, book, isolation):
    set_limits(conn, (PROJECT, "vpcs", 1))
    run(conn, charge(A))
    release = LIMITS.release("vpcs", scope=PROJECT, id=A)
    assert settled(racing, release, create(B), isolation).value is True
    assert [row[2] for row in book.ledger()] == [B]


def test_charge_that_waited_for_a_rolled_back_one_gets_its_place(racing, conn, book, isolation):
    set_limits(conn, (PROJECT, "vpcs", 1))
    assert settled(racing, create(A), create(B), isolation, rollback=True).value is True
    assert [row[2] for row in book.ledger()] == [B]


def test_repeated_charge_that_waited_for_the_first_charges_nothing(racing, conn, book, isolation):
    set_limits(conn, (PROJECT, "vpcs", 9))
    assert settled(racing, charge(A, 3), charge(A, 3), isolation).value is False
    assert (book.used(), book.wrong()) == (3, [])


def test_release_that_waited_for_another_returns_nothing(racing, conn, book, isolation):
    set_limits(conn, (PROJECT, "vpcs", 9))
    run(conn, charge(A, 3))
    release = LIMITS.release("vpcs", scope=PROJECT, id=A)
    assert settled(racing, release, release, isolation).value is False
    assert (book.used(), book.wrong()) == (0, [])


def test_resize_that_waited_for_another_starts_from_its_result(racing, conn, book, isolation):
    set_limits(conn, (PROJECT, "vpcs", 9))
    run(conn, charge(A, 3))
    resize = [LIMITS.resize("vpcs", n, scope=PROJECT, id=A) for n in (8, 2)]
    assert isinstance(settled(racing, *resize, isolation), Ok)
    assert (book.counter(), book.wrong()) == ((2, 9, 9), [])


def test_release_that_waited_for_a_resize_returns_the_new_amount(racing, conn, book, isolation):
    set_limits(conn, (PROJECT, "vpcs", 9))
    run(conn, charge(A, 3))
    resize = LIMITS.resize("vpcs", 8, scope=PROJECT, id=A)
    assert settled(racing, resize, LIMITS.release("vpcs", scope=PROJECT, id=A), isolation).value
    assert (book.used(), book.wrong()) == (0, [])


def test_charge_that_waited_for_a_lower_limit_is_rejected(racing, conn, book, isolation):
    set_limits(conn, (PROJECT, "vpcs", 9))
    run(conn, charge(A, 3))
    lower = LIMITS.set_limit("vpcs", 2, scope=PROJECT)
    assert isinstance(settled(racing, lower, charge(B), isolation).error, LimitExceeded)
    assert book.counter() == (3, 2, 3)


def test_lower_limit_that_waited_for_a_charge_keeps_it(racing, conn, book, isolation):
    set_limits(conn, (PROJECT, "vpcs", 9))
    lower = LIMITS.set_limit("vpcs", 2, scope=PROJECT)
    assert isinstance(settled(racing, charge(A, 3), lower, isolation), Ok)
    assert book.counter() == (3, 2, 3)


def test_first_limit_set_twice_at_once_creates_one_counter(racing, book, isolation):
    first, second = (LIMITS.set_limit("vpcs", lim, scope=PROJECT) for lim in (5, 7))
    assert isinstance(settled(racing, first, second, isolation), Ok)
    assert book.counter() == (0, 7, 7)


def test_reader_or_reference_of_a_counter_does_not_wait(connect, conn, book):
    key = "FOREIGN KEY (scope_id, resource) REFERENCES resource_limit"
    conn.execute(f"CREATE TABLE alarm (scope_id uuid, resource text, {key})")
    set_limits(conn, (PROJECT, "vpcs", 9))
    holder = connect()
    with holder.transaction():
        run(holder, charge(A), nested=True)
        reading = sql("SELECT used FROM resource_limit").scalar(int)
        alarm = insert("alarm", {"scope_id": PROJECT, "resource": "vpcs"})
        assert run(conn, gather(alarm, reading), timeout=TIMEOUT) == (None, 0)
