# SPDX-License-Identifier: MIT
"""Running a batch again when it is certain that nothing was kept, and another attempt may succeed.

The back-off is tenacity's. An unknown outcome is never retried here, nor is a failure that would
come again.
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
from batchq.running.pool_errors import is_pools_own
from batchq.running.result import Failed

if TYPE_CHECKING:
    from attrs import Attribute
    from tenacity import RetryCallState

    from batchq.engine.wire.deadline import Deadline
    from batchq.running.result import Result


@frozen
class RetryDetails:
    """What the hook before each sleep is told."""

    report: BatchError
    """Why the attempt just made failed."""
    attempt: int
    """How many attempts have been made, from 1."""
    sleep: float
    """How long the sleep will be, in seconds."""


def may_succeed(report: BatchError, *, pooled: bool) -> bool:
    """Whether a batch that failed so is worth another attempt, which cannot do anything twice.

    :param pooled: whether the next attempt takes another connection. On the same one a link that is
        gone stays so, and a server that is read-only.
    """
    match report:
        case SerializationConflict():
            return True
        case ReadOnlyServer():
            return pooled
        case ConnectionFailed():
            # A pool's own answer is not asked for again: it has waited already, is closed, or has
            # enough to do. What neither it nor psycopg raised is a bug, or a hook's.
            cause = report.__cause__
            return pooled and isinstance(cause, psycopg.Error | None) and not is_pools_own(cause)
        case _:
            return False


def _whole(_: object, attribute: Attribute[int], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        message = f"Retry({attribute.name}={value!r}): it takes a whole number"
        raise TypeError(message)
    if value < 1:
        message = f"Retry({attribute.name}={value!r}): at least one attempt"
        raise ValueError(message)


def _seconds(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _sleepable(_: object, attribute: Attribute[float], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"Retry({attribute.name}={value!r}): it takes seconds, or a timedelta"
        raise TypeError(message)
    if not value >= 0:  # NaN among it
        message = f"Retry({attribute.name}={value!r}): it takes 0 seconds or more"
        raise ValueError(message)
    if value > TIMEOUT_MAX:
        message = f"Retry({attribute.name}={value!r}): nobody can sleep for so long"
        raise ValueError(message)


def _called(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is None:
        return
    if not callable(value) or iscoroutinefunction(value):
        message = f"Retry({attribute.name}={value!r}): it takes a function, which is not awaited"
        raise TypeError(message)


@frozen
class Retry:
    """When and how often to run a batch again. Needs the extra ``batchq[retry]``.

    Run again is what is certain to have kept nothing and may succeed: a serialization conflict or a
    deadlock; and from a pool, where the next attempt takes another connection, also what was not
    sent, a session that the server ended before COMMIT, and a server that takes no writes. Never
    an unknown outcome, and never what the pool itself answered: that it is closed, has waited for
    as long as it may, or has enough to do.

    A connection that was found closed when the pool gave it is no attempt: the next one is tried at
    once, at most as many as the pool may hold.

    Sleeps between attempts are drawn evenly from 0 to ``backoff * 2 ** (attempt - 1)``, at most
    ``max_backoff``: full jitter, so that what collided once does not collide again.

    :param attempts: how often the batch is run at most, the first time included.
    :param backoff: the longest first sleep, in seconds or as a timedelta.
    :param max_backoff: the longest sleep of all.
    :param before_sleep: called before each sleep, for logs and metrics. What it raises ends the
        run.
    :raises ModuleNotFoundError: without tenacity.
    :raises TypeError: for what is no number or function.
    :raises ValueError: for less than one attempt, and for what cannot be slept.

    >>> Retry(attempts=5, backoff=0.02)
    Retry(attempts=5, backoff=0.02, max_backoff=2.0)
    """

    attempts: int = field(default=5, validator=_whole)
    backoff: float = field(default=0.05, converter=_seconds, validator=_sleepable)
    max_backoff: float = field(default=2.0, converter=_seconds, validator=_sleepable)
    before_sleep: Callable[[RetryDetails], None] | None = field(
        default=None, repr=False, validator=_called
    )

    def __attrs_post_init__(self) -> None:
        try:
            import_module("tenacity")  # an extra: only who retries needs it
        except ModuleNotFoundError as error:
            message = 'Retry needs tenacity: pip install "batchq[retry]"'
            raise ModuleNotFoundError(message) from error


def _was_not_sent_in_time(report: BatchError) -> bool:
    return isinstance(report, DeadlineExceeded) and report.outcome is Outcome.NOT_SENT


def _too_late(before: BatchError) -> Failed:
    """Result that the deadline leaves no time for another attempt."""
    report = no_more(before)
    return Failed(report, report)


@define(eq=False)
class Tries:
    """The attempts of one run."""

    retry: Retry
    pooled: bool
    """Whether each takes a connection of its own."""
    deadline: Deadline | None = None
    """Until when another one may begin."""
    _times: int = 0
    """How often it was tried, what an attempt itself has tried again included."""
    _last: Result | None = None
    _late: bool = False
    """Whether there would have been another one, had there been time."""
    _bug: Exception | None = None
    """What the hook has raised."""

    def policy(self) -> dict[str, Any]:
        """The arguments for tenacity's ``Retrying`` and ``AsyncRetrying``."""
        import tenacity  # noqa: PLC0415  it was there when the Retry was made

        retry = self.retry
        return {
            "retry": self._again,
            "stop": self._stop,
            "wait": tenacity.wait_random_exponential(
                multiplier=retry.backoff, max=retry.max_backoff
            ),
            "before_sleep": self._tell,
            "retry_error_callback": self._given_up,
        }

    def _again(self, state: RetryCallState) -> bool:
        """Judge an attempt, once, and count those before it as well."""
        answer = cast("Result | None", state.outcome and state.outcome.result())
        before, self._last = self._last, answer
        if not isinstance(answer, Failed):
            return False
        if isinstance(before, Failed) and _was_not_sent_in_time(answer.report):
            # Of the run it is known what is known of the attempt before.
            self._last, self._late = before, True
            return True
        self._times += answer.report.attempts
        answer.report.attempts = self._times
        return may_succeed(answer.report, pooled=self.pooled)

    def _stop(self, state: RetryCallState) -> bool:
        """Whether there is to be no other attempt. No pause outlasts the deadline."""
        if state.attempt_number >= self.retry.attempts:
            return True
        if self.deadline is not None and state.upcoming_sleep >= self.deadline.left:
            self._late = True
        return self._late

    def _given_up(self, _: RetryCallState) -> Result | None:
        if self._late and isinstance(self._last, Failed):
            return _too_late(self._last.report)
        return self._last

    def _tell(self, state: RetryCallState) -> None:
        hook, last = self.retry.before_sleep, self._last
        if hook is None or not isinstance(last, Failed):
            return
        try:
            hook(RetryDetails(last.report, state.attempt_number, state.upcoming_sleep))
        except Exception as bug:
            self._bug = bug
            raise

    def interrupted(self, error: BaseException) -> Result:
        """Sort what ended the attempts: the hook's own failure, an interrupt, a batch that cannot
        be sent. What an interrupt has left is for the caller to say: it knows the last attempt."""
        last = self._last
        if error is self._bug and isinstance(last, Failed):
            caused_by(error, last.report)
            return Failed(error, last.report)
        raise error
