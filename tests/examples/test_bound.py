# SPDX-License-Identifier: MIT
"""The example's batches are seen alike whether they are bound as a whole, composed, or built."""

from __future__ import annotations

import os
import re
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest

from batchq import Batch, check, gather, insert, run, sequence, sql, update
from batchq.result import Failed
from batchq.testing import proxy
from benchmarks.workloads.project_forms import BUILT, COMPOSED
from examples.datastore.errors import LimitExceeded, NotFound
from examples.datastore.firewall import RULE_INSERT
from examples.datastore.limits import limits_take_vpc
from examples.datastore.models import NewFirewallRule, NewProject, NewVpc, VpcCreated
from examples.datastore.parents import VPCS
from examples.datastore.project import PROJECT_CREATE, PROJECT_INSERT, project_create
from examples.datastore.schema import TABLES
from examples.datastore.vpc import VPC_CREATE, VPC_INSERT, vpc_create
from tests.support import project_failures
from tests.support.answers import failure_of, seen
from tests.support.clients import AsyncClient, SyncClient

STORED = "SELECT (SELECT array_agg(t ORDER BY t) FROM {table} t)::text"
ALL = " UNION ALL ".join(STORED.format(table=table) for table in TABLES[:-1])
"""A query of all rows."""


def composed_vpc_create(new: NewVpc) -> Batch[VpcCreated]:
    """Return vpc_create, composed of bound statements."""
    return _vpc_create(new, COMPOSED.vpc_with_defaults(new), limits_take_vpc(new.project_id))


def built_vpc_create(new: NewVpc) -> Batch[VpcCreated]:
    """Return vpc_create with each statement built."""
    used = {"vpcs_used": sql("vpcs_used + 1")}
    full = LimitExceeded("vpcs of project", new.project_id)
    take = update("project", used, {"id": new.project_id}).expect(1)
    return _vpc_create(
        new, BUILT.vpc_with_defaults(new), take.on(check("project_vpcs_within_limit"), full)
    )


def _vpc_create(new: NewVpc, vpc: Batch[VpcCreated], take: Batch[None]) -> Batch[VpcCreated]:
    added = VPCS.add(new.project_id, vpc, missing=NotFound("project", new.project_id))
    return gather(added, take.label("limit")).map(lambda made: made[0]).label("vpc_create")


PROJECTS = {
    "bound": PROJECT_CREATE.bind,
    "composed": COMPOSED.project_create,
    "built": BUILT.project_create,
}
VPC_CREATES = {
    "bound": VPC_CREATE.bind,
    "composed": composed_vpc_create,
    "built": built_vpc_create,
}


@pytest.fixture
def link(database, store):
    # What is written must not depend on the clock.
    for table in TABLES[:-1]:
        if store.execute(
            "SELECT FROM information_schema.columns WHERE column_name = 'time_created'"
            " AND table_schema = current_schema AND table_name = %s",
            [table],
        ).fetchall():
            store.execute(f"ALTER TABLE {table} ALTER time_created SET DEFAULT '2026-02-03 00:00Z'")
    with proxy(database) as link:
        yield link


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def clients(request, link):
    """Return a client for each way to write a batch."""
    with (
        request.param(link.conninfo(), prepare_threshold=0) as bound,
        request.param(link.conninfo(), prepare_threshold=0) as composing,
        request.param(link.conninfo(), prepare_threshold=0) as building,
    ):
        yield {"bound": bound, "composed": composing, "built": building}


@pytest.fixture
def seen_in(clients, link, monkeypatch):
    """Return what is seen of a batch that is written in one way, with the same new ids in each."""

    def see(ways, way, new):
        numbers = count(1)
        monkeypatch.setattr(os, "urandom", lambda size: next(numbers).to_bytes(size, "big"))
        batch = ways[way](new)
        monkeypatch.undo()
        return seen(clients[way], link, batch, ALL)

    return see


def check_alike(seen_in, ways, new):
    """Compare the ways; often enough that the later runs repeat flights."""
    for _ in range(4):
        first, *others = (seen_in(ways, way, new) for way in ways)
        for other in others:
            assert comparable(other) == comparable(first)
    return first


def comparable(found: Any) -> Any:
    """Drop what differs: only .each() knows the number of a row, and a declared statement maps to a
    function where a built one has an exception."""
    if isinstance(found, tuple):
        return tuple(map(comparable, found))
    if isinstance(found, str):
        found = found.replace(", row 4", "")
        return re.sub(
            "(->|mapped to) (<lambda>|AlreadyExists|(?i:limit_?exceeded))", r"\1 …", found
        )
    return found


def test_project_is_created_alike(seen_in, silo):
    new = NewProject(silo_id=silo.id, name="web", description="our shop")
    created, stored, messages, sent = check_alike(seen_in, PROJECTS, new)
    assert created.project.id == new.id
    assert str(new.id) in stored[2][0]
    assert messages
    assert len(sent) == 8


PROJECT_FAILURES = (
    project_failures.name_taken,
    project_failures.name_of_a_dead_project_and_limit_reached,
    project_failures.id_taken,
    project_failures.silo_deleted,
    project_failures.silo_never_was,
    project_failures.no_limits,
    project_failures.leaked_vpc,
    project_failures.new_constraint,
    project_failures.new_constraint_in_the_vpc,
)


