# SPDX-License-Identifier: MIT
"""Report counters that differ from the ledger."""

from __future__ import annotations

from uuid import UUID

from attrs import frozen

from batchq.engine.client_encoding import own


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


def in_order(drifts: list[Drift]) -> list[Drift]:
    """Sort by resource, since an UPDATE returns rows in any order."""
    return sorted(drifts, key=lambda drift: drift.resource)
