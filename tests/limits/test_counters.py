# SPDX-License-Identifier: MIT
"""What each verb does to the counter and the ledger, and what each of its failures is.

However its statements are planned: each runs at least twice on one connection, so that a prepared
one is really used again.
"""

from __future__ import annotations

import pytest

from batchq import BatchError, GuardFailed, InvariantViolation, check, gather, insert, run, sql
from batchq.limits import LimitExceeded, LimitMissing, NotCharged
from batchq.result import Ok, attempt
from batchq.types import ViolationKind
from tests.limits.helpers import FLEET, LIMITS, PROJECT, SILO, A, B, C, failure, set_limits

BIGGEST = 2**63 - 1


class OwnError(Exception):
    pass


def charge(n, id=A, **meanings):
    return LIMITS.charge("vpcs", n, scope=PROJECT, id=id, **meanings)


def release(id=A, **meanings):
    return LIMITS.release("vpcs", scope=PROJECT, id=id, **meanings)


def resize(n, id=A, **meanings):
    return LIMITS.resize("vpcs", n, scope=PROJECT, id=id, **meanings)


def limit(lim):
    return LIMITS.set_limit("vpcs", lim, scope=PROJECT)


def blamed(report, path, violation=ViolationKind.CHECK):
    """Whether the report names this step, by the server's own word."""
    return report.path == path and report.violation.kind is violation


class TestCharge:
    def test_charge_counts_up_to_the_limit(self, planned, book):
        run(planned, limit(5))
        assert run(planned, charge(3, A)) is True
        assert run(planned, charge(2, B)) is True
        assert book.counter() == (5, 5, 5)
        report = failure(planned, charge(1, C))
        assert blamed(report, "charge vpcs")
        assert isinstance(report.raised, LimitExceeded)
        assert (report.raised.resource, report.raised.scope, report.raised.requested) == (
            "vpcs",
            PROJECT,
            1,
        )
        assert book.ledger() == [(PROJECT, "vpcs", A, 3), (PROJECT, "vpcs", B, 2)]

    def test_repeated_charge_counts_once(self, planned, book):
        run(planned, limit(5))
        assert [run(planned, charge(4)) for _ in range(5)] == [True, *[False] * 4]
        assert (book.used(), book.wrong()) == (4, [])

    def test_charge_of_a_charged_id_changes_nothing(self, planned, book):
        run(planned, gather(limit(5), charge(5)))
        assert run(planned, charge(9)) is False
        assert book.ledger() == [(PROJECT, "vpcs", A, 5)]

    def test_charge_without_a_limit_fails_and_charges_nothing(self, planned, book):
        set_limits(planned, (SILO, "vpcs", 5), (PROJECT, "disks", 5))
        for _ in range(2):
            report = failure(planned, charge(1))
            assert blamed(report, "lock vpcs", ViolationKind.GUARD)
            assert isinstance(report, GuardFailed)
            assert isinstance(report.raised, LimitMissing)
            assert (report.raised.resource, report.raised.scope) == ("vpcs", PROJECT)
        assert book.ledger() == []

    def test_charge_of_several_scopes_applies_to_all_or_none(self, planned, book):
        set_limits(planned, (PROJECT, "vpcs", 9), (SILO, "vpcs", 5), (FLEET, "vpcs", None))
        levels = [PROJECT, SILO, FLEET]
        both = [LIMITS.charge("vpcs", 3, scope=levels, id=one) for one in (A, B)]
        assert run(planned, both[0]) is True
        assert run(planned, both[0]) is False
        report = failure(planned, both[1])
        assert (report.raised.scope, report.raised.requested) == (SILO, 3)
        assert report.parameters[0] == SILO
        assert [book.used(level) for level in levels] == [3, 3, 3]
        assert run(planned, LIMITS.release("vpcs", scope=levels, id=A)) is True
        assert [book.used(level) for level in levels] == [0, 0, 0]

    def test_charge_of_another_scope_charges_that_one_only(self, planned, book):
        set_limits(planned, (PROJECT, "vpcs", 9), (SILO, "vpcs", 9))
        run(planned, charge(3))
        assert run(planned, LIMITS.charge("vpcs", 3, scope=[PROJECT, SILO], id=A)) is True
        assert (book.used(PROJECT), book.used(SILO)) == (3, 3)

    def test_amount_beyond_bigint_exceeds_each_limit(self, planned, book):
        run(planned, gather(limit(None), charge(BIGGEST)))
        for batch in (charge(BIGGEST, B), charge(1, B)):
            assert isinstance(failure(planned, batch).raised, LimitExceeded)
        assert book.used() == BIGGEST

    def test_charge_of_an_output_charges_the_generated_id(self, planned, book):
        planned.execute(
            "CREATE TABLE vpc (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text)"
        )
        run(planned, limit(5))
        for type_ in ((), ("uuid",)):
            vpc = insert("vpc", {"name": "web"})
            assert run(planned, gather(vpc, charge(1, vpc.output("id", *type_))))[1] is True
        ids = [row[0] for row in planned.execute("SELECT id FROM vpc ORDER BY id").fetchall()]
        assert [row[2] for row in book.ledger()] == ids


