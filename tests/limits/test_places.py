# SPDX-License-Identifier: MIT
"""Where the steps of limits run: after all others, each lock once, in one order for all batches.

The order that is expected is kept by other means than batchq's: by sorting what was drawn.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchq import gather, insert, sql, steps
from batchq.limits import Limits
from tests.limits.helpers import FLEET, LIMITS, PROJECT, SILO, A, B

SCOPES = [PROJECT, SILO, FLEET]
VERBS = {
    "charge": lambda resource, scope: LIMITS.charge(resource, 2, scope=scope, id=A),
    "release": lambda resource, scope: LIMITS.release(resource, scope=scope, id=A),
    "resize": lambda resource, scope: LIMITS.resize(resource, 2, scope=scope, id=A),
}


def places(batch):
    """Of each step what it is called, and whose counter it is about."""
    return [
        (step.path, *(v for n, v in named(step) if n in ("scope", "scope_id")))
        for step in steps(batch)
    ]


def named(step):
    return zip(step.statement._shape.names, step.statement._values, strict=True)


charges = st.tuples(
    st.sampled_from(sorted(VERBS)),
    st.sampled_from(["vpcs", "Disks", "\u00e9t\u00e9", "\U0001f600", "\uffff"]),
    st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3, unique=True),
)


@given(st.lists(charges, max_size=6))
def test_counters_are_locked_once_and_written_in_the_order_given(drawn):
    batch = gather(*(VERBS[verb](resource, scopes) for verb, resource, scopes in drawn))
    written = [(s, r, verb) for verb, r, scopes in drawn for s in scopes]
    expected = []
    for scope, resource in sorted({(s, r) for s, r, _ in written}, key=lambda c: (str(c[0]), c[1])):
        verbs = [verb for s, r, verb in written if (s, r) == (scope, resource)]
        expected += [(f"{verb} {resource}", scope) for verb in ["lock", *verbs]]
    assert places(batch) == expected


def test_other_statements_run_before_the_counters():
    first, last = insert("vpc", {"id": 1}).label("first"), sql("SELECT 1").label("last")
    charged = LIMITS.charge("vpcs", scope=[SILO, PROJECT], id=A).label("in")
    assert places(gather(gather(charged, first).label("all"), last)) == [
        ("all/first",),
        ("last",),
        ("all/in/lock vpcs", SILO),
        ("all/in/charge vpcs", SILO),
        ("all/in/lock vpcs", PROJECT),
        ("all/in/charge vpcs", PROJECT),
    ]


def test_limits_are_set_at_the_place_of_the_counter_in_order():
    made = LIMITS.set_limit("vpcs", 5, scope=SILO), LIMITS.charge("vpcs", scope=SILO, id=A)
    before, after = ["set limit of vpcs", "lock vpcs", "charge vpcs"], ["lock vpcs", "charge vpcs"]
    assert [path for path, _ in places(gather(*made))] == before
    assert [path for path, _ in places(gather(*made[::-1]))] == [*after, "set limit of vpcs"]


def test_reconcile_of_a_scope_runs_before_its_counters():
    batch = gather(
        LIMITS.charge("vpcs", scope=[PROJECT, SILO], id=A),
        LIMITS.set_limit("a", 5, scope=PROJECT),
        LIMITS.reconcile(PROJECT),
    )
    assert places(batch) == [
        ("lock vpcs", SILO),
        ("charge vpcs", SILO),
        ("settings",),
        ("lock counters", PROJECT),
        ("recount", PROJECT),
        ("settings put back",),
        ("set limit of a", PROJECT),
        ("lock vpcs", PROJECT),
        ("charge vpcs", PROJECT),
    ]


def test_scope_named_twice_is_charged_once():
    assert len(steps(LIMITS.charge("vpcs", scope=[SILO, SILO], id=A))) == 2


def test_one_table_comes_before_another():
    tables = [Limits(table=table, ledger="charges") for table in ("b", "a", "a.z")]
    batch = gather(*(limits.charge("vpcs", scope=SILO, id=B) for limits in tables))
    assert [step.statement._shape.source.table for step in steps(batch)[::2]] == ["a", "b", "a.z"]


def test_limits_by_the_same_names_are_the_same():
    batch = gather(
        Limits().charge("vpcs", scope=SILO, id=A), Limits().charge("vpcs", scope=SILO, id=B)
    )
    assert Limits() == Limits()
    assert len(steps(batch)) == 3


NAMES = ["resource_limit", "public.resource_limit", "a.resource_limit", "z.resource_limit", "other"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES), st.sampled_from(["a", "b"]), st.sampled_from([PROJECT, SILO])
        ),
        min_size=1,
        max_size=8,
        unique=True,
    )
)
def test_counters_are_locked_by_scope_and_resource_for_all_table_names(drawn):
    batch = gather(
        *(Limits(table=name).charge(resource, scope=scope, id=A) for name, resource, scope in drawn)
    )
    locks = [
        (str(values["scope_id"]), values["resource"], step.statement._shape.source.table)
        for step in steps(batch)
        if "scope_id" in (values := dict(named(step)))
    ]
    wanted = {(str(scope), resource, name) for name, resource, scope in drawn}
    assert locks == sorted(wanted, key=lambda one: (*one[:2], one[2].split(".")[-1], one[2]))
