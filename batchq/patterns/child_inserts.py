# SPDX-License-Identifier: MIT
"""Check that a batch inserts children of one parent, before it is added to that parent.

A child of another parent would be added without the lock on its parent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from batchq.language.batch import Batch
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter
from batchq.language.shape import Shape
from batchq.language.statement import Statement
from batchq.language.syntax import Insert, RawSql
from batchq.language.traversal import statements
from batchq.patterns.insert_values import place_of, value_of


def check_inserts(
    call: str,
    table: str,
    parent: tuple[str, object],
    where: Mapping[str, object],
    children: Batch[Any, Any],
) -> None:
    """Reject a batch without an insert into ``table``, or with one of another parent's child.

    :param call: the call that they were passed to: ``"add()"``.
    :param parent: the column with the key of the parent, and the key.
    :param where: values by column that each child must have, or a list of choices.
    :raises InvalidBatch: with the column that is missing or different.
    """
    if not isinstance(children, Batch):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidBatch(
            f"{call}: pass an insert(), or a batch with inserts, not {type(children).__name__}"
        )
    by, key = parent
    inserted, others = False, False
    for statement in (children,) if isinstance(children, Statement) else statements(children):
        shape, values = statement._shape, statement._values
        place = _place_of_key(call, shape, table, by)
        if place is None:
            others = True
            continue
        inserted = True
        if isinstance(place, RawSql) or _is_other(values[place], key):
            raise InvalidBatch(
                f"insert({table!r}, …) must set {by!r} to the key that is passed to {call}"
            )
        for column, required in where.items():
            _check_value(cast("Insert", shape.source), values, column, required)
    if others and not inserted:
        raise InvalidBatch(f"{call}: nothing is inserted into {table!r}; pass an insert() into it")


@lru_cache(maxsize=1024)
def _place_of_key(call: str, shape: Shape, table: str, column: str) -> int | RawSql | None:
    """Return the place of the parent's key among the values; None if it inserts no child.

    :raises InvalidBatch: if the key is not among them.
    """
    source = shape.source
    if not isinstance(source, Insert) or source.table != table:
        return None
    if source.query is not None:
        raise InvalidBatch(
            f"{call}: insert({table!r}, select(…)) is not checked to insert children of "
            f"this parent only; write it beside {call}, in a batch that locks the parent"
        )
    if column not in source.columns:
        raise InvalidBatch(f"insert({table!r}, …) must set {column!r}, the key of its parent")
    return place_of(source, column)


def _is_other(value: object, key: object) -> bool:
    """Return whether a value may be another one than the key of the parent."""
    if value is key:
        return False
    if isinstance(value, Parameter) or isinstance(key, Parameter):
        return not isinstance(value, Parameter) or not value.is_same(key)
    # True equals 1, and the server compares it with no number.
    return value != key or isinstance(value, bool) is not isinstance(key, bool)


def _check_value(source: Insert, values: tuple[object, ...], column: str, required: object) -> None:
    """Reject a row that ``where`` excludes: no check for children would find it.

    Expressions, which only the server can evaluate, are accepted.
    """
    value: object = None
    if column in source.columns:
        value = value_of(source, values, column)
    elif required is not None:
        raise InvalidBatch(
            f"insert({source.table!r}, …) must set {column!r}, which distinguishes these children "
            f"from other rows"
        )
    if isinstance(value, RawSql | Output) or isinstance(required, Batch | Output):
        return
    if isinstance(value, Parameter):
        raise InvalidBatch(
            f"insert({source.table!r}, …) sets {column!r}, which distinguishes these children from "
            f"other rows, to a parameter; set it to a constant: .partial({column}=…)"
        )
    is_choice = isinstance(required, list | tuple)
    if value not in cast("Sequence[object]", required if is_choice else (required,)):
        raise InvalidBatch(
            f"insert({source.table!r}, …) sets {column!r} to a value that these children do not "
            f"have; use one declared in children(where=)"
        )
