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
from batchq.bulk.progress.report import Stopped
from batchq.bulk.worker.context import Course, Over
from batchq.bulk.worker.failures import told
from batchq.bulk.worker.job_run import Turn
from batchq.bulk.worker.options import Work
from batchq.bulk.worker.requests import Steps
from batchq.language.compose import sequence
from batchq.language.errors import BatchError

_CLAIMED = 16
"""Jobs that are looked at together."""


@define(kw_only=True, eq=False)
class Activation:
    """One activation.

    :raises ValueError: when two works have one name.
    """

    works: tuple[Work, ...]
    course: Course
    _tried: list[UUID] = field(factory=list[UUID])
    """The jobs that have had their turn."""

    def __attrs_post_init__(self) -> None:
        names = [work.name for work in self.works]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"two are called {', '.join(sorted(twice))}: by its name a job knows what it is of"
            )

    def steps(self) -> Steps[None]:
        """Go on with the jobs."""
        course = self.course
        try:
            for work in self.works:
                yield from self._all_of(work)
        except Over:
            pass
        except (BatchError, psycopg.Error) as error:  # of a pool too; the jobs know what is done
            course.end(Stopped.FAILED, told(error))
        with suppress(BatchError, psycopg.Error):
            yield from self._look_back()
        course.report.elapsed = course.elapsed()
        course.tell(deepcopy(course.report))

    def _all_of(self, work: Work) -> Steps[None]:
        course, jobs = self.course, work.jobs
        course.report.jobs_refused += yield from course.ask(jobs.unknown(work.name))
        while some := (yield from course.ask(jobs.waiting(work.name, self._tried, _CLAIMED))):
            for job in some:
                self._tried.append(job.id)
                expected = yield from self._expected(work, job)
                claim = jobs.claim(job, course.orders.owner, course.orders.lease, expected)
                claimed = yield from course.ask(claim)
                if claimed is not None:
                    yield from Turn(course=course, work=work, job=claimed).take()

    def _expected(self, work: Work, job: Job) -> Steps[int | None]:
        """Ask the planner how many rows there are, before any is gone: it knows nothing of dead
        rows until the table is analyzed. Where it has no answer there is none."""
        if job.expected is not None or job.seq:
            return job.expected
        guesses = [one.estimate(job.root) for one in work.passes]
        with suppress(BatchError):
            return sum((yield from self.course.ask(sequence(guesses))))
        return None

    def _look_back(self) -> Steps[None]:
        """Say what is left, which is what alarms are raised on."""
        report = self.course.report
        for work in self.works:
            backlog = yield from self.course.ask(work.jobs.backlog(work.name))
            report.jobs_waiting += backlog.waiting + backlog.held
            ages = (report.oldest, backlog.oldest)
            report.oldest = max((age for age in ages if age is not None), default=None)
