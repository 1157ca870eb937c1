# SPDX-License-Identifier: MIT
"""The progress bar on a terminal and in a file, and without rich."""

from __future__ import annotations

import io
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from uuid import UUID

import pytest
from rich.console import Console

from batchq.bulk import Progress, Report, StopReason, progress_bar
from batchq.bulk.progress.bar_lines import SHOWN, BarLines
from batchq.bulk.progress.events import Event, Observer
from tests.support.progress_events import progress as example
from tests.support.two_threads import WatchedLock

FULL, WIDTH = "━" * 20, 160


progress = partial(example, rows_done=1_200, expected=4_800, chunk_size=500, rate=400.0)


class Page:
    """What is written where there is no terminal."""

    def __init__(self) -> None:
        self.file = io.StringIO()

    @contextmanager
    def bar(self, width: int = WIDTH) -> Generator[Observer]:
        console = Console(file=self.file, width=width, force_terminal=False, _environ={})
        with progress_bar(console=console) as observer:
            yield observer

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.file.getvalue().splitlines()]


@pytest.fixture
def page() -> Page:
    return Page()


def test_bar_line_shows_rows_done_and_expected(page: Page) -> None:
    with page.bar() as observer:
        observer(progress(event=Event.CLAIMED, rows_done=0, rate=None))
        observer(progress())

    doing = "1,200 of 4,800 rows, rule, 0:00:09 left, 400 rows/s, chunk 500"
    assert page.lines() == [f"vpc 7 {'━' * 5}{' ' * 15} {doing}"]


@pytest.mark.parametrize(
    ("last", "doing"),
    [
        (
            progress(event=Event.THROTTLED, detail="the replica lags", rate=None),
            "1,200 of 4,800 rows, throttled: the replica lags, rule, chunk 500",
        ),
        (progress(table=None, rate=None), "1,200 of 4,800 rows, the parent, chunk 500"),
        (progress(event=Event.DONE, table=None), "1,200 rows, done"),
        (progress(event=Event.STUCK, detail="late: 5"), "1,200 of 4,800 rows, stuck: late: 5"),
        (progress(event=Event.LEASE_LOST), "1,200 of 4,800 rows, lease lost"),
        (progress(expected=None), "1,200 rows, rule, 400 rows/s, chunk 500"),
    ],
)
def test_bar_line_shows_the_table_or_the_event(page: Page, last: Progress, doing: str) -> None:
    with page.bar() as observer:
        observer(progress())
        observer(last)

    (line,) = page.lines()
    assert line.endswith(doing)


@pytest.mark.parametrize(
    ("last", "filled"),
    [
        (progress(event=Event.DONE), 20),
        (progress(event=Event.DONE, rows_done=0, expected=0), 20),
        (progress(rows_done=0, expected=0), 0),
        (progress(event=Event.RELEASED, expected=None), 0),
        (progress(event=Event.RELEASED), 5),
    ],
)
def test_bar_is_full_only_after_the_job_is_done(page: Page, last: Progress, filled: int) -> None:
    with page.bar() as observer:
        observer(last)

    (line,) = page.lines()
    assert line.count("━") == filled


def colours(expected: int | None) -> set[str]:
    """Draw the bar of a job on a terminal that has them all."""
    console = Console(
        file=io.StringIO(), width=WIDTH, force_terminal=True, color_system="truecolor", _environ={}
    )
    with progress_bar(console=console) as observer:
        observer(progress(expected=expected))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    return {piece.partition("m")[0] for piece in drawn.split("\x1b[") if "━" in piece}


def test_bar_pulses_if_there_is_no_estimate() -> None:
    assert len(colours(4_800)) == 2
    assert len(colours(None)) > 5


def test_bar_keeps_few_lines_of_a_thousand_ended_jobs(page: Page) -> None:
    with page.bar() as observer:
        observer(progress(0))
        for job in range(1, 1_001):
            observer(progress(job))
            observer(progress(job, Event.DONE))

    lines = page.lines()
    jobs = [line.split()[1] for line in lines[:-1]]
    assert jobs == ["0", *(str(job) for job in range(1_001 - SHOWN, 1_001))]
    assert lines[-1] == "and before these: 995 done"


def test_bar_keeps_the_lines_of_stuck_jobs_longest(page: Page) -> None:
    with page.bar() as observer:
        observer(progress(1, Event.STUCK, detail="late"))
        for job in range(2, 20):
            observer(progress(job, Event.DONE))

    lines = page.lines()
    assert len(lines) == SHOWN + 1
    assert lines[0].endswith("stuck: late")
    assert lines[-1] == f"and before these: {19 - SHOWN} done"


def test_bar_counts_a_released_and_resumed_job_once(page: Page) -> None:
    jobs = range(1, 11)
    with page.bar() as observer:
        for event in (Event.RELEASED, Event.DONE):
            for job in jobs:
                observer(progress(job, event))

    assert page.lines()[-1] == "and before these: 5 done"


def test_bar_drops_the_end_of_a_worker_when_the_next_one_starts(page: Page) -> None:
    with page.bar() as observer:
        observer(Report(rows=1_200, chunks=3))
        observer(progress())

    assert len(page.lines()) == 1


def test_bar_shows_why_a_worker_could_not_start(page: Page) -> None:
    with page.bar() as observer:
        observer(
            Report(stop_reason=StopReason.THROTTLED, detail="the replica lags", jobs_unfinished=2)
        )

    assert page.lines() == [
        "0 rows in 0 chunks, 2 jobs unfinished; a throttle stopped it: the replica lags"
    ]


def test_bar_writes_nothing_without_events(page: Page) -> None:
    with page.bar():
        pass

    assert page.lines() == []


@pytest.mark.parametrize("width", [30, 80, WIDTH])
def test_bar_in_a_file_has_no_control_characters_and_one_line_a_job(page: Page, width: int) -> None:
    with page.bar(width) as observer:
        observer(progress(1, root="[red]7[/red]\x1b[2J\n\r" + "long" * 20))
        observer(progress(2, Event.STUCK, detail="children keep\ncoming\x07"))
        observer(Report(stop_reason=StopReason.FAILED, detail="refused\nDETAIL: more"))

    text = page.file.getvalue()
    assert {char for char in text if not char.isprintable()} == {"\n"}
    assert len(page.lines()) == 3
    assert all(len(line) <= width for line in page.lines())
    assert page.lines()[0].startswith("vpc [red")


def test_bar_ends_with_its_block_even_after_an_error(page: Page) -> None:
    def stopped() -> None:
        with page.bar() as observer:
            observer(progress())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()

    assert len(page.lines()) == 1


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
