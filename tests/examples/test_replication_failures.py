# SPDX-License-Identifier: MIT
"""Depots and a database that do not answer: counted and reported, never raised, never guessed."""

from __future__ import annotations

from collections import Counter
from functools import partial

from examples.replication.errors import Unreachable
from examples.replication.planning import Kind
from examples.replication.report import Report, Result, Stopped
from tests.support.replication import artifact, once, settle

NAMES = [artifact(n) for n in range(8)]


def test_silent_depot_is_asked_for_ever_and_stops_no_other(world, replicator):
    network = world.network(replicator)
    network.silent = {"d1"}
    replicator.upload(NAMES[:1])
    settle(replicator)
    assert world.copies() == {"d0": {NAMES[0]}, "d1": set(), "d2": {NAMES[0]}}

    assert {replicator.activate().silent for _ in range(20)} == {("d1",)}
    network.silent.clear()
    settle(replicator)

    assert world.copies() == world.everywhere([NAMES[0]])


def test_nothing_is_done_if_no_depot_answers(world, replicator):
    """C6: that no depot has a copy looks the same as that there is no network."""
    network = world.network(replicator)
    replicator.upload(NAMES[:1])
    network.silent = {*world.names}

    report = replicator.activate()

    assert (report.stopped, report.planned) == (Stopped.SILENT, {})
    assert report.silent == world.names
    assert replicator.uploads.artifacts == {NAMES[0]}
    assert (network.asked, replicator.kept.recent) == ([*world.names], ())


def test_request_that_fails_is_counted_and_the_others_are_done(world, caplog):
    """A depot that is lost while it is asked raises nothing."""
    replicator = world.replicator(requests=100)
    replicator.upload(NAMES)
    settle(replicator)
    world.remove(*NAMES)
    network = world.network(replicator)
    listed = len(network.asked) + len(world.names)

    def before(depot, _deliver):
        if depot == "d1" and len(network.asked) > listed:
            raise Unreachable(depot)

    network.before = before
    report = replicator.activate()

    assert (report.stopped, report.silent) == (Stopped.DONE, ())
    assert (report.ok, report.failed) == ({Kind.DELETE: 16}, {Kind.DELETE: 8})
    kept = Counter(sent.result for sent in replicator.kept.recent[-24:])
    assert kept == {Result.OK: 16, Result.FAILED: 8}
    assert sum("d1" in record.message for record in caplog.records) == 8


def test_two_activations_may_be_alike(world):
    """All requests fail, again and again: that is reported, and no reason to end the process."""
    replicator = world.replicator()
    replicator.upload(NAMES[:1])
    listed = len(world.names) + 1

    def before(depot, _deliver):
        if len(world.network(replicator).asked) % listed == 0:
            raise Unreachable(depot)

    world.network(replicator).before = before
    first, second = replicator.activate(), replicator.activate()

    assert first == second
    assert first.failed == first.planned == {Kind.PUT: 1}


def test_copy_of_a_depot_that_has_lost_it_fails(world, replicator, conn):
    replicator.upload(NAMES[:1])
    replicator.activate()
    lose = partial(conn.execute, "DELETE FROM depot_copy")
    once(world.network(replicator), 2 * len(world.names) + 2, lose)

    assert replicator.activate().failed == {Kind.COPY: 2}
    settle(replicator)
    assert world.copies() == world.everywhere([NAMES[0]])


def test_database_that_cannot_be_read_is_reported(world, replicator, connect):
    replicator.upload(NAMES[:1])
    replicator.database = connect()
    world.conn.execute("SELECT pg_terminate_backend(%s)", [replicator.database.info.backend_pid])

    report = replicator.activate()

    assert report.stopped is Stopped.UNREAD
    assert report == Report(stopped=Stopped.UNREAD, detail=report.detail)
    assert world.network(replicator).asked == []


def test_depot_whose_connection_is_lost_is_silent(world, replicator, connect):
    """The driver's error does not reach the caller."""
    lost = connect()
    replicator.depots = [
        type(d)(d.name, lost if d.name == "d1" else d.database, d.deadline, network=d.network)
        for d in replicator.depots
    ]
    replicator.upload(NAMES[:1])
    world.conn.execute("SELECT pg_terminate_backend(%s)", [lost.info.backend_pid])

    report = replicator.activate()

    assert (report.stopped, report.silent, report.ok) == (Stopped.DONE, ("d1",), {Kind.PUT: 1})
