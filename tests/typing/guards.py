# SPDX-License-Identifier: MIT
"""The types of guards, of children and of outputs, as mypy and pyright must infer them."""

from __future__ import annotations

from typing import Any, assert_type

from psycopg import Connection

from batchq import (
    Batch,
    Statement,
    Violation,
    created,
    delete,
    format_error,
    gather,
    insert,
    insert_or_get,
    missing,
    old,
    param,
    run,
    select,
    sequence,
    source,
    sql,
    unexpected,
    unmet,
    update,
)
from batchq.conditions import between, ge, gt, le, like, lt, ne, not_in
from batchq.hierarchy import Children, Parent
from batchq.types import Changed, Comparison, Inserted, InsertOrGet, Old, Output, Updated
from tests.typing.subjects import ROW, NameTaken, Project, Vpc

PROJECTS = Parent(table="project", key="id", deleted_at="time_deleted", generation="rcgen")
VPCS = PROJECTS.children("vpc", by="project_id", where={"kind": "user"}, deleted_at="time_deleted")


def row_guard_keeps_the_type() -> None:
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
        insert("t", {"a": 1}).on_conflict_do_nothing("a", index_where={"b": None}).count(),
        Statement[int],
    )
    assert_type(insert("t", select("u", ["a"], where={"b": 1})), Statement[None])
    rows = select("u", ["a"], where={"b": 1})
    assert_type(update("t", {"a": source("b")}, from_="u", on={"a": "b"}), Statement[None])
    assert_type(update("t", {"a": 1}, {"b": 1}, from_=rows, on={"a": "b"}), Statement[None])
    assert_type(delete("t", using=rows, on={"a": "b"}).count(), Statement[int])
    upsert = insert("t", Project).on_conflict_do_update(
        "a", sql("lower(b)"), index_where=sql("c"), set=["a"], where={"a": lt(sql("excluded.a"))}
    )
    assert_type(upsert, Statement[None, Project])
    assert_type(upsert.inserted(Vpc), Statement[Inserted[Vpc], Project])
    assert_type(upsert.inserted(tuple), Statement[Inserted[tuple[Any, ...]], Project])
    assert_type(upsert.inserted(dict), Statement[Inserted[dict[str, Any]], Project])
    assert_type(upsert.ensure({created(): True}).output(created()), Output)
    assert_type(upsert.maybe(Vpc), Statement[Vpc | None, Project])
    assert_type(insert("t", {"a": 1}).on_conflict_do_update("a", set={"a": 2}), Statement[None])
    assert_type(
        statement.require({"a": 1}, raises=format_error(KeyError, "{a}")), Statement[Project]
    )


def unless_keeps_the_type_and_updated_shows_whether_the_row_has_changed(conn: Connection) -> None:
    left = update("project", {"name": "web"}, {"id": 7}).unless({"name": "web"})
    assert_type(left, Statement[None])
    assert_type(left.one(Project).unless(sql("true")), Statement[Project])
    assert_type(left.updated(Project), Statement[Updated[Project]])
    assert_type(left.updated(Vpc), Statement[Updated[Vpc]])
    assert_type(left.updated(tuple), Statement[Updated[tuple[Any, ...]]])
    assert_type(left.updated(dict), Statement[Updated[dict[str, Any]]])
    assert_type(left.change(Project), Statement[Changed[Project]])
    assert_type(left.change(tuple), Statement[Changed[tuple[Any, ...]]])
    assert_type(left.returning("id", old("name")).one(Project), Statement[Project])
    assert_type(left.output(old("name")), Output)
    assert_type(old("name"), Old)
    got = run(conn, left.updated(Project))
    assert_type(got.row, Project)
    assert_type(got.changed, bool)


def comparison_is_a_value_of_a_condition() -> None:
    compared = {"a": ne(None), "b": lt(5), "c": between(1, 2), "d": not_in([1]), "e": like("x%")}
    statement = update("project", {"name": "web"}, where=compared).one(Project)
    assert_type(statement.require({"rcgen": le(3), "b": None}), Statement[Project])
    assert_type(statement.refuse([{"a": gt(1)}, {"a": ne(2)}]), Statement[Project])
    assert_type(statement.ensure({"rcgen": ge(param("n", int))}), Statement[Project])
    assert_type(ne(7), Comparison)
    assert_type(statement.on(missing(), KeyError), Statement[Project])
    assert_type(
        gather(statement).on(unmet("a"), KeyError("x")).on(unexpected(), KeyError),
        Batch[tuple[Project]],
    )
    assert_type(sql("a > %(b)s AND %(d)s", {"b": 1, "c": 2}, d=sql("now() > e")), Statement[None])


def check_for_rows_returns_none_and_a_lock_may_read() -> None:
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


def add_keeps_the_type_of_the_children() -> None:
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


def insert_or_get_returns_the_row_and_whether_it_is_new(conn: Connection) -> None:
    batch = insert_or_get(
        "project",
        {"id": 7},
        Project,
        key=["id"],
        where={"a": None},
        same=["name"],
        raises=KeyError,
    )
    assert_type(batch, InsertOrGet[Project, object])
    assert_type(batch.output("id"), Output)
    as_a_batch: Batch[Inserted[Project]] = batch
    _ = as_a_batch
    got = run(conn, batch)
    assert_type(got.row, Project)
    assert_type(got.created, bool)


def output_is_accepted_as_a_value() -> None:
    made = insert("project", {"name": "web"})
    id_ = made.output("id")
    assert_type(id_, Output)
    assert_type(made.one(Project).output("id", "uuid"), Output)
    assert_type(insert("vpc", {"project_id": id_}), Statement[None])
    assert_type(
        update("vpc", {"a": id_}, {"b": id_}).require({"c": id_}, raises=KeyError), Statement[None]
    )
    assert_type(sql("SELECT %(x)s", x=id_), Statement[None])


def violation_has_the_row_by_column(violation: Violation) -> None:
    assert_type(violation.row["rcgen"], Any)
    assert_type(violation.requirement, int | None)
    assert_type(violation.rows, int | None)
