# SPDX-License-Identifier: MIT
"""A select that is a part of another statement: what it says is in the SQL, or it is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from batchq import (
    InvalidBatch,
    Statement,
    delete,
    insert,
    not_null,
    param,
    select,
    sql,
    steps,
    update,
)


class Row(NamedTuple):
    n: int


ON = {"id": "id"}
OUTER: dict[str, Callable[[Any], Statement[None]]] = {
    "insert": lambda rows: insert("t", rows),
    "from_": lambda rows: update("t", {"a": 1}, from_=rows, on=ON),
    "using": lambda rows: delete("t", using=rows, on=ON),
}
ROWS = select("job", ["id"], where={"n": 7})
DECLARED = select("job", ["id"], where={"n": param("n", int)})
ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "table": ({"table": "other"}, 'FROM "other" WHERE "n" = '),
    "columns": ({"columns": ["id", sql("a AS b")]}, 'SELECT "id", a AS b FROM "job"'),
    "where": ({"where": sql("n > 7")}, 'FROM "job" WHERE n > 7'),
    "order_by": ({"order_by": "id"}, 'ORDER BY "id"'),
    "limit": ({"limit": 3}, " LIMIT "),
    "after": ({"order_by": "id", "after": {"id": 3}}, '"id" > '),
}
GUARDS = "cannot have a result, mappings or guards"
NOT_A_SELECT = r"a row must be a mapping|pass the name of a table, or a select\(\)"
CALLS: dict[str, tuple[Callable[[Statement[Any]], object], str]] = {
    "one": (lambda rows: rows.one(dict), GUARDS),
    "maybe": (lambda rows: rows.maybe(dict), GUARDS),
    "all": (lambda rows: rows.all(tuple), GUARDS),
    "scalar": (lambda rows: rows.scalar(int), GUARDS),
    "count": (lambda rows: rows.count(), GUARDS),
    "exists": (lambda rows: rows.exists(), GUARDS),
    "expect": (lambda rows: rows.expect(at_least=1), GUARDS),
    "expect ": (lambda rows: rows.expect(0), GUARDS),
    "require": (lambda rows: rows.require({"n": 7}), GUARDS),
    "refuse": (lambda rows: rows.refuse({"n": 7}), GUARDS),
    "ensure": (lambda rows: rows.ensure({"n": 7}), GUARDS),
    "on": (lambda rows: rows.on(not_null("n"), ValueError), GUARDS),
    "invariant": (lambda rows: rows.invariant("n_key"), GUARDS),
    "label": (lambda rows: rows.label("x"), r'\.label\("x"\) names a step, and this is a part'),
    "map": (lambda rows: rows.map(len), NOT_A_SELECT),
    "as_invariant": (lambda rows: rows.as_invariant("x"), NOT_A_SELECT),
    "run_once": (lambda rows: rows.run_once("x"), NOT_A_SELECT),
    "run_first": (lambda rows: rows.run_first(), NOT_A_SELECT),
    "run_last": (lambda rows: rows.run_last(), NOT_A_SELECT),
    "each": (lambda _: DECLARED.takes(Row).each([Row(7)]), NOT_A_SELECT),
    "output": (lambda rows: rows.expect(1).output("id"), NOT_A_SELECT),
}
"""The methods whose result is refused, and by which words."""
HONOURED: dict[str, tuple[Callable[[], Statement[Any, Any]], str]] = {
    "bind": (lambda: DECLARED.bind(n=7), '"n" = $'),
    "partial": (lambda: DECLARED.partial(n=sql("3 + 4")), '"n" = (3 + 4)'),
    "takes": (lambda: DECLARED.takes(Row), '"n" = $'),
    "for_update": (lambda: ROWS.for_update(nowait=True), "FOR UPDATE NOWAIT"),
}
"""Those whose result is in the text."""
NEVER = {"returning", "change", "inserted", "updated", "unless"}
NEVER |= {"on_conflict_do_nothing", "on_conflict_do_update"}
"""Those which no select has."""


def sql_of(statement: Statement[Any, Any]) -> str:
    return steps(statement)[0].sql


@pytest.mark.parametrize("outer", OUTER.values(), ids=OUTER)
@pytest.mark.parametrize(("arguments", "text"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_of_the_select_are_in_the_text(outer, arguments, text):
    given = {"table": "job", "columns": ["id"], "where": {"n": 7}} | arguments
    assert text in sql_of(outer(select(given.pop("table"), **given)))


@pytest.mark.parametrize("outer", OUTER.values(), ids=OUTER)
@pytest.mark.parametrize(("call", "reason"), CALLS.values(), ids=CALLS)
def test_call_without_an_effect_is_refused(outer, call, reason):
    with pytest.raises(InvalidBatch, match=reason):
        outer(call(ROWS))


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("name", HONOURED)
def test_call_with_an_effect_is_in_the_text(outer, name):
    make, text = HONOURED[name]
    if (outer, name) in {("from_", "for_update"), ("using", "for_update")}:
        with pytest.raises(InvalidBatch, match="cannot lock; lock its rows in an earlier step"):
            OUTER[outer](make())
    else:
        assert text in sql_of(OUTER[outer](make()))


def test_each_method_and_argument_is_in_a_table():
    methods = {name for name, _ in inspect.getmembers(Statement, inspect.isfunction)}
    named = {name.strip() for name in CALLS} | HONOURED.keys() | NEVER
    assert {name for name in methods if not name.startswith("_")} == named
    assert set(inspect.signature(select).parameters) == ARGUMENTS.keys()
    for name in NEVER:
        with pytest.raises((InvalidBatch, TypeError)):
            getattr(ROWS, name)("id")


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda x: select("t", [x]), r'select\(columns=\): .*write sql\("… AS name"\)'),
        (lambda x: select("t", ["a"], where=x), "label the statement"),
        (lambda x: select("t", ["a"], order_by=x), "label the statement"),
        (lambda x: insert("t", {"a": x}), r'insert\(\): \.label\("n"\) names a step'),
        (lambda x: sql("SELECT %(x)s", x=x), "label the statement"),
        (lambda x: insert("t", {"a": 1}).on_conflict_do_nothing(x), "label the statement"),
    ],
    ids="column condition order value text target".split(),
)
def test_label_of_a_fragment_is_refused(call, instead):
    with pytest.raises(InvalidBatch, match=instead):
        call(sql("count(*)").label("n"))
