# SPDX-License-Identifier: MIT
"""All interleavings of two sides on a real server, statement by statement.

Each side runs batches in transactions of its own, on a connection of its own, by the very texts and
values that batchq sends. After every statement either side may go on, so all orders are a tree: it
is walked to every leaf, each time from the beginning, so a schedule is found again by its choices.

A side whose statement waits for the other cannot go on; that it waits is asked of the server. Its
statement is answered when the other's transaction ends, before anybody goes on. Where both wait for
each other, each in turn is the victim. So nothing depends on how fast anything is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from select import select as readable
from typing import Any

import psycopg
from attrs import define, field, frozen
from psycopg import IsolationLevel
from psycopg.adapt import Transformer
from psycopg.pq import DiagnosticField, ExecStatus

from batchq.engine import sentinel
from batchq.engine.decode import decode
from batchq.engine.encode import Encoded, encode
from batchq.engine.frame import transaction
from batchq.language.batch import Batch
from batchq.language.outcome import Outcome
from batchq.language.plan import Plan, plan

PATIENCE = 30
"""Seconds until an answer that never comes is a failure, and not a hanging run."""
_POLL = 0.001
"""Seconds: how long to listen to a socket before the server is asked who waits."""

Program = Generator[Batch[Any], Any, None]
"""What a side does: batches, each of which is sent the result of the one before."""


@frozen(eq=False)
class Side:
    """One of the two."""

    name: str
    begin: Callable[[], Program]
    isolation: IsolationLevel = IsolationLevel.READ_COMMITTED


def once(batch: Batch[Any]) -> Callable[[], Program]:
    """Make a program of one batch."""

    def program() -> Program:
        yield batch

    return program


@frozen
class Failure:
    """Why a side's transaction was rolled back, and the side ended."""

    sqlstate: str
    step: str
    guard: sentinel.Sentinel | None
    """What its guard said, where it was one."""

    @property
    def refused(self) -> bool:
        """Whether it was the isolation level that was refused."""
        return self.guard is not None and self.guard.isolation is not None

    def __str__(self) -> str:
        return f"{self.sqlstate if self.guard is None else 'guard'} in {self.step}"


@define(eq=False)
class _Session:
    """A side while it is played."""

    side: Side
    connection: psycopg.Connection[Any]
    pid: int = field(init=False)
    results: list[Any] = field(factory=list)
    failure: Failure | None = None
    waits: bool = False
    ended: bool = False
    _program: Program = field(init=False)
    _plan: Plan = field(init=False)
    _steps: list[Encoded] = field(init=False)
    _answers: list[Any] = field(init=False)
    _open: bool = False

    def __attrs_post_init__(self) -> None:
        self.pid = self.connection.info.backend_pid
        self._program = self.side.begin()
        self._take(next(self._program))

    def _take(self, batch: Batch[Any]) -> None:
        self._plan, self._answers = plan(batch), []
        self._steps = encode(self._plan, Transformer(self.connection), {})

    @property
    def next_step(self) -> str:
        """What it is about to do, or waits in."""
        if not self._open and self._has_one_snapshot:
            return "BEGIN"
        if len(self._answers) == len(self._steps):
            return "COMMIT"
        return self._plan.statements[len(self._answers)].title

    @property
    def _has_one_snapshot(self) -> bool:
        return self.side.isolation > IsolationLevel.READ_COMMITTED

    def send(self) -> bool:
        """Send the next statement.

        BEGIN goes with the first one: nobody else can see it. But a snapshot that is for the whole
        transaction is taken in a move of its own, as if other statements came before these.

        :return: whether an answer is to be waited for.
        """
        pg = self.connection.pgconn
        if not self._open:
            begin = transaction(isolation=self.side.isolation).opening
            snapshot = "; SELECT 1" if self._has_one_snapshot else ""
            self.connection.execute(f"{begin}{snapshot}".encode())
            self._open = True
            if snapshot:
                return False
        if len(self._answers) == len(self._steps):
            pg.send_query(b"COMMIT")
        else:
            step = self._steps[len(self._answers)]
            pg.send_query_params(
                step.compiled.sql.encode(), step.params, step.types, list(step.formats)
            )
        return True

    def answered(self) -> bool:
        """Whether the statement that was sent has been answered, which is then read."""
        pg = self.connection.pgconn
        pg.flush()
        if readable([pg.socket], [], [], _POLL)[0]:
            pg.consume_input()
        if pg.is_busy():
            return False
        answers = []
        while (answer := pg.get_result()) is not None:
            answers.append(answer)
        self._read(answers[-1])
        return True

    def _read(self, answer: Any) -> None:
        self.waits = False
        committing = len(self._answers) == len(self._steps)
        if answer.status == ExecStatus.FATAL_ERROR:
            message = answer.error_field(DiagnosticField.MESSAGE_PRIMARY).decode()
            sqlstate = answer.error_field(DiagnosticField.SQLSTATE).decode()
            self.failure = Failure(sqlstate, self.next_step, sentinel.read(message))
            if not committing:
                self.connection.execute("ROLLBACK")
            self._open, self.ended = False, True
        elif not committing:
            self._answers.append(answer)
        else:
            assert answer.command_status == b"COMMIT", answer.command_status
            self._open = False
            made = decode(
                self._plan, self._answers, Transformer(self.connection), Outcome.COMMITTED
            )
            self.results.append(made)
            try:
                self._take(self._program.send(made))
            except StopIteration:
                self.ended = True

    @property
    def in_transaction(self) -> bool:
        return self._open


