# SPDX-License-Identifier: MIT
"""Fakes of services that may not be installed, for the tests of `batchq.testing.databases`.

A CockroachDB that accepts every statement, and a Docker engine whose containers are servers of this
process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from testcontainers.core.config import ConnectionMode

from batchq.testing import error_response
from batchq.testing.messages import split, startup
from tests.support.lock_waits import TIMEOUT

VERSION = "CockroachDB CCL v25.4.4 (x86_64-pc-linux-gnu, built 2026/01/01 00:00:00, go1.25.5)"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (4 + len(body)).to_bytes(4, "big") + body


READY = message(b"Z", b"I")
# The start of CockroachDB's answer to a client: facts of its source, `sendInitialConnData`.
WELCOME = b"".join(
    [
        message(b"R", bytes(4)),
        message(b"S", b"server_version\x0013.0.0\x00"),
        message(b"S", b"client_encoding\x00UTF8\x00"),
        message(b"S", b"crdb_version\x00" + VERSION.encode() + b"\x00"),
        message(b"K", bytes(8)),
        READY,
    ]
)


class FakeCockroach:
    """Record the statements; reject the first `refusals` logins."""

    def __init__(self, refusals: int) -> None:
        self.sent: list[str] = []
        self.sessions: list[dict[str, str]] = []
        self._refusals = refusals
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"postgresql://root@127.0.0.1:{self.port}/defaultdb?sslmode=disable"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TIMEOUT)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=[client], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as stream:
            kind, first = startup(stream.read)
            while kind in {"ssl", "gssenc"}:
                client.sendall(b"N")
                kind, first = startup(stream.read)
            words = first[8:].decode().split("\0")
            if self._refusals:
                self._refusals -= 1
                client.sendall(error_response("FATAL", "57P03", "the server is starting up"))
                return
            self.sessions.append(dict(zip(words[::2], words[1::2], strict=False)))
            client.sendall(WELCOME)
            buffer = bytearray()
            while received := stream.read1():
                buffer += received
                for kind, whole in split(buffer):
                    if kind == "Q":
                        self.sent.append(whole[5:-1].decode())
                        client.sendall(message(b"C", b"SET\0") + READY)


@contextmanager
def fake_cockroach(*, refusals: int = 0) -> Iterator[FakeCockroach]:
    server = FakeCockroach(refusals)
    try:
        yield server
    finally:
        server.close()


class FakeDocker:
    """Replace testcontainers' `DockerClient`; a container's port is `port`."""

    def __init__(self, port: int, status: str, trouble: Exception | None) -> None:
        self.created: list[dict[str, Any]] = []
        self.events: list[str] = []
        self._port, self._status, self._trouble = port, status, trouble
        self.client = self

    def __call__(self) -> FakeDocker:
        return self

    def close(self) -> None:
        self.events.append("client closed")

    def create(self, image: str, **how: Any) -> FakeContainer:
        if self._trouble:
            raise self._trouble
        self.created.append({"image": image, **how})
        return FakeContainer(self, self._status)

    def start(self, _: FakeContainer) -> None:
        self.events.append("started")

    def get_connection_mode(self) -> ConnectionMode:
        return ConnectionMode.docker_host

    def host(self) -> str:
        return "127.0.0.1"

    def port(self, _: str, port: int) -> int:
        self.events.append(f"port {port}")
        return self._port


class FakeContainer:
    id = short_id = "c0ffee"

    def __init__(self, docker: FakeDocker, status: str) -> None:
        self._docker, self.status = docker, status

    def reload(self) -> None:
        self._docker.events.append("looked at")

    def logs(self, **_: bool) -> bytes:
        return b"what the server logged last"

    def remove(self, *, force: bool, v: bool) -> None:
        self._docker.events.append(f"removed, force {force}, volumes {v}")
