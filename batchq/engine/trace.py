# SPDX-License-Identifier: MIT
"""Trace a failure to its step, by querying the catalog for what the error does not report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from batchq.engine.outcome.partition_constraints import OF_PARTITIONS, PartitionLookup
from batchq.engine.outcome.row_triggers import TriggerLookup
from batchq.engine.wire.flight import CLOSING

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.plan import Plan
    from batchq.engine.ready import Ready
    from batchq.engine.wire.connection_state import AnyConnection
    from batchq.engine.wire.exchange import Slots
    from batchq.engine.wire.frame import Frame


class Ended(Protocol):
    """A transaction that has ended, and whose verdict is decided."""

    connection: AnyConnection
    plan: Plan
    frame: Frame
    ready: Ready
    slots: Slots
    verdict: Verdict | None

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        ...

    def undo(self, pg: PGconn, /) -> PQGen[None]:
        """Return the flight that ends a transaction which an error has left open."""
        ...


def trace(ended: Ended, pg: PGconn) -> Iterator[PQGen[None]]:
    """Yield the flights of the look-ups that are needed; for nearly every failure there are none.

    The verdict gets the facts that are found. The outcome is as before.
    """
    verdict = ended.verdict
    violation = None if verdict is None else verdict.violation
    if verdict is None or violation is None or not ended.ready.dialect.traces_failures:
        return
    at_commit = verdict.owner == CLOSING
    if not at_commit and (verdict.step_index is None or violation.kind not in OF_PARTITIONS):
        return
    placed = ended.plan.place(verdict.step_index)
    partitions = PartitionLookup(ended.connection, placed, verdict)
    if partitions.is_needed:
        yield from _query(ended, pg, partitions)
    if not at_commit:
        ended.verdict = partitions.verdict
        return
    triggers = TriggerLookup(placed, partitions.verdict)
    if triggers.is_needed:
        yield from _query(ended, pg, triggers)
    ended.verdict = triggers.verdict


def _query(
    ended: Ended, pg: PGconn, lookup: PartitionLookup | TriggerLookup
) -> Iterator[PQGen[None]]:
    """Send the query of a look-up. If it fails, that does not change the outcome."""
    slots, frame = ended.slots, ended.frame
    is_usable = slots.lost is None and pg.transaction_status == frame.at_rest
    if is_usable and not ended.is_late:
        yield _send_query(ended, pg, lookup)
        if slots.lost is None and pg.transaction_status != frame.at_rest:
            yield ended.undo(pg)


def _send_query(ended: Ended, pg: PGconn, lookup: PartitionLookup | TriggerLookup) -> PQGen[None]:
    ended.slots.lost = yield from lookup.query(pg, ended.frame, ended.ready.kept.codec)
