# SPDX-License-Identifier: MIT
"""Run several batches once, in one flight on one connection.

As :mod:`batchq.running.once`, of each of them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from attrs import define, evolve
from psycopg import AsyncConnection, Connection

from batchq.engine.conclusion import conclude
from batchq.engine.many import ManyTransactions
from batchq.engine.plan import plan
from batchq.engine.result import failed_alike
from batchq.language.batch import Batch
from batchq.language.errors import BatchError, InvalidBatch
from batchq.language.exceptions import annotate
from batchq.language.spelling import with_article
from batchq.running.interrupts import note_interrupt, result_outcome
from batchq.running.once import transaction_on
from batchq.running.option_values import NO_OPTIONS
from batchq.running.request import OF_MANY, ManyOptions, RunRequest, read_options, request_outcome
from batchq.running.target import check_target
from batchq.running.waiting import drive, drive_async

if TYPE_CHECKING:
    from batchq.engine.result import Result
    from batchq.engine.transaction import Transaction
    from batchq.engine.wire.connection_state import AnyConnection
    from batchq.engine.wire.deadline import Deadline
    from batchq.engine.wire.transformers import KeptTransformer
    from batchq.language.outcome import Outcome
    from batchq.running.retry import Retry

_NESTED = (
    "nested=True: each batch of {} is a transaction of its own; run(conn, gather(…), nested=True) "
    "runs them as one, in the open transaction"
)


@define(eq=False)
class ManyRequest:
    """The requests of several batches, and which of them the next attempt runs."""

    requests: Sequence[RunRequest]
    """One for each batch of the caller."""
    places: Sequence[int]
    """The places of those that the next attempt runs."""
    retry: Retry | None
    deadline: Deadline | None

    @property
    def count(self) -> int:
        """How many batches are run."""
        return len(self.places)

    def only(self, places: Iterable[int]) -> ManyRequest:
        """Return the request for some of the batches that this one runs.

        :param places: their places among these.
        """
        return evolve(self, places=[self.places[place] for place in places])

    def outcomes(self, results: Mapping[int, Result]) -> Sequence[Outcome]:
        """Return the outcome of each batch of the caller, as far as it is known by now.

        :param results: the results of the latest attempt.
        """
        return [
            result_outcome(results[place]) if place in results else request_outcome(request)
            for place, request in enumerate(self.requests)
        ]

    def note_interrupt(self, error: BaseException, results: Sequence[Result] | None) -> None:
        """Note the outcomes on an exception that interrupts an attempt on a pool.

        :param results: the results of the attempt, if it has any.
        """
        latest = {} if results is None else dict(zip(self.places, results, strict=True))
        note_interrupt(error, *self.outcomes(latest))

    def transactions_on(self, connection: AnyConnection) -> ManyTransactions:
        """Return one attempt to run the batches on a connection.

        :raises InvalidBatch: if one of them cannot be sent as it is, with its place.
        :raises ConnectionFailed: if the connection is closed already.
        """
        requests = [self.requests[place] for place in self.places]
        for request in requests:
            request.transaction = None  # that of an earlier attempt
        transactions: list[Transaction] = []
        kept: KeptTransformer | None = None
        with _noting_place() as at:
            for at.place, request in zip(self.places, requests, strict=True):
                transaction = transaction_on(connection, request, kept)
                kept = transaction.ready.kept
                transactions.append(transaction)
        return ManyTransactions(transactions)


@define
class _At:
    """The place of the batch that the caller is at."""

    place: int = 0


@contextmanager
def _noting_place() -> Generator[_At]:
    """Note on the error of a batch that cannot be sent which of several it is.

    It is entered once for all of them, and not for each: that would take longer than to plan one.
    """
    at = _At()
    try:
        yield at
    except (InvalidBatch, TypeError) as error:
        annotate(error, f"batchq: in batches[{at.place}] of run_many(); no batch was sent")
        raise


def many_request(
    target: object, batches: Iterable[Batch[Any]], options: ManyOptions, *, sync: bool
) -> ManyRequest:
    """Return the request, after a check of all arguments.

    :raises TypeError: if an argument is of a wrong type, or for an unknown option.
    :raises InvalidBatch: if an option's value is not valid, or a batch is not.
    """
    call = "run_many()" if sync else "arun_many()"
    check_target(call, target, sync=sync)
    if cast("Mapping[str, object]", options).get("nested"):
        raise InvalidBatch(_NESTED.format(call))
    values = read_options(target, options, call, OF_MANY) if options else NO_OPTIONS
    if isinstance(batches, Batch | str | Mapping) or not isinstance(batches, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  an argument of the caller's
        given = with_article(type(cast("object", batches)))
        message = f"{call} takes a list of batches, not {given}; pass [batch, …]"
        raise TypeError(message)
    listed = [*batches]  # first: an error of the caller's own iterator is that of no batch
    requests: list[RunRequest] = []
    with _noting_place() as at:
        for at.place, batch in enumerate(listed):
            requests.append(RunRequest(plan(batch), values, values.retry, values.deadline))
    places = [place for place, each in enumerate(requests) if each.plan.statements]
    return ManyRequest(requests, places, values.retry, values.deadline)


def run_many_once(connection: Connection[Any], request: ManyRequest) -> list[Result]:
    """Run several batches once.

    :raises InvalidBatch: if one of them cannot be sent; none was.
    """
    many: ManyTransactions | None = None
    try:
        many = request.transactions_on(connection)
        drive(connection, many)
        return conclude(many.transactions)
    except BaseException as error:  # noqa: BLE001  an interrupt has to close the connection, too
        return _interrupted(request, many, error)


async def arun_many_once(connection: AsyncConnection[Any], request: ManyRequest) -> list[Result]:
    """Run several batches once; as :func:`run_many_once`."""
    many: ManyTransactions | None = None
    try:
        many = request.transactions_on(connection)
        await drive_async(connection, many)
        return conclude(many.transactions)
    except BaseException as error:  # noqa: BLE001  as in run_many_once()
        return _interrupted(request, many, error)


def _interrupted(
    request: ManyRequest, many: ManyTransactions | None, error: BaseException
) -> list[Result]:
    """Return the results of an attempt that an exception ended; raise an interrupt again.

    :param many: the attempt; None if the exception came before it could be sent.
    """
    if isinstance(error, BatchError) and not isinstance(error, InvalidBatch):
        return failed_alike(error, request.count)
    if many is None or isinstance(error, InvalidBatch) or not isinstance(error, Exception):
        raise error  # an interrupt, to which the caller adds the outcomes, or an invalid batch
    # Waiting failed: the socket or the event loop was closed. The answers before that count.
    return conclude(many.transactions, error)
