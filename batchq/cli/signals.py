# SPDX-License-Identifier: MIT
"""Ctrl-C, and the SIGTERM of whoever stops services: first a request, then an order."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console


class StopSignals:
    """While it is entered, the first signal is only written down, and the second signals.

    :param console: where people are told what the first one did.

    Signals are the main thread's: it is entered there.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stop_requested = False
        self._before: dict[signal.Signals, Any] = {}

    def stop_requested(self) -> bool:
        """Whether somebody has asked to stop."""
        return self._stop_requested

    def __enter__(self) -> Self:
        for one in (signal.SIGINT, signal.SIGTERM):
            self._before[one] = signal.signal(one, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for one, before in self._before.items():
            signal.signal(one, before)

    def _handle(self, _: int, __: FrameType | None) -> None:
        if self._stop_requested:
            raise KeyboardInterrupt
        self._stop_requested = True
        self._console.print("stopping behind this chunk; once more to abandon it")
