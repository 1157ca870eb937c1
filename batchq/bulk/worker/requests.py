# SPDX-License-Identifier: MIT
"""What an activation wants done: it is a generator of requests, and does no I/O of its own.

So it is the same for a connection and for a pool, sync and async: see
:mod:`batchq.bulk.worker.resume`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar, cast

from batchq.bulk.worker.options import Throttle
from batchq.language.batch import Batch
from batchq.running.result import Failed, Ok

T = TypeVar("T")


class RunBatch(NamedTuple):
    """Run this batch, and say how long it took."""

    batch: Batch[Any]
    timeout: float


class BatchDone(NamedTuple):
    """What came of it."""

    result: Ok[Any] | Failed
    elapsed: float
    """Seconds, without the wait for a connection, which no smaller chunk would shorten."""


class Sleep(NamedTuple):
    """Wait so many seconds; no transaction is open, and no connection of a pool is held."""

    seconds: float


Request = RunBatch | Sleep | Throttle
"""A throttle's answer is what it says; that of a :class:`Sleep` is None."""

Requests = Generator[Request, Any, T]


def ask(batch: Batch[T], timeout: float) -> Requests[T]:
    """Run a batch for its result."""
    told: BatchDone = yield RunBatch(batch, timeout)
    if isinstance(told.result, Failed):
        raise told.result.error
    return cast("T", told.result.value)
