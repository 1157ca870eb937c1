# SPDX-License-Identifier: MIT
"""Threads or tasks that share few connections of a pool, as a service does.

Each call writes to one of many silos, so that no caller waits for a row: workers.py measures that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]
import psycopg
from attrs import evolve
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from batchq import run, sequence
from benchmarks.peers import Driver, OnPsycopg
from benchmarks.peers.asyncpg import Asyncpg, connect_options
from benchmarks.peers.bare import Bare
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.psycopg3 import Transaction
from benchmarks.sandbox import PLENTY, Sandbox
from benchmarks.workloads.projects import PROJECT_CREATE, NewProjectInput
from examples.datastore.models import NewProject, NewSilo
from examples.datastore.silo import silo_create

Opener = Callable[[str], AbstractContextManager[Driver]]

CONNECTIONS: Final = 4
_SIZE: dict[str, Any] = {"min_size": CONNECTIONS, "max_size": CONNECTIONS}
_AUTOCOMMIT = {"autocommit": True}
_SILOS = 128


def _in_many_silos(place: Sandbox, calls: int) -> list[NewProjectInput]:
    silos = [NewSilo(name=f"silo-{number}") for number in range(_SILOS)]
    with psycopg.connect(place.conninfo, autocommit=True) as conn:
        run(conn, sequence(silo_create(silo, projects=PLENTY) for silo in silos))
    return [
        (NewProject(silo_id=silos[number % _SILOS].id, name=f"project-{number}"), None)
        for number in range(calls)
    ]


SERVED: Final = evolve(PROJECT_CREATE, inputs=_in_many_silos)
"""project_create in one of many silos each, so that no caller waits for a row."""


def in_threads(peer: OnPsycopg, workers: int) -> Opener:
    """Return a function that opens a pool, and shares a turn's inputs among so many threads."""

    @contextmanager
    def opened(conninfo: str) -> Iterator[Driver]:
        with (
            ConnectionPool(conninfo, kwargs=_AUTOCOMMIT, **_SIZE) as pool,
            ThreadPoolExecutor(workers) as executor,
        ):
            pool.wait()

            def work(inputs: Sequence[Any]) -> list[object]:
                return [peer.pooled(pool, given) for given in inputs]

            def drive(inputs: Sequence[Any]) -> list[object]:
                return list(executor.map(work, (inputs[n::workers] for n in range(workers))))

            yield drive

    return opened


def in_tasks(peer: Batchq | Bare | Transaction | Asyncpg, workers: int) -> Opener:
    """Return a function that opens a pool, and shares a turn's inputs among so many tasks."""

    @contextmanager
    def opened(conninfo: str) -> Iterator[Driver]:
        async def work(inputs: Sequence[Any]) -> list[object]:
            return [await peer.apooled(pool, given) for given in inputs]

        async def drive(inputs: Sequence[Any]) -> list[object]:
            return await asyncio.gather(*(work(inputs[n::workers]) for n in range(workers)))

        with asyncio.Runner() as runner:
            manager = _pool(peer, conninfo)
            pool = runner.run(_enter(manager))
            try:
                yield lambda inputs: runner.run(drive(inputs))
            finally:
                runner.run(manager.__aexit__(None, None, None))

    return opened


def _pool(peer: object, conninfo: str) -> Any:
    if isinstance(peer, Asyncpg):
        options = connect_options(conninfo)
        return asyncpg.create_pool(**options, **_SIZE)
    return AsyncConnectionPool(conninfo, kwargs=_AUTOCOMMIT, open=False, **_SIZE)


async def _enter(manager: Any) -> Any:
    pool = await manager.__aenter__()
    if isinstance(pool, AsyncConnectionPool):
        await pool.wait()
    return pool
