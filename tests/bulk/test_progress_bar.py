# SPDX-License-Identifier: MIT
"""The progress bar on a terminal and in a file, and without rich."""

from __future__ import annotations

import io
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from rich.console import Console
from rich.progress_bar import ProgressBar

from batchq.bulk import Progress, Report, StopReason, progress_bar
from batchq.bulk.progress.bar_lines import SHOWN, BarLines
from batchq.bulk.progress.events import Event, Observer
from tests.support.progress_events import progress as example
from tests.support.two_threads import WatchedLock

progress = partial(example, rows_done=1_200, expected=4_800, chunk_size=500, rate=400.0)


class Line(NamedTuple):
    """The line of a job, before rich lays it out."""

    job: Any
    bar: ProgressBar
    doing: Any


def drawn(*events: Progress | Report) -> tuple[list[Line], list[str]]:
    """Return the lines of the jobs after these events, and the texts below them."""
    lines = BarLines()
    for event in events:
        lines(event)
    drawing: Any = lines.draw()
    table, *below = drawing.renderables if lines._jobs else (None, *drawing.renderables)
    cells = () if table is None else (column.cells for column in table.columns)
    rows = [Line(*row) for row in zip(*cells, strict=True)]
    return rows, [text.plain for text in below]


@contextmanager
def page(file: io.StringIO, width: int = 160) -> Generator[Observer]:
    """Show a bar where there is no terminal."""
    console = Console(file=file, width=width, force_terminal=False, _environ={})
    with progress_bar(console=console) as observer:
        yield observer


# -- the lines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "doing", "percentage"),
    [
        (progress(), ["1,200 of 4,800", "rule", "0:00:09 left", "400 rows/s", "chunk 500"], 25),
        (progress(event=Event.CLAIMED, rows_done=0), ["0 of 4,800 rows"], 0),
        (progress(table=None, rate=None), ["1,200 of 4,800", "the parent"], 25),
        (progress(event=Event.THROTTLED, detail="lag"), ["1,200 of", "throttled: lag"], 25),
        (progress(event=Event.STUCK, detail="late: 5"), ["1,200 of", "stuck: late: 5"], 25),
        (progress(event=Event.LEASE_LOST), ["1,200 of", "lease lost"], 25),
        (progress(event=Event.RELEASED), ["1,200 of", "released"], 25),
        (progress(event=Event.RELEASED, expected=None), ["1,200 rows", "released"], 0),
        (progress(rows_done=0, expected=0), ["0 of 0 rows"], 0),
        (progress(event=Event.DONE, table=None), ["1,200 rows", "done"], 100),
        (progress(event=Event.DONE, rows_done=0, expected=0), ["0 rows", "done"], 100),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_bar_line_shows_what_a_job_does_and_is_full_after_it(
    last: Progress, doing: list[str], percentage: float
) -> None:
    ((line,), _) = drawn(progress(), last)
    assert line.job.plain == "vpc 7"
    assert line.bar.percentage_completed == percentage
    text, last_place = line.doing.plain, -1
    for part in doing:  # the most important first: a narrow terminal cuts off the end
        assert text.find(part) > last_place, text
        last_place = text.find(part)


def test_bar_pulses_if_there_is_no_estimate() -> None:
    ((line,), _) = drawn(progress(expected=None))
    assert line.bar.total is None


def test_bar_keeps_few_lines_of_a_thousand_ended_jobs() -> None:
    ended = [progress(job, event) for job in range(1, 1_001) for event in (Event.CHUNK, Event.DONE)]
    lines, below = drawn(progress(0), *ended)
    jobs = [line.job.plain for line in lines]
    assert jobs == ["vpc 0", *(f"vpc {job}" for job in range(1_001 - SHOWN, 1_001))]
    assert below == ["and before these: 995 done"]


def test_bar_keeps_the_lines_of_stuck_jobs_longest() -> None:
    stuck = progress(1, Event.STUCK, detail="late")
    lines, below = drawn(stuck, *(progress(job, Event.DONE) for job in range(2, 20)))
    assert len(lines) == SHOWN
    assert "stuck: late" in lines[0].doing.plain
    assert below == [f"and before these: {19 - SHOWN} done"]


def test_bar_counts_a_released_and_resumed_job_once() -> None:
    events = (Event.RELEASED, Event.DONE)
    _, below = drawn(*(progress(job, event) for event in events for job in range(1, 11)))
    assert below == ["and before these: 5 done"]


def test_bar_drops_the_end_of_a_worker_when_the_next_one_starts() -> None:
    ended = Report(stop_reason=StopReason.THROTTLED, detail="lag", jobs_unfinished=2)
    lines, (below,) = drawn(ended)
    assert lines == []
    for part in ("0 rows in 0 chunks", "2 jobs unfinished", "a throttle stopped it", "lag"):
        assert part in below
    assert drawn(ended, progress())[1] == []


# -- on a console ----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [30, 80, 160])
def test_bar_in_a_file_has_no_control_characters_and_one_line_a_job(width: int) -> None:
    file = io.StringIO()
    with page(file, width) as observer:
        observer(progress(1, root="[red]7[/red]\x1b[2J\n\r" + "long" * 20))
        observer(progress(2, Event.STUCK, detail="children keep\ncoming\x07"))
        observer(Report(stop_reason=StopReason.FAILED, detail="refused\nDETAIL: more"))
    assert {char for char in file.getvalue() if not char.isprintable()} == {"\n"}
    lines = file.getvalue().splitlines()
    assert len(lines) == 3
    assert all(len(line.rstrip()) <= width for line in lines)
    assert lines[0].startswith("vpc [red")


def test_bar_writes_nothing_without_events() -> None:
    file = io.StringIO()
    with page(file):
        pass
    assert file.getvalue() == ""


def test_bar_ends_with_its_block_even_after_an_error() -> None:
    file = io.StringIO()

    def stopped() -> None:
        with page(file) as observer:
            observer(progress())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert len(file.getvalue().splitlines()) == 1


class _Drawn(dict[UUID, Progress]):
    """Jobs that get an event while they are drawn."""

    def __init__(self, lines: BarLines) -> None:
        self.turns = lines._lock = WatchedLock()
        self.lines = lines

    def values(self) -> Iterator[Progress]:
        for value in super().values():
            if not self.turns.others:
                self.turns.meanwhile(lambda: self.lines(progress(2)))
            yield value


def test_bar_shows_an_event_during_drawing_in_the_next_drawing() -> None:
    lines, console = BarLines(), Console(file=io.StringIO(), _environ={})
    lines._jobs = jobs = _Drawn(lines)
    jobs[UUID(int=1)] = progress(1)

    with console.capture() as first:
        console.print(lines.draw())
    jobs.turns.join()
    with console.capture() as second:
        console.print(lines.draw())

    assert [first.get().count("vpc"), second.get().count("vpc")] == [1, 2]


def test_bar_is_on_standard_error_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as observer:
        observer(progress())
        print("data")  # noqa: T201

    written = capsys.readouterr()
    assert written.out == "data\n"
    assert "vpc 7" in written.err


def test_bar_does_not_redirect_a_print_into_a_pipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, _environ={})
    with progress_bar(console=terminal):
        print("data")  # noqa: T201

    assert capsys.readouterr().out == "data\n"


def without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.delitem(sys.modules, "batchq.bulk.progress.bar_lines")


def test_bar_without_rich_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without_rich(monkeypatch)

    with pytest.raises(ModuleNotFoundError, match=r'pip install "batchq\[cli\]"'), progress_bar():
        pass
