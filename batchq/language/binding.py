# SPDX-License-Identifier: MIT
"""Bind a declared statement: put values in the place of its parameters.

What a statement takes is found once, when it is bound first. After that a bound statement is one
object, with the shape that was declared; nothing is built again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from batchq.language.comparisons import copy_lists, reading_of, refused
from batchq.language.errors import InvalidBatch
from batchq.language.parameters import Parameter
from batchq.language.row_fields import field_reader
from batchq.language.special import NO_PARAMETERS, NOT_AS_IS
from batchq.language.spelling import with_article
from batchq.language.syntax import EQUALS_ANY
from batchq.language.value_places import FRAGMENT, tests_of

if TYPE_CHECKING:
    from batchq.language.shape import Shape

Values = tuple[object, ...]


class NoRow:
    """The class of :data:`NO_ROW`."""


NO_ROW = NoRow()
"""In the place of a row that was not passed."""


@frozen(eq=False)
class Takes:
    """What a declared statement takes."""

    row: type[Any] | None
    """The class of the row; None if it takes values by name only."""
    read: Callable[[Any], Values]
    """Reads the values of the row, in the order of ``row_places``."""
    row_places: tuple[int, ...]
    named: Mapping[str, Parameter]
    named_places: tuple[tuple[int, str], ...]
    compared: tuple[tuple[int, bool, str], ...]
    """The places in conditions, whether a list is compared there, and the name."""
    is_row: bool
    """Whether the values are those of the row, all of them and in order."""

    def __str__(self) -> str:
        """Return it in words: ``a NewProject and org``."""
        words = [] if self.row is None else [with_article(self.row)]
        return " and ".join([*words, *self.named]) or "nothing"


class Declared(Protocol):
    """The part of a statement that is bound."""

    @property
    def _shape(self) -> Shape: ...
    @property
    def _values(self) -> Values: ...


def bind(statement: Declared, row: object, named: Mapping[str, object]) -> Values:
    """Return the values of a statement, with those given in the place of its parameters.

    :param row: the row, or :data:`NO_ROW`.
    :raises InvalidBatch: for a value that is missing, unknown or of another type.
    """
    takes, declared = _takes(statement), statement._values  # type: ignore[arg-type]  # is hashable
    if takes.is_row and not named and type(row) is takes.row:
        values = takes.read(row)
    else:
        values = _filled(takes, declared, row, named)
    if not NOT_AS_IS.isdisjoint(map(type, values)):
        values = _as_parameters(values, declared)
    for place, takes_list, name in takes.compared:
        if takes_list or reading_of(type(values[place])) is not None:  # type: ignore[arg-type]
            _check_compared(values[place], name, takes_list=takes_list)
    return values


def _filled(takes: Takes, declared: Values, row: object, named: Mapping[str, object]) -> Values:
    """Return the values in the general case: some by name, constants between them."""
    _check_names(takes, row, named)
    values = list(declared)
    if takes.row is not None:
        if row is NO_ROW:
            raise InvalidBatch(f"bind() still needs {with_article(takes.row)}")
        if not isinstance(row, takes.row):
            raise InvalidBatch(
                f"bind() takes {with_article(takes.row)}, not {with_article(type(row))}"
            )
        for place, value in zip(takes.row_places, takes.read(row), strict=True):
            values[place] = value
    for name, parameter in takes.named.items():
        reason = parameter.accepted and parameter.accepted.why_not(named[name])
        if reason:
            raise InvalidBatch(f"bind(): {name}= {reason}")
    for place, name in takes.named_places:
        values[place] = named[name]
    return tuple(values)


def _check_names(takes: Takes, row: object, named: Mapping[str, object]) -> None:
    if takes.row is None and row is not NO_ROW:
        raise InvalidBatch(f"bind() takes no {type(row).__name__}; it takes {takes}")
    for name in named:
        if name not in takes.named:
            raise InvalidBatch(f"bind() takes no {name!r}; it takes {takes}")
    for name, parameter in takes.named.items():
        if name not in named:
            raise InvalidBatch(f"bind() still needs {name} ({parameter.accepted})")


def _as_parameters(values: Values, declared: Values) -> Values:
    """Return the values with lists copied; reject what would change the SQL."""
    for value, before in zip(values, declared, strict=True):
        if type(value) in NO_PARAMETERS and value is not before:
            raise InvalidBatch(
                f"bind(): {with_article(type(value))} would change the SQL; write it where the "
                f"statement is declared"
            )
    return copy_lists("bind()", values)


def _check_compared(value: object, name: str, *, takes_list: bool) -> None:
    """Reject a value that its condition would never match, or that needs another one."""
    if value is None:
        raise InvalidBatch(
            f"bind(): {name!r} is compared by =, which NULL never matches; declare the condition "
            f'as sql("… IS NOT DISTINCT FROM %(value)s", value=…)'
        )
    kind = type(value)
    if not isinstance(value, list | tuple):
        raise refused("bind()", name, kind)
    if not takes_list:
        raise InvalidBatch(
            f"bind(): {name!r} is compared by =, and is {with_article(kind)}; declare it as "
            f'param("{name}", list[…])'
        )
    if None in value:
        raise InvalidBatch(f"bind(): {name!r} contains None, which = ANY never matches")


@lru_cache(maxsize=4096)
def _takes(statement: Declared) -> Takes:
    """Return what a statement takes.

    :raises InvalidBatch: for rows of two classes, or two parameters of one name.
    """
    shape, declared = statement._shape, statement._values
    parameters = [(n, value) for n, value in enumerate(declared) if isinstance(value, Parameter)]
    fields = [(place, each) for place, each in parameters if each.row is not None]
    named = [(place, each) for place, each in parameters if each.row is None]
    rows = [row for row in dict.fromkeys(each.row for _, each in fields) if row is not None]
    if len(rows) > 1:
        names = " and ".join(map(with_article, rows))
        raise InvalidBatch(f"bind(): a statement takes one row, and this takes {names}")
    return Takes(
        rows[0] if rows else None,
        field_reader(tuple(each.name for _, each in fields)),
        tuple(place for place, _ in fields),
        _named(each for _, each in named),
        tuple((place, each.name) for place, each in named),
        tuple(
            (place, test == EQUALS_ANY, value.name)
            for place, test in enumerate(tests_of(shape))
            if test not in (None, FRAGMENT) and isinstance(value := declared[place], Parameter)
        ),
        bool(fields) and [place for place, _ in fields] == list(range(len(declared))),
    )


def _named(parameters: Iterable[Parameter]) -> dict[str, Parameter]:
    named: dict[str, Parameter] = {}
    for parameter in parameters:
        if named.setdefault(parameter.name, parameter) is not parameter:
            raise InvalidBatch(
                f"bind(): two parameters are named {parameter.name!r}; use one param() object for "
                f"both, or rename one"
            )
    return named
