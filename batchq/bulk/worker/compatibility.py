# SPDX-License-Identifier: MIT
"""A job that another version of a program left, of which pass and place mean something else now."""

from __future__ import annotations

from batchq.bulk.job import Job
from batchq.bulk.worker.options import Task


def of_another_program(work: Task, job: Job, way_on: str) -> str | None:
    """Say what was changed since the job came to where it is, by another version of a program or in
    it: neither its pass nor its cursor would be what they were.

    :param way_on: how the job is begun again.
    """
    stages = work.stages
    if not 0 <= job.stage <= len(stages):
        here = f"the job is in pass {job.stage + 1}, and now there are {len(stages)}"
        return f"{here}; adopt(job) begins it again, from the start, with the tables as now"
    if job.cursor is None or job.cursor_key is None or job.stage == len(stages):
        return None
    key = stages[job.stage].order_key
    was = key.written_down(job.cursor_key)
    if was == key:
        return None
    return f"the order key of the job was {was}, and is {key} now; {way_on}"
