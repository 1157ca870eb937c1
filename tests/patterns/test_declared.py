# SPDX-License-Identifier: MIT
"""Patterns of declared statements: the key of a parent is a parameter, and so is that of a row."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from batchq import InvalidBatch, gather, insert, insert_or_get, param, row, sql, steps
from batchq.hierarchy import Parent

PROJECT = Parent(table="project", key="id", deleted_at=None, generation="rcgen")
VPCS = PROJECT.children("vpc", by="project_id", deleted_at=None)
SYSTEM_VPCS = PROJECT.children("vpc", by="project_id", deleted_at=None, where={"kind": "system"})
MISSING = LookupError("missing")


class New(NamedTuple):
    """A row to insert."""

    id: int
    project_id: int
    kind: str = "user"
    note: str | None = None
    tags: list[str] = []  # noqa: RUF012  never changed


class Vpc(NamedTuple):
    """A row to read."""

    id: int
    project_id: int


INSERT = insert("vpc", New)
KEY, OTHER = param("key", int), param("other", int)
ROW = New(7, 1)


def seen(batch: Any) -> list[tuple[str, tuple[object, ...]]]:
    return [(step.sql, step.parameters) for step in steps(batch)]


# -- children --------------------------------------------------------------------------------------


def test_child_is_added_to_the_parent_that_its_row_names():
    declared = VPCS.add(row(New).project_id, INSERT, missing=MISSING)
    built = VPCS.add(1, insert("vpc", ROW._asdict()), missing=MISSING)
    assert seen(declared.bind(ROW)) == seen(built)
    assert seen(declared.partial(project_id=1, id=7).bind()) == seen(built)


@pytest.mark.parametrize("key", [KEY, 1], ids=["a parameter", "a constant"])
def test_key_that_is_set_is_that_of_the_parent(key):
    child = INSERT.partial(id=7, project_id=key)
    declared = VPCS.add(key, child, missing=MISSING)
    bound = declared.bind(key=1) if key is KEY else declared
    assert seen(bound.bind()) == seen(VPCS.add(1, insert("vpc", ROW._asdict()), missing=MISSING))


def test_part_with_a_row_of_its_own_is_added_by_its_field():
    part = gather(INSERT, sql("SELECT %(id)s::int8", id=row(New).id))
    declared = VPCS.add(KEY, part.partial(project_id=KEY, id=row(Vpc).id), missing=MISSING)
    touch, made, read = seen(declared.bind(Vpc(7, 3), key=1))
    assert touch[1] == (1,)
    assert made[1][:2] == (7, 1)
    assert read[1] == (7,)


REJECTED = {
    "another parameter": (
        lambda: VPCS.add(KEY, INSERT, missing=MISSING),
        "'project_id' to the key",
    ),
    "a constant for a parameter": (
        lambda: VPCS.add(KEY, INSERT.partial(project_id=1), missing=MISSING),
        "'project_id' to the key",
    ),
    "a parameter for a constant": (lambda: VPCS.add(1, INSERT, missing=MISSING), "to the key"),
    "another of the same type": (
        lambda: VPCS.add(KEY, INSERT.partial(project_id=OTHER), missing=MISSING),
        "'project_id' to the key",
    ),
    "a row bound to another parent": (
        lambda: VPCS.add(2, gather(INSERT).bind(ROW), missing=MISSING),
        "'project_id' to the key",
    ),
    "a parameter that distinguishes children": (
        lambda: SYSTEM_VPCS.add(row(New).project_id, INSERT, missing=MISSING),
        "set it to a constant: .partial(kind=…)",
    ),
    "a list": (
        lambda: VPCS.add(param("keys", list[int]), INSERT, missing=MISSING),
        "must set 'project_id' to the key",
    ),
    "a list, touched": (
        lambda: PROJECT.touch(param("keys", list[int]), missing=MISSING),
        "the key of a parent must be one value",
    ),
}


@pytest.mark.parametrize("case", REJECTED)
def test_child_that_may_be_of_another_parent_is_rejected(case):
    call, text = REJECTED[case]
    with pytest.raises(InvalidBatch) as raised:
        call()
    assert text in str(raised.value)


def test_child_with_a_constant_that_distinguishes_it_is_added():
    child = INSERT.partial(kind="system", project_id=KEY)
    assert len(steps(SYSTEM_VPCS.add(KEY, child, missing=MISSING).bind(id=7, key=1))) == 2


def test_row_bound_to_the_parent_is_added():
    assert len(steps(VPCS.add(1, gather(INSERT).bind(ROW), missing=MISSING))) == 2


# -- insert or get ---------------------------------------------------------------------------------


def test_row_is_inserted_or_got_by_the_key_that_is_bound():
    declared = insert_or_get("vpc", New, Vpc, key=["id", "kind"], same=["note"])
    built = insert_or_get("vpc", ROW._asdict(), Vpc, key=["id", "kind"], same=["note"])
    assert seen(declared.bind(ROW)) == seen(built)
    assert seen(declared.partial(id=7, project_id=1).bind()) == seen(built)


def test_row_that_is_inserted_or_got_is_added_to_its_parent():
    declared = VPCS.add(
        row(New).project_id, insert_or_get("vpc", New, Vpc, key=["id"]), missing=MISSING
    )
    built = VPCS.add(1, insert_or_get("vpc", ROW._asdict(), Vpc, key=["id"]), missing=MISSING)
    assert seen(declared.bind(ROW)) == seen(built)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"key": ["note"]}, "the parameter for 'note' may be None"),
        ({"key": ["tags"]}, "'tags' is a list"),
        ({"key": ["id"], "same": ["size"]}, "the row has no 'size'"),
        ({"key": ["id"], "where": {"kind": "user"}}, "'kind' of the row is a parameter"),
    ],
    ids=str,
)
def test_key_that_may_not_find_the_row_is_rejected(options, text):
    with pytest.raises(InvalidBatch) as raised:
        insert_or_get("vpc", New, Vpc, **options)
    assert text in str(raised.value)


@pytest.mark.parametrize("value", [None, [1], {1}], ids=["None", "a list", "a set"])
def test_key_that_finds_no_row_is_rejected_by_bind(value):
    class Untyped(NamedTuple):
        id: Any
        note: str

    declared = insert_or_get("vpc", Untyped, Vpc, key=["id"])
    with pytest.raises(InvalidBatch, match=r"^bind\(\)"):
        declared.bind(Untyped(value, "a"))
