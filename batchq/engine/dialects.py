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
from batchq.engine.abilities import Abilities, abilities
from batchq.engine.safe_messages import is_safe
from batchq.language.value import value

# Invalid transaction state, transaction rollback, out of resources, operator intervention.
_ABOUT_SESSION = frozenset({"25", "40", "53", "57"})
_NO_PRIVILEGE = "42501"
_NOT_NULL = "23502"
_ENDS_SESSION = frozenset({"FATAL", "PANIC"})


_TRANSACTION_TIMEOUT = 170000
"""The first server version that has the setting."""
_RETURNING_OLD = 180000
"""The first server version whose RETURNING has OLD."""

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


@value
class ErrorFields:
    """The fields of an ErrorResponse that servers use in different ways."""

    sqlstate: str
    message: str
    severity: str
    """Never translated, if the server has sent it so."""
    severity_nonlocalized: str | None
    position: str | None
    source_file: str | None
    source_function: str | None


@value
class ErrorFacts:
    """What follows from the fields of an error on one server."""

    is_from_server: bool
    """Whether the server sent it, and not a pooler between client and server."""
    ends_session: bool
    """Whether the server ended the session with it."""
    may_quote_values: bool
    """Whether its message may quote values."""
    column: str | None = None
    """The column that it names in its message only."""


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
    has_xmax: bool = True
    """Whether a row has the system column ``xmax``. CockroachDB's rows have no such column."""
    max_message_bytes: int = (1 << 30) - 5
    """The most bytes of a message after its length field (PostgreSQL sources, libpq/libpq.h,
    ``PQ_LARGE_MESSAGE_LIMIT``). For a longer one the server ends the session within the batch."""

    def abilities(self, version: int) -> Abilities:
        """Return what SQL can say on a server of this version."""
        old = self.has_xmax and version >= _RETURNING_OLD
        return abilities(binary=self.has_record_send, old=old, xmax=self.has_xmax)

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

    def judge(self, fields: ErrorFields) -> ErrorFacts:
        """Return what follows from the fields of an error.

        The server's errors have the fields V, F and R, of which an extension may leave out R. A
        pooler leaves out at least two of them (observed: PgBouncer 1.18).

        The message cannot quote values if the error has a position in the statement's text, which
        holds no values. Nor can it if the error is about the transaction or the session, or has a
        fixed message. The message of a RAISE may hold anything.
        """
        code, file, function = fields.sqlstate, fields.source_file, fields.source_function
        about_session = code[:2] in _ABOUT_SESSION or code == _NO_PRIVILEGE
        safe = fields.position or about_session or is_safe(code, file, function)
        return ErrorFacts(
            is_from_server=bool(fields.severity_nonlocalized and (file or function)),
            ends_session=fields.severity in _ENDS_SESSION,
            may_quote_values=function == "exec_stmt_raise" or not safe,
        )


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

    def judge(self, fields: ErrorFields) -> ErrorFacts:
        """Return what follows from the fields of an error.

        The server's errors have the field V; F and R are optional (22.1.3 and later). A node that
        drains ends sessions by 57P01 as an ERROR. The column of NOT NULL is in the message only
        (flatten.go, ``writeErrFields``). Any message may quote values, as a conflict names its
        keys.
        """
        column = self._NULL.search(fields.message) if fields.sqlstate == _NOT_NULL else None
        return ErrorFacts(
            is_from_server=bool(fields.severity_nonlocalized),
            ends_session=fields.severity in _ENDS_SESSION or fields.sqlstate == "57P01",
            may_quote_values=True,
            column=_unquoted(column[1]) if column else None,
        )


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
    has_xmax=False,
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
