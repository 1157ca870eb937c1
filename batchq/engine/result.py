# SPDX-License-Identifier: MIT
"""Define what :func:`~batchq.result.attempt` returns: the result, or the failure as a value."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from attrs import frozen

from batchq.language.errors import BatchError
from batchq.language.exceptions import fresh_copy
from batchq.language.outcome import Outcome

T_co = TypeVar("T_co", covariant=True)


@frozen
class Ok(Generic[T_co]):
    """A batch that succeeded."""

    value: T_co
    """What ``run`` would return."""


@frozen(eq=False)
class Failed:
    """A batch that failed, without an exception being raised."""

    error: BaseException
    """What ``run`` would raise: the mapped exception if the failure is mapped, else the report."""
    report: BatchError
    """The failed statement, the violation and the outcome."""

    @property
    def outcome(self) -> Outcome:
        """Return the outcome of the transaction."""
        return self.report.outcome


Result = Ok[Any] | Failed
"""Result of an attempt."""


def failed_alike(report: BatchError, count: int) -> list[Result]:
    """Return the results of batches of which none was sent, with an exception of its own for each.

    :param report: why; that of the first.
    """
    reports = [report]
    for _ in range(count - 1):
        copy = fresh_copy(report)
        copy.__cause__ = report.__cause__
        reports.append(copy)
    return [Failed(each, each) for each in reports]
