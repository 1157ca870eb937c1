# SPDX-License-Identifier: MIT
"""Describe the differences between PostgreSQL and CockroachDB.

They lay out a flight differently, put different fields into an error, and prove different outcomes
by one. Each difference is a field or a method here, so no other module compares server names.
"""

from __future__ import annotations

import re
from typing import Protocol

from attrs import frozen
from psycopg.pq import DiagnosticField as Field

from batchq.engine import commit_proofs
from batchq.engine.safe_messages import is_safe
from batchq.language.violation import Violation, ViolationKind

# Invalid transaction state, transaction rollback, out of resources, operator intervention.
_ABOUT_SESSION = frozenset({"25", "40", "53", "57"})
_NO_PRIVILEGE = "42501"
_ENDS_SESSION = frozenset({"FATAL", "PANIC"})


_TRANSACTION_TIMEOUT = 170000
"""The first server version that has the setting."""

# One SELECT, because only the server knows the session's own limit. The subquery reads the setting
# and then switches it off, from left to right. set_config() is volatile, so the planner neither
# moves nor drops it.
_LIMIT_QUERY = (
    "SELECT pg_catalog.set_config('{name}', CASE"
    " WHEN own::interval OPERATOR(pg_catalog.>) '0'"
    " AND own::interval OPERATOR(pg_catalog.<) '{n} ms' THEN own ELSE '{n}' END, true)"
    " FROM (SELECT pg_catalog.current_setting('{name}') AS own{off}) AS session WHERE {known}"
)


class ErrorAnswer(Protocol):
    """The part of a PGresult from which an error is read."""

    def error_field(self, fieldcode: Field, /) -> bytes | None:
        """Return one field of the server's ErrorResponse."""


@frozen
class Dialect:
    """The properties of a server. The defaults are PostgreSQL's."""

    name: str = "postgresql"
    barrier: bool = True
    """Whether a Sync is sent between the last step and COMMIT. On PostgreSQL it ends a failed batch
    within the flight: the server skips to the Sync, and answers the COMMIT after it with ROLLBACK.
    CockroachDB runs a conflicted batch again by itself, but only until the first Sync."""
    retryable: frozenset[str] = frozenset({"40001", "40P01"})
    """SQLSTATEs that mean: nothing was applied, and the same batch may succeed."""
    proofs: commit_proofs.Proofs = commit_proofs.POSTGRESQL
    """Which errors at COMMIT can only mean that nothing was applied."""
    supports_outputs: bool = True
    """Whether a statement can use an output of an earlier one. This needs settings of the
    transaction and rows of a table's type; CockroachDB has not been observed to support both."""

    rolls_back_conflicts: bool = True
    """Whether ROLLBACK TO SAVEPOINT works after a serialization conflict."""

    traces_failures: bool = True
    """Whether the catalog is queried after a failure: for the parent of a partition's constraint,
    and for a table's triggers. On CockroachDB a partition is not a table, and no constraint is
    deferred."""

    truncates_names: bool = True
    """Whether the server truncates a name of more than 63 bytes, with only a notice."""

    has_record_send: bool = True
    """Whether SQL can call ``record_send``. CockroachDB has not been observed to have it."""
    max_message_bytes: int = (1 << 30) - 5
    """The most bytes of a message after its length field (PostgreSQL sources, libpq/libpq.h,
    ``PQ_LARGE_MESSAGE_LIMIT``). For a longer one the server ends the session within the batch."""

    def limit_setting(self, version: int) -> str:
        """Return the setting that limits a transaction's duration, or else each statement's."""
        return "transaction_timeout" if version >= _TRANSACTION_TIMEOUT else "statement_timeout"

    def limit_query(self, milliseconds: int, version: int) -> str:
        """Return the query that sets the limit unless the session's own limit is shorter.

        ``transaction_timeout`` is switched off first: its timer has run since BEGIN, and another
        value would not restart it.
        """
        name = self.limit_setting(version)
        off, known = "", "true"
        if name == "transaction_timeout":
            off = f", pg_catalog.set_config('{name}', '0', true) AS off"
            known = "off OPERATOR(pg_catalog.=) '0'"
        return _LIMIT_QUERY.format(name=name, n=milliseconds, off=off, known=known)

    def is_from_server(self, answer: ErrorAnswer) -> bool:
        """Return whether the server sent an error, and not a pooler between client and server.

        The server's errors have the fields V, F and R, of which an extension may leave out R. A
        pooler leaves out at least two of them (observed: PgBouncer 1.18).
        """
        has = answer.error_field
        severity = has(Field.SEVERITY_NONLOCALIZED)
        return bool(severity and (has(Field.SOURCE_FILE) or has(Field.SOURCE_FUNCTION)))

    def ends_session(self, violation: Violation) -> bool:
        """Return whether the server ended the session with the error."""
        return violation.severity in _ENDS_SESSION

    def may_quote_values(
        self, sqlstate: str, position: str | None, file: str | None, raised_by: str | None
    ) -> bool:
        """Return whether an error's message may quote values.

        It cannot if the error has a position in the statement's text, which holds no values. Nor
        can it if the error is about the transaction or the session, or has a fixed message. The
        message of a RAISE may hold anything.
        """
        about_session = sqlstate[:2] in _ABOUT_SESSION or sqlstate == _NO_PRIVILEGE
        safe = position or about_session or is_safe(sqlstate, file, raised_by)
        return raised_by == "exec_stmt_raise" or not safe

    def column(self, kind: ViolationKind, message: str) -> str | None:
        """Return the column that an error names in its message only."""
        del kind, message
        return None


