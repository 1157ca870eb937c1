# SPDX-License-Identifier: MIT
"""Every statement of a long delete as it would be sent, text and values, and in that order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from attrs import evolve, field, frozen
from psycopg.types.numeric import Int8

from batchq.bulk.backfill import Backfill
from batchq.bulk.chunks.stages import Stage
from batchq.bulk.job import VERSION, Job
from batchq.bulk.tree import DeleteTree
from batchq.bulk.worker.chunk_size import ChunkSize
from batchq.engine.compile.compile import compiled
from batchq.engine.step import PlacedStep
from batchq.language.batch import Batch
from batchq.language.statement import Statement
from batchq.language.syntax import RawSql
from batchq.running.explain import steps

_ROWS = ChunkSize().initial
_LEASE = timedelta(seconds=30)
_GONE = LookupError("no such parent")
"""What is sent is the same, whatever it means."""
_IN_PLACE = "batchq:...:"
"""Stands for the guards' token, a secret of this process that is in nobody's logs."""
_NO_ROWS = "there is no row to begin behind"


@frozen(kw_only=True)
class PlannedStatement:
    """A statement that would be sent."""

    title: str
    """When it is sent, and what it does: ``fence: lock vpc``."""
    sql: str
    """Its text, to the letter, with its guards."""
    explain: tuple[str, ...] = ()
    """What EXPLAIN says, line by line."""
    unexplained: str = ""
    """Why it does not say anything."""
    values: tuple[object, ...] = field(default=(), repr=False)
    """What is sent for ``$1``, ``$2``, …; may hold secrets."""


def planned(
    work: DeleteTree | Backfill,
    key: object,
    root: str,
    *,
    at_once: bool,
    samples: Mapping[int, list[str]],
) -> Iterator[PlannedStatement]:
    """Write down what would be sent.

    :param key: the parent's; nothing, of a rewrite.
    :param root: what a job calls it.
    :param at_once: whether a tree is deleted in one batch.
    :param samples: of each pass that finds rows, the order key of one.
    """
    job = Job(
        id=UUID(int=0),
        task=work.name,
        version=VERSION,
        root=root,
        generation=0,
        tables=[],
        phase="active",
        stage=0,
        cursor=None,
        seq=0,
        rows_done=0,
        scan_rows=0,
        expected=None,
        restarts=0,
        epoch=1,
        created_at=datetime.now(UTC),
        last_error=None,
    )
    if isinstance(work, Backfill):
        yield from _steps("begin", work.start(job.id))
    elif at_once:
        yield from _steps("at once", work.delete_now(key, missing=_GONE))
        return
    else:
        yield from _steps("fence", work.fence(key, missing=_GONE, job=job.id))
    stages: tuple[Stage | Backfill, ...] = work.stages
    for child, one in enumerate(stages):
        name = f"pass {child + 1} of {len(stages)}, {one.table}"
        here = evolve(job, stage=child)
        yield _only(f"{name}: first chunk", work.chunk(here, _ROWS, _LEASE))
        sample = samples.get(child)
        there = evolve(here, cursor=sample or [""] * len(_keys(one)))
        later = _only(f"{name}: later chunks", work.chunk(there, _ROWS, _LEASE))
        yield later if sample else evolve(later, unexplained=_NO_ROWS)
    if isinstance(work, Backfill):
        yield from _steps("end of a pass with rows", work.finish(evolve(job, scan_rows=1)))
    yield from _steps("end", work.finish(evolve(job, stage=len(stages))))


def _keys(one: Stage | Backfill) -> tuple[str, ...]:
    return one.order if isinstance(one, Backfill) else one.keys


def _only(title: str, chunk: Statement[Any]) -> PlannedStatement:
    (one,) = _steps("", chunk)
    return evolve(one, title=title)


def _steps(when: str, batch: Batch[Any]) -> Iterator[PlannedStatement]:
    for step in steps(batch):
        what = step.statement.title
        if step.path and isinstance(step.statement._shape.source, RawSql):
            what = step.path  # which says more than how a text begins
        yield PlannedStatement(title=f"{when}: {what}", sql=step.sql, values=tuple(_values(step)))


def _values(step: PlacedStep) -> list[object]:
    """What the engine sends, with what it adds: see :mod:`batchq.engine.wire.encode`."""
    made = compiled(step.statement._shape, step.placed.outputs)
    values = [_sent(value) for value in step.parameters]
    if made.takes_row_count:
        guard = step.statement._shape.guard
        values.append(Int8(1 if guard is None else guard.rows))
    if made.takes_token:
        values.append(_IN_PLACE)
    return values


def _sent(value: object) -> object:
    if isinstance(value, list):
        return [_sent(item) for item in cast("list[object]", value)]
    return Int8(value) if type(value) is int else value
