# SPDX-License-Identifier: MIT
"""Many threads that create projects on the connections of a pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from psycopg_pool import ConnectionPool

from batchq import run
from benchmarks.measure import Side
from benchmarks.peers.bare import Bare, BarePipeline, values
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.pipeline import Pipeline
from benchmarks.peers.transaction import Transaction
from benchmarks.scene import Scene
from benchmarks.ways import Way, Workload
from benchmarks.workloads.serving import CONNECTIONS, THREADS, Conn, prepared, projects
from examples.datastore.models import NewProject
from examples.datastore.project import project_create

Create = Callable[[NewProject], object]
Configure = Callable[[Conn], None]


def serving_threads(workers: int) -> Workload[NewProject]:
    """So many threads that share the connections of a pool."""
    ways = {name: _threads(workers, opened) for name, opened in _IN_THREADS.items()}
    return Workload(THREADS, ways, projects)


def _threads(
    workers: int, opened: Callable[[Scene], tuple[Configure | None, Callable[..., Create]]]
) -> Way[NewProject]:
    """Share the calls of a turn among so many threads.

    :param opened: what is done to each new connection of a pool, and what creates with the pool.
    """

    @contextmanager
    def way(place: Scene, given: Sequence[NewProject]) -> Iterator[Side]:
        configure, creating = opened(place)
        with (
            ConnectionPool(
                place.conninfo,
                kwargs={"autocommit": True},
                min_size=CONNECTIONS,
                max_size=CONNECTIONS,
                configure=configure,
            ) as pool,
            ThreadPoolExecutor(workers) as executor,
        ):
            pool.wait()
            create = creating(pool)

            def work(numbers: range) -> None:
                for number in numbers:
                    create(given[number])

            def side(numbers: range) -> None:
                shares = [numbers[worker::workers] for worker in range(workers)]
                for done in [executor.submit(work, share) for share in shares]:
                    done.result()

            yield side

    return way


def _batchq(_: Scene) -> tuple[None, Callable[[Any], Create]]:
    return None, lambda pool: lambda new: run(pool, project_create(new))


def _bare(place: Scene) -> tuple[Configure, Callable[[Any], Create]]:
    pipelines: dict[Conn, BarePipeline] = {}

    def configure(conn: Conn) -> None:
        pipelines[conn] = prepared(BarePipeline, conn, place)

    def creating(pool: ConnectionPool[Conn]) -> Create:
        def create(new: NewProject) -> object:
            with pool.connection() as conn:
                return pipelines[conn].run(values(new, uuid4()))

        return create

    return configure, creating


def _on_pool(
    peer: Callable[[Scene, Conn], Transaction | Pipeline],
) -> Callable[[Scene], tuple[None, Callable[[Any], Create]]]:
    def opened(place: Scene) -> tuple[None, Callable[[Any], Create]]:
        def creating(pool: ConnectionPool[Conn]) -> Create:
            def create(new: NewProject) -> object:
                with pool.connection() as conn:
                    return peer(place, conn).create(new, uuid4())

            return create

        return None, creating

    return opened


_IN_THREADS: Mapping[str, Callable[[Scene], tuple[Configure | None, Callable[..., Create]]]] = {
    Batchq.name: _batchq,
    Bare.name: _bare,
    Pipeline.name: _on_pool(Pipeline),
    Transaction.name: _on_pool(Transaction),
}
