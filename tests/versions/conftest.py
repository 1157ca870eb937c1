# SPDX-License-Identifier: MIT
"""Connections to a schema with the tables of a fleet, and one that its versions share."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.support.plan_modes import EACH_PLAN_MODE
from tests.versions.helpers import create_tables


@pytest.fixture
def fleet_tables(connect) -> psycopg.Connection[Any]:
    """Create the tables, and a connection besides the one under test."""
    conn = connect(prepare_threshold=None)
    create_tables(conn)
    return conn


@pytest.fixture(params=EACH_PLAN_MODE)
def planned(request, fleet_tables, conn) -> psycopg.Connection[Any]:
    """Connect with one way to prepare and plan statements."""
    return request.param.set_on(conn)
