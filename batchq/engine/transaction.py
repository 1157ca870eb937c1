# SPDX-License-Identifier: MIT
"""Run one batch as one transaction: all stages of the engine meet here.

    Batch ──plan──▶ encode ──flight──▶ wire ──slots──▶ attribute ──verdict──▶ report or decode

Each flight is a generator, which the sync and the async façade drive alike.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, PipelineStatus

from batchq.engine.outcome.attribute import Verdict, attribute, unanswered
from batchq.engine.outcome.decode import decode, load_cell
from batchq.engine.outcome.overdue import no_answer, not_sent, overdue
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
from batchq.engine.wire.prepared_flight import PreparedFlight
from batchq.engine.wire.readiness import check_state, resting_status, usable_statuses
from batchq.engine.wire.transformers import settings_of
from batchq.language.errors import DecodeFailed
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn


@define(eq=False)
class Transaction:
    """One attempt to run a batch on one connection.

    If a stale preparation may have caused a failure, the batch is sent once more with nothing
    prepared, which decides it. Nothing else is sent twice without a request of the caller.
    """

    connection: AnyConnection
    plan: Plan
    frame: Frame
    deadline: Deadline | None = None
    _rest: int = field(init=False)  # the status of the connection before and after the batch
    _ready: Ready = field(init=False)
    _verdict: Verdict | None = field(init=False, default=None)
    _slots: Slots = field(init=False)
    _sent: Flight = field(init=False)
    _repeated: PreparedFlight | None = field(init=False, default=None)
    _settings_changed: bool = field(init=False, default=False)
    _times: int = field(init=False, default=0)  # how often the batch was sent
    _given_up: bool = field(init=False, default=False)  # with answers outstanding
    _complete: bool = field(init=False, default=False)  # all flights were sent and answered

    def prepare(self) -> None:
        """Do everything that can fail before the first byte is sent.

        :raises InvalidBatch: if the batch cannot be sent as it is.
        :raises ConnectionFailed: if the connection is closed already.
        """
        self._rest = resting_status(self.frame)
        self._ready = make_ready(self.connection, self.plan)

    def flights(self) -> Iterator[PQGen[None]]:
        """Yield the flights to send; for nearly every batch there is one.

        The caller waits for one after the other, with the connection's lock held. Each is a
        generator of its own, because psycopg drives an interrupted generator to its end: it must
        not send the batch once more.

        :raises InvalidBatch: if the connection cannot begin a transaction in its state.
        :raises ConnectionFailed: if the connection is closed already.
        :raises DeadlineExceeded: if the deadline has passed already.
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
            # If it fails again in the same way, the schema is the cause, and the preparations stay.
            if self._verdict is None or not is_alike(first, self._verdict):
                give_up(self._ready.state, first, flight)
        yield from self._trace(pg)
        self._complete = True

    def _check_link(self, pg: PGconn) -> None:
        link = closed_link(pg, self._ready.dialect, self._ready.kept.transformer.encoding)
        if link is not None:
            pg.finish()
            verdict = Verdict(Outcome.NOT_SENT, violation=link.final_error, session_ended=True)
            raise self._report(verdict, link.error).report

    def _attempt(self, pg: PGconn) -> Iterator[PQGen[None]]:
        yield self._batch(pg)
        verdict, lost = self._verdict, self._slots.lost is not None
        lost = lost or (verdict is not None and verdict.link_lost)
        if not lost and pg.transaction_status != self._rest:
            yield self._undo(pg)

    def _batch(self, pg: PGconn) -> PQGen[None]:
        """Send the batch, and decide the verdict by the answers."""
        ready, frame = self._ready, self.frame
        self._repeated = prepared = self._prepared_flight()
        if prepared is None:
            if self.deadline is not None:
                frame = self._bounded(pg, self.deadline)
            flight = self._lay_out(pg, frame)
            send = flight.send
        else:
            flight = prepared.flight
            send = partial(prepared.send, pg, ready.encoded)
        self._sent = flight
        self._times += 1
        # From here on bytes may have been sent, and without an answer the outcome is unknown.
        self._verdict, self._slots = unanswered(self.frame), (slots := Slots([]))
        yield from exchange(pg, send, flight.owners, slots)
        self._settings_changed = settings_of(pg) != ready.kept.settings  # by a step
        self._verdict = self._attribute(flight, slots)
        well = self._verdict.outcome is self.frame.outcome_on_success
        statements = ready.state.statements
        if prepared is not None:
            statements.record_repeated(prepared.keys, well=well)
            return
        learn(statements, flight, slots.answers, ready.kept.transformer.adapters, well=well)
        if well and self.deadline is None:
            barrier = ready.dialect.barrier and not frame.nested
            loads = ready.kept.loads_stateless(slots.answers)
            ready.state.remember(flight, ready.encoded, frame, barrier=barrier, stateless=loads)

    def _prepared_flight(self) -> PreparedFlight | None:
        """Return the flight of an earlier batch to send this one by, if there is one."""
        # The second attempt prepares nothing, and the text of a deadline is never the same.
        if self._times or self.deadline is not None or self.connection.prepare_threshold is None:
            return None
        return self._ready.state.prepared_flight(self._ready.encoded, self.frame)

    def _bounded(self, pg: PGconn, deadline: Deadline) -> Frame:
        """Return the frame with the settings that limit the server to the time that is left."""
        ready = self._ready
        queries = not ready.encoded.program.steps[0].may_change_names
        return bounded(self.frame, deadline, ready.dialect, pg.server_version, queries=queries)

    def _lay_out(self, pg: PGconn, frame: Frame) -> Flight:
        ready = self._ready
        steps = ready.encoded.steps(ready.state.parameter_types)
        return lay_out(self._flight_builder(pg), frame, steps, barrier=ready.dialect.barrier)

    def _undo(self, pg: PGconn) -> PQGen[None]:
        """End a transaction that an error has left open."""
        slots = Slots([])
        flight = lay_out_rollback(self._flight_builder(pg), self.frame)
        yield from exchange(pg, flight.send, flight.owners, slots)
        self._slots.lost = slots.lost

    def undo_left(self) -> PQGen[None] | None:
        """Return the flight that ends a transaction left open after the last flight.

        :return: None if no transaction is open, or an answer is outstanding.
        """
        pg, verdict = self.connection.pgconn, self._verdict
        lost = verdict is None or verdict.link_lost or self._slots.lost is not None
        if lost or pg.pipeline_status != PipelineStatus.OFF or pg.transaction_status == self._rest:
            return None
        return self._undo(pg)

    def _trace(self, pg: PGconn) -> Iterator[PQGen[None]]:
        """Query the catalog for what the error does not report, to find the step that failed.

        The outcome is decided by then, and a failure of these queries does not change it.
        """
        verdict = self._verdict
        if verdict is None or verdict.violation is None or not self._ready.dialect.traces_failures:
            return
        placed = self.plan.placed
        partitions = PartitionLookup(self.connection, placed, verdict)
        yield from self._query(pg, partitions)
        triggers = TriggerLookup(placed, partitions.verdict)
        yield from self._query(pg, triggers)
        self._verdict = triggers.verdict

    def _query(self, pg: PGconn, lookup: PartitionLookup | TriggerLookup) -> Iterator[PQGen[None]]:
        at_rest = self._slots.lost is None and pg.transaction_status == self._rest
        if at_rest and not self._is_late and lookup.is_needed:
            yield self._send_query(pg, lookup)
            if self._slots.lost is None and pg.transaction_status != self._rest:
                yield self._undo(pg)

    def _send_query(self, pg: PGconn, lookup: PartitionLookup | TriggerLookup) -> PQGen[None]:
        self._slots.lost = yield from lookup.query(pg, self.frame, self._ready.codec)

    @property
    def _is_late(self) -> bool:
        return self.deadline is not None and self.deadline.passed

    def _flight_builder(self, pg: PGconn) -> FlightBuilder:
        limit = self.connection.prepared_max
        return FlightBuilder(
            pg,
            self._ready.codec,
            self._ready.state.statements,
            None if self._times else self.connection.prepare_threshold,
            sys.maxsize if limit is None else limit,
            checks=self._ready.dialect.supports_outputs,
        )

    def _attribute(self, flight: Flight, slots: Slots) -> Verdict:
        return attribute(
            flight.owners,
            slots.answers,
            frame=self.frame,
            dialect=self._ready.dialect,
            encoding=self._ready.codec,
            load=lambda cell: load_cell(cell, self._ready.kept.transformer),
        )

    def _may_be_stale(self, verdict: Verdict) -> bool:
        at_rest = self.connection.pgconn.transaction_status == self._rest
        return at_rest and self._slots.lost is None and may_be_stale(verdict, self._sent)

    def give_up(self, broken: Exception | None = None) -> None:
        """Wait for no more answers, and decide the verdict by those received.

        :param broken: the error that ended the waiting; None if the time was up.
        """
        if self._verdict is None:
            return  # nothing was sent
        missing = len(self._sent.owners) - len(self._slots.answers)
        self._slots.answers += [None] * missing
        if missing and broken is None:
            self._given_up = True
            self._slots.lost = self._slots.lost or no_answer()
        self._verdict = self._attribute(self._sent, self._slots)

    # -- afterwards --------------------------------------------------------------------------------

    def close_unless_idle(self) -> None:
        """Close the connection unless it is provably usable after the batch.

        The next user of a pooled connection would write into a transaction that was left open, or
        read an answer that is outstanding.
        """
        if self._verdict is None:
            return  # nothing was sent
        pg = self.connection.pgconn
        usable = usable_statuses(self.frame, self._ready.dialect, complete=self._complete)
        at_rest = (
            pg.status == ConnStatus.OK
            and self._slots.lost is None
            and not self._verdict.link_lost
            and pg.pipeline_status == PipelineStatus.OFF
            and pg.transaction_status in usable
        )
        if not at_rest:
            pg.finish()

    @property
    def outcome(self) -> Outcome:
        """The outcome, as far as it is known by now."""
        return Outcome.NOT_SENT if self._verdict is None else self._verdict.outcome

    def failure(self, broken: Exception | None = None) -> Report | None:
        """Return the report of a failure of the server or the connection; None without one.

        :param broken: the error that ended the waiting, if one did. The answers received before it
            still count.
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
                cause = driver_error(answer, verdict.violation, self._ready.codec)
        late = None if self.deadline is None else self._overdue(verdict, self.deadline, cause)
        failure = late or self._report(verdict, cause)
        failure.report.attempts = max(self._times, 1)
        return failure

    def _overdue(
        self, verdict: Verdict, deadline: Deadline, cause: BaseException | None
    ) -> Report | None:
        # Only sending the batch once more decides whether a preparation is the cause: too late now.
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
        """Return the batch's result, decoded from the answers.

        :raises DecodeFailed: if an answer does not fit the result shape that the batch declares.
        """
        ready, program = self._ready, self._ready.encoded.program
        answers: list[Any] = self._sent.step_answers(self._slots.answers, len(program.steps))
        kept, repeated = ready.kept, self._repeated
        transformer = Transformer(self.connection) if self._settings_changed else kept.transformer
        try:
            result = decode(self.plan, program, answers, transformer, self.outcome)
        except DecodeFailed as error:
            error.attempts = self._times
            raise
        is_as_new = repeated is not None and repeated.stateless and not self._settings_changed
        if is_as_new and kept.dumps_stateless(ready.encoded.kinds):
            ready.state.transformers.give_back(kept)
        return result
