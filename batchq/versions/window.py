# SPDX-License-Identifier: MIT
"""Guard a fleet's window: the requirements on it, and what each raises if it is not met."""

from __future__ import annotations

from typing import Any, TypeVar

from batchq.conditions import ge, le
from batchq.language.row_conditions import RowConditions
from batchq.language.selects import select
from batchq.language.statement import Statement
from batchq.language.violation import Violation
from batchq.versions.errors import NoFleet, NotYet, TooNew, TooOld
from batchq.versions.tables import FleetTables

S = TypeVar("S", bound=RowConditions[Any, Any])


def window_of(tables: FleetTables) -> Statement[None]:
    """Return a select of the window, which has to exist."""
    found = select(tables.window, where={"fleet": tables.fleet})
    return found.expect(1, missing=NoFleet(tables.fleet))


def may_run(window: S, version: int) -> S:
    """Require that a version is in the window."""
    return expanded(
        window.require(
            {"oldest": le(version)},
            raises=lambda found: TooOld(version, found.row["oldest"]),
        ),
        version,
    )


def expanded(window: S, version: int) -> S:
    """Require that the schema is expanded for a version."""
    return window.require(
        {"newest": ge(version)}, raises=lambda found: TooNew(version, found.row["newest"])
    )


def retired_below(window: S, version: int) -> S:
    """Require that no version below this one may run."""
    return window.require(
        {"oldest": ge(version)},
        raises=lambda found: not_yet(version, found),
        columns=["settled_at"],
    )


def not_yet(needs: int, found: Violation) -> NotYet:
    """Return the error for a window that does not meet :func:`retired_below`."""
    return NotYet(needs, found.row["oldest"], found.row["settled_at"])
