# SPDX-License-Identifier: MIT
"""Keep what a job has done in memory, within bounds, to be read by any thread.

Why: a problem that occurs once in production has to be understood from that one time, and the
status of a service is needed most when its database is in trouble.
"""

from __future__ import annotations

from collections import deque
from copy import deepcopy
from datetime import UTC, datetime
from sys import maxsize
from threading import RLock
from typing import Generic, Protocol, Self, TypeVar

from attrs import define, field, setters

from batchq.language.argument_types import of

E = TypeVar("E")


class Sum(Protocol):
    """What can be added to a later one of its kind: a report."""

    def __add__(self, later: Self, /) -> Self: ...


R = TypeVar("R", bound=Sum)


@define(kw_only=True, eq=False)
class Kept(Generic[E, R]):
    """The latest events of a job that runs again and again, its last report, and the sum of all.

    An event is a value that does not change. A report is added to the sum by ``+``, the earlier one
    first; it is copied when it is added and when it is read.

    :param max_events: how many events are kept; the oldest is dropped first.
    :raises ValueError: if ``max_events`` is not positive, or more than a deque can have.
    :raises TypeError: if ``max_events`` is not an int.

    >>> from collections import Counter
    >>> kept = Kept[str, Counter[str]](max_events=2)
    >>> for event in ("put a", "put b", "delete c"):
    ...     kept.add_event(event)
    >>> kept.add_report(Counter(put=2))
    >>> kept.add_report(Counter(delete=1))
    >>> kept.recent
    ('put b', 'delete c')
    >>> kept.last_report, kept.lifetime
    (Counter({'delete': 1}), Counter({'put': 2, 'delete': 1}))
    """

    max_events: int = field(on_setattr=setters.frozen, validator=of("Kept", int, "128", TypeError))
    # A signal handler may read in the very thread that adds an event, and would deadlock.
    lock: RLock = field(init=False, repr=False, factory=RLock)
    """Hold it to read several of these as they are at one moment, or to keep more beside them."""
    _recent: deque[E] = field(init=False, repr=False)
    _last: R | None = field(init=False, repr=False, default=None)
    _lifetime: R | None = field(init=False, repr=False, default=None)
    _last_ended_at: datetime | None = field(init=False, repr=False, default=None)

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.max_events <= maxsize:
            raise ValueError(f"Kept(max_events={self.max_events}): it must be from 1 to {maxsize}")
        self._recent = deque(maxlen=self.max_events)

    def add_event(self, event: E) -> None:
        """Keep an event."""
        with self.lock:
            self._recent.append(event)

    def add_report(self, report: R) -> None:
        """Keep a report of what was done since the report before.

        If it cannot be copied or added to the sum, that error is raised, and nothing is kept.
        """
        with self.lock:
            report = deepcopy(report)  # the caller may continue to count in it
            lifetime = report if self._lifetime is None else self._lifetime + report
            self._last, self._lifetime = report, lifetime
            self._last_ended_at = datetime.now(UTC)

    @property
    def recent(self) -> tuple[E, ...]:
        """Return the latest events, oldest first."""
        with self.lock:
            return tuple(self._recent)

    @property
    def last_report(self) -> R | None:
        """Return the last report; None before the first one."""
        with self.lock:
            return deepcopy(self._last)

    @property
    def lifetime(self) -> R | None:
        """Return the sum of all reports; None before the first one."""
        with self.lock:
            return deepcopy(self._lifetime)

    @property
    def last_ended_at(self) -> datetime | None:
        """Return when the last report was added (aware, UTC); None before the first one."""
        with self.lock:
            return self._last_ended_at
