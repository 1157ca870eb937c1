# SPDX-License-Identifier: MIT
"""Updates and deletes by the rows of another table: what is refused, and what a declaration is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batchq import InvalidBatch, delete, gather, insert, param, select, source, sql, steps, update
from batchq.conditions import lt

ON = {"id": "host"}
NESTED = sql("%(b)s + 1", b=source("b"))
UPSERT = insert("t", {"a": 1})
ROWS = select("wanted", ["host", "name"], where={"gen": 1})


def joined(**more: Any):
    return update("host", {"name": source("name")}, **{"from_": "wanted", "on": ON, **more})


@pytest.mark.parametrize(
    ("build", "instead"),
    [
        (lambda: joined(on=None), "update(from_=): pass the other table, and on="),
        (lambda: joined(from_=None), "update(from_=): pass the other table, and on="),
        (lambda: joined(on={}), "update(on=): pass a mapping of columns to columns"),
        (lambda: joined(on=["id"]), "not a list"),
        (lambda: joined(on={"id": 7}), "update(on=): a column must be a non-empty str, not 7"),
        (lambda: joined(from_=7), "pass the name of a table, or a select(), not 7"),
        (lambda: joined(from_="a."), "pass the name of a table"),
        (lambda: joined(from_=sql("SELECT 1")), "or a select(), not a sql() text"),
        (lambda: joined(from_=ROWS.count()), "add them to the statement around it"),
        (lambda: joined(from_=ROWS.for_update()), "cannot lock; lock its rows in an earlier step"),
        (lambda: joined(from_=select("w", where={"a": 1})), "list the columns of the select()"),
        (lambda: joined(where={}), "{} selects every row"),
        (lambda: joined(from_=select("w", ["host"], where={"a": 1})), "'name' is not among"),
        (lambda: joined(from_=ROWS, on={"id": "no"}), "'no' is not among the columns"),
        (lambda: joined(from_=ROWS).require({"a": source("no")}), "'no' is not among"),
        (lambda: joined().unless({"a": 1}), "unless(): an update with from_= cannot leave"),
        (lambda: joined().ensure({"a": source("b")}), "ensure(): the row that is returned has no"),
        (lambda: update("s.source", {"a": 1}, from_="w", on=ON), "is named source"),
        (lambda: delete("host", using="wanted"), "delete(using=): pass the other table, and on="),  # type: ignore[call-overload]
        (lambda: delete("host", on=ON), "delete(using=): pass the other table"),  # type: ignore[call-overload]
        (lambda: source(""), "source(): a column must be a non-empty str"),
        (lambda: update("t", {"a": source("b")}, {"c": 1}), "there is no other table; only"),
        (lambda: update("t", {"a": sql("%(b)s", b=source("b"))}, {"c": 1}), "no other table"),
        (lambda: update("t", {"a": 1}, {"c": lt(source("b"))}), "source('b'): there is no other"),
        (lambda: select("t", ["a"], where={"c": source("b")}), "there is no other table"),
        (lambda: select("t", ["a"], where={"c": 1}).require({"d": source("b")}), "no other table"),
        (lambda: select("t", [source("a")], where={"c": 1}), "there is no other table"),
        (lambda: select("t", ["a"], order_by=["a", source("b")]), "there is no other table"),
        (lambda: insert("t", {"a": source("b")}), "there is no other table"),
        (lambda: sql("SELECT 1 AS a").ensure({"a": source("b")}), "ensure(): the row that is"),
        (lambda: UPSERT.on_conflict_do_update(source("b"), set=["a"]), "no other table"),
        (
            lambda: UPSERT.on_conflict_do_update("a", index_where=NESTED, set=["a"]),
            "no other table",
        ),
        (lambda: steps(source("b"))[0].sql, "source('b'): there is no other table"),
        (lambda: steps(sql("SELECT %(a)s", a=source("b")).expect(1))[0].sql, "no other table"),
        (
            lambda: steps(sql("SELECT %(a)s", a=sql("%(b)s", b=source("b"))))[0].sql,
            "no other table",
        ),
        (
            lambda: insert("t", {"a": 1}).on_conflict_do_update("a", set={"a": source("b")}),
            "there is no other table",
        ),
    ],
)
def test_what_cannot_work_is_refused(build: Callable[[], Any], instead: str):
    with pytest.raises(InvalidBatch) as info:
        build()
    assert instead in str(info.value)


def test_statement_is_found_again_and_shown():
    assert joined()._shape is joined()._shape
    assert repr(joined().expect(1)) == "<Statement update host: exactly 1 row, at most 1 match>"
    (step,) = steps(joined())
    assert any("reads other rows" in note for note in step.notes)


def test_fragment_takes_the_place_of_a_parameter():
    rows = select("wanted", ["host", "name"], where={"gen": param("gen", int)})
    declared = joined(from_=rows, where={"zone": param("zone", int)})
    half = declared.partial(gen=sql("1 + 1"))
    (step,) = steps(gather(half.bind(zone=3)))
    assert 'FROM (SELECT "host", "name" FROM "wanted" WHERE "gen" = (1 + 1)) AS source' in step.sql
    assert step.parameters == (3,)
    zone = declared.partial(zone=source("host"))
    assert '"host"."zone" = (source."host")' in steps(zone.bind(gen=1))[0].sql
