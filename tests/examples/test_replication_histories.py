# SPDX-License-Identifier: MIT
"""Random histories of two replicators: nothing that is wanted is ever without a copy."""

from __future__ import annotations

import os
import random
from typing import Any

import psycopg
import pytest

from tests.support.replication import NetworkDepot, NoLedger
from tests.support.replication_histories import History

ROUNDS = 6
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID")
SEED = int(os.environ.get("BATCHQ_SEED") or random.Random(RUN).randrange(10**6))
"""The first history's; a failure names it, to be set again. All processes of a run agree on it."""


def lost(conn: psycopg.Connection[Any], seed: int, depot: type[NetworkDepot] = NetworkDepot) -> Any:
    history = History(conn, seed, depot)
    history.play(ROUNDS)
    conn.execute("DROP TABLE artifact_set, artifact, depot_ledger, depot_copy")
    return history.lost


@pytest.mark.parametrize("seed", range(SEED, SEED + 20))
def test_wanted_artifact_always_has_a_copy(conn: psycopg.Connection[Any], seed: int) -> None:
    assert lost(conn, seed) == set()


@pytest.mark.parametrize("seed", [5, 8, 28])
def test_wanted_artifact_is_lost_without_a_ledger(conn: psycopg.Connection[Any], seed: int) -> None:
    """The ablation: three of a hundred histories, which depend on the seed alone."""
    assert lost(conn, seed, NoLedger) != set()


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_hundreds_of_histories_lose_nothing(conn: psycopg.Connection[Any]) -> None:
    for seed in range(SEED, SEED + int(os.environ.get("BATCHQ_HISTORIES") or 150)):
        assert lost(conn, seed) == set(), f"seed {seed}"
