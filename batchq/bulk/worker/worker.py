# SPDX-License-Identifier: MIT
"""One activation: which jobs it claims, one after the other, until there is none or it has to end.

It keeps no state of its own: what it has done is in the jobs, and whoever comes next, in whatever
process, goes on from there.
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
from batchq.bulk.worker.failures import told
from batchq.bulk.worker.job_run import JobRun
from batchq.bulk.worker.options import Task
from batchq.bulk.worker.requests import Requests
from batchq.language.compose import sequence
from batchq.language.errors import BatchError

_CLAIMED = 16
"""Jobs that are looked at together."""


@define(kw_only=True, eq=False)
class Worker:
    """One activation.

    :raises ValueError: when two works have one name.
    """

    works: tuple[Task, ...]
    context: RunContext
    _tried: list[UUID] = field(factory=list[UUID])
    """The jobs that have had their turn."""

    def __attrs_post_init__(self) -> None:
        names = [work.name for work in self.works]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"two are called {', '.join(sorted(twice))}: by its name a job knows what it is of"
            )

    def steps(self) -> Requests[None]:
        """Go on with the jobs."""
        context = self.context
        try:
            for work in self.works:
                yield from self._all_of(work)
        except WorkerStopped:
            pass
        except (BatchError, psycopg.Error) as error:  # of a pool too; the jobs know what is done
            context.end(StopReason.FAILED, told(error))
        with suppress(BatchError, psycopg.Error):
            yield from self._look_back()
        context.report.elapsed = context.elapsed()
        context.tell(deepcopy(context.report))

    def _all_of(self, work: Task) -> Requests[None]:
        context, jobs = self.context, work.jobs
        context.report.jobs_skipped += yield from context.ask(jobs.other_versions(work.name))
        while some := (yield from context.ask(jobs.claimable(work.name, self._tried, _CLAIMED))):
            for job in some:
                self._tried.append(job.id)
                expected = yield from self._expected(work, job)
                claim = jobs.claim(job, context.options.owner, context.options.lease, expected)
                claimed = yield from context.ask(claim)
                if claimed is not None:
                    yield from JobRun(context=context, work=work, job=claimed).run()

    def _expected(self, work: Task, job: Job) -> Requests[int | None]:
        """Ask the planner how many rows there are, before any is gone: it knows nothing of dead
        rows until the table is analyzed. Where it has no answer there is none."""
        if job.expected is not None or job.seq:
            return job.expected
        guesses = [one.estimate(job.root) for one in work.stages]
        with suppress(BatchError):
            return sum((yield from self.context.ask(sequence(guesses))))
        return None

    def _look_back(self) -> Requests[None]:
        """Say what is left, which is what alarms are raised on."""
        report = self.context.report
        for work in self.works:
            backlog = yield from self.context.ask(work.jobs.stats(work.name))
            report.jobs_unfinished += backlog.claimable + backlog.leased
            ages = (report.oldest_job_age, backlog.oldest_age)
            report.oldest_job_age = max((age for age in ages if age is not None), default=None)
