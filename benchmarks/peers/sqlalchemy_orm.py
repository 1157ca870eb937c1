# SPDX-License-Identifier: MIT
"""SQLAlchemy's ORM on psycopg: objects in, a unit of work that finds out what to send.

https://docs.sqlalchemy.org/en/21/orm/session_basics.html: "Framing out a begin / commit / rollback
block", and https://docs.sqlalchemy.org/en/21/orm/declarative_tables.html: "Declarative with
Imperative Table". The two rules go in one statement, as the ORM does by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self, cast
from uuid import UUID, uuid4

from sqlalchemy import CursorResult, Engine, Update, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session

from benchmarks.peers import OneByOne
from benchmarks.peers import sqlalchemy_tables as tables
from benchmarks.peers.sqlalchemy_tables import SILO, SILO_LIMITS, constraint, engine
from benchmarks.peers.statements import BLOCK, RULES, meaning
from benchmarks.scene import Scene
from examples.datastore.models import NewProject


class Base(DeclarativeBase):
    """The mapped classes."""

    metadata = tables.METADATA


class Project(Base):
    """A project."""

    __table__ = tables.PROJECT


class Vpc(Base):
    """A virtual private cloud."""

    __table__ = tables.VPC


class Router(Base):
    """A router of a VPC."""

    __table__ = tables.ROUTER


class Subnet(Base):
    """A subnet of a VPC."""

    __table__ = tables.SUBNET


class Rule(Base):
    """A firewall rule of a VPC."""

    __table__ = tables.RULE


class Orm(OneByOne):
    """Collects objects, and sends them when the session is flushed."""

    name: ClassVar[str] = "SQLAlchemy ORM"

    def __init__(self, scene: Scene, engine: Engine) -> None:
        super().__init__(scene)
        self._engine = engine

    @classmethod
    @contextmanager
    def opened(cls, scene: Scene) -> Iterator[Self]:
        """Make an engine."""
        made = engine(scene.conninfo)
        try:
            yield cls(scene, made)
        finally:
            made.dispose()

    def create(self, new: NewProject, router_id: UUID) -> list[Base]:
        """Create a project."""
        try:
            # Not expired, because the objects are what is handed on.
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                return _create(session, new, router_id)
        except IntegrityError as error:
            raise meaning(constraint(error.orig), new) from error


def _create(session: Session, new: NewProject, router_id: UUID) -> list[Base]:
    bump = update(SILO).where(SILO.c.id == new.silo_id, SILO.c.time_deleted.is_(None))
    if _rows(session, bump.values(rcgen=SILO.c.rcgen + 1)) != 1:
        raise meaning(None, new)
    vpc_id = uuid4()
    made: list[Base] = [
        Project(id=new.id, silo_id=new.silo_id, name=new.name, description=new.description),
        Vpc(id=vpc_id, project_id=new.id, system_router_id=router_id, name="default"),
        Router(id=router_id, vpc_id=vpc_id, kind="system", name="system"),
        Subnet(id=uuid4(), vpc_id=vpc_id, name="default", ipv4_block=BLOCK),
        *[
            Rule(
                id=uuid4(),
                vpc_id=vpc_id,
                name=name,
                direction="inbound",
                action="allow",
                protocols=protocols,
                priority=65534,
            )
            for name, protocols in RULES
        ],
    ]
    session.add_all(made)
    take = update(SILO_LIMITS).where(SILO_LIMITS.c.silo_id == new.silo_id)
    session.flush()
    if _rows(session, take.values(projects_used=SILO_LIMITS.c.projects_used + 1)) != 1:
        raise LookupError("the silo has no limits")
    return made


def _rows(session: Session, statement: Update) -> int:
    return cast("CursorResult[tuple[()]]", session.execute(statement)).rowcount
