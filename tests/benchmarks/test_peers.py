# SPDX-License-Identifier: MIT
"""The peers do the same work: the rows that they leave and return, and how they fail."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest
from attrs import asdict, has

pytest.importorskip("asyncpg", reason="the peers come with batchq[bench]")
pytest.importorskip("sqlalchemy", reason="the peers come with batchq[bench]")

from benchmarks.cases import ALL, CASES
from benchmarks.measure import contenders, opened
from benchmarks.peers.asyncpg import Asyncpg
from benchmarks.peers.bare import Bare, BareModels
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.one_statement import Cte, Plpgsql
from benchmarks.peers.psycopg3 import Pipeline, Queued, Transaction
from benchmarks.peers.sqlalchemy import Core
from benchmarks.sandbox import sandbox
from benchmarks.table_digest import digest
from benchmarks.workloads.projects import (
    PLACES,
    PROJECT_CREATE,
    PROJECT_DELETE,
    failing,
    projects_of,
)
from benchmarks.workloads.rules import READS

SENDING = (Batchq, Pipeline, Transaction, Asyncpg)


def test_every_peer_creates_the_same_projects(postgres):
    with opened(postgres.conninfo(), contenders(PROJECT_CREATE, ALL), 4) as contest:
        for side in contest.sides.values():
            side(range(4))
        assert contest.different() == ()
        digests = [digest(place.conninfo) for place in contest.sandboxes.values()]
    # One was there, and four were added: each with a VPC of two rules.
    assert {(own["project"][0], own["vpc_firewall_rule"][0]) for own in digests} == {(5, 10)}


@pytest.mark.parametrize("at", PLACES)
def test_every_peer_fails_with_the_expected_error_and_leaves_no_row(at, postgres):
    with opened(postgres.conninfo(), contenders(failing(at), ALL), 2) as contest:
        before = {name: digest(place.conninfo) for name, place in contest.sandboxes.items()}
        for side in contest.sides.values():
            side(range(2))
        after = {name: digest(place.conninfo) for name, place in contest.sandboxes.items()}
    assert after == before


@pytest.mark.parametrize("peer", [Batchq, Asyncpg, Core])
def test_peer_that_does_not_fail_as_expected_is_rejected(peer, postgres):
    # The last statement fails, and not the first one, which the workload says.
    workload = failing("first")
    with sandbox(postgres.conninfo()) as place, peer(workload).open(place.conninfo) as driver:
        with pytest.raises(AssertionError, match="LimitExceeded"):
            driver(failing("last").inputs(place, 1))
        with pytest.raises(AssertionError, match="None"):
            driver(PROJECT_CREATE.inputs(place, 1))


@pytest.mark.parametrize(
    ("workload", "peers"),
    [
        (READS, (Batchq, Bare, BareModels, Pipeline, Transaction, Asyncpg, Core)),
        (PROJECT_CREATE, (Batchq, BareModels, Cte, Plpgsql, Queued, Pipeline, Transaction)),
    ],
    ids=["reads", "project_create"],
)
def test_every_peer_returns_the_same_rows(workload, peers, postgres):
    found = {}
    for peer in peers:
        with sandbox(postgres.conninfo()) as place, peer(workload).open(place.conninfo) as driver:
            found[peer.name] = flat(driver(workload.inputs(place, 3)))
    assert set(map(len, found.values())) != {0}
    assert [name for name, rows in found.items() if rows != found[Batchq.name]] == []


def flat(value):
    """List all values in models, rows and lists, with ids and times by their types."""
    if isinstance(value, UUID | datetime):
        return [UUID if isinstance(value, UUID) else datetime]
    if isinstance(value, str):
        return [value]
    if has(type(value)):
        value = asdict(value, recurse=False).values()
    # Records of asyncpg and rows of SQLAlchemy are not tuples to isinstance().
    return [each for own in value for each in flat(own)] if hasattr(value, "__iter__") else [value]


@pytest.mark.parametrize("peer", SENDING)
def test_project_in_use_is_not_deleted(peer, postgres):
    with sandbox(postgres.conninfo()) as place:
        (project,) = projects_of(place)
        before = digest(place.conninfo)
        with (
            peer(PROJECT_DELETE).open(place.conninfo) as driver,
            pytest.raises(Exception, match="the project contains a vpc: default"),
        ):
            driver([project])
        assert digest(place.conninfo) == before


def test_titles_of_the_cases_are_unique():
    titles = [case.title for case in CASES]
    assert len(titles) == len(set(titles))
