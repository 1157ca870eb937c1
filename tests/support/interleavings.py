# SPDX-License-Identifier: MIT
"""All interleavings of two sides on a real server, statement by statement.

After every statement either side may go on, so all orders are a tree: it is walked to every leaf,
each time from the beginning, so a schedule is found again by its choices.

A side whose statement waits for the other cannot go on; that it waits is asked of the server. Its
statement is answered when the other's transaction ends, before anybody goes on. Where both wait for
each other, each in turn is the victim. So nothing depends on how fast anything is.
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
    """One schedule, and what came of it."""

    moves: tuple[str, ...]
    """What happened, in its order; a side that waits is marked."""
    results: tuple[list[Any], list[Any]]
    """Of each side: the results of the transactions that were committed."""
    failures: tuple[Failure | None, Failure | None]
    seen: tuple[Any, ...]
    """After each move, what the table's ``look`` found."""
    choices: tuple[int, ...]
    options: tuple[int, ...]
    """How many choices there were at each place."""

    def __str__(self) -> str:
        return "\n".join(self.moves)


@define(eq=False)
class When:
    """All schedules of two sides."""

    schedules: int = 0
    wrong: list[Schedule] = field(factory=list)
    failures: set[Failure] = field(factory=set)
    committed: set[tuple[bool, ...]] = field(factory=set)
    """Who was committed: neither, one, both."""

    def __str__(self) -> str:
        first = f"; the first:\n{self.wrong[0]}" if self.wrong else ""
        return f"{len(self.wrong)} of {self.schedules} schedules are wrong{first}"


@define(eq=False)
class Interleaver:
    """Where sides are schedule: two connections, and a third that looks on and clears up."""

    observer: psycopg.Connection[Any]
    connections: tuple[psycopg.Connection[Any], psycopg.Connection[Any]]
    reset: str
    """SQL that makes what there is in the beginning."""
    look: str | None = None
    """SQL of one value, asked after each move."""

    @classmethod
    def connect(
        cls, connect: Callable[[], psycopg.Connection[Any]], reset: str, look: str | None = None
    ) -> Interleaver:
        """Sit down. Deadlocks are left to the schedule, where this user may say so."""
        made = cls(connect(), (connect(), connect()), reset, look)
        for connection in made.connections:
            with suppress(psycopg.errors.InsufficientPrivilege):
                connection.execute("SET deadlock_timeout = '1h'")
        return made

    def check_all(self, first: Side, second: Side, is_wrong: Callable[[Schedule], object]) -> When:
        """Play all schedules of two sides.

        :param is_wrong: says of each, when it has been schedule, what is wrong in the tables.
        """
        made = When()
        for schedule in self.run_all(first, second):
            made.schedules += 1
            made.wrong += [schedule] * bool(is_wrong(schedule))
            made.failures |= {failure for failure in schedule.failures if failure is not None}
            made.committed.add(tuple(failure is None for failure in schedule.failures))
        return made

    def run_all(self, first: Side, second: Side) -> Iterator[Schedule]:
        """Play all schedules of two sides."""
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
        """Play one schedule: choices to begin with, then always the first that there is."""
        self.observer.execute(self.reset.encode())
        sessions = [
            Session(side, connection)
            for side, connection in zip((first, second), self.connections, strict=True)
        ]
        moves: list[str] = []
        seen: list[Any] = []
        choices: list[int] = []
        options: list[int] = []
        while open_ := [one for one in sessions if not one.ended]:
            able = [one for one in open_ if not one.waits]
            at = len(choices)
            options.append(len(able or open_))
            # The server may give a serialization failure more than the last time.
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
        """Let a side go on, until its statement is answered or waits."""
        (other,) = (one for one in sessions if one is not mover)
        what = mover.next_step
        if mover.send():
            self._settle(mover, other)
        moves.append(_told(mover, what))
        if other.waits and not mover.in_transaction:
            self._resume(other, moves)

    def _break(self, victim: Session, sessions: list[Session], moves: list[str]) -> None:
        """End a deadlock as the server does: one of the two fails."""
        (other,) = (one for one in sessions if one is not victim)
        what = victim.next_step
        self.observer.execute("SELECT pg_cancel_backend(%s)", [victim.pid])
        self._answer(victim)
        moves.append(f"{_told(victim, what)} (deadlock)")
        self._resume(other, moves)

    def _resume(self, waiter: Session, moves: list[str]) -> None:
        """Have the statement answered that waited for a transaction that has ended."""
        what = waiter.next_step
        self._answer(waiter)
        moves.append(f"{_told(waiter, what)} (had waited)")

    def _settle(self, mover: Session, other: Session) -> None:
        deadline = time.monotonic() + TIMEOUT
        blocked = "SELECT %s = ANY(pg_blocking_pids(%s))"
        while not mover.answered():
            row = self.observer.execute(blocked, [other.pid, mover.pid]).fetchone()
            if other.in_transaction and row is not None and row[0]:
                mover.waits = True
                return
            assert time.monotonic() < deadline, f"no answer to {mover.next_step}"

    def _answer(self, one: Session) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not one.answered():
            assert time.monotonic() < deadline, f"no answer to {one.next_step}"


def _told(one: Session, what: str) -> str:
    became = ""
    if one.waits:
        became = ": waits"
    elif one.failure is not None:
        became = f": {one.failure}, ROLLBACK"
    return f"{one.side.name}: {what}{became}"
