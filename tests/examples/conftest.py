# SPDX-License-Identifier: MIT
"""The tables of the examples in the test's schema: with one silo, or with a set of artifacts."""

from __future__ import annotations

import pytest

from batchq import run
from examples.datastore.models import NewSilo
from examples.datastore.schema import TABLES, create_tables
from examples.datastore.silo import silo_create
from tests.support.replication import World


@pytest.fixture
def store(conn):
    """Create the example's tables, and return a connection."""
    create_tables(conn)
    return conn


@pytest.fixture
def silo(store):
    """Create a silo with a limit of two projects."""
    new = NewSilo(name="acme")
    run(store, silo_create(new, projects=2))
    return new


@pytest.fixture
def rows(store):
    """Read all rows of all tables."""

    def read():
        return {table: set(map(repr, store.execute(f"TABLE {table}"))) for table in TABLES}

    return read


@pytest.fixture
def world(conn):
    """Create a set of artifacts, and three depots."""
    return World(conn)


@pytest.fixture
def replicator(world):
    """Create a replicator of the set."""
    return world.replicator()
