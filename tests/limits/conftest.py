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
    """The tables, made; and a connection beside the one under test to look at them."""
    conn = connect(prepare_threshold=None)
    LIMITS.create(conn)
    return Book(conn)


@pytest.fixture(params=EACH_PLAN_MODE)
def planned(request, book, conn) -> psycopg.Connection[Any]:
    """A connection on which statements are prepared and planned in one certain way."""
    return request.param.set_on(conn)
