# SPDX-License-Identifier: MIT
"""The lines of a progress bar: which jobs have one, and what is in it.

Drawn by rich's thread while activations tell what happens, so the two take turns. There may be
thousands of jobs: those that are over keep a line only while few came after them.
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
"""How many jobs that are over keep their line."""
_OVER = {Event.DONE, Event.STUCK, Event.RELEASED, Event.LEASE_LOST}
"""After these nobody here works on the job."""
_WORKING = {Event.CLAIMED, Event.CHUNK}
_WIDTH = 20
"""Of a bar, in characters."""


@define(eq=False)
class BarLines:
    """A line for each job, one for those whose line is gone, and one for how it ended."""

    _jobs: dict[UUID, Progress] = field(init=False, factory=dict[UUID, Progress])
    _gone: Counter[str] = field(init=False, factory=Counter[str])
    """How the jobs ended whose line is gone. Who is deferred comes back, and is not in it."""
    _ended: str = field(init=False, default="")
    _lock: Lock = field(init=False, factory=Lock)

    def __call__(self, told: Progress | Report) -> None:
        """Take in what has happened."""
        with self._lock:
            if isinstance(told, Progress):
                self._ended = ""
                self._jobs[told.job] = told
                self._make_room()
            else:
                self._ended = _end(told)

    def draw(self) -> RenderableType:
        """All lines, as they are now."""
        with self._lock:
            jobs, gone, ended = tuple(self._jobs.values()), self._gone.copy(), self._ended
        table = Table.grid(padding=(0, 1))
        for job in jobs:
            table.add_row(_text(f"{job.task} {job.root}"), _bar(job), _text(_doing(job)))
        some = ", ".join(f"{count:,} {how}" for how, count in gone.items())
        below = [f"and before these: {some}" if some else "", ended]
        drawn: list[RenderableType] = [table] if jobs else []
        return Group(*drawn, *(_text(line) for line in below if line))

    def __bool__(self) -> bool:
        """Whether there is any line."""
        return bool(self._jobs or self._ended)

    def _make_room(self) -> None:
        over = [job for job in self._jobs.values() if job.event in _OVER]
        over.sort(key=lambda job: job.event is Event.STUCK)  # somebody has to look at these
        for job in over[:-SHOWN]:
            del self._jobs[job.job]
            if job.event in {Event.DONE, Event.STUCK}:
                self._gone[_word(job)] += 1


def _text(text: str) -> Text:
    """One line, whatever is in it: keys and reasons are the caller's, and may hold anything."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return Text(printable, no_wrap=True, overflow="ellipsis")


def _bar(job: Progress) -> ProgressBar:
    if job.event is Event.DONE:
        return ProgressBar(total=1, completed=1, width=_WIDTH)
    if job.expected is None:
        # Nobody knows how far it is: it pulses while somebody works on it.
        return ProgressBar(total=1 if job.event in _OVER else None, width=_WIDTH)
    return ProgressBar(total=max(job.expected, 1), completed=job.rows_done, width=_WIDTH)


def _doing(job: Progress) -> str:
    """What is worth most comes first: a narrow terminal cuts the end off."""
    known = job.expected is not None and job.event is not Event.DONE
    said = [f"{job.rows_done:,} of {job.expected:,} rows" if known else f"{job.rows_done:,} rows"]
    if job.event not in _WORKING:
        said.append(f"{_word(job)}: {job.detail}" if job.detail else _word(job))
    if job.event not in _OVER:
        said.append(job.table or "the parent")
        if job.remaining is not None:
            said.append(f"{timedelta(seconds=round(job.remaining))} left")
        if job.rate is not None:
            said.append(f"{job.rate:,.0f} rows/s")
        said.append(f"chunk {job.chunk_size:,}")
    return ", ".join(said)


def _word(job: Progress) -> str:
    return job.event.name.lower().replace("_", " ")


def _end(report: Report) -> str:
    because = (
        f"{report.stop_reason.value}: {report.detail}"
        if report.detail
        else report.stop_reason.value
    )
    waiting = f", {report.jobs_unfinished:,} jobs waiting" if report.jobs_unfinished else ""
    return f"{report.rows:,} rows in {report.chunks:,} chunks{waiting}; {because}"
