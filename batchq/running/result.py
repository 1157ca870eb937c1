# SPDX-License-Identifier: MIT
"""What :func:`~batchq.result.attempt` returns: the result, or the failure as a value."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from attrs import frozen

from batchq.language.errors import BatchError
from batchq.language.outcome import Outcome

T_co = TypeVar("T_co", covariant=True)


@frozen
class Ok(Generic[T_co]):
    """The batch succeeded."""

    value: T_co


@frozen(eq=False)
class Failed:
    """The batch failed; nothing is raised."""

    error: BaseException
    """What ``run`` would raise: the caller's own exception where the failure is mapped."""
    report: BatchError
    """Which statement, how, and what became of it all."""

    @property
    def outcome(self) -> Outcome:
        """What became of the transaction."""
        return self.report.outcome


Result = Ok[Any] | Failed
"""What an attempt answers."""
