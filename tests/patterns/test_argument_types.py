# SPDX-License-Identifier: MIT
"""Arguments of a wrong type are rejected with what to pass instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from batchq import hierarchy, insert
from batchq.hierarchy import Children, NotReplaced, Parent, Replaced
from tests.support.argument_types import (
    ANY,
    RAISES,
    Arguments,
    assert_rejects_wrong_types,
    call,
    parameters,
    public_methods,
)
from tests.support.vpcs import VPC

NONE = type(None)
ERROR = LookupError("no such vpc")
RULES = VPC.children("rule", by="vpc_id", deleted_at=None)


class Rule(NamedTuple):
    id: int


KEY: Arguments = {"key": (7, ANY), "missing": (ERROR, RAISES)}
DELETE_ROW: Arguments = {**KEY, "generation": (1, ANY), "stale": (ERROR, RAISES)}
CHILDREN: Arguments = {
    "table": ("rule", (str,)),
    "by": ("vpc_id", (str,)),
    "deleted_at": (None, (str, NONE)),
    "where": ({}, (Mapping,)),
}
CALLS: dict[str, tuple[Callable[..., Any], Arguments]] = {
    "Children": (Children, {**CHILDREN, "parent": (VPC, ())}),
    "Children.add": (
        RULES.add,
        {**KEY, "children": (insert("rule", {"vpc_id": 7}), ())},
    ),
    "Children.forbid": (RULES.forbid, {"key": (7, ANY), "unexpected": (ERROR, RAISES)}),
    "Children.read": (RULES.read, {"key": (7, ANY), "model": (Rule, ())}),
    "Children.replace": (
        RULES.replace,
        {
            **KEY,
            "inserts": ([insert("rule", {"vpc_id": 7, "name": "a"})], ()),
            "by": ("name", ANY),
            "keep": ((), ANY),
        },
    ),
    "NotReplaced": (NotReplaced, {"table": ("rule", ANY), "inserts": (2, ANY)}),
    "Replaced": (Replaced, {"written": (1, ANY), "removed": (1, ANY)}),
    "Parent": (
        Parent,
        {
            "table": ("vpc", (str,)),
            "key": ("id", (str,)),
            "deleted_at": (None, (str, NONE)),
            "generation": ("rcgen", (str,)),
        },
    ),
    "Parent.children": (VPC.children, {**CHILDREN, "where": (None, (Mapping, NONE))}),
    "Parent.delete": (VPC.delete, {**DELETE_ROW, "guards": ([], ())}),
    "Parent.delete_row": (VPC.delete_row, DELETE_ROW),
    "Parent.lock": (VPC.lock, KEY),
    "Parent.read": (VPC.read, {**KEY, "model": (Rule, ())}),
    "Parent.touch": (VPC.touch, KEY),
}


def test_table_has_every_public_function_and_its_parameters() -> None:
    """A new one fails here until it is in the table."""
    assert {*hierarchy.__all__, *public_methods((Parent, Children))} == CALLS.keys()
    for name, (function, arguments) in CALLS.items():
        assert parameters(function) == arguments.keys(), name


@pytest.mark.parametrize("name", CALLS)
def test_argument_of_a_wrong_type_is_rejected(name: str) -> None:
    call(*CALLS[name])  # the others are right
    assert_rejects_wrong_types(*CALLS[name])
