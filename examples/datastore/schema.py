# SPDX-License-Identifier: MIT
"""Load schema.sql, so that tests, demo and benchmarks share the same tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg import Connection

from batchq import run
from examples.datastore.fleet import FLEET
from examples.datastore.vpc_delete import TREE

TABLES = (
    "silo",
    "silo_limits",
    "project",
    "instance",
    "disk",
    "vpc",
    "vpc_router",
    "router_route",
    "vpc_subnet",
    "vpc_firewall_rule",
    TREE.jobs.table,
)


def create_tables(conn: Connection[Any]) -> None:
    """Create the tables, in the first schema of the connection's search path."""
    conn.execute(Path(__file__).with_name("schema.sql").read_bytes())
    for command in (TREE.jobs.ddl(), *FLEET.ddl()):
        conn.execute(command.encode())
    run(conn, FLEET.expand(FLEET.version))
