# SPDX-License-Identifier: MIT
"""Check that a batch inserts children of one parent, before it is added to that parent.

A child of another parent would be added without the lock on its parent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from batchq.language.batch import Batch
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter
from batchq.language.statement import Statement
from batchq.language.syntax import Insert, RawSql
from batchq.language.traversal import statements
from batchq.patterns.insert_values import value_of


def check_inserts(
    call: str,
    table: str,
    parent: Mapping[str, object],
    where: Mapping[str, object],
    children: Batch[Any, Any],
) -> None:
    """Reject a batch without an insert into ``table``, or with one of another parent's child.

    :param call: the call that they were passed to: ``"add()"``.
    :param parent: the column with the key of the parent, and the key.
    :param where: values by column that each child must have, or a list of choices.
    :raises InvalidBatch: with the column that is missing or different.
    """
    if not isinstance(cast("object", children), Batch):
        raise InvalidBatch(
            f"{call}: pass an insert(), or a batch with inserts, not {type(children).__name__}"
        )
    inserted, others = False, False
    for statement in statements(children):
        source = statement._shape.source
        if not isinstance(source, Insert) or source.table != table:
            others = True
            continue
        inserted = True
        for column, key in parent.items():
            _check_parent(call, source, statement, column, key)
        for column, required in where.items():
            _check_value(source, statement, column, required)
    if others and not inserted:
        raise InvalidBatch(f"{call}: nothing is inserted into {table!r}; pass an insert() into it")


def _check_parent(
    call: str, source: Insert, statement: Statement[Any], column: str, key: object
) -> None:
    if source.query is not None:
        raise InvalidBatch(
            f"{call}: insert({source.table!r}, select(…)) is not checked to insert children of "
            f"this parent only; write it beside {call}, in a batch that locks the parent"
        )
    if column not in source.columns:
        raise InvalidBatch(
            f"insert({source.table!r}, …) must set {column!r}, the key of its parent"
        )
    value = value_of(source, statement._values, column)
    if isinstance(value, Parameter) or isinstance(key, Parameter):
        is_other = not isinstance(value, Parameter) or not value.is_same(key)
    else:  # True equals 1, and the server compares it with no number
        is_other = value != key or isinstance(value, bool) is not isinstance(key, bool)
    if is_other:
        raise InvalidBatch(
            f"insert({source.table!r}, …) must set {column!r} to the key that is passed to {call}"
        )


def _check_value(source: Insert, statement: Statement[Any], column: str, required: object) -> None:
    """Reject a row that ``where`` excludes: no check for children would find it.

    Expressions, which only the server can evaluate, are accepted.
    """
    value: object = None
    if column in source.columns:
        value = value_of(source, statement._values, column)
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
