# SPDX-License-Identifier: MIT
"""A fake server on a real socket, which knows whether it has committed and answers as configured.

It reads a whole flight, executes it as PostgreSQL or CockroachDB would, and only then answers. So
the true outcome is known before the client gets its first answer, and the outcome that the client
reports can be compared with it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from attrs import define, field, frozen

from batchq.testing.messages import split, startup

Group = list[tuple[str, bytes]]
"""Messages up to a Sync, each with its letter."""

SETTINGS = {
    "server_version": "16.0",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
}


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (4 + len(body)).to_bytes(4, "big") + body


def error(fields: dict[str, str]) -> bytes:
    """Return an ErrorResponse with exactly these fields, by their letters."""
    return message(b"E", b"".join(f"{k}{v}\0".encode() for k, v in fields.items()) + b"\0")


@frozen(kw_only=True)
class Scenario:
    """What happens to the next flight."""

    place: int | None = None
    """Index of the command that fails: 0 opens the transaction, then come the steps, the last one
    closes it. None: no command fails."""
    fields: dict[str, str] = field(factory=dict)
    """The fields of the error."""
    commits: bool = False
    """If True, the transaction is committed nevertheless: before the error is sent, or after it if
    a pooler sends the error."""
    ends: bool = False
    """If True, the session ends with the error, before the next Sync is answered."""
    syncs: int = 1
    """How many Syncs the flight has at least: it is answered when they have arrived."""
    cut: int | None = None
    """Number of answer messages after which the connection is cut; None: it is not."""


@define(eq=False)
class Session:
    """One connection."""

    server: FakeServer
    state: str = "I"
    names: dict[bytes, str] = field(factory=dict)
    conflict: dict[str, str] = field(factory=dict)
    """On CockroachDB, the error of a ROLLBACK TO SAVEPOINT after a conflict: the same again."""

    def answer(self, groups: list[Group], scenario: Scenario) -> list[bytes]:
        """Execute a flight, group by group between its Syncs, and return the answers."""
        answers: list[bytes] = []
        place, bound = 0, ""
        for group in groups:
            skipping = False
            for kind, whole in group:
                if kind == "S":
                    answers.append(message(b"Z", self.state.encode()))
                elif kind == "E" and not skipping and place == scenario.place:
                    answers.append(error(scenario.fields))
                    self._fail(bound, scenario)
                    skipping = True
                    if scenario.ends:
                        return answers
                elif kind == "E" and not skipping and self._is_refused(bound):
                    answers.append(error(self.conflict))
                    skipping = True
                elif not skipping:
                    bound = self._bound(whole) if kind == "B" else bound
                    answers += self._do(bound) if kind == "E" else self._prepare(kind, whole)
                place += kind == "E"
        return answers

    def _prepare(self, kind: str, whole: bytes) -> list[bytes]:
        """Answer the messages before a command's Execute."""
        if kind == "P":
            name, text = whole[5:].split(b"\0")[:2]
            self.names[name] = text.decode()
        parameters = [message(b"t", b"\0\0")] if kind == "D" and whole[5:6] == b"S" else []
        letter = {"P": b"1", "B": b"2", "D": b"n", "C": b"3"}[kind]
        return [*parameters, message(letter, b"")]

    def _bound(self, whole: bytes) -> str:
        return self.names[whole[5:].split(b"\0")[1]]

    def _fail(self, text: str, scenario: Scenario) -> None:
        self.server.committed |= scenario.commits
        opening, closing = text.startswith("BEGIN"), text.startswith("COMMIT")
        self.state = "I" if opening or closing else "E"

        is_conflict = self.server.cockroach and scenario.fields.get("C") == "40001"
        self.conflict = scenario.fields if is_conflict else {}

    def _is_refused(self, text: str) -> bool:
        return bool(self.conflict) and text.startswith("ROLLBACK TO")

    def _do(self, text: str) -> list[bytes]:
        tag, warned = text.split(maxsplit=1)[0], list[bytes]()
        if tag == "BEGIN":
            self.state = "T"
        elif tag == "COMMIT":
            # Outside a transaction it only gives a warning, and the same answer.
            warned = [message(b"N", b"SWARNING\0VWARNING\0C25P01\0Mnone\0\0")] * (self.state == "I")
            self.server.committed |= self.state == "T"
            tag = "ROLLBACK" if self.state == "E" else tag
            self.state = "I"
        elif tag == "ROLLBACK":
            self.state = "T" if "SAVEPOINT" in text else "I"
        elif tag == "INSERT":
            tag = "INSERT 0 1"
        return [*warned, message(b"C", tag.encode() + b"\0")]


@define(eq=False)
class FakeServer:
    """The server. For each flight: set the scenario, run the batch, read ``committed``."""

    cockroach: bool
    scenario: Scenario = field(factory=Scenario)
    committed: bool = False
    _listener: socket.socket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        port = self._listener.getsockname()[1]
        conninfo = f"host=127.0.0.1 port={port} user=u dbname=d sslmode=disable gssencmode=disable"
        return psycopg.connect(conninfo, autocommit=True, **options)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as stream:
            startup(stream.read)
            settings = SETTINGS | ({"crdb_version": "v25.4"} if self.cockroach else {})
            answers = [message(b"S", f"{k}\0{v}\0".encode()) for k, v in settings.items()]
            client.sendall(
                b"".join(
                    [
                        message(b"R", bytes(4)),
                        *answers,
                        message(b"K", bytes(8)),
                        message(b"Z", b"I"),
                    ]
                )
            )
            session, buffer = Session(self), bytearray()
            groups: list[Group] = [[]]
            while received := stream.read1():
                buffer += received
                for kind, whole in split(buffer):
                    if kind == "X":
                        return
                    if kind == "Q":
                        text = whole[5:-1].decode()
                        client.sendall(
                            b"".join(session._do(text)) + message(b"Z", session.state.encode())
                        )
                        continue
                    groups[-1].append((kind, whole))
                    if kind == "S":
                        groups.append([])
                is_whole = len(groups) > self.scenario.syncs and _is_whole(groups, session)
                if is_whole and not self._answered(client, session, groups):
                    return

    def _answered(self, client: socket.socket, session: Session, groups: list[Group]) -> bool:
        """Answer, and say whether the link still stands."""
        scenario, self.scenario = self.scenario, Scenario()
        answers = session.answer(groups[:-1], scenario)
        groups[:] = [[]]
        client.sendall(b"".join(answers[: scenario.cut]))
        return scenario.cut is None and not scenario.ends


def _is_whole(groups: list[Group], session: Session) -> bool:
    """Return True if the flight is complete: it ends with COMMIT or ROLLBACK, and a Sync."""
    if groups[-1] or len(groups) < 2:
        return False
    texts = [_text(whole, session) for group in groups for kind, whole in group if kind in "PB"]
    return any(text.startswith(("COMMIT", "RELEASE", "ROLLBACK")) for text in texts)


def _text(whole: bytes, session: Session) -> str:
    _, second = whole[5:].split(b"\0")[:2]
    if whole[:1] == b"P":
        return second.decode()
    return session.names[second] if second else ""  # what has no name is parsed in its own flight


@contextmanager
def fake_server(*, cockroach: bool) -> Iterator[FakeServer]:
    server = FakeServer(cockroach=cockroach)
    try:
        yield server
    finally:
        server.close()
