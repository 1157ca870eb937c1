# SPDX-License-Identifier: MIT
"""The types of declared statements, as mypy and pyright must infer them."""

from __future__ import annotations

from typing import Any, NamedTuple, assert_type
from uuid import UUID

from psycopg import AsyncConnection, Connection

from batchq import (
    Batch,
    BatchError,
    Statement,
    arun,
    gather,
    insert,
    insert_or_advance,
    insert_or_get,
    into,
    param,
    row,
    run,
    sequence,
    sql,
    unique,
    update,
)
from batchq.hierarchy import Parent
from batchq.result import attempt
from batchq.types import Advanced, Inserted, InsertOrGet, Named, Old
from tests.typing.subjects import NameTaken, Project, Subnet, Vpc

PROJECT = insert("project", Project).one(Project).on(unique("k"), NameTaken).label("new")
RENAME = update("project", {"name": param("name", str)}, where={"id": param("id", UUID)}).count()
PAIRED = update("vpc", {"a": row(Subnet).id}, where={"id": 1})


class Pair(NamedTuple):
    first: Project
    second: int


NEW = Project(UUID(int=0), "web")


def declared_statement_takes_a_row_of_its_class() -> None:
    assert_type(insert("project", Project), Statement[None, Project])
    assert_type(PROJECT, Statement[Project, Project])
    assert_type(PROJECT.maybe(Vpc), Statement[Vpc | None, Project])
    assert_type(PROJECT.invariant("k").returning("id").count(), Statement[int, Project])
    assert_type(PROJECT.expect(1).ensure({"a": 1}), Statement[Project, Project])


def bound_statement_can_run(conn: Connection) -> None:
    assert_type(PROJECT.bind(NEW), Statement[Project])
    assert_type(RENAME.bind(id=UUID(int=0), name="web"), Statement[int])
    assert_type(run(conn, PROJECT.bind(NEW)), Project)
    assert_type(gather(PROJECT.bind(NEW), RENAME.bind()), Batch[tuple[Project, int]])
    assert_type(PROJECT.bind(NEW).output("id").column, str | Old)


def row_is_a_row_to_type_checkers() -> None:
    assert_type(row(Project).name, str)
    assert_type(PAIRED, Statement[None])


def what_is_not_bound_cannot_run(conn: Connection) -> None:
    run(conn, PROJECT)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run(conn, PROJECT.map(str))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run(conn, gather(PROJECT, sql("SELECT 1")))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def declared_batch_takes_values_by_name_or_a_row(conn: Connection) -> None:
    mixed = gather(RENAME.partial(id=row(Project).id), PROJECT, sql("SELECT 1"))
    assert_type(mixed, Batch[tuple[int, Project, None], Named])
    assert_type(sequence([PROJECT, PROJECT]), Batch[list[Project], Named])
    assert_type(into(Pair, first=PROJECT, second=RENAME.partial(name="web")), Batch[Pair, Named])
    assert_type(mixed.map(len).label("new"), Batch[int, Named])
    assert_type(mixed.bind(name="web"), Batch[tuple[int, Project, None]])
    declared = mixed.map(lambda made: made[1]).takes(Project)
    assert_type(declared, Batch[Project, Project])
    assert_type(run(conn, declared.bind(NEW)), Project)
    assert_type(PROJECT.partial(name="web"), Statement[Project, Named])
    assert_type(PROJECT.partial(name="web").takes(Vpc), Statement[Project, Vpc])
    assert_type(PROJECT.each([NEW]), Batch[list[Project]])
    run(conn, declared)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run(conn, mixed)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    declared.bind(Vpc(UUID(int=0)))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PROJECT.each([Vpc(UUID(int=0))])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


class Larger(Project):
    """A row with more fields."""


WEB = Larger(UUID(int=1), "web")
SILO = Parent(table="silo", key="id", deleted_at=None, generation="version")
PROJECTS = SILO.children("project", by="id", deleted_at=None)


def row_of_a_subclass_is_taken() -> None:
    assert_type(PROJECT.bind(WEB), Statement[Project])
    assert_type(PROJECT.each([WEB]), Batch[list[Project]])
    assert_type(insert("project", Project).each((NEW, WEB)), Batch[list[None]])


def row_is_kept_by_what_is_put_around_a_declaration() -> None:
    assert_type(PROJECT.map(str), Batch[str, Project])
    around = PROJECT.map(str).label("new").on(unique("k"), NameTaken).as_invariant("creating it")
    assert_type(around, Batch[str, Project])
    assert_type(around.bind(NEW), Batch[str])
    added = PROJECTS.add(row(Project).id, PROJECT, missing=LookupError)
    assert_type(added, Batch[Project, Project])
    got = insert_or_get("project", Project, Project, key=["id"])
    assert_type(got, InsertOrGet[Project, Project])
    advanced = insert_or_advance(
        "project", Project, key=["id"], version="name", stale=NameTaken, raises=NameTaken
    )
    assert_type(advanced, Batch[Advanced, Project])
    assert_type(got.label("x"), Batch[Inserted[Project], Project])


def many_declarations_are_composed() -> None:
    eleven = gather(*[PROJECT.bind(NEW)] * 10, PROJECT)
    assert_type(eleven, Batch[tuple[Any, ...], Named])
    assert_type(gather(PROJECT.bind(NEW), PROJECT), Batch[tuple[Project, Project], Named])
    assert_type(gather(PROJECT, gather(PROJECT)), Batch[tuple[Project, tuple[Project]], Named])
    assert_type(gather(PROJECT).takes(Project).bind(WEB), Batch[tuple[Project]])


def what_needs_nothing_may_stand_where_a_row_is_given() -> None:
    needs_nothing: Batch[Project, Project] = PROJECT.bind(NEW)
    needs_a_row: Batch[Project] = PROJECT  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    _ = needs_nothing, needs_a_row


async def no_other_way_to_run_takes_what_is_not_bound(
    conn: Connection, aconn: AsyncConnection
) -> None:
    await arun(aconn, PROJECT)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    declared = gather(PROJECT).takes(Project)
    attempt(conn, declared)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # Seen when it is run only: run() wants a batch that takes any object, so a checker reads
    # takes(row: type[object]).
    attempt(conn, gather(PROJECT).takes(Project))


def failed_row_is_of_any_class(error: BatchError) -> None:
    assert_type(error.row_index, int | None)
    assert_type(error.bound_row, object)
    error.row_index = 7  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def each_takes_rows_of_one_class() -> None:
    named = PROJECT.partial(name="web")
    named.each([NEW])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    PROJECT.map(str).each([NEW])  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def another_row_is_not_taken() -> None:
    gather(PROJECT).takes(Project).bind()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    gather(PROJECT).takes(Vpc).bind(NEW)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PROJECT.partial(name="web").bind(NEW)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    PROJECT.bind(Vpc(UUID(int=0)))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PROJECT.bind()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _ = row(Project).label  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
