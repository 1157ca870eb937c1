# SPDX-License-Identifier: MIT
"""vpc_delete: what it checks, what the fence does at once, and what workers delete."""

from __future__ import annotations

from ipaddress import IPv4Network
from uuid import uuid4

import attrs
import pytest

from batchq import run, steps
from batchq.bulk import ChunkSize, Deleted, Fenced, StopReason, TooManyRows, resume
from examples.datastore.datastore import DataStore
from examples.datastore.errors import (
    AlreadyExists,
    LimitExceeded,
    NotFound,
    Refused,
    VpcHasSubnets,
)
from examples.datastore.firewall import rule_list
from examples.datastore.models import (
    NewFirewallRule,
    NewProject,
    NewRoute,
    NewRouter,
    NewSubnet,
    NewVpc,
)
from examples.datastore.vpc import vpc_view
from examples.datastore.vpc_delete import TREE, vpc_delete, vpc_fence

SMALL = ChunkSize(minimum=2, initial=2, maximum=2)
BLOCK = IPv4Network("10.0.0.0/8")
ROUTERS, ROUTES, RULES = 2, 6, 7
"""Rows of each VPC, including its system router and two default rules."""
CHILDREN = ROUTERS + ROUTES + RULES


def new_rule(vpc_id, name):
    return NewFirewallRule(
        vpc_id=vpc_id, name=name, direction="inbound", action="allow", protocols=[], priority=1
    )


def new_route(router_id, name):
    return NewRoute(router_id=router_id, name=name, destination=BLOCK, target="drop")


@pytest.fixture
def datastore(store):
    return DataStore(store)


@pytest.fixture
def project(datastore, silo):
    """Create a project with a limit of three VPCs."""
    made = datastore.project_create(NewProject(silo_id=silo.id, name="web"))
    datastore.database.execute("UPDATE project SET vpcs_limit = 3")
    return made.project


@pytest.fixture
def create(datastore, project):
    """Create VPCs with routers, routes and rules, and without a subnet."""

    def create(name):
        made = datastore.vpc_create(NewVpc(project_id=project.id, name=name))
        datastore.subnet_delete(made.subnet.id)
        vpc = made.vpc.id
        custom = datastore.router_create(NewRouter(vpc_id=vpc, kind="custom", name="custom"))
        for n in range(ROUTES):
            datastore.route_create(new_route([made.router.id, custom.id][n % 2], f"r{n}"))
        for n in range(RULES - len(made.rules)):
            datastore.rule_create(new_rule(vpc, f"rule-{n}"))
        return datastore.vpc_fetch(vpc)

    return create


@pytest.fixture
def vpc(create):
    """Create the VPC to delete."""
    return create("shop")


@pytest.fixture
def left(store):
    """Count a VPC's routers that are not deleted, its routes and its rules."""

    def left(vpc):
        return store.execute(
            """SELECT
                (SELECT count(*) FROM vpc_router WHERE vpc_id = %(vpc)s AND time_deleted IS NULL),
                (SELECT count(*) FROM router_route AS route JOIN vpc_router AS router
                    ON router.id = route.router_id WHERE vpc_id = %(vpc)s),
                (SELECT count(*) FROM vpc_firewall_rule WHERE vpc_id = %(vpc)s)""",
            {"vpc": vpc.id},
        ).fetchone()

    return left


@pytest.fixture
def used(store, project):
    """Return the number of VPCs that count against the project's limit."""

    def used():
        return store.execute("SELECT vpcs_used FROM project WHERE id = %s", [project.id]).fetchone()

    return used


BOTH = pytest.mark.parametrize("delete", [vpc_delete, vpc_fence])


def test_small_vpc_is_deleted_at_once_and_no_other_is(datastore, create, vpc, left):
    neighbour = create("blog")
    assert datastore.vpc_delete(vpc) == Deleted(rows=CHILDREN)
    assert left(vpc) == (0, 0, 0)
    assert left(neighbour) == (ROUTERS, ROUTES, RULES)
    assert datastore.resume_deletes(owner="test").jobs_done == 0
    with pytest.raises(NotFound, match="vpc"):
        datastore.vpc_fetch(vpc.id)


