# SPDX-License-Identifier: MIT
"""Decide which columns a statement returns: those of its result, and more for its guards."""

from __future__ import annotations

from itertools import chain

from batchq.language.errors import InvalidBatch
from batchq.language.guards import INSIDE, Requirement
from batchq.language.old import Old, Returned
from batchq.language.results import WITHOUT_ROWS, Rows
from batchq.language.spelling import spelled
from batchq.language.syntax import CREATED, Delete, Insert, RawSql, Select, Source, Update


def wanted_columns(
    source: Source, columns: tuple[Returned, ...] | None, result: Rows
) -> tuple[Returned, ...] | None:
    """Return the columns of the result; none if it has no rows, None if they are not known.

    :param columns: those of the shape.
    :raises InvalidBatch: if they cannot make the result.
    """
    if result in WITHOUT_ROWS:
        return ()
    if isinstance(source, Insert | Update | Delete) and not columns:
        message = (
            f"{source.verb}({spelled(source.table)}, …).{result.value}(…): the model names no "
            'columns to return; add .returning("…") before it'
        )
        raise InvalidBatch(message)
    selected = source.columns if isinstance(source, Select) else None
    names = selected or columns
    if result is Rows.SCALAR and names and len(names) != 1:
        message = f"scalar(): the statement has {len(names)} columns; name one"
        raise InvalidBatch(message)
    if result is Rows.CHANGED:  # the columns are those of the model, and no old() is among them
        return (*(columns or ()), *(Old(name) for name in columns or () if isinstance(name, str)))
    return (*(columns or ()), CREATED) if result is Rows.INSERTED else columns


def hidden_columns(
    source: Source,
    wanted: tuple[Returned, ...],
    requirements: tuple[Requirement, ...],
    outputs: tuple[Returned, ...],
) -> tuple[Returned, ...]:
    """Return the columns that a statement has to return only for its guards and outputs.

    :raises InvalidBatch: if a select names its columns, and one of these is not among them.
    """
    required = [each.columns for each in requirements if each.when not in INSIDE]
    needed = dict.fromkeys((*chain.from_iterable(required), *outputs))
    if isinstance(source, RawSql):
        return ()  # only the server knows the columns
    if isinstance(source, Select) and source.columns is not None:
        if any(isinstance(column, RawSql) for column in source.columns):
            return ()  # only the server knows the name of a fragment
        for column in needed:
            if column not in source.columns:
                message = f"{column!r} is not among the columns of this select(); add it"
                raise InvalidBatch(message)
            if source.columns.count(column) > 1:
                message = (
                    f"{column!r} is among the columns of this select() twice, and a guard or an "
                    f"output() reads it; drop one"
                )
                raise InvalidBatch(message)
        return ()
    return tuple(column for column in needed if column not in wanted)


def returned_columns(
    wanted: tuple[Returned, ...] | None, hidden: tuple[Returned, ...], *, wraps: bool
) -> tuple[Returned, ...] | None:
    """Return the columns that a statement returns; None if they are not known.

    One that is wanted twice is returned twice. Guards around the statement read columns by name, so
    it returns each to them once, and they repeat it.

    :param wraps: whether there are guards around it.
    """
    if wanted is None:
        return None
    columns = (*wanted, *hidden)
    return tuple(dict.fromkeys(columns)) if wraps else columns


def sql_names(columns: tuple[Returned, ...]) -> tuple[str, ...]:
    """Return the names that returned columns have in the text.

    A column of the row before gets a name by its place: it has none that no other column can have.
    """
    pairs = enumerate(columns)
    return tuple([each if isinstance(each, str) else _BEFORE.format(n) for n, each in pairs])


_BEFORE = "_batchq_before_{}"
