# SPDX-License-Identifier: MIT
"""Two threads at one value: the second comes at the very moment that the test names."""

from __future__ import annotations

import threading
from collections.abc import Callable


class WatchedLock:
    """A lock that knows whether somebody came for it. A thread may take it twice, as an RLock."""

    def __init__(self) -> None:
        self._lock, self._come = threading.RLock(), threading.Event()
        self.others: list[threading.Thread] = []

    def __enter__(self) -> None:
        self._come.set()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def meanwhile(self, do: Callable[[], object]) -> None:
        """Let another thread do it, until it waits for its turn or is through."""

        def other() -> None:
            do()
            self._come.set()

        self._come.clear()
        self.others.append(threading.Thread(target=other))
        self.others[-1].start()
        self._come.wait()

    def join(self) -> None:
        """Wait for the others."""
        for other in self.others:
            other.join()
