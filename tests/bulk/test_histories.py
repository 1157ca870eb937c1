# SPDX-License-Identifier: MIT
"""Random histories on a real server: live parents lose no child, and no orphan is left."""

from __future__ import annotations

import os
import random
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from batchq.testing import proxy
from tests.support.bulk_histories import History

ACTIONS = 25
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID")
SEED = int(os.environ.get("BATCHQ_SEED") or random.Random(RUN).randrange(10**6))
"""The first history's; a failure names it, to be set again. All processes of a run agree on it."""


def play(postgres: Any, seed: int) -> None:
    schema = f"history_{os.getpid()}_{seed}"
    conninfo = make_conninfo(postgres.conninfo(tcp=True), options=f"-csearch_path={schema}")
    with proxy(conninfo) as link, psycopg.connect(conninfo, autocommit=True) as conn:
        try:
            History(conn, link, schema, seed).play(ACTIONS)
        finally:
            for suffix in ("", "_other", "_jobs"):
                conn.execute(f"DROP SCHEMA IF EXISTS {schema}{suffix} CASCADE")


@pytest.mark.parametrize("seed", range(SEED, SEED + 8))
def test_live_parent_loses_no_child_and_no_orphan_is_left(postgres: Any, seed: int) -> None:
    play(postgres, seed)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_two_thousand_histories_keep_the_invariants(postgres: Any) -> None:
    for seed in range(SEED, SEED + int(os.environ.get("BATCHQ_HISTORIES") or 2_000)):
        play(postgres, seed)
