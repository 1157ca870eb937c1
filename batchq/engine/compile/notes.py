# SPDX-License-Identifier: MIT
"""Notes for whoever reads a batch: where a statement promises less than it seems to."""

from __future__ import annotations

from collections.abc import Iterable

from batchq.engine.compile.scan import CommandSpans, Fragment
from batchq.language.models import How, model_name, model_of
from batchq.language.results import WITH_MODEL, Rows
from batchq.language.shape import Shape, answered
from batchq.language.syntax import RawSql, Select

LOOK = (
    "no earlier step locks anything, and a later step writes: rows that this one looks for may "
    "come or go between the look and COMMIT. In an earlier step, lock the row that every such "
    "transaction changes or locks: select(…).for_update()"
)
"""Of a step that only looks for rows."""

_ONE_SNAPSHOT = (
    "it reads other rows in the statement that writes. What it reads may be older than the row "
    "that it writes (READ COMMITTED), or than what others have committed since the transaction "
    "began (REPEATABLE READ). If a condition depends on it, lock in an earlier step by "
    "select(…).for_update(), and check it in a step between by select(…).expect(…)"
)
_SCALAR = (
    "whether the value is {}, and not NULL, is known when it is there, after COMMIT: sum() of "
    "bigint is a Decimal, for one"
)
_COLUMNS = (
    "whether its columns are those of {} is known when they are there, after COMMIT: nothing here "
    "reads their names from the SQL"
)


def one_snapshot(command: CommandSpans, conditions: Iterable[Fragment]) -> tuple[str, ...]:
    """Return the note on a statement that reads other rows while it writes."""
    reads = command.reads or any(condition.reads for condition in conditions)
    return (_ONE_SNAPSHOT,) if command.writes and reads else ()


def unknown_result(shape: Shape) -> tuple[str, ...]:
    """Return the note on a result that only the server decides."""
    source, result, names = shape.source, shape.result, answered(shape)
    if result.rows is Rows.SCALAR:
        by_sql = isinstance(source, RawSql) or (isinstance(source, Select) and names == (None,))
        return (_SCALAR.format(model_name(result.model)),) if by_sql or names is None else ()
    asks = result.rows in WITH_MODEL and model_of(result.model).how is How.COLUMNS
    known = names is not None and None not in names
    return (_COLUMNS.format(model_name(result.model)),) if asks and not known else ()
