# SPDX-License-Identifier: MIT
"""Delay the bytes between clients and a server, so that the server is further away.

A process of its own forwards what arrives, as it arrives: it reads no messages, and one thread
waits for all sockets and for the time. So a flight of many messages costs it little more than one
of few. What it costs all the same is measured, by :func:`round_trip`.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from select import select
from statistics import median
from time import monotonic, perf_counter
from typing import Any

import psycopg
from attrs import define, field, frozen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.processes import process

_SIZE = 1 << 16


@frozen
class DelayProxy:
    """A running process, and how to connect through it."""

    conninfo: str
    _pipe: Pipe[Any, Any]

    def set_rtt(self, seconds: float) -> None:
        """Set the round trip's time, also for clients that are connected already."""
        self._pipe.send(seconds)
        self._pipe.recv()


@contextmanager
def delay_proxy(conninfo: str) -> Iterator[DelayProxy]:
    """Start the process, at first without a delay."""
    with process(_serve, conninfo) as pipe:
        yield DelayProxy(pipe.recv(), pipe)


@define(eq=False)
class _Direction:
    """One direction of a connection."""

    source: socket.socket
    sink: socket.socket
    arrived: deque[tuple[float, bytes]] = field(factory=deque[tuple[float, bytes]])
    """What is on its way, each with the time at which it is due; no bytes are the end of file."""
    due: bytes = b""
    """What the sink has not accepted yet."""
    is_open: bool = True
    """Whether more may arrive."""
    has_ended: bool = False
    """Whether the end of file was sent."""

    def receive(self, delay: float) -> None:
        """Read what has arrived."""
        try:
            data = self.source.recv(_SIZE)
        except OSError:
            data = b""
        self.arrived.append((monotonic() + delay, data))
        self.is_open = bool(data)

    def forward(self) -> None:
        """Send what is due, as far as the sink accepts it; drop it if the sink is closed."""
        now = monotonic()
        try:
            while not self.has_ended and self.arrived and self.arrived[0][0] <= now:
                _, data = self.arrived.popleft()
                self.due += data
                self.has_ended = not data
            if self.due:
                self.due = self.due[self.sink.send(self.due) :]
            if self.has_ended and not self.due:
                self.sink.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self.due = b""


def _serve(conninfo: str, pipe: Pipe[Any, Any]) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    own = {"host": "127.0.0.1", "hostaddr": None, "port": listener.getsockname()[1]}
    pipe.send(make_conninfo(conninfo, **own, sslmode="disable", gssencmode="disable"))
    delay, directions = 0.0, list[_Direction]()
    while True:
        times = [each.arrived[0][0] for each in directions if each.arrived]
        timeout = max(0.0, min(times) - monotonic()) if times else None
        sources = {each.source: each for each in directions if each.is_open}
        full = [each.sink for each in directions if each.due]
        watched: list[Any] = [listener, pipe, *sources]
        for ready in select(watched, full, [], timeout)[0]:
            if ready is listener:
                directions += _accept(listener, conninfo)
            elif ready is pipe:
                delay = pipe.recv() / 2
                pipe.send("set")
            else:
                sources[ready].receive(delay)
        for each in directions:
            each.forward()
        directions = [each for each in directions if each.due or not each.has_ended]


def _accept(listener: socket.socket, conninfo: str) -> Iterator[_Direction]:
    """Yield both directions of a new connection."""
    place = conninfo_to_dict(conninfo)
    host, port = str(place["host"]), int(place.get("port") or 5432)
    if host.startswith("/"):
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
    else:
        server = socket.create_connection((host, port))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for one, other in ((client, server), (server, client)):
        one.settimeout(0.0)
        yield _Direction(one, other)


def round_trip(conninfo: str, times: int = 30) -> float:
    """Return the median seconds of the smallest statement: one message there and back."""
    taken: list[float] = []
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for _ in range(times):
            begin = perf_counter()
            conn.execute(b"")
            taken.append(perf_counter() - begin)
    return median(taken)
