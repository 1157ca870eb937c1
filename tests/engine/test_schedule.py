# SPDX-License-Identifier: MIT
"""Which scheduled statements of a declaration run, and when, is decided by the values bound."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from batchq import Batch, Statement, gather, param, sequence, sql, steps
from batchq.engine.schedule import depends_on_values
from batchq.hierarchy import Parent
from batchq.language.placement import Scheduled
from batchq.language.tree import leaves

A, B, C = (param(name, int) for name in "abc")
VALUES = [{"a": a, "b": b, "c": c} for a, b, c in product((1, 2), repeat=3)]
PARENT = Parent(table="parent", key="id", deleted_at=None, generation="gen")
OTHER = Parent(table="other", key="id", deleted_at=None, generation="gen")


def statement(number: int) -> Statement[None]:
    """Return a statement that takes all of the values, so that each can be bound."""
    return sql(f"SELECT {number}, %(a)s::int8, %(b)s::int8, %(c)s::int8", a=A, b=B, c=C)


def filled(key: Any, values: dict[str, int]) -> Any:
    """Return a key with values in the place of parameters."""
    return None if key is None else tuple(values.get(_name(part), part) for part in key)


def _name(part: object) -> str:
    return next((name for name, each in zip("abc", (A, B, C), strict=True) if part is each), "")


def order_of(batch: Batch[Any]) -> list[str]:
    return [step.sql.split(",")[0] for step in steps(batch)]


KEYS = [("k", 1), ("k", A), ("k", B), ("k",), ("l", A), (A, B), (1, 2), (A, 1), (2, A)]
LAST = [key for key in KEYS if not isinstance(key[0], str)] + [(C,), (1, 2, 3), (A, B, C)]


def scheduled(entries: list[dict[str, Any]]) -> list[Scheduled[Any, Any]]:
    return [Scheduled(statement(number), **keys) for number, keys in enumerate(entries)]


def check(entries: list[dict[str, Any]]) -> None:
    """Compare a declaration, whole and with a part bound, with the batch that is built."""
    middle = statement(9)
    declared = sequence([*scheduled(entries), middle])
    for values in VALUES:
        parts = scheduled([{n: filled(key, values) for n, key in e.items()} for e in entries])
        built = sequence([*[part.bind(**values) for part in parts], middle.bind(**values)])
        expected = order_of(built)
        assert order_of(declared.bind(**values)) == expected
        assert order_of(declared.partial(a=values["a"]).bind(b=values["b"], c=values["c"])) == (
            expected
        )
        first, *others = scheduled(entries)
        partly = gather(gather(first).bind(**values), sequence([*others, middle]))
        assert order_of(partly.bind(**values)) == expected
        assert order_of(gather(declared.bind(**values).label("around"))) == expected


@pytest.mark.parametrize("one", KEYS, ids=str)
def test_statement_runs_once_for_keys_that_are_equal_after_bind(one):
    for other in KEYS:
        check([{"dedupe_key": one}, {"dedupe_key": other}])


@pytest.mark.parametrize("one", KEYS, ids=str)
def test_statement_runs_again_after_a_reset_of_its_key(one):
    for other in KEYS:
        check([{"dedupe_key": one}, {"resets": other}, {"dedupe_key": one}])


@pytest.mark.parametrize("one", LAST, ids=str)
def test_statements_that_run_last_are_in_the_order_of_their_values(one):
    for other in LAST:
        check([{"last_key": one}, {"last_key": other}])
        check([{"last_key": one, "dedupe_key": one}, {"last_key": other, "dedupe_key": other}])


def is_open(*entries: dict[str, Any]) -> bool:
    """Return whether values decide; that of one part must not hide in what is bound apart."""
    parts = scheduled(list(entries))
    found = depends_on_values(parts)
    inside = gather(gather(parts[0], statement(8)), *parts[1:])
    assert depends_on_values([each for each in leaves(inside) if isinstance(each, Scheduled)]) == (
        found
    )
    return found


def test_keys_that_cannot_be_equal_leave_one_plan():
    assert not is_open({"dedupe_key": ("k", A)})
    assert not is_open({"dedupe_key": ("k", A)}, {"dedupe_key": ("k", A)})
    assert not is_open({"dedupe_key": ("k", A)}, {"dedupe_key": ("l", B)})
    assert not is_open({"dedupe_key": ("k", 1)}, {"dedupe_key": ("k", 2)})
    assert not is_open({"dedupe_key": ("k", A)}, {"dedupe_key": ("k",)})
    assert not is_open({"dedupe_key": ("k", A)}, {"last_key": ("k", B)})
    assert not is_open({"last_key": (1, A)}, {"last_key": (2, B)})


def test_keys_that_may_be_equal_are_decided_by_values():
    assert is_open({"dedupe_key": ("k", A)}, {"dedupe_key": ("k", B)})
    assert is_open({"dedupe_key": ("k", A)}, {"dedupe_key": ("k", 1)})
    assert is_open({"dedupe_key": ("k", A)}, {"resets": ("k", B)})
    assert is_open({"last_key": (A, 1)}, {"last_key": (B, 2)})
    assert is_open({"last_key": (A,)}, {"last_key": (B, 2)})


# -- by parents ------------------------------------------------------------------------------------


def touch(parent: Parent, key: object) -> Batch[None]:
    return parent.touch(key, missing=LookupError)


def delete_of(key: object) -> Batch[None]:
    return PARENT.delete(key, missing=LookupError)


@pytest.mark.parametrize(
    ("values", "count"), [({"a": 1, "b": 1}, 1), ({"a": 1, "b": 2}, 2)], ids=["equal", "not equal"]
)
def test_parent_is_touched_once_for_equal_keys(values, count):
    declared = gather(touch(PARENT, A), touch(PARENT, B))
    apart = gather(touch(PARENT, A), gather(touch(PARENT, B)).bind(b=values["b"]))
    constant = gather(touch(PARENT, values["a"]), touch(PARENT, B))
    assert len(steps(declared.bind(**values))) == count
    assert len(steps(apart.bind(a=values["a"]))) == count
    assert len(steps(constant.bind(b=values["b"]))) == count
    assert len(steps(declared.partial(a=values["a"]).bind(b=values["b"]))) == count
    assert len(steps(gather(touch(PARENT, A), touch(OTHER, B)).bind(**values))) == 2


@pytest.mark.parametrize("key", [1, 2], ids=["of that parent", "of another parent"])
def test_delete_lets_its_parent_be_touched_again(key):
    declared = gather(touch(PARENT, A), delete_of(B), touch(PARENT, C))
    built = gather(touch(PARENT, 1), delete_of(key), touch(PARENT, 1))
    bound = declared.bind(a=1, b=key, c=1)
    assert [(step.sql, step.parameters) for step in steps(bound)] == [
        (step.sql, step.parameters) for step in steps(built)
    ]
    assert len(steps(built)) == (4 if key == 1 else 3)
