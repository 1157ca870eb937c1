# SPDX-License-Identifier: MIT
"""Models of all kinds, made of what the server answers; by name wherever they have names."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import attrs
import pytest

from batchq import InvalidBatch, gather, insert, into, run, select, sql
from tests.support.row_models import (
    Attrs,
    Data,
    Keywords,
    Named,
    Open,
    Positions,
    Pydantic,
    Row,
    Struct,
    Typed,
)


@attrs.define(init=False)
class Reordered:
    id: int
    name: str

    def __init__(self, name, id):
        self.id, self.name = id, name


@dataclasses.dataclass
class Shown:
    id: int
    shown: str = dataclasses.field(init=False)
    name: dataclasses.InitVar[str]

    def __post_init__(self, name):
        self.shown = name


class Two(tuple):
    __slots__ = ()


MADE = {
    Attrs: Attrs(1, "a"),
    Data: Data(1, "a"),
    Named: Named(1, "a"),
    Struct: Struct(1, "a"),
    Keywords: Keywords(id=1, name="a"),
    Positions: Positions(1, "a"),
    Open: Open(id=1, name="a"),
    Row: Row({"id": 1, "name": "a"}),
    Pydantic: Pydantic(identity=1, name="a"),
    Typed: {"id": 1, "name": "a"},
    Reordered: Reordered("a", 1),
    Shown: Shown(1, "a"),
    Two: Two((1, "a")),
    tuple[int, str]: (1, "a"),
    dict[str, Any]: {"id": 1, "name": "a"},
}


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute("CREATE TABLE t (id int, name text); INSERT INTO t VALUES (1, 'a')")


@pytest.mark.parametrize(
    ("model", "made"), MADE.items(), ids=lambda one: getattr(one, "__name__", "")
)
def test_a_row_becomes_its_model(conn, model, made):
    named = select("t", ["id", "name"], where={"id": 1})
    for statement in (named, sql("SELECT id, name FROM t"), sql("SELECT * FROM t")):
        assert run(conn, statement.one(model)) == made
        assert run(conn, statement.maybe(model)) == made
        assert run(conn, statement.all(model)) == [made]
        assert type(run(conn, statement.one(model))) is type(made)
    new = insert("t", {"id": 1, "name": "a"}).returning("id", "name")
    assert run(conn, new.one(model)) == made


@pytest.mark.parametrize("model", [m for m in MADE if m not in (Two, tuple[int, str])], ids=repr)
def test_its_columns_may_come_in_any_order(conn, model):
    assert run(conn, select("t", ["name", "id"], where={"id": 1}).one(model)) == MADE[model]
    assert run(conn, sql("SELECT name, id FROM t").one(model)) == MADE[model]


def test_a_function_is_called_with_the_row_or_with_its_columns(conn):
    def of_columns(*, name, id):
        return id, name

    query = select("t", ["id", "name"], where={"id": 1})
    assert run(conn, query.one(lambda row: row["name"])) == "a"
    assert run(conn, query.one(lambda name: name)) == {"id": 1, "name": "a"}
    assert run(conn, query.one(of_columns)) == (1, "a")
    half = functools.partial(lambda name, row: (name, row["id"]), "b")
    assert run(conn, query.one(half)) == ("b", 1)


def test_a_model_that_lacks_a_column_is_refused_and_no_row_is_there(conn):
    new = insert("t", {"id": 2, "name": "b"})
    for model in (Keywords, Positions, Pydantic, Typed, Reordered, Shown):
        with pytest.raises(InvalidBatch, match="name"):
            run(conn, gather(new, new.returning("id").one(model)))
    with pytest.raises(InvalidBatch, match="name"):
        run(conn, into(Keywords, new, id=sql("SELECT 1").scalar(int)))
    assert conn.execute("SELECT count(*) FROM t WHERE id = 2").fetchone() == (0,)
