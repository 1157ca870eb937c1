# SPDX-License-Identifier: MIT
"""A progress bar with one line for each job."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batchq.bulk.progress.events import Observer
from batchq.language.argument_types import checked

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def progress_bar(*, console: Console | None = None) -> Generator[Observer]:
    """Show the progress of jobs until the block ends. Needs the extra ``batchq[cli]``.

    It returns an observer, which any number of workers may use. Without a terminal only the state
    at the end is written, without control characters.

    :param console: the default is standard error, because standard output is for data.
    :raises ModuleNotFoundError: without rich.
    :raises TypeError: if ``console`` is not one of rich's.

    >>> from rich.console import Console
    >>> from batchq.bulk.progress.report import Report
    >>> with progress_bar(console=Console(file=sys.stdout, force_terminal=False)) as observer:
    ...     observer(Report(rows=1000, chunks=3))  # resume(…, observers=[observer]) does it
    1,000 rows in 3 chunks; no claimable job is left
    """
    try:
        from rich import console as consoles  # noqa: PLC0415  an extra: only a progress bar needs it
        from rich.live import Live  # noqa: PLC0415

        from batchq.bulk.progress.bar_lines import BarLines  # noqa: PLC0415
    except ModuleNotFoundError as error:
        message = 'progress_bar() needs rich: pip install "batchq[cli]"'
        raise ModuleNotFoundError(message) from error
    if console is None:
        console = consoles.Console(stderr=True)
    checked("progress_bar", "console", console, consoles.Console, "Console()", error=TypeError)
    lines = BarLines()
    with Live(
        get_renderable=lines.draw,
        console=console,
        # On a terminal a print() is shown above the lines. Data for a pipe is not redirected.
        redirect_stdout=sys.stdout.isatty(),
    ):
        yield lines
    if lines and not console.is_terminal:
        console.print()  # Live does not end the last line there
