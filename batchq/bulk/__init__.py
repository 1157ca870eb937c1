# SPDX-License-Identifier: MIT
"""Delete a parent that has any number of children, in chunks, and never show half of it.

Why: one statement that deletes a million rows holds its locks until it ends, and a crash between
the delete of the parent and that of its children leaves orphans. So :func:`start` first hides the
parent, in a transaction that also inserts a job. :func:`resume` then deletes the children in small
transactions, in any process that claims the job, and deletes the parent after the last of them.

A :class:`Backfill` updates rows of one table in the same way, and a :class:`DeleteRows` deletes
them, by a condition.

Throttles are in :mod:`batchq.bulk.throttles`, the other errors in :mod:`batchq.bulk.errors`.
"""

from __future__ import annotations

from batchq.bulk.backfill import Backfill
from batchq.bulk.child_delete import ChildDelete
from batchq.bulk.delete_rows import DeleteRows
from batchq.bulk.errors import FenceBroken, JobExists, LeaseLost, TooManyRows
from batchq.bulk.job import Job
from batchq.bulk.jobs import Jobs
from batchq.bulk.preflight.preflight import apreflight, preflight
from batchq.bulk.progress.bar import progress_bar
from batchq.bulk.progress.events import Progress
from batchq.bulk.progress.monitor import Monitor
from batchq.bulk.progress.report import Report, StopReason
from batchq.bulk.start import Deleted, Fenced, astart, start
from batchq.bulk.tree import DeleteTree
from batchq.bulk.worker.budget import Budget
from batchq.bulk.worker.chunk_size import ChunkSize
from batchq.bulk.worker.resume import aresume, resume

__all__ = [
    "Backfill",
    "Budget",
    "ChildDelete",
    "ChunkSize",
    "DeleteRows",
    "DeleteTree",
    "Deleted",
    "FenceBroken",
    "Fenced",
    "Job",
    "JobExists",
    "Jobs",
    "LeaseLost",
    "Monitor",
    "Progress",
    "Report",
    "StopReason",
    "TooManyRows",
    "apreflight",
    "aresume",
    "astart",
    "preflight",
    "progress_bar",
    "resume",
    "start",
]
