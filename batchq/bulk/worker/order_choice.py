# SPDX-License-Identifier: MIT
"""In which order a job's rows are deleted: a worker asks before the first chunk of a stage."""

from __future__ import annotations

from contextlib import suppress

from batchq.bulk.chunks.heap_chunk import at_first_block
from batchq.bulk.chunks.scan_order import HEAP_ROWS
from batchq.bulk.job import Job
from batchq.bulk.worker.context import RunContext
from batchq.bulk.worker.options import Task
from batchq.bulk.worker.requests import Requests
from batchq.language.errors import BatchError


def choose_order(context: RunContext, task: Task, job: Job) -> Requests[Job]:
    """Return the job with the first cursor of its scan if the scan has the order of the heap.

    Only the first scan may have it: a later one looks for the few rows that are left, and finds
    them by their key without reading the table.
    """
    starts = job.cursor is None and job.rows_done == job.scan_rows and not job.restarts
    if not starts or (job.expected or 0) < HEAP_ROWS:
        return job
    stage = task.stages[job.stage]
    with suppress(BatchError):  # without estimates it is the order of the key
        order = stage.scan_order(job.root)
        if order is not None:
            chosen = yield from context.run(order)
            if chosen.is_heap:
                return at_first_block(job, stage.table, chosen.rows_per_block)
    return job
