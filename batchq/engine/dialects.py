# SPDX-License-Identifier: MIT
"""The differences between PostgreSQL and CockroachDB: the layout on the wire, how an error reads,
and which errors say what about the outcome.
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
"""The first server that has the setting."""

# One SELECT, because only the server knows what the session has. What is in the subquery is read,
# and then switched off, from left to right; being volatile it is neither moved nor left out.
_BOUND = (
    "SELECT pg_catalog.set_config('{name}', CASE"
    " WHEN own::interval OPERATOR(pg_catalog.>) '0'"
    " AND own::interval OPERATOR(pg_catalog.<) '{n} ms' THEN own ELSE '{n}' END, true)"
    " FROM (SELECT pg_catalog.current_setting('{name}') AS own{off}) AS session WHERE {known}"
)


class ErrorAnswer(Protocol):
    """The part of a PGresult that an error is read from."""

    def error_field(self, fieldcode: Field, /) -> bytes | None:
        """One field of the server's ErrorResponse."""


@frozen
class Dialect:
    """The differences, one by one. The defaults are PostgreSQL's."""

    name: str = "postgresql"
    barrier: bool = True
    """Whether a Sync goes between the last step and COMMIT. On PostgreSQL it makes a failed batch
    end in one flight: the server skips to it and the COMMIT behind it answers ROLLBACK. CockroachDB
    re-runs a conflicted batch by itself, but only until the first Sync."""
    retryable: frozenset[str] = frozenset({"40001", "40P01"})
    """Errors that mean: nothing was kept, and the same batch may well succeed."""
    proofs: commit_proofs.Proofs = commit_proofs.POSTGRESQL
    """Which errors at COMMIT can only mean that nothing was applied."""
    supports_outputs: bool = True
    """Whether a statement can use what one before it produced. It takes settings of the transaction
    and rows of a table's type; nobody has seen CockroachDB do both."""

    rolls_back_conflicts: bool = True
    """Whether it takes ROLLBACK TO SAVEPOINT after a conflict."""

    traces_failures: bool = True
    """Whether the catalogue says of what a partition's constraint is a part, and which triggers a
    table has. On CockroachDB partitions are no tables, and no constraint is deferred."""

    truncates_names: bool = True
    """Whether names have at most 63 bytes, and the server cuts a longer one without a word."""

    has_record_send: bool = True
    """Whether ``record_send`` can be called in SQL. Nobody has seen CockroachDB have it."""
    max_message_bytes: int = (1 << 30) - 5
    """Bytes that a message may have behind its length (PostgreSQL sources, libpq/libpq.h,
    ``PQ_LARGE_MESSAGE_LIMIT``). Beyond, the server ends the session in the midst of the batch."""

    def limit_setting(self, version: int) -> str:
        """The setting that bounds a transaction, or else each of its statements."""
        return "transaction_timeout" if version >= _TRANSACTION_TIMEOUT else "statement_timeout"

    def limit_query(self, milliseconds: int, version: int) -> str:
        """Write the query that sets it, unless the session's own limit is shorter.

        ``transaction_timeout`` is switched off first: its timer runs since BEGIN, and would not be
        set again by another value.
        """
        name = self.limit_setting(version)
        off, known = "", "true"
        if name == "transaction_timeout":
            off = f", pg_catalog.set_config('{name}', '0', true) AS off"
            known = "off OPERATOR(pg_catalog.=) '0'"
        return _BOUND.format(name=name, n=milliseconds, off=off, known=known)

    def is_from_server(self, answer: ErrorAnswer) -> bool:
        """Whether an error is the server's own word, and not that of a pooler in between.

        The server's own has the field V, and F and R, of which an extension may leave out R; a
        pooler leaves out two of them or all (seen: PgBouncer 1.18).
        """
        has = answer.error_field
        said = has(Field.SEVERITY_NONLOCALIZED)
        return bool(said and (has(Field.SOURCE_FILE) or has(Field.SOURCE_FUNCTION)))

    def ends_session(self, violation: Violation) -> bool:
        """Whether the server ended the session with the error."""
        return violation.severity in _ENDS_SESSION

    def may_quote_values(
        self, sqlstate: str, position: str | None, file: str | None, raised_by: str | None
    ) -> bool:
        """Whether an error's message may quote values.

        It cannot when the error lies at a place in the statement's text, which holds none, is about
        the transaction or the session, or has one message for all. The words of a RAISE are
        anybody's.
        """
        about_session = sqlstate[:2] in _ABOUT_SESSION or sqlstate == _NO_PRIVILEGE
        plain = position or about_session or is_safe(sqlstate, file, raised_by)
        return raised_by == "exec_stmt_raise" or not plain

    def column(self, kind: ViolationKind, message: str) -> str | None:
        """Find the column of an error that has no field for it."""
        del kind, message
        return None


class _CockroachDB(Dialect):
    """From CockroachDB's documentation, source and own tests; not run against a live one here."""

    def limit_setting(self, version: int) -> str:
        """The setting is there from 23.1 on."""
        del version
        return "transaction_timeout"

    def limit_query(self, milliseconds: int, version: int) -> str:
        """The setting is shown in milliseconds, and counted from BEGIN at every statement, so it
        need not be switched off."""
        del version
        # Whatever else it should be shown as would be no number, and is then not asked.
        return (
            "SELECT set_config('transaction_timeout', CASE WHEN own ~ '^[1-9][0-9]*$' THEN"
            f" CASE WHEN own::INT8 < {milliseconds} THEN own ELSE '{milliseconds}' END"
            f" ELSE '{milliseconds}' END, true)"
            " FROM (SELECT current_setting('transaction_timeout') AS own) AS session"
        )

    _NULL = re.compile(r'null value in column "((?:[^"\\]|\\.)+)"')

    def column(self, kind: ViolationKind, message: str) -> str | None:
        """NOT NULL names its column in the message text alone (flatten.go, ``writeErrFields``)."""
        found = self._NULL.search(message) if kind is ViolationKind.NOT_NULL else None
        return _unquoted(found[1]) if found else None

    def is_from_server(self, answer: ErrorAnswer) -> bool:
        """V alone tells, from 22.1.3 on: where an error was raised is optional there."""
        return bool(answer.error_field(Field.SEVERITY_NONLOCALIZED))

    def ends_session(self, violation: Violation) -> bool:
        """A node that is drained ends its sessions with 57P01, which has the severity ERROR."""
        return super().ends_session(violation) or violation.sqlstate == "57P01"

    def may_quote_values(
        self, sqlstate: str, position: str | None, file: str | None, raised_by: str | None
    ) -> bool:
        """Any message may: a conflict names the keys that it was about."""
        del sqlstate, position, file, raised_by
        return True


_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unquoted(text: str) -> str:
    """Read a name as Go's ``%q`` writes it, which CockroachDB puts names into messages with
    (documentation of Go's strconv, ``Quote``)."""

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
    # The default of sql.conn.max_read_buffer_message_size, which no server tells its clients.
    max_message_bytes=16 << 20,
)


class Parameters(Protocol):
    """The part of a PGconn that tells the server apart."""

    def parameter_status(self, name: bytes, /) -> bytes | None:
        """A setting that the server reported when the session began."""


def dialect_of(server: Parameters) -> Dialect:
    """Choose by ``crdb_version``: ``server_version`` says 13.0.0 on CockroachDB."""
    return POSTGRESQL if server.parameter_status(b"crdb_version") is None else COCKROACHDB
