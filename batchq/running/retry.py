# SPDX-License-Identifier: MIT
"""Run a batch again if certainly nothing was applied and another attempt may succeed.

tenacity computes the back-off. An unknown outcome is never retried, nor is a failure that would
occur again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from importlib import import_module
from inspect import iscoroutinefunction
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Any, cast

import psycopg
from attrs import define, field, frozen

from batchq.engine.outcome.overdue import no_more
from batchq.engine.result import Failed
from batchq.language.errors import (
    BatchError,
    ConnectionFailed,
    DeadlineExceeded,
    ReadOnlyServer,
    SerializationConflict,
)
from batchq.language.exceptions import caused_by, fresh_copy
from batchq.language.outcome import Outcome
from batchq.running.pool_errors import is_pool_error

if TYPE_CHECKING:
    from attrs import Attribute
    from tenacity import RetryCallState

    from batchq.engine.result import Result
    from batchq.engine.wire.deadline import Deadline


@frozen
class RetryDetails:
    """What ``before_sleep`` of a :class:`Retry` is called with."""

    report: BatchError
    """The failure of the latest attempt."""
    attempt: int
    """Number of attempts so far, from 1."""
    sleep: float
    """Length of the sleep, in seconds."""


def may_succeed(report: BatchError, *, pooled: bool) -> bool:
    """Return True if another attempt may succeed, and cannot apply anything twice.

    :param pooled: whether the next attempt uses another connection. The same one stays lost, or
        connected to a read-only server.
    """
    match report:
        case SerializationConflict():
            return True
        case ReadOnlyServer():
            return pooled
        case ConnectionFailed():
            # A pool's own error is not retried: it has waited already, is closed, or has too many
            # requests. An error of neither psycopg nor the pool is a bug, or a hook's.
            cause = report.__cause__
            return pooled and isinstance(cause, psycopg.Error | None) and not is_pool_error(cause)
        case _:
            return False


def _check_count(_: object, attribute: Attribute[int], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        message = f"Retry({attribute.name}={value!r}) is not valid: it must be an int"
        raise TypeError(message)
    if value < 1:
        message = f"Retry({attribute.name}={value!r}) is not valid: it must be 1 or more"
        raise ValueError(message)


def _seconds(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _check_sleep(_: object, attribute: Attribute[float], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = (
            f"Retry({attribute.name}={value!r}) is not valid: it must be seconds, or a timedelta"
        )
        raise TypeError(message)
    if not value >= 0:  # NaN fails too
        message = f"Retry({attribute.name}={value!r}) is not valid: it must be 0 seconds or more"
        raise ValueError(message)
    if value > TIMEOUT_MAX:
        message = f"Retry({attribute.name}={value!r}) is not valid: {TIMEOUT_MAX:.0f} s at most"
        raise ValueError(message)


def _check_hook(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is None:
        return
    if not callable(value) or iscoroutinefunction(value):
        message = f"Retry({attribute.name}={value!r}) is not valid: it must be a sync function"
        raise TypeError(message)


@frozen
class Retry:
    """Policy for running a batch again. Needs the extra ``batchq[retry]``.

    A batch is run again if certainly nothing was applied and another attempt may succeed: after a
    serialization conflict or a deadlock. With a pool the next attempt uses another connection, so
    it is also run again if nothing was sent, if the server ended the session before COMMIT, and if
    the server is read only. It is not run again after an unknown outcome, nor after an error of the
    pool itself: closed, timed out, or with too many requests.

    A connection of a pool that is already closed does not count as an attempt: the next one is used
    without a sleep, at most as many as the pool may hold.

    Sleeps between attempts are random, uniformly from 0 to ``backoff * 2 ** (attempt - 1)``, and at
    most ``max_backoff``. This is full jitter: transactions that collided do not collide again.

    :param attempts: maximum number of attempts, including the first.
    :param backoff: maximum of the first sleep, in seconds or as a timedelta.
    :param max_backoff: maximum of every sleep.
    :param before_sleep: called with :class:`RetryDetails` before each sleep, for logs and metrics;
        for each batch of :func:`~batchq.result.run_many` that is run again. If it raises, the run
        ends with that exception.
    :raises ModuleNotFoundError: without tenacity.
    :raises TypeError: if an argument has the wrong type.
    :raises ValueError: if ``attempts`` is less than 1, or a sleep is negative or too long.

    >>> from batchq import Retry
    >>> retry = Retry(attempts=5, backoff=0.02)
    >>> retry
    Retry(attempts=5, backoff=0.02, max_backoff=2.0)

    Pass it to ``run``: ``run(pool, batch, retry=retry)``.
    """

    attempts: int = field(default=5, validator=_check_count)
    backoff: float = field(default=0.05, converter=_seconds, validator=_check_sleep)
    max_backoff: float = field(default=2.0, converter=_seconds, validator=_check_sleep)
    before_sleep: Callable[[RetryDetails], None] | None = field(
        default=None, repr=False, validator=_check_hook
    )

    def __attrs_post_init__(self) -> None:
        try:
            import_module("tenacity")  # an extra: needed for retries only
        except ModuleNotFoundError as error:
            message = 'Retry needs tenacity: pip install "batchq[retry]"'
            raise ModuleNotFoundError(message) from error


def _was_not_sent_in_time(result: Result) -> bool:
    if not isinstance(result, Failed):
        return False
    return isinstance(result.report, DeadlineExceeded) and result.outcome is Outcome.NOT_SENT


def _too_late(before: BatchError) -> Failed:
    """Return the result if the deadline leaves no time for another attempt."""
    report = no_more(before)
    return Failed(report, report)


@define(eq=False)
class _BatchAttempts:
    """The attempts to run one batch."""

    last: Result | None = None
    _attempts: int = 0
    """Number of attempts, including those that an attempt itself has repeated."""

    def add(self, result: Result, *, pooled: bool) -> bool:
        """Record the result of an attempt; return whether another one may succeed."""
        self.last = result
        if not isinstance(result, Failed):
            return False
        self._attempts += result.report.attempts
        result.report.attempts = self._attempts
        return may_succeed(result.report, pooled=pooled)


@define(eq=False)
class Attempts:
    """The attempts of one run, of one batch or of several in one flight.

    Only those batches are run again that may succeed.
    """

    retry: Retry
    pooled: bool
    """Whether each attempt uses a connection of its own."""
    deadline: Deadline | None = None
    """The deadline for starting another attempt."""
    count: int = 1
    """The number of batches."""
    pending: Sequence[int] = field(init=False)
    """The places of the batches that the next attempt runs."""
    _batches: Sequence[_BatchAttempts] = field(init=False)
    _late: bool = field(init=False, default=False)
    """True if only the deadline prevents another attempt."""
    _bug: Exception | None = field(init=False, default=None)
    """Exception that ``before_sleep`` has raised."""

    def __attrs_post_init__(self) -> None:
        """Begin with all batches."""
        self.pending = range(self.count)
        self._batches = [_BatchAttempts() for _ in self.pending]

    def policy(self) -> dict[str, Any]:
        """Return the arguments for tenacity's ``Retrying`` and ``AsyncRetrying``.

        They call a function that runs the pending batches, and returns the result of each.
        """
        import tenacity  # noqa: PLC0415  an extra; Retry has imported it

        retry = self.retry
        return {
            "retry": self._should_retry,
            "stop": self._stop,
            "wait": tenacity.wait_random_exponential(
                multiplier=retry.backoff, max=retry.max_backoff
            ),
            "before_sleep": self._call_hook,
            "retry_error_callback": self._end,
        }

    @property
    def results(self) -> list[Result]:
        """The result of each batch."""
        return [cast("Result", batch.last) for batch in self._batches]

    def _should_retry(self, state: RetryCallState) -> bool:
        """Return True if a batch may be run again; called once per attempt, which it counts."""
        results = cast("Sequence[Result]", state.outcome and state.outcome.result())
        again: list[int] = []
        for place, result in zip(self.pending, results, strict=True):
            batch = self._batches[place]
            if isinstance(batch.last, Failed) and _was_not_sent_in_time(result):
                # Nothing was sent by this attempt, so the previous one decides the outcome.
                self._late = True
                again.append(place)
            elif batch.add(result, pooled=self.pooled):
                again.append(place)
        self.pending = again
        return bool(again)

    def _stop(self, state: RetryCallState) -> bool:
        """Return True after the last attempt. A sleep must end before the deadline."""
        if state.attempt_number >= self.retry.attempts:
            return True
        if self.deadline is not None and state.upcoming_sleep >= self.deadline.left:
            self._late = True
        return self._late

    def _end(self, _: RetryCallState) -> None:
        """End the run with batches that another attempt might have helped."""
        if self._late:
            for batch, last in self._failed():
                batch.last = _too_late(last.report)

    def _failed(self) -> Iterator[tuple[_BatchAttempts, Failed]]:
        """Yield the pending batches, with their latest results."""
        for place in self.pending:
            batch = self._batches[place]
            if isinstance(batch.last, Failed):
                yield batch, batch.last

    def _call_hook(self, state: RetryCallState) -> None:
        hook = self.retry.before_sleep
        if hook is None:
            return
        try:
            for _, last in self._failed():
                hook(RetryDetails(last.report, state.attempt_number, state.upcoming_sleep))
        except Exception as bug:
            self._bug = bug
            raise

    def interrupted(self, error: BaseException) -> None:
        """End the run if ``before_sleep`` raised the exception; else raise it again.

        The others are interrupts, to which the caller adds the outcome, and InvalidBatch.
        """
        if error is not self._bug:
            raise error
        for number, (batch, last) in enumerate(self._failed()):
            own = fresh_copy(error) if number else error
            caused_by(own, last.report)
            batch.last = Failed(own, last.report)
