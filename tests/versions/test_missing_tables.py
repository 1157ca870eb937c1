# SPDX-License-Identifier: MIT
"""A fleet without its tables, or none on the search path: the error says what creates them."""

from __future__ import annotations

from typing import Any

import pytest

from batchq import UnmappedViolation, explain, select
from batchq.result import attempt
from batchq.versions import Fleet, NoFleet
from tests.versions.helpers import MINUTE, SEVEN, expand

WINDOW, MEMBER = "version_window", "version_member"


def batches(fleet: Fleet) -> dict[str, tuple[Any, list[str]]]:
    """Return each batch of a fleet, and the tables that it uses, in order."""
    return {
        "gate": (fleet.gate(select("rule").count(), needs=7), [WINDOW]),
        "expand": (fleet.expand(7), [WINDOW]),
        "contract": (fleet.contract(unused_since=7), [WINDOW]),
        "join": (fleet.join("a", lease=MINUTE), [WINDOW, MEMBER]),
        "status": (fleet.status(), [WINDOW, MEMBER]),
        "retire": (fleet.retire(below=7), [WINDOW, MEMBER]),
        "members": (fleet.members(), [MEMBER]),
        "leave": (fleet.leave("a"), [MEMBER]),
    }


def missing(conn: Any, fleet: Fleet = SEVEN) -> dict[str, str | None]:
    """Return the table that each batch misses, by its error."""
    found = {}
    for name, (batch, _) in batches(fleet).items():
        error = attempt(conn, batch).error
        assert isinstance(error, NoFleet), (name, error)
        found[name] = error.table
    return found


@pytest.mark.parametrize(
    "make", ["DROP TABLE version_window, version_member", "SET search_path=''"]
)
def test_fleet_without_tables_says_what_creates_them(planned, make) -> None:
    planned.execute(make)

    expected = {name: tables[0] for name, (_, tables) in batches(SEVEN).items()}
    assert missing(planned) == expected
    error = attempt(planned, SEVEN.members()).error
    assert str(error).startswith("the table 'version_member' does not exist: the search path ")
    assert "Fleet.ddl()" in str(error)


def test_fleet_without_a_table_of_members_says_so(planned) -> None:
    expand(planned)
    planned.execute("DROP TABLE version_member")

    for batch, tables in batches(SEVEN).values():
        if MEMBER in tables:
            assert attempt(planned, batch).error.table == MEMBER


@pytest.mark.parametrize("table", ["nowhere.w", 'we"ird', "a b"])
def test_missing_table_of_any_name_is_recognized(fleet_tables, conn, table) -> None:
    fleet = Fleet(name="nexus", version=7, window_table=table, member_table=f"{table}2")

    assert missing(conn, fleet)["gate"] == table
    assert missing(conn, fleet)["leave"] == f"{table}2"


def test_other_missing_table_is_not_that_of_the_fleet(fleet_tables, conn) -> None:
    expand(conn)

    error = attempt(conn, SEVEN.gate(select("version_window2").count())).error

    assert isinstance(error, UnmappedViolation)
    assert error.violation.sqlstate == "42P01"


def test_mappings_of_a_fleet_have_names_and_say_which_table_is_missing() -> None:
    for batch, tables in batches(SEVEN).values():
        text = explain(batch)
        for table in tables:
            assert f'sqlstate("42P01") of "{table}" -> NoFleet' in text
        assert "<lambda>" not in text
