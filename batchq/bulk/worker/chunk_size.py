# SPDX-License-Identifier: MIT
"""How many rows the next chunk asks for, computed from the time of the last one.

Why: no fixed size is right. A chunk that is too large holds its locks for seconds; one that is too
small spends its time on round trips; and what is too large depends on the table, the server and the
hour. So the size follows a latency, up and down, and one chunk is all it has to remember.

Pure: no clock and no I/O. Every number here was measured in simulation: see docs/adr/0019.
"""

from __future__ import annotations

import math

from attrs import evolve, field, frozen

from batchq.language.argument_types import NUMBER, of

_GOAL = 0.6
"""The time to aim for, as a share of the target: the times of chunks scatter, and their 95th
percentile should meet the target, not their median. Measured in simulation: see docs/adr/0019."""

_CLOSE_ENOUGH = (0.9, 1.1)
"""The size is kept while the goal divided by the chunk's time is between these: a steady server
gets chunks of a steady size. It costs nothing (measured in simulation: docs/adr/0019)."""

_SHRINK_AT_MOST = 0.5
"""One slow chunk in fifty is chance, and must not cost more than half of the size. Measured in
simulation: see docs/adr/0019."""

_GROW_AT_MOST = 2.0
_GROW_BY = 0.5
"""The part of the possible growth that is taken: a chunk may have been quick by chance, and growing
too far shows at the 95th percentile. Measured in simulation: see docs/adr/0019."""

_AFTER_TIMEOUT = 4
_AFTER_CONFLICT = 2
"""What the size is divided by. A timeout shows that the chunk was far too slow, but not by how
much: 4 finds the right size a chunk sooner than 2 (three at worst), and more than 4 gains less.
After a conflict a smaller chunk collides less often. Measured in simulation: see docs/adr/0019."""

_STEADY = 5
"""Chunks without growth after a failure, so that it does not happen again at once: a quarter fewer
conflicts, for a twenty-fifth of the rate. Measured in simulation: see docs/adr/0019."""


@frozen(kw_only=True)
class ChunkSize:
    """The target and the bounds for the size of chunks.

    The target should be several times a round trip to the server: if a chunk of no rows takes most
    of it, no size can meet it, and every chunk has ``minimum`` rows.

    :param target: seconds that a chunk should take at the 95th percentile; the median is near
        0.6 of it.
    :param initial: rows of the first chunk.
    :param minimum: the fewest rows that a chunk is ever asked for.
    :param maximum: the most rows that a chunk is ever asked for.
    :raises ValueError: if one is not positive, or not ``minimum <= initial <= maximum``.
    :raises TypeError: if ``target`` is not a number, or one of the others not an int.

    >>> ChunkSize(target=0.05, maximum=1_000).sizer().rows
    200
    """

    target: float = field(default=0.1, validator=of("ChunkSize", NUMBER, "0.1", TypeError))
    initial: int = field(default=200, validator=of("ChunkSize", int, "200", TypeError))
    minimum: int = field(default=10, validator=of("ChunkSize", int, "10", TypeError))
    maximum: int = field(default=10_000, validator=of("ChunkSize", int, "10_000", TypeError))

    def __attrs_post_init__(self) -> None:
        if not 0 < self.target < math.inf:
            raise ValueError(
                f"ChunkSize(target={self.target!r}): it must be more than 0 seconds; "
                "100 milliseconds are ChunkSize(target=0.1)"
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
        """Return the sizer for the first chunk."""
        return ChunkSizer(size=self, rows=self.initial)


@frozen(kw_only=True)
class ChunkSizer:
    """How many rows the next chunk asks for. After each chunk there is a new sizer.

    There is one for each stage of each job, because the time for a row differs between tables.
    Nothing of it is stored: the next worker starts with ``initial``, and has found the size after
    about ten chunks (measured in simulation: docs/adr/0019).

    >>> sizer = ChunkSize(target=0.1).sizer()
    >>> sizer.after(0.012, full=True).rows     # quick: twice as many
    400
    >>> sizer.after(0.012, full=False).rows    # quick because few rows were left
    200
    >>> sizer.after(0.080, full=True).rows     # slow: three quarters
    150
    >>> sizer.after_timeout().rows
    50
    """

    size: ChunkSize = field(repr=False)
    """The target and the bounds."""
    rows: int
    """Rows that the next chunk asks for; from ``size.minimum`` to ``size.maximum``."""
    steady: int = 0
    """How many of the next chunks do not make it grow, however quick they are."""

    def after(self, elapsed: float, /, *, full: bool) -> ChunkSizer:
        """Return the sizer after a chunk that was committed.

        :param elapsed: seconds between sending the chunk and its answer; without the wait for a
            connection or a throttle, which a smaller chunk would not shorten.
        :param full: whether it found as many rows as :attr:`rows`. Only then does it grow: the last
            chunk of a stage is quick because few rows are left.
        """
        may_grow = full and not self.steady
        return self._next(
            self.rows * _factor(self.size.target * _GOAL, elapsed, may_grow=may_grow),
            steady=max(self.steady - 1, 0),
        )

    def after_timeout(self) -> ChunkSizer:
        """Return the sizer after a chunk that timed out."""
        return self._next(self.rows / _AFTER_TIMEOUT, steady=_STEADY)

    def after_conflict(self) -> ChunkSizer:
        """Return the sizer after a chunk that conflicted with another transaction."""
        return self._next(self.rows / _AFTER_CONFLICT, steady=_STEADY)

    def _next(self, rows: float, *, steady: int) -> ChunkSizer:
        within = max(self.size.minimum, min(round(rows), self.size.maximum))
        return evolve(self, rows=within, steady=steady)


def _factor(goal: float, elapsed: float, *, may_grow: bool) -> float:
    """Return the factor for the size: all the way down to the goal, half of the way up to it."""
    slow, quick = _CLOSE_ENOUGH
    room = goal / elapsed if elapsed > 0 else math.inf  # a coarse clock can say 0
    if room < slow:
        return max(room, _SHRINK_AT_MOST)
    if room > quick and may_grow:
        return min(1 + (room - 1) * _GROW_BY, _GROW_AT_MOST)
    return 1
