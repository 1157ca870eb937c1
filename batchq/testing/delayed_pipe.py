# SPDX-License-Identifier: MIT
"""Send bytes to a socket after a delay, as a long network would."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["DelayedPipe"]


class DelayedPipe:
    """One direction of a connection: bytes are sent `delay()` seconds after they were put.

    A thread of its own sends them, so a peer that does not read does not block the reader of the
    other direction.
    """

    def __init__(self, sink: socket.socket, delay: Callable[[], float]) -> None:
        self._sink = sink
        self._delay = delay
        self._queue: queue.SimpleQueue[tuple[float, bytes | Callable[[], None] | None]]
        self._queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        """Send data after the delay."""
        if data:
            self._queue.put((time.monotonic() + self._delay(), data))

    def call(self, function: Callable[[], None]) -> None:
        """Call a function after all data put so far was sent."""
        self._queue.put((time.monotonic() + self._delay(), function))

    def end(self) -> None:
        """Send the end of file after all data put so far."""
        self._queue.put((time.monotonic() + self._delay(), None))

    def join(self) -> None:
        """Wait until the end of file was sent."""
        self._thread.join()

    def _run(self) -> None:
        data: bytes | Callable[[], None] | None = b""
        while data is not None:
            due, data = self._queue.get()
            if (wait := due - time.monotonic()) > 0:
                time.sleep(wait)
            # If the peer has closed the connection the rest is dropped; the reader of that peer
            # notices the end of file.
            with suppress(OSError):
                if callable(data):
                    data()
                elif data is None:
                    self._sink.shutdown(socket.SHUT_WR)
                else:
                    self._sink.sendall(data)
