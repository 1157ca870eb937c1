# SPDX-License-Identifier: MIT
"""A process of version 6 or 7, which writes a route and reads the list, again and again.

Between two rounds it does what its parent asks for by a line on a pipe. The parent waits for the
answer, so no result depends on how fast the process is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from uuid import UUID

import psycopg
from attrs import frozen

from batchq.versions import NotYet, TooNew, VersionError
from examples.datastore.datastore import DataStore
from examples.datastore.models import NewRoute
from examples.demo.console import check
from examples.demo.next_release import NEXT, NewLabelledRoute, NextDataStore, Target

_LEASE = timedelta(days=1)
_PAUSE = 0.02
"""Seconds between two rounds: they leave the processor to others, and no result depends on them."""
_BLOCK = IPv4Network("10.0.0.0/8")


class Command(StrEnum):
    """What the parent asks for; each has one line as its answer."""

    REPORT = "report after the next round"
    CREATE_NAT = "create a route with the target that version 7 has added"
    PAUSE = "pause"
    CONTINUE = "continue, and report"
    """Or join again, after an attempt that was refused."""
    LEAVE = "leave the fleet, and end"


@frozen
class VersionProcess:
    """The parent's end."""

    pipe: Connection

    def ask(self, command: Command) -> str:
        """Send a command, and wait for its answer."""
        self.pipe.send(command)
        return self.answer()

    def answer(self) -> str:
        """Wait for a line: the process sends one on its own when it has joined, or is refused."""
        return str(self.pipe.recv())


@contextmanager
def version_process(conninfo: str, version: int, router_id: UUID) -> Iterator[VersionProcess]:
    """Start a process; it has to end by itself before the context does."""
    spawn = get_context("spawn")
    parent_end, child_end = spawn.Pipe()
    arguments = (conninfo, version, router_id, child_end)
    process = spawn.Process(target=_run, args=arguments, daemon=True)
    process.start()
    child_end.close()  # the process has its own copy: recv() ends when that is closed
    try:
        yield VersionProcess(parent_end)
        process.join()
    finally:
        process.kill()
        process.join()
        parent_end.close()
    check(f"exit code of version {version}", process.exitcode, 0)


def member(version: int) -> str:
    """Return the name by which a process joins."""
    return f"datastore-{version}"


def refusal(error: Exception) -> str:
    """Return what is shown of an error."""
    return f"{type(error).__name__}: {error}"


def _run(conninfo: str, version: int, router_id: UUID, pipe: Connection) -> None:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        store = NextDataStore(conn) if version == NEXT.version else DataStore(conn)
        try:
            _join(store, pipe)
            _serve(store, router_id, pipe)
        except VersionError as error:
            pipe.send(refusal(error))


def _join(store: DataStore, pipe: Connection) -> None:
    """Join; again after each refusal that the parent has seen."""
    while True:
        try:
            window = store.join(member(store.fleet.version), lease=_LEASE)
        except TooNew as error:
            pipe.send(refusal(error))
            pipe.recv()
        else:
            pipe.send(f"joins: versions {window.oldest} to {window.newest} may run")
            return


def _serve(store: DataStore, router_id: UUID, pipe: Connection) -> None:
    for number in count(1):
        command = pipe.recv() if pipe.poll(_PAUSE) else None
        if command == Command.PAUSE:
            pipe.send("pauses")
            command = pipe.recv()
        elif command == Command.CREATE_NAT:
            pipe.send(_create_nat(store, router_id, f"nat-{number}"))
        elif command == Command.LEAVE:
            store.leave(member(store.fleet.version))
            pipe.send("leaves")
            return
        _write(store, router_id, f"v{store.fleet.version}-{number}", Target.DROP)
        routes = _read(store, router_id)
        if command in (Command.REPORT, Command.CONTINUE):
            pipe.send(f"routes: {number:,} written, {routes}")


def _create_nat(store: DataStore, router_id: UUID, name: str) -> str:
    try:
        _write(store, router_id, name, Target.NAT)
    except NotYet as error:
        return refusal(error)
    return "creates a route to nat"


def _write(store: DataStore, router_id: UUID, name: str, target: Target) -> None:
    if isinstance(store, NextDataStore):
        store.labelled_route_create(
            NewLabelledRoute(
                router_id=router_id, name=name, destination=_BLOCK, target=target, labels=["edge"]
            )
        )
    else:
        store.route_create(
            NewRoute(
                router_id=router_id,
                name=name,
                destination=_BLOCK,
                target=target,
                description="core edge",
            )
        )


def _read(store: DataStore, router_id: UUID) -> str:
    if isinstance(store, NextDataStore):
        routes = store.labelled_route_list(router_id)
        unknown = sum(route.labels is None for route in routes)
        return f"{len(routes):,} read, {unknown:,} of these without labels"
    return f"{len(store.route_list(router_id)):,} read"
