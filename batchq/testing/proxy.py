# SPDX-License-Identifier: MIT
"""Forward between a client and a PostgreSQL server, and record, delay, cut or silence the messages.

The sockets are real, so a test can break the connection after any message.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from batchq.testing.faults import Faults
from batchq.testing.proxy_state import ProxyState
from batchq.testing.recording import Recording
from batchq.testing.relay import Relay

__all__ = ["Proxy", "proxy"]


class Proxy:
    """A running proxy, made by `proxy()`. Its methods may be called from any thread.

    Faults are armed for *the next flight*: they apply to the connection on which a client sends
    next, and count its messages from then on, over later flights too if necessary. The startup of
    a connection and its Terminate do not count. So arm a fault while no flight is under way; a
    retry on another connection is not affected unless a fault is armed again.

    A cut always leaves the same state: the server gets the end of file after the forwarded
    messages, processes those and ends its session; only then does the client's connection break
    (end of file, no reset).
    """

    def __init__(self, conninfo: str, state: ProxyState) -> None:
        self._upstream = conninfo_to_dict(conninfo)
        if not self._upstream.get("host"):
            raise ValueError(
                "proxy(): conninfo has no host; add host=, an address or a socket directory"
            )
        self._state = state
        self._relays: dict[Relay, threading.Thread] = {}
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def conninfo(self, **parameters: str | int | None) -> str:
        """Return the server's conninfo with the proxy's address; `parameters` of libpq override it.

        It disables encryption. A client that asks for it nevertheless (`sslmode=prefer`) gets the
        answer that it is not supported.
        """
        through: dict[str, str | int | None] = {
            **self._upstream,
            "host": "127.0.0.1",
            "hostaddr": None,
            "port": self._port,
            "sslmode": "disable",
            "gssencmode": "disable",
        }
        return make_conninfo("", **{**through, **parameters})

    @contextmanager
    def record(self) -> Generator[Recording]:
        """Record the forwarded messages until the block ends; recordings may overlap.

        >>> with proxy.record() as recording:
        ...     conn.execute("SELECT %s", [1])
        >>> recording.client, recording.server, recording.flights
        ('PBDES', '12TDCZ', 1)
        """
        recording = Recording()
        with self._state.lock:
            self._state.recordings.append(recording)
        try:
            yield recording
        finally:
            with self._state.lock:
                self._state.recordings.remove(recording)

    def set_rtt(self, seconds: float) -> None:
        """Set the seconds added to a round trip, also for connections that are open."""
        with self._state.lock:
            self._state.delay = seconds / 2

    def hold(self, *, syncs: int) -> None:
        """Hold all answers to the next flight back until the server has answered this many Syncs.

        A simple Query counts as a Sync. Then all answers are delivered, and later ones as usual.

        A client that needs an answer before it sends the rest gets none, so its success proves
        that it sent one flight. Otherwise it gets a FATAL 08006 after the proxy's `timeout`.

        With `cut_answers` it also ensures that the server has processed the whole flight.
        """
        with self._state.lock:
            self._next_flight().hold = syncs

    def cut_answers(self, *, after: int, final_messages: bytes = b"") -> None:
        """Forward the server's first `after` messages, then `final_messages`, then cut.

        With `after=0` the cut is made when the first answer arrives: the client gets nothing.
        `final_messages` are raw messages that the server did not send, such as
        `error_response(...)`.

        Requests that have not been forwarded by then are dropped. To let the server process the
        whole flight, call `hold` too: `hold(syncs=2)` and `cut_answers(after=5)`.
        """
        with self._state.lock:
            faults = self._next_flight()
            faults.answers, faults.final_messages = after, final_messages

    def cut_requests(self, *, after: int) -> None:
        """Forward the client's first `after` messages, none of the answers to them, then cut.

        With `after=0` no message of the flight reaches the server; with the number of all its
        messages the server has processed everything and the client gets no answer. Otherwise the
        server has processed those messages (`recording.client.index("S")` of them are before the
        Sync).

        A client that sends fewer than `after` gets a FATAL 08006 after the proxy's `timeout`.
        """
        with self._state.lock:
            self._next_flight().requests = after

    def silence_answers(self, *, after: int) -> None:
        """Forward the server's first `after` messages, and then nothing more on any connection.

        It looks like a lost network: neither side gets an end of file, and cancel requests do not
        arrive. With `after=0` the silence begins when the first answer arrives. It lasts until
        `resume_forwarding`; `silenced` is set when it has begun and the last message before it was
        sent.
        """
        self.cut_answers(after=after)
        self._silence()

    def silence_requests(self, *, after: int) -> None:
        """Forward the client's first `after` messages, none of their answers, and then nothing.

        Otherwise the same as `silence_answers`.
        """
        self.cut_requests(after=after)
        self._silence()

    @property
    def silenced(self) -> threading.Event:
        """Event that is set once the silence has begun."""
        return self._state.silenced

    def resume_forwarding(self) -> None:
        """Forward messages of new connections again. Connections silenced before stay silent."""
        with self._state.lock:
            self._state.silent = False
            self._state.silenced.clear()

    def _silence(self) -> None:
        with self._state.lock:
            self._next_flight().quiet = True

    def close(self) -> None:
        """Close all connections, and wait until all threads have ended."""
        self._closing = True
        # Wakes accept(): only on Linux would shutting down the listening socket do so.
        socket.create_connection(("127.0.0.1", self._port)).close()
        self._acceptor.join()
        self._listener.close()
        with self._state.lock:
            relays = dict(self._relays)
        for relay in relays:
            relay.abort()
        for thread in relays.values():
            thread.join()

    def _next_flight(self) -> Faults:
        if self._state.armed is None:
            self._state.armed = Faults()
        return self._state.armed

    def _accept(self) -> None:
        number = 0
        while True:
            client, _ = self._listener.accept()
            if self._closing:
                client.close()
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            relay = Relay(number, client, self._connect, self._state)
            thread = threading.Thread(target=self._run, args=[relay], daemon=True)
            with self._state.lock:
                self._relays[relay] = thread
            thread.start()
            number += 1

    def _run(self, relay: Relay) -> None:
        relay.run()
        with self._state.lock:
            del self._relays[relay]

    def _connect(self) -> socket.socket:
        host = str(self._upstream.get("hostaddr") or self._upstream["host"])
        port = int(self._upstream.get("port") or 5432)
        if host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(f"{host}/.s.PGSQL.{port}")
            except OSError:
                server.close()
                raise
        else:
            server = socket.create_connection((host, port))
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server


@contextmanager
def proxy(conninfo: str, *, rtt: float = 0.0, timeout: float = 120.0) -> Generator[Proxy]:
    """Listen on a free port of 127.0.0.1 and forward to the server at `conninfo`.

    Its connections are cut when the block ends. It runs in threads of this process, so a client in
    the same process must not wait while it holds the interpreter's lock, as blocking calls of
    psycopg's `pgconn` do (`get_result()` before `is_busy()` is false); connections and cursors
    never do.

    :param conninfo: address of the server, over TCP or a unix socket; it must have a host.
    :param rtt: seconds added to a round trip, half in each direction. The number of bytes in
        flight is not limited, so the delay costs no throughput.
    :param timeout: seconds after which a client gets an error if `hold` or `cut_requests` waits for
        messages that it does not send; long enough for a busy machine.
    :raises ValueError: `conninfo` has no host.

    >>> with server() as postgres, proxy(postgres.conninfo(), rtt=0.005) as link:
    ...     with psycopg.connect(link.conninfo()) as conn, link.record() as recording:
    ...         conn.execute("SELECT 1")
    >>> recording.flights
    3
    """
    link = Proxy(conninfo, ProxyState(delay=rtt / 2, timeout=timeout))
    try:
        yield link
    finally:
        link.close()
