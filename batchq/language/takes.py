# SPDX-License-Identifier: MIT
"""Find what a declaration takes: a row, values by name, and where each of them stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from batchq.language.errors import InvalidBatch
from batchq.language.parameters import Parameter, parameter_in
from batchq.language.row_fields import field_reader
from batchq.language.spelling import with_article
from batchq.language.value_places import FRAGMENT, tests_of

if TYPE_CHECKING:
    from batchq.language.shape import Shape

Values = tuple[object, ...]


class HasValues(Protocol):
    """The part of a statement that is bound."""

    @property
    def _shape(self) -> Shape: ...
    @property
    def _values(self) -> Values: ...
    @property
    def _raises(self) -> tuple[object, ...]: ...


@frozen(eq=False)
class Takes:
    """What a declaration takes, and where it stands."""

    row: type[Any] | None
    """The class of the row; None if it takes values by name only."""
    fields: Mapping[str, Parameter]
    """The fields of the row that it uses."""
    read: Callable[[Any], Values]
    """Reads these fields of a row."""
    named: Mapping[str, Parameter]
    required: frozenset[str]
    """The names that have to be given."""
    defaults: tuple[Callable[[], object], ...]
    """Make the values of fields that were left at their default."""
    compared: tuple[tuple[int, str, str], ...]
    """The given values that stand in conditions, or are the version of a row: the place among
    fields, named values and defaults, the test there, and the name."""
    lists_alone: tuple[tuple[int, ...], ...]
    """For each update or delete by ``not_in()`` alone, the places of the lists among the given
    values and the constants."""
    checked: tuple[tuple[int, Parameter], ...]
    """The fields whose values have to be of a parameter's type, with their places."""
    places: Mapping[Parameter, int]
    """The place of each parameter among the given values."""
    constants: Values
    pick: Callable[[Values], Values] | None
    """Picks the values of the declaration from those given, followed by the constants; None if they
    are those of the row, in order."""

    known: dict[object, Any] = field(init=False, factory=dict[object, Any])
    """What the engine has found out about the declaration, which lives as long as it does."""

    @property
    def count(self) -> int:
        """The number of values that are given."""
        return len(self.fields) + len(self.named) + len(self.defaults)

    @property
    def is_nothing(self) -> bool:
        """Whether it is bound already."""
        return self.row is None and not self.named and not self.defaults

    def values(self, given: Values) -> Values:
        """Return the values of the declaration, with those given in the place of parameters."""
        return given if self.pick is None else self.pick(given + self.constants)

    def __str__(self) -> str:
        """Return it in words: ``a NewProject and org``."""
        words = [] if self.row is None else [with_article(self.row)]
        return " and ".join([*words, *self.named]) or "nothing"


def takes_of(call: str, statements: Sequence[HasValues]) -> Takes:
    """Return what a declaration of these statements takes.

    :param call: the call that needs it, for the text of the error: ``"bind()"``.
    :raises InvalidBatch: for rows of two classes, or two parameters of one name.
    """
    _check_raises(call, statements)
    declared = tuple(chain.from_iterable(statement._values for statement in statements))
    parameters = dict.fromkeys(value for value in declared if isinstance(value, Parameter))
    row = _row_of(call, parameters)
    fields = {each.name: each for each in parameters if each.row is not None}
    defaults = [each for each in parameters if each.is_default]
    named = _named(call, (each for each in parameters if not each.row and not each.is_default))
    given = [*fields.values(), *named.values(), *defaults]
    place_of = {parameter: place for place, parameter in enumerate(given)}
    places = {
        each: place_of[fields.get(each.name, each) if each.row else each] for each in parameters
    }
    constants: list[object] = []
    order: list[int] = []
    for value in declared:
        if isinstance(value, Parameter):
            order.append(places[value])
        else:
            order.append(len(given) + len(constants))
            constants.append(value)
    return Takes(
        row,
        fields,
        field_reader(tuple(fields)),
        named,
        frozenset(name for name, each in named.items() if each.factory is None),
        tuple(each.factory for each in defaults if each.factory is not None),
        tuple(_compared(statements, places)),
        tuple(_lists_alone(statements, order)),
        tuple([(places[each], each) for each in parameters if each.row and each.is_checked]),
        places,
        tuple(constants),
        None if order == list(range(len(given))) else picker(order),
    )


def still_taken(statements: Iterable[HasValues]) -> str:
    """Return what statements take before they can run, as the end of a ``repr``; empty if none."""
    values = chain.from_iterable(statement._values for statement in statements)
    parameters = dict.fromkeys(value for value in values if isinstance(value, Parameter))
    words = [
        each.name if each.row is None else each.row.__name__
        for each in parameters
        if not each.is_default
    ]
    if not words:
        return ", not bound" if parameters else ""
    return f", takes {' and '.join(dict.fromkeys(words))}"


def _check_raises(call: str, statements: Iterable[HasValues]) -> None:
    """Reject an exception that holds a parameter: no value would take its place."""
    for statement in statements:
        for raises in statement._raises:
            if isinstance(raises, BaseException) and (held := parameter_in(raises)) is not None:
                raise InvalidBatch(
                    f"{call}: {type(raises).__name__} holds the parameter {held.name!r}, whose "
                    f"value is not known when it is made; pass a function: lambda v: "
                    f'{type(raises).__name__}(v.values["{held.name}"])'
                )


def _row_of(call: str, parameters: Iterable[Parameter]) -> type[Any] | None:
    rows = [row for row in dict.fromkeys(each.row for each in parameters) if row is not None]
    if len(rows) > 1:
        names = " and ".join(map(with_article, rows))
        raise InvalidBatch(
            f"{call}: a batch takes one row, and this takes {names}; say by .partial() what one is "
            f"made of, or bind each by itself"
        )
    return rows[0] if rows else None


def _named(call: str, parameters: Iterable[Parameter]) -> dict[str, Parameter]:
    named: dict[str, Parameter] = {}
    for parameter in parameters:
        if named.setdefault(parameter.name, parameter) is not parameter:
            name = parameter.name
            raise InvalidBatch(
                f"{call}: two parameters are named {name!r}; use one param() object for both, or "
                f'rename one by .partial({name}=param("other_{name}", …))'
            )
    return named


def _compared(
    statements: Iterable[HasValues], places: Mapping[Parameter, int]
) -> Iterable[tuple[int, str, str]]:
    found: dict[tuple[int, str, str], None] = {}
    for statement in statements:
        for value, test in zip(statement._values, tests_of(statement._shape), strict=True):
            if isinstance(value, Parameter) and test is not None and test != FRAGMENT:
                found[places[value], test, value.name] = None
    return found


def _lists_alone(
    statements: Iterable[HasValues], order: Sequence[int]
) -> Iterator[tuple[int, ...]]:
    start = 0
    for statement in statements:
        lists = statement._shape.lists_alone
        if lists:
            yield tuple([order[start + place] for place in lists])
        start += len(statement._values)


def picker(order: Sequence[int]) -> Callable[[Sequence[Any]], Values]:
    """Return what picks the items at these places, as a tuple."""
    if len(order) > 1:
        return itemgetter(*order)  # which returns a tuple only for several
    return lambda pool: tuple([pool[place] for place in order])
