# SPDX-License-Identifier: MIT
"""A man in the middle between a client and a PostgreSQL server, on real sockets: it counts, delays,
cuts and silences what goes by, so that a test can say "the link broke right behind this message".
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .faults import Faults
from .recording import Recording
from .relay import ProxyState, Relay

__all__ = ["Proxy", "proxy"]


class Proxy:
    """A running proxy, made by `proxy()`. Its methods may be called from any thread.

    What is to go wrong is armed for *the next flight*: the connection on which a client speaks
    next takes it, and counts its messages from there on, over later flights too if need be. The
    startup of a connection and its Terminate are no flight. So arm while no flight is under way,
    and a retry on another connection meets no fault unless it is armed again.

    A cut leaves the same state behind every time: the server is sent the end of the file behind
    what was forwarded, finishes that and ends its session, and only then does the client see the
    connection break (end of file, no reset).
    """

    def __init__(self, conninfo: str, state: ProxyState) -> None:
        self._upstream = conninfo_to_dict(conninfo)
        if not self._upstream.get("host"):
            raise ValueError("the server's conninfo needs a host: an address or a socket directory")
        self._state = state
        self._relays: dict[Relay, threading.Thread] = {}
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def conninfo(self, **parameters: str | int | None) -> str:
        """The server's conninfo, through the proxy; `parameters` are libpq's and win.

        Encryption is disabled in it. A client that asks for it all the same (`sslmode=prefer`) is
        told that there is none.
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
        """Record what is forwarded until the block ends; recordings may overlap.

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

    def hold(self, *, syncs: int) -> None:
        """Withhold every answer to the next flight until the server has answered so many Syncs
        (a simple Query counts as one), then deliver all and behave as usual.

        A client that needs an answer before it sends the rest gets none: it proves one flight. It
        is not left hanging but gets a FATAL 08006 after the proxy's `timeout`.

        With `cut_answers` it also makes sure that the server has done the whole flight.
        """
        with self._state.lock:
            self._next_flight().hold = syncs

    def cut_answers(self, *, after: int, last_words: bytes = b"") -> None:
        """Forward the server's first `after` messages, then `last_words`, then cut.

        With `after=0` the cut is made when the first answer arrives: the client gets nothing.
        `last_words` are raw messages that the server never sent, `error_response(...)` say.

        Requests that were not forwarded by then never are. For a flight that the server has seen
        as a whole, call `hold` too: `hold(syncs=2)` and `cut_answers(after=5)`.
        """
        with self._state.lock:
            faults = self._next_flight()
            faults.answers, faults.last_words = after, last_words

    def cut_requests(self, *, after: int) -> None:
        """Forward the client's first `after` messages, none of the answers to them, then cut.

        With `after=0` nothing of the flight reaches the server; with all of its messages the server
        has done everything, and the client heard nothing. In between the server has done what can
        be done with those messages (`recording.client.index("S")` are the ones before a Sync).

        A client that stops short of `after` gets a FATAL 08006 after the proxy's `timeout`.
        """
        with self._state.lock:
            self._next_flight().requests = after

    def silence_answers(self, *, after: int) -> None:
        """Forward the server's first `after` messages, and then nothing any more, over no
        connection, as if the network were gone: nobody is told, and cancel requests get nowhere.

        With `after=0` silence falls when the first answer arrives. It lasts until `speak`;
        `fell_silent` is set when it has fallen and the last message before it has left.
        """
        self.cut_answers(after=after)
        self._hush()

    def silence_requests(self, *, after: int) -> None:
        """Forward the client's first `after` messages, none of the answers to them, and then
        nothing any more; as `silence_answers`."""
        self.cut_requests(after=after)
        self._hush()

    @property
    def fell_silent(self) -> threading.Event:
        """Whether silence has fallen."""
        return self._state.fell_silent

    def speak(self) -> None:
        """Forward what comes over new connections. Those that silence fell on stay silent."""
        with self._state.lock:
            self._state.silent = False
            self._state.fell_silent.clear()

    def _hush(self) -> None:
        with self._state.lock:
            self._next_flight().quiet = True

    def close(self) -> None:
        """Break off every connection and wait until all threads have ended."""
        self._closing = True
        # Wakes accept(); shutting a listening socket down does so on Linux only.
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
    """Listen on a free port of 127.0.0.1 and forward to the server that `conninfo` names.

    Args:
        conninfo: how to reach the server, over TCP or a unix socket.
        rtt: seconds added to a round trip, half of them in each direction. Bytes in flight are not
            limited: a delay costs no throughput.
        timeout: seconds until a client that `hold` or `cut_requests` waits for in vain is told so.
            Long enough that a busy machine is never taken for one.

    Raises:
        ValueError: there is no host in `conninfo`.

    Connections to it are cut when the block ends. It runs in threads of this process, so a client
    in the same process must not wait with the interpreter's lock held, as the blocking calls of
    psycopg's `pgconn` do (`get_result()` before `is_busy()` is false); connections and cursors
    never do.

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
