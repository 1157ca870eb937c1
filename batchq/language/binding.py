# SPDX-License-Identifier: MIT
"""Bind a declaration: put values in the place of its parameters.

A declaration is a statement or a whole batch with parameters among its values. What it takes is
found once. After that binding reads the row, and picks each value to its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from batchq.language.comparisons import copy_lists, reading_of
from batchq.language.errors import InvalidBatch
from batchq.language.operands import ALWAYS_CHECKED, check_compared, check_lists
from batchq.language.parameters import Parameter
from batchq.language.row_fields import field_reader
from batchq.language.special import NO_PARAMETERS, NOT_AS_IS
from batchq.language.spelling import with_article
from batchq.language.value_places import FRAGMENT, tests_of

if TYPE_CHECKING:
    from batchq.language.shape import Shape

Values = tuple[object, ...]


class NoRow:
    """The class of :data:`NO_ROW`."""


NO_ROW = NoRow()
"""In the place of a row that was not passed."""


class HasValues(Protocol):
    """The part of a statement that is bound."""

    @property
    def _shape(self) -> Shape: ...
    @property
    def _values(self) -> Values: ...


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
    """The given values that stand in conditions: the place among fields, named values and defaults,
    the test there, and the name."""
    lists_alone: tuple[tuple[int, ...], ...]
    """For each update or delete by ``not_in()`` alone, the places of the lists among the given
    values and the constants."""
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


def given(takes: Takes, row: object, named: Mapping[str, object], call: str = "bind()") -> Values:
    """Return the values that are given to a declaration: of fields, by name, and defaults.

    :param row: the row, or :data:`NO_ROW`.
    :raises InvalidBatch: for a value that is missing, unknown or of another type.
    """
    if takes.row is not None and type(row) is takes.row:
        values = takes.read(row)
    else:
        values = _read_other(takes, row, call)
    if named or takes.named:
        values += _by_name(takes, named, call)
    if takes.defaults:
        values += tuple([make() for make in takes.defaults])
    if not NOT_AS_IS.isdisjoint(map(type, values)):
        values = _as_parameters(values, call)
    for place, test, name in takes.compared:
        value = values[place]
        if test in ALWAYS_CHECKED or reading_of(type(value)) is not None:  # type: ignore[arg-type]
            check_compared(call, value, name, test)
    for lists in takes.lists_alone:
        pool = values + takes.constants
        check_lists(call, [pool[place] for place in lists])
    return values


def _read_other(takes: Takes, row: object, call: str) -> Values:
    """Return the fields of a row of a subclass, or of no row."""
    if takes.row is None:
        if row is NO_ROW:
            return ()
        raise InvalidBatch(f"{call} takes no {type(row).__name__}; it takes {takes}")
    if row is NO_ROW:
        raise InvalidBatch(f"{call} still needs {with_article(takes.row)}")
    if not isinstance(row, takes.row):
        name = with_article(type(row), unlike=(takes.row,))
        raise InvalidBatch(f"{call} takes {with_article(takes.row)}, not {name}")
    return takes.read(row)


def _by_name(takes: Takes, named: Mapping[str, object], call: str) -> Values:
    for name in named:
        if name not in takes.named:
            if name in takes.fields and takes.row is not None:
                row = takes.row.__name__
                raise InvalidBatch(f"{call}: {name!r} is given twice: the {row} has it")
            raise InvalidBatch(f"{call} takes no {name!r}; it takes {takes}")
    if not takes.required <= named.keys():
        name = next(name for name in takes.named if name in takes.required and name not in named)
        accepted = takes.named[name].accepted
        raise InvalidBatch(
            f"{call} still needs {name}" + ("" if accepted is None else f" ({accepted})")
        )
    values: list[object] = []
    for name, parameter in takes.named.items():
        if name in named:
            value = named[name]
        else:
            value = parameter.factory() if parameter.factory is not None else None
        check_accepted(call, parameter, value)
        values.append(value)
    return tuple(values)


def check_accepted(call: str, parameter: Parameter, value: object) -> None:
    """Reject a value that a parameter does not accept."""
    reason = parameter.accepted and parameter.accepted.why_not(value)
    if reason:
        raise InvalidBatch(f"{call}: {parameter.name}= {reason}")


def _as_parameters(values: Values, call: str) -> Values:
    """Return the values with lists copied; reject what would change the SQL."""
    copied = copy_lists(call, values)
    for value in values:
        if type(value) in NO_PARAMETERS:
            raise InvalidBatch(
                f"{call}: {with_article(type(value))} would change the SQL; write it where the "
                f"statement is declared, or set it by .partial()"
            )
    return copied
