# SPDX-License-Identifier: MIT
"""Chunked deletes: a parent with a million children goes away, and nobody ever sees half of it.

Why: one statement that deletes a million rows holds its locks for as long as it takes, and a crash
between a parent's delete and its children's leaves rows that nobody finds. So the parent is hidden
first, in a batch that leaves a job behind; then its children go in small transactions, by whoever
claims the job; the parent goes last, when none is left.
"""

from __future__ import annotations

from batchq.bulk.activation import resume
from batchq.bulk.errors import FenceMoved, LateRows, LeaseLost, TooMany
from batchq.bulk.jobs import Job, Jobs
from batchq.bulk.law import ChunkSize
from batchq.bulk.report import Budget, Report, Stopped
from batchq.bulk.start import Deleted, Fenced, start
from batchq.bulk.tree import Drain, Tree

__all__ = [
    "Budget",
    "ChunkSize",
    "Deleted",
    "Drain",
    "FenceMoved",
    "Fenced",
    "Job",
    "Jobs",
    "LateRows",
    "LeaseLost",
    "Report",
    "Stopped",
    "TooMany",
    "Tree",
    "resume",
    "start",
]
