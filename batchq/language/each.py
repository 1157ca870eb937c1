# SPDX-License-Identifier: MIT
"""Define the batch that runs one declared statement for each of many rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar, cast

from batchq.language.batch import Batch
from batchq.language.binding import given
from batchq.language.errors import InvalidBatch
from batchq.language.results import NO_RESULT
from batchq.language.special import NO_PARAMETERS, NOT_AS_IS
from batchq.language.spelling import with_article
from batchq.language.validation import listed
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.outputs import Output
    from batchq.language.partial import Replacements
    from batchq.language.statement_base import StatementBase
    from batchq.language.takes import Takes, Values

R = TypeVar("R")


@value
class Each(Batch[R]):
    """The batch that :meth:`Statement.each` returns."""

    declared: StatementBase[Any, Any]
    """The statement that :meth:`Statement.each` was called on, which reports show."""
    statement: StatementBase[Any, Any]
    """What runs for each row: the same statement, but its outputs are not those of the declared."""
    rows: tuple[object, ...]
    """The rows, as they were passed."""
    values: Sequence[Values]
    """The values for each row."""

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """Return what the statement requires."""
        return self.statement._required_outputs if self.values else ()

    @property
    def _statements(self) -> Sequence[StatementBase[Any, Any]]:
        return [self.statement._filled(values) for values in self.values]

    def _replaced(self, _: Replacements, /) -> Each[R]:
        """Return itself: it has no parameters."""
        return self

    def combine(self, results: Sequence[Any]) -> Any:
        """Return the results in a list, if there are any."""
        return None if self.statement._shape.result is NO_RESULT else list(results)


def read_rows(takes: Takes, rows: Iterable[object]) -> tuple[tuple[object, ...], list[Values]]:
    """Return rows in a tuple, and the values of the statement for each.

    :raises InvalidBatch: as :meth:`Statement.each`.
    """
    if takes.row is None or takes.required:
        raise InvalidBatch(
            f"each(): it takes rows of one class, and this statement takes {takes}; say "
            f".takes(Class), or bind each by itself: sequence(map(…, rows))"
        )
    listed_rows = listed("each()", rows, "[Row(…), Row(…)]")
    return listed_rows, _plain(takes, listed_rows) or _one_by_one(takes, listed_rows)


def _one_by_one(takes: Takes, rows: Sequence[object]) -> list[Values]:
    wanted = cast("type[Any]", takes.row)
    values: list[Values] = []
    for n, row in enumerate(rows):
        if not isinstance(row, wanted):
            found = with_article(type(row), unlike=(wanted,))
            raise InvalidBatch(f"each(): row {n} is {found}, not {with_article(wanted)}")
        values.append(takes.values(given(takes, row, {}, f"each(): row {n}")))
    return values


def _plain(takes: Takes, rows: Sequence[object]) -> list[Values] | None:
    """Return the values of many rows at once; None if each has to be looked at."""
    if takes.named or takes.defaults or takes.compared or set(map(type, rows)) != {takes.row}:
        return None
    try:
        values = list(map(takes.read, rows))
    except AttributeError:
        return None
    for place, parameter in takes.checked:
        why_not = parameter.accepted and parameter.accepted.why_not
        if why_not and any(why_not(read[place]) for read in values):
            return None
    kinds = set(map(type, chain.from_iterable(values)))
    if list in kinds:
        copies = _with_copies(values)
        if copies is None:
            return None
        values = copies
    if not NO_PARAMETERS.isdisjoint(kinds):
        return None
    return values if takes.pick is None else list(map(takes.values, values))


def _with_copies(values: Sequence[Values]) -> list[Values] | None:
    """Return the values with lists copied, column by column; None if a list needs another look."""
    columns: list[Sequence[object]] = list(zip(*values, strict=True))
    for n, column in enumerate(columns):
        if list not in set(map(type, column)):
            continue
        lists = cast("list[list[object]]", [value for value in column if type(value) is list])
        if not NOT_AS_IS.isdisjoint(map(type, chain.from_iterable(lists))):
            return None
        columns[n] = [value[:] if type(value) is list else value for value in column]
    return list(zip(*columns, strict=True))
