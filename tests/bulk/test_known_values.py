# SPDX-License-Identifier: MIT
"""A value that nothing binds is rejected by the call that it is passed to, and not by a chunk."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from batchq import InvalidBatch, insert, param, row, select, sql
from batchq.bulk import Backfill, ChildDelete, DeleteRows, DeleteTree, preflight, start
from batchq.bulk.throttles import query_throttle
from tests.support.argument_types import SilentPool
from tests.support.vpcs import MISSING, VPC


class Move(NamedTuple):
    key: int


RULES = VPC.children("rule", by="vpc_id", deleted_at=None)
TREE = DeleteTree(name="vpc", parent=VPC, children=[ChildDelete(relation=RULES)])
OUTPUT = insert("org", {"name": "a"}).output("id", "bigint")
FIELD = row(Move).key


def backfill(value, where=None):
    return Backfill(name="v2", table="rule", set={"v": value}, where=where or {"v": 1})


DECLARED = {
    "set=": backfill,
    "an expression in set=": lambda value: backfill(sql("v + %(n)s", n=value)),
    "where=": lambda value: backfill(2, {"v": value}),
    "an expression in where=": lambda value: backfill(2, [{"w": 1}, sql("v < %(n)s", n=value)]),
    "where= of a delete": lambda value: DeleteRows(name="v", table="r", where={"v": value}),
    "set= of children": lambda value: ChildDelete(relation=RULES, set={"vpc_id": value}),
    "a list": lambda value: backfill([1, [value]]),
    "a key to look at": lambda value: preflight(SilentPool(), TREE, value),
    "a throttle": lambda value: query_throttle(SilentPool(), "SELECT %(why)s", why=value),
}
FENCES = {
    "a key": lambda value: TREE.fence(value, missing=MISSING),
    "a generation": lambda value: TREE.fence(1, missing=MISSING, generation=value),
    "a key to start": lambda value: start(SilentPool(), TREE, value, missing=MISSING),
}


def assert_rejected(declare, value):
    with pytest.raises(InvalidBatch, match=f"{re.escape(repr(value))} has no value here"):
        declare(value)


@pytest.mark.parametrize("value", [param("n", int), FIELD, OUTPUT], ids=["param", "row", "output"])
@pytest.mark.parametrize("call", DECLARED)
def test_value_that_nothing_binds_is_rejected_where_it_is_passed(call, value):
    assert_rejected(DECLARED[call], value)


@pytest.mark.parametrize("value", [param("n", int), FIELD], ids=["param", "row"])
@pytest.mark.parametrize("call", FENCES)
def test_fence_is_not_declared_once_because_its_job_is_new(call, value):
    assert_rejected(FENCES[call], value)


def test_fence_takes_the_output_of_another_statement():
    seen = select("vpc", ["rcgen"], where={"id": 1}).one(tuple).output("rcgen", "bigint")
    TREE.fence(1, missing=MISSING, generation=seen, stale=ValueError("stale"))


def test_children_are_set_to_values_of_columns():
    text = "ChildDelete('rule', set=…): update(set=): a value is row(…)"
    with pytest.raises(InvalidBatch, match=re.escape(text)):
        ChildDelete(relation=RULES, set={"vpc_id": None, "name": row(Move)})
