# SPDX-License-Identifier: MIT
"""Load schema.sql."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg import Connection


def create_tables(conn: Connection[Any]) -> None:
    """Create the tables, in the first schema of the connection's search path."""
    conn.execute(Path(__file__).with_name("schema.sql").read_bytes())
