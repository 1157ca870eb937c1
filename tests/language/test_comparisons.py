# SPDX-License-Identifier: MIT
"""What a value in a condition means: itself, NULL, one of a list; and what is refused by name."""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from ipaddress import ip_network
from typing import NamedTuple
from uuid import UUID

import pytest
from psycopg.types.multirange import Multirange

from batchq import (
    InvalidBatch,
    delete,
    gather,
    insert,
    select,
    sequence,
    sql,
    steps,
    update,
)
from tests.support.existence import absent, present
from tests.support.titles import title

ANY, ANY_OR_NULL = '"c" = ANY($1)', '("c" = ANY($1) OR "c" IS NULL)'


class Ids(list):
    pass


class Two(tuple):
    __slots__ = ()


class Pair(NamedTuple):
    a: int
    b: int


def condition(where):
    (step,) = steps(delete("t", where))
    return step.sql.removeprefix('DELETE FROM "t" WHERE '), step.parameters


@pytest.mark.parametrize(
    ("value", "expected", "sent"),
    [
        ([7, 8], ANY, [7, 8]),
        ((7, 8), ANY, [7, 8]),
        ((), ANY, []),
        (Ids([7]), ANY, [7]),
        (Two([7]), ANY, [7]),
        ([b"x"], ANY, [b"x"]),
        ([1, 2.5, "a", UUID(int=7)], ANY, [1, 2.5, "a", UUID(int=7)]),
        ([None, 7], ANY_OR_NULL, [7]),
        ((7, None, 8, None), ANY_OR_NULL, [7, 8]),
        (["a", None], ANY_OR_NULL, ["a"]),
        ([None], ANY_OR_NULL, []),
        ((None,), ANY_OR_NULL, []),
    ],
    ids=repr,
)
def test_list_in_a_condition_is_a_choice_that_may_include_null(value, expected, sent):
    assert condition({"c": value}) == (expected, (sent,))
    text, values = condition([{"a": 1}, {"c": value}, {"b": 2}])
    assert text == f'"a" = $1 AND {expected.replace("$1", "$2")} AND "b" = $3'
    assert values == (1, sent, 2)


@pytest.mark.parametrize(
    "value",
    [b"x", bytearray(b"x"), memoryview(b"x"), "text", ip_network("10.0.0.0/8"), Multirange([])],
    ids=title,
)
def test_iterable_that_is_a_column_value_is_one_value(value):
    assert condition({"c": value}) == ('"c" = $1', (value,))


REFUSED = {
    "set": ({7, 8}, r"'c' .* a set; .* list\("),
    "empty set": (set(), r"'c' .* a set"),
    "frozenset": (frozenset({7}), r"'c' .* a frozenset; .* list\("),
    "dict": ({"a": 1}, r"'c' .* a dict; .*Jsonb"),
    "empty dict": ({}, r"'c' .* a dict"),
    "mapping": (OrderedDict(a=1), r"'c' .* an OrderedDict; .*Jsonb"),
    "keys": ({7: 1}.keys(), r"'c' .* a dict_keys; .* list\("),
    "values": ({7: 1}.values(), r"'c' .* a dict_values; .* list\("),
    "generator": ((n for n in (7, 8)), r"'c' .* a generator; .* list\("),
    "map": (map(int, "78"), r"'c' .* a map; .* list\("),
    "range": (range(7), r"'c' .* a range; .* list\("),
    "deque": (deque([7]), r"'c' .* a deque; .* list\("),
    "array": (array("i", [7]), r"'c' .* an array; .* list\("),
    "record": (Pair(7, 8), r"'c' .* a Pair; .* list\(.* composite .* sql\("),
    "list in a list": ([[7]], r"'c' .* contains a list; .* whole array .* sql\("),
    "tuple in a list": ([7, (8,)], r"'c' .* contains a tuple; .* whole array .* sql\("),
    "list in a tuple": (([],), r"'c' .* contains a list; .* whole array .* sql\("),
    "record in a list": ([Pair(7, 8)], r"'c' .* contains a Pair"),
    "set in a list": ([7, {8}], r"'c' .* contains a set"),
    "dict in a list": ([{}], r"'c' .* contains a dict"),
    "fragment in a list": ([sql("1")], r"'c' .* contains a Statement.* sql\("),
    "batch in a list": ([gather()], r"'c' .* contains a Gathered"),
}
CALLS = {
    "delete": lambda value: delete("t", {"c": value}),
    "update": lambda value: update("t", {"a": 1}, where={"c": value}),
    "select": lambda value: select("t", ["a"], where={"c": value}),
    "among others": lambda value: select("t", ["a"], where=[{"a": 1}, {"c": value}]),
    "for_update": lambda value: (
        select("t", where={"c": value}).for_update().expect(1, missing=KeyError)
    ),
    "require": lambda value: update("t", {"a": 1}, {"a": 2}).require({"c": value}),
    "ensure": lambda value: insert("t", {"a": 1}).ensure({"c": value}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("value", "teaches"), REFUSED.values(), ids=REFUSED)
def test_container_that_is_not_a_list_is_rejected_by_name(call, value, teaches):
    with pytest.raises(InvalidBatch, match=teaches):
        call(value)


def test_later_change_of_a_list_changes_no_statement():
    inner, ids = [1], [7]
    nested = [inner]
    row, rows = {"a": ids, "b": nested}, {"a": ids, "b": sql("now()")}
    statements = [
        delete("t", {"c": ids}),
        insert("t", row),
        insert("t", rows),
        update("t", row, {"a": 1}),
        sql("SELECT %(ids)s, %(nested)s", ids=ids, nested=nested),
    ]
    before = [repr(steps(statement)[0].parameters) for statement in statements]
    ids.append(8)
    inner.append(2)
    nested.append([3])
    assert [repr(steps(statement)[0].parameters) for statement in statements] == before


def test_list_in_a_row_is_an_array_that_keeps_its_nulls():
    (step,) = steps(insert("t", {"a": [1, None], "b": (1, None)}))
    assert step.parameters == ([1, None], (1, None))


def test_ordered_iterable_is_accepted_as_a_list():
    for columns in (["a", "b"], ("a", "b"), iter("ab"), {"a": 1, "b": 2}.keys()):
        assert select("t", columns, where={"a": 1})._shape.source.columns == ("a", "b")
    assert len(steps(sequence(sql("SELECT 1") for _ in range(3)))) == 3


@pytest.mark.parametrize("guard", [present, absent])
def test_row_guards_read_a_choice_as_select_does(guard):
    (step,) = steps(guard(select("t", ["a"], where={"c": (None, 7)})))
    assert '("c" = ANY($1) OR "c" IS NULL)' in step.sql
