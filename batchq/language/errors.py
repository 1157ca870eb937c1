# SPDX-License-Identifier: MIT
"""Define the errors of batchq, all derived from :class:`BatchError`.

A mapped failure raises the caller's exception ``from`` one of these, so the report is never lost.
SQL, parameters and the server's messages are attributes and not part of the text: they would leak
secrets into logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from batchq.language.step import Step, Titled
    from batchq.language.violation import Violation


class BatchError(Exception):
    """A batch failed. Its attributes report the step, the violation and the outcome.

    Its ``__cause__`` is the exception of the driver, if there is one. A plain ``BatchError`` is
    only the ``__cause__`` of a mapped exception; otherwise a subclass is raised.
    """

    context: str | None = None
    """The context of the innermost ``.as_invariant(context)`` around the step that failed, even if
    a mapping between that and an outer one decides; if an error at COMMIT is traced to several
    steps, that of an outer one around them all. None if there is none, or if the failure is mapped
    to an exception for the caller."""

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
        """The outcome of the transaction."""
        self.step = step
        """The step whose response was the error, or that an error at COMMIT is traced to; None if
        that is not certain."""
        self.violation = violation
        """The server's error; None if the server sent none."""
        self.candidates = candidates
        """The steps that may have caused an error at COMMIT, if ``step`` is None. The server
        reports neither the statement nor the row that violated a deferred constraint."""
        self.attempts = 1
        """The number of attempts, including this one: those of :class:`~batchq.Retry`, and one more
        if a prepared statement may have been the cause and the batch was run again without."""

    @property
    def statement(self) -> Titled | None:
        """The statement that failed, the same object that the caller built; None if unknown."""
        return None if self.step is None else self.step.statement

    @property
    def index(self) -> int | None:
        """The position of the failed step in the batch, from 0; None if unknown."""
        return None if self.step is None else self.step.index

    @property
    def path(self) -> str | None:
        """The labels of the failed step, outermost first: ``create/vpc``; None if unknown."""
        return None if self.step is None else self.step.path

    @property
    def row_index(self) -> int | None:
        """The place, from 0, of the failed row among those of ``.each(rows)``; None for others."""
        return None if self.step is None else self.step.row_index

    @property
    def bound_row(self) -> object:
        """The failed row among those of ``.each(rows)``, as it was passed; None for others."""
        return None if self.step is None else self.step.bound_row

    @property
    def sql(self) -> str | None:
        """The SQL of the failed step, as sent; None if unknown."""
        return None if self.step is None else self.step.sql

    @property
    def parameters(self) -> tuple[object, ...] | None:
        """The parameters of the failed step, in the order of ``$1``, ``$2``, …; None if unknown."""
        return None if self.step is None else self.step.parameters


class InvalidBatch(BatchError, ValueError):
    """The batch cannot be sent: a call got a wrong argument, or parts contradict each other.

    Raised by the call that builds it if possible, and otherwise before the first byte is sent.
    """


class UnmappedViolation(BatchError):
    """The server rejected a statement and no mapping matches; the text suggests one.

    Or the function that the failure is mapped to has failed without the values of the step, because
    it is not certain which step failed. Its error is the ``__context__``.
    """


class GuardFailed(BatchError):
    """A guard without an exception of its own failed; the server aborted before COMMIT.

    Raised for ``expect()`` without ``missing=`` or ``unexpected=``; for ``require()``,
    ``refuse()``, ``ensure()`` and ``same=`` without ``raises=``; and for a lock that the isolation
    level makes useless, see :meth:`Statement.for_update`. If only a bug can cause it, leave it
    unmapped; if a caller can, map it.
    """


class InvariantViolation(BatchError):
    """A failure that was declared to be a bug of the application, not a wrong request.

    Declared by ``.invariant(...)`` or ``.as_invariant(...)``.
    """


class SerializationConflict(BatchError):
    """The server could not serialize the transaction (40001) or broke a deadlock (40P01).

    Nothing was applied. The batch itself is correct: running it again may succeed.
    """

    rerun_outer: bool = False
    """True if the batch was nested: roll back the outer transaction and run it again as a whole.
    Its snapshot is stale, and CockroachDB rejects any other statement in it."""


class StatementCanceled(BatchError):
    """The server canceled a statement (57014), by a timeout or at a request.

    The cause is ``timeout=``, the session's ``statement_timeout``, ``pg_cancel_backend``, or a
    cancel request such as psycopg's ``Connection.cancel()``. Only the text of the server's message
    distinguishes them, in the language of ``lc_messages``.
    """

    timeout: float | None = None
    """The ``timeout=`` in effect, in seconds. None if there was none, as at COMMIT: then something
    else canceled it."""


class ReadOnlyServer(BatchError):
    """The server rejects writes (25006) though no read-only transaction was requested.

    It is a standby, perhaps since a failover, or its ``default_transaction_read_only`` is on. The
    connection is closed if it is from a pool, and stays open if the caller passed it. If
    ``read_only=True`` or the connection's ``read_only`` is the reason, the error is an
    :class:`UnmappedViolation` instead.
    """


class ConnectionFailed(BatchError):
    """No connection was available, or it was lost, and it is certain that nothing was applied.

    The outcome is ``not_sent`` if the pool returned no connection, whatever it raised, or if the
    connection was closed before the first byte. Servers, proxies and firewalls close idle
    connections.
    """


class OutcomeUnknown(BatchError):
    """The connection was lost, or the server or a pooler failed, and COMMIT may have succeeded.

    The transaction was applied as a whole or not at all. It is never retried automatically: read
    the database to find out.
    """


class DeadlineExceeded(BatchError):
    """The ``deadline=`` of the run passed, and it is certain that nothing was applied.

    The outcome is ``not_sent`` if it passed before a connection was available, and ``rolled_back``
    if the server was canceled in time or if another attempt would have started too late. If the
    response to COMMIT is missing, the error is :class:`OutcomeUnknown` instead. ``step`` is None.
    """


class DecodeFailed(BatchError):
    """The rows could not be converted to the result of the batch.

    The transaction is committed: rows are decoded after COMMIT.
    """
