# SPDX-License-Identifier: MIT
"""asyncpg, under its own loop: it has no pipeline, so each statement waits for its answer.

https://magicstack.github.io/asyncpg/current/usage.html: "Transactions". It prepares what it runs by
itself, and what it returns are its own records: it has no way to make models of them. The loop is
entered once a turn, as a service's is entered once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self
from uuid import UUID, uuid4

import asyncpg  # type: ignore[import-untyped]
from psycopg.conninfo import conninfo_to_dict

from benchmarks.peers import statements as psycopg_s
from benchmarks.peers import told
from benchmarks.peers.statements import BLOCK, meaning, rules
from benchmarks.scene import At, Scene
from examples.datastore.models import NewProject


def _numbered(text: str) -> str:
    """A statement with asyncpg's placeholders."""
    first, *others = text.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, 1))


SILO = _numbered(psycopg_s.SILO)
PROJECT = _numbered(psycopg_s.PROJECT)
VPC = _numbered(psycopg_s.VPC)
ROUTER = _numbered(psycopg_s.ROUTER)
SUBNET = _numbered(psycopg_s.SUBNET)
RULE = _numbered(psycopg_s.RULE)
LIMIT = _numbered(psycopg_s.LIMIT)


class Asyncpg:
    """Waits for the answer to each statement, in a loop of its own."""

    name: ClassVar[str] = "asyncpg transaction()"

    def __init__(self, scene: Scene, runner: asyncio.Runner, conn: Any) -> None:
        self._scene = scene
        self._runner = runner
        self._conn = conn
        self.told: set[str] = set()

    @classmethod
    @contextmanager
    def opened(cls, scene: Scene) -> Iterator[Self]:
        """Connect."""
        place = conninfo_to_dict(scene.conninfo)
        with asyncio.Runner() as runner:
            conn = runner.run(_connect(place))
            try:
                yield cls(scene, runner, conn)
            finally:
                runner.run(conn.close())

    def project_create(self, numbers: range) -> None:
        """Create the projects of these numbers."""
        self._runner.run(self._project_create(numbers))

    def fail(self, numbers: range, at: At) -> None:
        """Try to create the projects of these numbers."""
        self._runner.run(self._fail(numbers, at))

    async def _project_create(self, numbers: range) -> None:
        for number in numbers:
            await self.create(self._scene.project(number), uuid4())

    async def _fail(self, numbers: range, at: At) -> None:
        for number in numbers:
            try:
                await self.create(*self._scene.failing(number, at))
            except Exception as error:  # noqa: BLE001  looked at by whoever reads `told`
                self.told.add(told(error))

    async def create(self, new: NewProject, router_id: UUID) -> object:
        """Create a project."""
        try:
            async with self._conn.transaction():
                return await self._create(new, router_id)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise meaning(error.constraint_name, new) from error

    async def _create(self, new: NewProject, router_id: UUID) -> object:
        conn = self._conn
        if await conn.execute(SILO, new.silo_id) != "UPDATE 1":
            raise meaning(None, new)
        vpc_id = uuid4()
        made = [
            await conn.fetchrow(PROJECT, new.id, new.silo_id, new.name, new.description),
            await conn.fetchrow(VPC, vpc_id, new.id, router_id, "default"),
            await conn.fetchrow(ROUTER, router_id, vpc_id, "system", "system"),
            await conn.fetchrow(SUBNET, uuid4(), vpc_id, "default", BLOCK),
            *[await conn.fetchrow(RULE, *rule) for rule in rules(vpc_id)],
        ]
        if await conn.execute(LIMIT, new.silo_id) != "UPDATE 1":
            raise LookupError("the silo has no limits")
        return made


async def _connect(place: dict[str, Any]) -> Any:
    return await asyncpg.connect(
        host=place["host"],
        port=place.get("port"),
        user=place.get("user"),
        password=place.get("password"),
        database=place.get("dbname"),
        ssl=place.get("sslmode", "prefer"),
        server_settings={"options": place["options"]},
    )
