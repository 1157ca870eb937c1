# SPDX-License-Identifier: MIT
"""What a page about a VPC shows, in one transaction: five selects, and all rows as models.

Nobody writes, so all ways read from the same tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, LiteralString, TypeVar
from uuid import UUID

import psycopg
from attrs import define, fields, frozen
from psycopg.rows import class_row
from sqlalchemy import Engine, Select, Table, select

from batchq import Batch, gather, into, run, sequence
from batchq import select as selecting
from benchmarks.inserts import rules, rules_insert
from benchmarks.peers.asyncpg import Asyncpg
from benchmarks.peers.bare import Bare, BareTyped
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.on_psycopg import one
from benchmarks.peers.pipeline import Pipeline
from benchmarks.peers.sqlalchemy_core import Core
from benchmarks.peers.sqlalchemy_tables import PROJECT, ROUTER, RULE, SUBNET, VPC
from benchmarks.peers.transaction import Transaction
from benchmarks.scene import Scene
from benchmarks.ways import Way, on_asyncpg, on_engine, on_pgconn, on_psycopg
from examples.datastore.models import FirewallRule, NewProject, Project, Router, Subnet, Vpc
from examples.datastore.project import project_create

T = TypeVar("T")

READS: Final = "reads"
PAGES = 20
"""VPCs that are read in turns."""
_RULES = 10
"""Rules of each, beside the two that it begins with."""


@frozen
class Page:
    """What is read: 1, 1, 1, 1 and 12 rows."""

    project: Project
    vpc: Vpc
    routers: list[Router]
    subnets: list[Subnet]
    rules: list[FirewallRule]


@define(eq=False)
class Asked:
    """What one call is given, and what it made of it."""

    project_id: UUID
    vpc_id: UUID
    page: Page | list[list[tuple[Any, ...]]] | None = None
    """The models, or the rows of each select by a way that makes no models."""


def pages(place: Scene) -> list[Asked]:
    """Fill a scene with something to read."""
    with psycopg.connect(place.conninfo, autocommit=True) as conn:
        made = run(
            conn,
            sequence(
                project_create(NewProject(silo_id=place.silo, name=f"page-{number}"))
                for number in range(PAGES)
            ),
        )
        ids = [(new.project.id, new.default_vpc.vpc.id) for new in made]
        run(conn, gather(*(rules_insert(rules(vpc, range(_RULES))) for _, vpc in ids)))
    return [Asked(project, vpc) for project, vpc in ids]


# -- the ways --------------------------------------------------------------------------------------


def _by_batchq(conn: psycopg.Connection[Any], asked: Asked) -> None:
    asked.page = run(conn, page_read(asked.project_id, asked.vpc_id))


def page_read(project_id: UUID, vpc_id: UUID) -> Batch[Page]:
    """Read a page."""
    of_vpc = {"vpc_id": vpc_id}
    alive = {**of_vpc, "time_deleted": None}
    return into(
        Page,
        project=selecting("project", where={"id": project_id, "time_deleted": None}).one(Project),
        vpc=selecting("vpc", where={"id": vpc_id, "time_deleted": None}).one(Vpc),
        routers=selecting("vpc_router", where=alive).all(Router),
        subnets=selecting("vpc_subnet", where=alive).all(Subnet),
        rules=selecting("vpc_firewall_rule", where=of_vpc).all(FirewallRule),
    )


_PROJECT: LiteralString = (
    "SELECT id, silo_id, name, description, rcgen, time_created "
    "FROM project WHERE id = %s AND time_deleted IS NULL"
)
_VPC: LiteralString = (
    "SELECT id, project_id, system_router_id, name, rcgen, time_created "
    "FROM vpc WHERE id = %s AND time_deleted IS NULL"
)
_ROUTERS: LiteralString = (
    "SELECT id, vpc_id, kind, name, time_created "
    "FROM vpc_router WHERE vpc_id = %s AND time_deleted IS NULL"
)
_SUBNETS: LiteralString = (
    "SELECT id, vpc_id, name, ipv4_block, time_created "
    "FROM vpc_subnet WHERE vpc_id = %s AND time_deleted IS NULL"
)
_RULES_OF: LiteralString = (
    "SELECT id, vpc_id, name, direction, action, protocols, priority, time_created "
    "FROM vpc_firewall_rule WHERE vpc_id = %s"
)


def _by_transaction(conn: psycopg.Connection[Any], asked: Asked) -> None:
    with conn.transaction():
        asked.page = Page(
            one(_sent(conn, Project, _PROJECT, asked.project_id)),
            one(_sent(conn, Vpc, _VPC, asked.vpc_id)),
            _sent(conn, Router, _ROUTERS, asked.vpc_id).fetchall(),
            _sent(conn, Subnet, _SUBNETS, asked.vpc_id).fetchall(),
            _sent(conn, FirewallRule, _RULES_OF, asked.vpc_id).fetchall(),
        )


def _by_pipeline(conn: psycopg.Connection[Any], asked: Asked) -> None:
    with conn.pipeline(), conn.transaction():
        project = _sent(conn, Project, _PROJECT, asked.project_id)
        vpc = _sent(conn, Vpc, _VPC, asked.vpc_id)
        routers = _sent(conn, Router, _ROUTERS, asked.vpc_id)
        subnets = _sent(conn, Subnet, _SUBNETS, asked.vpc_id)
        found = _sent(conn, FirewallRule, _RULES_OF, asked.vpc_id)
    asked.page = Page(
        one(project), one(vpc), routers.fetchall(), subnets.fetchall(), found.fetchall()
    )


def _sent(
    conn: psycopg.Connection[Any], model: type[T], text: LiteralString, key: UUID
) -> psycopg.Cursor[T]:
    return conn.cursor(row_factory=class_row(model)).execute(text, (key,))


async def _by_asyncpg(conn: Any, asked: Asked) -> None:
    async with conn.transaction():
        asked.page = _page(
            await conn.fetch(_numbered(_PROJECT), asked.project_id),
            *[
                await conn.fetch(_numbered(text), asked.vpc_id)
                for text in (_VPC, _ROUTERS, _SUBNETS, _RULES_OF)
            ],
        )


def _numbered(text: str) -> str:
    return text.replace("%s", "$1")


def _select(table: Table, model: type[Any], key: str) -> Callable[[UUID], Select[Any]]:
    """Select a model's columns by a key, of the living where the table remembers the dead."""
    columns = [table.c[column.name] for column in fields(model)]
    text = select(*columns)

    def by(value: UUID) -> Select[Any]:
        found = text.where(table.c[key] == value)
        return found.where(table.c.time_deleted.is_(None)) if "time_deleted" in table.c else found

    return by


