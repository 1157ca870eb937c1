# SPDX-License-Identifier: MIT
"""One replicator: what the review of the service that it is made after asked for, point by point.

Two replicators at once are in test_replication_races.py and test_replication_histories.py.
"""

from __future__ import annotations

import re
import threading
from functools import partial
from uuid import UUID

import pytest

from batchq import run, steps
from examples.replication.basis import Basis
from examples.replication.errors import NoSet, Stale
from examples.replication.planning import Kind
from examples.replication.report import Result
from examples.replication.uploads import Upload
from examples.replication.wanted import artifacts_add, artifacts_remove, wanted_page, wanted_read
from tests.support.replication import LONG, SET_ID, World, artifact, settle

NAMES = [artifact(n) for n in range(20)]
each_bogus = pytest.mark.parametrize(
    "bogus", ["", "x", NAMES[0].upper(), NAMES[0][:-1], f"{NAMES[0]}\n"]
)
FIVE = tuple(f"d{n}" for n in range(5))


def test_work_is_bounded_and_the_rest_is_deferred(conn):
    """C2, C3, C4: 20 artifacts and 5 depots are 20 + 80 requests, at most 32 and 8 at a time."""
    world = World(conn, FIVE)
    replicator = world.replicator()
    replicator.upload(NAMES)

    reports = [replicator.activate() for _ in range(5)]

    first, *_, last = reports
    assert (first.ok, first.deferred) == ({Kind.PUT: 8}, {Kind.PUT: 12})
    assert last.planned == {}
    assert world.copies() == world.everywhere(NAMES)
    for report in reports:
        assert report.ok + report.failed + report.deferred == report.planned
        assert (report.ok + report.failed).total() <= 32
        assert (report.ok + report.failed)[Kind.PUT] <= 8
    assert replicator.kept.lifetime == sum(reports[1:], first)
    assert replicator.kept.lifetime.ok == {Kind.PUT: 20, Kind.COPY: 80}
    assert replicator.kept.last_report == last


def test_latest_requests_are_kept(world):
    """100 requests are in the ring and what they were based on; older ones are dropped."""
    replicator = world.replicator(requests=100, puts=100)
    replicator.upload(NAMES)
    settle(replicator)
    world.remove(*NAMES)
    settle(replicator)

    recent = replicator.kept.recent

    assert replicator.kept.lifetime.ok.total() == 20 + 40 + 60
    assert len(recent) == 120
    assert replicator.kept.max_events == 128
    assert [sent.request.kind for sent in recent[-60:]] == [Kind.DELETE] * 60
    assert {sent.result for sent in recent} == {Result.OK}
    assert [sent.basis.generation for sent in recent] == [2] * 60 + [3] * 60


def test_artifact_that_an_older_state_still_sends_is_deleted_in_the_end(world):
    """The depot has not heard of the newer state, which does not want it: that does no harm."""
    slow, fast = world.replicator(), world.replicator()
    slow.upload(NAMES[:1])

    def before(depot, _deliver):
        if len(world.network(slow).asked) == len(world.names) + 1:
            world.network(fast).silent = {depot}
            world.remove(*NAMES[:1])
            settle(fast)

    world.network(slow).before = before
    report = slow.activate()

    assert report.ok == {Kind.PUT: 1}
    assert sorted(world.generations().values()) == [2, 3, 3]
    world.network(fast).silent.clear()
    assert settle(fast) == 2
    assert world.copies() == world.everywhere()
    assert set(world.generations().values()) == {3}


def test_depot_refuses_what_is_older_than_it_knows(world, replicator):
    """Its generation never falls (C5), and what was refused has changed nothing."""
    depot = replicator.depots[0]
    depot.put(Basis(3, "new"), NAMES[0])

    for request in (
        depot.listing,
        partial(depot.put, sha256=NAMES[1]),
        partial(depot.copy, sha256=NAMES[1], source="d0"),
        partial(depot.delete, sha256=NAMES[0]),
    ):
        with pytest.raises(Stale, match="d0 knows generation 3; 2 is older"):
            request(Basis(2, "old"))

    assert world.generations() == {"d0": 3}
    assert world.copies()["d0"] == {NAMES[0]}


def test_local_copies_stay_until_there_are_enough_others(conn):
    """Enough is configuration: that there are fewer depots does not make two copies safe."""
    two = World(conn, ("d0", "d1"))
    few, enough = two.replicator(least=3), two.replicator(least=2)
    few.upload(NAMES[:2])
    enough.upload(NAMES[:2])

    for replicator in (few, enough):
        settle(replicator)

    assert few.uploads.artifacts == {*NAMES[:2]}
    assert enough.uploads.artifacts == frozenset()
    assert enough.kept.lifetime.dropped == 1


def test_upload_is_dropped_as_a_whole(world):
    """One artifact that has no copy yet keeps the files of the others."""
    replicator = world.replicator(puts=1)
    replicator.upload(NAMES[:2])
    for dropped in (0, 0, 0, 1):
        assert replicator.uploads.artifacts == {*NAMES[:2]}
        assert replicator.activate().dropped == dropped


@each_bogus
def test_row_that_names_no_artifact_is_reported_and_stops_no_other(
    world, replicator, caplog, bogus
):
    world.conn.execute("INSERT INTO artifact VALUES (%s, %s)", [SET_ID, bogus])
    replicator.upload(NAMES[:1])

    assert settle(replicator) == 3

    report = replicator.kept.last_report
    assert (report.malformed, report.missing) == (1, ())
    assert world.copies() == world.everywhere([NAMES[0]])
    assert any(repr(bogus) in record.message for record in caplog.records)
    world.remove(bogus)
    assert replicator.activate().malformed == 0


