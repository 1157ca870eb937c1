# SPDX-License-Identifier: MIT
"""A relay for idle connections: a test sends messages to the client, or closes the connection."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class IdleRelay:
    """One client's connection to a server."""

    def __init__(self, conninfo: str) -> None:
        self._upstream = conninfo_to_dict(conninfo)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sides: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def conninfo(self) -> str:
        port = self._listener.getsockname()[1]
        here = {"host": "127.0.0.1", "hostaddr": None, "port": port, "sslmode": "disable"}
        return make_conninfo("", **{**self._upstream, **here, "gssencmode": "disable"})

    def send_to_client(self, words: bytes) -> None:
        """Send the client a message that the server did not send."""
        self._sides[0].sendall(words)

    def end_of_file(self) -> None:
        """Send the client the end of file, as a proxy does after a timeout; the session stays."""
        self._sides[0].shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Reset the client's connection, as a firewall does."""
        self._sides[0].shutdown(socket.SHUT_RD)  # wakes the thread, and sends nothing
        self._thread.join()
        self._sides[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._sides[0].close()

    def close(self) -> None:
        for side in self._sides:
            with suppress(OSError):  # wakes the thread, unless that has ended
                side.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for side in (self._listener, *self._sides):
            side.close()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(
            (str(self._upstream["host"]), int(self._upstream["port"] or 5432))
        )
        self._sides += client, server
        pairs = {client: server, server: client}
        with suppress(OSError, ValueError):
            while True:
                for side in select.select(list(pairs), [], [])[0]:
                    data = side.recv(1 << 16)
                    if not data:
                        return
                    pairs[side].sendall(data)


@contextmanager
def idle_relay(conninfo: str) -> Iterator[IdleRelay]:
    link = IdleRelay(conninfo)
    try:
        yield link
    finally:
        link.close()
