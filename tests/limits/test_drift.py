# SPDX-License-Identifier: MIT
"""``reconcile``: counters are recounted from the ledger, put right, and reported."""

from __future__ import annotations

from batchq import gather, run
from batchq.limits import Drift
from batchq.result import Ok, attempt
from tests.limits.helpers import LIMITS, PROJECT, SILO, A, B, set_limits


def drifted(conn, used, **where):
    conn.execute(
        "UPDATE resource_limit SET used = %s, ceiling = greatest(lim, %s) WHERE resource = %s",
        [used, used, where["resource"]],
        prepare=False,
    )


def test_reconcile_corrects_and_reports_drifted_counters_only(planned, book):
    names = ["b", "a", "c", "d"]
    set_limits(planned, *((PROJECT, name, 5) for name in names), (SILO, "a", 5))
    run(planned, gather(*(LIMITS.charge(n, 3, scope=[PROJECT, SILO][:1], id=A) for n in names)))
    run(planned, LIMITS.charge("a", 1, scope=[PROJECT, SILO], id=B))
    for resource, used in (("a", 9), ("b", 0), ("c", 4)):
        drifted(book.conn, used, resource=resource)
    assert run(planned, LIMITS.reconcile(PROJECT)) == [
        Drift(scope=PROJECT, resource="a", was=9, now=4),
        Drift(scope=PROJECT, resource="b", was=0, now=3),
        Drift(scope=PROJECT, resource="c", was=4, now=3),
    ]
    assert [book.counter(PROJECT, name) for name in "abcd"] == [(4, 5, 5), *[(3, 5, 5)] * 3]
    assert run(planned, LIMITS.reconcile(PROJECT)) == []
    assert run(planned, LIMITS.reconcile(SILO)) == [Drift(SILO, "a", 9, 1)]
    assert book.wrong() == []


def test_counter_without_charges_is_reconciled_to_zero(planned, book):
    set_limits(planned, (PROJECT, "vpcs", 5))
    for _ in range(2):
        drifted(book.conn, 3, resource="vpcs")
        assert run(planned, LIMITS.reconcile(PROJECT)) == [Drift(PROJECT, "vpcs", 3, 0)]


def test_reconcile_keeps_charges_above_the_limit(planned, book):
    set_limits(planned, (PROJECT, "vpcs", None))
    run(planned, LIMITS.charge("vpcs", 8, scope=PROJECT, id=A))
    for _ in range(2):
        set_limits(planned, (PROJECT, "vpcs", 5))
        drifted(book.conn, 2, resource="vpcs")
        assert run(planned, LIMITS.reconcile(PROJECT)) == [Drift(PROJECT, "vpcs", 2, 8)]
        assert book.counter() == (8, 5, 8)


def test_lost_counter_is_set_and_then_reconciled(conn, book):
    set_limits(conn, (PROJECT, "vpcs", 5))
    run(conn, LIMITS.charge("vpcs", 4, scope=PROJECT, id=A))
    book.conn.execute("DELETE FROM resource_limit")
    assert run(conn, LIMITS.reconcile(PROJECT)) == []
    set_limits(conn, (PROJECT, "vpcs", 5))
    assert run(conn, LIMITS.reconcile(PROJECT)) == [Drift(PROJECT, "vpcs", 0, 4)]


def test_reconcile_counts_a_charge_that_it_waited_for(conn, book, racing):
    set_limits(conn, (PROJECT, "vpcs", 9))
    charge = LIMITS.charge("vpcs", 4, scope=PROJECT, id=A)
    answer = racing.run(charge, LIMITS.reconcile(PROJECT))
    assert isinstance(answer, Ok)
    assert (answer.value, book.used(), book.wrong()) == ([], 4, [])


def test_charge_that_waited_for_reconcile_adds_to_its_result(conn, book, racing):
    set_limits(conn, (PROJECT, "vpcs", 9))
    run(conn, LIMITS.charge("vpcs", 4, scope=PROJECT, id=A))
    drifted(book.conn, 9, resource="vpcs")
    charge = LIMITS.charge("vpcs", 4, scope=PROJECT, id=B)
    answer = racing.run(LIMITS.reconcile(PROJECT), charge)
    assert isinstance(answer, Ok)
    assert (answer.value, book.used(), book.wrong()) == (True, 8, [])


def test_policy_that_hides_a_charge_is_an_error(book, conn, hide):
    """A counter is not recounted, and no limit reported, without what the role cannot see."""
    set_limits(conn, (PROJECT, "vpcs", 5))
    run(conn, LIMITS.charge("vpcs", 3, scope=PROJECT, id=A))
    hide("resource_charge")
    more = LIMITS.charge("vpcs", 9, scope=PROJECT, id=B)

    for batch in (LIMITS.reconcile(PROJECT), LIMITS.shortfalls(more)):
        assert attempt(conn, batch).report.violation.sqlstate == "42501"
    assert book.counter() == (3, 5, 5)
