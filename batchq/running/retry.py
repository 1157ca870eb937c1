# SPDX-License-Identifier: MIT
"""Run a batch again if certainly nothing was applied and another attempt may succeed.

tenacity computes the back-off. An unknown outcome is never retried, nor is a failure that would
occur again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from inspect import iscoroutinefunction
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Any, cast

import psycopg
from attrs import define, field, frozen

from batchq.engine.outcome.overdue import no_more
from batchq.language.errors import (
    BatchError,
    ConnectionFailed,
    DeadlineExceeded,
    ReadOnlyServer,
    SerializationConflict,
)
from batchq.language.exceptions import caused_by
from batchq.language.outcome import Outcome
from batchq.running.pool_errors import is_pool_error
from batchq.running.result import Failed

if TYPE_CHECKING:
    from attrs import Attribute
    from tenacity import RetryCallState

    from batchq.engine.wire.deadline import Deadline
    from batchq.running.result import Result


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
    :param before_sleep: called with :class:`RetryDetails` before each sleep, for logs and metrics.
        If it raises, the run ends with that exception.
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


def _was_not_sent_in_time(report: BatchError) -> bool:
    return isinstance(report, DeadlineExceeded) and report.outcome is Outcome.NOT_SENT


def _too_late(before: BatchError) -> Failed:
    """Return the result if the deadline leaves no time for another attempt."""
    report = no_more(before)
    return Failed(report, report)


@define(eq=False)
class Attempts:
    """The attempts of one run."""

    retry: Retry
    pooled: bool
    """Whether each attempt uses a connection of its own."""
    deadline: Deadline | None = None
    """The deadline for starting another attempt."""
    _attempts: int = 0
    """Number of attempts, including those that an attempt itself has repeated."""
    _last: Result | None = None
    _late: bool = False
    """True if only the deadline prevents another attempt."""
    _bug: Exception | None = None
    """Exception that ``before_sleep`` has raised."""

    def policy(self) -> dict[str, Any]:
        """Return the arguments for tenacity's ``Retrying`` and ``AsyncRetrying``."""
        import tenacity  # noqa: PLC0415  an extra; Retry has imported it

        retry = self.retry
        return {
            "retry": self._should_retry,
            "stop": self._stop,
            "wait": tenacity.wait_random_exponential(
                multiplier=retry.backoff, max=retry.max_backoff
            ),
            "before_sleep": self._call_hook,
            "retry_error_callback": self._final_result,
        }

    def _should_retry(self, state: RetryCallState) -> bool:
        """Return True if the batch may be run again; called once per attempt, which it counts."""
        result = cast("Result | None", state.outcome and state.outcome.result())
        before, self._last = self._last, result
        if not isinstance(result, Failed):
            return False
        if isinstance(before, Failed) and _was_not_sent_in_time(result.report):
            # Nothing was sent by this attempt, so the previous one decides the outcome.
            self._last, self._late = before, True
            return True
        self._attempts += result.report.attempts
        result.report.attempts = self._attempts
        return may_succeed(result.report, pooled=self.pooled)

    def _stop(self, state: RetryCallState) -> bool:
        """Return True after the last attempt. A sleep must end before the deadline."""
        if state.attempt_number >= self.retry.attempts:
            return True
        if self.deadline is not None and state.upcoming_sleep >= self.deadline.left:
            self._late = True
        return self._late

    def _final_result(self, _: RetryCallState) -> Result | None:
        if self._late and isinstance(self._last, Failed):
            return _too_late(self._last.report)
        return self._last

    def _call_hook(self, state: RetryCallState) -> None:
        hook, last = self.retry.before_sleep, self._last
        if hook is None or not isinstance(last, Failed):
            return
        try:
            hook(RetryDetails(last.report, state.attempt_number, state.upcoming_sleep))
        except Exception as bug:
            self._bug = bug
            raise

    def interrupted(self, error: BaseException) -> Result:
        """Return the result if ``before_sleep`` raised the exception; else raise it again.

        The others are interrupts, to which the caller adds the outcome, and InvalidBatch.
        """
        last = self._last
        if error is self._bug and isinstance(last, Failed):
            caused_by(error, last.report)
            return Failed(error, last.report)
        raise error
