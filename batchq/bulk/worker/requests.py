# SPDX-License-Identifier: MIT
"""The requests of a worker: it is a generator of them, and does no I/O of its own.

Why: so the same code serves a connection and a pool, sync and async; see
:mod:`batchq.bulk.worker.resume`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar, cast

from batchq.bulk.worker.options import Throttle
from batchq.engine.result import Failed, Ok
from batchq.language.batch import Batch

T = TypeVar("T")


class RunBatch(NamedTuple):
    """Run a batch; the response is a :class:`BatchDone`."""

    batch: Batch[Any]
    timeout: float


class BatchDone(NamedTuple):
    """The result of a batch."""

    result: Ok[Any] | Failed
    elapsed: float
    """Seconds, without the wait for a connection, which a smaller chunk would not shorten."""


class Sleep(NamedTuple):
    """Sleep, with no transaction open and no connection of a pool taken; the response is None."""

    seconds: float


Request = RunBatch | Sleep | Throttle
"""The response to a throttle is what it returns."""

Requests = Generator[Request, Any, T]


def run_batch(batch: Batch[T], timeout: float) -> Requests[T]:
    """Request to run a batch, and return its result or raise its error."""
    done: BatchDone = yield RunBatch(batch, timeout)
    if isinstance(done.result, Failed):
        raise done.result.error
    return cast("T", done.result.value)
