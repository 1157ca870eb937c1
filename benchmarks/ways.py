# SPDX-License-Identifier: MIT
"""Workloads that have ways of their own: each peer's is a few lines on a connection.

A way opens what it works on and hands out a side. What each call is given is made beforehand and is
the same for all ways, so that only the work itself is measured.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Generic, TypeVar

import asyncpg  # type: ignore[import-untyped]
import psycopg
from attrs import frozen
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine

from batchq.testing import proxy
from benchmarks.company import Company
from benchmarks.digest import digest
from benchmarks.measure import WARM_UP, Side, interleave
from benchmarks.peers.bare import BarePipeline, Values
from benchmarks.peers.sqlalchemy_tables import engine
from benchmarks.results import Result, Settings
from benchmarks.scene import Scene, scene
from benchmarks.wire import Wire, count

T = TypeVar("T")

Way = Callable[[Scene, Sequence[T]], AbstractContextManager[Side]]
"""Connects to a scene; its side does with what the calls of some numbers are given."""

COUNTED = 6
"""Calls of a side in front of each one whose messages are counted: psycopg has prepared by then."""

_numbers = itertools.count()


@frozen
class Workload(Generic[T]):
    """A piece of work, and the ways to do it.

    Attributes:
        name: as in the tables.
        ways: by the peers' names.
        given: sets a scene up for so many calls, and says what each of them is given.
        left: what is in the tables in the end, in a form that is the same for all ways.
    """

    name: str
    ways: Mapping[str, Way[T]]
    given: Callable[[Scene, int], Sequence[T]]
    left: Callable[[str], object] = digest

    @contextmanager
    def at_work(
        self, conninfo: str, calls: int, *, through: str | None = None
    ) -> Iterator[Company[Side]]:
        """Open all ways, each on a scene of its own.

        :param through: another way to the server, which the sides are to take.
        """
        with ExitStack() as stack:
            scenes: dict[str, Scene] = {}
            sides: dict[str, Side] = {}
            for name, way in self.ways.items():
                place = stack.enter_context(scene(conninfo, f"batchq_bench_way_{next(_numbers)}"))
                given = self.given(place, calls)
                scenes[name] = place
                sides[name] = stack.enter_context(way(place.through(through or conninfo), given))
            yield Company(sides, scenes)

    def measured(
        self,
        conninfo: str,
        settings: Settings,
        *,
        rounds: int,
        calls: int,
        warm_up: int = WARM_UP,
        wires: bool = True,
    ) -> tuple[Result, list[str]]:
        """Measure all ways in turns; say who has left other rows behind than the first one."""
        with self.at_work(conninfo, warm_up + rounds * calls) as company:
            with collector_frozen():
                samples = interleave(company.peers, rounds=rounds, calls=calls, warm_up=warm_up)
            left = {name: self.left(place.conninfo) for name, place in company.scenes.items()}
        first = next(iter(left.values()))
        unlike = [name for name, seen in left.items() if seen != first]
        counted = self.wires(conninfo) if wires else {}
        return Result(self.name, settings, samples, counted), unlike

    def wires(self, conninfo: str) -> dict[str, Wire]:
        """Count what each way sends for one call."""
        calls = 10 * COUNTED
        with (
            proxy(conninfo) as link,
            self.at_work(conninfo, calls, through=link.conninfo()) as company,
        ):
            return {
                name: count(link, side, first=0, warm_up=COUNTED)
                for name, side in company.peers.items()
            }


@contextmanager
def collector_frozen() -> Iterator[None]:
    """Let the garbage collector pass over what is there already.

    It runs in front of each turn, and what the calls are given would take it longer than the turn.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


# -- what ways stand on ----------------------------------------------------------------------------


def on_psycopg(work: Callable[[psycopg.Connection[Any], T], object]) -> Way[T]:
    """Work on a psycopg connection, in autocommit: it says itself where a transaction begins."""

    @contextmanager
    def way(place: Scene, given: Sequence[T]) -> Iterator[Side]:
        with psycopg.connect(place.conninfo, autocommit=True) as conn:
            yield each(lambda one: work(conn, one), given)

    return way


def on_pgconn(
    texts: Callable[[T], Sequence[str]],
    values: Callable[[T], Values],
    made: Callable[[T, list[list[tuple[Any, ...]]]], object] = lambda _, rows: rows,
) -> Way[T]:
    """Send the statements of one shape by the bare pipeline.

    :param texts: of the statements; all calls have the same.
    :param values: the parameters of each statement.
    :param made: what is made of the rows.
    """

    @contextmanager
    def way(place: Scene, given: Sequence[T]) -> Iterator[Side]:
        with psycopg.connect(place.conninfo, autocommit=True) as conn:
            pipeline = BarePipeline(conn, texts(given[0]))
            pipeline.prepare(values(given[0]))
            yield each(lambda one: made(one, pipeline.run(values(one))), given)

    return way


def on_engine(work: Callable[[Engine, T], object]) -> Way[T]:
    """Work on an engine of SQLAlchemy's."""

    @contextmanager
    def way(place: Scene, given: Sequence[T]) -> Iterator[Side]:
        made = engine(place.conninfo)
        try:
            yield each(lambda one: work(made, one), given)
        finally:
            made.dispose()

    return way


def on_asyncpg(work: Callable[[Any, T], Awaitable[object]]) -> Way[T]:
    """Work on an asyncpg connection; its loop is entered once a turn."""

    @contextmanager
    def way(place: Scene, given: Sequence[T]) -> Iterator[Side]:
        async def turn(numbers: range) -> None:
            for number in numbers:
                await work(conn, given[number])

        with asyncio.Runner() as runner:
            conn = runner.run(asyncpg.connect(**for_asyncpg(place.conninfo)))
            try:
                yield lambda numbers: runner.run(turn(numbers))
            finally:
                runner.run(conn.close())

    return way


def each(work: Callable[[T], object], given: Sequence[T]) -> Side:
    """A side that does the calls one by one."""

    def side(numbers: range) -> None:
        for number in numbers:
            work(given[number])

    return side


def for_asyncpg(conninfo: str) -> dict[str, Any]:
    """What asyncpg wants to be told of a server; it does not read libpq's strings."""
    place = conninfo_to_dict(conninfo)
    return {
        "host": place["host"],
        "port": place.get("port"),
        "user": place.get("user"),
        "password": place.get("password"),
        "database": place.get("dbname"),
        "ssl": place.get("sslmode", "prefer"),
        "server_settings": {"options": place["options"]},
    }
