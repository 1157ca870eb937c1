# SPDX-License-Identifier: MIT
"""Run all interleavings of two sides on a real server, statement by statement.

After each statement either side may continue, so the schedules form a tree. It is walked to each
leaf, always from the root, so a schedule can be repeated from its choices.

A side whose statement waits for the other cannot continue; the server is polled for that. Its
statement is answered when the other's transaction ends, before either side continues. If both wait
for each other, each is the victim in one schedule. So no result depends on timing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
from attrs import define, field, frozen

from tests.support.interleaved_session import Failure, Session, Side
from tests.support.lock_waits import TIMEOUT


@frozen(eq=False)
class Schedule:
    """One schedule, and its results."""

    moves: tuple[str, ...]
    """The statements, in order; one that waits is marked."""
    results: tuple[list[Any], list[Any]]
    """For each side: the results of the committed transactions."""
    failures: tuple[Failure | None, Failure | None]
    seen: tuple[Any, ...]
    """The value of ``look`` after each move."""
    choices: tuple[int, ...]
    options: tuple[int, ...]
    """Number of choices at each place."""

    def __str__(self) -> str:
        return "\n".join(self.moves)


@define(eq=False)
class Summary:
    """Results of all schedules of two sides."""

    schedules: int = 0
    wrong: list[Schedule] = field(factory=list)
    failures: set[Failure] = field(factory=set)
    committed: set[tuple[bool, ...]] = field(factory=set)
    """Which sides were committed, for each schedule."""

    def __str__(self) -> str:
        first = f"; the first:\n{self.wrong[0]}" if self.wrong else ""
        return f"{len(self.wrong)} of {self.schedules} schedules are wrong{first}"


@define(eq=False)
class Interleaver:
    """Two connections for the sides, and a third one that observes and resets the tables."""

    observer: psycopg.Connection[Any]
    connections: tuple[psycopg.Connection[Any], psycopg.Connection[Any]]
    reset: str
    """SQL that creates the initial state."""
    look: str | None = None
    """SQL of one value, read after each move."""

    @classmethod
    def connect(
        cls, connect: Callable[[], psycopg.Connection[Any]], reset: str, look: str | None = None
    ) -> Interleaver:
        """Open the connections. Deadlocks are left to the schedule, if the user may set that."""
        made = cls(connect(), (connect(), connect()), reset, look)
        for connection in made.connections:
            with suppress(psycopg.errors.InsufficientPrivilege):
                connection.execute("SET deadlock_timeout = '1h'")
        return made

    def check_all(
        self, first: Side, second: Side, is_wrong: Callable[[Schedule], object]
    ) -> Summary:
        """Run all schedules of two sides.

        :param is_wrong: called after each schedule; true if its result is wrong.
        """
        made = Summary()
        for schedule in self.run_all(first, second):
            made.schedules += 1
            made.wrong += [schedule] * bool(is_wrong(schedule))
            made.failures |= {failure for failure in schedule.failures if failure is not None}
            made.committed.add(tuple(failure is None for failure in schedule.failures))
        return made

    def run_all(self, first: Side, second: Side) -> Iterator[Schedule]:
        """Yield all schedules of two sides."""
        todo: list[tuple[int, ...]] = [()]
        while todo:
            prefix = todo.pop()
            schedule = self.run(first, second, prefix)
            yield schedule
            for place in range(len(prefix), len(schedule.choices)):
                before = schedule.choices[:place]
                todo += [
                    (*before, other)
                    for other in range(schedule.options[place])
                    if other != schedule.choices[place]
                ]

    def run(self, first: Side, second: Side, prefix: tuple[int, ...] = ()) -> Schedule:
        """Run one schedule: the given choices, then always the first possible one."""
        self.observer.execute(self.reset.encode())
        sessions = [
            Session(side, connection)
            for side, connection in zip((first, second), self.connections, strict=True)
        ]
        moves: list[str] = []
        seen: list[Any] = []
        choices: list[int] = []
        options: list[int] = []
        while open_ := [session for session in sessions if not session.ended]:
            able = [session for session in open_ if not session.waits]
            at = len(choices)
            options.append(len(able or open_))
            # The server may raise one serialization failure more than the last time.
            choices.append(min(prefix[at], options[-1] - 1) if at < len(prefix) else 0)
            if able:
                self._move(able[choices[-1]], sessions, moves)
            else:
                self._break(open_[choices[-1]], sessions, moves)
            if self.look is not None:
                row = self.observer.execute(self.look.encode()).fetchone()
                seen += [row and row[0]] * (len(moves) - len(seen))
        return Schedule(
            tuple(moves),
            (sessions[0].results, sessions[1].results),
            (sessions[0].failure, sessions[1].failure),
            tuple(seen),
            tuple(choices),
            tuple(options),
        )

    def _move(self, mover: Session, sessions: list[Session], moves: list[str]) -> None:
        """Run a side until its statement is answered or waits."""
        (other,) = (session for session in sessions if session is not mover)
        what = mover.next_step
        if mover.send():
            self._settle(mover, other)
        moves.append(_describe(mover, what))
        if other.waits and not mover.in_transaction:
            self._resume(other, moves)

    def _break(self, victim: Session, sessions: list[Session], moves: list[str]) -> None:
        """Resolve a deadlock as the server does: one of the two fails."""
        (other,) = (session for session in sessions if session is not victim)
        what = victim.next_step
        self.observer.execute("SELECT pg_cancel_backend(%s)", [victim.pid])
        self._answer(victim)
        moves.append(f"{_describe(victim, what)} (deadlock)")
        self._resume(other, moves)

    def _resume(self, waiter: Session, moves: list[str]) -> None:
        """Read the answer of a statement that waited for a transaction that has ended."""
        what = waiter.next_step
        self._answer(waiter)
        moves.append(f"{_describe(waiter, what)} (had waited)")

    def _settle(self, mover: Session, other: Session) -> None:
        deadline = time.monotonic() + TIMEOUT
        blocked = "SELECT %s = ANY(pg_blocking_pids(%s))"
        while not mover.answered():
            row = self.observer.execute(blocked, [other.pid, mover.pid]).fetchone()
            if other.in_transaction and row is not None and row[0]:
                mover.waits = True
                return
            assert time.monotonic() < deadline, f"no answer to {mover.next_step}"

    def _answer(self, session: Session) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not session.answered():
            assert time.monotonic() < deadline, f"no answer to {session.next_step}"


def _describe(session: Session, what: str) -> str:
    suffix = ""
    if session.waits:
        suffix = ": waits"
    elif session.failure is not None:
        suffix = f": {session.failure}, ROLLBACK"
    return f"{session.side.name}: {what}{suffix}"
