# SPDX-License-Identifier: MIT
"""Connections as tests of the engine want them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.support.clients import Client
from tests.support.plan_modes import CUSTOM, EACH_PLAN_MODE, GENERIC, UNPREPARED


@pytest.fixture(params=EACH_PLAN_MODE)
def planned(request, conn) -> psycopg.Connection[Any]:
    """Connect so that statements are prepared and planned in one certain way."""
    return request.param.set_on(conn)


# What is not prepared is planned as what is prepared with a custom plan: each is scanned one way.
_SCANS = [(UNPREPARED, False), (CUSTOM, True), (GENERIC, False), (GENERIC, True)]


@pytest.fixture(
    params=_SCANS, ids=lambda scan: scan[0].name + (", sequential scan" if scan[1] else "")
)
def scanned(request, conn) -> psycopg.Connection[Any]:
    """Make the planner look at every row, as well as only at those that an index finds."""
    mode, sequential = request.param
    if sequential:
        for path in ("indexscan", "indexonlyscan", "bitmapscan"):
            conn.execute(f"SET enable_{path} = off", prepare=False)
    return mode.set_on(conn)


@pytest.fixture
def observer(connect) -> psycopg.Connection[Any]:
    """Open a second connection beside the one under test, to set up and to look."""
    return connect(prepare_threshold=None)


@pytest.fixture
async def aconn(database) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Open an async connection to this test's schema, in autocommit."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as opened:
        yield opened


@pytest.fixture
def client(linked: Client) -> Client:
    """Connect a client through the proxy, once of each kind."""
    return linked
