# SPDX-License-Identifier: MIT
"""SIGINT (Ctrl-C) and SIGTERM: the first one requests a stop, the second one interrupts."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console


class StopSignals:
    """Turn the first signal into a request to stop; raise KeyboardInterrupt at the second.

    Enter it in the main thread: Python delivers signals there only.

    :param console: prints what the first signal did.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stop_requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def stop_requested(self) -> bool:
        """Return True after the first signal."""
        return self._stop_requested

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _handle(self, _: int, __: FrameType | None) -> None:
        if self._stop_requested:
            raise KeyboardInterrupt
        self._stop_requested = True
        self._console.print("Stopping after this chunk; press Ctrl-C again to abort.")
