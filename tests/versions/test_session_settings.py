# SPDX-License-Identifier: MIT
"""A fleet works in any session, whatever it formats, hides, compares or begins transactions by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batchq import BatchError, run
from batchq.result import attempt
from batchq.versions import NoFleet
from tests.support.session_settings import OWN
from tests.versions.helpers import MEMBERS, MINUTE, SEVEN, SIX, WINDOW, expand, prove

SETTINGS = {
    "DateStyle": ("SQL, DMY", "German, DMY", "Postgres, MDY"),
    "IntervalStyle": ("sql_standard",),
    "TimeZone": ("Asia/Kolkata", "<+0530>-5:30"),
    "client_encoding": ("SQL_ASCII", "LATIN1"),
    "default_transaction_isolation": ("repeatable read", "serializable"),
    "default_transaction_read_only": ("on",),
    "row_security": ("off",),
    "search_path": (f"public, {OWN}, pg_catalog",),
    "standard_conforming_strings": ("off",),
    "transform_null_equals": ("on",),
}
SETTLED = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
CONTRACT = {"unused_since": 7, "proofs": [SEVEN.proof("rule", 7)]}


def error_of(conn: Any, batch: Any) -> Any:
    return attempt(conn, batch, read_only=False).error.args


def test_fleet_in_a_session_with_any_settings(fleet_tables, conn) -> None:
    schema = conn.execute("SELECT current_schema()").fetchone()[0]
    prove(conn)
    for name, values in SETTINGS.items():
        for value in values:
            fleet_tables.execute("TRUNCATE version_window, version_member")
            conn.execute("RESET ALL")
            conn.execute("SELECT set_config(%s, %s, false)", [name, value.replace(OWN, schema)])
            _lives(conn, fleet_tables)


def _lives(conn, other) -> None:
    assert run(conn, SEVEN.expand(7), read_only=False).oldest == 0
    assert run(conn, SIX.join("a", lease=MINUTE), read_only=False).newest == 7
    status = run(conn, SIX.status())
    (member,) = status.members
    assert (member.member, member.is_running) == ("a", True)
    assert timedelta(0) < member.until - status.read_at <= MINUTE
    assert error_of(conn, SEVEN.gate(SEVEN.members(), needs=7)) == (7, 0, None)
    assert error_of(conn, SEVEN.retire(below=7)) == ("a", 6)
    run(conn, SIX.leave("a"), read_only=False)
    assert run(conn, SEVEN.retire(below=7), read_only=False).settled_at is not None
    other.execute("UPDATE version_window SET settled_at = %s", [SETTLED])
    assert run(conn, SEVEN.status()).window.settled_at == SETTLED
    assert run(conn, SEVEN.contract(**CONTRACT)).settled_at == SETTLED
    too_long = SEVEN.contract(**CONTRACT, after=timedelta(days=36_500))
    assert error_of(conn, too_long) == (7, 7, SETTLED)
    assert error_of(conn, SIX.gate(SIX.members())) == (6, 7)


@pytest.mark.parametrize(
    "batch",
    [SEVEN.retire(below=7), SEVEN.status(), SEVEN.members(), SIX.leave("a")],
    ids=["retire", "status", "members", "leave"],
)
def test_policy_that_hides_a_member_is_an_error_where_members_are_asked_for(
    fleet_tables, conn, hide, batch
) -> None:
    """Its version is not retired, no status is without it, and it does not stay when it leaves."""
    expand(conn)
    run(conn, SIX.join("a", lease=MINUTE))
    hide("version_member")
    assert conn.execute(MEMBERS).fetchall() == []

    error = attempt(conn, batch).error

    assert isinstance(error, BatchError)
    assert error.violation is not None
    assert error.violation.sqlstate == "42501"
    assert conn.execute(WINDOW).fetchall() == [(0, 7)]
    assert fleet_tables.execute(MEMBERS).fetchall() == [("a", 6)]


def test_policy_that_hides_the_window_lets_no_process_run(fleet_tables, conn, hide) -> None:
    expand(conn)
    hide("version_window")

    for batch in (SIX.join("a", lease=MINUTE), SIX.gate(SIX.members()), SEVEN.retire(below=7)):
        error = attempt(conn, batch).error
        assert isinstance(error, NoFleet)
        assert "unless a row-level security policy hides it" in str(error)
