# SPDX-License-Identifier: MIT
"""Chunked deletes: a parent with a million children goes away, and nobody ever sees half of it.

Why: one statement that deletes a million rows holds its locks for as long as it takes, and a crash
between a parent's delete and its children's leaves rows that nobody finds. So the parent is hidden
first, in a batch that leaves a job behind; then its children go in small transactions, by whoever
claims the job; the parent goes last, when none is left.
"""

from __future__ import annotations

from batchq.bulk.activation.law import ChunkSize
from batchq.bulk.activation.options import Throttle, Watcher, Work
from batchq.bulk.activation.report import Budget, Report, Stopped
from batchq.bulk.activation.resume import aresume, resume
from batchq.bulk.activation.throttles import asking, replica_lag
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
from batchq.bulk.planning.plan import Plan, PlanRefused, aplan, plan
from batchq.bulk.planning.preview import Planned
from batchq.bulk.planning.refusals import Reason, Refusal
from batchq.bulk.planning.tally import Count
from batchq.bulk.reading import read_tree
from batchq.bulk.rewrite import Rewrite
from batchq.bulk.start import Deleted, Fenced, astart, start
from batchq.bulk.tree import Drain, Tree
from batchq.bulk.watching.bar import bar
from batchq.bulk.watching.log import Log
from batchq.bulk.watching.progress import Event, Progress
from batchq.bulk.watching.watch import Watch

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
