# SPDX-License-Identifier: MIT
"""All statements of a task as they would be sent: text and values, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from attrs import evolve, field, frozen
from psycopg.types.numeric import Int8

from batchq.bulk.backfill import Backfill
from batchq.bulk.chunks.heap_chunk import at_first_block
from batchq.bulk.job import new_job
from batchq.bulk.preflight.orders import StageOrder
from batchq.bulk.table_task import TableTask
from batchq.bulk.tree import DeleteTree
from batchq.bulk.worker.chunk_size import ChunkSize
from batchq.engine.compile.compile import compiled
from batchq.engine.plan import plan
from batchq.engine.program import program_of
from batchq.engine.step import PlacedStep
from batchq.language.batch import Batch
from batchq.language.statement import Statement
from batchq.language.syntax import RawSql
from batchq.running.explain import steps

if TYPE_CHECKING:
    from batchq.bulk.chunks.stages import Stage

_ROWS = ChunkSize().initial
_LEASE = timedelta(seconds=30)
_MISSING = LookupError("no such parent")
"""Any error: what is sent does not depend on it."""
_HIDDEN = "batchq:...:"
"""Stands for the guards' token, a secret of this process that must not be in any log."""
_NO_ROWS = "there is no row after which a chunk could start"


@frozen(kw_only=True)
class PlannedStatement:
    """A statement that would be sent."""

    title: str
    """When it is sent, and what it does: ``fence: lock vpc``."""
    sql: str
    """Its exact text, with its guards."""
    explain: tuple[str, ...] = ()
    """The lines of EXPLAIN."""
    unexplained: str = ""
    """Why there are none."""
    values: tuple[object, ...] = field(default=(), repr=False)
    """The values of ``$1``, ``$2``, …; may hold secrets."""


def planned(
    task: DeleteTree | TableTask,
    key: object,
    root: str,
    *,
    now: bool,
    samples: Mapping[int, list[str]],
    orders: Iterable[StageOrder],
) -> Iterator[PlannedStatement]:
    """List the statements that would be sent.

    :param key: the parent's key; None without a parent.
    :param root: the parent's key as a job stores it.
    :param now: whether a tree is deleted in one batch.
    :param samples: the order key of a row of each stage, if there is one.
    :param orders: those of the stages that have a choice.
    """
    job = evolve(new_job(UUID(int=0), task.name, root, datetime.now(UTC)), epoch=1)
    if isinstance(task, TableTask):
        yield from _batch("start", task.start(job.id))
    elif now:
        yield from _batch("delete now", task.delete_now(key, missing=_MISSING))
        return
    else:
        yield from _batch("fence", task.fence(key, missing=_MISSING, job=job.id))
    stages: tuple[Stage | TableTask, ...] = task.stages
    in_heap = {order.number: order.order.rows_per_block for order in orders}
    for number, stage in enumerate(stages):
        name = f"stage {number + 1} of {len(stages)}, {stage.table}"
        first = evolve(job, stage=number)
        if rows_per_block := in_heap.get(number):
            in_blocks = at_first_block(first, stage.table, rows_per_block)
            chunk = task.chunk(in_blocks, _ROWS, _LEASE)
            yield _statement(f"{name}: chunks in the order of the heap", chunk)
            name = f"{name}, after a restart"
        yield _statement(f"{name}: first chunk", task.chunk(first, _ROWS, _LEASE))
        sample = samples.get(number)
        later = evolve(first, cursor=sample or [""] * len(stage.order_columns))
        statement = _statement(f"{name}: later chunks", task.chunk(later, _ROWS, _LEASE))
        yield statement if sample else evolve(statement, unexplained=_NO_ROWS)
    if isinstance(task, Backfill):
        yield from _batch("end of a scan with rows", task.finish(evolve(job, scan_rows=1)))
    yield from _batch("end", task.finish(evolve(job, stage=len(stages))))


def _statement(title: str, chunk: Statement[Any]) -> PlannedStatement:
    (statement,) = _batch("", chunk)
    return evolve(statement, title=title)


def _batch(when: str, batch: Batch[Any]) -> Iterator[PlannedStatement]:
    laid = plan(batch)
    texts = program_of(laid.shapes, tuple(laid.outputs.items())).steps
    for step, made in zip(steps(batch), texts, strict=True):
        title = step.statement.title
        if step.path and isinstance(step.statement._shape.source, RawSql):
            title = step.path  # it shows more than the first words of an SQL text
        yield PlannedStatement(title=f"{when}: {title}", sql=made.sql, values=tuple(_values(step)))


def _values(step: PlacedStep) -> list[object]:
    """Return what the engine sends, with what it adds: see :mod:`batchq.engine.wire.encode`."""
    made = compiled(step.statement._shape, step.placed.outputs)
    values = [_sent(value) for value in step.parameters]
    if made.takes_row_count:
        guard = step.statement._shape.guard
        values.append(Int8(1 if guard is None else guard.rows))
    if made.takes_token:
        values.append(_HIDDEN)
    return values


def _sent(value: object) -> object:
    if isinstance(value, list):
        return [_sent(item) for item in cast("list[object]", value)]
    return Int8(value) if type(value) is int else value
