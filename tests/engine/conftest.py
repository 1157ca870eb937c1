# SPDX-License-Identifier: MIT
"""Connections as tests of the engine want them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.support.clients import Client
from tests.support.plan_modes import EACH_PLAN_MODE


@pytest.fixture(params=EACH_PLAN_MODE)
def planned(request, conn) -> psycopg.Connection[Any]:
    """Connect so that statements are prepared and planned in one certain way."""
    return request.param.set_on(conn)


@pytest.fixture(params=["as planned", "sequential scan"])
def scanned(request, planned) -> psycopg.Connection[Any]:
    """Make the planner look at every row, as well as only at those that an index finds."""
    if request.param == "sequential scan":
        for path in ("indexscan", "indexonlyscan", "bitmapscan"):
            planned.execute(f"SET enable_{path} = off", prepare=False)
    return planned


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
