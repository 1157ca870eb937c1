# SPDX-License-Identifier: MIT
"""A column that is named twice is returned twice; a model that takes names refuses it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from batchq import (
    InvalidBatch,
    created,
    delete,
    gather,
    insert,
    old,
    param,
    run,
    select,
    sql,
    steps,
    update,
)
from batchq.types import Changed, Updated
from tests.support.plan_modes import pairwise_mode


class Key(NamedTuple):
    id: int


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute("CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 2)")


SET = update("t", {"a": 3}, {"id": 1})
NEW = insert("t", {"id": 7, "a": 8})
UPSERT = NEW.on_conflict_do_update("id", set=["a"])
TWICE: dict[str, tuple[Any, Any]] = {
    "select": (select("t", ["id", "a", "id"]).one(tuple), (1, 2, 1)),
    "select, two expressions": (select("t", ["id", sql("a AS id")]).one(tuple), (1, 2)),
    "insert": (NEW.returning("id", "id", "a").one(tuple), (7, 7, 8)),
    "insert that may do nothing": (
        NEW.on_conflict_do_nothing("id").returning("id", "id").maybe(tuple),
        (7, 7),
    ),
    "upsert": (UPSERT.returning(created(), "id", created()).one(tuple), (True, 7, True)),
    "update": (SET.returning("id", "id").one(tuple), (1, 1)),
    "update of any number": (SET.returning("a", "id", "a").all(tuple), [(3, 1, 3)]),
    "delete": (delete("t", {"id": 1}).returning("id", "a", "id").maybe(tuple), (1, 2, 1)),
    "guards": (
        SET.returning("a", "a").require({"a": 2}).ensure({"a": 3, "id": 1}).one(tuple),
        (3, 3),
    ),
    "old": (SET.returning("a", old("a"), "a", old("a")).one(tuple), (3, 2, 3, 2)),
    "unless": (
        SET.unless({"a": 9}).returning("id", "id").updated(tuple),
        Updated((1, 1), changed=True),
    ),
    "change": (SET.returning("a", "a").change(tuple), Changed((2, 2), (3, 3))),
    "change and guards": (
        SET.returning("a", "id", "a").ensure({"a": 3}).change(tuple),
        Changed((2, 1, 2), (3, 1, 3)),
    ),
}


@pytest.mark.parametrize("case", TWICE)
def test_tuple_has_each_column_as_often_as_it_is_named(conn, case):
    statement, result = TWICE[case]
    assert run(pairwise_mode([*TWICE].index(case)).set_on(conn), statement) == result


def test_later_statement_uses_a_column_that_is_named_twice(conn):
    both = SET.returning("a", "a").one(tuple)
    assert run(conn, gather(both, NEW, update("t", {"a": both.output("a")}, {"id": 7})))
    assert run(conn, select("t", ["a"], where={"id": 7}).scalar(int)) == 3
    declared = update("t", {"a": 4}, {"id": param("id", int)}).returning("a", "a").one(tuple)
    assert run(conn, declared.bind(id=1)) == (4, 4)


@pytest.mark.parametrize("model", [dict, Key, Key._make])
def test_model_by_name_refuses_it_when_it_is_built(model):
    for named in (SET.returning("id", "id"), select("t", ["id", "id"]), NEW.returning("id", "id")):
        with pytest.raises(InvalidBatch, match="two columns have the same name: id, id"):
            named.one(model)
    with pytest.raises(InvalidBatch, match="two columns have the same name: id, id"):
        SET.returning("id", "id").change(model)


def test_guard_cannot_read_a_column_that_a_select_names_twice(conn):
    twice = select("t", ["id", "id"])
    for read in (twice.expect(0), twice.ensure({"id": 1}).one(tuple)):
        with pytest.raises(InvalidBatch, match="'id' is among the columns of this select"):
            assert steps(read)[0].sql
    assert run(conn, twice.require({"id": 1}).one(tuple)) == (1, 1)
    used = twice.one(tuple)
    with pytest.raises(InvalidBatch, match="twice"):
        run(conn, gather(used, update("t", {"a": used.output("id")}, {"id": 1})))
