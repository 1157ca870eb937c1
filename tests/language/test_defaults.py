# SPDX-License-Identifier: MIT
"""What a bind makes itself: by the factories of parameters, and the defaults of a row's class."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import attrs
import pytest
from attrs import Factory, frozen

from batchq import InvalidBatch, delete, gather, insert, param, row, sql, steps, update

MADE: list[str] = []
"""The names of the factories that were called, in order."""
NUMBERS = count()


def numbered(name: str) -> Callable[[], int]:
    """Return a factory of numbers that records its calls."""

    def make() -> int:
        MADE.append(name)
        return next(NUMBERS)

    return make


@frozen
class Attrs:
    """A row of attrs."""

    key: int
    made: int = Factory(numbered("attrs"))
    name: str = "web"


@dataclasses.dataclass
class Data:
    """A row of a dataclass."""

    key: int
    made: int = dataclasses.field(default_factory=numbered("data"))
    name: str = "web"


class Pair(NamedTuple):
    """A row of a NamedTuple, whose defaults are values."""

    key: int
    name: str = "web"


class Broken(Exception):
    """What a factory raises."""


def broken() -> int:
    raise Broken


def values(batch: Any) -> list[tuple[object, ...]]:
    return [step.parameters for step in steps(batch)]


@pytest.fixture(autouse=True)
def no_calls():
    MADE.clear()


@pytest.mark.parametrize("cls", [Attrs, Data])
def test_default_is_made_again_at_each_bind(cls):
    keyed = insert("t", cls).partial(key=7)
    assert MADE == []
    (first,), (second,) = values(keyed.bind()), values(keyed.bind())
    assert first[0] == second[0] == 7
    assert first[2] == second[2] == "web"
    assert second[1] == first[1] + 1


def test_default_of_a_named_tuple_is_its_value():
    assert values(insert("t", Pair).partial(key=7).bind()) == [(7, "web")]


def test_default_that_is_set_is_not_made():
    assert values(insert("t", Attrs).partial(key=7, made=-1).bind()) == [(7, -1, "web")]
    assert MADE == []


def test_one_default_stands_in_all_places_of_its_field():
    made = row(Attrs).made
    whole = gather(insert("t", Attrs), update("t", {"a": made}, {"b": made})).partial(key=7)
    (_, one, _), others = values(whole.bind())
    assert others == (one, one)
    assert MADE == ["attrs"]


def test_defaults_of_two_declarations_are_two():
    whole = gather(insert("t", Attrs).partial(key=1), insert("t", Attrs).partial(key=2))
    first, second = values(whole.bind())
    assert second[1] == first[1] + 1


def test_partial_of_a_partial_keeps_its_defaults():
    keyed = insert("t", Attrs).partial(key=param("key", int)).partial(key=7)
    assert values(keyed.bind())[0][::2] == (7, "web")
    assert MADE == ["attrs"]


def test_factories_are_called_once_a_bind_in_order_of_appearance():
    a, b, c = (param(name, int, factory=numbered(name)) for name in "abc")
    whole = gather(update("t", {"b": b, "a": a}, {"c": c}), delete("t", {"b": b, "a": a}))
    (b1, a1, c1), (b2, a2) = values(whole.bind())
    assert MADE == ["b", "a", "c"]
    assert (b1, a1) == (b2, a2)
    assert (a1, c1) == (b1 + 1, b1 + 2)


def test_factory_is_not_called_for_a_value_that_is_given():
    made = delete("t", {"a": param("a", int, factory=numbered("a"))})
    assert values(made.bind(a=7)) == [(7,)]
    assert MADE == []


def test_factory_is_called_for_each_row_of_each():
    number = param("number", int, factory=numbered("number"))
    pairs = update("t", {"n": number, "name": row(Pair).name}, {"id": row(Pair).key})
    (first, *_), (second, *_) = values(pairs.each([Pair(1), Pair(2)]))
    assert second == first + 1


def test_what_a_factory_raises_is_raised_by_bind():
    with pytest.raises(Broken):
        delete("t", {"a": param("a", int, factory=broken)}).bind()

    @frozen
    class Spoiled:
        key: int
        made: int = Factory(broken)

    keyed = insert("t", Spoiled).partial(key=7)
    with pytest.raises(Broken):
        keyed.bind()
    with pytest.raises(Broken):
        gather(keyed).bind()


def test_factory_of_another_type_is_rejected_by_bind():
    with pytest.raises(InvalidBatch, match=r"bind\(\): a= takes an int, not a str"):
        delete("t", {"a": param("a", int, factory=str)}).bind()


@pytest.mark.parametrize(
    ("factory", "text"),
    [
        (lambda: None, "'Odd.made' is compared by =, which NULL never matches"),
        (lambda: [1], "'Odd.made' is compared by =, and is a list"),
        (lambda: sql("now()"), "a Statement would change the SQL"),
    ],
    ids=["None", "a list", "a fragment"],
)
def test_default_that_does_not_fit_is_rejected_by_bind(factory, text):
    @frozen
    class Odd:
        key: int
        made: Any = Factory(factory)

    odd = gather(insert("t", Odd), delete("t", {"a": row(Odd).made})).partial(key=7)
    with pytest.raises(InvalidBatch) as raised:
        odd.bind()
    assert text in str(raised.value)


def test_list_that_is_a_default_is_copied():
    class Tagged(NamedTuple):
        key: int
        tags: list[str] = ["a"]  # noqa: RUF012  shared by all rows, as here

    keyed = insert("t", Tagged).partial(key=7)
    Tagged._field_defaults["tags"].append("b")
    assert values(keyed.bind()) == [(7, ["a"])]


def test_default_that_is_a_list_is_compared_as_one_of_these():
    @frozen
    class Chosen:
        key: int
        ids: list[int] = Factory(lambda: [1, 2])

    chosen = delete("t", {"id": row(Chosen).ids, "key": row(Chosen).key}).partial(key=7)
    (step,) = steps(chosen.bind())
    assert step.sql == 'DELETE FROM "t" WHERE "id" = ANY($1) AND "key" = $2'
    assert step.parameters == ([1, 2], 7)


def test_default_is_converted_as_by_its_class():
    @frozen
    class Converted:
        key: int
        made: str = attrs.field(factory=numbered("converted"), converter=str)
        name: str = attrs.field(default="web", converter=str.upper)

    (first,) = values(insert("t", Converted).partial(key=7).bind())
    assert first[2] == Converted(7).name == "WEB"
    assert isinstance(first[1], str)


def test_default_made_from_the_rest_of_the_row_is_rejected():
    @frozen
    class Dependent:
        key: int
        made: int = Factory(lambda self: self.key, takes_self=True)

    @frozen
    class Converted:
        key: int
        made: int = attrs.field(
            default=1, converter=attrs.Converter(lambda v, self: v + self.key, takes_self=True)
        )

    for cls in (Dependent, Converted):
        with pytest.raises(InvalidBatch, match="'made' is made from the rest of the row; set it"):
            insert("t", cls).partial(key=7)
        assert values(insert("t", cls).partial(key=7, made=1).bind()) == [(7, 1)]
