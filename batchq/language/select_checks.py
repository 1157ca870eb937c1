# SPDX-License-Identifier: MIT
"""Check what a select is asked: whether there is a row, and how many at most."""

from __future__ import annotations

from batchq.language.errors import InvalidBatch
from batchq.language.guards import When
from batchq.language.results import Rows
from batchq.language.shape import Shape
from batchq.language.syntax import RawSql, Select


def check_select(shape: Shape) -> None:
    """Reject what a select cannot be asked beside its result or its limit."""
    source, is_look = shape.source, shape.result.rows is Rows.EXISTS
    if not isinstance(source, Select):
        if is_look:
            raise InvalidBatch(
                "exists(): only a select() is asked whether it finds a row; in sql() write "
                "SELECT EXISTS (…) with .scalar(bool), after a write use .count()"
            )
        return
    if is_look and (shape.expected is not None or shape.conditions or source.lock is not None):
        raise InvalidBatch(
            "exists(): it only looks, and guards and locks need rows; write "
            ".expect(at_least=1), .expect(0) or .for_update() without it"
        )
    if is_look and any(isinstance(column, RawSql) for column in source.columns or ()):
        raise InvalidBatch(
            "exists(): an expression may make a row of none, as count(*) does; drop columns="
        )
    if source.limited and any(each.when is When.BEFORE for each in shape.conditions):
        raise InvalidBatch(
            "select(limit=): require() and refuse() judge rows before they are limited; use "
            ".ensure(…) for those that are returned, or drop limit="
        )
