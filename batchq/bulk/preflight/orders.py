# SPDX-License-Identifier: MIT
"""In which order the stages of a tree would be scanned, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from batchq.bulk.chunks.scan_order import ScanOrder
from batchq.language.batch import Batch
from batchq.language.compose import sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from batchq.bulk.chunks.stages import Stage
    from batchq.bulk.table_task import TableTask


@frozen(kw_only=True)
class StageOrder:
    """The order of a stage's scan."""

    number: int
    """The index of the stage."""
    table: str
    order: ScanOrder


def scan_orders(stages: Iterable[Stage | TableTask], key: object) -> Batch[list[StageOrder]]:
    """Choose the orders, as a worker does before the first chunk of each stage.

    :param key: the parent's key as the caller has written it.
    """
    chosen: list[Batch[StageOrder]] = []
    for number, stage in enumerate(stages):
        order = stage.scan_order(key)
        if order is not None:
            chosen.append(order.map(_of(number, stage.table)))
    return sequence(chosen)


def _of(number: int, table: str) -> Callable[[ScanOrder], StageOrder]:
    return lambda order: StageOrder(number=number, table=table, order=order)
