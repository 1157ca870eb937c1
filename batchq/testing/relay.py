# SPDX-License-Identifier: MIT
"""One client's connection through a proxy: its two sockets and the threads that serve them."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

import attrs

from .faults import Faults
from .messages import Message, Sender, error_response, split, startup
from .recording import Recording

__all__ = ["ProxyState", "Relay"]

_CHUNK = 1 << 16
_TERMINATE = "X"
_READY_FOR_QUERY = "Z"

_TIMED_OUT = (
    "proxy: the client did not send the rest of its flight; it waits for an answer, or was told "
    "of more Syncs or requests than it sends"
)


@attrs.define
class ProxyState:
    """What a test asked of the proxy; every relay looks here. `lock` guards all of it, and the
    order in which messages are recorded and forwarded."""

    delay: float
    timeout: float
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    recordings: list[Recording] = attrs.field(factory=list[Recording])
    armed: Faults | None = None
    silent: bool = False
    silences: int = 0
    fell_silent: threading.Event = attrs.field(factory=threading.Event)

    def fall_silent(self, last: DelayedPipe) -> None:
        """Forward nothing any more over the connections there are, nor over new ones.

        `fell_silent` is set when the last that is forwarded has left."""
        self.silent = True
        self.silences += 1
        last.call(self.fell_silent.set)


class DelayedPipe:
    """One direction: what is put in comes out `delay` seconds later, however much it is.

    Its thread writes; so a peer that does not read holds up nobody who reads from the other one.
    """

    def __init__(self, sink: socket.socket, delay: float) -> None:
        self._sink = sink
        self._delay = delay
        self._queue: queue.SimpleQueue[tuple[float, bytes | Callable[[], None] | None]]
        self._queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        if data:
            self._queue.put((time.monotonic() + self._delay, data))

    def call(self, function: Callable[[], None]) -> None:
        """Call a function when all that was put has left."""
        self._queue.put((time.monotonic() + self._delay, function))

    def end(self) -> None:
        """The end of the file, behind all that was put."""
        self._queue.put((time.monotonic() + self._delay, None))

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        data: bytes | Callable[[], None] | None = b""
        while data is not None:
            due, data = self._queue.get()
            if (wait := due - time.monotonic()) > 0:
                time.sleep(wait)
            # Once the peer is gone the rest has nowhere to go; the one who reads from it notices.
            with suppress(OSError):
                if callable(data):
                    data()
                elif data is None:
                    self._sink.shutdown(socket.SHUT_WR)
                else:
                    self._sink.sendall(data)


class Relay:
    """Forwards between a client and a server of its own until both have hung up, or `abort()`."""

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
        self._ready = False  # once the startup is over
        self._timers: list[threading.Timer] = []
        # One that was there when silence fell stays silent, and so does one that came meanwhile.
        self._speaks_in = -1 if state.silent else state.silences
        self._released = threading.Event()

    def run(self) -> None:
        """Serve the connection, in this thread and others that end before it returns."""
        # A peer that breaks off or speaks another protocol loses its connection, and that is all.
        with self._client, suppress(OSError, ValueError):
            receive = partial(_receive, self._client)
            kind, packet = startup(receive)
            while kind not in {"startup", "cancel"}:
                # What a server without TLS answers: the proxy has to read what follows.
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
        """Break off both sides, from any thread; `run` then returns."""
        self._aborted = True
        self._released.set()
        for peer in (self._client, self._server):
            # Wakes whoever waits in recv or send; closing is left to `run`.
            with suppress(OSError):
                if peer is not None:
                    peer.shutdown(socket.SHUT_RDWR)

    def _cancel(self, server: socket.socket, packet: bytes) -> None:
        with self._state.lock:
            self._record("client", "cancel", packet[4:], len(packet))
        server.sendall(packet)
        # The server hangs up when the signal is sent; PQcancel waits for the same from us.
        while server.recv(_CHUNK):
            pass

    def _serve(self, server: socket.socket, packet: bytes) -> None:
        self._to_server = DelayedPipe(server, self._state.delay)
        self._to_client = DelayedPipe(self._client, self._state.delay)
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
                    # What is sent now fills the sockets' buffers, as before a network that is gone.
                    self._released.wait()
                    return

    @property
    def _silent(self) -> bool:
        return self._speaks_in != self._state.silences

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
            self._state.fall_silent(self._to_server)
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
            self._state.fall_silent(self._to_client)
        elif self._faults.cut:
            self._part(self._faults.last_words)

    def _part(self, words: bytes) -> None:
        self._to_client.put(words)
        self._to_server.end()
        self._faults.last_words = b""

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
                self._part(error_response("FATAL", "08006", _TIMED_OUT))

    def _record(self, sender: Sender, kind: str, body: bytes, size: int) -> None:
        message = Message(self._number, sender, kind, size, body)
        for recording in self._state.recordings:
            recording.add(message)


def _receive(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = peer.recv(size - len(data))
        if not chunk:
            raise ConnectionError("the peer hung up in the middle of a message")
        data += chunk
    return data
