# SPDX-License-Identifier: MIT
"""The types are API: what mypy and pyright must infer, and what they must refuse.

`make types` checks it; a run only proves that its names exist. Each ignore states what must *not*
type check, for one checker or both; an ignore that is not needed is an error, so the statement is
proven.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, assert_type
from uuid import UUID

from attrs import frozen
from psycopg import AsyncConnection, Connection, IsolationLevel
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from batchq import (
    Batch,
    BatchError,
    Outcome,
    ReadOnlyServer,
    Retry,
    SerializationConflict,
    Statement,
    StatementCanceled,
    Step,
    Violation,
    arun,
    check,
    delete,
    explain,
    format_error,
    gather,
    insert,
    insert_or_get,
    into,
    run,
    select,
    sequence,
    sql,
    sqlstate,
    steps,
    unique,
    update,
)
from batchq.hierarchy import Children, Parent
from batchq.language.step import Titled
from batchq.result import Failed, Ok, aattempt, attempt
from batchq.types import Inserted, Output, RetryDetails


@frozen
class Project:
    id: UUID
    name: str


@dataclass
class Vpc:
    id: UUID


class Subnet(NamedTuple):
    id: UUID


@frozen
class Created:
    project: Project
    vpc: Vpc


class NameTaken(Exception):
    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.constraint)


def a_row(row: dict[str, Any]) -> bytes:
    return bytes(row["id"])


INT = sql("SELECT 1").scalar(int)
STR = sql("SELECT 'a'").scalar(str)


# -- statements ------------------------------------------------------------------------------------


def a_statement_has_no_result_until_it_is_given_a_shape() -> None:
    assert_type(sql("SELECT 1"), Statement[None])
    assert_type(insert("t", {"a": 1, "b": None}), Statement[None])
    assert_type(insert("t", Vpc(UUID(int=0))), Statement[None])
    assert_type(insert("t", Project(UUID(int=0), "web")), Statement[None])
    assert_type(update("t", {"a": sql("now()")}, {"b": [1, 2]}), Statement[None])
    assert_type(delete("t", sql("true")), Statement[None])
    assert_type(select("t", ["a", sql("now()")], where={"b": None}), Statement[None])


def a_shape_is_the_type_of_the_result() -> None:
    query = sql("SELECT id, name FROM project")
    assert_type(query.one(Project), Statement[Project])
    assert_type(query.one(Vpc), Statement[Vpc])
    assert_type(query.one(Subnet), Statement[Subnet])
    assert_type(query.one(tuple), Statement[tuple[Any, ...]])
    assert_type(query.one(dict), Statement[dict[str, Any]])
    assert_type(query.one(a_row), Statement[bytes])
    assert_type(query.maybe(Project), Statement[Project | None])
    assert_type(query.maybe(Subnet), Statement[Subnet | None])
    assert_type(query.maybe(tuple), Statement[tuple[Any, ...] | None])
    assert_type(query.maybe(dict), Statement[dict[str, Any] | None])
    assert_type(query.maybe(a_row), Statement[bytes | None])
    assert_type(query.all(Project), Statement[list[Project]])
    assert_type(query.all(Subnet), Statement[list[Subnet]])
    assert_type(query.all(tuple), Statement[list[tuple[Any, ...]]])
    assert_type(query.all(dict), Statement[list[dict[str, Any]]])
    assert_type(query.all(a_row), Statement[list[bytes]])
    assert_type(query.scalar(int), Statement[int])
    assert_type(query.scalar(UUID), Statement[UUID])
    assert_type(query.count(), Statement[int])


def what_says_what_a_failure_means_keeps_the_result() -> None:
    statement = insert("project", {"name": "web"}).one(Project)
    assert_type(statement.on(unique("k"), LookupError("taken")), Statement[Project])
    assert_type(statement.on(check("k"), NameTaken), Statement[Project])
    assert_type(statement.on(sqlstate("22003"), lambda v: KeyError(v.table)), Statement[Project])
    assert_type(statement.invariant("project_pkey"), Statement[Project])
    assert_type(statement.expect(1, missing=NameTaken), Statement[Project])
    assert_type(statement.label("project"), Statement[Project])
    assert_type(statement.returning("id"), Statement[Project])


# -- composition -----------------------------------------------------------------------------------


def gather_keeps_the_types_of_up_to_ten() -> None:
    a, b = INT, STR
    assert_type(gather(), Batch[tuple[()]])
    assert_type(gather(a), Batch[tuple[int]])
    assert_type(gather(a, b), Batch[tuple[int, str]])
    assert_type(gather(a, b, a), Batch[tuple[int, str, int]])
    assert_type(gather(a, b, a, b), Batch[tuple[int, str, int, str]])
    assert_type(gather(a, b, a, b, a), Batch[tuple[int, str, int, str, int]])
    assert_type(gather(a, b, a, b, a, b), Batch[tuple[int, str, int, str, int, str]])
    assert_type(gather(a, b, a, b, a, b, a), Batch[tuple[int, str, int, str, int, str, int]])
    assert_type(
        gather(a, b, a, b, a, b, a, b), Batch[tuple[int, str, int, str, int, str, int, str]]
    )
    assert_type(
        gather(a, b, a, b, a, b, a, b, a),
        Batch[tuple[int, str, int, str, int, str, int, str, int]],
    )
    assert_type(
        gather(a, b, a, b, a, b, a, b, a, b),
        Batch[tuple[int, str, int, str, int, str, int, str, int, str]],
    )
    assert_type(gather(a, b, a, b, a, b, a, b, a, b, a), Batch[tuple[Any, ...]])
    assert_type(gather(gather(a, b), sql("SELECT 1")), Batch[tuple[tuple[int, str], None]])


def composition_keeps_types() -> None:
    assert_type(sequence([INT, INT]), Batch[list[int]])
    assert_type(sequence(INT for _ in range(3)), Batch[list[int]])
    assert_type(into(Created, INT, project=STR, vpc=INT), Batch[Created])
    assert_type(into(dict[str, Any], project=STR), Batch[dict[str, Any]])
    both = gather(INT, STR)
    assert_type(both.map(lambda r: r[1]), Batch[str])
    assert_type(both.map(lambda r: (r[1], r[0])), Batch[tuple[str, int]])
    assert_type(INT.map(str), Batch[str])
    assert_type(both.label("x"), Batch[tuple[int, str]])
    assert_type(both.on(unique("k"), NameTaken), Batch[tuple[int, str]])
    assert_type(both.as_invariant("x"), Batch[tuple[int, str]])
    assert_type(INT.as_invariant("x"), Batch[int])


def a_batch_of_a_subclass_is_one_of_its_base(batch: Batch[bool]) -> Batch[int]:
    return batch


def what_can_be_seen_before_it_runs() -> None:
    (step, *_) = steps(gather(INT))
    assert_type(step.sql, str)
    assert_type(step.parameters, tuple[object, ...])
    assert_type(step.statement, Statement[Any])
    assert_type(explain(INT, parameters=True), str)


# -- guards ----------------------------------------------------------------------------------------

ROW = select("project", ["id"], where={"id": 7})
PROJECTS = Parent(table="project", key="id", deleted_at="time_deleted", generation="rcgen")
VPCS = PROJECTS.children("vpc", by="project_id", where={"kind": "user"}, deleted_at="time_deleted")


def a_guard_on_rows_keeps_the_result() -> None:
    statement = update("project", {"name": "web"}, {"id": 7}).one(Project)
    assert_type(statement.require({"rcgen": 3}, raises=NameTaken), Statement[Project])
    assert_type(statement.require(sql("rcgen < 3"), raises=KeyError("x")), Statement[Project])
    assert_type(
        statement.require({"a": None}, raises=lambda v: KeyError(v.row["a"]), columns=["b"]),
        Statement[Project],
    )
    assert_type(
        statement.ensure({"state": sql("lower(name)")}, raises=NameTaken, columns={"b"}),
        Statement[Project],
    )
    assert_type(statement.expect(at_most=1), Statement[Project])
    assert_type(
        insert("t", {"a": 1}).on_conflict_do_nothing("a", where={"b": None}).count(),
        Statement[int],
    )
    assert_type(
        statement.require({"a": 1}, raises=format_error(KeyError, "{a}")), Statement[Project]
    )


def existence_has_no_result_and_a_lock_may_read() -> None:
    assert_type(ROW.expect(at_least=1, missing=LookupError), Statement[None])
    assert_type(sql("SELECT 1").expect(at_least=1, missing=LookupError("missing")), Statement[None])
    assert_type(
        ROW.expect(0, unexpected=format_error(ValueError, "{name}"), columns=["name"]),
        Statement[None],
    )
    row = (
        select("project", where={"id": 7})
        .for_update(strength="no key update")
        .expect(1, missing=NameTaken)
    )
    assert_type(row, Statement[None])
    assert_type(row.require({"rcgen": 3}, raises=KeyError).one(Project), Statement[Project])


def parents_and_children_keep_the_result_of_what_is_added() -> None:
    child = insert("vpc", {"id": 1, "project_id": 7})
    assert_type(VPCS, Children)
    assert_type(PROJECTS.touch(7, missing=LookupError), Batch[None])
    assert_type(VPCS.add(7, child, missing=LookupError), Batch[None])
    assert_type(VPCS.add(7, child.one(Vpc), missing=LookupError), Batch[Vpc])
    assert_type(VPCS.add(7, sequence([child.one(Vpc)]), missing=LookupError), Batch[list[Vpc]])
    assert_type(VPCS.forbid(7, unexpected=format_error(ValueError, "{name}")), Statement[None])
    assert_type(
        PROJECTS.delete(
            7,
            missing=LookupError,
            guards=[VPCS.forbid(7, unexpected=ValueError), ROW.expect(0, unexpected=ValueError)],
            generation=3,
            stale=NameTaken,
        ),
        Batch[None],
    )


def insert_or_get_is_the_row_and_whether_it_is_new(conn: Connection) -> None:
    batch = insert_or_get(
        "project",
        {"id": 7},
        Project,
        key=["id"],
        where={"a": None},
        same=["name"],
        raises=KeyError,
    )
    assert_type(batch, Batch[Inserted[Project]])
    got = run(conn, batch)
    assert_type(got.row, Project)
    assert_type(got.created, bool)


def an_output_stands_where_a_value_does() -> None:
    made = insert("project", {"name": "web"})
    id_ = made.output("id")
    assert_type(id_, Output)
    assert_type(made.one(Project).output("id", "uuid"), Output)
    assert_type(insert("vpc", {"project_id": id_}), Statement[None])
    assert_type(
        update("vpc", {"a": id_}, {"b": id_}).require({"c": id_}, raises=KeyError), Statement[None]
    )
    assert_type(sql("SELECT %(x)s", x=id_), Statement[None])


def what_a_guard_found_is_by_column(violation: Violation) -> None:
    assert_type(violation.row["rcgen"], Any)
    assert_type(violation.requirement, int | None)
    assert_type(violation.rows, int | None)


# -- running ---------------------------------------------------------------------------------------


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


def reads_the_classes_of_failures(failed: Failed) -> None:
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


def rows_of_the_connection_do_not_matter(conn: Connection[dict[str, Any]]) -> None:
    assert_type(run(conn, INT), int)


def a_match_on_the_answer_is_exhaustive(conn: Connection) -> str:
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


# -- what must not type check ----------------------------------------------------------------------


def nothing_is_changed_about_a_statement_or_a_batch(batch: Batch[int]) -> None:
    INT._values = ()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    INT._labels = ("a",)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    batch._required_outputs = ()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def sql_is_written_and_not_made(table: str) -> None:
    # mypy does not know LiteralString: only pyright can refuse it.
    sql(f"SELECT 1 FROM {table}")  # pyright: ignore[reportArgumentType]
    sql("SELECT 1 FROM " + table)  # pyright: ignore[reportArgumentType]
    literal = "SELECT" + " 1"
    sql(literal)


def a_matcher_is_made_by_its_function() -> None:
    INT.on("k", NameTaken)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    INT.on(unique, NameTaken)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    unique(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_meaning_becomes_an_exception() -> None:
    INT.on(unique("k"), "taken")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    INT.on(unique("k"), int)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    INT.expect(1, missing=404)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_guard_is_of_a_query_and_its_meaning_becomes_an_exception() -> None:
    gather(ROW).expect(0)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    ROW.expect(at_least=1, missing=404)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ROW.require({"a": 1}, raises="missing")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ROW.ensure({1: 1}, raises=KeyError)  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    select("t", where={"a": 1}).for_update(strength="UPDATE").expect(1, missing=KeyError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    format_error("KeyError", "{a}")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_row_has_columns() -> None:
    # attrs' protocol for its instances is empty for pyright: to it everything is a row.
    insert("t", ["a"])  # type: ignore[arg-type]
    delete("t", "a = 1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_batch_is_of_batches() -> None:
    gather(1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    sequence([1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    into(Created, project=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def sync_and_async_do_not_mix(conn: Connection, aconn: AsyncConnection) -> None:
    run(aconn, INT)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    arun(conn, INT)  # type: ignore[arg-type, unused-coroutine]  # pyright: ignore[reportArgumentType, reportUnusedCoroutine]
    run(conn, INT, retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    run(conn, "SELECT 1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_result_is_of_its_own_type(conn: Connection) -> str:
    return run(conn, INT)  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def a_statement_cannot_be_changed() -> None:
    INT._labels = ()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
