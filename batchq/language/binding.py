# SPDX-License-Identifier: MIT
"""Bind a declaration: put values in the place of its parameters.

A declaration is a statement or a whole batch with parameters among its values. What it takes is
found once, see :mod:`batchq.language.takes`. After that binding reads the row, and checks what
stands in conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import call as make
from typing import TYPE_CHECKING, cast

from batchq.language.comparisons import copy_lists, reading_of, with_copies
from batchq.language.errors import InvalidBatch
from batchq.language.operands import ALWAYS_CHECKED, check_compared, check_lists
from batchq.language.parameters import Parameter
from batchq.language.row_fields import unreadable
from batchq.language.special import NO_PARAMETERS, NOT_AS_IS
from batchq.language.spelling import with_article

if TYPE_CHECKING:
    from batchq.language.takes import Takes, Values


class NoRow:
    """The class of :data:`NO_ROW`."""


NO_ROW = NoRow()
"""In the place of a row that was not passed."""


def given(takes: Takes, row: object, named: Mapping[str, object], call: str = "bind()") -> Values:
    """Return the values that are given to a declaration: of fields, by name, and defaults.

    :param row: the row, or :data:`NO_ROW`.
    :raises InvalidBatch: for a value that is missing, unknown or of another type.
    """
    try:
        if takes.row is not None and type(row) is takes.row:
            values = takes.read(row)
        else:
            values = _read_other(takes, row, call)
    except AttributeError as error:
        raise unreadable(call, row, takes.fields) from error
    if named or takes.named:
        values += _by_name(takes, named, call)
    if takes.defaults:
        values += tuple(map(make, takes.defaults))
    if not NOT_AS_IS.isdisjoint(map(type, values)):
        values = _as_parameters(values, call)
    for place, parameter in takes.checked:
        check_accepted(call, parameter, values[place])
    for place, test, name in takes.compared:
        value = values[place]
        if test in ALWAYS_CHECKED or reading_of(type(value)) is not None:  # type: ignore[arg-type]
            check_compared(call, value, name, test)
            values = _with_list(values, place)
    for lists in takes.lists_alone:
        pool = values + takes.constants
        check_lists(call, [pool[place] for place in lists])
    return values


def _with_list(values: Values, place: int) -> Values:
    """Return the values with a list in the place of a tuple: one of these, as if built."""
    if type(values[place]) is not tuple:
        return values
    choice = list(cast("tuple[object, ...]", values[place]))
    return (*values[:place], choice, *values[place + 1 :])


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
    accepted = parameter.accepted
    if accepted is None or (type(value) is accepted.kind and accepted.items is None):
        return  # nearly every value
    reason = accepted.why_not(value)
    if reason is not None:
        raise InvalidBatch(f"{call}: {parameter.name}= {reason}")


def _as_parameters(values: Values, call: str) -> Values:
    """Return the values with lists copied; reject what would change the SQL."""
    if not NO_PARAMETERS.isdisjoint(map(type, values)):
        copy_lists(call, values)  # which says more of some of them
        kind = next(kind for kind in map(type, values) if kind in NO_PARAMETERS)
        raise InvalidBatch(
            f"{call}: {with_article(kind)} would change the SQL; write it where the statement is "
            f"declared, or set it by .partial()"
        )
    return tuple(with_copies(call, values))
