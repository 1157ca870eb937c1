# SPDX-License-Identifier: MIT
"""Distance from a server that is near: a process in between that delivers everything later.

What arrives is stamped and delivered half a round trip later, in the order it came, however much of
it there is by then: it costs time and no throughput. It runs in a process of its own, so that it
takes nothing from the client that is measured but the time on the second core; what it takes all
the same is measured, by :func:`round_trip`.

It is ``python -m benchmarks.distance HOST PORT``. It says where it listens, takes the seconds of
the round trip as a line of standard input, and ends with that.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import IO

import psycopg
from attrs import define, field, frozen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

CHUNK = 1 << 16

SPIN = 0.0005
"""Seconds: what is due so soon is waited for awake, because a system wakes up late by as much. Who
sent it and who waits for it are asleep meanwhile."""


# -- the near side: in the benchmark's process -----------------------------------------------------


@frozen
class Distance:
    """A process in between that is running."""

    conninfo: str
    _process: subprocess.Popen[str]

    def set(self, rtt: float) -> None:
        """Be so many seconds of round trip away, from now on: also for who is connected."""
        requests, answers = _pipes(self._process)
        print(rtt, file=requests, flush=True)
        answers.readline()


@contextmanager
def distance(conninfo: str) -> Iterator[Distance]:
    """Begin with a round trip of 0 seconds, which is what being in between costs."""
    place = conninfo_to_dict(conninfo)
    upstream = [str(place["host"]), str(place.get("port", 5432))]
    with subprocess.Popen(  # noqa: S603  ourselves
        [sys.executable, "-m", "benchmarks.distance", *upstream],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    ) as process:
        requests, answers = _pipes(process)
        try:
            near = {"host": "127.0.0.1", "port": answers.readline().strip()}
            plain = {"sslmode": "disable", "gssencmode": "disable"}
            yield Distance(make_conninfo(conninfo, **near, **plain), process)
        finally:
            requests.close()  # it ends when there is nobody left to tell it how far it is


def round_trip(conninfo: str, times: int = 30) -> float:
    """The median seconds of the smallest statement there is: one message there and back."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        seen: list[float] = []
        for _ in range(times):
            start = perf_counter()
            conn.execute(b"")
            seen.append(perf_counter() - start)
    return median(seen)


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("started without pipes")
    return process.stdin, process.stdout


# -- the far side: the process in between ----------------------------------------------------------


@define(eq=False)
class Line:
    """One direction of one connection: what came, and when it is due."""

    source: socket.socket
    sink: socket.socket
    chunks: deque[tuple[float, bytes]] = field(factory=deque)
    over: bool = False
    """Nothing comes any more; what is due is still delivered."""
    full: bool = False
    """The sink takes nothing at the moment."""

    def take(self, delay: float) -> None:
        """Take what has come."""
        data = b""
        with suppress(ConnectionError):
            data = self.source.recv(CHUNK)
        self.over = not data
        self.chunks.append((perf_counter() + delay, data))

    def deliver(self) -> None:
        """Deliver what is due; an empty chunk is the end."""
        while self.chunks and self.chunks[0][0] <= perf_counter():
            due, data = self.chunks.popleft()
            try:
                if not data:
                    self.sink.shutdown(socket.SHUT_WR)
                elif (sent := self.sink.send(data)) < len(data):
                    self.chunks.appendleft((due, data[sent:]))
                    self.full = True
                    return
            except BlockingIOError:
                self.chunks.appendleft((due, data))
                self.full = True
                return
            except OSError:  # it is gone: what is meant for it has nowhere to go
                self.chunks.clear()
        self.full = False


def forward(host: str, port: str) -> None:
    """Listen, say where, and forward until standard input is closed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    delay = 0.0
    lines: list[Line] = []
    while True:
        waiting = [line for line in lines if line.chunks and not line.full]
        due = min((line.chunks[0][0] for line in waiting), default=None)
        # select and not epoll: it takes its timeout in microseconds.
        readable, writable, _ = select.select(
            [listener, sys.stdin, *(line.source for line in lines if not line.over)],
            [line.sink for line in lines if line.full],
            [],
            None if due is None else max(0.0, due - SPIN - perf_counter()),
        )
        if sys.stdin in readable:
            order = sys.stdin.readline()
            if not order:
                return
            delay = float(order) / 2
            print("there", flush=True)
        if listener in readable:
            lines += _between(listener.accept()[0], host, port)
        for line in lines:
            if line.source in readable:
                line.take(delay)
            if not line.full or line.sink in writable:
                line.deliver()
        lines = _open(lines)


def _between(client: socket.socket, host: str, port: str) -> list[Line]:
    if host.startswith("/"):
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
    else:
        server = socket.create_connection((host, int(port)))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for peer in (client, server):
        peer.setblocking(False)  # noqa: FBT003  its name
    return [Line(client, server), Line(server, client)]


def _open(lines: list[Line]) -> list[Line]:
    """Those that have still something to forward; the sockets of a pair that is over are closed."""
    done = {line.source for line in lines if line.over and not line.chunks}
    gone = [line for line in lines if line.source in done and line.sink in done]
    for line in gone:
        line.source.close()
    return [line for line in lines if line not in gone]


if __name__ == "__main__":
    forward(*sys.argv[1:])
