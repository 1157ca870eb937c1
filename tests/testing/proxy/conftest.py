# SPDX-License-Identifier: MIT
"""A server, a proxy to it, and connections with and without the proxy."""

from __future__ import annotations

import psycopg
import pytest

from batchq.testing import proxy


@pytest.fixture
def postgres(restartable):
    return restartable


@pytest.fixture
def link(postgres):
    with proxy(postgres.conninfo()) as running:
        yield running


@pytest.fixture
def conn(link):
    with psycopg.connect(link.conninfo(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def direct(postgres):
    """Connect without the proxy, and create an empty table `t`."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a int)")
        yield connection
