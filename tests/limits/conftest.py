# SPDX-License-Identifier: MIT
"""Connections to a schema with the tables of limits."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.limits.helpers import LIMITS, Book


@pytest.fixture
def book(connect) -> Book:
    """The tables, made; and a connection beside the one under test to look at them."""
    conn = connect(prepare_threshold=None)
    LIMITS.create(conn)
    return Book(conn)


@pytest.fixture(
    params=[
        pytest.param((None, "auto"), id="unprepared"),
        pytest.param((0, "auto"), id="prepared"),
        pytest.param((0, "force_custom_plan"), id="custom"),
        pytest.param((0, "force_generic_plan"), id="generic"),
    ]
)
def planned(request, book, conn) -> psycopg.Connection[Any]:
    """A connection on which statements are prepared and planned in one certain way."""
    conn.prepare_threshold, mode = request.param
    conn.execute(f"SET plan_cache_mode = {mode}", prepare=False)
    return conn
