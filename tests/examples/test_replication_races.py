# SPDX-License-Identifier: MIT
"""A slow replicator beside a fast one: nothing that is wanted is lost, and what that rests on."""

from __future__ import annotations

from functools import partial

import pytest

from batchq import gather, insert, run
from batchq.result import Failed
from examples.replication.basis import Basis, basis_of
from examples.replication.depot import copies_list, copy_delete, ledger_advance
from examples.replication.errors import Conflict, Stale
from examples.replication.planning import Kind
from examples.replication.report import Result, Stopped
from examples.replication.wanted import Wanted, artifacts_add, wanted_page, wanted_read
from tests.support.replication import (
    LONG,
    SET_ID,
    NoLedger,
    UnguardedListing,
    World,
    artifact,
    once,
    settle,
)

OLD, NEW = [artifact(("old", n)) for n in range(2)], [artifact(("new", n)) for n in range(2)]


def slow_planner(world):
    """Run A until it has read the set. Then B uploads, replicates, and lets its own copies go."""
    slow, fast = world.replicator(), world.replicator(least=3)
    fast.upload(OLD)
    settle(fast)
    assert fast.uploads.artifacts == frozenset()

    def upload():
        fast.upload(NEW)
        settle(fast)
        assert fast.uploads.artifacts == frozenset()

    once(world.network(slow), 1, upload)
    return slow.activate()


def test_slow_planner_is_refused_and_all_copies_stay(conn):
    world = World(conn)

    report = slow_planner(world)

    assert (report.stopped, report.planned) == (Stopped.STALE, {})
    assert world.copies() == world.everywhere([*OLD, *NEW])


def test_slow_planner_without_a_ledger_deletes_what_is_new(conn):
    """The ablation: all six copies, after B has let go of its own."""
    world = World(conn, depot=NoLedger)

    report = slow_planner(world)

    assert report.ok == {Kind.DELETE: 6}
    assert world.copies() == world.everywhere(OLD)
    assert set(world.replicator().activate().missing) == {*NEW}


def artifact_that_comes_back(world):
    """Run A until it has planned to delete what is not wanted, which is then wanted again."""
    slow, fast = world.replicator(), world.replicator(least=3)
    fast.upload(OLD)
    settle(fast)
    world.remove(*OLD)

    def come_back():
        fast.upload(OLD)
        settle(fast)
        assert fast.uploads.artifacts == frozenset()

    once(world.network(slow), len(world.names) + 1, come_back)
    report = slow.activate()
    assert report.planned == {Kind.DELETE: 6}
    return report, slow


def test_artifact_that_comes_back_keeps_its_copies(conn):
    """The listing has given the new generation, so the deletes of the old one are refused."""
    world = World(conn)

    report, slow = artifact_that_comes_back(world)

    assert (report.stopped, report.deferred) == (Stopped.STALE, report.planned)
    assert [sent.result for sent in slow.kept.recent] == [Result.REFUSED]
    assert world.copies() == world.everywhere(OLD)


@pytest.mark.parametrize("depot", [NoLedger, UnguardedListing])
def test_artifact_that_comes_back_is_lost_if_a_list_has_no_generation(conn, depot):
    """The ablation: B counts copies that A still deletes, and lets go of its own."""
    world = World(conn, depot=depot)

    report, _ = artifact_that_comes_back(world)

    assert report.ok == report.planned
    assert world.copies() == world.everywhere()
    assert set(world.replicator().activate().missing) == {*OLD}


def test_upload_during_an_activation_is_not_dropped_as_unwanted(conn):
    """The set that the activation has read does not have it yet."""
    world = World(conn)
    replicator = world.replicator()
    once(world.network(replicator), len(world.names), lambda: replicator.upload(NEW))

    replicator.activate()

    assert replicator.uploads.artifacts == {*NEW}


def test_older_request_waits_for_a_newer_one_and_is_refused(conn, racing):
    """Whatever is in flight: the ledger is locked until COMMIT."""
    World(conn)
    run(conn, insert("depot_copy", {"depot": "d0", "sha256": NEW[0]}))
    older, newer = (ledger_advance("d0", basis_of(n, NEW[:n])) for n in (0, 1))

    result = racing.run(newer, gather(older, copy_delete("d0", NEW[0])))

    assert isinstance(result, Failed)
    assert isinstance(result.error, Stale)
    assert (result.error.generation, result.error.known) == (0, 1)
    assert run(conn, copies_list("d0")) == {NEW[0]}


def test_equal_generation_of_another_set_is_a_conflict(conn):
    """It ends the activation: one of two senders has read a set that never was."""
    world = World(conn)
    replicator = world.replicator()
    replicator.upload(NEW)
    run(conn, ledger_advance("d1", Basis(2, "another set")))

    report = replicator.activate()

    assert (report.stopped, report.planned) == (Stopped.CONFLICT, {})
    assert report.detail == str(Conflict("d1", 2))
    assert world.copies() == world.everywhere()


def without_a_snapshot(conn, set_id):
    generation, artifacts = run(conn, wanted_page(set_id, limit=9))
    return Wanted(Basis(generation, ""), frozenset(row.sha256 for row in artifacts), frozenset())


@pytest.mark.parametrize(
    ("read", "artifacts"),
    [(partial(wanted_read, page=9, deadline=LONG), 0), (without_a_snapshot, 1)],
    ids=["snapshot", "ablation"],
)
def test_generation_and_artifacts_are_of_one_moment(conn, racing, read, artifacts):
    """An upload commits between the two statements: it holds a lock that the second waits for."""
    World(conn)
    with racing.first.transaction():
        racing.first.execute("LOCK TABLE artifact IN ACCESS EXCLUSIVE MODE")
        run(racing.first, artifacts_add(SET_ID, NEW[:1]), nested=True)
        work = racing.submit(read, racing.second, SET_ID)
    wanted = work.result()

    assert (wanted.basis.generation, len(wanted.artifacts)) == (1, artifacts)


def test_set_that_changes_between_two_pages_is_read_again(conn, monkeypatch):
    """Pages of two generations are not a set that was ever wanted."""
    world = World(conn)
    replicator = world.replicator(page=2)
    replicator.upload([*OLD, *NEW])
    removed = iter(OLD)

    def page(set_id, after, *, limit):
        if after is not None:
            world.remove(*removed)
        return wanted_page(set_id, after, limit=limit)

    monkeypatch.setattr("examples.replication.wanted.wanted_page", page)

    assert replicator.activate().stopped is Stopped.STALE
    assert world.network(replicator).asked == []
