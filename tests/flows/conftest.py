# SPDX-License-Identifier: MIT
"""The flows' tables in a schema of the test's own, and a service that runs flows on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from attrs import frozen

from batchq import Batch, BatchError, Outcome, gather, run
from batchq.result import Failed, attempt
from batchq.testing import Proxy, proxy
from tests.flows.datastore.project import NewProject, Project, collection_insert, project_insert

SCHEMA = Path(__file__).with_name("datastore") / "schema.sql"


@frozen
class Service:
    """Runs flows, each on a link that withholds every answer until both Syncs are answered: what
    needs a second flight gets none."""

    conn: psycopg.Connection[Any]
    link: Proxy
    observer: psycopg.Connection[Any]

    def attempt(self, flow: Batch[Any]) -> Any:
        """Attempt a flow in one flight."""
        self.link.hold(syncs=2)
        with self.link.record() as recording:
            answer = attempt(self.conn, flow)
        assert recording.flights == 1
        return answer

    def run(self, flow: Batch[Any]) -> Any:
        """Run a flow that succeeds."""
        answer = self.attempt(flow)
        if isinstance(answer, Failed):
            raise answer.error
        return answer.value

    def refuse(
        self, flow: Batch[Any], error: type[Exception], says: str | None = None, *, at: str
    ) -> BatchError:
        """Run a flow that fails, with this error and text, at this step, and keeps nothing."""
        before = self.rows()
        answer = self.attempt(flow)
        assert isinstance(answer, Failed)
        assert type(answer.error) is error, answer.report
        assert says is None or str(answer.error) == says
        assert (answer.report.path, answer.report.outcome) == (at, Outcome.ROLLED_BACK)
        assert self.rows() == before
        return answer.report

    def rows(self) -> dict[str, list[str]]:
        """Read everything that is in all tables."""
        tables = [
            name
            for (name,) in self.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            )
        ]
        return {
            name: sorted(row for (row,) in self.execute(f"SELECT t::text FROM {name} AS t"))
            for name in tables
        }

    def execute(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Set the scene, or look, beside the flow."""
        cursor = self.observer.execute(query, values)
        return cursor.fetchall() if cursor.description else []

    def meddle(self, table: str, statement: str) -> None:
        """Let something come between two steps: what runs when the first has inserted NEW."""
        self.execute(
            f"""
            CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN {statement}; RETURN NULL; END$$;
            CREATE TRIGGER meddle AFTER INSERT ON {table}
                FOR EACH ROW EXECUTE FUNCTION meddle();
            """
        )


@pytest.fixture
def service(database, conn) -> Iterator[Service]:
    conn.execute(SCHEMA.read_bytes())
    with (
        proxy(database) as link,
        psycopg.connect(link.conninfo(), autocommit=True) as through,
    ):
        yield Service(through, link, conn)


@pytest.fixture
def silo(service) -> UUID:
    """A silo with room for two projects."""
    silo_id = uuid4()
    service.execute("INSERT INTO silo (id, name) VALUES (%s, 'acme')", silo_id)
    service.execute("INSERT INTO limits (silo_id, max_nprojects) VALUES (%s, 2)", silo_id)
    return silo_id


@pytest.fixture
def project(service, silo) -> Project:
    """A project with nothing in it."""
    new = NewProject(silo_id=silo, name="web")
    return run(service.observer, gather(project_insert(new), collection_insert(new.id)))[0]
