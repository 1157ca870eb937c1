# SPDX-License-Identifier: MIT
"""Test that a wrong argument is rejected by the call that it is passed to, which the text names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from batchq import (
    InvalidBatch,
    asc,
    check,
    delete,
    desc,
    exclusion,
    explain,
    foreign_key,
    format_error,
    gather,
    insert,
    insert_or_get,
    into,
    not_null,
    old,
    select,
    sequence,
    source,
    sql,
    sqlstate,
    steps,
    unique,
    update,
)

Call = Callable[[Any], object]

ONE = select("t", ["id"], where={"id": 1})
CHANGE = update("t", {"a": 1}, where={"id": 1})
NEW = insert("t", {"id": 1, "a": 1})
PAIR = gather(ONE, NEW)
ERROR = ValueError("taken")


class Row(NamedTuple):
    id: int


def joined(**changed: Any) -> object:
    """Return an update by the rows of another table, with some arguments changed."""
    arguments = {"set": {"a": 1}, "from_": "u", "on": {"a": "b"}} | changed
    return update("t", **arguments)


VALUES: dict[str, object] = {
    "list": ["a"],
    "nested": [["a"]],
    "dict": {"a": 1},
    "set": {"a"},
    "frozenset": frozenset("a"),
    "bytes": b"a",
    "bytearray": bytearray(b"a"),
    "empty": "",
    "text": "a",
    "int": 1,
    "bool": True,
    "float": 1.5,
    "none": None,
    "object": object(),
    "class": int,
    "statement": sql("a"),
    "batch": gather(sql("SELECT 1")),
}
NAMES: dict[str, Call] = {
    "insert(): the table": lambda x: insert(x, {"a": 1}),
    "update(): the table": lambda x: update(x, {"a": 1}, where={"id": 1}),
    "delete(): the table": lambda x: delete(x, where={"id": 1}),
    "select(): the table": lambda x: select(x, ["a"], where={"id": 1}),
    "sql(): the text": sql,
    "returning(): name": NEW.returning,
    "invariant(): ": NEW.invariant,
    "on_conflict_do_update(set=): a column": lambda x: NEW.on_conflict_do_update("id", set=[x]),
    "output(): the name": NEW.output,
    "old(): a column": old,
    "source(): a column": source,
    "update(on=): a column": lambda x: joined(on={"a": x}),
    "delete(on=): a column": lambda x: delete("t", using="u", on={"a": x}),
    "label(): the name": NEW.label,
    "label(): the name ": PAIR.label,
    "as_invariant(): context": PAIR.as_invariant,
    "expect(columns=): a column": lambda x: sql("SELECT a FROM t").expect(0, columns=[x]),
    "require(columns=): a column": lambda x: CHANGE.require({"a": 1}, columns=[x]),
    "refuse(columns=): a column": lambda x: CHANGE.refuse({"a": 1}, columns=[x]),
    "ensure(columns=): a column": lambda x: CHANGE.ensure({"a": 1}, columns=[x]),
    "unique(): the name of a constraint": unique,
    "check(): the name of a constraint": check,
    "foreign_key(): the name of a constraint": foreign_key,
    "exclusion(): the name of a constraint": exclusion,
    "not_null(): the name of a column": not_null,
    "insert(): the table ": lambda x: insert_or_get(x, {"id": 1}, Row, key=["id"]),
}
"""Calls with the name of a table, a column, a constraint, or a label."""
COLUMNS: dict[str, Call] = {
    "insert(): a column": lambda x: insert("t", {x: 1}),
    "update(): a column": lambda x: update("t", {x: 1}, where={"id": 1}),
    "update(): a column ": lambda x: update("t", {"a": 1}, where={x: 1}),
    "delete(): a column": lambda x: delete("t", where={x: 1}),
    "update(on=): a column ": lambda x: joined(on={x: "b"}),
    "delete(on=): a column ": lambda x: delete("t", using="u", on={x: "b"}),
    "update(): a column  ": lambda x: joined(set={x: 1}),
    "update(): a column   ": lambda x: joined(where={x: 1}),
    "select(): a column": lambda x: select("t", ["a"], where={x: 1}),
    "require(): a column": lambda x: CHANGE.require({x: 1}),
    "refuse(): a column": lambda x: CHANGE.refuse({x: 1}),
    "unless(): a column": lambda x: CHANGE.unless({x: 1}),
    "ensure(): a column": lambda x: CHANGE.ensure({x: 1}),
    "on_conflict_do_nothing(index_where=): each column": lambda x: NEW.on_conflict_do_nothing(
        "id", index_where={x: None}
    ),
    "on_conflict_do_update(set=): a column ": lambda x: NEW.on_conflict_do_update("id", set={x: 1}),
    "on_conflict_do_update(where=): a column": lambda x: NEW.on_conflict_do_update(
        "id", set=["a"], where={x: 1}
    ),
}
"""Calls with a mapping, whose keys are columns."""
LISTS: dict[str, Call] = {
    "select(columns=): pass a list": lambda x: select("t", x, where={"id": 1}),
    "expect(columns=): pass a list": lambda x: ONE.expect(0, columns=x),
    "require(columns=): pass a list": lambda x: CHANGE.require({"a": 1}, columns=x),
    "refuse(columns=): pass a list": lambda x: CHANGE.refuse({"a": 1}, columns=x),
    "ensure(columns=): pass a list": lambda x: CHANGE.ensure({"a": 1}, columns=x),
    "insert_or_get(key=): pass a list": lambda x: insert_or_get("t", {"id": 1}, Row, key=x),
    "insert_or_get(same=): pass a list": lambda x: insert_or_get(
        "t", {"id": 1}, Row, key=["id"], same=x
    ),
    "sequence(): pass a list": sequence,
}
CONDITIONS: dict[str, Call] = {
    "update(where=): ": lambda x: update("t", {"a": 1}, where=x),
    "update(where=):  ": lambda x: update("t", {"a": 1}, where=[{"id": 1}, x]),
    "delete(where=): ": lambda x: delete("t", where=x),
    "select(where=): ": lambda x: select("t", ["id"], where=x),
    "require(): ": CHANGE.require,
    "refuse(): ": CHANGE.refuse,
    "unless(): ": CHANGE.unless,
}
NUMBERS: dict[str, Call] = {
    "expect(): the number of rows": ONE.expect,
    "expect(): the number of rows ": lambda x: ONE.expect(at_least=x),
    "expect(): the number of rows  ": lambda x: ONE.expect(at_most=x),
}
ERRORS: dict[str, Call] = {
    '.on(unique("a"), …): pass an exception': lambda x: NEW.on(unique("a"), x),
    '.on(unique("a"), …): pass an exception ': lambda x: PAIR.on(unique("a"), x),
    "expect(missing=…): pass an exception": lambda x: ONE.expect(1, missing=x),
    "expect(unexpected=…): pass an exception": lambda x: ONE.expect(1, unexpected=x),
    'require("a", raises=…): pass an exception': lambda x: CHANGE.require({"a": 1}, raises=x),
    'refuse("a", raises=…): pass an exception': lambda x: CHANGE.refuse({"a": 1}, raises=x),
    'ensure("a", raises=…): pass an exception': lambda x: CHANGE.ensure({"a": 1}, raises=x),
}
FUNCTIONS: dict[str, Call] = {
    "one(): ": ONE.one,
    "maybe(): ": ONE.maybe,
    "all(): ": ONE.all,
    "updated(): ": CHANGE.unless({"a": 1}).updated,
    "one():  ": lambda x: insert_or_get("t", {"id": 1}, x, key=["id"]),
    "map(): pass a function": ONE.map,
    "into(): pass a function": lambda x: into(x, a=ONE),
    "format_error(): pass a function": lambda x: format_error(x, "text"),
}
BATCHES: dict[str, Call] = {
    "gather(): item 0": gather,
    "gather(): item 1": lambda x: gather(ONE, x),
    "sequence(): item 0": lambda x: sequence([x]),
    "into(): item 0": lambda x: into(dict, x),
    "into(): item 0 ": lambda x: into(dict, a=x),
    "TypeError: not a batch": steps,
    "TypeError: not a batch ": explain,
}
OTHERS: dict[str, tuple[Call, str]] = {
    "insert(): a row": (lambda x: insert("t", x), "dict"),
    "update(set=): a row": (lambda x: update("t", x, where={"id": 1}), "dict"),
    "insert(): a row ": (lambda x: insert_or_get("t", x, Row, key=["a"]), "dict"),
    "ensure(): pass a mapping": (CHANGE.ensure, "dict"),
    "update(from_=): pass the ": (lambda x: joined(from_=x), "text"),
    "delete(using=): pass the ": (lambda x: delete("t", using=x, on={"a": "b"}), "text"),
    "update(where=):   ": (lambda x: joined(where=x), "dict none statement"),
    "update(on=): pass a mapping": (lambda x: joined(on=x), "dict none"),
    "delete(on=): pass a mapping": (lambda x: delete("t", using="u", on=x), "dict none"),
    "on_conflict_do_nothing(index_where=): ": (
        lambda x: NEW.on_conflict_do_nothing("id", index_where=x),
        "dict none statement",
    ),
    "on_conflict_do_nothing(): ": (NEW.on_conflict_do_nothing, "text statement"),
    "on_conflict_do_update(): ": (
        lambda x: NEW.on_conflict_do_update(x, set=["a"]),
        "text statement",
    ),
    "on_conflict_do_update(set=): pass a list": (
        lambda x: NEW.on_conflict_do_update("id", set=x),
        "list nested dict",
    ),
    "on_conflict_do_update(where=): ": (
        lambda x: NEW.on_conflict_do_update("id", set=["a"], where=x),
        "dict statement none",
    ),
    "insert_or_get(where=): pass a mapping": (
        lambda x: insert_or_get("t", {"id": 1}, Row, key=["id"], where=x),
        "dict none",
    ),
    "output(): pass the name of a SQL type": (lambda x: NEW.output("id", x), "text none"),
    "scalar(): ": (ONE.scalar, "class"),
    "scalar(null=): pass True or False": (lambda x: ONE.scalar(int, null=x), "bool"),
    "asc(): pass the name of a column": (asc, "text statement batch"),
    "desc(): pass the name of a column": (desc, "text statement batch"),
    "asc(nulls=): pass": (lambda x: asc("a", nulls=x), "none"),
    "desc(nullable=): pass True or False": (lambda x: desc("a", nullable=x), "bool"),
    "select(limit=): ": (lambda x: select("t", ["a"], limit=x), "int none"),
    "select(after=): pass a ": (lambda x: select("t", ["a"], order_by="b", after=x), "none"),
    "select(order_by=): ": (lambda x: select("t", ["a"], order_by=x), "text list none statement"),
    ".on(): pass a matcher": (lambda x: NEW.on(x, ERROR), ""),
    ".on(): pass a matcher ": (lambda x: PAIR.on(x, ERROR), ""),
    "for_update(strength=): pass one of": (lambda x: ONE.for_update(strength=x), ""),
    "for_update(nowait=): pass True or False": (lambda x: ONE.for_update(nowait=x), "bool"),
    "for_update(skip_locked=): pass True or False": (
        lambda x: ONE.for_update(skip_locked=x),
        "bool",
    ),
    "sqlstate(": (sqlstate, ""),
    "format_error(): the template": (lambda x: format_error(ValueError, x), "empty text"),
}
"""Calls with one argument, and the values that it may have."""


def _cases() -> dict[str, tuple[Call, str]]:
    """Return each call, with the values that are not wrong or are rejected by another test."""
    given = [
        (NAMES, "text"),
        (COLUMNS, "text list nested dict set bytearray"),
        (LISTS, "list nested none"),
        (CONDITIONS, "dict statement"),
        (NUMBERS, "int none"),
        (ERRORS, "none"),
        (FUNCTIONS, "class"),
        (BATCHES, "statement batch"),
    ]
    cases = {name: (call, valid) for calls, valid in given for name, call in calls.items()}
    return cases | OTHERS


def answer(call: Call, value: object) -> str:
    """Return the text of the error for a value."""
    try:
        call(value)
    except InvalidBatch as error:
        return str(error)
    except TypeError as error:
        return f"TypeError: {error}"
    return "accepted"


@pytest.mark.parametrize(("name", "case"), _cases().items(), ids=_cases())
def test_wrong_argument_is_rejected_by_its_call(name, case):
    call, valid = case
    wrong = {kind: value for kind, value in VALUES.items() if kind not in valid.split()}
    answers = {kind: answer(call, value) for kind, value in wrong.items()}
    other = {kind: text for kind, text in answers.items() if not text.startswith(name.rstrip())}
    assert other == {}


@pytest.mark.parametrize("column", [["a"], [["a"]], {"a": 1}, {"a"}, 7, None, ""], ids=repr)
def test_column_of_select_is_a_name_or_a_fragment(column):
    with pytest.raises(InvalidBatch, match=r"^select\(\): a column must be a non-empty str"):
        select("t", ["id", column], where={"id": 1})


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: insert("t", {"a": x}), "insert()"),
        (lambda x: insert("t", {"a": [1, [2, x]]}), "insert()"),
        (lambda x: update("t", {"a": x}, where={"id": 1}), "update(set=)"),
        (lambda x: sql("SELECT %(a)s", a=x), "sql()"),
    ],
    ids=["insert", "nested", "update", "sql"],
)
def test_list_that_contains_itself_is_rejected(call, text):
    endless: list[object] = [1]
    endless.append([endless])
    with pytest.raises(InvalidBatch, match=rf"^{re.escape(text)}: a list contains itself"):
        call(endless)


def test_list_that_is_in_another_list_twice_is_accepted():
    pair = [1, 2]
    assert steps(insert("t", {"a": [pair, pair]}))[0].parameters == ([[1, 2], [1, 2]],)
