# SPDX-License-Identifier: MIT
"""Workloads with many rows: a page that is read, and batches of 1 to 10,000 inserts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import psycopg
from attrs import evolve, frozen
from psycopg.types.numeric import Int8

from batchq import Batch, gather, insert, into, run, select, sequence, unique
from benchmarks.sandbox import Sandbox
from benchmarks.workloads import Command, Rows, Values, Workload, columns_of, insert_command
from examples.datastore.errors import AlreadyExists
from examples.datastore.firewall import default_rules
from examples.datastore.models import (
    FirewallRule,
    NewFirewallRule,
    NewProject,
    Project,
    Router,
    Subnet,
    Vpc,
)
from examples.datastore.project import project_create

# -- reads: a page about a VPC, five selects whose rows become models ------------------------------

_PAGES, _RULES = 20, 10


@frozen
class Page:
    """What is read: 1, 1, 1, 1 and 12 rows."""

    project: Project
    vpc: Vpc
    routers: list[Router]
    subnets: list[Subnet]
    rules: list[FirewallRule]


def _pages(place: Sandbox, calls: int) -> list[tuple[UUID, UUID]]:
    """Create some VPCs, which are read in turns; return the ids of projects and VPCs."""
    names = [f"page-{number}" for number in range(_PAGES)]
    with psycopg.connect(place.conninfo, autocommit=True) as conn:
        made = run(
            conn,
            sequence(project_create(NewProject(silo_id=place.silo, name=name)) for name in names),
        )
        ids = [(new.project.id, new.default_vpc.vpc.id) for new in made]
        run(conn, gather(*(rules_insert(rules(vpc, range(_RULES))) for _, vpc in ids)))
    return [ids[number % _PAGES] for number in range(calls)]


def _read(table: str, model: type[Any], where: str, rows: int | None = None) -> Command:
    return Command(f"SELECT {columns_of(model)} FROM {table} WHERE {where}", model, rows)  # noqa: S608


def _page_batch(given: tuple[UUID, UUID]) -> Batch[Page]:
    project_id, vpc_id = given
    of_vpc = {"vpc_id": vpc_id}
    alive = {**of_vpc, "time_deleted": None}
    return into(
        Page,
        project=select("project", where={"id": project_id, "time_deleted": None}).one(Project),
        vpc=select("vpc", where={"id": vpc_id, "time_deleted": None}).one(Vpc),
        routers=select("vpc_router", where=alive).all(Router),
        subnets=select("vpc_subnet", where=alive).all(Subnet),
        rules=select("vpc_firewall_rule", where=of_vpc).all(FirewallRule),
    )


def _page(rows: Sequence[Rows]) -> Page:
    (project,), (vpc,), routers, subnets, found = rows
    return Page(project, vpc, list(routers), list(subnets), list(found))


READS: Workload[tuple[UUID, UUID]] = Workload(
    "reads",
    _pages,
    _page_batch,
    (
        _read("project", Project, "id = $1 AND time_deleted IS NULL", rows=1),
        _read("vpc", Vpc, "id = $1 AND time_deleted IS NULL", rows=1),
        _read("vpc_router", Router, "vpc_id = $1 AND time_deleted IS NULL"),
        _read("vpc_subnet", Subnet, "vpc_id = $1 AND time_deleted IS NULL"),
        _read("vpc_firewall_rule", FirewallRule, "vpc_id = $1"),
    ),
    lambda given: [(given[0],), *[(given[1],)] * 4],
    _page,
)

# -- inserts: any number of firewall rules in one transaction --------------------------------------

VPC_OF_RULES = UUID(int=1)
"""The VPC of all rules; no statement looks whether it exists."""

_RULE = insert_command("vpc_firewall_rule", "id vpc_id name direction action protocols priority")


def rules(vpc_id: UUID, numbers: range) -> list[NewFirewallRule]:
    """Return the rules of these numbers."""
    example = default_rules(vpc_id)[-1]
    return [
        evolve(example, id=uuid4(), name=f"rule-{number:07}", priority=number % 65536)
        for number in numbers
    ]


def rules_insert(new: list[NewFirewallRule]) -> Batch[list[None]]:
    """Insert each rule with a statement of its own that knows what its failure means."""
    return sequence(
        insert("vpc_firewall_rule", rule).on(
            unique("lookup_firewall_by_vpc"), AlreadyExists("firewall rule", rule.name)
        )
        for rule in new
    )


def _rule_values(new: list[NewFirewallRule]) -> Values:
    # The priority has one width, whatever the number: it is prepared for one type.
    return [
        (
            rule.id,
            rule.vpc_id,
            rule.name,
            rule.direction,
            rule.action,
            rule.protocols,
            Int8(rule.priority),
        )
        for rule in new
    ]


def _rules_digest(conninfo: str) -> object:
    """Let the server hash the rules as they are, ids included: there may be very many."""
    row = f"ROW({', '.join(_RULE.columns)})"
    text = f"SELECT count(*), md5(string_agg({row}::text, '' ORDER BY id)) FROM vpc_firewall_rule"  # noqa: S608
    with psycopg.connect(conninfo, autocommit=True) as conn:
        return conn.execute(f"{text} WHERE vpc_id = %s".encode(), (VPC_OF_RULES,)).fetchone()


def inserts(statements: int) -> Workload[list[NewFirewallRule]]:
    """Return batches of so many inserts."""

    @cache  # all peers insert the same rules, each into tables of its own
    def given(calls: int) -> list[list[NewFirewallRule]]:
        starts = range(0, calls * statements, statements)
        return [rules(VPC_OF_RULES, range(start, start + statements)) for start in starts]

    return Workload(
        "inserts",
        lambda _, calls: given(calls),
        rules_insert,
        [_RULE] * statements,
        _rule_values,
        digest=_rules_digest,
    )
