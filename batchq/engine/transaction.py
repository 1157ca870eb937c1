# SPDX-License-Identifier: MIT
"""Run one batch as one transaction: all stages of the engine meet here.

    Batch ──plan──▶ encode ──flight──▶ wire ──slots──▶ attribute ──verdict──▶ report or decode

Each flight is a generator, which the sync and the async façade drive alike.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field
from psycopg.pq import ConnStatus, PipelineStatus

from batchq.engine.outcome.attribute import Verdict, all_well, attribute
from batchq.engine.outcome.load_cell import load_cell
from batchq.engine.outcome.lost_link import link_failed
from batchq.engine.outcome.overdue import no_answer, not_sent
from batchq.engine.outcome.stale import give_up, is_alike, learn, may_be_stale
from batchq.engine.outcome.trace import Lookup, trace
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
from batchq.engine.wire.readiness import check_state, usable_statuses
from batchq.engine.wire.transformers import settings_of
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
    ready: Ready = field(init=False)
    verdict: Verdict | None = field(init=False, default=None)  # on the batch as last sent
    slots: Slots = field(init=False, factory=lambda: Slots([]))
    sent: Flight = field(init=False)
    repeated: PreparedFlight | None = field(init=False, default=None)
    settings_changed: bool = field(init=False, default=False)  # by a step
    times: int = field(init=False, default=0)  # how often the batch was sent
    given_up: bool = field(init=False, default=False)  # with answers outstanding
    _complete: bool = field(init=False, default=False)  # all flights were sent and answered

    def prepare(self) -> None:
        """Do everything that can fail before the first byte is sent.

        :raises InvalidBatch: if the batch cannot be sent as it is.
        :raises ConnectionFailed: if the connection is closed already.
        """
        self.ready = make_ready(self.connection, self.plan)

    def flights(self) -> Iterator[PQGen[None]]:
        """Yield the flights to send; for nearly every batch there is one.

        The caller waits for one after the other, with the connection's lock held. Each is a
        generator of its own, because psycopg drives an interrupted generator to its end: it must
        not send the batch once more.

        :raises InvalidBatch: if the connection cannot begin a transaction in its state.
        :raises ConnectionFailed: if the connection is closed already.
        :raises DeadlineExceeded: if the deadline has passed already.
        """
        pg, ready = self.connection.pgconn, self.ready
        check_state(pg, self.frame)
        link = closed_link(pg, ready.dialect, ready.codec)
        if link is not None:
            pg.finish()
            verdict = Verdict(Outcome.NOT_SENT, violation=link.final_error, session_ended=True)
            raise link_failed(verdict, link.error)
        if self.is_late:
            raise not_sent("it was made ready")
        yield self._batch(pg)
        self._settle()
        if self._has_failed(pg):
            yield from self._after_failure(pg)
        self._complete = True

    def _has_failed(self, pg: PGconn) -> bool:
        """Return whether there is more to do than to return the result."""
        is_well = (
            self.verdict is not None
            and self.verdict.outcome is self.frame.outcome_on_success
            and self.slots.lost is None
            and pg.transaction_status == self.frame.at_rest
        )
        return not is_well

    def _after_failure(self, pg: PGconn) -> Iterator[PQGen[None]]:
        """Undo what is left, and find out whether a preparation, or which step, has failed."""
        yield from self._undo_all(pg)
        first, flight = self.verdict, self.sent
        if first is not None and self.may_be_stale(first) and not self.is_late:
            yield self._batch(pg)
            self._settle()
            yield from self._undo_all(pg)
            # If it fails again in the same way, the schema is the cause, and the preparations stay.
            if self.verdict is None or not is_alike(first, self.verdict):
                give_up(self.ready.state, first, flight)
        verdict, traces = self.verdict, self.ready.dialect.traces_failures
        if verdict is not None and verdict.violation is not None and traces:
            query = partial(self._query, pg)
            self.verdict = yield from trace(self.connection, self.plan.placed, verdict, query)

    def _undo_all(self, pg: PGconn) -> Iterator[PQGen[None]]:
        verdict, lost = self.verdict, self.slots.lost is not None
        lost = lost or (verdict is not None and verdict.link_lost)
        if not lost and pg.transaction_status != self.frame.at_rest:
            yield self._undo(pg)

    def _batch(self, pg: PGconn) -> PQGen[None]:
        """Return the flight that sends the batch, and fills the slots with the answers."""
        frame = self.frame
        self.repeated = prepared = self._prepared_flight()
        if prepared is None:
            if self.deadline is not None:
                frame = self._bounded(pg, self.deadline)
            flight = self._lay_out(pg, frame)
            send = flight.send
        else:
            flight = prepared.flight
            send = partial(prepared.send, pg, self.ready.encoded)
        self.sent, self.slots, self.verdict = flight, Slots([]), None
        self.times += 1
        return exchange(pg, send, flight.owners, self.slots)

    def _settle(self) -> None:
        """Decide the verdict by the answers, and keep what they show for the next batch."""
        ready, flight, answers = self.ready, self.sent, self.slots.answers
        well = self._decide().outcome is self.frame.outcome_on_success
        statements = ready.state.statements
        if well:
            pg = self.connection.pgconn
            self.settings_changed = settings_of(pg) != ready.kept.settings
        if self.repeated is not None:
            statements.record_repeated(self.repeated.keys, well=well)
            return
        learn(statements, flight, answers, ready.kept.transformer.adapters, well=well)
        if well and self.deadline is None and ready.encoded.program.is_kept:
            barrier = ready.dialect.barrier and not self.frame.nested
            loads = ready.kept.loads_stateless(answers)
            ready.state.remember(
                flight, ready.encoded, self.frame, barrier=barrier, stateless=loads
            )

    def _prepared_flight(self) -> PreparedFlight | None:
        """Return the flight of an earlier batch to send this one by, if there is one."""
        # The second attempt prepares nothing, and the text of a deadline is never the same.
        if self.times or self.deadline is not None or self.connection.prepare_threshold is None:
            return None
        return self.ready.state.prepared_flight(self.ready.encoded, self.frame)

    def _bounded(self, pg: PGconn, deadline: Deadline) -> Frame:
        """Return the frame with the settings that limit the server to the time that is left."""
        ready = self.ready
        queries = not ready.encoded.program.steps[0].may_change_names
        return bounded(self.frame, deadline, ready.dialect, pg.server_version, queries=queries)

    def _lay_out(self, pg: PGconn, frame: Frame) -> Flight:
        ready = self.ready
        registry = ready.kept.transformer.adapters.types
        steps = ready.encoded.steps(ready.state.parameter_types, registry)
        return lay_out(self._flight_builder(pg), frame, steps, barrier=ready.dialect.barrier)

    def _undo(self, pg: PGconn) -> PQGen[None]:
        """End a transaction that an error has left open."""
        slots = Slots([])
        flight = lay_out_rollback(self._flight_builder(pg), self.frame)
        yield from exchange(pg, flight.send, flight.owners, slots)
        self.slots.lost = slots.lost

    def undo_left(self) -> PQGen[None] | None:
        """Return the flight that ends a transaction left open after the last flight.

        :return: None if no transaction is open, or an answer is outstanding.
        """
        pg, verdict = self.connection.pgconn, self.verdict
        lost = verdict is None or verdict.link_lost or self.slots.lost is not None
        at_rest = pg.transaction_status == self.frame.at_rest
        if lost or at_rest or pg.pipeline_status != PipelineStatus.OFF:
            return None
        return self._undo(pg)

    def _query(self, pg: PGconn, lookup: Lookup) -> Iterator[PQGen[None]]:
        """Send the query of a look-up. If it fails, that does not change the outcome."""
        at_rest = self.slots.lost is None and pg.transaction_status == self.frame.at_rest
        if at_rest and not self.is_late:
            yield self._send_query(pg, lookup)
            if self.slots.lost is None and pg.transaction_status != self.frame.at_rest:
                yield self._undo(pg)

    def _send_query(self, pg: PGconn, lookup: Lookup) -> PQGen[None]:
        self.slots.lost = yield from lookup.query(pg, self.frame, self.ready.codec)

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and self.deadline.passed

    def _flight_builder(self, pg: PGconn) -> FlightBuilder:
        limit, ready = self.connection.prepared_max, self.ready
        return FlightBuilder(
            pg,
            ready.codec,
            ready.state.statements,
            None if self.times else self.connection.prepare_threshold,
            sys.maxsize if limit is None else limit,
            checks=ready.dialect.supports_outputs,
        )

    def _decide(self) -> Verdict:
        """Decide the verdict by the answers."""
        owners, answers, ready = self.sent.owners, self.slots.answers, self.ready
        is_well = self.slots.are_well and len(answers) == len(owners)
        well = all_well(owners, answers, self.frame) if is_well else None
        self.verdict = verdict = well or attribute(
            owners,
            answers,
            frame=self.frame,
            dialect=ready.dialect,
            encoding=ready.codec,
            load=lambda cell: load_cell(cell, ready.kept.transformer),
        )
        return verdict

    def may_be_stale(self, verdict: Verdict) -> bool:
        """Return whether a stale preparation may have caused the failure."""
        at_rest = self.connection.pgconn.transaction_status == self.frame.at_rest
        return at_rest and self.slots.lost is None and may_be_stale(verdict, self.sent)

    def give_up(self, broken: Exception | None = None) -> None:
        """Wait for no more answers, and decide the verdict by those received, if it is not decided.

        :param broken: the error that ended the waiting; None if the time was up.
        """
        if self.verdict is not None or not self.slots.sent:
            return
        missing = len(self.sent.owners) - len(self.slots.answers)
        if not missing:
            self._settle()
            return
        self.slots.answers += [None] * missing
        if broken is None:
            self.given_up = True
            self.slots.lost = self.slots.lost or no_answer()
        self._decide()

    def close_unless_idle(self) -> None:
        """Close the connection unless it is provably usable after the batch.

        The next user of a pooled connection would write into a transaction that was left open, or
        read an answer that is outstanding.
        """
        if not self.times:
            return  # nothing was sent
        pg, verdict = self.connection.pgconn, self.verdict
        at_rest = (
            pg.status == ConnStatus.OK
            and self.slots.lost is None
            and (verdict is None or not verdict.link_lost)
            and pg.pipeline_status == PipelineStatus.OFF
            and (pg.transaction_status == self.frame.at_rest or self._is_usable(pg))
        )
        if not at_rest:
            pg.finish()

    def _is_usable(self, pg: PGconn) -> bool:
        usable = usable_statuses(self.frame, self.ready.dialect, complete=self._complete)
        return pg.transaction_status in usable

    @property
    def outcome(self) -> Outcome:
        """The outcome, as far as it is known by now."""
        if self.verdict is not None:
            return self.verdict.outcome
        if self.slots.sent:
            return self.frame.unseen
        # What was sent once and may be sent again was rolled back.
        return Outcome.ROLLED_BACK if self.times > 1 else Outcome.NOT_SENT
