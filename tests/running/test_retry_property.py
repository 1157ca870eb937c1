# SPDX-License-Identifier: MIT
"""What is tried again, for every class of report and for every sequence of endings: never what may
have kept something, never what would fail again, and never more often than was asked for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from unittest.mock import patch

import psycopg
import psycopg_pool
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq import Outcome, Retry, sql
from batchq.language import errors
from batchq.result import Failed, Ok, aattempt, attempt
from batchq.running.retry import may_succeed

READ = sql("SELECT 1").scalar(int)
MOST = 3
"""How many connections the pool may hold."""

NOWHERE, POOLED, ANYWHERE = set(), {True}, {True, False}
"""Where an attempt is followed by another one: on a pool, on a connection."""

CLASSES = {
    errors.BatchError: NOWHERE,
    errors.InvalidBatch: NOWHERE,
    errors.UnmappedViolation: NOWHERE,
    errors.GuardFailed: NOWHERE,
    errors.InvariantViolation: NOWHERE,
    errors.SerializationConflict: ANYWHERE,
    errors.StatementCanceled: NOWHERE,
    errors.ReadOnlyServer: POOLED,
    errors.ConnectionFailed: POOLED,
    errors.OutcomeUnknown: NOWHERE,
    errors.DeadlineExceeded: NOWHERE,
    errors.DecodeFailed: NOWHERE,
}


def classes(cls=errors.BatchError):
    yield cls
    for one in cls.__subclasses__():
        yield from classes(one)


def test_every_class_of_report_is_decided_on():
    assert {cls for cls in classes() if cls.__module__ == errors.__name__} == CLASSES.keys()


@pytest.mark.parametrize("pooled", [True, False], ids=["pooled", "bare"])
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_class_is_tried_again_where_it_may_succeed(cls, pooled):
    for outcome in (Outcome.NOT_SENT, Outcome.ROLLED_BACK):
        assert may_succeed(cls("", outcome=outcome), pooled=pooled) is (pooled in CLASSES[cls])


CAUSES = {
    None: True,
    psycopg.OperationalError(): True,
    psycopg.InterfaceError(): True,
    psycopg.errors.AdminShutdown(): True,
    psycopg_pool.PoolTimeout(): False,
    psycopg_pool.PoolClosed(): False,
    psycopg_pool.TooManyRequests(): False,
    RuntimeError(): False,
    OSError(): False,
    TimeoutError(): False,
}


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: type(cause).__name__)
def test_a_lost_connection_is_tried_again_for_what_it_was_lost_by(cause):
    report = errors.ConnectionFailed("")
    report.__cause__ = cause
    assert may_succeed(report, pooled=True) is CAUSES[cause]


class Link:
    """A connection as far as a pool's visitor looks at it."""

    closed = False

    @property
    def pgconn(self):
        return self

    def finish(self):
        self.closed = True

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass


class Pool:
    """Gives a new connection each time."""

    max_size = MOST

    def __init__(self):
        self.given, self.back = [], []

    def getconn(self, **_):
        self.given.append(Link())
        return self.given[-1]

    def putconn(self, link):
        self.back.append(link)

    @contextmanager
    def connection(self):
        link = self.getconn()
        try:
            yield link
        finally:
            self.putconn(link)


class AsyncPool(Pool):
    async def getconn(self, **_):
        return Pool.getconn(self)

    async def putconn(self, link):
        Pool.putconn(self, link)

    @asynccontextmanager
    async def connection(self):
        link = await self.getconn()
        try:
            yield link
        finally:
            await self.putconn(link)


ENDINGS = {
    "committed": lambda: Ok(1),
    "conflict": lambda: errors.SerializationConflict("", outcome=Outcome.ROLLED_BACK),
    "read only": lambda: errors.ReadOnlyServer("", outcome=Outcome.ROLLED_BACK),
    "ended": lambda: errors.ConnectionFailed("", outcome=Outcome.ROLLED_BACK),
    "closed": lambda: errors.ConnectionFailed("", outcome=Outcome.NOT_SENT),
    "unknown": lambda: errors.OutcomeUnknown("", outcome=Outcome.UNKNOWN),
    "refused": lambda: errors.UnmappedViolation("", outcome=Outcome.ROLLED_BACK),
    "decode": lambda: errors.DecodeFailed("", outcome=Outcome.COMMITTED),
}
AGAIN = {"conflict", "read only", "ended", "closed"}


def foretold(endings, attempts):
    """How many visits there are, how many of them are attempts, and with which ending the last."""
    counted = spared = 0
    for visits, ending in enumerate(endings, 1):
        if ending == "closed" and spared < MOST:
            spared += 1
            continue
        counted, spared = counted + 1, 0
        if ending not in AGAIN or counted == attempts:
            return visits, counted, ending
    raise AssertionError("it ends with what is not tried again")


@given(
    st.lists(st.sampled_from(sorted(AGAIN)), max_size=12),
    st.sampled_from(sorted(ENDINGS.keys() - AGAIN)),
    st.integers(1, 5),
    st.booleans(),
)
def test_any_sequence_of_endings_ends_as_it_must(again, last, attempts, is_sync):
    endings = [*again, last]
    left, retries = iter(endings), []

    def once(connection, _):
        ending = next(left)
        made = ENDINGS[ending]()
        connection.closed = ending in {"closed", "ended"}
        return [made if isinstance(made, Ok) else Failed(made, made)]

    async def aonce(connection, todo):
        return once(connection, todo)

    pool = Pool() if is_sync else AsyncPool()
    retry = Retry(attempts=attempts, backoff=0, before_sleep=retries.append)
    with (
        patch("batchq.running.run.run_once", once),
        patch("batchq.running.run.arun_once", aonce),
    ):
        if is_sync:
            answer = attempt(pool, READ, retry=retry)
        else:
            answer = asyncio.run(aattempt(pool, READ, retry=retry))

    visits, counted, ending = foretold(endings, attempts)
    assert len(pool.given) == visits
    assert [one.attempt for one in retries] == list(range(1, counted))
    expected = ENDINGS[ending]()
    assert type(answer) is Ok if isinstance(expected, Ok) else type(answer.report) is type(expected)
    if isinstance(answer, Failed):
        assert answer.report.attempts == counted
    assert pool.back == pool.given
    unusable = {"closed", "ended", "read only"}
    assert [link.closed for link in pool.back] == [one in unusable for one in endings[:visits]]
