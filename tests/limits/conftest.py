# SPDX-License-Identifier: MIT
"""Connections to a schema with the tables of limits."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.limits.helpers import LIMITS, Book
from tests.support.plan_modes import EACH_PLAN_MODE


@pytest.fixture
def book(connect) -> Book:
    """Create the tables, and a connection besides the one under test that reads them."""
    conn = connect(prepare_threshold=None)
    LIMITS.create(conn)
    return Book(conn)


@pytest.fixture(params=EACH_PLAN_MODE)
def planned(request, book, conn) -> psycopg.Connection[Any]:
    """Connect with one way to prepare and plan statements."""
    return request.param.set_on(conn)


@pytest.fixture
def vpc_table(conn, book) -> None:
    """Create a table of resources beside those of the limits."""
    conn.execute("CREATE TABLE vpc (id uuid CONSTRAINT vpc_pkey PRIMARY KEY)")
