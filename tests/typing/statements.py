# SPDX-License-Identifier: MIT
"""The types of statements and of batches, as mypy and pyright must infer them."""

from __future__ import annotations

from typing import Any, assert_type
from uuid import UUID

from batchq import (
    Batch,
    Statement,
    asc,
    check,
    delete,
    desc,
    explain,
    gather,
    insert,
    into,
    optional,
    param,
    select,
    sequence,
    sql,
    sqlstate,
    steps,
    unique,
    update,
)
from batchq.types import Scheduled
from tests.typing.subjects import INT, STR, Created, NameTaken, Project, Subnet, Vpc, from_row

# -- statements ------------------------------------------------------------------------------------


def statement_without_a_result_shape_returns_none() -> None:
    assert_type(sql("SELECT 1"), Statement[None])
    assert_type(insert("t", {"a": 1, "b": None}), Statement[None])
    assert_type(insert("t", Vpc(UUID(int=0))), Statement[None])
    assert_type(insert("t", Project(UUID(int=0), "web")), Statement[None])
    assert_type(update("t", {"a": sql("now()")}, {"b": [1, 2]}), Statement[None])
    assert_type(delete("t", sql("true")), Statement[None])
    assert_type(select("t", ["a", sql("now()")], where={"b": None}), Statement[None])
    assert_type(select("t"), Statement[None])
    assert_type(select("t", order_by="a", limit=3, after=None), Statement[None])
    assert_type(
        select(
            "t", order_by=["a", desc("b", nulls="last"), sql("lower(c)")], limit=param("n", int)
        ),
        Statement[None],
    )
    assert_type(select("t", order_by=asc(sql("lower(c)"), nullable=False)), Statement[None])
    assert_type(select("t", order_by=["a"], after={"a": None}), Statement[None])


def result_shape_decides_the_type() -> None:
    query = sql("SELECT id, name FROM project")
    assert_type(query.one(Project), Statement[Project])
    assert_type(query.one(Vpc), Statement[Vpc])
    assert_type(query.one(Subnet), Statement[Subnet])
    assert_type(query.one(tuple), Statement[tuple[Any, ...]])
    assert_type(query.one(dict), Statement[dict[str, Any]])
    assert_type(query.one(from_row), Statement[bytes])
    assert_type(query.maybe(Project), Statement[Project | None])
    assert_type(query.maybe(Subnet), Statement[Subnet | None])
    assert_type(query.maybe(tuple), Statement[tuple[Any, ...] | None])
    assert_type(query.maybe(dict), Statement[dict[str, Any] | None])
    assert_type(query.maybe(from_row), Statement[bytes | None])
    assert_type(query.all(Project), Statement[list[Project]])
    assert_type(query.all(Subnet), Statement[list[Subnet]])
    assert_type(query.all(tuple), Statement[list[tuple[Any, ...]]])
    assert_type(query.all(dict), Statement[list[dict[str, Any]]])
    assert_type(query.all(from_row), Statement[list[bytes]])
    assert_type(query.scalar(int), Statement[int])
    assert_type(query.scalar(UUID), Statement[UUID])
    assert_type(query.scalar(int, null=False), Statement[int])
    assert_type(query.scalar(int, null=True), Statement[int | None])
    assert_type(query.exists(), Statement[bool])
    assert_type(query.count(), Statement[int])


def mapping_keeps_the_type() -> None:
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


def batch_is_covariant(batch: Batch[bool]) -> Batch[int]:
    return batch


def step_and_explain_have_types() -> None:
    (step, *_) = steps(gather(INT))
    assert_type(step.sql, str)
    assert_type(step.parameters, tuple[object, ...])
    assert_type(step.statement, Statement[Any])
    assert_type(explain(INT, parameters=True), str)


# -- scheduled and optional ------------------------------------------------------------------------


def scheduled_statement_keeps_its_result() -> None:
    one = insert("t", {"a": 1}).one(Vpc)
    assert_type(one.run_once(("t", 1)), Scheduled[Vpc])
    assert_type(gather(one.run_first(), one.run_last().label("x")), Batch[tuple[Vpc, Vpc]])
    assert_type(one.run_once("t").run_last(), Scheduled[Vpc])


def optional_part_may_result_in_none() -> None:
    part = insert("t", {"a": 1}).one(Vpc)
    wanted: Statement[Vpc] | None = part if input() else None
    assert_type(optional(wanted), Batch[Vpc | None])
    assert_type(gather(INT, optional(wanted)), Batch[tuple[int, Vpc | None]])