@pytest.mark.parametrize("setting", PROJECT_FAILURES, ids=lambda setting: setting.__name__)
def test_project_create_fails_alike(seen_in, store, silo, setting):
    new = NewProject(silo_id=silo.id, name="web")
    setting(store, new)
    failure = check_alike(seen_in, PROJECTS, new)
    assert isinstance(failure[0], type(Exception))


def vpc_name_taken(store: Any, new: NewVpc) -> None:
    run(store, vpc_create(attrs.evolve(new, id=uuid4(), system_router_id=uuid4())))


def vpc_id_taken(store: Any, new: NewVpc) -> None:
    run(store, vpc_create(attrs.evolve(new, name="other", system_router_id=uuid4())))


def router_id_taken(store: Any, new: NewVpc) -> None:
    run(store, vpc_create(attrs.evolve(new, id=uuid4(), name="other")))


def project_deleted(store: Any, new: NewVpc) -> None:
    store.execute("UPDATE project SET time_deleted = now()")


def project_full(store: Any, new: NewVpc) -> None:
    store.execute("UPDATE project SET vpcs_limit = vpcs_used")


def rule_rejected(store: Any, new: NewVpc) -> None:
    store.execute(
        "ALTER TABLE vpc_firewall_rule ADD CONSTRAINT no_ssh CHECK (name <> 'allow-ssh') NOT VALID"
    )


VPC_FAILURES = (
    *(vpc_name_taken, vpc_id_taken, router_id_taken),
    *(project_deleted, project_full, rule_rejected),
)


@pytest.fixture
def vpc(store, silo):
    """Create a project, and return a new VPC in it."""
    project = NewProject(silo_id=silo.id, name="web")
    run(store, project_create(project))
    return NewVpc(project_id=project.id, name="api")


def test_vpc_is_created_alike(seen_in, vpc):
    created, *_ = check_alike(seen_in, VPC_CREATES, vpc)
    assert created.vpc.id == vpc.id


@pytest.mark.parametrize("setting", VPC_FAILURES, ids=lambda setting: setting.__name__)
def test_vpc_create_fails_alike(seen_in, store, vpc, setting):
    setting(store, vpc)
    failure = check_alike(seen_in, VPC_CREATES, vpc)
    assert isinstance(failure[0], type(Exception))


def test_failure_at_commit_is_reported_alike(clients, silo):
    vpc = NewVpc(id=UUID(int=2), project_id=UUID(int=1), name="lonely")
    new = NewProject(id=UUID(int=1), silo_id=silo.id, name="web")
    alone = VPC_INSERT.partial(**attrs.asdict(vpc)).label("vpc")
    mapped = VPC_INSERT.bind(vpc).label("vpc")
    ways = {
        "bound": gather(PROJECT_INSERT, alone).bind(new),
        "composed": gather(PROJECT_INSERT.bind(new), mapped),
        "built": gather(insert("project", new), insert("vpc", vpc).invariant(LATE).label("vpc")),
    }
    found = [clients[way].attempt(ways[way]) for way in ways]
    assert all(isinstance(answer, Failed) for answer in found)
    bound, mapped_failure, built_failure = map(failure_of, found)
    assert bound == mapped_failure
    assert bound[:4] == built_failure[:4]
    assert bound[-3:] == built_failure[-3:]


LATE = "vpc_system_router_id_fkey"

# -- each ------------------------------------------------------------------------------------------

RULES = {
    "each": RULE_INSERT.each,
    "bound": lambda rules: sequence(map(RULE_INSERT.bind, rules)),
    "built": lambda rules: sequence(map(BUILT.rule, rules)),
}


def rules(vpc: NewVpc) -> list[NewFirewallRule]:
    return [
        NewFirewallRule(
            id=UUID(int=n),
            vpc_id=vpc.id,
            name=f"rule-{n}",
            direction="inbound",
            action="allow",
            protocols=["tcp"] * (n % 3),
            priority=n,
        )
        for n in range(9)
    ]


def spoiled(rules: list[NewFirewallRule], **change: Any) -> list[NewFirewallRule]:
    """Return the rules with another one in the middle."""
    return [*rules[:4], attrs.evolve(rules[4], **change), *rules[5:]]


ROWS = {
    "all stored": lambda rules: rules,
    "none": lambda _: [],
    "one": lambda rules: rules[:1],
    "a name taken": lambda rules: spoiled(rules, name="rule-2"),
    "a constraint of a bug": lambda rules: spoiled(rules, action="jump"),
    "a value of another type": lambda rules: spoiled(rules, priority="high"),
    "NULL": lambda rules: spoiled(rules, direction=None),
}


@pytest.mark.parametrize("case", ROWS)
def test_each_is_seen_as_the_sequence_of_what_is_bound(clients, link, vpc, case):
    new = ROWS[case](rules(vpc))
    for _ in range(3):
        each, *others = (
            seen(client, link, gather(sql("SELECT 1"), ways(new).label("rules")), ALL)
            for client, ways in zip(clients.values(), RULES.values(), strict=True)
        )
        for other in others:
            assert comparable(other) == comparable(each)
