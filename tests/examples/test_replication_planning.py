# SPDX-License-Identifier: MIT
"""Every decision of a replicator, without a database: what to do, and how much of it now."""

from __future__ import annotations

import doctest
from collections import Counter
from math import ceil
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.replication import basis, planning
from examples.replication.planning import Kind, Limits, Request, choose, is_safe, plan

ARTIFACTS = st.frozensets(st.sampled_from("abcdef"))
LISTINGS = st.dictionaries(st.sampled_from(["d0", "d1", "d2"]), st.none() | ARTIFACTS)
RANDOMS = st.integers(0, 99).map(Random)
LIMITS = st.builds(Limits, requests=st.integers(1, 6), puts=st.integers(1, 3))


def applied(listings, requests):
    """Return the copies of the depots that answered, after all requests."""
    copies = {name: set(listed) for name, listed in listings.items() if listed is not None}
    for request in requests:
        if request.kind is Kind.DELETE:
            copies[request.depot].remove(request.sha256)
        else:
            copies[request.depot].add(request.sha256)
    return copies


@given(ARTIFACTS, LISTINGS, ARTIFACTS, RANDOMS)
def test_plan_is_the_difference(wanted, listings, local, random):
    """What has a copy is to be on each depot; what is only here, on one; nothing else anywhere."""
    planned = plan(wanted, listings, local, random)
    answered = [listed for listed in listings.values() if listed is not None]
    having = wanted & frozenset().union(*answered)

    copies = applied(listings, planned.requests)

    assert planned.missing == wanted - having - local
    put = (wanted & local) - having if answered else frozenset()
    assert all(copies[name] - put == having for name in copies)
    for sha256 in put:
        assert sum(sha256 in listed for listed in copies.values()) == 1
    places = [(request.depot, request.sha256) for request in planned.requests]
    assert len(places) == len(set(places))


@given(ARTIFACTS, LISTINGS, ARTIFACTS, RANDOMS)
def test_each_request_of_a_plan_can_be_done(wanted, listings, local, random):
    for request in plan(wanted, listings, local, random).requests:
        there = listings[request.depot]
        assert there is not None
        match request.kind:
            case Kind.PUT:
                assert request.sha256 in wanted & local
            case Kind.COPY:
                assert request.sha256 in wanted - there
                assert request.sha256 in listings[request.source]
            case Kind.DELETE:
                assert request.sha256 in there - wanted


@given(ARTIFACTS, LISTINGS, ARTIFACTS, RANDOMS, LIMITS)
def test_choice_is_within_the_limits_and_loses_nothing(wanted, listings, local, random, limits):
    requests = plan(wanted, listings, local, random).requests

    chosen, deferred = choose(requests, limits, random)

    kinds = Counter(request.kind for request in chosen)
    assert Counter(requests) == Counter(chosen) + Counter(deferred)
    assert kinds.total() <= limits.requests
    assert kinds[Kind.PUT] <= limits.puts
    if deferred:
        full = kinds.total() == limits.requests
        assert full or {request.kind for request in deferred} == {Kind.PUT}
        assert full or kinds[Kind.PUT] == limits.puts


@given(RANDOMS)
def test_artifact_that_no_depot_has_comes_first(random):
    rest = [Request(Kind.DELETE, "d0", str(n)) for n in range(40)]
    puts = [Request(Kind.PUT, "d0", str(n)) for n in range(40, 50)]

    chosen, _ = choose([*rest, *puts], Limits(), random)

    assert [request.kind for request in chosen] == [Kind.PUT] * 8 + [Kind.DELETE] * 24


def test_two_replicators_choose_different_requests():
    requests = [Request(Kind.DELETE, "d0", str(n)) for n in range(64)]

    chosen = [frozenset(choose(requests, Limits(), Random(seed))[0]) for seed in range(8)]

    assert len(set(chosen)) == 8


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 5), LIMITS, RANDOMS)
def test_undisturbed_replicator_reaches_the_wanted_state(new, old, depots, limits, random):
    """C2: after as many activations as the limits need, one more to copy what was put by the last
    of these, and an idle one."""
    wanted = {f"new{n}" for n in range(new)}
    copies = {f"d{n}": {f"old{m}" for m in range(old)} for n in range(depots)}
    puts, work = new, (new + old) * depots
    needed = max(ceil(work / limits.requests), ceil(puts / limits.puts)) + 2

    for _ in range(needed):
        planned = plan(wanted, copies, wanted, random)
        copies = applied(copies, choose(planned.requests, limits, random)[0])

    assert planned.requests == ()
    assert copies == dict.fromkeys(copies, wanted)


@given(ARTIFACTS, LISTINGS, st.integers(1, 4))
def test_upload_is_safe_if_each_artifact_has_copies(artifacts, listings, least):
    counts = Counter(sha256 for listed in listings.values() for sha256 in listed or ())

    safe = is_safe(artifacts, listings, least)

    assert safe == (min([counts[sha256] for sha256 in artifacts], default=9) >= least)


NAMES = st.frozensets(st.text('a"\\\n, []', max_size=3), max_size=3)


@given(NAMES, NAMES)
def test_digests_are_equal_if_the_sets_are(one, other):
    """Whatever characters are in a name, such as those that stand between two."""
    assert (basis.basis_of(7, one) == basis.basis_of(7, other)) == (one == other)


def test_digest_of_a_name_is_not_that_of_its_lines():
    assert basis.basis_of(7, ["a\nb"]) != basis.basis_of(7, ["a", "b"])


@pytest.mark.parametrize("module", [basis, planning])
def test_examples_in_docstrings_are_true(module):
    assert doctest.testmod(module).failed == 0
