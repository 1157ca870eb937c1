# SPDX-License-Identifier: MIT
"""A job as it was read, and how many there are."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from attrs import frozen

from batchq.engine.client_encoding import own

VERSION = 1
"""Of the meaning of a job's columns. A job of another version is left for those who know it."""


@own
@frozen
class Job:
    """A job as it was read."""

    id: UUID
    tree: str
    version: int
    root: str
    """The parent's key, as the server writes it."""
    generation: int
    """The parent's generation when it was fenced."""
    tables: list[int]
    """The tables when it was fenced, the parent's and those that are swept: their OIDs."""
    phase: str
    child: int
    """Which of the passes it is in; behind the last, the parent itself is due."""
    cursor: list[str] | None
    """The order key of the last row of the last chunk, as texts. None: from the beginning."""
    seq: int
    """How many steps were taken: what is written next says which one it follows."""
    rows_done: int
    rows_pass: int
    """Those of them that went since it was last begun again."""
    expected: int | None
    """The planner's estimate of its rows in all, made before it was first claimed."""
    passes: int
    """How often it was begun again, for rows that were found at the end."""
    epoch: int
    """How often the job was claimed."""
    created_at: datetime
    last_error: str | None
    """What went wrong last; of a stuck job, what somebody has to look at."""
    cursor_of: list[str] | None = None
    """What the cursor is of: the table, the columns, and the OIDs of their types."""
    passed_over: bool = False
    """Whether rows that others have locked were passed over since it was last begun again."""


@own
@frozen
class Backlog:
    """How many jobs there are, and for how long the oldest one has been waiting to be finished."""

    waiting: int
    """That nobody holds."""
    held: int
    stuck: int
    done: int
    abandoned: int
    rows_done: int
    """By all of them, in their lives."""
    oldest: timedelta | None
    """The age of the oldest job that is waiting or held; None where there is none."""
