# SPDX-License-Identifier: MIT
"""Run one batch as one transaction: all stages of the engine meet here.

    Batch ──plan──▶ encode ──flight──▶ wire ──slots──▶ attribute ──verdict──▶ report or decode

Each flight is a generator, which the sync and the async façade drive alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from psycopg.adapt import Transformer
from psycopg.pq import PipelineStatus

from batchq.engine.learning import learn_from
from batchq.engine.link_check import check_link
from batchq.engine.outcome.attribute import Verdict, attribute, closing_verdict
from batchq.engine.outcome.load_cell import load_cell
from batchq.engine.outcome.overdue import no_answer
from batchq.engine.outcome.stale import give_up, is_alike, may_be_stale
from batchq.engine.plan import Plan
from batchq.engine.ready import Ready
from batchq.engine.trace import trace
from batchq.engine.wire.connection_state import AnyConnection
from batchq.engine.wire.deadline import Deadline, bounded
from batchq.engine.wire.exchange import Slots, exchange
from batchq.engine.wire.flight import Flight
from batchq.engine.wire.frame import Frame
from batchq.engine.wire.layout import lay_out, lay_out_rollback
from batchq.engine.wire.prepared_flight import PreparedFlight
from batchq.engine.wire.readiness import is_usable
from batchq.engine.wire.transformers import settings_of
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import abc
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

    from batchq.engine.wire.exchange import Part

_OFF = PipelineStatus.OFF


class Transaction:
    """One attempt to run a batch on one connection.

    If a stale preparation may have caused a failure, the batch is sent once more with nothing
    prepared, which decides it. Nothing else is sent twice without a request of the caller.
    """

    __slots__ = (
        *("connection", "plan", "frame", "ready", "deadline", "verdict", "is_well", "slots"),
        *("sent", "repeated", "transformer", "times", "given_up", "left_idle", "_complete"),
    )
    sent: Flight
    transformer: abc.Transformer
    """For the results, of a batch that succeeded."""

    def __init__(
        self,
        connection: AnyConnection,
        plan: Plan,
        frame: Frame,
        ready: Ready,
        deadline: Deadline | None,
    ) -> None:
        self.connection = connection
        self.plan = plan
        self.frame = frame
        self.ready = ready
        self.deadline = deadline
        self.verdict: Verdict | None = None  # on the batch as last sent
        self.is_well: bool = False  # it is known to have succeeded
        self.slots = Slots()
        self.repeated: PreparedFlight | None = None
        self.times: int = 0  # how often the batch was sent
        self.given_up: bool = False  # with answers outstanding
        self.left_idle: bool = False  # as is_usable() has it, on success
        self._complete: bool = False  # all flights were sent and answered

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
        check_link(pg, self.ready, self.frame, self.deadline)
        yield exchange(pg, [self.lay_out(pg)])
        self.settle()
        self.left_idle = (
            self.is_well
            and self.slots.lost is None
            and pg.transaction_status == self.frame.at_rest
            and pg.pipeline_status == _OFF
        )
        if not self.left_idle:
            yield from self._after_failure(pg)
            self._complete = True

    def _after_failure(self, pg: PGconn) -> Iterator[PQGen[None]]:
        """Undo what is left, and find out whether a preparation, or which step, has failed."""
        yield from self.undo_all(pg)
        first, flight = self.verdict, self.sent
        if first is not None and self.may_be_stale(first) and not self.is_late:
            yield exchange(pg, [self.lay_out(pg)])
            self.settle()
            yield from self.undo_all(pg)
            # If it fails again in the same way, the schema is the cause, and the preparations stay.
            if self.verdict is None or not is_alike(first, self.verdict):
                give_up(self.ready.state, [(first, flight)])
        yield from trace(self, pg)

    def undo_all(self, pg: PGconn) -> Iterator[PQGen[None]]:
        """End a transaction that an error has left open, if there is one."""
        if not self.is_lost and pg.transaction_status != self.frame.at_rest:
            yield self.undo(pg)

    def lay_out(
        self, pg: PGconn, *, closes: bool = True, answered: Callable[[], None] | None = None
    ) -> Part:
        """Decide the commands of the batch; return them as a part of a flight.

        :param closes: whether to close the prepared statements that are no longer needed.
        :param answered: called when all of them are answered.
        """
        ready, prepared = self.ready, None
        # The second attempt prepares nothing, and the text of a deadline is never the same.
        may_repeat = not self.times and self.deadline is None
        if may_repeat and self.connection.prepare_threshold is not None:
            prepared = ready.state.prepared_flight(ready.encoded, self.frame)
        self.repeated = prepared
        send: Callable[[], None]
        if prepared is None:
            self.sent = flight = self._lay_out(pg, closes=closes)
            send = flight.send
        else:
            self.sent = flight = prepared.flight
            send = partial(prepared.send, pg, ready.encoded)
        self.times += 1
        if self.times > 1:
            self.slots, self.verdict, self.is_well = Slots(), None, False
        return send, flight.owners, self.slots, answered

    def _lay_out(self, pg: PGconn, *, closes: bool) -> Flight:
        ready, frame, deadline = self.ready, self.frame, self.deadline
        if deadline is not None:
            queries = not ready.encoded.program.steps[0].may_change_names
            frame = bounded(frame, deadline, ready.dialect, pg.server_version, queries=queries)
        registry = ready.kept.transformer.adapters.types
        steps = ready.encoded.steps(ready.state.parameter_types, registry)
        # The second attempt prepares nothing.
        builder = ready.builder(self.connection, prepares=not self.times)
        return lay_out(builder, frame, steps, barrier=ready.dialect.barrier, closes=closes)

    def undo(self, pg: PGconn) -> PQGen[None]:
        """End a transaction that an error has left open."""
        slots = Slots()
        flight = lay_out_rollback(self.ready.builder(self.connection, prepares=False), self.frame)
        yield from exchange(pg, [(flight.send, flight.owners, slots, None)])
        self.slots.lost = slots.lost

    def undo_left(self) -> PQGen[None] | None:
        """Return the flight that ends a transaction left open after the last flight.

        :return: None if no transaction is open, or an answer is outstanding.
        """
        pg = self.connection.pgconn
        at_rest = pg.transaction_status == self.frame.at_rest
        if self.is_lost or at_rest or pg.pipeline_status != _OFF:
            return None
        return self.undo(pg)

    @property
    def is_lost(self) -> bool:
        """Whether the connection is lost, or an answer is outstanding."""
        if self.verdict is None:
            return self.slots.sent
        return self.verdict.link_lost or self.slots.lost is not None

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and self.deadline.passed

    def settle(self, *, learns: bool = True) -> None:
        """Decide the verdict by the answers, and keep what they show for the next batch.

        :param learns: whether to keep it.
        """
        sent, slots, frame, kept = self.sent, self.slots, self.frame, self.ready.kept
        is_answered = slots.are_well and len(slots.answers) == len(sent.owners)
        verdict = closing_verdict(slots.answers[sent.closing], frame) if is_answered else None
        self.verdict = verdict = verdict or self._attribute()
        self.is_well = is_well = verdict.outcome is frame.outcome_on_success
        if is_well:
            is_current = settings_of(self.connection.pgconn) == kept.settings
            # A step may have changed the settings.
            self.transformer = kept.transformer if is_current else Transformer(self.connection)
        if learns:
            if self.repeated is None:
                learn_from([self])
            elif is_well:
                self.ready.state.statements.kept += 1

    def _attribute(self) -> Verdict:
        ready = self.ready
        return attribute(
            self.sent.owners,
            self.slots.answers,
            frame=self.frame,
            dialect=ready.dialect,
            encoding=ready.kept.codec,
            load=lambda cell: load_cell(cell, ready.kept.transformer),
        )

    def may_be_stale(self, verdict: Verdict) -> bool:
        """Return whether a stale preparation may have caused the failure."""
        at_rest = self.connection.pgconn.transaction_status == self.frame.at_rest
        return at_rest and self.slots.lost is None and may_be_stale(verdict, self.sent)

    def give_up(self, broken: Exception | None = None) -> None:
        """Wait for no more answers, and decide the verdict by those received, if it is not decided.

        :param broken: the error that ended the waiting; None if the time was up.
        """
        if self.verdict is None and self.slots.sent:
            self.settle(learns=self.end_answers(broken))

    def end_answers(self, broken: Exception | None) -> bool:
        """Put None for the answers that did not arrive; return whether all did."""
        missing = len(self.sent.owners) - len(self.slots.answers)
        if missing:
            self.slots.answers += [None] * missing
            if broken is None:
                self.given_up = True
                self.slots.lost = self.slots.lost or no_answer()
        return not missing

    def close_unless_idle(self) -> None:
        """Close the connection unless it is provably usable after the batch.

        The next user of a pooled connection would write into a transaction that was left open, or
        read an answer that is outstanding.
        """
        if self.left_idle or not self.times:  # or nothing was sent
            return
        pg = self.connection.pgconn
        dialect, complete = self.ready.dialect, self._complete
        if self.is_lost or not is_usable(pg, self.frame, dialect, complete=complete):
            pg.finish()

    @property
    def outcome(self) -> Outcome:
        """The outcome, as far as it is known by now."""
        if self.verdict is not None:
            return self.verdict.outcome
        if self.slots.sent:
            return self.frame.unseen
        # What was sent once and may be sent again was rolled back.
        return Outcome.ROLLED_BACK if self.times > 1 else Outcome.NOT_SENT
