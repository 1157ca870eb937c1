# SPDX-License-Identifier: MIT
"""How many rows the next chunk takes, from what the last one did.

Why: no fixed size is right. A chunk that is too large holds its locks for seconds; one that is too
small spends its life on round trips; and which is which changes with the table, the server and the
hour. So the size follows a latency, up and down, and one chunk is all it has to remember.

Pure: no clock and no I/O. Every number here was measured in simulation: see docs/adr/0019.
"""

from __future__ import annotations

import math

from attrs import evolve, field, frozen

_GOAL = 0.6
"""Where a chunk is steered to, as a share of the target: chunks scatter, and their 95th percentile
is to meet the target, not their middle. Measured in simulation: see docs/adr/0019."""

_CLOSE_ENOUGH = (0.9, 1.1)
"""The goal over the chunk's time, where the size stays: a server that is steady gets chunks that
are. Measured in simulation, to cost nothing: see docs/adr/0019."""

_SHRINK_AT_MOST = 0.5
"""One slow chunk in fifty is chance, and must not cost more than half of the size. Measured in
simulation: see docs/adr/0019."""

_GROW_AT_MOST = 2.0
_GROW_BY = 0.5
"""The share of the room found that is taken: a chunk may have been quick by chance, and what is
grown for luck is paid for at the 95th percentile. Measured in simulation: see docs/adr/0019."""

_AFTER_TIMEOUT = 4
_AFTER_CONFLICT = 2
"""What the size is divided by. A timeout says that the chunk was far too slow, not by how much: 4
finds the right size a chunk sooner than 2 (three at worst), and more than 4 gains less. A conflict
says that a smaller chunk is less often in the way. Measured in simulation: see docs/adr/0019."""

_STEADY = 5
"""Chunks without growth after a failure, so that it is not run into again at once: a quarter fewer
conflicts, for a twenty-fifth of the rate. Measured in simulation: see docs/adr/0019."""


@frozen(kw_only=True)
class ChunkSize:
    """What the size of chunks is steered by, and its bounds.

    The target should be several times a round trip to the server: where a chunk of no rows takes
    most of it, no size can meet it, and every chunk has ``minimum`` rows.

    :param target: seconds that a chunk should take at the 95th percentile; the middle is near 0.6
        of it.
    :param initial: rows of the first chunk.
    :param minimum: the fewest rows that a chunk is ever asked for.
    :param maximum: the most rows that a chunk is ever asked for.
    :raises ValueError: if one is not positive, or not ``minimum <= initial <= maximum``.

    >>> ChunkSize(target=0.05, maximum=1_000).sizer().rows
    200
    """

    target: float = 0.1
    initial: int = 200
    minimum: int = 10
    maximum: int = 10_000

    def __attrs_post_init__(self) -> None:
        if not 0 < self.target < math.inf:
            raise ValueError(
                f"ChunkSize(target={self.target!r}): the target is in seconds, more than 0: "
                "for 100 milliseconds, ChunkSize(target=0.1)"
            )
        if self.minimum < 1:
            raise ValueError(
                f"ChunkSize(minimum={self.minimum!r}): a chunk of no rows never ends; "
                "the smallest is ChunkSize(minimum=1)"
            )
        if not self.minimum <= self.initial <= self.maximum:
            raise ValueError(
                f"ChunkSize(minimum={self.minimum!r}, initial={self.initial!r}, "
                f"maximum={self.maximum!r}): these must be minimum <= initial <= maximum; "
                "pass those that you left to their defaults"
            )

    def sizer(self) -> ChunkSizer:
        """The pace of the first chunk."""
        return ChunkSizer(size=self, rows=self.initial)


@frozen(kw_only=True)
class ChunkSizer:
    """How many rows the next chunk is asked for. Each chunk's end gives the pace of the next one.

    One for each table of each job: what a row costs differs between tables. Nothing of it is
    stored; whoever resumes begins again and has learnt the size in about ten chunks (measured in
    simulation: see docs/adr/0019).

    >>> pace = ChunkSize(target=0.1).sizer()
    >>> pace.after(0.012, full=True).rows     # quick: twice as many
    400
    >>> pace.after(0.012, full=False).rows    # quick because there was little left
    200
    >>> pace.after(0.080, full=True).rows     # slow: three quarters
    150
    >>> pace.after_timeout().rows
    50
    """

    size: ChunkSize = field(repr=False)
    """What it is steered by."""
    rows: int
    """Rows to ask the next chunk for; from ``size.minimum`` to ``size.maximum``."""
    steady: int = 0
    """The number of chunks to come that do not make it grow, however quick."""

    def after(self, elapsed: float, /, *, full: bool) -> ChunkSizer:
        """The pace after a chunk that was committed.

        :param elapsed: seconds from sending the chunk to its answer; without the wait for a
            connection or a throttle, which a smaller chunk would not shorten.
        :param full: whether it found as many rows as :attr:`rows`. Only then does being quick say
            anything: false for the last page, and for a chunk that was asked for fewer.
        """
        may_grow = full and not self.steady
        return self._next(
            self.rows * _factor(self.size.target * _GOAL, elapsed, may_grow=may_grow),
            steady=max(self.steady - 1, 0),
        )

    def after_timeout(self) -> ChunkSizer:
        """The pace after a chunk that was rolled back for taking too long."""
        return self._next(self.rows / _AFTER_TIMEOUT, steady=_STEADY)

    def after_conflict(self) -> ChunkSizer:
        """The pace after a chunk that was rolled back for what others did at the same time."""
        return self._next(self.rows / _AFTER_CONFLICT, steady=_STEADY)

    def _next(self, rows: float, *, steady: int) -> ChunkSizer:
        within = max(self.size.minimum, min(round(rows), self.size.maximum))
        return evolve(self, rows=within, steady=steady)


def _factor(goal: float, elapsed: float, *, may_grow: bool) -> float:
    """What to multiply the size by: all the way down to the goal, half of the way up to it."""
    slow, quick = _CLOSE_ENOUGH
    room = goal / elapsed if elapsed > 0 else math.inf  # a coarse clock can say 0
    if room < slow:
        return max(room, _SHRINK_AT_MOST)
    if room > quick and may_grow:
        return min(1 + (room - 1) * _GROW_BY, _GROW_AT_MOST)
    return 1
