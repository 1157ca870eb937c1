# SPDX-License-Identifier: MIT
"""Read the arguments of ON CONFLICT: which index decides, and what is set in the existing row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from batchq.language.created import refuse_created
from batchq.language.errors import InvalidBatch
from batchq.language.inputs import Where, read_conditions, read_row
from batchq.language.placeholders import NUL
from batchq.language.row_fields import field_names
from batchq.language.special import Special
from batchq.language.spelling import with_article
from batchq.language.syntax import Conflict, Expression, RawSql, columns_in
from batchq.language.validation import check_column, is_column, is_text, listed

if TYPE_CHECKING:
    from batchq.language.inputs import Row

Target = tuple[str | RawSql, ...]
Predicate = tuple[tuple[str, str], ...] | RawSql | None
Values = tuple[object, ...]


def read_target(
    call: str, target: tuple[str | Expression, ...], index_where: Where | None
) -> tuple[Target, Predicate]:
    """Return what names the index: its columns and expressions, and its predicate.

    :param call: the call that they were passed to, for the text of the errors:
        ``"on_conflict_do_nothing()"``.
    :raises InvalidBatch: for another object, or for SQL with a parameter.
    """
    if index_where is not None and not target:
        raise InvalidBatch(
            f"{call}: index_where= is the predicate of one index; name its columns as well"
        )
    return tuple([_read_key(call, key) for key in target]), _read_predicate(call, index_where)


def _read_key(call: str, key: str | Expression) -> str | RawSql:
    if isinstance(key, Expression):
        return _without_parameters(call, key)
    refuse_created(call, key)
    if not is_column(key):
        raise InvalidBatch(
            f"{call}: pass the columns of a unique index, each a non-empty str, or its expressions "
            f'as sql("lower(name)"), not {key!r:.40}'
        )
    return key


def _without_parameters(call: str, fragment: Expression) -> RawSql:
    """Return SQL by which the server selects the index when it plans the statement."""
    expression, _ = fragment._as_expression(call)
    if expression.names:
        raise InvalidBatch(f"{call}: sql() has a parameter; write its value in the text")
    return expression


def _read_predicate(call: str, where: Where | None) -> Predicate:
    call = f"{call[:-1]}index_where=)"
    if where is None:
        return None
    if isinstance(where, Expression):
        return _without_parameters(call, where)
    if not isinstance(cast("object", where), Mapping):
        raise InvalidBatch(
            f"{call}: pass a mapping of columns or one sql() fragment, not "
            f"{with_article(type(where))}"
        )
    named = cast("Mapping[str, object]", where)
    for name in named:
        refuse_created(call, name)
        if not is_text(name):
            raise InvalidBatch(f"{call}: each column must be a non-empty str")
    return tuple([(column, _literal(call, value)) for column, value in named.items()])


def _literal(call: str, value: object) -> str:
    """Return the test for one column of an index predicate, as SQL text."""
    if value is None:
        return "IS NULL"
    if isinstance(value, bool):
        return "= true" if value else "= false"
    if type(value) is int:
        return f"= {value}"
    if isinstance(value, str) and NUL not in value:
        escaped = value.replace("'", "''")
        return f"= E'{escaped}'".replace("\\", "\\\\") if "\\" in escaped else f"= '{escaped}'"
    raise InvalidBatch(
        f"{call}: a value must be None, bool, int, or str without NUL, not "
        f"{with_article(type(value), unlike=(bool, int, str))}; write the predicate as sql()"
    )


def read_update(
    call: str, target: Target, predicate: Predicate, set: Iterable[str] | Row, where: Where | None
) -> tuple[Conflict, Values]:
    """Return the conflict of a DO UPDATE, and the values of its parameters.

    :raises InvalidBatch: without an index or a column to set, or for another object.
    """
    if not target:
        raise InvalidBatch(
            f"{call}: name the columns of a unique index: DO UPDATE needs the index that decides"
        )
    kind: type[object] = type(set)
    if isinstance(set, Mapping) or (not issubclass(kind, Special) and field_names(kind)):
        columns, cells, values = read_row(f"{call[:-1]}set=)", cast("Row", set))
        copied: tuple[str, ...] = ()
    else:
        copied = listed(f"{call[:-1]}set=)", cast("Iterable[str]", set), '["name"], or a mapping')
        columns, cells, values = (), (), ()
    _check_columns(f"{call[:-1]}set=)", copied or columns)
    if where is None:
        return Conflict(target, predicate, copied, columns, cells), values
    conditions, compared = read_conditions(f"{call[:-1]}where=)", where)
    for name in columns_in(conditions):
        refuse_created(f"{call[:-1]}where=)", name)
        check_column(f"{call[:-1]}where=)", name)
    return Conflict(target, predicate, copied, columns, cells, conditions), values + compared


def _check_columns(call: str, columns: tuple[str, ...]) -> None:
    if not columns:
        raise InvalidBatch(
            f"{call}: no column to set; name at least one, or use on_conflict_do_nothing()"
        )
    for place, name in enumerate(columns):
        refuse_created(call, name)
        check_column(call, name)
        if name in columns[:place]:
            raise InvalidBatch(f"{call}: {name!r} is set twice; name it once")
