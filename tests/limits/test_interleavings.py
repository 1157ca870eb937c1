# SPDX-License-Identifier: MIT
"""Two batches that count, in every order and at every isolation level: no counter says anything but
the sum of its charges, none exceeds its limit, and no two batches wait for each other.
"""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import pytest
from psycopg import IsolationLevel

from tests.limits.helpers import LIMITS, PROJECT, SILO, WRONG, A, B, C
from tests.support.interleaved_session import Side, once
from tests.support.interleavings import Interleaver

pytestmark = pytest.mark.postgres_only("waits are seen in pg_blocking_pids()")

RC, RR, SER = LEVELS = (
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
)
# Of two, one is used, by A. The silo's counter has drifted: it says nothing of its charge.
RESET = f"""
DELETE FROM resource_limit; DELETE FROM resource_charge;
INSERT INTO resource_limit VALUES ('{PROJECT}', 'vpcs', 1, 2, 2), ('{SILO}', 'vpcs', 0, 5, 5);
INSERT INTO resource_charge VALUES ('{PROJECT}', 'vpcs', '{A}', 1), ('{SILO}', 'vpcs', '{A}', 1);
"""
DRIFTED = [(SILO, "vpcs", 0, 5, 5)]
VERBS = {
    "charge again": LIMITS.charge("vpcs", scope=PROJECT, id=A),
    "charge": LIMITS.charge("vpcs", scope=PROJECT, id=B),
    "charge another": LIMITS.charge("vpcs", scope=PROJECT, id=C),
    "release": LIMITS.release("vpcs", scope=PROJECT, id=A),
    "resize": LIMITS.resize("vpcs", 2, scope=PROJECT, id=A),
    "lower": LIMITS.set_limit("vpcs", 0, scope=PROJECT),
    "reconcile": LIMITS.reconcile(PROJECT),
}
PAIRS = list(combinations_with_replacement(VERBS, 2))


@pytest.fixture
def table(book, connect):
    return Interleaver.connect(connect, RESET)


def play(table, first, second, levels, may_fail):
    def wrong(_played):
        found = table.observer.execute(WRONG).fetchall()
        return found not in ([], DRIFTED)

    sides = (
        Side(str(number), once(batch), level)
        for number, batch, level in zip((1, 2), (first, second), levels, strict=True)
    )
    summary = table.check_all(*sides, wrong)
    assert not summary.wrong, str(summary)
    assert {failure.sqlstate for failure in summary.failures} <= may_fail
    return summary


def may_fail(levels):
    """No room, or nothing to resize; above READ COMMITTED a conflict as well. Never a deadlock."""
    return {"23514", "22P02"} | ({"40001"} if max(levels) > RC else set())


@pytest.mark.parametrize("levels", [(RC, RC)], ids=str)
def test_counters_stay_the_sums_of_their_charges(table, levels):
    for first, second in PAIRS:
        play(table, VERBS[first], VERBS[second], levels, may_fail(levels))


@pytest.mark.soak
@pytest.mark.parametrize("levels", list(product(LEVELS, LEVELS)), ids=str)
def test_counters_of_several_scopes_stay_the_sums_of_their_charges(table, levels):
    for first, second in PAIRS:
        play(table, VERBS[first], VERBS[second], levels, may_fail(levels))


def test_of_two_charges_for_the_last_place_one_is_refused(table):
    for levels in ((RC, RC), (RR, RC), (SER, SER)):
        summary = play(table, VERBS["charge"], VERBS["charge another"], levels, may_fail(levels))
        assert summary.committed == {(True, False), (False, True)}


@pytest.mark.parametrize("levels", [(RC, RC), (RR, RR)], ids=str)
def test_reconcile_loses_no_charge_and_corrects_the_drift(table, levels):
    def wrong(schedule):
        found = table.observer.execute(WRONG).fetchall()
        return found if schedule.failures[0] is None else found not in ([], DRIFTED)

    charge = LIMITS.charge("vpcs", scope=SILO, id=B)
    summary = table.check_all(
        Side("recount", once(LIMITS.reconcile(SILO)), levels[0]),
        Side("charge", once(charge), levels[1]),
        wrong,
    )
    assert summary.schedules > 1
    assert (True, True) in summary.committed
