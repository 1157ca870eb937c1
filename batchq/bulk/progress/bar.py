# SPDX-License-Identifier: MIT
"""A progress bar for people: one line for each job, on a terminal or, at the end, in a file."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batchq.bulk.progress.events import Observer

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def progress_bar(*, console: Console | None = None) -> Generator[Observer]:
    """Show how far the jobs are, until the block ends. Needs the extra ``batchq[cli]``.

    What it gives is one of the ``observers`` of ``resume``, for as many activations as one likes.
    Where there is no terminal, only how it stands at the end is written, without control
    characters.

    :param console: where to; standard error unless told, for standard output is for data.
    :raises ModuleNotFoundError: without rich.

    >>> from rich.console import Console
    >>> from batchq.bulk.progress.report import Report
    >>> with progress_bar(console=Console(file=sys.stdout, force_terminal=False)) as observer:
    ...     observer(Report(rows=1000, chunks=3))  # resume(…, observers=[observer]) does it
    1,000 rows in 3 chunks; no job is left that nobody holds
    """
    try:
        from rich import console as consoles  # noqa: PLC0415  an extra: only who shows bars needs it
        from rich.live import Live  # noqa: PLC0415

        from batchq.bulk.progress.bar_lines import BarLines  # noqa: PLC0415
    except ModuleNotFoundError as error:
        message = 'progress_bar() needs rich: pip install "batchq[cli]"'
        raise ModuleNotFoundError(message) from error
    lines, console = BarLines(), console or consoles.Console(stderr=True)
    with Live(
        get_renderable=lines.draw,
        console=console,
        # On a terminal a print() goes above the lines. Data for a pipe goes where it was to go.
        redirect_stdout=sys.stdout.isatty(),
    ):
        yield lines
    if lines and not console.is_terminal:
        console.print()  # the last line ends, which Live leaves open there
