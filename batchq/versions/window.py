# SPDX-License-Identifier: MIT
"""Guard a fleet's window: the requirements on it, and what each raises if it is not met."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from batchq.conditions import ge, le
from batchq.language.missing_table import missing_table
from batchq.language.row_conditions import RowConditions
from batchq.language.selects import select
from batchq.language.statement import Statement
from batchq.language.violation import Violation
from batchq.versions.errors import NoFleet, NotYet, TooNew, TooOld
from batchq.versions.tables import FleetTables, Window

T = TypeVar("T")
S = TypeVar("S", bound=RowConditions[Any, Any])


def window_of(tables: FleetTables) -> Statement[None]:
    """Return a select of the window, which has to exist."""
    found = select(tables.window, where={"fleet": tables.fleet})
    return in_tables(found.expect(1, missing=NoFleet(tables.fleet)), tables.fleet, tables.window)


def in_tables(statement: Statement[T], fleet: str, *names: str) -> Statement[T]:
    """Raise NoFleet if one of the tables that a statement uses does not exist."""
    for table in names:
        statement = statement.on(missing_table(table), NoFleet(fleet, table))
    return statement


def window_first(results: tuple[Window, *tuple[object, ...]]) -> Window:
    """Return the result of the first statement, which reads the window."""
    return results[0]


def may_run(window: S, version: int) -> S:
    """Require that a version is in the window."""
    window = window.require({"oldest": le(version)}, raises=partial(_too_old, version))
    return expanded(window, version)


def expanded(window: S, version: int) -> S:
    """Require that the schema is expanded for a version."""
    return window.require({"newest": ge(version)}, raises=partial(_too_new, version))


def retired_below(window: S, version: int) -> S:
    """Require that no version below this one may run."""
    return window.require(
        {"oldest": ge(version)},
        raises=partial(not_yet, version),
        columns=["settled_at"],
    )


def not_yet(needs: int, found: Violation) -> NotYet:
    """Return the error for a window that does not meet :func:`retired_below`."""
    return NotYet(needs, found.row["oldest"], found.row["settled_at"])


# These have names, since the text of an unmapped failure lists the mappings.


def _too_old(version: int, found: Violation) -> TooOld:
    return TooOld(version, found.row["oldest"])


def _too_new(version: int, found: Violation) -> TooNew:
    return TooNew(version, found.row["newest"])
