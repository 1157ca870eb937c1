# SPDX-License-Identifier: MIT
"""Scopes, resources, and a look at what the tables of limits hold."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
from attrs import frozen

from batchq import gather, insert, run, unique
from batchq.limits import Limits
from batchq.result import attempt

SILO, PROJECT, FLEET = UUID(int=0x51), UUID(int=0x92), UUID(int=0xF1)
A, B, C = UUID(int=0xA), UUID(int=0xB), UUID(int=0xC)
LIMITS = Limits()

USED = "SELECT used FROM resource_limit WHERE scope_id = %s AND resource = %s"
ROW = "SELECT used, lim, ceiling FROM resource_limit WHERE scope_id = %s AND resource = %s"
WRONG = """
SELECT scope_id, resource, used, lim, ceiling FROM resource_limit AS l
WHERE used <> (SELECT coalesce(sum(n), 0) FROM resource_charge AS c
               WHERE c.scope_id = l.scope_id AND c.resource = l.resource)
   OR used < 0 OR ceiling <> greatest(lim, used)
"""


@frozen
class Book:
    """What the tables hold, as another connection sees it."""

    conn: psycopg.Connection[Any]

    def counter(self, scope: UUID = PROJECT, resource: str = "vpcs") -> tuple[int, int, int] | None:
        """Return the row: used, lim, ceiling."""
        return self.conn.execute(ROW, [scope, resource], prepare=False).fetchone()

    def used(self, scope: UUID = PROJECT, resource: str = "vpcs") -> int:
        return self.conn.execute(USED, [scope, resource], prepare=False).fetchone()[0]

    def ledger(self) -> list[tuple[UUID, str, UUID, int]]:
        query = "SELECT scope_id, resource, resource_id, n FROM resource_charge ORDER BY 1, 2, 3"
        return self.conn.execute(query, prepare=False).fetchall()

    def wrong(self) -> list[Any]:
        """Return the counters that are not the sum of their charges, or out of bounds."""
        return self.conn.execute(WRONG, prepare=False).fetchall()


def set_limits(conn: psycopg.Connection[Any], *limits: tuple[UUID, str, int | None]) -> None:
    run(conn, gather(*(LIMITS.set_limit(name, lim, scope=scope) for scope, name, lim in limits)))


def failure(conn: psycopg.Connection[Any], batch: Any) -> Any:
    """Return the report of a batch that has to fail, with the caller's error in it."""
    answer = attempt(conn, batch)
    report = answer.report
    report.raised = answer.error
    return report


def charge(id, n=1, scope=PROJECT):
    """Charge VPCs to a scope."""
    return LIMITS.charge("vpcs", n, scope=scope, id=id)


def create(id):
    """Charge one VPC, and insert it into the table of the fixture ``vpc_table``."""
    new = insert("vpc", {"id": id}).on(unique("vpc_pkey"), KeyError(id))
    return gather(charge(id), new.label("vpc")).map(lambda results: results[0])
