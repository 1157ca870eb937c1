# SPDX-License-Identifier: MIT
"""project_create without batchq: statement by statement in a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import uuid4

import attrs
import psycopg
from psycopg import sql
from psycopg.rows import class_row

from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound
from examples.datastore.firewall import default_rules
from examples.datastore.models import (
    FirewallRule,
    NewProject,
    Project,
    ProjectCreated,
    Router,
    Subnet,
    Vpc,
    VpcCreated,
)

M = TypeVar("M", bound=attrs.AttrsInstance)


def project_create(conn: psycopg.Connection[Any], new: NewProject) -> ProjectCreated:
    """Create a project with its default VPC, and count it against the silo's limit."""
    vpc_id, router_id = uuid4(), uuid4()
    with conn.transaction():
        touched = conn.execute(
            "UPDATE silo SET rcgen = rcgen + 1 WHERE id = %s AND time_deleted IS NULL",
            [new.silo_id],
        )
        if touched.rowcount != 1:
            raise NotFound("silo", new.silo_id)
        try:
            project = _insert(conn, "project", Project, attrs.asdict(new))
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name != "lookup_project_by_silo":
                raise
            raise AlreadyExists("project", new.name) from error
        vpc = _insert(
            conn,
            "vpc",
            Vpc,
            {
                "id": vpc_id,
                "project_id": new.id,
                "system_router_id": router_id,
                "name": "default",
            },
        )
        router = _insert(
            conn,
            "vpc_router",
            Router,
            {"id": router_id, "vpc_id": vpc_id, "kind": "system", "name": "system"},
        )
        subnet = _insert(
            conn,
            "vpc_subnet",
            Subnet,
            {"id": uuid4(), "vpc_id": vpc_id, "name": "default", "ipv4_block": "172.30.0.0/22"},
        )
        rules = [
            _insert(conn, "vpc_firewall_rule", FirewallRule, attrs.asdict(rule))
            for rule in default_rules(vpc_id)
        ]
        try:
            counted = conn.execute(
                "UPDATE silo_limits SET projects_used = projects_used + 1 WHERE silo_id = %s",
                [new.silo_id],
            )
        except psycopg.errors.CheckViolation as error:
            if error.diag.constraint_name != "silo_limits_projects_within_limit":
                raise
            raise LimitExceeded("projects of silo", new.silo_id) from error
        if counted.rowcount != 1:
            message = "this silo has no limits"
            raise RuntimeError(message)
    return ProjectCreated(project, VpcCreated(vpc, router, subnet, rules))


def _insert(
    conn: psycopg.Connection[Any], table: str, model: type[M], row: Mapping[str, object]
) -> M:
    returned = [field.name for field in attrs.fields(model)]
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
        sql.SQL(", ").join(map(sql.Identifier, returned)),
    )
    with conn.cursor(row_factory=class_row(model)) as cursor:
        made = cursor.execute(statement, row).fetchone()
    if made is None:
        message = f"INSERT INTO {table} returned no row"
        raise RuntimeError(message)
    return made
