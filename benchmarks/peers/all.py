# SPDX-License-Identifier: MIT
"""All peers by name, in the order of the tables."""

from __future__ import annotations

from benchmarks.peers import Peer
from benchmarks.peers.asyncpg import Asyncpg
from benchmarks.peers.bare import Bare, BareTyped
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.cte import Cte
from benchmarks.peers.pgbench import Pgbench
from benchmarks.peers.pipeline import Pipeline
from benchmarks.peers.plpgsql import Plpgsql
from benchmarks.peers.queued import Queued
from benchmarks.peers.sqlalchemy_core import Core
from benchmarks.peers.sqlalchemy_orm import Orm
from benchmarks.peers.transaction import Transaction

_KINDS: tuple[type[Peer], ...] = (
    Batchq,
    Bare,
    BareTyped,
    Pgbench,
    Cte,
    Plpgsql,
    Queued,
    Pipeline,
    Transaction,
    Asyncpg,
    Core,
    Orm,
)

PEERS: dict[str, type[Peer]] = {kind.name: kind for kind in _KINDS}

BASELINE = Bare.name
"""What the others are compared with: all that any library on psycopg needs, and nothing more."""
