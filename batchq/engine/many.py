# SPDX-License-Identifier: MIT
"""Run several batches in one flight, each as a transaction of its own.

    Batches ──lay out each──▶ one flight ──answers of each──▶ its own verdict

Each is laid out, decided and reported by :class:`~batchq.engine.transaction.Transaction`, as one
that is sent alone. What is here is what they share: the flight, the connection, its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field
from psycopg.pq import ExecStatus

from batchq.engine.learning import learn_from
from batchq.engine.link_check import check_link
from batchq.engine.outcome.attribute import Verdict
from batchq.engine.outcome.session_end import session_end
from batchq.engine.outcome.stale import give_up, is_alike
from batchq.engine.trace import trace
from batchq.engine.wire.exchange import Part, Slots, exchange
from batchq.engine.wire.flight import OPENING
from batchq.engine.wire.layout import lay_out_rollback
from batchq.engine.wire.readiness import is_usable
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

    from batchq.engine.transaction import Transaction
    from batchq.engine.wire.deadline import Deadline
    from batchq.language.violation import Violation

_ABORTED = "25P02"
"""PostgreSQL documentation, appendix A: in_failed_sql_transaction."""


@define(eq=False)
class ManyTransactions:
    """One attempt to run several batches on one connection, in one flight.

    Those whose failure a stale preparation may have caused are sent once more, together, with
    nothing prepared.
    """

    transactions: Sequence[Transaction]
    left_idle: bool = field(init=False, default=False)  # as that of a Transaction
    _end: Violation | None = field(init=False, default=None)  # the error that ended the session
    _to_learn: Sequence[Transaction] = field(init=False, default=())  # of the latest flight

    def flights(self) -> Iterator[PQGen[None]]:
        """Yield the flights to send, nearly always one; as ``Transaction.flights``.

        :raises InvalidBatch: if the connection cannot begin a transaction in its state.
        :raises ConnectionFailed: if the connection is closed already.
        :raises DeadlineExceeded: if the deadline has passed already.
        """
        first = self.transactions[0]
        pg = first.connection.pgconn
        check_link(pg, first.ready, first.frame, self.deadline, many=True)
        yield self._send(pg, self.transactions)
        self._learn()
        if all(transaction.is_well for transaction in self.transactions):
            dialect = first.ready.dialect
            is_idle = is_usable(pg, first.frame, dialect, complete=True)
            self.left_idle = is_idle and not self._is_lost
            return
        yield from self._undo(pg)
        yield from self._send_again(pg)
        for transaction in self.transactions:
            if not transaction.is_well:
                yield from trace(transaction, pg)

    def _send_again(self, pg: PGconn) -> Iterator[PQGen[None]]:
        """Send those again whose failure the preparations may have caused, with nothing prepared.

        They come after the others now. Each is a transaction of its own, so that changes nothing
        for those which succeeded.
        """
        stale = [each for each in self.transactions if _may_be_stale(each)]
        if not stale or self.is_late:
            return
        before = [(each.verdict, each.sent) for each in stale]
        yield self._send(pg, stale)
        self._learn()
        yield from self._undo(pg)
        # As for one batch: what fails again in the same way is not due to the preparations.
        given_up = [
            (first, flight)
            for each, (first, flight) in zip(stale, before, strict=True)
            if first is not None and (each.verdict is None or not is_alike(first, each.verdict))
        ]
        give_up(stale[0].ready.state, given_up)

    def _send(self, pg: PGconn, transactions: Sequence[Transaction]) -> PQGen[None]:
        """Return the flight that sends these batches, and decides each by its own answers."""
        parts: list[Part] = []
        dialect = transactions[0].ready.dialect
        for number, transaction in enumerate(transactions):
            statements = transaction.ready.state.statements
            if number:
                statements.next_batch()
                if not dialect.barrier:
                    parts.append(self._rollback(transaction))
            # Closed once, by the last one: no earlier one may still use them.
            closes = number == len(transactions) - 1
            answered = partial(self._decide, transaction)
            parts.append(transaction.lay_out(pg, closes=closes, answered=answered))
        self._to_learn = transactions
        return exchange(pg, parts)

    def _rollback(self, transaction: Transaction) -> Part:
        """Return a ROLLBACK, which ends the transaction before if that failed, and a Sync.

        Without a barrier the server skips the COMMIT of a failed batch. If there is nothing to roll
        back, this is a warning or an error, and it affects nothing else.
        """
        ready, slots = transaction.ready, Slots()
        builder = ready.builder(transaction.connection, prepares=False)
        flight = lay_out_rollback(builder, transaction.frame)

        def answered() -> None:
            if not slots.are_well and self._end is None:
                self._end = session_end(slots.answers, ready.dialect, ready.kept.codec)

        return flight.send, flight.owners, slots, answered

    def _decide(self, transaction: Transaction) -> None:
        """Decide the verdict on a batch, of which all answers have arrived that ever will."""
        slots, ready = transaction.slots, transaction.ready
        if self._end is not None:
            # The server ended the session before it came to this one.
            ended = Verdict(Outcome.ROLLED_BACK, violation=self._end, session_ended=True)
            transaction.verdict = ended
            return
        transaction.settle(learns=False)
        if transaction.is_well:
            _make_loaders(transaction)
        if not slots.are_well:
            self._end = session_end(slots.answers, ready.dialect, ready.kept.codec)

    def _learn(self) -> None:
        """Keep what the answers of the latest flight show, once."""
        latest, self._to_learn = self._to_learn, ()
        if laid_out := [each for each in latest if each.repeated is None]:
            learn_from(laid_out)
        for each in latest:
            if each.repeated is not None and each.is_well:
                each.ready.state.statements.kept += 1

    def _undo(self, pg: PGconn) -> Iterator[PQGen[None]]:
        if not self._is_lost:
            yield from self.transactions[0].undo_all(pg)

    @property
    def _is_lost(self) -> bool:
        """Whether the connection is lost, or an answer is outstanding."""
        return any(each.is_lost for each in self.transactions)

    def undo_left(self) -> PQGen[None] | None:
        """Return the flight that ends a transaction left open; as ``Transaction.undo_left``."""
        return None if self._is_lost else self.transactions[0].undo_left()

    @property
    def deadline(self) -> Deadline | None:
        """The deadline, which is that of all of them."""
        return self.transactions[0].deadline

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self.transactions[0].is_late

    def give_up(self, broken: Exception | None = None) -> None:
        """Wait for no more answers, and decide the verdicts by those received.

        :param broken: the error that ended the waiting; None if the time was up.
        """
        is_complete = True
        for transaction in self.transactions:
            if transaction.verdict is None and transaction.slots.sent:
                is_complete = transaction.end_answers(broken) and is_complete
                self._decide(transaction)
        if is_complete and not self._is_lost:
            self._learn()

    def close_unless_idle(self) -> None:
        """Close the connection unless it is provably usable; as that of one transaction."""
        first, is_sent = self.transactions[0], any(each.times for each in self.transactions)
        pg, frame, dialect = first.connection.pgconn, first.frame, first.ready.dialect
        if is_sent and (self._is_lost or not is_usable(pg, frame, dialect, complete=True)):
            pg.finish()


def _make_loaders(transaction: Transaction) -> None:
    """Make what loads the results, before the answers to a later batch change the settings.

    psycopg's loaders read the session's settings when they are made.
    """
    for answer in transaction.slots.answers:
        if answer is not None and answer.status == ExecStatus.TUPLES_OK:
            transaction.transformer.set_pgresult(answer)


def _may_be_stale(transaction: Transaction) -> bool:
    """Return whether a lost or stale preparation may have caused the failure.

    If the name of a COMMIT was lost, the transaction stays open, and the BEGIN after it fails.
    """
    verdict = transaction.verdict
    if verdict is None or transaction.may_be_stale(verdict):
        return verdict is not None
    violation = verdict.violation
    is_at_rest = transaction.connection.pgconn.transaction_status == transaction.frame.at_rest
    return (
        is_at_rest
        and not verdict.link_lost
        and verdict.owner == OPENING
        and verdict.outcome is Outcome.ROLLED_BACK
        and violation is not None
        and violation.sqlstate == _ABORTED
    )
