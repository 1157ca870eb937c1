# SPDX-License-Identifier: MIT
"""Delay the bytes between clients and a server, so that the server is further away.

A process of its own forwards what arrives, as it arrives: it reads no messages, so a flight of many
costs it little more than one of few. What it costs all the same is measured, by :func:`round_trip`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection as Pipe
from statistics import median
from threading import Thread
from time import perf_counter
from typing import Any

import psycopg
from attrs import frozen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from batchq.testing.delayed_pipe import DelayedPipe
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


def _serve(conninfo: str, pipe: Pipe[Any, Any]) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    own = {"host": "127.0.0.1", "hostaddr": None, "port": listener.getsockname()[1]}
    pipe.send(make_conninfo(conninfo, **own, sslmode="disable", gssencmode="disable"))
    rtt = 0.0

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = _connected(conninfo)
            for ends in ((client, server), (server, client)):
                Thread(target=_forward, args=(*ends, lambda: rtt / 2), daemon=True).start()

    Thread(target=accept, daemon=True).start()
    while True:
        rtt = pipe.recv()
        pipe.send("set")


def _connected(conninfo: str) -> socket.socket:
    place = conninfo_to_dict(conninfo)
    host, port = str(place["host"]), int(place.get("port") or 5432)
    if host.startswith("/"):
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
    else:
        server = socket.create_connection((host, port))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def _forward(source: socket.socket, sink: socket.socket, delay: Callable[[], float]) -> None:
    later = DelayedPipe(sink, delay)
    with suppress(OSError):
        while data := source.recv(_SIZE):
            later.put(data)
    later.end()


def round_trip(conninfo: str, times: int = 30) -> float:
    """Return the median seconds of the smallest statement: one message there and back."""
    taken: list[float] = []
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for _ in range(times):
            begin = perf_counter()
            conn.execute(b"")
            taken.append(perf_counter() - begin)
    return median(taken)
