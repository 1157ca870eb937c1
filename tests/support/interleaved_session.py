# SPDX-License-Identifier: MIT
"""Run the batches of one side of an interleaving, one statement at a time.

The texts and values are those that batchq sends. See interleavings.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from select import select as readable
from typing import Any

import psycopg
from attrs import define, field, frozen
from psycopg import IsolationLevel
from psycopg.pq import DiagnosticField, ExecStatus

from batchq.engine.compile import sentinel
from batchq.engine.outcome.decode import decode
from batchq.engine.plan import Plan, plan
from batchq.engine.program import Program as CompiledProgram
from batchq.engine.program import program_of
from batchq.engine.wire.encode import encode
from batchq.engine.wire.encoded import EncodedStep
from batchq.engine.wire.frame import transaction_frame
from batchq.engine.wire.transformers import Transformers
from batchq.language.batch import Batch
from batchq.language.outcome import Outcome

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
    """What its guard reported, if it was one."""

    @property
    def refused(self) -> bool:
        """Whether it was the isolation level that was refused."""
        return self.guard is not None and self.guard.isolation is not None

    def __str__(self) -> str:
        return f"{self.sqlstate if self.guard is None else 'guard'} in {self.step}"


@define(eq=False)
class Session:
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
    _compiled: CompiledProgram = field(init=False)
    _steps: list[EncodedStep] = field(init=False)
    _answers: list[Any] = field(init=False)
    _open: bool = False

    def __attrs_post_init__(self) -> None:
        self.pid = self.connection.info.backend_pid
        self._program = self.side.begin()
        self._take(next(self._program))

    def _take(self, batch: Batch[Any]) -> None:
        self._plan, self._answers = plan(batch), []
        self._compiled = program_of(self._plan.shapes, ())
        encoded = encode(self._plan, self._compiled, Transformers().take(self.connection))
        runs = encoded.steps({}, self.connection.adapters.types)
        self._steps = [steps.one(n) for steps in runs for n in range(steps.count)]

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

        BEGIN is sent with the first one: the other side cannot see it. But a snapshot for the whole
        transaction is taken in a move of its own, as if other statements came before these.

        :return: True if an answer has to be waited for.
        """
        pg = self.connection.pgconn
        if not self._open:
            begin = transaction_frame(isolation=self.side.isolation).opening
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
            transformer = Transformers().take(self.connection).transformer
            made = decode(self._plan, self._compiled, self._answers, transformer, Outcome.COMMITTED)
            self.results.append(made)
            try:
                self._take(self._program.send(made))
            except StopIteration:
                self.ended = True

    @property
    def in_transaction(self) -> bool:
        return self._open
