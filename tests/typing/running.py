# SPDX-License-Identifier: MIT
"""The types of results, as mypy and pyright must infer them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

from psycopg import AsyncConnection, Connection, IsolationLevel
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from batchq import (
    BatchError,
    Outcome,
    ReadOnlyServer,
    Retry,
    SerializationConflict,
    StatementCanceled,
    Step,
    arun,
    gather,
    run,
    sql,
)
from batchq.language.step import Titled
from batchq.progress import Kept
from batchq.result import Failed, Ok, aattempt, arun_many, attempt, run_many
from batchq.types import RetryDetails
from tests.typing.subjects import INT, STR


def run_returns_the_result(conn: Connection, pool: ConnectionPool) -> None:
    both = gather(INT, STR)
    assert_type(run(conn, both), tuple[int, str])
    assert_type(run(pool, both), tuple[int, str])
    run(conn, sql("SELECT 1"))
    assert_type(run(conn, INT, nested=True), int)
    assert_type(run(conn, INT, isolation="repeatable read"), int)
    assert_type(run(pool, INT, retry=Retry(backoff=0.1, before_sleep=notify)), int)
    assert_type(
        run(
            pool,
            INT,
            isolation=IsolationLevel.SERIALIZABLE,
            read_only=True,
            timeout=timedelta(seconds=1),
            retry=Retry(attempts=3, backoff=timedelta(seconds=1)),
        ),
        int,
    )
    assert_type(attempt(conn, both), Ok[tuple[int, str]] | Failed)
    assert_type(attempt(pool, both), Ok[tuple[int, str]] | Failed)

    run(conn, INT, timeout="1s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run(conn, INT, retry=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Retry(backoff="1s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def notify(retrying: RetryDetails) -> None:
    assert_type(retrying.report, BatchError)


def report_is_matched_by_its_class(failed: Failed) -> None:
    match failed.report:
        case SerializationConflict() as conflict:
            assert_type(conflict.rerun_outer, bool)
        case StatementCanceled() as canceled:
            assert_type(canceled.timeout, float | None)
        case ReadOnlyServer() as server:
            assert_type(server.step, Step | None)
        case _:
            pass


async def arun_returns_the_result(conn: AsyncConnection, pool: AsyncConnectionPool) -> None:
    both = gather(INT, STR)
    assert_type(await arun(conn, both), tuple[int, str])
    assert_type(await arun(pool, both, timeout=0.5), tuple[int, str])
    assert_type(await aattempt(conn, both), Ok[tuple[int, str]] | Failed)
    assert_type(await aattempt(pool, both), Ok[tuple[int, str]] | Failed)


def run_many_returns_a_result_for_each(conn: Connection, pool: ConnectionPool) -> None:
    assert_type(run_many(conn, [INT, INT]), list[Ok[int] | Failed])
    assert_type(
        run_many(pool, (INT for _ in range(3)), retry=Retry(), deadline=1), list[Ok[int] | Failed]
    )


async def arun_many_returns_a_result_for_each(conn: AsyncConnection) -> None:
    assert_type(await arun_many(conn, [INT], isolation="serializable"), list[Ok[int] | Failed])


def row_type_of_the_connection_is_ignored(conn: Connection[dict[str, Any]]) -> None:
    assert_type(run(conn, INT), int)


def match_on_an_attempt_is_exhaustive(conn: Connection) -> str:
    match attempt(conn, gather(INT, STR)):
        case Ok((number, text)):
            assert_type(number, int)
            return text
        case Failed(error, report):
            assert_type(error, BaseException)
            assert_type(report, BatchError)
            assert_type(report.outcome, Outcome)
            assert_type(report.statement, Titled | None)
            return str(error)


def kept_has_the_types_of_its_events_and_reports() -> None:
    kept = Kept[str, int](max_events=128)
    kept.add_event("put")
    kept.add_report(1)
    assert_type(kept.recent, tuple[str, ...])
    assert_type(kept.last_report, int | None)
    assert_type(kept.lifetime, int | None)

    kept.add_event(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Kept[str, object](max_events=1)  # type: ignore[type-var]  # pyright: ignore[reportInvalidTypeArguments]
