# SPDX-License-Identifier: MIT
"""Read a row's values by each kind of guard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import psycopg

from batchq import Batch, Violation, gather, select, sql, update
from batchq.result import attempt


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Unmet(Exception):
    """Hold the row that a guard reported."""

    def __init__(self, violation: Violation) -> None:
        super().__init__()
        self.requirement, self.found = violation.requirement, dict(violation.row)


def row_by_guard(
    conn: psycopg.Connection[Any],
    table: str,
    columns: Sequence[str],
    *,
    row: int = 1,
    before: Batch[Any] | None = None,
) -> Iterator[Mapping[str, Any]]:
    """Yield the row that each kind of guard reports, of the row whose id is ``row``.

    :param before: steps that run before the guard.
    """
    change = update(table, {"id": row}, {"id": row})
    for guard in (
        change.require(sql("false"), raises=Unmet, columns=columns),
        change.ensure({"id": -1}, raises=Unmet, columns=columns),
        select(table, columns, where={"id": row}).expect(0, unexpected=Unmet),
    ):
        answer = attempt(conn, guard if before is None else gather(before, guard))
        assert isinstance(answer.error, Unmet), answer.report
        yield {column: answer.error.found[column] for column in columns}
