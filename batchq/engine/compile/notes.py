# SPDX-License-Identifier: MIT
"""Write the notes of a step: a statement that guarantees less than it seems to.

The server accepts such a statement, and a test on one connection passes. So only a note can report
it before production does.
"""

from __future__ import annotations

from collections.abc import Iterable

from batchq.engine.compile.spans import CommandSpans, Fragment
from batchq.language.models import How, model_name, model_of
from batchq.language.results import WITH_MODEL, Rows
from batchq.language.shape import Shape, answered
from batchq.language.syntax import RawSql, Select

LOOK = (
    "no earlier step locks anything, and a later step writes: rows that this step checks for may "
    "appear or disappear between the check and COMMIT. In an earlier step, lock the row that every "
    "such transaction changes or locks: select(…).for_update()"
)
"""The note on a step that only checks for rows."""

_ONE_SNAPSHOT = (
    "it reads other rows in the statement that {verb}. What it reads may be older than the row "
    "that it {verb} (READ COMMITTED), or than what others have committed since the transaction "
    "began (REPEATABLE READ). If a condition depends on it, lock in an earlier step by "
    "select(…).for_update(), and check it in a step between by select(…).expect(…)"
)
_SCALAR = (
    "whether the value is {}, and not NULL, is known only when it is decoded, after COMMIT: "
    "sum() of bigint is a Decimal, for example"
)
_COLUMNS = (
    "whether its columns are those of {} is known only when they are decoded, after COMMIT: their "
    "names are not read from the SQL"
)


def one_snapshot(
    command: CommandSpans, conditions: Iterable[Fragment], *, locks: bool
) -> tuple[str, ...]:
    """Return the note on a statement that reads other rows while it writes or locks, if it does."""
    reads = command.reads or any(condition.reads for condition in conditions)
    if not reads or not (command.writes or locks):
        return ()
    return (_ONE_SNAPSHOT.format(verb="writes" if command.writes else "locks"),)


def unknown_result(shape: Shape) -> tuple[str, ...]:
    """Return the note on a result whose columns only the server knows, if it has one."""
    source, result, names = shape.source, shape.result, answered(shape)
    if result.rows is Rows.SCALAR:
        by_sql = isinstance(source, RawSql) or (isinstance(source, Select) and names == (None,))
        return (_SCALAR.format(model_name(result.model)),) if by_sql or names is None else ()
    asks = result.rows in WITH_MODEL and model_of(result.model).how is How.COLUMNS
    known = names is not None and None not in names
    return (_COLUMNS.format(model_name(result.model)),) if asks and not known else ()
