# SPDX-License-Identifier: MIT
"""A row of the job table, and counts of its rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from attrs import frozen

from batchq.engine.client_encoding import own
from batchq.language.argument_types import is_of
from batchq.language.errors import InvalidBatch
from batchq.language.spelling import with_article

VERSION = 1
"""The version of the columns' meaning. A worker leaves jobs of another version alone."""


@own
@frozen
class Job:
    """A job as it was last read."""

    id: UUID
    task: str
    """The name of its task."""
    version: int
    root: str
    """The parent's key, as the server writes it."""
    generation: int
    """The parent's generation when it was fenced."""
    tables: list[int]
    """OIDs of the tables when the parent was fenced: the parent's, then those of its children."""
    phase: str
    """``active``, ``done``, ``stuck`` or ``abandoned``."""
    stage: int
    """The index of the current stage; after the last stage, the parent itself is deleted."""
    cursor: list[str] | None
    """The order key of the last row of the last chunk, as text; None at the start of a stage."""
    seq: int
    """The number of steps so far. Each write names the step that it follows."""
    rows_done: int
    scan_rows: int
    """Those of ``rows_done`` that were done since the last restart."""
    expected: int | None
    """The planner's estimate of all its rows, made before the first claim."""
    restarts: int
    """How often the job was restarted because rows were left after the last stage."""
    epoch: int
    """How often the job was claimed."""
    created_at: datetime
    last_error: str | None
    """The last failure. If the job is stuck: what has to be fixed."""
    cursor_key: list[str] | None = None
    """What the cursor belongs to: the table, the columns, and the OIDs of their types."""
    skipped_locked: bool = False
    """True if locked rows were skipped since the last restart."""


def new_job(id: UUID, task: str, root: str, created_at: datetime) -> Job:
    """Return a job without a parent as it is inserted."""
    return Job(
        id=id,
        task=task,
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
        epoch=0,
        created_at=created_at,
        last_error=None,
    )


def checked_job(job: Job) -> Job:
    """Return a job, as ``adopt()`` takes it.

    :raises InvalidBatch: if it is not a :class:`Job`, such as its id, or None for one not found.
    """
    if not is_of(job, Job):
        raise InvalidBatch(
            f"adopt(): pass the Job that run(conn, tree.jobs.get(id)) has returned, not "
            f"{with_article(type(job), unlike=(Job,))}"
        )
    return job


@own
@frozen
class QueueStats:
    """How many jobs a task has, and the age of the oldest unfinished one."""

    claimable: int
    """Active, and held by no worker."""
    leased: int
    """Active, and held by a worker."""
    stuck: int
    done: int
    abandoned: int
    rows_done: int
    """By all of them together."""
    oldest_age: timedelta | None
    """The age of the oldest active job; None if there is none."""
