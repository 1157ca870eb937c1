# SPDX-License-Identifier: MIT
"""What a replicator reports of an activation, and of each request."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from enum import Enum

from attrs import define, field, frozen

from examples.replication.basis import Basis
from examples.replication.planning import Kind, Request


class Stopped(Enum):
    """Why an activation ended."""

    DONE = "every chosen request was sent"
    STALE = "the set has changed since it was read"
    CONFLICT = "a depot knows another set of the same generation: a bug"
    SILENT = "no depot answered"
    UNREAD = "the wanted set could not be read"


class Result(Enum):
    """How a request ended."""

    OK = "ok"
    FAILED = "failed"
    REFUSED = "refused: stale, or a conflict"


@frozen(kw_only=True)
class Sent:
    """A request that was sent."""

    at: datetime = field(factory=lambda: datetime.now(UTC))
    request: Request
    basis: Basis
    result: Result
    detail: str = ""


def _counter() -> Counter[Kind]:
    return Counter()


@define(kw_only=True)
class Report:
    """What an activation has done. Two reports can be added.

    ``ok``, ``failed`` and ``deferred`` together are ``planned``.
    """

    stopped: Stopped = Stopped.DONE
    detail: str = ""
    generation: int | None = None
    """Of the set that was read; None if it was not read."""
    planned: Counter[Kind] = field(factory=_counter)
    ok: Counter[Kind] = field(factory=_counter)
    failed: Counter[Kind] = field(factory=_counter)
    deferred: Counter[Kind] = field(factory=_counter)
    """Left to a later activation: beyond the limits, or after a refusal."""
    dropped: int = 0
    """Uploads whose local copies were deleted, because the depots have enough of each."""
    silent: tuple[str, ...] = ()
    """Depots that did not answer. They are asked again by every activation."""
    missing: tuple[str, ...] = ()
    """See :attr:`Plan.missing`."""
    unlisted: tuple[str, ...] = ()
    """Artifacts that this process holds, and that the set does not list although no newer
    generation has removed them: the row is lost or wrong. An alarm; the files stay."""
    malformed: int = 0
    """Rows of the set that name no artifact. They are in the log, and not in ``missing``."""

    def __add__(self, later: Report) -> Report:
        """Return what both have done; the state at the end is that of the later one."""
        return Report(
            stopped=later.stopped,
            detail=later.detail,
            generation=later.generation,
            planned=self.planned + later.planned,
            ok=self.ok + later.ok,
            failed=self.failed + later.failed,
            deferred=self.deferred + later.deferred,
            dropped=self.dropped + later.dropped,
            silent=later.silent,
            missing=later.missing,
            unlisted=later.unlisted,
            malformed=later.malformed,
        )
