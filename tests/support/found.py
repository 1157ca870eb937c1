# SPDX-License-Identifier: MIT
"""What each of the guards on a row finds in one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import psycopg

from batchq import Violation, attempt, forbid, select, sql, update


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Unmet(Exception):
    """Carries what a guard found."""

    def __init__(self, violation: Violation) -> None:
        super().__init__()
        self.requirement, self.found = violation.requirement, dict(violation.found)


def found_by(
    conn: psycopg.Connection[Any], table: str, columns: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    """What each kind of guard finds in the one row of a table, whose id is 1."""
    change = update(table, {"id": 1}, {"id": 1})
    for guard in (
        change.require(sql("false"), else_=Unmet, found=columns),
        change.check("id", 2, else_=Unmet, found=columns),
        forbid(select(table, columns, where={"id": 1}), else_=Unmet),
    ):
        answer = attempt(conn, guard)
        assert isinstance(answer.error, Unmet), answer.report
        yield {column: answer.error.found[column] for column in columns}
