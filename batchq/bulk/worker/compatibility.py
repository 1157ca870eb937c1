# SPDX-License-Identifier: MIT
"""A job that another version of a program left, of which pass and place mean something else now."""

from __future__ import annotations

from batchq.bulk.job import Job
from batchq.bulk.worker.options import Work


def of_another_program(work: Work, job: Job, way_on: str) -> str | None:
    """Say what was changed since the job came to where it is, by another version of a program or in
    it: neither its pass nor its cursor would be what they were.

    :param way_on: how the job is begun again.
    """
    passes = work.passes
    if not 0 <= job.child <= len(passes):
        here = f"the job is in pass {job.child + 1}, and now there are {len(passes)}"
        return f"{here}; adopt(job) begins it again, from the start, with the tables as now"
    if job.cursor is None or job.cursor_of is None or job.child == len(passes):
        return None
    key = passes[job.child].order_key
    was = key.written_down(job.cursor_of)
    if was == key:
        return None
    return f"the order key of the job was {was}, and is {key} now; {way_on}"