@each_bogus
def test_upload_with_a_name_of_no_artifact_is_refused_whole(world, replicator, bogus):
    with pytest.raises(ValueError, match="names no artifact"):
        replicator.upload([NAMES[0], bogus])

    assert (world.wanted(), replicator.uploads.artifacts) == (set(), frozenset())


def test_str_is_not_a_list_of_names(world, replicator):
    """It would be 64 names of one letter."""
    for call in (
        replicator.upload,
        partial(artifacts_add, SET_ID),
        partial(artifacts_remove, SET_ID),
    ):
        with pytest.raises(TypeError, match="not a str"):
            call(NAMES[0])

    assert world.wanted() == set()


def test_names_of_an_upload_are_read_once(world, replicator):
    """Of a generator too, all that is wanted is held."""
    replicator.upload(name for name in [*NAMES[:2], NAMES[0]])

    assert world.wanted() == replicator.uploads.artifacts == {*NAMES[:2]}


def test_upload_whose_row_is_lost_is_held_and_reported(world, caplog):
    """The set does not list it, and no newer generation has removed it: it is the only file."""
    replicator = world.replicator(least=3)
    replicator.upload(NAMES[:2])
    world.conn.execute("DELETE FROM artifact WHERE sha256 = %s", [NAMES[0]])

    settle(replicator)

    report = replicator.activate()
    assert (report.unlisted, report.missing, report.dropped) == ((NAMES[0],), (), 0)
    assert replicator.uploads.artifacts == {*NAMES[:2]}
    assert f"does not list: {NAMES[0]}" in caplog.text
    replicator.upload(NAMES[:1])
    settle(replicator)
    assert replicator.kept.last_report.unlisted == ()
    assert replicator.kept.lifetime.dropped == 2
    assert world.copies() == world.everywhere(NAMES[:2])


def test_upload_with_a_row_that_names_no_artifact_is_held_until_it_is_removed(world, replicator):
    """As an upload of other code than this may have."""
    bogus = NAMES[0].upper()
    replicator.upload(NAMES[1:2])
    world.conn.execute("INSERT INTO artifact VALUES (%s, %s)", [SET_ID, bogus])
    replicator.uploads.hold(Upload(2, frozenset([bogus, NAMES[1]])))
    replicator.upload(NAMES[2:3])

    settle(replicator)

    assert replicator.kept.last_report.unlisted == (bogus,)
    assert replicator.uploads.artifacts == {bogus, NAMES[1]}
    world.remove(bogus)
    assert (replicator.activate().dropped, replicator.uploads.artifacts) == (1, frozenset())


def test_upload_writes_the_rows_before_anything_is_sent(world, replicator):
    network, seen = world.network(replicator), []
    network.before = lambda _depot, _deliver: seen.append(world.wanted())

    replicator.upload(NAMES[:1])
    assert network.asked == []
    replicator.activate()

    assert seen == [{NAMES[0]}] * 4


def test_upload_that_cannot_be_wanted_is_not_held(world):
    replicator = world.replicator()
    replicator.set_id = UUID(int=8)

    with pytest.raises(NoSet):
        replicator.upload(NAMES[:1])

    with pytest.raises(NoSet):
        replicator.activate()

    assert replicator.uploads.artifacts == frozenset()


def test_one_copy_is_the_least(world):
    with pytest.raises(ValueError, match="least"):
        world.replicator(least=0)


def test_artifact_without_any_copy_is_reported(world, replicator, caplog):
    """As after a crash between the rows and the first copy. Another upload repairs it."""
    run(world.conn, artifacts_add(SET_ID, NAMES[:2]))
    replicator.upload(NAMES[:1])

    for _ in range(4):
        assert replicator.activate().missing == (NAMES[1],)
    assert NAMES[1] in caplog.text
    replicator.upload(NAMES[1:2])
    settle(replicator)

    assert replicator.kept.last_report.missing == ()
    assert world.copies() == world.everywhere(NAMES[:2])


def test_nothing_is_asked_until_it_is_activated(world):
    before = threading.active_count()
    replicator = world.replicator()
    replicator.upload(NAMES[:1])

    assert threading.active_count() == before
    assert world.network(replicator).asked == []
    assert replicator.kept.last_report is None


def test_no_column_has_a_default(world):
    """A value that looks like an answer, such as port 0, is worse than NULL."""
    defaults = world.conn.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND column_default IS NOT NULL"
    )

    assert defaults.fetchall() == []


def test_set_is_read_in_pages_of_its_key(world):
    """Each artifact once, and no row before the page is read."""
    replicator = world.replicator(page=3)
    replicator.upload(NAMES)
    world.conn.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
    text = steps(wanted_page(SET_ID, NAMES[5], limit=3))[1].sql
    plan = world.conn.execute(
        "EXPLAIN " + re.sub(r"[$]\d(::[\w.]+)?", "%s", text), [SET_ID, NAMES[5], 3]
    ).fetchall()

    for page in (1, 3, 5, len(NAMES), 1000):
        assert wanted_read(world.conn, SET_ID, page=page, deadline=LONG).artifacts == {*NAMES}
    assert settle(replicator)
    assert world.copies() == world.everywhere(NAMES)
    assert "artifact_pkey" in str(plan)
    assert "Sort" not in str(plan)
    assert "Filter" not in str(plan)
