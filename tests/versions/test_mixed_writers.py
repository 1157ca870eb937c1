# SPDX-License-Identifier: MIT
"""A column is derived from another while 6, which does not know it, and 7 both write the rows.

Each stamps what it writes with its own version, also where 7 has written before. So after the
retirement of 6 a backfill of what is not stamped 7 leaves no row whose new column is out of date.
"""

from __future__ import annotations

from typing import Any

import pytest

from batchq import run, sql, update
from batchq.bulk import Backfill, Jobs
from batchq.result import Ok, attempt
from batchq.versions import TooOld
from tests.support.vpcs import begin, go_on
from tests.versions.helpers import SEVEN, SIX, expand, prove

ROWS = """
INSERT INTO rule (id, old, row_version) SELECT n, 'rule ' || n, 5 FROM generate_series(1, 30) AS n
"""
STALE = (
    "SELECT id, old, new, row_version FROM rule WHERE new IS DISTINCT FROM upper(old) ORDER BY id"
)
FILL = Backfill(
    name="rules-7",
    table="rule",
    set={"new": sql("upper(old)"), "row_version": 7},
    where=sql("row_version < 7"),
)
RETIRE = SEVEN.retire(below=7)


def by_6(id: int, old: str = "by 6", stamp: Any = 6) -> Any:
    return update("rule", {"old": old, "row_version": stamp}, {"id": id}).expect(1)


def by_7(id: int, old: str = "by 7") -> Any:
    values = {"old": old, "new": sql("upper(%(old)s::text)", old=old), "row_version": 7}
    return update("rule", values, {"id": id}).expect(1)


@pytest.fixture
def rules(fleet_tables, conn):
    conn.execute(Jobs().ddl())
    conn.execute(ROWS)
    expand(conn)
    return fleet_tables


def writing(conn, *, six: bool):
    """Return a throttle which writes a row before each chunk, at both ends of the table."""
    ids = iter([1, 30, 2, 29, 3, 28, 15])

    def write() -> None:
        if (one := next(ids, None)) is not None:
            if six:
                run(conn, SIX.gate(by_6(one, "by 6 meanwhile")))
            run(conn, SEVEN.gate(by_7(one + six, "by 7 meanwhile")))
            if six and one % 2:
                run(conn, SIX.gate(by_6(one + six, "by 6 after 7")))

    return write


def stale(conn) -> list[Any]:
    return conn.execute(STALE).fetchall()


def test_backfill_after_the_retirement_leaves_no_row_out_of_date(rules, conn) -> None:
    # One that runs while 6 may run ends, and its rows are out of date again.
    conn.execute("INSERT INTO rule (id) VALUES (31)")
    begin(conn, FILL)
    go_on(conn, FILL, throttles=[writing(rules, six=True)])
    run(rules, SIX.gate(by_6(7)))
    assert stale(conn)

    run(conn, RETIRE)
    begin(conn, FILL)
    go_on(conn, FILL, throttles=[writing(rules, six=False)])

    with pytest.raises(TooOld):
        run(conn, SIX.gate(by_6(7)))
    assert stale(conn) == []
    prove(conn)


@pytest.mark.usefixtures("rules")
def test_writer_without_a_gate_leaves_a_row_out_of_date_after_the_backfill(conn) -> None:
    """The ablation: what keeps the rows up to date is that 6 does not pass the gate."""
    run(conn, RETIRE)
    begin(conn, FILL)
    go_on(conn, FILL)

    run(conn, by_6(7))

    assert stale(conn) == [(7, "by 6", "RULE 7", 6)]


@pytest.mark.parametrize(("held", "waits"), [(by_7, by_6), (by_6, by_7)], ids=["6 last", "7 last"])
def test_row_that_both_write_at_once_is_filled(rules, racing, conn, held, waits) -> None:
    fleets = {by_6: SIX, by_7: SEVEN}
    answer = racing.run(fleets[held].gate(held(1)), fleets[waits].gate(waits(1)))
    assert isinstance(answer, Ok)
    assert bool(stale(conn)[0][0] == 1) is (waits is by_6)

    run(conn, RETIRE)
    begin(conn, FILL)
    go_on(conn, FILL)

    assert stale(conn) == []


@pytest.mark.parametrize("first", ["the writer", "the backfill"])
def test_writer_and_chunk_that_meet_at_a_row_leave_it_up_to_date(
    rules, racing, conn, first
) -> None:
    run(conn, RETIRE)
    chunk, writer = FILL.mutation(FILL.where), SEVEN.gate(by_7(1))
    batches = (writer, chunk) if first == "the writer" else (chunk, writer)

    assert isinstance(racing.run(*batches), Ok)

    assert stale(conn) == []
    assert conn.execute("SELECT old FROM rule WHERE id = 1").fetchone() == ("by 7",)


def test_stamp_that_never_falls_would_hide_a_row_from_the_backfill(rules, racing, conn) -> None:
    """The gate takes no such stamp; without it the row stays half converted."""
    greatest = by_6(1, stamp=sql("greatest(row_version, 6)"))
    assert isinstance(racing.run(SEVEN.gate(by_7(1)), greatest), Ok)

    run(conn, RETIRE)
    begin(conn, FILL)
    go_on(conn, FILL)

    assert stale(conn) == [(1, "by 6", "BY 7", 7)]
    assert not isinstance(attempt(conn, SIX.gate(by_6(1))), Ok)
