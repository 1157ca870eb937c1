# SPDX-License-Identifier: MIT
"""Relay one client's connection to the server: two sockets and the threads that serve them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from batchq.testing.delayed_pipe import DelayedPipe
from batchq.testing.faults import Faults
from batchq.testing.messages import Message, Sender, error_response, split, startup
from batchq.testing.proxy_state import ProxyState

__all__ = ["Relay"]

_CHUNK = 1 << 16
_TERMINATE = "X"
_READY_FOR_QUERY = "Z"

_TIMED_OUT = (
    "proxy: the client did not send the rest of its flight: it waits for an answer, or "
    "hold(syncs=) or cut_requests(after=) is larger than what it sends"
)


class Relay:
    """Forward between a client and a server connection until both are closed, or `abort()`."""

    def __init__(
        self,
        number: int,
        client: socket.socket,
        connect: Callable[[], socket.socket],
        state: ProxyState,
    ) -> None:
        self._number = number
        self._client = client
        self._connect = connect
        self._state = state
        self._server: socket.socket | None = None
        self._aborted = False
        self._faults = Faults()
        self._ready = False  # True after the startup
        self._timers: list[threading.Timer] = []
        # A connection opened before or during a silence stays silent for ever.
        self._epoch = -1 if state.silent else state.silences
        self._released = threading.Event()

    def run(self) -> None:
        """Serve the connection until it is closed; all threads started here have ended then."""
        # A peer that disconnects, or speaks another protocol, only loses its connection.
        with self._client, suppress(OSError, ValueError):
            receive = partial(_receive, self._client)
            kind, packet = startup(receive)
            while kind not in {"startup", "cancel"}:
                # The answer of a server without TLS: the proxy has to read the messages.
                self._client.sendall(b"N")
                kind, packet = startup(receive)
            if self._silent:
                self._released.wait()
                return
            with self._connect() as server:
                self._server = server
                if self._aborted:
                    return
                if kind == "cancel":
                    self._cancel(server, packet)
                else:
                    self._serve(server, packet)

    def abort(self) -> None:
        """Close both sides, from any thread; `run` then returns."""
        self._aborted = True
        self._released.set()
        for peer in (self._client, self._server):
            # Wakes threads that wait in recv or send; `run` closes the sockets.
            with suppress(OSError):
                if peer is not None:
                    peer.shutdown(socket.SHUT_RDWR)

    def _cancel(self, server: socket.socket, packet: bytes) -> None:
        with self._state.lock:
            self._record("client", "cancel", packet[4:], len(packet))
        server.sendall(packet)
        # The server closes the connection after sending the signal, which PQcancel waits for.
        while server.recv(_CHUNK):
            pass

    def _serve(self, server: socket.socket, packet: bytes) -> None:
        self._to_server = DelayedPipe(server, self._delay)
        self._to_client = DelayedPipe(self._client, self._delay)
        reader = threading.Thread(target=self._read_server, args=[server], daemon=True)
        with self._state.lock:
            self._record("client", "startup", packet[4:], len(packet))
            self._to_server.put(packet)
        reader.start()
        self._read(self._client, self._requests)
        self._to_server.end()
        reader.join()
        for timer in self._timers:
            timer.cancel()
            timer.join()
        self._to_server.join()
        self._to_client.join()

    def _delay(self) -> float:
        return self._state.delay

    def _read_server(self, server: socket.socket) -> None:
        self._read(server, self._answers)
        with self._state.lock:
            self._answer(self._faults.release())
            self._to_client.end()

    def _read(
        self, peer: socket.socket, handle: Callable[[Iterable[tuple[str, bytes]]], None]
    ) -> None:
        buffer = bytearray()
        with suppress(OSError, ValueError):
            while chunk := peer.recv(_CHUNK):
                buffer += chunk
                with self._state.lock:
                    if not self._silent:
                        handle(split(buffer))
                if self._silent:
                    # Bytes sent from now on fill the sockets' buffers, as on a lost network.
                    self._released.wait()
                    return

    @property
    def _silent(self) -> bool:
        return self._epoch != self._state.silences

    def _requests(self, messages: Iterable[tuple[str, bytes]]) -> None:
        forwarded: list[bytes] = []
        for kind, message in messages:
            if self._ready and kind != _TERMINATE:
                self._take_faults()
            if self._faults.request():
                self._record("client", kind, message[5:], len(message))
                forwarded.append(message)
        self._to_server.put(b"".join(forwarded))
        if self._faults.cut and self._faults.quiet:
            self._state.silence(self._to_server)
        elif self._faults.cut:
            self._to_server.end()

    def _answers(self, messages: Iterable[tuple[str, bytes]]) -> None:
        forwarded: list[tuple[str, bytes]] = []
        for kind, message in messages:
            forwarded += self._faults.answer(kind, message)
            self._ready = self._ready or kind == _READY_FOR_QUERY
        self._answer(forwarded)

    def _answer(self, forwarded: Sequence[tuple[str, bytes]]) -> None:
        for kind, message in forwarded:
            self._record("server", kind, message[5:], len(message))
        self._to_client.put(b"".join(message for _, message in forwarded))
        if self._faults.cut and self._faults.quiet:
            self._state.silence(self._to_client)
        elif self._faults.cut:
            self._cut(self._faults.final_messages)

    def _cut(self, words: bytes) -> None:
        self._to_client.put(words)
        self._to_server.end()
        self._faults.final_messages = b""

    def _take_faults(self) -> None:
        if self._state.armed and not self._faults.withholding:
            self._faults, self._state.armed = self._state.armed, None
            if self._faults.withholding:
                timer = threading.Timer(self._state.timeout, self._give_up, [self._faults])
                timer.daemon = True
                timer.start()
                self._timers.append(timer)

    def _give_up(self, faults: Faults) -> None:
        with self._state.lock:
            if self._faults is faults and faults.withholding:
                faults.cut = True
                self._cut(error_response("FATAL", "08006", _TIMED_OUT))

    def _record(self, sender: Sender, kind: str, body: bytes, size: int) -> None:
        message = Message(self._number, sender, kind, size, body)
        for recording in self._state.recordings:
            recording.add(message)


def _receive(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = peer.recv(size - len(data))
        if not chunk:
            raise ConnectionError("the peer closed the connection within a message")
        data += chunk
    return data
