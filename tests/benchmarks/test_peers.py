# SPDX-License-Identifier: MIT
"""The peers do the same work: the rows that they leave and return, and how they fail."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest
from attrs import asdict, has

pytest.importorskip("asyncpg", reason="the peers come with batchq[bench]")
pytest.importorskip("sqlalchemy", reason="the peers come with batchq[bench]")

from benchmarks.bulk import ByCondition, Chunked
from benchmarks.cases import ALL, CASES, peers
from benchmarks.measure import differing, opened
from benchmarks.peers import InTasks
from benchmarks.peers.asyncpg import Asyncpg
from benchmarks.peers.bare import Bare, BareModels
from benchmarks.peers.batchq import Batchq, forms
from benchmarks.peers.one_statement import Cte, Plpgsql
from benchmarks.peers.psycopg3 import Autocommit, Copy, ExecuteMany, Pipeline, Queued, Transaction
from benchmarks.peers.sqlalchemy import Core
from benchmarks.sandbox import sandbox
from benchmarks.table_digest import digest
from benchmarks.workloads import DECLARED
from benchmarks.workloads.guards import guards
from benchmarks.workloads.projects import FAILURES, IN_MANY_SILOS, PROJECT_CREATE, failing
from benchmarks.workloads.rules import deletes, inserts


def test_every_peer_creates_the_same_projects(postgres):
    with opened(postgres.conninfo(), peers(PROJECT_CREATE, ALL), 4) as sides:
        for side in sides:
            side.work(range(4))
        assert differing(sides) == ()
        digests = [digest(side.place.conninfo) for side in sides]
    # One was there, and four were added: each with a VPC of two rules.
    assert {(own["project"][0], own["vpc_firewall_rule"][0]) for own in digests} == {(5, 10)}


@pytest.mark.parametrize("at", FAILURES)
def test_every_peer_fails_with_the_expected_error_and_leaves_no_row(at, postgres):
    with opened(postgres.conninfo(), peers(failing(at), ALL), 2) as sides:
        before = [digest(side.place.conninfo) for side in sides]
        for side in sides:
            side.work(range(2))
        assert [digest(side.place.conninfo) for side in sides] == before


@pytest.mark.parametrize("peer", [Batchq, Asyncpg, Core])
def test_peer_that_does_not_fail_as_expected_is_rejected(peer, postgres):
    # The last statement fails, and not the first one, which the workload says.
    workload = failing("first")
    with sandbox(postgres.conninfo()) as place, peer(workload).open(place.conninfo) as drive:
        with pytest.raises(AssertionError, match="LimitExceeded"):
            drive(failing("last").inputs(place, 1))
        with pytest.raises(AssertionError, match="no failure"):
            drive(PROJECT_CREATE.inputs(place, 1))


def test_peer_that_leaves_other_rows_differs(postgres):
    with opened(postgres.conninfo(), [Batchq(PROJECT_CREATE), Cte(PROJECT_CREATE)], 2) as sides:
        sides[0].work(range(2))
        sides[1].work(range(1))
        assert differing(sides) == (Cte.name,)


def test_every_peer_returns_the_same_rows(postgres):
    found = {}
    kinds = (BareModels, Cte, Plpgsql, Queued, Pipeline, Transaction)
    for peer in peers(PROJECT_CREATE, kinds):
        with sandbox(postgres.conninfo()) as place, peer.open(place.conninfo) as drive:
            found[peer.name] = flat(drive(PROJECT_CREATE.inputs(place, 3)))
    assert set(map(len, found.values())) != {0}
    assert [name for name, rows in found.items() if rows != found[DECLARED]] == []


def flat(value):
    """List all values in models, rows and lists, with ids and times by their types."""
    if isinstance(value, UUID | datetime):
        return [UUID if isinstance(value, UUID) else datetime]
    if isinstance(value, str):
        return [value]
    if has(type(value)):
        value = asdict(value, recurse=False).values()
    return [each for own in value for each in flat(own)] if hasattr(value, "__iter__") else [value]


def test_every_peer_inserts_the_same_rules(postgres):
    inserting = peers(inserts(3), (Bare, Pipeline, ExecuteMany, Copy, Core))
    with opened(postgres.conninfo(), inserting, 2) as sides:
        for side in sides:
            side.work(range(2))
        assert differing(sides) == ()


def test_every_form_of_a_workload_is_a_peer_that_leaves_the_same_rows(postgres):
    workload = guards(2)
    with opened(postgres.conninfo(), forms(workload), 2) as sides:
        for side in sides:
            side.work(range(2))
        assert differing(sides) == ()
    assert [side.peer.name for side in sides] == list(workload.batches)


def test_peers_in_tasks_create_the_same_projects(postgres):
    kinds = (Batchq, Bare, Transaction, Asyncpg)
    serving = [InTasks(kind(IN_MANY_SILOS), tasks=3) for kind in kinds]
    with opened(postgres.conninfo(), serving, 7) as sides:
        for side in sides:
            side.work(range(7))
        assert differing(sides) == ()
        assert digest(sides[0].place.conninfo)["project"][0] == 8


def test_chunked_delete_leaves_what_one_delete_leaves(postgres):
    workload = deletes("random", rows=1_500)
    chunked = [Chunked(workload, 1_000), Chunked(workload), ByCondition(workload)]
    with opened(postgres.conninfo(), [Autocommit(workload), *chunked], 1) as sides:
        before = [workload.digest(side.place.conninfo) for side in sides]
        for side in sides:
            side.work(range(1))
        assert differing(sides) == ()
        left = [workload.digest(side.place.conninfo) for side in sides]
    assert [own[0] for own in before] == [3_000] * 4
    assert [own[0] for own in left] == [1_500] * 4


def test_titles_of_the_cases_are_unique():
    titles = [case.title for case in CASES]
    assert len(titles) == len(set(titles))
    assert len({*CASES}) == len(CASES)  # each is measured once, and then looked up
