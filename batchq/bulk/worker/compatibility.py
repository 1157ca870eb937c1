# SPDX-License-Identifier: MIT
"""Recognize a job whose stage and cursor mean something else in this version of the program."""

from __future__ import annotations

from batchq.bulk.chunks.heap_chunk import is_heap_chunk
from batchq.bulk.job import Job
from batchq.bulk.worker.options import Task


def incompatible(task: Task, job: Job, remedy: str) -> str | None:
    """Describe what another version of the program has changed in the task; None if nothing.

    The job cannot continue then: its stage or its cursor would no longer mean what they did.

    :param remedy: how to restart the job.
    """
    stages = task.stages
    if not 0 <= job.stage <= len(stages):
        return (
            f"the job is in stage {job.stage + 1}, and now there are {len(stages)}; adopt(job) "
            f"restarts it from the first stage, with the tables as they are now"
        )
    if job.cursor is None or job.cursor_key is None or job.stage == len(stages):
        return None
    stage = stages[job.stage]
    is_same_heap = is_heap_chunk(job) and job.cursor_key[0] == stage.table
    if is_same_heap and stage.scan_order(job.root) is not None:
        return None
    key = stage.order_key
    saved = key.from_cursor_key(job.cursor_key)
    if saved == key:
        return None
    return f"the order key of the job was {saved}, and is {key} now; {remedy}"
