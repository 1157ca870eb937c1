# SPDX-License-Identifier: MIT
"""Two processes join, leave, expand and retire in every order and at every isolation level: no 6
joins once 6 is retired, and none that has joined is missed by the process that retires it.
"""

from __future__ import annotations

from itertools import product

import pytest

from batchq import gather, insert, select, sql
from batchq.conditions import lt
from tests.support.interleaved_session import Side, once
from tests.support.interleavings import Interleaver
from tests.versions.helpers import EIGHT, LEVELS, MINUTE, SEVEN, SIX, create_tables

pytestmark = pytest.mark.postgres_only("waits are seen in pg_blocking_pids()")

RC, RR, SER = LEVELS
EMPTY = "DELETE FROM version_member; DELETE FROM version_window"
EXPANDED = f"{EMPTY}; INSERT INTO version_window (fleet, newest) VALUES ('nexus', %s)"
RUNNING = f"{EXPANDED % 8}; INSERT INTO version_member VALUES ('nexus', 'a', 6, 'infinity')"
WINDOW = "SELECT oldest * 100 + newest FROM version_window"
RETIRED_BUT_RUNNING = """
SELECT EXISTS (
    SELECT FROM version_member JOIN version_window USING (fleet)
    WHERE version < oldest AND until > now()
)
"""
GUARD, CONFLICT = "22P02", "40001"

JOIN, RETIRE = SIX.join("a", lease=MINUTE), SEVEN.retire(below=7)


def few(*levels):
    """Take some pairs of levels in each run, and all in a long one."""
    return [
        pytest.param(pair, id="-".join(level.name for level in pair), marks=marks)
        for pair in product(LEVELS, LEVELS)
        for marks in ([] if pair in levels else [pytest.mark.soak],)
    ]


@pytest.fixture
def fleet(connect):
    create_tables(connect())
    return Interleaver.connect(connect, EXPANDED % 8, WINDOW)


def sides(batches, levels):
    named = zip("12", batches, levels, strict=True)
    return [Side(name, once(batch), level) for name, batch, level in named]


def play(fleet, first, second, levels):
    """Run all schedules; return which sides were committed in them."""

    def is_wrong(schedule):
        seen = [window for window in schedule.seen if window is not None]
        return breaks(fleet) or seen != sorted(seen)

    summary = fleet.check_all(*sides((first, second), levels), is_wrong)
    assert not summary.wrong, str(summary)
    conflicts = {CONFLICT} if max(levels) > RC else set()
    assert {failure.sqlstate for failure in summary.failures} <= {GUARD, *conflicts}
    return summary.committed


def breaks(fleet):
    return fleet.observer.execute(RETIRED_BUT_RUNNING).fetchone()[0]


FIRST, SECOND, BOTH = (True, False), (False, True), (True, True)


@pytest.mark.parametrize("levels", few((RC, RC), (RC, RR), (SER, RC)))
def test_of_a_process_that_joins_and_one_that_retires_it_one_succeeds(fleet, levels) -> None:
    assert play(fleet, JOIN, RETIRE, levels) == {FIRST, SECOND}


MEMBER = {"fleet": "nexus", "member": "a", "version": 6, "until": sql("now() + interval '1 h'")}
MAY_RUN = select("version_window", where={"fleet": "nexus", "oldest": lt(7)})
READ = gather(MAY_RUN.expect(1), insert("version_member", MEMBER))
"""A join that only reads the window."""
LOCKED = gather(
    sql("SELECT FROM version_window WHERE oldest < 7 FOR SHARE").expect(1),
    insert("version_member", MEMBER),
)
"""A join that only locks the window."""
LOCK_IS_ENOUGH = {*product(LEVELS, [RC]), (SER, SER)}
"""Retiring sees what is committed when it has waited; or the server detects the conflict."""


@pytest.mark.parametrize("levels", few((RC, RC), (RC, RR), (RC, SER)))
def test_join_that_only_locks_the_window_is_missed_by_an_older_snapshot(fleet, levels) -> None:
    missed = (breaks(fleet) for _ in fleet.run_all(*sides((LOCKED, RETIRE), levels)))

    assert any(missed) is (levels not in LOCK_IS_ENOUGH)


@pytest.mark.parametrize("levels", few((RC, RC)))
def test_join_that_only_reads_the_window_is_missed_unless_both_are_serializable(
    fleet, levels
) -> None:
    missed = (breaks(fleet) for _ in fleet.run_all(*sides((READ, RETIRE), levels)))

    assert any(missed) is (levels != (SER, SER))


@pytest.mark.parametrize("levels", few((RC, RC), (RR, RC)))
class TestOthers:
    def test_two_that_join(self, fleet, levels) -> None:
        for other in (SEVEN.join("a", lease=MINUTE), SEVEN.join("b", lease=MINUTE)):
            committed = play(fleet, JOIN, other, levels)
            assert committed == {BOTH} if max(levels) == RC else BOTH in committed

    def test_one_that_leaves_and_one_that_retires_it(self, fleet, levels) -> None:
        fleet.reset = RUNNING
        assert {FIRST, BOTH} <= play(fleet, SIX.leave("a"), RETIRE, levels) <= {FIRST, BOTH, SECOND}

    def test_two_that_retire(self, fleet, levels) -> None:
        committed = play(fleet, RETIRE, EIGHT.retire(below=8), levels)
        assert BOTH in committed
        assert max(levels) > RC or committed == {BOTH}

    def test_one_that_retires_and_one_that_expands(self, fleet, levels) -> None:
        fleet.reset = EXPANDED % 6
        assert {BOTH, SECOND} <= play(fleet, RETIRE, SEVEN.expand(7), levels)

    def test_two_that_expand(self, fleet, levels) -> None:
        for fleet.reset in (EMPTY, EXPANDED % 6):
            assert BOTH in play(fleet, SEVEN.expand(7), EIGHT.expand(8), levels)