class TestRelease:
    def test_release_returns_the_charge_once(self, planned, book):
        run(planned, gather(limit(9), charge(3), charge(4, B)))
        assert [run(planned, release()) for _ in range(3)] == [True, False, False]
        assert (book.used(), book.wrong()) == (4, [])

    def test_release_and_shrinking_succeed_above_a_lowered_limit(self, planned, book):
        run(planned, gather(limit(None), *(charge(5, one) for one in (A, B, C))))
        run(planned, limit(5))
        assert book.counter() == (15, 5, 15)
        for batch, left in ((release(C), 10), (resize(4), 9)):
            run(planned, batch)
            assert book.counter() == (left, 5, left)
            assert isinstance(failure(planned, charge(1, C)).raised, LimitExceeded)
        run(planned, release(B))
        assert book.counter() == (4, 5, 5)
        run(planned, charge(1, C))
        assert book.counter() == (5, 5, 5)

    def test_missing_limit_raises_limit_missing(self, planned):
        for _ in range(2):
            report = failure(planned, release())
            assert blamed(report, "lock vpcs", ViolationKind.GUARD)
            assert isinstance(report.raised, LimitMissing)

    def test_release_of_more_than_the_counter_is_an_invariant_violation(self, planned, book):
        run(planned, gather(limit(9), charge(3), charge(3, B)))
        book.conn.execute("UPDATE resource_limit SET used = 2")
        for batch in (release(), resize(1, B), release(B)):
            report = failure(planned, batch)
            assert isinstance(report.raised, InvariantViolation)
            assert report.violation.constraint == "resource_limit_negative"
            book.conn.execute("UPDATE resource_limit SET used = 1")
        assert len(book.ledger()) == 2


class TestResize:
    def test_resize_charges_the_difference_and_may_always_shrink(self, planned, book):
        run(planned, gather(limit(None), charge(8), charge(2, B)))
        run(planned, limit(5))
        seen = []
        for n in (5, 6, 1, 4):
            answer = attempt(planned, resize(n))
            seen.append(book.counter() if isinstance(answer, Ok) else answer.error.requested)
        assert seen == [(7, 5, 7), 6, (3, 5, 5), 4]
        assert book.wrong() == []

    def test_resize_to_the_same_size_needs_no_room(self, planned, book):
        run(planned, gather(limit(None), charge(8)))
        run(planned, limit(1))
        for _ in range(2):
            run(planned, resize(8))
        assert book.counter() == (8, 1, 8)

    def test_resize_beyond_the_limit_names_its_step(self, planned, book):
        run(planned, gather(limit(5), charge(3)))
        for _ in range(2):
            assert blamed(failure(planned, resize(6)), "resize vpcs")
        run(planned, resize(5))
        assert book.ledger() == [(PROJECT, "vpcs", A, 5)]

    def test_resize_without_a_charge_raises_not_charged(self, planned, book):
        run(planned, gather(limit(5), charge(3, B)))
        for _ in range(2):
            report = failure(planned, resize(1))
            assert blamed(report, "resize vpcs", ViolationKind.GUARD)
            assert isinstance(report.raised, NotCharged)
            assert (report.raised.scope, report.raised.id) == (PROJECT, A)
        assert book.used() == 3

    def test_amount_beyond_bigint_exceeds_each_limit(self, planned, book):
        run(planned, gather(limit(None), charge(2), charge(2, B)))
        assert isinstance(failure(planned, resize(BIGGEST)).raised, LimitExceeded)
        run(planned, resize(BIGGEST - 2))
        assert book.used() == BIGGEST

    def test_missing_limit_raises_limit_missing(self, planned):
        for _ in range(2):
            assert isinstance(failure(planned, resize(1)).raised, LimitMissing)


