# SPDX-License-Identifier: MIT
"""``explain``: all that a batch lacks room for. What it says is what the server would do, which a
property test finds out by running the steps one by one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq import gather, insert, run, sql, steps
from batchq.limits import LimitExceeded, LimitMissing, Limits, Shortfall
from batchq.result import Failed, attempt
from tests.limits.helpers import FLEET, LIMITS, PROJECT, SILO, A, B, C, set_limits


def charge(resource, n, scope=PROJECT, id=A):
    return LIMITS.charge(resource, n, scope=scope, id=id)


def short(conn, *batches):
    return run(conn, LIMITS.shortfalls(gather(*batches)))


def test_shortfalls_list_each_exceeded_limit(planned, book):
    set_limits(planned, (PROJECT, "cpus", 8), (SILO, "cpus", 100), (PROJECT, "disks", 1))
    run(planned, gather(charge("cpus", 6, [PROJECT, SILO]), charge("disks", 1)))
    wanted = gather(
        insert("no_such_table", {"id": 1}),
        charge("cpus", 3, [PROJECT, SILO, FLEET], B),
        charge("disks", 1, id=B),
        LIMITS.resize("cpus", 99, scope=SILO, id=A),
    )
    for _ in range(2):
        assert run(planned, LIMITS.shortfalls(wanted)) == [
            Shortfall(scope=SILO, resource="cpus", asked=93, used=9, limit=100, ceiling=100),
            Shortfall(scope=PROJECT, resource="cpus", asked=3, used=6, limit=8, ceiling=8),
            Shortfall(scope=PROJECT, resource="disks", asked=1, used=1, limit=1, ceiling=1),
            Shortfall(scope=FLEET, resource="cpus", asked=3, used=None, limit=None, ceiling=None),
        ]
    assert [one.missing for one in short(planned, wanted)] == [False, False, False, True]


def test_shortfalls_are_empty_if_there_is_room(planned, book):
    set_limits(planned, (PROJECT, "cpus", 8))
    for _ in range(2):
        assert short(planned, charge("cpus", 8)) == []


def test_shortfalls_of_a_batch_without_limits_need_no_round_trip(conn):
    assert short(conn, sql("SELECT 1"), insert("no_such_table", {"id": 1})) == []
    assert steps(LIMITS.shortfalls(gather())) == ()


def test_shortfalls_change_nothing_and_wait_for_no_lock(conn, connect, book):
    set_limits(conn, (PROJECT, "cpus", 8))
    holder = connect()
    with holder.transaction(force_rollback=True):
        run(holder, charge("cpus", 5), nested=True)
        batch = LIMITS.shortfalls(charge("cpus", 9, id=B))
        assert [one.used for one in run(conn, batch, read_only=True, timeout=60)] == [0]
    assert (book.used(resource="cpus"), book.ledger()) == (0, [])


def test_charges_of_one_counter_take_each_others_room(conn, book):
    set_limits(conn, (PROJECT, "cpus", 5))
    wanted = [charge("cpus", n, id=one) for n, one in ((3, A), (9, B), (3, C), (2, C))]
    assert [(one.asked, one.used) for one in short(conn, *wanted)] == [(9, 3), (3, 3)]


def test_charged_id_has_no_shortfall(conn, book):
    set_limits(conn, (PROJECT, "cpus", 5))
    run(conn, charge("cpus", 2))
    assert short(conn, charge("cpus", 9), charge("cpus", 3, id=B)) == []


def test_lowered_limit_is_a_shortfall_until_enough_is_released(conn, book):
    set_limits(conn, (PROJECT, "cpus", None))
    run(conn, gather(charge("cpus", 6), charge("cpus", 4, id=B)))
    wanted = [
        LIMITS.set_limit("cpus", 5, scope=PROJECT),
        charge("cpus", 1, id=C),
        LIMITS.release("cpus", scope=PROJECT, id=B),
        charge("cpus", 1, id=C),
        LIMITS.resize("cpus", 4, scope=PROJECT, id=A),
        charge("cpus", 1, id=C),
    ]
    assert short(conn, *wanted) == [
        Shortfall(PROJECT, "cpus", asked=1, used=10, limit=5, ceiling=10),
        Shortfall(PROJECT, "cpus", asked=1, used=6, limit=5, ceiling=6),
    ]


def test_output_as_id_counts_as_not_charged(conn, book):
    set_limits(conn, (PROJECT, "cpus", 5))
    vpc = insert("vpc", {"name": "web"})
    charged = charge("cpus", 6, id=vpc.output("id", "uuid"))
    assert [one.asked for one in short(conn, vpc, charged)] == [6]


def test_resize_without_a_charge_has_no_shortfall(conn, book):
    set_limits(conn, (PROJECT, "cpus", 5))
    assert short(conn, LIMITS.resize("cpus", 9, scope=PROJECT, id=A)) == []


def test_missing_limit_is_a_shortfall_of_each_verb(conn, book):
    wanted = (
        charge("a", 1),
        LIMITS.resize("b", 2, scope=PROJECT, id=A),
        LIMITS.release("c", scope=PROJECT, id=A),
        LIMITS.set_limit("d", 5, scope=PROJECT),
        charge("d", 5),
    )
    assert [(one.resource, one.missing) for one in short(conn, *wanted)] == [
        (resource, True) for resource in "abc"
    ]


def test_limits_of_other_tables_are_ignored(conn, book):
    other = Limits(table="other", ledger="other_charge")
    assert short(conn, other.charge("cpus", scope=PROJECT, id=A)) == []


@pytest.mark.parametrize(
    "around", [lambda b: b.label("x"), lambda b: b.map(bool).as_invariant("x")]
)
def test_shortfalls_find_charges_at_any_depth(conn, book, around):
    assert len(short(conn, around(gather(around(charge("cpus", 1)))))) == 1


# -- as the server would ---------------------------------------------------------------------------

some_id, amount = st.sampled_from([A, B, C]), st.integers(1, 6)
verbs = st.one_of(
    st.builds(lambda n, one: LIMITS.charge("cpus", n, scope=SILO, id=one), amount, some_id),
    st.builds(lambda n, one: LIMITS.resize("cpus", n, scope=SILO, id=one), amount, some_id),
    st.builds(lambda one: LIMITS.release("cpus", scope=SILO, id=one), some_id),
    st.builds(lambda lim: LIMITS.set_limit("cpus", lim, scope=SILO), st.integers(0, 9)),
)


@settings(deadline=None)
@given(st.sampled_from([0, 0, 0, 1]), st.lists(verbs, max_size=5), st.lists(verbs, max_size=8))
def test_shortfalls_predict_the_steps_that_fail(conn, book, unset, before, wanted):
    conn.execute("TRUNCATE resource_limit, resource_charge")
    for batch in (LIMITS.set_limit("cpus", 9, scope=SILO), *before)[unset:]:
        attempt(conn, batch)
    foreseen = run(conn, LIMITS.shortfalls(gather(*wanted)))
    refused = [type(error) for error in map(error_of, wanted, [conn] * len(wanted))]
    seen = [kind for kind in refused if kind in (LimitExceeded, LimitMissing)]
    assert [LimitMissing if one.missing else LimitExceeded for one in foreseen] == seen


def error_of(batch, conn):
    answer = attempt(conn, batch)
    return answer.error if isinstance(answer, Failed) else None