class _CockroachDB(Dialect):
    """CockroachDB, by its documentation, source and tests; not run against a live server here."""

    def limit_setting(self, version: int) -> str:
        """Return ``transaction_timeout``, which exists from version 23.1 on."""
        del version
        return "transaction_timeout"

    def limit_query(self, milliseconds: int, version: int) -> str:
        """Return the query that sets the limit unless the session's own limit is shorter.

        The server shows the setting in milliseconds. It counts from BEGIN at every statement, so
        the setting need not be switched off first.
        """
        del version
        # If the setting is shown in another form, it is not a number, and is not compared.
        return (
            "SELECT set_config('transaction_timeout', CASE WHEN own ~ '^[1-9][0-9]*$' THEN"
            f" CASE WHEN own::INT8 < {milliseconds} THEN own ELSE '{milliseconds}' END"
            f" ELSE '{milliseconds}' END, true)"
            " FROM (SELECT current_setting('transaction_timeout') AS own) AS session"
        )

    _NULL = re.compile(r'null value in column "((?:[^"\\]|\\.)+)"')

    def column(self, kind: ViolationKind, message: str) -> str | None:
        """Return the column of NOT NULL from the message (flatten.go, ``writeErrFields``)."""
        match = self._NULL.search(message) if kind is ViolationKind.NOT_NULL else None
        return _unquoted(match[1]) if match else None

    def is_from_server(self, answer: ErrorAnswer) -> bool:
        """Return whether the error has the field V; F and R are optional (22.1.3 and later)."""
        return bool(answer.error_field(Field.SEVERITY_NONLOCALIZED))

    def ends_session(self, violation: Violation) -> bool:
        """Return True also for 57P01: a node that drains ends sessions by it as an ERROR."""
        return super().ends_session(violation) or violation.sqlstate == "57P01"

    def may_quote_values(
        self, sqlstate: str, position: str | None, file: str | None, raised_by: str | None
    ) -> bool:
        """Return True: any message may quote values, as a conflict names its keys."""
        del sqlstate, position, file, raised_by
        return True


_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unquoted(text: str) -> str:
    """Return a name that CockroachDB put into a message by Go's ``%q``.

    (Documentation of Go's strconv, ``Quote``.)
    """

    def character(escape: re.Match[str]) -> str:
        *digits, letter = escape.groups()
        code = next(filter(None, digits), None)
        return _CONTROLS.get(letter, letter) if code is None else chr(int(code, 16))

    return _ESCAPE.sub(character, text)


POSTGRESQL = Dialect()

COCKROACHDB = _CockroachDB(
    name="cockroachdb",
    barrier=False,
    # A deadlock is 40001 here too.
    retryable=frozenset({"40001"}),
    proofs=commit_proofs.COCKROACHDB,
    supports_outputs=False,
    rolls_back_conflicts=False,
    truncates_names=False,
    traces_failures=False,
    has_record_send=False,
    # The default of sql.conn.max_read_buffer_message_size, which no server reports to its clients.
    max_message_bytes=16 << 20,
)


class Parameters(Protocol):
    """The part of a PGconn by which servers are distinguished."""

    def parameter_status(self, name: bytes, /) -> bytes | None:
        """Return a setting that the server reported when the session began."""


def dialect_of(server: Parameters) -> Dialect:
    """Return the dialect, by ``crdb_version``: CockroachDB's ``server_version`` is 13.0.0."""
    return POSTGRESQL if server.parameter_status(b"crdb_version") is None else COCKROACHDB
