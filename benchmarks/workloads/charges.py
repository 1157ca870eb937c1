# SPDX-License-Identifier: MIT
"""Taking one of what is limited, and nothing else: the ways to keep a count that never goes over.

All workers take from one counter, so they wait for each other as long as its row is locked: by
whom a round trip lies between lock and COMMIT, that long at least.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from attrs import frozen

from batchq import run, steps
from batchq.limits import LimitExceeded as NoRoom
from batchq.limits import Limits
from benchmarks.peers.bare import ONE_ROW, Bare, BarePipeline
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.transaction import Transaction
from examples.datastore.errors import LimitExceeded
from examples.datastore.limits import limits_take_project

CHARGES: Final = "charges"
CHARGE: Final = "batchq.limits"
ONE_UPDATE: Final = "psycopg, one UPDATE in autocommit"
ALONE: Final = "batchq, a counter for each worker"
"""Not a way to keep a count, but what the machine can do: nobody waits for anybody's row."""

_LIMITS: Final = Limits()
_RESOURCE: Final = "projects"

_UPDATE: Final = "UPDATE silo_limits SET projects_used = projects_used + 1 WHERE silo_id = %s"
_LOCK: Final = "SELECT projects_used, projects_limit FROM silo_limits WHERE silo_id = %s FOR UPDATE"
_SET: Final = "UPDATE silo_limits SET projects_used = %s WHERE silo_id = %s"
_COUNTER: Final = "INSERT INTO silo_limits (silo_id, projects_limit) VALUES (%s, %s)"
_USED: Final = "SELECT projects_used FROM silo_limits WHERE silo_id = %s"
_CHARGED: Final = (
    "SELECT used, (SELECT count(*) FROM resource_charge AS charge "
    "WHERE charge.scope_id = counter.scope_id) "
    "FROM resource_limit AS counter WHERE scope_id = %s"
)

Conn = psycopg.Connection[Any]
Take = Callable[[UUID], object]
"""Takes one from a silo's counter; raises when there is no room."""


@frozen
class Charging:
    """A way to keep the count.

    Attributes:
        connected: what takes, on a connection.
        shared: whether all workers take from one counter.
    """

    connected: Callable[[Conn], Take]
    shared: bool = True


def create_counter(conn: Conn, silo: UUID, room: int) -> None:
    """Create a silo's counters, one for each kind of way, with room for so many."""
    conn.execute(_COUNTER, (silo, room))
    run(conn, _LIMITS.set_limit(_RESOURCE, room, scope=silo))


def create_limits(conn: Conn) -> None:
    """Create the tables of batchq.limits."""
    _LIMITS.create(conn)


def taken(conn: Conn, silo: UUID) -> int:
    """How many have been taken by what the counters say, and the ledger where there is one."""
    (used,) = conn.execute(_USED, (silo,)).fetchone() or (0,)
    charged, held = conn.execute(_CHARGED, (silo,)).fetchone() or (0, 0)
    if charged != held:
        raise AssertionError(f"the counter says {charged}, the ledger {held}")
    return int(used) + int(charged)


# -- the ways --------------------------------------------------------------------------------------


def _by_check(conn: Conn) -> Take:
    return lambda silo: run(conn, limits_take_project(silo))


def _by_charge(conn: Conn) -> Take:
    return lambda silo: run(conn, _LIMITS.charge(_RESOURCE, scope=silo, id=uuid4()))


def _by_bare(conn: Conn) -> Take:
    pipeline = BarePipeline(conn, [step.sql for step in steps(limits_take_project(uuid4()))])
    pipeline.prepare([(uuid4(), *ONE_ROW)])
    return lambda silo: pipeline.run([(silo, *ONE_ROW)])


def _by_transaction(conn: Conn) -> Take:
    def take(silo: UUID) -> None:
        with conn.transaction():
            row = conn.execute(_LOCK, (silo,)).fetchone()
            if row is None:
                raise LookupError("the silo has no limits")
            used, limit = row
            if used >= limit:
                raise LimitExceeded("projects of silo", silo)
            conn.execute(_SET, (used + 1, silo))

    return take


def _by_one_update(conn: Conn) -> Take:
    def take(silo: UUID) -> None:
        if conn.execute(_UPDATE, (silo,)).rowcount != 1:
            raise LookupError("the silo has no limits")

    return take


CHARGING: Mapping[str, Charging] = {
    Batchq.name: Charging(_by_check),
    CHARGE: Charging(_by_charge),
    Bare.name: Charging(_by_bare),
    ONE_UPDATE: Charging(_by_one_update),
    Transaction.name: Charging(_by_transaction),
    ALONE: Charging(_by_check, shared=False),
}
"""The ways by the peers' names."""

FULL: Final = (LimitExceeded, NoRoom, psycopg.errors.CheckViolation)
"""What the ways say when there is no room."""
