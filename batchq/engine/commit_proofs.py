# SPDX-License-Identifier: MIT
"""List the errors at COMMIT that prove a rollback, by dialect.

An error at COMMIT means "rolled back" only if nothing else can have happened. Every other code
leaves the outcome unknown, also a code that is not listed here. A caller would believe a wrong
"rolled back", although the rows are committed.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Proofs:
    """The errors at COMMIT that can only mean that nothing was applied."""

    codes: frozenset[str]
    """SQLSTATEs."""
    classes: frozenset[str]
    """Classes of SQLSTATEs: their first two characters."""
    fatal: frozenset[str] = frozenset()
    """SQLSTATEs that prove it although they end the session."""
    synced: frozenset[str] = frozenset()
    """Classes that prove it only if the Sync after COMMIT was answered."""
    known: frozenset[str] | None = None
    """The classes that the server itself uses. A code of another class comes from a user's RAISE,
    and proves as much as the classes in ``synced``. None: such a code proves nothing."""

    def nothing_applied(self, sqlstate: str, *, fatal: bool, synced: bool) -> bool:
        """Return whether an error at COMMIT proves that nothing was applied.

        :param fatal: whether it ended the session.
        :param synced: whether the Sync after COMMIT was answered.
        """
        if fatal:
            return sqlstate in self.fatal
        group = sqlstate[:2]
        if sqlstate in self.codes or group in self.classes:
            return True
        is_users = self.known is not None and len(sqlstate) == _CODE and group not in self.known
        return synced and (is_users or group in self.synced)


_CODE = 5
"""Characters of a SQLSTATE."""


def _classes(codes: str) -> frozenset[str]:
    return frozenset(codes.split())


_STATEMENTS = _classes("0A 20 21 22 23 24 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 42 44 54 55 HV P0")
"""Errors of a statement or a deferred trigger. After the commit record PostgreSQL turns every ERROR
into a PANIC (``RecordTransactionAbort``), so these errors come from before it."""

_RESOURCES = _classes("53 58 F0 XX")
"""Out of resources, a failing system, a bug. An extension that fails in its commit callback sends
such an ERROR and then a PANIC, which replaces the answer to the Sync."""

POSTGRESQL = Proofs(
    codes=frozenset(
        {
            "40001",  # serialization
            "40002",  # an integrity constraint at the end
            "40P01",  # deadlock
            "57014",  # canceled: from the commit record on, interrupts are held off
            "25006",  # read only
            "25P02",  # the transaction had failed before
            "25P03",  # idle in transaction for too long
            "25P04",  # transaction_timeout
        }
    ),
    classes=_STATEMENTS,
    # They end the session before COMMIT begins, or while it may still be interrupted.
    fatal=frozenset({"25P03", "25P04"}),
    synced=_RESOURCES,
    known=_STATEMENTS | _RESOURCES | _classes("00 01 02 03 08 09 0B 0F 0L 0P 0Z 10 25 40 57 72"),
)
"""PostgreSQL documentation, appendix A, for the codes."""

COCKROACHDB = Proofs(
    # A timeout's 57014 overwrites the answer of COMMIT, success included (conn_executor_exec.go).
    # XXA00 is sent after the commit; 57P01, 08006 and 58C00 may be.
    codes=frozenset({"40001", "40002", "40P01", "25006", "25P02"}),
    classes=frozenset({"23"}),
)
"""From CockroachDB's documentation and source; not run against a live one."""
