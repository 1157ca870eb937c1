# SPDX-License-Identifier: MIT
"""The types of declared statements, as mypy and pyright must infer them."""

from __future__ import annotations

from typing import NamedTuple, assert_type
from uuid import UUID

from psycopg import Connection

from batchq import (
    Batch,
    Statement,
    gather,
    insert,
    into,
    param,
    row,
    run,
    sequence,
    sql,
    unique,
    update,
)
from batchq.types import Named
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
    assert_type(PROJECT.bind(NEW).output("id").column, str)


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


def another_row_is_not_taken() -> None:
    PROJECT.bind(Vpc(UUID(int=0)))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PROJECT.bind()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _ = row(Project).label  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
