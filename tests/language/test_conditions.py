# SPDX-License-Identifier: MIT
"""Comparisons by other operators than ``=``: their SQL, what is refused, how they are shown."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from psycopg.types.json import Jsonb

from batchq import (
    InvalidBatch,
    delete,
    explain,
    gather,
    insert,
    insert_or_get,
    param,
    row,
    select,
    sql,
    steps,
    update,
)
from batchq.conditions import between, ge, gt, le, like, lt, ne, not_in
from batchq.hierarchy import Parent


class Job(NamedTuple):
    id: int
    attempts: int
    owner: str | None
    states: list[str]


class Pair(NamedTuple):
    a: int
    b: int


N, IDS, NAME = param("n", int), param("ids", list[int]), param("name", str)
NULLABLE, ANYTHING = param("x", int | None), param("anything", object)
OUTPUT = insert("job", {"a": 1}).returning("id").one(tuple).output("id")


def condition(where):
    (step,) = steps(delete("t", where))
    return step.sql.removeprefix('DELETE FROM "t" WHERE '), step.parameters


@pytest.mark.parametrize(
    ("where", "expected", "sent"),
    [
        ({"c": ne(7)}, '("c" = $1) IS NOT TRUE', (7,)),
        ({"c": ne(None)}, '"c" IS NOT NULL', ()),
        ({"c": ne(Jsonb([]))}, '("c" = $1) IS NOT TRUE', None),
        ({"c": ne(sql("f(%(x)s)", x=1))}, '("c" = (f($1))) IS NOT TRUE', (1,)),
        ({"c": lt(7)}, '"c" < $1', (7,)),
        ({"c": le(7)}, '"c" <= $1', (7,)),
        ({"c": gt(7)}, '"c" > $1', (7,)),
        ({"c": ge(7)}, '"c" >= $1', (7,)),
        ({"c": ge(sql("now() -- now"))}, '"c" >= (now() -- now\n)', ()),
        ({"c": lt(sql("SELECT 1"))}, '"c" < (SELECT 1)', ()),
        ({"c": between(1, 2)}, '"c" >= $1 AND "c" <= $2', (1, 2)),
        ({"c": like("a%")}, '"c" LIKE $1::pg_catalog.text', ("a%",)),
        ({"c": like(sql("d || '%'"))}, "\"c\" LIKE (d || '%')", ()),
        ({"c": not_in([1, 2])}, '("c" = ANY($1)) IS NOT TRUE', ([1, 2],)),
        ({"c": not_in((1,))}, '("c" = ANY($1)) IS NOT TRUE', ([1],)),
        ({"c": not_in([1, None])}, '(("c" = ANY($1) OR "c" IS NULL)) IS NOT TRUE', ([1],)),
        ({"c": not_in([]), "d": 1}, '("c" = ANY($1)) IS NOT TRUE AND "d" = $2', ([], 1)),
        ({"c": lt(2), "d": 1}, '"c" < $1 AND "d" = $2', (2, 1)),
    ],
)
def test_sql_and_values(where, expected, sent):
    text, values = condition(where)
    assert text == expected
    assert sent is None or values == sent


def test_list_is_copied():
    states = ["a"]
    statement = select("t", ["id"], where={"c": not_in(states)})
    states.append("b")
    assert steps(statement)[0].parameters == (["a"],)


def test_one_condition_has_one_shape():
    def shape(where):
        return delete("t", where)._shape

    assert shape({"c": lt(1)}) is shape({"c": lt(2)})
    assert shape({"c": not_in([1])}) is shape({"c": not_in((2, 3))})
    assert shape({"c": between(1, 2)}) is shape([{"c": ge(1)}, {"c": le(2)}])
    assert shape({"c": ne(1)}) is shape({"c": ne(N)})
    assert shape({"c": lt(sql("now()"))}) is shape({"c": lt(sql("now()"))})
    different = [{"c": lt(1)}, {"c": le(1)}, {"c": ne(1)}, {"c": 1}, {"c": ne(None)}]
    assert len({shape(where) for where in different}) == len(different)


# -- what is refused -------------------------------------------------------------------------------

REFUSED = {
    "lt(None)": (lambda: lt(None), "lt(): NULL is not less or greater than any value"),
    "between(None)": (lambda: between(None, 1), "between(): NULL is not less or greater"),
    "between to None": (lambda: between(1, None), "between(): NULL is not less or greater"),
    "like(None)": (lambda: like(None), "like(): NULL is not a pattern"),
    "not_in(None)": (lambda: not_in(None), "not_in(): pass a list, not None"),
    "lt of a list": (lambda: lt([1]), 'not a list; to compare a whole one write sql("column <'),
    "ge of a set": (lambda: ge({1}), "ge(): pass one value, not a set"),
    "gt of a record": (lambda: gt(Pair(1, 2)), "gt(): pass one value, not a Pair"),
    "le of a row": (lambda: le(row(Job)), "le(): pass one value, not row(…); name one field"),
    "lt of lt": (lambda: lt(lt(1)), "lt(): pass one value, not lt(); write only that"),
    "ne of a list": (lambda: ne([1]), "not a list; for none of several write not_in(…)"),
    "ne of a record": (lambda: ne(Pair(1, 2)), "not a Pair; to compare a whole one write sql("),
    "not_in of a value": (lambda: not_in(5), "not an int; for one value write ne(…)"),
    "not_in of a str": (lambda: not_in("abc"), "not a str; for one value write ne(…)"),
    "not_in of a set": (lambda: not_in({1}), "not a set; for its items write list(…)"),
    "not_in of an output": (lambda: not_in(OUTPUT), "not an Output; for one value write ne(…)"),
    "not_in of sql": (lambda: not_in(sql("SELECT 1")), 'write "column NOT IN (…)" as sql()'),
    "not_in of parameters": (lambda: not_in([N]), "for the whole list write param("),
    "not_in of conditions": (lambda: not_in([lt(1)]), "contains a comparison; use it in the"),
    "like of an int": (
        lambda: like(5),
        "like(): the pattern must be a str, not an int; for others",
    ),
    "like of an output": (lambda: like(OUTPUT), "the pattern must be a str, not an Output"),
    "a statement": (lambda: lt(select("t", ["a"], where={"b": 1})), "lt(): a statement or batch"),
    "two expressions": (lambda: ge(sql("a, b")), "ge(): a sql() fragment must be one expression"),
    "a parameter or None": (lambda: lt(NULLABLE), "'x' may be None; declare it without None"),
    "ne or None": (lambda: ne(NULLABLE), 'write sql("column IS DISTINCT FROM %(x)s", x=…)'),
    "a field or None": (lambda: ne(row(Job).owner), "the parameter 'owner' may be None"),
    "lt of a list's parameter": (lambda: lt(IDS), "for a list, and this compares one value"),
    "ne of a list's parameter": (lambda: ne(row(Job).states), "for a list; write not_in(…)"),
    "not_in of a value's": (lambda: not_in(N), 'declare it as param("n", list[…])'),
    "like of an int's": (lambda: like(N), "the pattern must be a str, and 'n' takes an int"),
    "a row": (lambda: insert("t", {"a": lt(1)}), "insert(): a value is lt(), which is a condition"),
    "a set": (lambda: update("t", {"a": ne(1)}, {"b": 1}), "update(set=): a value is ne()"),
    "sql()": (lambda: sql("%(a)s", a=like("a")), "sql(): a value is like(), which is a condition"),
    "a list": (lambda: delete("t", {"c": [lt(1)]}), "contains a comparison; use it in the place"),
    "a list in a row": (lambda: insert("t", {"a": [lt(1)]}), "insert(): a value is lt()"),
    "no column": (lambda: delete("t", lt(1)), 'lt() compares a column; write {"column": lt(…)}'),
    "among conditions": (lambda: delete("t", [lt(1)]), 'write {"column": lt(…)}'),
    "an index": (
        lambda: insert("t", {"a": 1}).on_conflict_do_nothing("a", index_where={"b": ne(None)}),
        "write the predicate as sql()",
    ),
    "insert_or_get": (
        lambda: insert_or_get("t", {"a": 1}, Pair, key=["a"], where={"b": ne(1)}),
        "write the predicate as sql()",
    ),
    "children": (
        lambda: Parent(table="p", key="id", deleted_at=None, generation="g").children(
            "c", by="p", where={"kind": ne("x")}, deleted_at=None
        ),
        "children(where=): ne() does not say which values these children have; list them",
    ),
    "all rows": (lambda: delete("t", {"c": not_in([])}), "not_in([]) alone selects every row"),
    "all rows twice": (
        lambda: delete("t", [{"c": not_in([])}, {"d": not_in(())}]),
        "delete(where=): not_in([]) alone selects every row; if that is intended, write where=sql(",
    ),
    "all rows to update": (
        lambda: update("t", {"a": 1}, {"c": not_in([])}),
        "update(where=): not_",
    ),
    "all rows, bound": (
        lambda: delete("t", {"c": not_in(IDS)}).bind(ids=[]),
        "bind(): not_in([]) alone selects every row",
    ),
    "all rows, bound with a constant": (
        lambda: update("t", {"a": N}, {"c": not_in(IDS), "d": not_in([])}).bind(n=1, ids=[]),
        "bind(): not_in([]) alone selects every row",
    ),
    "all rows in a batch": (
        lambda: gather(insert("t", {"a": N}), delete("t", {"c": not_in(IDS)})).bind(n=1, ids=[]),
        "bind(): not_in([]) alone selects every row",
    ),
    "all rows, partial": (
        lambda: delete("t", {"c": not_in(IDS)}).partial(ids=[]),
        "partial(): not_in([]) alone selects every row",
    ),
    "bound to None": (
        lambda: delete("t", {"c": lt(ANYTHING)}).bind(anything=None),
        "'anything' is compared by <, which NULL never matches; bind a value",
    ),
    "ne bound to None": (
        lambda: delete("t", {"c": ne(ANYTHING)}).bind(anything=None),
        'declare the condition as sql("… IS DISTINCT FROM %(value)s", value=…)',
    ),
    "lt bound to a list": (
        lambda: delete("t", {"c": lt(ANYTHING)}).bind(anything=[1]),
        "'anything' is compared by <, and is a list; write the condition as sql()",
    ),
    "ne bound to a list": (
        lambda: delete("t", {"c": ne(ANYTHING)}).bind(anything=[1]),
        'declare it in not_in() as param("anything", list[…])',
    ),
    "like bound to an int": (
        lambda: delete("t", {"c": like(ANYTHING)}).bind(anything=1),
        "'anything' is a pattern, and must be a str, not an int",
    ),
    "not_in bound to None in a list": (
        lambda: delete("t", {"c": not_in(row(Job).states)}).bind(Job(1, 1, None, ["a", None])),
        "'states' contains None, declare",
    ),
    "not_in bound to None": (
        lambda: delete("t", {"c": not_in(row(Job).states)}).bind(Job(1, 1, None, None)),
        "'states' is None, and not_in(…) takes a list",
    ),
    "all rows of one of many": (
        lambda: delete("t", {"c": not_in(row(Job).states)}).each(
            [Job(1, 1, None, ["a"]), Job(2, 1, None, [])]
        ),
        "each(): row 1: not_in([]) alone selects every row",
    ),
    "None in one of many": (
        lambda: delete("t", {"c": lt(row(Job).attempts)}).each(
            [Job(1, 1, None, []), Job(2, None, None, [])]
        ),
        "each(): row 1: 'attempts' is compared by <, which NULL never matches",
    ),
    "bound to a comparison": (
        lambda: insert("t", Job).bind(Job(lt(1), 1, "a", [])),
        "bind(): a value is lt(), which is a condition",
    ),
    "partial to a comparison": (
        lambda: delete("t", {"c": N}).partial(n=lt(1)),
        "partial(): a value is lt(), which is a condition",
    ),
    "partial to another type": (
        lambda: delete("t", {"c": lt(N)}).partial(n=IDS),
        "partial(): 'ids' is a parameter for a list",
    ),
    "partial to None": (
        lambda: delete("t", {"c": ge(ANYTHING)}).partial(anything=None),
        "partial(): 'anything' is compared by >=, which NULL never matches",
    ),
    "a list to sql": (
        lambda: delete("t", {"c": not_in(IDS), "d": 1}).partial(ids=sql("x")),
        "partial(): pass a list",
    ),
}


@pytest.mark.parametrize(("make", "text"), REFUSED.values(), ids=REFUSED)
def test_refused(make, text):
    with pytest.raises(InvalidBatch) as caught:
        make()
    assert text in str(caught.value)


def test_not_in_of_nothing_beside_a_condition_or_in_a_select_is_accepted():
    assert delete("t", [{"c": not_in([])}, {"d": not_in([1])}])
    assert delete("t", [{"c": not_in([])}, sql("d = 1")])
    assert select("t", ["id"], where={"c": not_in([])})
    assert update("t", {"a": 1}, {"id": 1}).require({"c": not_in([])})
    assert delete("t", {"c": not_in(IDS), "d": N}).bind(ids=[], n=1)


# -- declared --------------------------------------------------------------------------------------


def test_bound_is_what_is_built():
    def make(attempts, states, low, high, pattern):
        where = {"attempts": lt(attempts), "state": not_in(states)}
        guard = {"size": between(low, high), "name": like(pattern)}
        return update("job", {"a": 1}, where).require(guard)

    job = row(Job)
    declared = make(job.attempts, job.states, param("low", int), param("high", int), NAME)
    bound = declared.bind(Job(1, 5, None, ["x"]), low=1, high=2, name="a%")
    built = make(5, ["x"], 1, 2, "a%")
    assert bound._shape is built._shape
    assert bound._values == built._values == (1, 5, ["x"], 1, 2, "a%")


def test_partial_puts_a_fragment_an_output_and_a_value_into_a_comparison():
    late = select("job", ["id"], where={"due": lt(ANYTHING), "owner": ne(NAME)})
    statement = late.partial(anything=sql("now() - %(age)s", age=7))
    (step,) = steps(statement.bind(name="me"))
    assert step.sql.endswith('WHERE "due" < (now() - $1) AND ("owner" = $2) IS NOT TRUE')
    assert step.parameters == (7, "me")
    assert late.partial(name="me")._values == (ANYTHING, "me")
    flow = late.partial(anything=OUTPUT)
    assert flow._shape.takes_outputs


# -- shown -----------------------------------------------------------------------------------------


def test_guard_is_shown_by_columns_and_operators_and_no_value():
    guarded = (
        update("job", {"a": 1}, {"id": 1})
        .require({"attempts": lt(51), "owner": "secret"})
        .require({"size": between(51, 52)})
        .refuse({"state": ne("secret"), "due": ne(None)})
        .refuse({"name": like("secret"), "zone": not_in(["secret"]), "rack": not_in([None])})
    )
    assert repr(guarded) == (
        '<Statement update job: exactly 1 row, require("attempts" < …, "owner"), '
        'require("size" >= …, "size" <= …), refuse("state" <> …, "due" IS NOT NULL), '
        'refuse("name" LIKE …, "zone" NOT IN …, "rack" NOT IN …)>'
    )
    assert repr(lt(51)) == "<lt(…)>"
    shown = explain(guarded)
    assert '"attempts" < $3' in shown
    assert "51" not in shown
    assert "secret" not in shown


def test_values_are_known_by_column():
    (step,) = steps(update("job", {"a": 1}, {"id": ne(7), "size": between(1, 2)}))
    assert step.named_values == {"a": 1, "id": 7, "size": 1}


def test_column_of_a_condition_must_be_a_name():
    with pytest.raises(InvalidBatch, match="a column must be a non-empty str"):
        delete("t", {"": lt(1)})
