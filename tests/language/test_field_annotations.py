# SPDX-License-Identifier: MIT
"""The annotation of a field says how it is compared; each is resolved by itself."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Generic, List, NamedTuple, Optional, TypeVar  # noqa: UP035

import attrs
import pytest

from batchq import InvalidBatch, delete, insert, param, row, select, steps
from batchq.conditions import like, lt, ne, not_in
from batchq.hierarchy import Parent

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")


@attrs.frozen
class Attrs:
    """Fields of which the annotation of one cannot be resolved."""

    price: Decimal
    ids: list[int]
    one: int


@attrs.define
class Inheriting(Attrs):
    """A field of its own, after inherited ones."""

    more: list[str]


@dataclasses.dataclass
class Data:
    """The same of a dataclass."""

    price: list[Decimal]
    ids: Optional[list[int]]  # noqa: UP045
    one: int


@dataclasses.dataclass
class Narrowed(Data):
    """An inherited field, with another annotation."""

    ids: list[int]


class Named(NamedTuple):
    """The same of a NamedTuple."""

    price: Decimal | None
    ids: list[int]
    one: int


@attrs.frozen
class Page(Generic[T]):
    """The same of a generic class."""

    price: Decimal
    ids: list[T]
    one: T


class Shadow(NamedTuple):
    """A field that is named as the class in its annotation."""

    price: Decimal
    List: List[int]  # noqa: UP006
    Optional: Optional[int]  # noqa: UP045


class Loose(NamedTuple):
    """Lists that ``param()`` would not take."""

    nullable: list[int | None]
    nested: list[list[int]]
    anything: list[Any]
    plain: list  # type: ignore[type-arg]


def sql_of(field):
    (step,) = steps(delete("t", where={"x": field}))
    return step.sql.partition("WHERE ")[2]


@pytest.mark.parametrize("cls", [Attrs, Inheriting, Narrowed, Named, Page])
def test_other_fields_keep_their_types(cls):
    assert sql_of(row(cls).ids) == '"x" = ANY($1)'
    assert sql_of(row(cls).one) == '"x" = $1'


@attrs.frozen
class Lists(Page[list[int]]):
    """A field whose type the derived class gives."""


@attrs.frozen
class Middle(Page[list[T]], Generic[T]):
    """The same variable, for another type."""

    own: T


@attrs.frozen
class Derived(Middle[str]):
    """A class derived of that."""


@dataclasses.dataclass
class Nullable(Generic[T]):
    """A field that may be None."""

    one: T | None


@dataclasses.dataclass
class NullableInt(Nullable[int]):
    """One of a known type."""


def test_type_that_a_derived_class_gives_to_a_generic_one_is_known():
    assert [sql_of(row(cls).one) for cls in (Lists, Middle, Derived)] == ['"x" = ANY($1)'] * 3
    assert [sql_of(row(cls).own) for cls in (Middle, Derived)] == ['"x" = $1'] * 2
    assert repr(row(Derived).own) == "<field Derived.own>"
    with pytest.raises(InvalidBatch, match="may be None"):
        delete("t", where={"x": row(NullableInt).one})


def test_own_field_beside_inherited_ones_has_its_type():
    assert sql_of(row(Inheriting).more) == '"x" = ANY($1)'


def test_field_that_may_be_none_is_known_beside_one_that_is_not_resolved():
    with pytest.raises(InvalidBatch, match="may be None"):
        delete("t", where={"x": row(Data).ids})


def test_name_of_the_module_wins_over_that_of_a_field():
    assert sql_of(row(Shadow).List) == '"x" = ANY($1)'
    with pytest.raises(InvalidBatch, match="may be None"):
        delete("t", where={"x": row(Shadow).Optional})


@pytest.mark.parametrize("name", Loose._fields)
def test_list_is_one_of_these_whatever_is_in_it(name):
    assert sql_of(getattr(row(Loose), name)) == '"x" = ANY($1)'


ORG = Parent(table="org", key="id", deleted_at=None, generation="version")
UNRESOLVED = {
    "where": lambda field: select("t", ["id"], where={"x": field}),
    "ensure": lambda field: insert("t", {"a": 1}).ensure({"x": field}),
    "partial": lambda field: delete("t", where={"x": param("x", int)}).partial(x=field),
    "ne": ne,
    "lt": lt,
    "like": like,
    "not_in": not_in,
    "partial of lt": lambda field: delete("t", {"x": lt(param("x", int))}).partial(x=field),
    "touch": lambda field: ORG.touch(field, missing=KeyError),
}


@pytest.mark.parametrize("use", UNRESOLVED.values(), ids=UNRESOLVED)
@pytest.mark.parametrize("cls", [Attrs, Inheriting, Data, Named, Page, Shadow])
def test_field_that_is_compared_needs_its_annotation(cls, use):
    with pytest.raises(InvalidBatch) as caught:
        use(row(cls).price)
    assert str(caught.value) == (
        "the annotation of 'price' cannot be resolved, which decides how this field of "
        f"{cls.__name__} is compared; import its names at run time, not under TYPE_CHECKING only, "
        "and define them in a module, not in a function"
    )


@pytest.mark.parametrize("cls", [Attrs, Data, Named])
def test_field_that_is_not_compared_needs_none(cls):
    (step,) = steps(insert("t", cls).bind(cls(7, [1], 2)))
    assert step.parameters == (7, [1], 2)


def test_field_without_an_annotation_is_one_value():
    cls = attrs.make_class("Plain", ["x"])
    assert sql_of(row(cls).x) == '"x" = $1'