@frozen(eq=False)
class Played:
    """One schedule, and what came of it."""

    moves: tuple[str, ...]
    """What happened, in its order; a side that waits is marked."""
    results: tuple[list[Any], list[Any]]
    """Of each side: the results of the transactions that were committed."""
    failures: tuple[Failure | None, Failure | None]
    choices: tuple[int, ...]
    options: tuple[int, ...]
    """How many choices there were at each place."""

    def __str__(self) -> str:
        return "\n".join(self.moves)


@define(eq=False)
class Judged:
    """All schedules of two sides."""

    schedules: int = 0
    wrong: list[Played] = field(factory=list)
    failures: set[Failure] = field(factory=set)
    committed: set[tuple[bool, ...]] = field(factory=set)
    """Who was committed: neither, one, both."""

    def __str__(self) -> str:
        first = f"; the first:\n{self.wrong[0]}" if self.wrong else ""
        return f"{len(self.wrong)} of {self.schedules} schedules are wrong{first}"


@define(eq=False)
class Table:
    """Where sides are played: two connections, and a third that looks on and clears up."""

    observer: psycopg.Connection[Any]
    connections: tuple[psycopg.Connection[Any], psycopg.Connection[Any]]
    reset: str
    """SQL that makes what there is in the beginning."""

    @classmethod
    def of(cls, connect: Callable[[], psycopg.Connection[Any]], reset: str) -> Table:
        """Sit down. Deadlocks are left to the schedule, where this user may say so."""
        made = cls(connect(), (connect(), connect()), reset)
        for connection in made.connections:
            with suppress(psycopg.errors.InsufficientPrivilege):
                connection.execute("SET deadlock_timeout = '1h'")
        return made

    def judge(self, first: Side, second: Side, is_wrong: Callable[[Played], object]) -> Judged:
        """Play all schedules of two sides.

        :param is_wrong: says of each, when it has been played, what is wrong in the tables.
        """
        made = Judged()
        for played in self.play_all(first, second):
            made.schedules += 1
            made.wrong += [played] * bool(is_wrong(played))
            made.failures |= {failure for failure in played.failures if failure is not None}
            made.committed.add(tuple(failure is None for failure in played.failures))
        return made

    def play_all(self, first: Side, second: Side) -> Iterator[Played]:
        """Play all schedules of two sides."""
        todo: list[tuple[int, ...]] = [()]
        while todo:
            prefix = todo.pop()
            played = self.play(first, second, prefix)
            yield played
            for place in range(len(prefix), len(played.choices)):
                before = played.choices[:place]
                todo += [
                    (*before, other)
                    for other in range(played.options[place])
                    if other != played.choices[place]
                ]

    def play(self, first: Side, second: Side, prefix: tuple[int, ...] = ()) -> Played:
        """Play one schedule: choices to begin with, then always the first that there is."""
        self.observer.execute(self.reset.encode())
        sessions = [
            _Session(side, connection)
            for side, connection in zip((first, second), self.connections, strict=True)
        ]
        moves: list[str] = []
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
        return Played(
            tuple(moves),
            (sessions[0].results, sessions[1].results),
            (sessions[0].failure, sessions[1].failure),
            tuple(choices),
            tuple(options),
        )

    def _move(self, mover: _Session, sessions: list[_Session], moves: list[str]) -> None:
        """Let a side go on, until its statement is answered or waits."""
        (other,) = (one for one in sessions if one is not mover)
        what = mover.next_step
        if mover.send():
            self._settle(mover, other)
        moves.append(_told(mover, what))
        if other.waits and not mover.in_transaction:
            self._resume(other, moves)

    def _break(self, victim: _Session, sessions: list[_Session], moves: list[str]) -> None:
        """End a deadlock as the server does: one of the two fails."""
        (other,) = (one for one in sessions if one is not victim)
        what = victim.next_step
        self.observer.execute("SELECT pg_cancel_backend(%s)", [victim.pid])
        self._answer(victim)
        moves.append(f"{_told(victim, what)} (deadlock)")
        self._resume(other, moves)

    def _resume(self, waiter: _Session, moves: list[str]) -> None:
        """Have the statement answered that waited for a transaction that has ended."""
        what = waiter.next_step
        self._answer(waiter)
        moves.append(f"{_told(waiter, what)} (had waited)")

    def _settle(self, mover: _Session, other: _Session) -> None:
        deadline = time.monotonic() + PATIENCE
        blocked = "SELECT %s = ANY(pg_blocking_pids(%s))"
        while not mover.answered():
            row = self.observer.execute(blocked, [other.pid, mover.pid]).fetchone()
            if other.in_transaction and row is not None and row[0]:
                mover.waits = True
                return
            assert time.monotonic() < deadline, f"no answer to {mover.next_step}"

    def _answer(self, one: _Session) -> None:
        deadline = time.monotonic() + PATIENCE
        while not one.answered():
            assert time.monotonic() < deadline, f"no answer to {one.next_step}"


def _told(one: _Session, what: str) -> str:
    became = ""
    if one.waits:
        became = ": waits"
    elif one.failure is not None:
        became = f": {one.failure}, ROLLBACK"
    return f"{one.side.name}: {what}{became}"
