# SPDX-License-Identifier: MIT
"""Creating a VPC in a project that is there: seven statements, all rows as models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString, TypeVar
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import class_row
from psycopg.types.numeric import Int8

from batchq import run, steps
from benchmarks.measure import Side
from benchmarks.peers.bare import ONE_ROW, Bare
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.on_psycopg import one
from benchmarks.peers.pipeline import Pipeline
from benchmarks.peers.plpgsql import Plpgsql
from benchmarks.peers.statements import BLOCK, ROUTER, RULE, RULES, SUBNET, VPC, rules
from benchmarks.peers.transaction import Transaction
from benchmarks.scene import PLENTY, Scene
from benchmarks.ways import Way, Workload, each, on_pgconn, on_psycopg
from examples.datastore.errors import NotFound
from examples.datastore.models import FirewallRule, NewVpc, Router, Subnet, Vpc, VpcCreated
from examples.datastore.vpc import vpc_create

T = TypeVar("T")

FUNCTION = Path(__file__).with_suffix(".sql").read_bytes()

_ROOM: Final = "UPDATE project SET vpcs_limit = %s RETURNING id"
_PROJECT: Final = "UPDATE project SET rcgen = rcgen + 1 WHERE id = %s AND time_deleted IS NULL"
_LIMIT: Final = "UPDATE project SET vpcs_used = vpcs_used + 1 WHERE id = %s"
_FOUND: LiteralString = " RETURNING 1"
_RULE_COLUMNS: LiteralString = (
    "({0}).id, ({0}).vpc_id, ({0}).name, ({0}).direction, ({0}).action, ({0}).protocols, "
    "({0}).priority, ({0}).time_created"
)
_CALL: LiteralString = (
    "SELECT (vpc).id, (vpc).project_id, (vpc).system_router_id, (vpc).name, (vpc).rcgen, "  # noqa: S608  ours
    "(vpc).time_created, "
    "(router).id, (router).vpc_id, (router).kind, (router).name, (router).time_created, "
    "(subnet).id, (subnet).vpc_id, (subnet).name, (subnet).ipv4_block, (subnet).time_created, "
    + _RULE_COLUMNS.format("internal")
    + ", "
    + _RULE_COLUMNS.format("ssh")
    + " FROM vpc_create(%s, %s, %s, %s, %s, %s, %s, %s)"
)


def _given(place: Scene, calls: int) -> list[NewVpc]:
    """Make room for any number of VPCs in the project that is there."""
    with psycopg.connect(place.conninfo, autocommit=True) as conn:
        row = conn.execute(_ROOM, (PLENTY,)).fetchone()
    project: UUID = row[0] if row else uuid4()
    return [NewVpc(project_id=project, name=f"vpc-{number}") for number in range(calls)]


def _by_transaction(conn: psycopg.Connection[Any], new: NewVpc) -> VpcCreated:
    with conn.transaction():
        if conn.execute(_PROJECT, (new.project_id,)).rowcount != 1:
            raise NotFound("project", new.project_id)
        made = VpcCreated(
            one(_sent(conn, Vpc, VPC, _vpc(new))),
            one(_sent(conn, Router, ROUTER, _router(new))),
            one(_sent(conn, Subnet, SUBNET, (uuid4(), new.id, "default", BLOCK))),
            [one(_sent(conn, FirewallRule, RULE, rule)) for rule in rules(new.id)],
        )
        conn.execute(_LIMIT, (new.project_id,))
    return made


def _by_pipeline(conn: psycopg.Connection[Any], new: NewVpc) -> VpcCreated:
    with conn.pipeline(), conn.transaction():
        project = conn.execute(_PROJECT + _FOUND, (new.project_id,))
        vpc = _sent(conn, Vpc, VPC, _vpc(new))
        router = _sent(conn, Router, ROUTER, _router(new))
        subnet = _sent(conn, Subnet, SUBNET, (uuid4(), new.id, "default", BLOCK))
        sent = [_sent(conn, FirewallRule, RULE, rule) for rule in rules(new.id)]
        conn.execute(_LIMIT, (new.project_id,))
        if project.fetchone() is None:
            raise NotFound("project", new.project_id)
    return VpcCreated(one(vpc), one(router), one(subnet), [one(rule) for rule in sent])


def _sent(
    conn: psycopg.Connection[Any], model: type[T], text: LiteralString, values: Sequence[object]
) -> psycopg.Cursor[T]:
    return conn.cursor(row_factory=class_row(model)).execute(text, values)


def _vpc(new: NewVpc) -> tuple[object, ...]:
    return new.id, new.project_id, new.system_router_id, new.name


def _router(new: NewVpc) -> tuple[object, ...]:
    return new.system_router_id, new.id, "system", "system"


@contextmanager
def _by_function(place: Scene, given: Sequence[NewVpc]) -> Iterator[Side]:
    with psycopg.connect(place.conninfo, autocommit=True) as conn:
        conn.execute(FUNCTION)
        yield each(lambda new: _called(conn, new), given)


def _called(conn: psycopg.Connection[Any], new: NewVpc) -> VpcCreated:
    ids = uuid4(), uuid4(), uuid4()
    try:
        row = one(
            conn.execute(
                _CALL,
                (new.id, new.project_id, new.system_router_id, new.name, ids[0], BLOCK, *ids[1:]),
            )
        )
    except psycopg.errors.NoDataFound as error:
        raise NotFound("project", new.project_id) from error
    return VpcCreated(
        Vpc(*row[:6]),
        Router(*row[6:11]),
        Subnet(*row[11:16]),
        [FirewallRule(*row[16:24]), FirewallRule(*row[24:])],
    )


def _bare_values(new: NewVpc) -> list[tuple[object, ...]]:
    return [
        (new.project_id, *ONE_ROW),
        _vpc(new),
        _router(new),
        (uuid4(), new.id, "default", BLOCK),
        *[
            (uuid4(), new.id, name, "inbound", "allow", protocols, Int8(65534))
            for name, protocols in RULES
        ],
        (new.project_id, *ONE_ROW),
    ]


def _bare_texts(new: NewVpc) -> list[str]:
    return [step.sql for step in steps(vpc_create(new))]


_WAYS: Mapping[str, Way[NewVpc]] = {
    Batchq.name: on_psycopg(lambda conn, new: run(conn, vpc_create(new))),
    Bare.name: on_pgconn(_bare_texts, _bare_values),
    Plpgsql.name: _by_function,
    Pipeline.name: on_psycopg(_by_pipeline),
    Transaction.name: on_psycopg(_by_transaction),
}

VPC_CREATE: Final = Workload("vpc_create", _WAYS, _given)
