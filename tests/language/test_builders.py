# SPDX-License-Identifier: MIT
"""The builders: which SQL and which values a call stands for, seen through ``steps()``."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import attrs
import pytest

from batchq import InvalidBatch, delete, gather, insert, select, sql, steps, unique, update


def sent(statement):
    (step,) = steps(statement)
    return step.sql, step.parameters


# -- conditions ------------------------------------------------------------------------------------

IDS = [7, 8]


@pytest.mark.parametrize(
    ("where", "expected", "values"),
    [
        ({"a": 1}, '"a" = $1', (1,)),
        ({"a": 1, "b": "x"}, '"a" = $1 AND "b" = $2', (1, "x")),
        ({"a": None}, '"a" IS NULL', ()),
        ({"a": None, "b": 2}, '"a" IS NULL AND "b" = $1', (2,)),
        ({"a": IDS}, '"a" = ANY($1)', (IDS,)),
        ({"a": []}, '"a" = ANY($1)', ([],)),
        ({"a": "text"}, '"a" = $1', ("text",)),
        ({"a": sql("now()")}, '"a" = (now())', ()),
        (
            {"a": sql("%(x)s + %(y)s + %(x)s", x=1, y=2), "b": 3},
            '"a" = ($1 + $2 + $1) AND "b" = $3',
            (1, 2, 3),
        ),
        (sql("a < %(x)s OR b", x=1), "a < $1 OR b", (1,)),
        (sql("true"), "true", ()),
    ],
    ids=repr,
)
def test_condition_depends_on_the_kind_of_its_value(where, expected, values):
    assert sent(delete("t", where)) == (f'DELETE FROM "t" WHERE {expected}', values)
    assert sent(select("t", ["c"], where=where)) == (
        f'SELECT "c" FROM "t" WHERE {expected}',
        values,
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda where: delete("t", where),
        lambda where: update("t", {"a": 1}, where),
        lambda where: select("t", ["a"], where=where),
        update("t", {"a": 1}, {"b": 2}).require,
        update("t", {"a": 1}, {"b": 2}).refuse,
    ],
    ids=["delete", "update", "select", "require", "refuse"],
)
@pytest.mark.parametrize("where", [{}, [], (), [[]], [{}]], ids=repr)
def test_condition_on_all_rows_has_to_be_explicit(build, where):
    with pytest.raises(
        InvalidBatch, match=r'selects every row; .*(sql\("true"\)|leave where= out)'
    ):
        build(where)


# -- writes ----------------------------------------------------------------------------------------


def test_insert_lists_its_columns_in_the_order_given():
    assert sent(insert("t", {"b": 1, "a": None})) == (
        'INSERT INTO "t" ("b", "a") VALUES ($1, $2)',
        (1, None),
    )


def test_insert_of_an_empty_row_writes_default_values():
    assert sent(insert("t", {})) == ('INSERT INTO "t" DEFAULT VALUES', ())
    assert sent(insert("t", {}).returning("id").one(tuple))[0] == (
        'INSERT INTO "t" DEFAULT VALUES RETURNING "id"'
    )


def test_fragments_in_a_row_are_put_in_parentheses_with_their_values():
    row = {"a": 1, "b": sql("coalesce(%(x)s, %(y)s)", x=2, y=3), "c": sql("now()"), "d": 4}
    assert sent(insert("t", row)) == (
        'INSERT INTO "t" ("a", "b", "c", "d") VALUES ($1, (coalesce($2, $3)), (now()), $4)',
        (1, 2, 3, 4),
    )


def test_update_takes_fragments_on_both_sides():
    bump = update("t", {"n": sql("n + %(by)s", by=5), "m": 6}, {"a": sql("%(x)s", x=7), "b": 8})
    assert sent(bump) == (
        'UPDATE "t" SET "n" = (n + $1), "m" = $2 WHERE "a" = ($3) AND "b" = $4',
        (5, 6, 7, 8),
    )


def test_update_without_columns_is_rejected():
    with pytest.raises(InvalidBatch, match="no column to set"):
        update("t", {}, {"a": 1})


def test_list_is_a_value_in_a_row_and_a_choice_in_a_condition():
    assert sent(update("t", {"a": [1]}, {"a": [1]})) == (
        'UPDATE "t" SET "a" = $1 WHERE "a" = ANY($2)',
        ([1], [1]),
    )


# -- select ----------------------------------------------------------------------------------------


def test_list_of_columns_and_fragments_is_a_conjunction():
    where = [{"a": 1, "b": None}, sql("c && %(x)s -- x", x=2), {"e": [3]}, sql("f OR g")]
    text, values = sent(delete("t", where))
    _, _, conditions = text.partition(" WHERE ")
    assert conditions == (
        '"a" = $1 AND "b" IS NULL AND (c && $2 -- x\n) AND "e" = ANY($3) AND (f OR g)'
    )
    assert values == (1, 2, [3])
    assert sent(delete("t", [{"a": 1}])) == sent(delete("t", {"a": 1}))
    assert sent(delete("t", (sql("a = %(x)s", x=1),)))[1] == (1,)


def test_select_takes_columns_and_fragments():
    query = select("t", ["a", sql("b + %(x)s AS c", x=1)], where={"d": 2})
    assert sent(query) == ('SELECT "a", b + $1 AS c FROM "t" WHERE "d" = $2', (1, 2))


def test_select_of_no_column_still_counts_rows():
    sql = sent(select("t", [], where={"a": 1}).count())[0]
    assert sql == (
        'SELECT pg_catalog.count(*) AS n FROM (SELECT 1 FROM "t" WHERE "a" = $1) AS _batchq_rows'
    )


# -- identifiers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("t", '"t"'),
        ("Select", '"Select"'),
        ('a"; DROP TABLE t; --', '"a""; DROP TABLE t; --"'),
        ("it's", '"it\'s"'),
        ("a $1 %(b)s %", '"a $1 %(b)s %"'),
        ("naïve 𝄞", '"naïve 𝄞"'),
        ("/* a", '"/* a"'),
    ],
)
def test_identifier_stays_one_whatever_it_contains(name, quoted):
    assert sent(insert(name, {name: 1}).returning(name).one(tuple)) == (
        f"INSERT INTO {quoted} ({quoted}) VALUES ($1) RETURNING {quoted}",
        (1,),
    )
    assert sent(update(name, {name: 1}, {name: 2}))[0] == (
        f"UPDATE {quoted} SET {quoted} = $1 WHERE {quoted} = $2"
    )
    assert sent(select(name, [name], where={name: None}))[0] == (
        f"SELECT {quoted} FROM {quoted} WHERE {quoted} IS NULL"
    )


def test_dot_separates_the_schema_in_a_table_and_nothing_in_a_column():
    assert sent(insert("s.t", {"a.b": 1}))[0] == 'INSERT INTO "s"."t" ("a.b") VALUES ($1)'


@pytest.mark.parametrize("table", ["t.", ".t", "s..t"])
def test_table_with_an_empty_part_is_rejected(table):
    with pytest.raises(InvalidBatch):
        insert(table, {"a": 1})


# -- rows as objects -------------------------------------------------------------------------------


@attrs.frozen
class Attrs:
    name: str
    _secret: int = 2
    mac: str = attrs.field(default="m", alias="address")
    made: int = attrs.field(init=False, default=4)


@dataclasses.dataclass
class Data:
    name: str
    made: int = dataclasses.field(init=False, default=4)


class Named(NamedTuple):
    name: str


@pytest.mark.parametrize(
    ("row", "expected", "values"),
    [
        (Attrs("n", secret=9), '("name", "_secret", "mac", "made")', ("n", 9, "m", 4)),
        (Data("n"), '("name", "made")', ("n", 4)),
    ],
    ids=["attrs", "dataclass"],
)
def test_fields_of_an_object_are_columns_by_their_names(row, expected, values):
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    assert sent(insert("t", row)) == (f'INSERT INTO "t" {expected} VALUES ({places})', values)


@attrs.define
class One:
    a: object


def test_fragment_in_a_field_of_an_object_is_an_expression():
    assert sent(insert("t", One(sql("%(x)s + 1", x=1)))) == (
        'INSERT INTO "t" ("a") VALUES (($1 + 1))',
        (1,),
    )


@pytest.mark.parametrize("row", [Named("n"), int])
def test_value_without_columns_is_not_a_row(row):
    with pytest.raises(InvalidBatch, match="a row must be"):
        insert("t", row)


# -- what is not a fragment ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        sql("1").scalar(int),
        sql("1").on(unique("k"), ValueError),
        sql("1").invariant("k"),
        sql("1").expect(1),
        select("t", ["a"], where={"a": 1}),
        gather(sql("1")),
    ],
    ids=["shape", "on", "internal", "expect", "builder", "batch"],
)
@pytest.mark.parametrize(
    "build",
    [
        lambda value: insert("t", {"a": value}),
        lambda value: update("t", {"a": value}, {"b": 1}),
        lambda value: delete("t", {"a": value}),
        lambda value: delete("t", value),
        lambda value: select("t", [value], where={"a": 1}),
        lambda value: update("t", {"b": 1}, {"b": 1}).require({"a": value}),
        lambda value: update("t", {"b": 1}, {"b": 1}).ensure({"a": value}),
    ],
    ids=["insert", "update", "condition", "where", "column", "require", "ensure"],
)
def test_statement_or_batch_as_a_fragment_is_rejected(build, value):
    with pytest.raises(InvalidBatch, match="fragment"):
        build(value)
