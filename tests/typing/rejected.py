# SPDX-License-Identifier: MIT
"""What must not type check.

Each ignore says which checker rejects the line. One that is not needed is an error.
"""

from __future__ import annotations

from psycopg import AsyncConnection, Connection

from batchq import (
    Batch,
    arun,
    delete,
    format_error,
    gather,
    insert,
    into,
    old,
    run,
    select,
    sequence,
    sql,
    unique,
    update,
)
from tests.typing.subjects import INT, ROW, Created, NameTaken


def batch_is_read_only(batch: Batch[int]) -> None:
    INT._values = ()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    INT._labels = ("a",)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    batch._required_outputs = ()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def sql_needs_a_literal(table: str) -> None:
    # mypy does not know LiteralString: only pyright can refuse it.
    sql(f"SELECT 1 FROM {table}")  # pyright: ignore[reportArgumentType]
    sql("SELECT 1 FROM " + table)  # pyright: ignore[reportArgumentType]
    literal = "SELECT" + " 1"
    sql(literal)


def matcher_needs_a_matcher() -> None:
    INT.on("k", NameTaken)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    INT.on(unique, NameTaken)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    unique(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def column_of_the_row_before_is_only_returned() -> None:
    row = update("t", {"a": 1}, where={"a": 2})
    row.ensure({old("a"): 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    select("t", [old("a")])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    old(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def mapping_needs_an_exception() -> None:
    INT.on(unique("k"), "taken")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    INT.on(unique("k"), int)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    INT.expect(1, missing=404)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def other_table_needs_columns_to_compare() -> None:
    update("t", {"a": 1}, from_="u")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    update("t", {"a": 1})  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    delete("t", on={"a": "b"})  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


def upsert_needs_columns_to_set() -> None:
    new = insert("t", {"a": 1})
    new.on_conflict_do_update("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    new.on_conflict_do_update("a", set=7)  # type: ignore[arg-type]
    new.on_conflict_do_nothing(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def row_guard_needs_a_statement_and_an_exception() -> None:
    gather(ROW).expect(0)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    ROW.expect(at_least=1, missing=404)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ROW.require({"a": 1}, raises="missing")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ROW.unless({"a": 1}, raises=KeyError)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ROW.ensure({1: 1}, raises=KeyError)  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    select("t", where={"a": 1}).for_update(strength="UPDATE").expect(1, missing=KeyError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    format_error("KeyError", "{a}")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def row_needs_columns() -> None:
    # attrs' protocol for its instances is empty for pyright: to it everything is a row.
    insert("t", ["a"])  # type: ignore[call-overload]
    delete("t", "a = 1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def composition_needs_batches() -> None:
    gather(1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    sequence([1])  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    into(Created, project=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


def sync_and_async_do_not_mix(conn: Connection, aconn: AsyncConnection) -> None:
    run(aconn, INT)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    arun(conn, INT)  # type: ignore[arg-type, unused-coroutine]  # pyright: ignore[reportArgumentType, reportUnusedCoroutine]
    run(conn, INT, retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    run(conn, "SELECT 1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def result_has_its_own_type(conn: Connection) -> str:
    return run(conn, INT)  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def name_of_another_library_is_unknown() -> None:
    INT.one_or_none()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    INT.with_for_update()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
