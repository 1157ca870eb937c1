# SPDX-License-Identifier: MIT
"""Statements that a data layer repeats stay prepared: its str values go to text columns.

Deletes by `batchq.bulk` are not covered: a job holds its parent's key as text, whatever its type.
"""

from __future__ import annotations

from ipaddress import IPv4Network

import psycopg
import pytest

from batchq.testing import proxy
from examples.datastore.datastore import DataStore
from examples.datastore.models import (
    NewFirewallRule,
    NewProject,
    NewRoute,
    NewRouter,
    NewSilo,
    NewSubnet,
    NewVpc,
)
from examples.datastore.schema import create_tables
from tests.support.clients import parsed


@pytest.fixture
def link(database):
    with psycopg.connect(database, autocommit=True) as conn:
        create_tables(conn)
    with proxy(database) as link:
        yield link


def test_no_statement_is_parsed_again_in_the_third_run(link):
    with psycopg.connect(link.conninfo(), autocommit=True, prepare_threshold=0) as conn:
        store = DataStore(conn)
        for name in ("first", "second"):
            use(store, name)
        with link.record() as recording:
            use(store, "third")
    assert parsed(recording) == []


def use(store: DataStore, name: str) -> None:
    """Call each method once."""
    silo = store.silo_create(NewSilo(name=name), projects=5)
    created = store.project_create(NewProject(silo_id=silo.id, name=name))
    project = store.project_fetch(created.project.id)
    made = store.vpc_create(NewVpc(project_id=project.id, name=name))
    rule = NewFirewallRule(
        vpc_id=made.vpc.id,
        name=name,
        direction="inbound",
        action="allow",
        protocols=["tcp", "any of the others"],
        priority=7,
    )
    store.rule_create(rule)
    store.rule_list(made.vpc.id)
    router = store.router_create(NewRouter(vpc_id=made.vpc.id, kind="custom", name=name))
    store.route_create(
        NewRoute(
            router_id=router.id, name=name, destination=IPv4Network("10.0.0.0/8"), target="drop"
        )
    )
    store.route_list(router.id)
    subnet = store.subnet_create(
        NewSubnet(vpc_id=made.vpc.id, name=name, ipv4_block=IPv4Network("10.0.0.0/16"))
    )
    store.subnet_delete(subnet.id)
    store.subnet_delete(made.subnet.id)
    store.vpc_view(made.vpc.id)
    store.vpc_fetch(made.vpc.id)
