# SPDX-License-Identifier: MIT
"""One batch as one transaction: where compile, encode, prepare, wire, attribute, report and decode
meet.

    Batch ──plan──▶ encode ──flight──▶ wire ──slots──▶ attribute ──verdict──▶ report or decode

What does I/O is a generator, driven by the sync and the async façade alike.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attrs import define, field
from psycopg.pq import ConnStatus, PipelineStatus, TransactionStatus

from batchq.engine.client_encoding import codec
from batchq.engine.outcome.attribute import Verdict, attribute, unanswered
from batchq.engine.outcome.decode import decode, load_cell
from batchq.engine.outcome.overdue import not_sent, overdue, silence
from batchq.engine.outcome.partition_constraints import PartitionLookup
from batchq.engine.outcome.report import Report, driver_error, report
from batchq.engine.outcome.row_triggers import TriggerLookup
from batchq.engine.outcome.stale import give_up, is_alike, learn, may_be_stale
from batchq.engine.plan import Plan
from batchq.engine.ready import Ready, make_ready
from batchq.engine.wire.connection_state import AnyConnection
from batchq.engine.wire.deadline import Deadline, bounded
from batchq.engine.wire.exchange import Slots, exchange
from batchq.engine.wire.flight import Flight
from batchq.engine.wire.frame import Frame
from batchq.engine.wire.layout import FlightBuilder, lay_out, lay_out_rollback
from batchq.engine.wire.liveness import closed_link
from batchq.engine.wire.readiness import check_state
from batchq.language.errors import DecodeFailed
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

_IDLE, _INTRANS = TransactionStatus.IDLE, TransactionStatus.INTRANS
_ONLY_IDLE, _ONLY_OPEN = frozenset({_IDLE}), frozenset({_INTRANS})
_FAILED_OR_OPEN = frozenset({_INTRANS, TransactionStatus.INERROR})


@define(eq=False)
class Transaction:
    """One attempt to run a batch on one connection.

    What fails in a way that a preparation may be to blame for is sent once more with nothing
    prepared, which settles it. That is the one case in which anything is sent twice unasked.
    """

    connection: AnyConnection
    plan: Plan
    frame: Frame
    deadline: Deadline | None = None
    _ready: Ready = field(init=False)
    _verdict: Verdict | None = field(init=False, default=None)
    _slots: Slots = field(init=False)
    _sent: Flight = field(init=False)
    _times: int = field(init=False, default=0)  # how often it was sent
    _given_up: bool = field(init=False, default=False)  # with answers outstanding
    _complete: bool = field(init=False, default=False)  # no flight was left out

    def prepare(self) -> None:
        """Do everything that can fail before the first byte is sent.

        :raises InvalidBatch: when the batch cannot be sent as it is.
        :raises ConnectionFailed: when the connection is closed already.
        """
        self._ready = make_ready(self.connection, self.plan)

    def flights(self) -> Iterator[PQGen[None]]:
        """What goes to the server, flight by flight; for nearly every batch it is one.

        To be waited for one after the other, with the connection's lock held. Each is a generator
        of its own, because psycopg drives the one that was interrupted to its end: a batch that is
        sent once more must not be part of it.

        :raises InvalidBatch: when the connection is in no state to begin a transaction.
        :raises ConnectionFailed: when the link is closed already.
        :raises DeadlineExceeded: when the deadline has passed already.
        """
        pg = self.connection.pgconn
        check_state(pg, self.frame)
        self._check_link(pg)
        if self.deadline is not None and self.deadline.passed:
            raise not_sent("it was made ready")
        yield from self._attempt(pg)
        first, flight = self._verdict, self._sent
        if first is not None and self._may_be_stale(first) and not self._is_late:
            yield from self._attempt(pg)
            # What fails alike is the schema's own, and what is prepared is as good as it was.
            if self._verdict is None or not is_alike(first, self._verdict):
                give_up(self._ready.state, first, flight)
        verdict = self._verdict
        if (
            verdict is not None
            and verdict.violation is not None
            and self._ready.dialect.traces_failures
        ):
            yield from self._trace(pg, verdict)
        self._complete = True

    def _check_link(self, pg: PGconn) -> None:
        found = closed_link(pg, self._ready.dialect, self._ready.transformer.encoding)
        if found is not None:
            pg.finish()
            verdict = Verdict(Outcome.NOT_SENT, violation=found.final_error, session_ended=True)
            raise self._report(verdict, found.error).report

    def _attempt(self, pg: PGconn) -> Iterator[PQGen[None]]:
        yield self._batch(pg)
        verdict = self._verdict
        lost = self._slots.lost is not None or (verdict is not None and verdict.link_lost)
        if not lost and pg.transaction_status != self._rest:
            yield self._undo(pg)

    def _batch(self, pg: PGconn) -> PQGen[None]:
        """Send the batch, and judge the answer."""
        builder = self._flight_builder(pg)
        frame = self.frame
        if self.deadline is not None:
            queries = not self._ready.steps[0].compiled.may_change_names
            frame = bounded(
                frame, self.deadline, self._ready.dialect, pg.server_version, queries=queries
            )
        flight = lay_out(builder, frame, self._ready.steps, barrier=self._ready.dialect.barrier)
        self._sent = flight
        self._times += 1
        # From here on bytes may have left, and until there is an answer nothing is known.
        self._verdict, self._slots = unanswered(self.frame), (slots := Slots([]))
        yield from exchange(pg, flight, slots)
        self._verdict = self._judged(flight, slots)
        well = self._verdict.outcome is self.frame.outcome_on_success
        adapters = self._ready.transformer.adapters
        learn(self._ready.state.statements, flight, slots.answers, adapters, well=well)

    def _undo(self, pg: PGconn) -> PQGen[None]:
        """End a transaction that an error has left open."""
        undone = Slots([])
        yield from exchange(pg, lay_out_rollback(self._flight_builder(pg), self.frame), undone)
        self._slots.lost = undone.lost

    def undo_left(self) -> PQGen[None] | None:
        """What ends the transaction that the end of the flights has left open.

        :return: a flight of its own; None when there is nothing to end, or an answer outstanding.
        """
        pg = self.connection.pgconn
        verdict = self._verdict
        lost = verdict is None or verdict.link_lost or self._slots.lost is not None
        if lost or pg.pipeline_status != PipelineStatus.OFF or pg.transaction_status == self._rest:
            return None
        return self._undo(pg)

    def _trace(self, pg: PGconn, verdict: Verdict) -> Iterator[PQGen[None]]:
        """Ask the server what it has not said, and what decides whom the failure belongs to.

        The failure is certain by then, and what goes wrong in here changes no word of it.
        """
        leaves = self.plan.placed
        tracing = PartitionLookup(self.connection, leaves, verdict)
        yield from self._asked(pg, tracing)
        rewriting = TriggerLookup(leaves, tracing.verdict)
        yield from self._asked(pg, rewriting)
        self._verdict = rewriting.verdict

    def _asked(
        self, pg: PGconn, question: PartitionLookup | TriggerLookup
    ) -> Iterator[PQGen[None]]:
        at_rest = self._slots.lost is None and pg.transaction_status == self._rest
        if at_rest and not self._is_late and question.asks:
            yield self._ask(pg, question)
            if self._slots.lost is None and pg.transaction_status != self._rest:
                yield self._undo(pg)

    def _ask(self, pg: PGconn, question: PartitionLookup | TriggerLookup) -> PQGen[None]:
        encoding = codec(self._ready.transformer.encoding)
        self._slots.lost = yield from question.ask(pg, self.frame, encoding)

    @property
    def _is_late(self) -> bool:
        return self.deadline is not None and self.deadline.passed

    @property
    def _rest(self) -> TransactionStatus:
        """The state that the connection has to be in before and after."""
        return _INTRANS if self.frame.nested else _IDLE

    @property
    def _usable(self) -> frozenset[TransactionStatus]:
        """The states behind which nothing of the batch's is left that somebody else could commit.

        A transaction that is the caller's own may also have failed for good: CockroachDB takes no
        ROLLBACK TO SAVEPOINT after a conflict. Then the caller, who is told so, rolls it back on
        this connection. Who was interrupted is not told: COMMIT would roll it back without a word.
        """
        if not self.frame.nested:
            return _ONLY_IDLE
        is_told = self._complete and not self._ready.dialect.rolls_back_conflicts
        return _FAILED_OR_OPEN if is_told else _ONLY_OPEN

    def _flight_builder(self, pg: PGconn) -> FlightBuilder:
        limit = self.connection.prepared_max
        return FlightBuilder(
            pg,
            codec(self._ready.transformer.encoding),
            self._ready.state.statements,
            None if self._times else self.connection.prepare_threshold,
            sys.maxsize if limit is None else limit,
            checks=self._ready.dialect.supports_outputs,
        )

    def _judged(self, flight: Flight, slots: Slots) -> Verdict:
        return attribute(
            flight.owners,
            slots.answers,
            frame=self.frame,
            dialect=self._ready.dialect,
            encoding=codec(self._ready.transformer.encoding),
            load=lambda cell: load_cell(cell, self._ready.transformer),
        )

    def _may_be_stale(self, verdict: Verdict) -> bool:
        """Whether it is certain that nothing was kept, and a preparation may be why."""
        violation = verdict.violation
        if (
            violation is None
            or verdict.outcome is not Outcome.ROLLED_BACK
            or verdict.slot in self._sent.unnamed
            or verdict.link_lost
            or self._slots.lost is not None
            or self.connection.pgconn.transaction_status != self._rest
        ):
            return False
        # What lies at a place in the text may lie in what was added to it.
        added = verdict.slot in self._sent.checked and violation.position is not None
        return added or may_be_stale(violation, verdict.owner)

    def give_up(self, broken: Exception | None = None) -> None:
        """Wait for no more answers, and judge by those that have come.

        :param broken: what the waiting failed with; None when there was no more time for it.
        """
        if self._verdict is None:
            return  # nothing was sent
        missing = len(self._sent.owners) - len(self._slots.answers)
        self._slots.answers += [None] * missing
        if missing and broken is None:
            self._given_up = True
            self._slots.lost = self._slots.lost or silence()
        self._verdict = self._judged(self._sent, self._slots)

    # -- afterwards --------------------------------------------------------------------------------

    def close_unless_idle(self) -> None:
        """Close a connection that the batch went out on and that is not proven usable since.

        What is not proven is a transaction left open or an answer outstanding: the next user of a
        pooled connection would write into it, or read ours.
        """
        if self._verdict is None:
            return  # never touched
        pg = self.connection.pgconn
        at_rest = (
            pg.status == ConnStatus.OK
            and self._slots.lost is None
            and not self._verdict.link_lost
            and pg.pipeline_status == PipelineStatus.OFF
            and pg.transaction_status in self._usable
        )
        if not at_rest:
            pg.finish()

    @property
    def outcome(self) -> Outcome:
        """What became of it, as far as is known by now."""
        return Outcome.NOT_SENT if self._verdict is None else self._verdict.outcome

    def failure(self, broken: Exception | None = None) -> Report | None:
        """What went wrong on the server or on the way there; None when nothing did.

        :param broken: what waiting for the connection failed with, when it did. What was answered
            before that counts all the same.
        """
        verdict = self._verdict
        if verdict is None and broken is not None:
            verdict = Verdict(Outcome.NOT_SENT)
        if verdict is None or verdict.outcome is self.frame.outcome_on_success:
            return None
        cause: BaseException | None = broken
        if self._verdict is not None and self._slots.lost is not None:
            cause = self._slots.lost
        if verdict.violation is not None and verdict.slot is not None:
            answer = self._slots.answers[verdict.slot]
            if answer is not None:
                cause = driver_error(
                    answer, verdict.violation, codec(self._ready.transformer.encoding)
                )
        late = None if self.deadline is None else self._overdue(verdict, self.deadline, cause)
        made = late or self._report(verdict, cause)
        made.report.attempts = max(self._times, 1)
        return made

    def _overdue(
        self, verdict: Verdict, deadline: Deadline, cause: BaseException | None
    ) -> Report | None:
        # What a preparation may be to blame for is settled by sending it once more: too late now.
        unsettled = self._is_late and self._times == 1 and self._may_be_stale(verdict)
        return overdue(verdict, deadline, given_up=self._given_up, unsettled=unsettled, cause=cause)

    def _report(self, verdict: Verdict, cause: BaseException | None) -> Report:
        return report(
            verdict,
            self.plan.placed,
            dialect=self._ready.dialect,
            cause=cause,
            frame=self.frame,
            server=self.connection.pgconn,
        )

    def result(self) -> Any:
        """Decode what came back.

        :raises DecodeFailed: when it cannot be turned into what the batch promises.
        """
        answers: list[Any] = [None] * len(self.plan.statements)
        for owner, answer in zip(self._sent.owners, self._slots.answers, strict=True):
            if owner >= 0:
                answers[owner] = answer  # a Parse's first, the command's own last
        try:
            return decode(self.plan, answers, self._ready.transformer, self.outcome)
        except DecodeFailed as error:
            error.attempts = self._times
            raise
