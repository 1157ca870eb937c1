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


class Ask(NamedTuple):
    """Run this batch, and say how long it took."""

    batch: Batch[Any]
    timeout: float


class Told(NamedTuple):
    """What came of it."""

    answer: Ok[Any] | Failed
    elapsed: float
    """Seconds, without the wait for a connection, which no smaller chunk would shorten."""


class Rest(NamedTuple):
    """Wait so many seconds; no transaction is open, and no connection of a pool is held."""

    seconds: float


Request = Ask | Rest | Throttle
"""A throttle's answer is what it says; that of a :class:`Rest` is None."""

Steps = Generator[Request, Any, T]


def ask(batch: Batch[T], timeout: float) -> Steps[T]:
    """Run a batch for its result."""
    told: Told = yield Ask(batch, timeout)
    if isinstance(told.answer, Failed):
        raise told.answer.error
    return cast("T", told.answer.value)
