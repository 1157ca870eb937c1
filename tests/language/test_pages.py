# SPDX-License-Identifier: MIT
"""The order, the limit and the page of a select: their SQL, and what is rejected."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pytest

from batchq import InvalidBatch, asc, desc, gather, insert, param, row, select, sql, steps, update
from batchq.conditions import lt


class After(NamedTuple):
    id: int | None
    n: Any


ROW = select("t", ["id"], order_by="id")
KEY = asc("id", nullable=False)


def page(**options: Any) -> Any:
    return select("t", ["a"], **options)


def text(**options: Any) -> str:
    (step,) = steps(page(**options))
    return step.sql.removeprefix('SELECT "a" FROM "t"')


# -- the SQL ---------------------------------------------------------------------------------------

A, B, C = asc("a", nullable=False), desc("b", nullable=False), asc("c", nullable=False)
NULLABLE = (
    '("a" > $1 OR "a" IS NULL AND $1 IS NOT NULL OR "a" IS NOT DISTINCT FROM $1 AND ("c" > $2))'
)
AFTER = {"a": 1, "b": 2, "c": 3}


def test_conditions_may_be_left_out():
    assert text() == ""
    assert text(limit=3) == " LIMIT $1::pg_catalog.int8"


def test_first_page_has_no_condition():
    order = ' ORDER BY "a" NULLS LAST, "b" DESC NULLS FIRST'
    assert text(order_by=["a", desc("b")], after=None) == order
    assert text(order_by=[asc("a", nulls="first"), desc("b", nulls="last")]) == (
        ' ORDER BY "a" NULLS FIRST, "b" DESC NULLS LAST'
    )
    assert text(order_by=[A, B]) == ' ORDER BY "a", "b" DESC'


@pytest.mark.parametrize(
    ("order", "condition"),
    [
        ([A], '("a" > $1)'),
        ([A, C], '(("a", "c") > ($1, $2))'),
        ([B], '("b" < $1)'),
        ([A, B], '("a" >= $1 AND ("a" > $1 OR ("b" < $2)))'),
        ([A, C, B], '(("a", "c") >= ($1, $2) AND (("a", "c") > ($1, $2) OR ("b" < $3)))'),
        (["a"], '("a" > $1 OR "a" IS NULL AND $1 IS NOT NULL)'),
        ([desc("b")], '("b" < $1 OR $1 IS NULL AND "b" IS NOT NULL)'),
        (
            ["a", C],
            NULLABLE,
        ),
    ],
)
def test_rows_after_are_found_by_the_order(order, condition):
    names = [one if isinstance(one, str) else str(one.key.column) for one in order]
    after = {name: AFTER[name] for name in names}
    assert text(order_by=order, after=after).partition(" ORDER ")[0] == f" WHERE {condition}"
    where = sql("x OR y")
    assert f" WHERE (x OR y) AND {condition} ORDER" in text(
        where=where, order_by=order, after=after
    )


def test_text_is_one_whether_values_are_null_or_not():
    order = ["a", desc("b")]
    texts = {text(order_by=order, after={"a": a, "b": b}) for a in (1, None) for b in (2, None)}
    assert len(texts) == 1


def test_values_are_named_and_in_the_order_of_the_text():
    bound = select(
        "t",
        [sql("%(x)s::int AS a", x=1)],
        where={"k": 2},
        order_by=["a", "b"],
        limit=param("n", int),
        after={"b": 4, "a": param("a", int)},
    ).bind(n=5, a=3)
    (step,) = steps(bound)
    assert step.parameters == (1, 2, 3, 4, 5)
    ordered = select("t", ["a"], where={"k": 1}, order_by=sql("a %% %(n)s", n=2), limit=3)
    assert steps(ordered)[0].parameters == (1, 2, 3)


def test_shapes_of_pages_are_found_again():
    def built(last: Any) -> Any:
        return select("t", ["a"], order_by=[A, "b"], limit=3, after=last)

    assert built({"a": 1, "b": None})._shape is built({"b": 2, "a": 3})._shape
    assert built(None)._shape is not built({"a": 1, "b": 2})._shape


def test_direction_is_shown_without_values():
    assert repr([asc("a"), desc(sql("b + %(n)s", n=4711))]) == "[<asc(a)>, <desc(…)>]"


# -- what is rejected ------------------------------------------------------------------------------

OTHER = insert("u", {"a": 1}).one(dict)

REJECTED = {
    "select(order_by=): no column; write": lambda: page(order_by=[]),
    "select(order_by=): 'a' is named twice": lambda: page(order_by=["a", desc("a")]),
    "select(order_by=): pass the name of a column": lambda: page(order_by=[7]),
    "select(order_by=): pass the name of a column, a non-empty str without NUL": lambda: page(
        order_by=[""]
    ),
    "asc(): pass the name of a column, a non-empty str without NUL, not 'a": lambda: asc("a\0"),
    "select(order_by=): pass a list": lambda: page(order_by={"a"}),
    "select(order_by=): pass a list ": lambda: page(order_by={"a": 1}),
    "select(order_by=): a statement or batch": lambda: page(order_by=[OTHER]),
    "select(order_by=): a sql() fragment must be one": lambda: page(order_by=[sql("a, b")]),
    "asc(): pass the name of a column": lambda: asc(None),  # type: ignore[arg-type]
    "asc(): it has a direction already": lambda: asc(desc("a")),  # type: ignore[arg-type]
    "desc(nulls=): pass": lambda: desc("a", nulls="end"),  # type: ignore[arg-type]
    "desc(nulls=): pass ": lambda: desc("a", nulls=True),  # type: ignore[arg-type]
    "desc(nullable=): pass": lambda: desc("a", nullable=None),  # type: ignore[arg-type]
    "desc(): nullable=False says": lambda: desc("a", nulls="last", nullable=False),
    "select(after=): rows have no order": lambda: page(after={"a": 1}),
    "select(after=): pass a value for each": lambda: page(order_by=["a", "b"], after={"a": 1}),
    "select(after=): pass a value for each ": lambda: page(order_by="a", after={"a": 1, "b": 2}),
    "select(after=): pass a value for each  ": lambda: page(order_by="a", after={}),
    "select(after=): pass a mapping": lambda: page(order_by="a", after=7),
    "select(after=): pass a mapping ": lambda: page(order_by="a", after=After(1, 2)),
    "select(after=): pass a mapping  ": lambda: page(order_by="a", after=param("a", int)),
    "select(after=): select(order_by=) has a sql()": lambda: page(
        order_by=["a", sql("lower(b)")], after={"a": 1}
    ),
    "select(after=): 'id' is None": lambda: page(order_by=KEY, after={"id": None}),
    "select(after=): 'a' is a list": lambda: page(order_by="a", after={"a": [1]}),
    "select(after=): 'a' is a Comparison": lambda: page(order_by="a", after={"a": lt(1)}),
    "select(after=): 'a' is a Statement": lambda: page(order_by="a", after={"a": sql("1")}),
    "select(after=): 'a' is an Output": lambda: page(order_by="a", after={"a": OTHER.output("a")}),
    "select(after=): the parameter 'x' may be None": lambda: page(
        order_by=KEY, after={"id": param("x", int | None)}
    ),
    "select(after=): the parameter 'id' may be None": lambda: page(
        order_by=KEY, after={"id": row(After).id}
    ),
    "select(after=): 'x' is a parameter for a list": lambda: page(
        order_by=KEY, after={"id": param("x", list[int])}
    ),
    "select(limit=): 'limit' is -1": lambda: page(limit=-1),
    "select(limit=): 'limit' is 9223372036854775808": lambda: page(limit=2**63),
    "select(limit=): 'limit' is a number of rows; pass an int, not a bool": lambda: page(
        limit=True
    ),
    "select(limit=): 'limit' is a number of rows; pass an int, not a float": lambda: page(
        limit=1.0
    ),
    "select(limit=): 'limit' is a number of rows; pass an int, not a str": lambda: page(limit="1"),
    "select(limit=): 'limit' is a number of rows; pass an int, not a Stat": lambda: page(
        limit=sql("1")
    ),
    "select(limit=): the parameter 'n' takes a str": lambda: page(limit=param("n", str)),
    "select(limit=): the parameter 'n' takes an int or None": lambda: page(
        limit=param("n", int | None)
    ),
    "select(limit=): require() and refuse()": lambda: (
        ROW.require({"a": 1}) and page(limit=1).refuse({"a": 1})
    ),
    "exists(): only a select()": lambda: sql("SELECT 1").exists(),
    "exists(): only a select() ": lambda: update("t", {"a": 1}, {"b": 1}).exists(),
    "exists(): it only looks": lambda: ROW.exists().expect(1),
    "exists(): it only looks ": lambda: ROW.expect(1).exists(),
    "exists(): it only looks  ": lambda: ROW.exists().require({"a": 1}),
    "exists(): it only looks   ": lambda: ROW.ensure({"id": 1}).exists(),
    "exists(): it only looks    ": lambda: ROW.exists().for_update(),
    "exists(): it only looks     ": lambda: ROW.for_update().exists(),
    "exists(): an expression": lambda: select("t", [sql("count(*)")]).exists(),
    "output(): ": lambda: ROW.exists().output("found"),
    "scalar(null=): pass True or False": lambda: ROW.scalar(int, null=None),  # type: ignore[call-overload]
}


@pytest.mark.parametrize(("name", "call"), REJECTED.items(), ids=REJECTED)
def test_mistake_is_rejected_by_its_call(name, call):
    with pytest.raises(InvalidBatch, match=f"^{re.escape(name.rstrip())}"):
        call()


ID = select("t", ["id"], order_by=KEY, after={"id": param("id", object)}, limit=param("n", object))
FIELDS = select("t", ["id"], order_by="id", after={"id": row(After).id}, limit=row(After).n)

BOUND = {
    "bind(): 'n' is -1": lambda: ID.bind(id=1, n=-1),
    "bind(): 'n' is a number of rows; pass an int, not a bool": lambda: ID.bind(id=1, n=True),
    "bind(): 'n' is a number of rows; pass an int, not a NoneType": lambda: ID.bind(id=1, n=None),
    "bind(): 'id' is None": lambda: ID.bind(id=None, n=1),
    "bind(): 'id' is a list": lambda: ID.bind(id=[1], n=1),
    "bind(): 'id' is a tuple": lambda: ID.bind(id=(1, 2), n=1),
    "bind(): 'n' is -1 ": lambda: FIELDS.bind(After(1, -1)),
    "each(): row 1: 'n' is a number": lambda: FIELDS.each([After(None, 1), After(1, None)]),
    "partial(): 'n' is -1": lambda: ID.partial(n=-1),
    "partial(): 'id' is None": lambda: ID.partial(id=None),
    "partial(): 'id' is an Output": lambda: ID.partial(id=OTHER.output("a")),
    "partial(): 'id' is a Statement": lambda: ID.partial(id=sql("1")),
    "partial(): 'n' is a number of rows; pass an int, not a Statement": lambda: ID.partial(
        n=sql("1")
    ),
    "partial(): the parameter 'x' may be None": lambda: ID.partial(id=param("x", int | None)),
    "partial(): the parameter 'x' takes a str": lambda: ID.partial(n=param("x", str)),
    "takes(): the parameter 'id' may be None": lambda: ID.takes(After),
    "partial(): 'n' is -2": lambda: gather(ID, OTHER).partial(n=-2),
}


@pytest.mark.parametrize(("name", "call"), BOUND.items(), ids=BOUND)
def test_value_that_cannot_be_of_a_page_is_rejected_when_it_is_set(name, call):
    with pytest.raises(InvalidBatch, match=f"^{re.escape(name.rstrip())}"):
        call()


def test_partial_sets_values_of_a_page():
    where = {"k": param("k", int)}
    declared = select(
        "t",
        ["id"],
        where=where,
        order_by=["id"],
        after={"id": param("id", int)},
        limit=param("n", int),
    )
    assert steps(declared.partial(n=5, id=3).bind(k=1))[0].parameters == (1, 3, 5)
    by_sql = declared.partial(k=sql("1 + %(x)s", x=7), n=param("m", int))
    assert steps(by_sql.bind(m=5, id=3))[0].parameters == (7, 3, 5)
