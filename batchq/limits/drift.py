# SPDX-License-Identifier: MIT
"""What a recount finds: a counter that did not say what the ledger says."""

from __future__ import annotations

from uuid import UUID

from attrs import frozen

from batchq.engine.client_encoding import own


@own
@frozen
class Drift:
    """A counter that was wrong and has been put right. Each one is a bug somewhere: nothing that
    :class:`~batchq.limits.Limits` does makes one, so somebody else writes these tables."""

    scope: UUID
    resource: str
    was: int
    """What the counter said."""
    now: int
    """What the ledger says, and the counter from now on."""


def in_order(found: list[Drift]) -> list[Drift]:
    """Sort by resource: an update returns its rows in any order."""
    return sorted(found, key=lambda drift: drift.resource)
