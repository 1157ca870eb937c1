# SPDX-License-Identifier: MIT
"""Trace a failure to its step, by querying the catalog for what the error does not report."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from batchq.engine.outcome.partition_constraints import PartitionLookup
from batchq.engine.outcome.row_triggers import TriggerLookup

if TYPE_CHECKING:
    from psycopg.abc import PQGen

    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.scope import PlacedStatement
    from batchq.engine.wire.connection_state import AnyConnection

Lookup = PartitionLookup | TriggerLookup


def trace(
    connection: AnyConnection,
    placed: Sequence[PlacedStatement],
    verdict: Verdict,
    query: Callable[[Lookup], Iterator[PQGen[None]]],
) -> Generator[PQGen[None], None, Verdict]:
    """Yield the flights of the look-ups that are needed; for nearly every failure there are none.

    :param query: returns the flights that send the query of a look-up.
    :return: the verdict with the facts that were found. The outcome is as before.
    """
    partitions = PartitionLookup(connection, placed, verdict)
    if partitions.is_needed:
        yield from query(partitions)
    triggers = TriggerLookup(placed, partitions.verdict)
    if triggers.is_needed:
        yield from query(triggers)
    return triggers.verdict