_SELECTS = (
    _select(PROJECT, Project, "id"),
    _select(VPC, Vpc, "id"),
    _select(ROUTER, Router, "vpc_id"),
    _select(SUBNET, Subnet, "vpc_id"),
    _select(RULE, FirewallRule, "vpc_id"),
)


def _by_core(made: Engine, asked: Asked) -> None:
    project, *others = _SELECTS
    with made.begin() as conn:
        asked.page = _page(
            conn.execute(project(asked.project_id)).all(),
            *[conn.execute(other(asked.vpc_id)).all() for other in others],
        )


def _page(project: Any, vpc: Any, routers: Any, subnets: Any, found: Any) -> Page:
    """Make the models of what was read; rows are tuples of their own kind to everybody."""
    return Page(
        Project(*project[0]),
        Vpc(*vpc[0]),
        [Router(*row) for row in routers],
        [Subnet(*row) for row in subnets],
        [FirewallRule(*row) for row in found],
    )


def _bare_values(asked: Asked) -> list[tuple[object, ...]]:
    return [(asked.project_id,), *[(asked.vpc_id,)] * 4]


def _bare_texts(_: Asked) -> list[str]:
    return [_numbered(text) for text in (_PROJECT, _VPC, _ROUTERS, _SUBNETS, _RULES_OF)]


def _keep(asked: Asked, rows: list[list[tuple[Any, ...]]]) -> None:
    asked.page = rows


def _keep_typed(asked: Asked, rows: list[list[tuple[Any, ...]]]) -> None:
    asked.page = _page(*rows)


READING: Mapping[str, Way[Asked]] = {
    Batchq.name: on_psycopg(_by_batchq),
    Bare.name: on_pgconn(_bare_texts, _bare_values, _keep),
    BareTyped.name: on_pgconn(_bare_texts, _bare_values, _keep_typed),
    Pipeline.name: on_psycopg(_by_pipeline),
    Transaction.name: on_psycopg(_by_transaction),
    Asyncpg.name: on_asyncpg(_by_asyncpg),
    Core.name: on_engine(_by_core),
}
"""The ways by the peers' names."""
