# SPDX-License-Identifier: MIT
"""A worker: it claims one job after the other until there is none, or until it has to stop.

It keeps no state of its own. What it has done is in the job table, and the next worker, in any
process, continues from there.
"""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from uuid import UUID

import psycopg
from attrs import define, field

from batchq.bulk.job import Job
from batchq.bulk.progress.report import StopReason
from batchq.bulk.worker.context import RunContext, WorkerStopped
from batchq.bulk.worker.failures import first_line
from batchq.bulk.worker.job_run import JobRun
from batchq.bulk.worker.options import Task
from batchq.bulk.worker.requests import Requests
from batchq.language.compose import sequence
from batchq.language.errors import BatchError

_PAGE = 16
"""How many claimable jobs are read together."""


@define(kw_only=True, eq=False)
class Worker:
    """One bounded run over the jobs of some tasks.

    :raises ValueError: if two tasks have the same name.
    """

    tasks: tuple[Task, ...]
    context: RunContext
    _seen: list[UUID] = field(factory=list[UUID])
    """The jobs that this worker has run or tried to claim."""

    def __attrs_post_init__(self) -> None:
        names = [task.name for task in self.tasks]
        if duplicates := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"resume(): two tasks are named {', '.join(sorted(duplicates))}; give each its own "
                f"name, by which its jobs are found"
            )

    def run(self) -> Requests[None]:
        """Run the jobs."""
        context = self.context
        try:
            for task in self.tasks:
                yield from self._run_jobs(task)
        except WorkerStopped:
            pass
        except (BatchError, psycopg.Error) as error:  # psycopg's from a pool; the jobs are intact
            missing = (task.jobs.no_job_table(error) for task in self.tasks)
            shown = next(filter(None, missing), error)
            context.set_stop_reason(StopReason.FAILED, first_line(shown))
        with suppress(BatchError, psycopg.Error):
            yield from self._count_unfinished()
        context.report.elapsed = context.elapsed()
        context.notify(deepcopy(context.report))

    def _run_jobs(self, task: Task) -> Requests[None]:
        context, jobs = self.context, task.jobs
        context.report.jobs_skipped += yield from context.run(jobs.other_versions(task.name))
        while page := (yield from context.run(jobs.claimable(task.name, self._seen, _PAGE))):
            for job in page:
                self._seen.append(job.id)
                expected = yield from self._expected(task, job)
                claim = jobs.claim(job, context.options.owner, context.options.lease, expected)
                claimed = yield from context.run(claim)
                if claimed is not None:
                    yield from JobRun(context=context, task=task, job=claimed).run()

    def _expected(self, task: Task, job: Job) -> Requests[int | None]:
        """Estimate the rows of a job before any of them is deleted: the planner counts dead rows
        until the table is analyzed. None if there is no estimate."""
        if job.expected is not None or job.seq:
            return job.expected
        with suppress(BatchError):  # also of a condition that cannot be sent
            estimates = [stage.estimate(job.root) for stage in task.stages]
            return sum((yield from self.context.run(sequence(estimates))))
        return None

    def _count_unfinished(self) -> Requests[None]:
        """Report what is left, for alarms."""
        report = self.context.report
        for task in self.tasks:
            stats = yield from self.context.run(task.jobs.stats(task.name))
            report.jobs_unfinished += stats.claimable + stats.leased
            report.all_jobs_stuck += stats.stuck
            ages = (report.oldest_job_age, stats.oldest_age)
            report.oldest_job_age = max((age for age in ages if age is not None), default=None)