class TestSetLimit:
    def test_set_limit_creates_a_counter_and_then_changes_it(self, planned, book):
        for lim, counter in ((5, (0, 5, 5)), (7, (0, 7, 7)), (0, (0, 0, 0))):
            run(planned, limit(lim))
            assert book.counter() == counter
        assert isinstance(failure(planned, charge(1)).raised, LimitExceeded)

    def test_set_limit_of_none_allows_any_amount(self, planned, book):
        run(planned, gather(limit(1), charge(1)))
        run(planned, limit(None))
        run(planned, charge(10**12, B))
        assert book.counter() == (10**12 + 1, BIGGEST, BIGGEST)

    def test_raised_limit_allows_more(self, planned, book):
        run(planned, gather(limit(9), charge(9)))
        run(planned, limit(5))
        run(planned, limit(10))
        run(planned, charge(1, B))
        assert book.counter() == (10, 10, 10)


@pytest.mark.parametrize("verb", [charge, resize])
def test_exceeded_limit_raises_the_exception_of_the_caller(conn, book, verb):
    run(conn, gather(limit(5), charge(1, A)))
    own = A if verb is resize else B
    for meaning in (OwnError("full"), OwnError, lambda violation: OwnError(violation.constraint)):
        assert isinstance(failure(conn, verb(9, own, exceeded=meaning)).raised, OwnError)


@pytest.mark.parametrize("verb", [lambda **m: charge(1, **m), release, lambda **m: resize(1, **m)])
def test_missing_limit_raises_the_exception_of_the_caller(conn, book, verb):
    assert isinstance(failure(conn, verb(missing=OwnError)).raised, OwnError)


def test_missing_charge_raises_the_exception_of_the_caller(conn, book):
    run(conn, limit(5))
    assert isinstance(failure(conn, resize(1, not_charged=OwnError)).raised, OwnError)


def test_mapping_around_a_charge_wins(conn, book):
    run(conn, limit(0))
    around = gather(charge(1)).on(check("resource_limit_exceeded"), OwnError())
    assert isinstance(failure(conn, around).raised, OwnError)
    inside = charge(1).as_invariant("charging for ourselves")
    assert isinstance(failure(conn, inside).raised, InvariantViolation)


def test_exceeded_limit_rolls_back_the_batch(conn, book):
    conn.execute("CREATE TABLE vpc (id uuid PRIMARY KEY)")
    run(conn, limit(0))
    report = failure(conn, gather(charge(1), insert("vpc", {"id": A}).label("vpc")))
    assert isinstance(report, BatchError)
    assert (report.index, report.path) == (2, "charge vpcs")
    assert run(conn, sql("SELECT count(*) FROM vpc").scalar(int)) == 0


def test_error_shows_no_scope_and_no_id(conn, book):
    run(conn, limit(0))
    for batch in (charge(1), LIMITS.charge("vpcs", scope=SILO, id=A), resize(1)):
        report = failure(conn, batch)
        for text in (str(report), str(report.raised), repr(report.statement)):
            assert not any(str(value) in text for value in (PROJECT, SILO, A))
        assert "vpcs" in str(report.raised)
