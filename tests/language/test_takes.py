# SPDX-License-Identifier: MIT
"""A declaration says that what is open are the fields of a class, and is bound by one row."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import pytest
from attrs import frozen

from batchq import InvalidBatch, delete, gather, insert, param, row, select, sql, steps, update
from batchq.hierarchy import Parent


class Rename(NamedTuple):
    """A row of a NamedTuple."""

    id: int
    name: str


@frozen
class Renaming:
    """A row of attrs, with more fields than a declaration uses."""

    id: int
    name: str
    more: int = 0


@dataclasses.dataclass
class Renamed:
    """A row of a dataclass."""

    id: int
    name: str


@frozen
class Better(Renaming):
    """A subclass."""


class Choice(NamedTuple):
    """A row whose field is a list."""

    ids: list[int]
    name: str | None


ID, NAME = param("id", int), param("name", str)
RENAME = update("t", {"name": NAME}, where={"id": ID})


def values(batch: Any) -> list[tuple[object, ...]]:
    return [step.parameters for step in steps(batch)]


@pytest.mark.parametrize("cls", [Rename, Renaming, Renamed])
def test_fields_of_the_class_take_the_place_of_parameters(cls):
    for declared in (RENAME.takes(cls), gather(RENAME).takes(cls)):
        assert values(declared.bind(cls(7, "web"))) == [("web", 7)]
        with pytest.raises(InvalidBatch, match="still needs a"):
            declared.bind()


def test_parameter_is_one_field_in_all_places():
    whole = gather(RENAME, delete("t", {"id": ID}), sql("SELECT %(n)s", n=NAME)).takes(Rename)
    assert values(whole.bind(Rename(7, "web"))) == [("web", 7), (7,), ("web",)]


def test_subclass_of_the_class_is_accepted():
    assert values(RENAME.takes(Renaming).bind(Better(7, "web"))) == [("web", 7)]


def test_statement_stays_one():
    declared = RENAME.count().label("a").takes(Rename)
    assert type(declared) is type(RENAME)
    assert declared._shape is RENAME.count()._shape
    assert steps(declared)[0].path == "a"


def test_row_that_is_taken_already_may_be_declared_again():
    declared = gather(insert("t", Renaming), delete("t", {"id": ID})).takes(Renaming)
    assert values(declared.takes(Renaming).bind(Renaming(7, "web"))) == [(7, "web", 0), (7,)]


def test_parameter_with_a_factory_stays_if_the_class_has_no_such_field():
    number = param("number", int, factory=lambda: 3)
    whole = gather(RENAME, delete("t", {"id": number})).takes(Rename)
    assert values(whole.bind(Rename(7, "web"))) == [("web", 7), (3,)]
    assert values(whole.bind(Rename(7, "web"), number=4)) == [("web", 7), (4,)]


def test_parameter_with_a_factory_is_a_field_if_the_class_has_it():
    number = param("id", int, factory=lambda: 3)
    declared = delete("t", {"id": number}).takes(Rename)
    assert values(declared.bind(Rename(7, "web"))) == [(7,)]


def test_what_a_partial_left_open_is_taken():
    left = insert("t", Renaming).partial(more=1)
    assert values(left.takes(Rename).bind(Rename(7, "web"))) == [(7, "web", 1)]


def test_part_of_a_declaration_takes_another_row():
    part = insert("t", Renaming).partial(id=row(Rename).id, name=row(Rename).name)
    whole = gather(part, RENAME.takes(Rename))
    assert values(whole.bind(Rename(7, "web"))) == [(7, "web", 0), ("web", 7)]


@frozen
class Short:
    """A row with too few fields."""

    id: int


REJECTED = {
    "a class without a field for a parameter": (
        lambda: RENAME.takes(Short),
        "takes(): a Short has no field 'name'; it has id",
    ),
    "the first of several in order": (
        lambda: delete("t", [{n: param(n, int)} for n in "cab"]).takes(Short),
        "takes(): a Short has no field 'c'",
    ),
    "another class than that of the row": (
        lambda: insert("t", Renaming).takes(Rename),
        "takes(): the batch takes a Renaming, not a Rename",
    ),
    "a subclass of that of the row": (
        lambda: insert("t", Renaming).takes(Better),
        "takes(): the batch takes a Renaming, not a Better",
    ),
    "no row's class": (lambda: RENAME.takes(int), "takes(): a row must be of an attrs class"),
    "no class": (lambda: RENAME.takes([]), "takes(): a row must be of an attrs class"),
    "nothing open": (
        lambda: gather(sql("SELECT 1")).takes(Rename),
        "takes(): the batch takes nothing, and no field of a Rename",
    ),
    "nothing of the class": (
        lambda: delete("t", {"a": param("a", int, factory=int)}).takes(Rename),
        "takes(): the batch takes a, and no field of a Rename",
    ),
    "a list in the place of one": (
        lambda: delete("t", {"a": param("ids", int)}).takes(Choice),
        "takes(): 'ids' is compared with one value, and 'ids' is not of that type",
    ),
    "one in the place of a list": (
        lambda: delete("t", {"a": param("id", list[int])}).takes(Rename),
        "takes(): 'id' is compared with one of a list, and 'id' is not of that type",
    ),
    "a field that may be None in a condition": (
        lambda: delete("t", {"a": param("name", str)}).takes(Choice),
        "takes(): the parameter for 'name' may be None",
    ),
    "rows of two classes": (
        lambda: gather(insert("t", Renaming), insert("t", Choice)).takes(Renaming),
        "takes(): a batch takes one row, and this takes a Renaming and a Choice",
    ),
}


@pytest.mark.parametrize("case", REJECTED)
def test_wrong_use_is_rejected_by_its_call(case):
    call, text = REJECTED[case]
    with pytest.raises(InvalidBatch) as raised:
        call()
    assert text in str(raised.value)


def test_list_of_the_class_is_compared_as_one_of_these():
    declared = delete("t", {"id": param("ids", list[int])}).takes(Choice)
    assert values(declared.bind(Choice([1, 2], None))) == [([1, 2],)]


class Unresolved(NamedTuple):
    """A row whose annotation is not known at run time."""

    ids: list[NotThere]  # noqa: F821  # type: ignore[name-defined]


@pytest.mark.parametrize("value", [None, 1.6, "7"])
def test_type_of_a_parameter_is_checked_in_the_row_too(value):
    class Org(NamedTuple):
        org: object

    declared = update("t", {"n": param("org", int)}, where={"id": 1}).takes(Org)
    with pytest.raises(InvalidBatch, match="org= takes an int, not"):
        declared.bind(Org(value))
    assert steps(declared.bind(Org(7)))[0].parameters == (7, 1)


def test_annotation_that_cannot_be_resolved_leaves_the_type_to_the_parameter():
    find = select("t", ["id"], where={"id": param("ids", list[int])}).takes(Unresolved)
    assert steps(find.bind(Unresolved([7])))[0].parameters == ([7],)
    with pytest.raises(InvalidBatch, match="ids= takes a list of int, not an int"):
        find.bind(Unresolved(7))


def test_field_that_takes_the_place_of_a_parameter_is_the_key_of_the_parent():
    class Add(NamedTuple):
        org: int

    orgs = Parent(table="org", key="id", deleted_at=None, generation="version")
    member = insert("member", {"org_id": param("org", int)}).takes(Add)
    added = orgs.children("member", by="org_id", deleted_at=None).add(
        row(Add).org, member, missing=lambda v: LookupError(v.values["id"])
    )
    assert [step.parameters for step in steps(added.bind(Add(7)))] == [(7,), (7,)]
