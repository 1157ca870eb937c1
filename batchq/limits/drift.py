# SPDX-License-Identifier: MIT
"""Report counters that differ from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from attrs import frozen

from batchq.engine.client_encoding import own
from batchq.language.local_settings import ALL_ROWS, change, put_back

if TYPE_CHECKING:
    from batchq.language.statement import Statement
    from batchq.limits.queries import Queries
    from batchq.limits.tables import Scope


@own
@frozen
class Drift:
    """A counter that was wrong and has been corrected.

    It is a bug: :class:`~batchq.limits.Limits` keeps both equal, so another program writes to these
    tables.
    """

    scope: UUID
    resource: str
    was: int
    """The counter before the recount."""
    now: int
    """The sum of the ledger, and the counter after the recount."""


def recount(sql: Queries, scope: Scope) -> dict[str, Statement[Any]]:
    """Return the steps that recount the counters of a scope, by their labels."""
    return {
        # A charge that a policy hid from this role would be left out of the counter.
        "settings": change(ALL_ROWS),
        "lock counters": sql.lock_scope.fill(scope=scope),
        "recount": sql.recount.fill(scope=scope).all(Drift),
        "settings put back": put_back(ALL_ROWS),
    }


def drifts_of(results: Sequence[Any]) -> list[Drift]:
    """Return the result of :func:`recount` by resource: an UPDATE returns rows in any order."""
    _, _, drifts, _ = results
    return sorted(drifts, key=lambda drift: drift.resource)
