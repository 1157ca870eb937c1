# SPDX-License-Identifier: MIT
"""Where a batch's CPU time goes, by batchq's own stages, and the bare pipeline's by the same names.

Each stage is timed where it happens: what a wait for the server has pushed out of the processor's
caches is part of its cost. A clock of CPU time takes longer than some stages do, so only the batch
and its wire have one. The others never wait, and are timed by the clock on the wall; whom another
process has interrupted is no longer seen in a median.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from time import perf_counter, thread_time
from typing import Any
from unittest.mock import patch

import psycopg
from attrs import define, field

from batchq import Batch, run
from benchmarks.measure import WARM_UP
from benchmarks.peers.bare import BarePipeline

Times = dict[str, float]
"""Seconds of CPU a batch, by stage."""

STAGES = ("build", "compile", "encode", "wire", "attribute", "decode", "the rest", "all")

# Where each is called from. Laying a batch flat counts as compiling it.
_OURS = {
    "batchq.running.request.plan": "compile",
    "batchq.engine.wire.encode.compiled": "compile",
    "batchq.engine.transaction.encode": "encode",
    "batchq.engine.transaction.attribute": "attribute",
    "batchq.engine.transaction.decode": "decode",
}
_WAIT = "batchq.running.waiting.wait"
_BARE = {
    "benchmarks.peers.bare.BarePipeline.encode": "encode",
    "benchmarks.peers.bare.BarePipeline.decode": "decode",
}


def stages(
    conn: psycopg.Connection[Any], build: Callable[[int], Batch[Any]], *, times: int
) -> Times:
    """Split a batch of batchq's.

    :param build: makes the batch of that number.
    :param times: batches.
    """
    clocks = _Clocks()
    built = clocks.timed("build", build)
    return _split(clocks, conn, lambda number: run(conn, built(number)), _OURS, times)


def bare_stages(
    bare: BarePipeline, values: Callable[[int], list[tuple[object, ...]]], *, times: int
) -> Times:
    """Split a batch of the bare pipeline's.

    :param values: makes the parameters of the batch of that number.
    """
    clocks = _Clocks()
    built = clocks.timed("build", values)
    return _split(clocks, bare.conn, lambda number: bare.run(built(number)), _BARE, times)


@define(eq=False)
class _Clocks:
    """The seconds of each stage in the batch at hand, without those of stages that it calls."""

    seconds: Times = field(factory=dict)
    _inside: list[float] = field(factory=lambda: [0.0])
    """The seconds of the stages that were called, by each stage that has not ended."""

    def timed(
        self, stage: str, function: Callable[..., Any], clock: Callable[[], float] = perf_counter
    ) -> Callable[..., Any]:
        """The function, timed."""

        def called(*args: Any, **kwargs: Any) -> Any:
            self._inside.append(0.0)
            begin = clock()
            try:
                return function(*args, **kwargs)
            finally:
                took = clock() - begin
                own = took - self._inside.pop()
                self._inside[-1] += took
                self.seconds[stage] = self.seconds.get(stage, 0.0) + own

        return called


def _split(
    clocks: _Clocks,
    conn: psycopg.Connection[Any],
    once: Callable[[int], object],
    names: dict[str, str],
    times: int,
) -> Times:
    """Time batches and the stages in them; what is in none of them is the rest."""
    seen: list[Times] = []
    with _patched(clocks, conn, names):
        whole = clocks.timed("all", once, thread_time)
        for number in range(WARM_UP):
            once(number)
        gc.collect()
        gc.disable()
        try:
            for number in range(WARM_UP, WARM_UP + times):
                clocks.seconds = {}
                whole(number)
                seen.append(clocks.seconds)
        finally:
            gc.enable()
    split = {stage: median(one[stage] for one in seen) for stage in STAGES if stage in seen[0]}
    # What was clocked for all is what no stage was clocked for.
    rest = split.pop("all")
    return {**split, "the rest": rest, "all": rest + sum(split.values())}


@contextmanager
def _patched(
    clocks: _Clocks, conn: psycopg.Connection[Any], names: dict[str, str]
) -> Iterator[None]:
    with ExitStack() as patches:
        patches.enter_context(
            patch.object(conn, "wait", clocks.timed("wire", conn.wait, thread_time))
        )
        patches.enter_context(patch(_WAIT, clocks.timed("wire", _named(_WAIT), thread_time)))
        for name, stage in names.items():
            timed = clocks.timed(stage, _named(name))
            patches.enter_context(patch(name, timed))
        yield


def _named(name: str) -> Any:
    """The function of that name, which may be a class's."""
    module, _, function = name.rpartition(".")
    try:
        return getattr(__import__(module, fromlist=[function]), function)
    except ModuleNotFoundError:
        return getattr(_named(module), function)
