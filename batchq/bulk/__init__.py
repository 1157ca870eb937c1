# SPDX-License-Identifier: MIT
"""Chunked deletes: a parent with a million children goes away, and nobody ever sees half of it.

Why: one statement that deletes a million rows holds its locks for as long as it takes, and a crash
between a parent's delete and its children's leaves rows that nobody finds. So the parent is hidden
first, in a batch that leaves a job behind; then its children go in small transactions, by whoever
claims the job; the parent goes last, when none is left.
"""

from __future__ import annotations

from batchq.bulk.backfill import Rewrite
from batchq.bulk.child_delete import Drain
from batchq.bulk.errors import (
    AlreadyBegun,
    AlreadyFenced,
    FenceMoved,
    LateRows,
    LeaseLost,
    ParentKept,
    TooMany,
    UnfitOrderKey,
)
from batchq.bulk.job import Backlog, Job
from batchq.bulk.jobs import Jobs
from batchq.bulk.preflight.findings import Reason, Refusal
from batchq.bulk.preflight.preflight import aplan, plan
from batchq.bulk.preflight.result import Plan, PlanRefused
from batchq.bulk.preflight.row_counts import Count
from batchq.bulk.preflight.statements import Planned
from batchq.bulk.progress.bar import bar
from batchq.bulk.progress.events import Event, Progress, Watcher
from batchq.bulk.progress.log import Log
from batchq.bulk.progress.monitor import Watch
from batchq.bulk.progress.report import Report, Stopped
from batchq.bulk.reading import read_tree
from batchq.bulk.start import Deleted, Fenced, astart, start
from batchq.bulk.throttles import asking, replica_lag
from batchq.bulk.tree import Tree
from batchq.bulk.worker.budget import Budget
from batchq.bulk.worker.chunk_size import ChunkSize
from batchq.bulk.worker.options import Throttle, Work
from batchq.bulk.worker.resume import aresume, resume

__all__ = [
    "AlreadyBegun",
    "AlreadyFenced",
    "Backlog",
    "Budget",
    "ChunkSize",
    "Count",
    "Deleted",
    "Drain",
    "Event",
    "FenceMoved",
    "Fenced",
    "Job",
    "Jobs",
    "LateRows",
    "LeaseLost",
    "Log",
    "ParentKept",
    "Plan",
    "PlanRefused",
    "Planned",
    "Progress",
    "Reason",
    "Refusal",
    "Report",
    "Rewrite",
    "Stopped",
    "Throttle",
    "TooMany",
    "Tree",
    "UnfitOrderKey",
    "Watch",
    "Watcher",
    "Work",
    "aplan",
    "aresume",
    "asking",
    "astart",
    "bar",
    "plan",
    "read_tree",
    "replica_lag",
    "resume",
    "start",
]