def test_large_vpc_is_fenced_and_deleted_by_a_worker(datastore, create, vpc, left):
    neighbour = create("blog")
    datastore.database.execute(
        "INSERT INTO vpc_firewall_rule SELECT gen_random_uuid(), %s, 'more-' || n, 'inbound', "
        "'allow', '{}', 1 FROM generate_series(1, %s) AS n",
        [vpc.id, TREE.inline_limit],
    )
    fenced = datastore.vpc_delete(vpc)
    assert isinstance(fenced, Fenced)
    assert left(vpc) == (ROUTERS, ROUTES, RULES + TREE.inline_limit)
    watched = []
    report = datastore.resume_deletes(owner="test", observers=[watched.append])
    assert (report.stop_reason, report.jobs_done) == (StopReason.EXHAUSTED, 1)
    assert report.rows == CHILDREN + TREE.inline_limit
    assert watched[-1].rows == report.rows
    job = run(datastore.database, TREE.jobs.get(fenced.job))
    assert (job.phase, job.rows_done) == ("done", CHILDREN + TREE.inline_limit)
    assert left(vpc) == (0, 0, 0)
    assert left(neighbour) == (ROUTERS, ROUTES, RULES)


def test_vpc_and_routers_are_soft_deleted(store, vpc):
    run(store, vpc_fence(vpc))
    resume(store, [TREE], owner="test")
    for table, key in (("vpc", "id"), ("vpc_router", "vpc_id")):
        alive = store.execute(
            f"SELECT DISTINCT time_deleted IS NULL FROM {table} WHERE {key} = %s", [vpc.id]
        ).fetchall()
        assert alive == [(False,)]


@BOTH
def test_subnet_prevents_the_delete_and_is_named_in_the_error(datastore, rows, vpc, delete):
    subnet = datastore.subnet_create(NewSubnet(vpc_id=vpc.id, name="dmz", ipv4_block=BLOCK))
    before = rows()
    seen = datastore.vpc_fetch(vpc.id)
    with pytest.raises(VpcHasSubnets, match=r"^the vpc contains a subnet: dmz$"):
        run(datastore.database, delete(seen))
    assert rows() == before
    datastore.subnet_delete(subnet.id)
    run(datastore.database, delete(seen))


def test_deleted_subnet_is_not_found(datastore, rows):
    before = rows()
    with pytest.raises(NotFound, match="subnet"):
        datastore.subnet_delete(uuid4())
    assert rows() == before


@BOTH
def test_vpc_changed_since_it_was_read_is_not_deleted(datastore, rows, vpc, delete):
    datastore.rule_create(new_rule(vpc.id, "late"))
    before = rows()
    with pytest.raises(Refused, match="concurrent modification"):
        run(datastore.database, delete(vpc))
    assert rows() == before


@BOTH
def test_deleted_vpc_is_not_found(datastore, rows, vpc, delete):
    before = rows()
    with pytest.raises(NotFound, match="vpc"):
        run(datastore.database, delete(attrs.evolve(vpc, id=uuid4())))
    assert rows() == before


@BOTH
def test_limit_is_credited_with_the_delete_and_once_only(datastore, vpc, used, delete):
    assert used() == (2,)
    run(datastore.database, delete(vpc))
    assert used() == (1,)
    for again in (vpc_delete, vpc_fence):
        with pytest.raises(NotFound):
            run(datastore.database, again(vpc))
    datastore.resume_deletes(owner="test")
    assert used() == (1,)


@BOTH
def test_name_and_limit_are_free_at_once(datastore, create, vpc, delete):
    create("blog")
    new = NewVpc(project_id=vpc.project_id, name=vpc.name)
    with pytest.raises(AlreadyExists):
        datastore.vpc_create(new)
    with pytest.raises(LimitExceeded, match="vpcs of project"):
        datastore.vpc_create(attrs.evolve(new, name="fourth"))
    run(datastore.database, delete(vpc))
    assert datastore.vpc_create(new).vpc.name == vpc.name


