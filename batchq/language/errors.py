# SPDX-License-Identifier: MIT
"""Every error that batchq raises, under one base.

A mapped failure is the caller's own exception, raised ``from`` one of these; so the report is never
lost. SQL, parameters and the server's messages are attributes: they leak secrets into logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from batchq.language.step import Step, Titled
    from batchq.language.violation import Violation


class BatchError(Exception):
    """A batch did not succeed. The report: which statement, how, and what became of it all.

    The driver's own exception is its ``__cause__``, where there is one. Raised as itself only as
    the ``__cause__`` of a mapped exception.
    """

    context: str | None = None
    """The context of the innermost ``.as_invariant(context)`` around the failure; None if there is
    none, or if a mapping around it decides."""

    def __init__(
        self,
        message: str,
        *,
        outcome: Outcome = Outcome.NOT_SENT,
        step: Step | None = None,
        violation: Violation | None = None,
        candidates: tuple[Step, ...] = (),
    ) -> None:
        super().__init__(message)
        self.outcome = outcome
        """What became of the transaction."""
        self.step = step
        """The step in whose slot the server's error sat, or which COMMIT's error is traced to; or
        None: nobody is blamed on suspicion."""
        self.violation = violation
        """What the server said, or None when it said nothing."""
        self.candidates = candidates
        """Of an error at COMMIT that may be of several steps, or of one that does not declare it:
        those steps. COMMIT does not say which of them broke the constraint, and its DETAIL does not
        either, so none of them is blamed."""
        self.attempts = 1
        """How often the batch was tried, this time included: by :class:`~batchq.Retry`, and once
        more without preparation where one may have been to blame."""

    @property
    def statement(self) -> Titled | None:
        """The very object that the caller built, when a statement is to blame."""
        return None if self.step is None else self.step.statement

    @property
    def index(self) -> int | None:
        """The blamed step's place in the batch, from 0."""
        return None if self.step is None else self.step.index

    @property
    def path(self) -> str | None:
        """The blamed step's labels, outermost first: ``project_create/vpc``."""
        return None if self.step is None else self.step.path

    @property
    def sql(self) -> str | None:
        """The blamed step's SQL, as sent."""
        return None if self.step is None else self.step.sql

    @property
    def parameters(self) -> tuple[object, ...] | None:
        """The blamed step's parameters, in the order of ``$1``, ``$2`` and so on."""
        return None if self.step is None else self.step.parameters


class InvalidBatch(BatchError, ValueError):
    """The batch cannot be sent as it is. Raised before a byte leaves, where possible when built."""


class UnmappedViolation(BatchError):
    """The server refused a statement in a way that nobody mapped: loud, and it teaches the fix."""


class GuardFailed(BatchError):
    """A guard's condition did not hold and the server aborted the transaction before COMMIT."""


class InvariantViolation(BatchError):
    """A failure that was declared to be impossible, or to be ours, happened: a bug, not a request.

    Raised for ``.invariant(...)`` and inside ``.as_invariant(...)``.
    """


class SerializationConflict(BatchError):
    """The server could not serialize the transaction (40001) or broke a deadlock (40P01).

    Nothing was kept and nothing is wrong with the batch: running it again may succeed.
    """

    rerun_outer: bool = False
    """Whether the batch was nested: then the transaction around it has to be rolled back and run
    again as a whole. What it has read is as old as it is, and CockroachDB lets it do nothing else
    any more."""


class StatementCanceled(BatchError):
    """The server canceled a statement (57014): it took too long, or somebody wanted it to end.

    By ``timeout=``; by the session's own ``statement_timeout``; by ``pg_cancel_backend`` or a
    cancel request, ``Connection.cancel()`` for one. The server says which in its message alone, and
    that in the language of its ``lc_messages``.
    """

    timeout: float | None = None
    """The ``timeout=`` that was in force, in seconds; None when none was: it was something else.
    At COMMIT none is."""


class ReadOnlyServer(BatchError):
    """The server takes no writes (25006), and nobody asked for a transaction that only reads.

    It is a standby, perhaps since a failover, or its ``default_transaction_read_only`` is on. A
    pool does not get that connection back; one of your own stays open. Where ``read_only=True`` or
    the connection's own ``read_only`` was the reason, it is an :class:`UnmappedViolation`.
    """


class ConnectionFailed(BatchError):
    """No connection was to be had, or it or the server's session ended, and it is certain that
    nothing was kept.

    ``not_sent`` when a pool gave no connection, whatever it raised, and when the link was closed
    before the first byte, as idle ones are by servers, proxies and firewalls.
    """


class OutcomeUnknown(BatchError):
    """The connection was lost, or the server or a pooler gave up, while COMMIT may have been done.

    The transaction is wholly there or wholly absent. Never retried by itself: read first.
    """


class DeadlineExceeded(BatchError):
    """The run's ``deadline=`` passed, and it is certain that nothing was kept.

    ``not_sent`` while it waited for a connection, ``rolled_back`` when the server was stopped in
    time, or when an attempt had failed and another one would have come too late. Where the answer
    to COMMIT is missing it is :class:`OutcomeUnknown` instead. Nobody is blamed.
    """


class DecodeFailed(BatchError):
    """The rows came, but could not be turned into the result that the batch promises.

    The transaction is *committed*: decoding runs after COMMIT.
    """
