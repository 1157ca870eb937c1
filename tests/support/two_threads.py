# SPDX-License-Identifier: MIT
"""Let a second thread access a value at an exact moment in the first one."""

from __future__ import annotations

import threading
from collections.abc import Callable


class WatchedLock:
    """A reentrant lock that notices when another thread tries to take it."""

    def __init__(self) -> None:
        self._lock, self._come = threading.RLock(), threading.Event()
        self.others: list[threading.Thread] = []

    def __enter__(self) -> None:
        self._come.set()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def meanwhile(self, do: Callable[[], object]) -> None:
        """Call a function in another thread; return once that waits or has finished."""

        def other() -> None:
            do()
            self._come.set()

        self._come.clear()
        self.others.append(threading.Thread(target=other))
        self.others[-1].start()
        self._come.wait()

    def join(self) -> None:
        """Wait for the other threads."""
        for other in self.others:
            other.join()
