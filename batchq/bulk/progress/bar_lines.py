# SPDX-License-Identifier: MIT
"""The lines of a progress bar.

The thread of rich draws them while workers add events, so both take a lock. There may be thousands
of jobs: only the last few that have ended keep a line.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from threading import Lock
from uuid import UUID

from attrs import define, field
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchq.bulk.progress.events import Event, Progress
from batchq.bulk.progress.report import Report

SHOWN = 5
"""How many ended jobs keep their line."""
_ENDED = {Event.DONE, Event.STUCK, Event.RELEASED, Event.LEASE_LOST}
"""After these, no worker of this process runs the job."""
_WORKING = {Event.CLAIMED, Event.CHUNK}
_WIDTH = 20
"""The width of a bar, in characters."""


@define(eq=False)
class BarLines:
    """An observer with a line for each job, a line for removed jobs, and one for the report."""

    _jobs: dict[UUID, Progress] = field(init=False, factory=dict[UUID, Progress])
    _removed: Counter[str] = field(init=False, factory=Counter[str])
    """How removed jobs have ended. Released jobs are not counted: they are claimed again."""
    _ended: str = field(init=False, default="")
    _lock: Lock = field(init=False, factory=Lock)

    def __call__(self, event: Progress | Report) -> None:
        """Add an event or a report."""
        with self._lock:
            if isinstance(event, Progress):
                self._ended = ""
                self._jobs[event.job] = event
                self._remove_ended()
            else:
                self._ended = _end(event)

    def draw(self) -> RenderableType:
        """Draw all lines."""
        with self._lock:
            jobs, removed, ended = tuple(self._jobs.values()), self._removed.copy(), self._ended
        table = Table.grid(padding=(0, 1))
        for job in jobs:
            table.add_row(_text(f"{job.task} {job.root}"), _bar(job), _text(_doing(job)))
        counts = ", ".join(f"{count:,} {how}" for how, count in removed.items())
        below = [f"and before these: {counts}" if counts else "", ended]
        drawn: list[RenderableType] = [table] if jobs else []
        return Group(*drawn, *(_text(line) for line in below if line))

    def __bool__(self) -> bool:
        """Return whether there is any line."""
        return bool(self._jobs or self._ended)

    def _remove_ended(self) -> None:
        ended = [job for job in self._jobs.values() if job.event in _ENDED]
        ended.sort(key=lambda job: job.event is Event.STUCK)  # a person has to look at these
        for job in ended[:-SHOWN]:
            del self._jobs[job.job]
            if job.event in {Event.DONE, Event.STUCK}:
                self._removed[_word(job)] += 1


def _text(text: str) -> Text:
    """Format one line: keys and details may hold any characters."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return Text(printable, no_wrap=True, overflow="ellipsis")


def _bar(job: Progress) -> ProgressBar:
    if job.event is Event.DONE:
        return ProgressBar(total=1, completed=1, width=_WIDTH)
    if job.expected is None:
        # There is no estimate: the bar pulses while a worker runs the job.
        return ProgressBar(total=1 if job.event in _ENDED else None, width=_WIDTH)
    return ProgressBar(total=max(job.expected, 1), completed=job.rows_done, width=_WIDTH)


def _doing(job: Progress) -> str:
    """Describe a job, the most important part first: a narrow terminal cuts off the end."""
    known = job.expected is not None and job.event is not Event.DONE
    parts = [f"{job.rows_done:,} of {job.expected:,} rows" if known else f"{job.rows_done:,} rows"]
    if job.event not in _WORKING:
        parts.append(f"{_word(job)}: {job.detail}" if job.detail else _word(job))
    if job.event not in _ENDED:
        parts.append(job.table or "the parent")
        if job.remaining is not None:
            parts.append(f"{timedelta(seconds=round(job.remaining))} left")
        if job.rate is not None:
            parts.append(f"{job.rate:,.0f} rows/s")
        parts.append(f"chunk {job.chunk_size:,}")
    return ", ".join(parts)


def _word(job: Progress) -> str:
    return job.event.name.lower().replace("_", " ")


def _end(report: Report) -> str:
    reason = (
        f"{report.stop_reason.value}: {report.detail}"
        if report.detail
        else report.stop_reason.value
    )
    unfinished = f", {report.jobs_unfinished:,} jobs unfinished" if report.jobs_unfinished else ""
    return f"{report.rows:,} rows in {report.chunks:,} chunks{unfinished}; {reason}"