def test_too_large_batch_changes_nothing(store, rows, vpc, monkeypatch):
    monkeypatch.setattr(
        "examples.datastore.vpc_delete.TREE", attrs.evolve(TREE, inline_limit=RULES - 1)
    )
    before = rows()
    with pytest.raises(TooManyRows):
        run(store, vpc_delete(vpc))
    assert rows() == before


def test_no_row_is_added_after_the_fence(datastore, store, rows, vpc):
    router = vpc.system_router_id
    run(store, vpc_fence(vpc))
    additions = [
        lambda: datastore.rule_create(new_rule(vpc.id, "late")),
        lambda: datastore.router_create(NewRouter(vpc_id=vpc.id, kind="custom", name="late")),
        lambda: datastore.route_create(new_route(router, "late")),
        lambda: datastore.subnet_create(NewSubnet(vpc_id=vpc.id, name="late", ipv4_block=BLOCK)),
    ]
    before = rows()
    for add in additions:
        with pytest.raises(NotFound):
            add()
    assert rows() == before
    datastore.resume_deletes(owner="test")  # from here on the routers are hidden themselves
    before = rows()
    for add in additions:
        with pytest.raises(NotFound):
            add()
    assert rows() == before


def test_deleted_router_gets_no_route(datastore, store, rows, vpc):
    store.execute("UPDATE vpc_router SET time_deleted = now() WHERE kind = 'custom'")
    (router,) = store.execute("SELECT id FROM vpc_router WHERE kind = 'custom'").fetchone()
    before = rows()
    with pytest.raises(NotFound, match=f'router "{router}"'):
        datastore.route_create(new_route(router, "late"))
    with pytest.raises(AlreadyExists, match='route "r0"'):
        datastore.route_create(new_route(vpc.system_router_id, "r0"))
    assert rows() == before


def test_reader_sees_all_rows_or_not_found_at_every_step(datastore, connect, create, vpc, left):
    neighbour, reader = create("blog"), DataStore(connect())
    seen, remaining = [], []

    def look():
        remaining.append(left(vpc))
        for read in (reader.vpc_view, reader.rule_list, reader.vpc_fetch):
            with pytest.raises(NotFound, match="vpc"):
                read(vpc.id)
        view = reader.vpc_view(neighbour.id)
        seen.append((view.routes, view.rules, len(reader.rule_list(neighbour.id))))

    view = reader.vpc_view(vpc.id)
    assert (view.vpc, view.routes, view.rules) == (vpc, ROUTES, RULES)
    assert len(reader.rule_list(vpc.id)) == RULES
    run(datastore.database, vpc_fence(vpc))
    report = resume(datastore.database, [TREE], owner="test", chunk_size=SMALL, throttles=[look])
    assert report.jobs_done == 1
    assert set(seen) == {(ROUTES, RULES, RULES)}
    # It did look between: at routers that were hidden before their routes went, for one.
    assert (ROUTERS, ROUTES, RULES) in remaining
    assert (0, ROUTES, RULES) in remaining
    assert {rules for _, _, rules in remaining} == {7, 5, 3, 1, 0}
    assert left(vpc) == (0, 0, 0)


def test_readers_read_the_vpc_last():
    for read in (vpc_view, rule_list):
        assert steps(read(uuid4()))[-1].statement.title == "select vpc"


def test_project_is_deleted_before_its_vpc_is_finished(datastore, store, project, vpc, left):
    run(store, vpc_fence(vpc))
    store.execute("UPDATE vpc SET time_deleted = now() WHERE name = 'default'")
    datastore.project_delete(datastore.project_fetch(project.id))
    assert datastore.resume_deletes(owner="test").jobs_done == 1
    assert left(vpc) == (0, 0, 0)
