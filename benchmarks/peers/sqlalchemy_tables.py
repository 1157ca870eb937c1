# SPDX-License-Identifier: MIT
"""The example's tables as SQLAlchemy has to be told of them, for Core and ORM, and an engine."""

from __future__ import annotations

import psycopg
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    create_engine,
    text,
)
from sqlalchemy.dialects.postgresql import CIDR

METADATA = MetaData()


def _id(name: str = "id") -> Column[object]:
    return Column(name, Uuid, primary_key=True)


def _created() -> Column[object]:
    return Column("time_created", DateTime(timezone=True), server_default=text("now()"))


def _counter(name: str, default: str) -> Column[object]:
    return Column(name, BigInteger, server_default=text(default))


SILO = Table(
    "silo",
    METADATA,
    _id(),
    Column("name", String(63)),
    _counter("rcgen", "1"),
    _created(),
    Column("time_deleted", DateTime(timezone=True)),
)
SILO_LIMITS = Table(
    "silo_limits",
    METADATA,
    _id("silo_id"),
    _counter("projects_used", "0"),
    Column("projects_limit", BigInteger),
)
PROJECT = Table(
    "project",
    METADATA,
    _id(),
    Column("silo_id", Uuid),
    Column("name", String(63)),
    Column("description", String(512)),
    _counter("rcgen", "1"),
    _created(),
)
VPC = Table(
    "vpc",
    METADATA,
    _id(),
    Column("project_id", Uuid),
    Column("system_router_id", Uuid),
    Column("name", String(63)),
    _counter("rcgen", "1"),
    _created(),
)
ROUTER = Table(
    "vpc_router",
    METADATA,
    _id(),
    Column("vpc_id", Uuid),
    Column("kind", Text),
    Column("name", String(63)),
    _created(),
)
SUBNET = Table(
    "vpc_subnet",
    METADATA,
    _id(),
    Column("vpc_id", Uuid),
    Column("name", String(63)),
    Column("ipv4_block", CIDR),
    _created(),
)
RULE = Table(
    "vpc_firewall_rule",
    METADATA,
    _id(),
    Column("vpc_id", Uuid),
    Column("name", String(63)),
    Column("direction", Text),
    Column("action", Text),
    Column("protocols", ARRAY(Text)),
    Column("priority", Integer),
    _created(),
)


def engine(conninfo: str) -> Engine:
    """An engine on psycopg with room for one connection."""
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo),
        pool_size=1,
        max_overflow=0,
    )


def constraint(error: BaseException | None) -> str:
    """The name of the constraint that psycopg's error, which SQLAlchemy wraps, is about."""
    return error.diag.constraint_name or "" if isinstance(error, psycopg.Error) else ""
