# SPDX-License-Identifier: MIT
"""Many inserts in one transaction: firewall rules, whose values are there already.

Beside the ways that send a statement for each rule there are those that are made for loads: they
have one statement for all rules, or none, and can say of none of them what its failure means.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from uuid import UUID

import psycopg
from attrs import asdict
from psycopg.types.numeric import Int8
from sqlalchemy import Engine, insert

from batchq import run
from benchmarks.inserts import rules, rules_insert
from benchmarks.peers.bare import Bare
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.pipeline import Pipeline
from benchmarks.peers.sqlalchemy_core import Core
from benchmarks.peers.sqlalchemy_tables import RULE
from benchmarks.peers.transaction import Transaction
from benchmarks.ways import Way, Workload, on_asyncpg, on_engine, on_pgconn, on_psycopg
from examples.datastore.models import NewFirewallRule

Rules = list[NewFirewallRule]
"""What one call is given: the rules of one batch."""

INSERTS: Final = "inserts"
EXECUTEMANY: Final = "psycopg executemany()"
COPY: Final = "psycopg COPY"
ASYNCPG: Final = "asyncpg executemany()"

_HASH: Final = """
SELECT count(*), md5(string_agg(
    ROW(id, vpc_id, name, direction, action, protocols, priority)::text, '' ORDER BY id
)) FROM vpc_firewall_rule WHERE vpc_id = %s
"""

VPC = UUID(int=1)
"""The VPC of all rules; nobody looks whether it is there."""

_INSERT: Final = (
    "INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s)"
)
_NUMBERED: Final = (
    "INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7)"
)
_COPY: Final = (
    "COPY vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority) FROM STDIN"
)


def inserts(statements: int) -> Workload[Rules]:
    """Batches of so many inserts."""

    @cache  # all ways insert the same rules, each into tables of its own
    def given(calls: int) -> list[Rules]:
        starts = range(0, calls * statements, statements)
        return [rules(VPC, range(start, start + statements)) for start in starts]

    return Workload(INSERTS, _WAYS, lambda _, calls: given(calls), _left)


def _left(conninfo: str) -> object:
    """The rules as they are, ids included, hashed by the server: there may be very many."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        return conn.execute(_HASH, (VPC,)).fetchone()


def _values(rule: NewFirewallRule) -> tuple[object, ...]:
    return (
        rule.id,
        rule.vpc_id,
        rule.name,
        rule.direction,
        rule.action,
        rule.protocols,
        rule.priority,
    )


def _by_transaction(conn: psycopg.Connection[Any], given: Rules) -> None:
    with conn.transaction():
        for rule in given:
            conn.execute(_INSERT, _values(rule))


def _by_pipeline(conn: psycopg.Connection[Any], given: Rules) -> None:
    with conn.pipeline(), conn.transaction():
        for rule in given:
            conn.execute(_INSERT, _values(rule))


def _by_executemany(conn: psycopg.Connection[Any], given: Rules) -> None:
    with conn.transaction(), conn.cursor() as cursor:
        cursor.executemany(_INSERT, [_values(rule) for rule in given])


def _by_copy(conn: psycopg.Connection[Any], given: Rules) -> None:
    with conn.cursor() as cursor, cursor.copy(_COPY) as copy:
        for rule in given:
            copy.write_row(_values(rule))


def _by_core(made: Engine, given: Rules) -> None:
    with made.begin() as conn:
        conn.execute(insert(RULE), [asdict(rule, recurse=False) for rule in given])


async def _by_asyncpg(conn: Any, given: Rules) -> None:
    await conn.executemany(_NUMBERED, [_values(rule) for rule in given])


def _bare_values(given: Rules) -> list[tuple[object, ...]]:
    # Of one width, whatever the number: what is prepared is prepared for one type.
    return [(*_values(rule)[:-1], Int8(rule.priority)) for rule in given]


_WAYS: Mapping[str, Way[Rules]] = {
    Batchq.name: on_psycopg(lambda conn, given: run(conn, rules_insert(given))),
    Bare.name: on_pgconn(lambda given: [_NUMBERED] * len(given), _bare_values),
    Pipeline.name: on_psycopg(_by_pipeline),
    Transaction.name: on_psycopg(_by_transaction),
    EXECUTEMANY: on_psycopg(_by_executemany),
    ASYNCPG: on_asyncpg(_by_asyncpg),
    Core.name: on_engine(_by_core),
    COPY: on_psycopg(_by_copy),
}

WAYS: tuple[str, ...] = tuple(_WAYS)
"""The names of the ways."""
