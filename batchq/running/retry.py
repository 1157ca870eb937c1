# SPDX-License-Identifier: MIT
"""Running a batch again after a serialization conflict, and after nothing else.

The back-off is tenacity's. A retry is safe only because nothing was kept, so an unknown outcome is
never retried here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from batchq.language.errors import SerializationConflict
from batchq.running.answer import Failed, Ok

if TYPE_CHECKING:
    from attrs import Attribute
    from tenacity import RetryCallState

_Answer = Ok[Any] | Failed


@frozen
class Retrying:
    """What the hook before each sleep is told."""

    conflict: SerializationConflict
    """The failure of the attempt just made."""
    attempt: int
    """How many attempts have been made, from 1."""
    sleep: float
    """How long the sleep will be, in seconds."""


def _positive(_: object, attribute: Attribute[Any], value: float) -> None:
    if value < (1 if attribute.name == "attempts" else 0):
        message = f"Retry({attribute.name}={value!r}): at least one attempt, and no negative sleep"
        raise ValueError(message)


def _seconds(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


@frozen
class Retry:
    """When and how often to run a batch again. Needs the extra ``batchq[retry]``.

    Sleeps between attempts are drawn evenly from 0 to ``backoff * 2 ** (attempt - 1)``, at most
    ``longest``: full jitter, so that what collided once does not collide again.

    :param attempts: how often the batch is run at most, the first time included.
    :param backoff: the longest first sleep, in seconds or as a timedelta.
    :param longest: the longest sleep of all.
    :param before_sleep: called before each sleep, for logs and metrics.

    >>> Retry(attempts=5, backoff=0.02)
    Retry(attempts=5, backoff=0.02, longest=2.0)
    """

    attempts: int = field(default=5, validator=_positive)
    backoff: float = field(default=0.05, converter=_seconds, validator=_positive)
    longest: float = field(default=2.0, converter=_seconds, validator=_positive)
    before_sleep: Callable[[Retrying], None] | None = field(default=None, repr=False)

    def policy(self) -> dict[str, Any]:
        """The arguments for tenacity's ``Retrying`` and ``AsyncRetrying``.

        :raises ModuleNotFoundError: without tenacity.
        """
        try:
            import tenacity  # noqa: PLC0415  an extra: only who retries needs it
        except ModuleNotFoundError as error:
            message = 'Retry needs tenacity: pip install "batchq[retry]"'
            raise ModuleNotFoundError(message) from error
        times = 0

        def is_conflict(state: RetryCallState) -> bool:
            """Judge an attempt, once, and count what was sent in those before it as well."""
            nonlocal times
            answer = _last_answer(state)
            if not isinstance(answer, Failed):
                return False
            times += answer.report.attempts
            answer.report.attempts = times
            return isinstance(answer.report, SerializationConflict)

        return {
            "retry": is_conflict,
            "stop": tenacity.stop_after_attempt(self.attempts),
            "wait": tenacity.wait_random_exponential(multiplier=self.backoff, max=self.longest),
            "before_sleep": self._tell,
            "retry_error_callback": _last_answer,
        }

    def _tell(self, state: RetryCallState) -> None:
        answer = _last_answer(state)
        conflict = answer.report if isinstance(answer, Failed) else None
        if self.before_sleep is not None and isinstance(conflict, SerializationConflict):
            self.before_sleep(Retrying(conflict, state.attempt_number, state.upcoming_sleep))


def _last_answer(state: RetryCallState) -> Any:
    """What the attempt returned."""
    return state.outcome and state.outcome.result()
