# SPDX-License-Identifier: MIT
"""The data store runs everything through its gate, which a retired version does not pass."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from uuid import UUID

import attrs
import pytest

from batchq import run
from batchq.bulk import StopReason
from batchq.versions import Fleet, StillRunning, TooOld
from examples.datastore.datastore import DataStore
from examples.datastore.fleet import FLEET
from examples.datastore.models import (
    NewFirewallRule,
    NewProject,
    NewRoute,
    NewRouter,
    NewSilo,
    NewSubnet,
    NewVpc,
    Project,
    Vpc,
)
from examples.datastore.project import project_create
from examples.datastore.subnet import subnet_delete
from examples.datastore.vpc_delete import vpc_fence

NEXT = Fleet(name=FLEET.name, version=FLEET.version + 1)
HOUR = timedelta(hours=1)
ID = UUID(int=1)
NOW = datetime(2026, 2, 3, tzinfo=UTC)
BLOCK = IPv4Network("10.0.0.0/8")
RULE = NewFirewallRule(
    vpc_id=ID, name="a", direction="inbound", action="deny", protocols=[], priority=1
)
CALLS: dict[str, Callable[[DataStore], object]] = {
    "join": lambda store: store.join("a", lease=HOUR),
    "silo_create": lambda store: store.silo_create(NewSilo(name="a"), projects=1),
    "project_create": lambda store: store.project_create(NewProject(silo_id=ID, name="a")),
    "project_fetch": lambda store: store.project_fetch(ID),
    "project_delete": lambda store: store.project_delete(Project(ID, ID, "a", "", 1, NOW)),
    "vpc_create": lambda store: store.vpc_create(NewVpc(project_id=ID, name="a")),
    "vpc_fetch": lambda store: store.vpc_fetch(ID),
    "vpc_view": lambda store: store.vpc_view(ID),
    "vpc_delete": lambda store: store.vpc_delete(Vpc(ID, ID, ID, "a", 1, NOW)),
    "rule_create": lambda store: store.rule_create(RULE),
    "rule_list": lambda store: store.rule_list(ID),
    "router_create": lambda store: store.router_create(
        NewRouter(vpc_id=ID, kind="custom", name="a")
    ),
    "route_create": lambda store: store.route_create(
        NewRoute(router_id=ID, name="a", destination=BLOCK, target="drop")
    ),
    "route_list": lambda store: store.route_list(ID),
    "subnet_create": lambda store: store.subnet_create(
        NewSubnet(vpc_id=ID, name="a", ipv4_block=BLOCK)
    ),
    "subnet_delete": lambda store: store.subnet_delete(ID),
}
"""A call of each method that a retired version may not make."""


@pytest.fixture
def retired(store):
    """Return a data store whose version is retired."""
    run(store, NEXT.expand(NEXT.version))
    run(store, NEXT.retire(below=NEXT.version))
    return DataStore(store)


def test_retired_data_store_runs_nothing(retired, rows):
    names = {name for name in vars(DataStore) if not name.startswith("_")}
    assert names - {attribute.name for attribute in attrs.fields(DataStore)} == {
        *CALLS,
        "leave",
        "resume_deletes",
    }
    before = rows()
    for call in CALLS.values():
        with pytest.raises(TooOld):
            call(retired)
    assert rows() == before


def test_retired_data_store_continues_no_deletes(retired, silo):
    made = run(retired.database, project_create(NewProject(silo_id=silo.id, name="a"))).default_vpc
    run(retired.database, subnet_delete(made.subnet.id))
    run(retired.database, vpc_fence(made.vpc))
    report = retired.resume_deletes(owner="cron")
    assert (report.stop_reason, report.detail) == (StopReason.THROTTLED, "version 6 is retired")
    assert report.rows == 0


def test_version_is_retired_when_its_last_process_has_left(store):
    run(store, NEXT.expand(NEXT.version))
    datastore = DataStore(store)
    assert datastore.join("a", lease=HOUR).newest == NEXT.version
    with pytest.raises(StillRunning):
        run(store, NEXT.retire(below=NEXT.version))
    datastore.leave("a")
    assert run(store, NEXT.retire(below=NEXT.version)).oldest == NEXT.version


def test_route_has_the_version_of_its_writer(store, silo):
    datastore = DataStore(store)
    made = datastore.project_create(NewProject(silo_id=silo.id, name="web")).default_vpc
    route = NewRoute(
        router_id=made.router.id, name="a", destination=BLOCK, target="drop", description="core"
    )
    created = datastore.route_create(route)
    assert datastore.route_list(made.router.id) == [created]
    assert created.description == "core"
    stamps = store.execute("SELECT row_version FROM router_route").fetchall()
    assert stamps == [(FLEET.version,)]
