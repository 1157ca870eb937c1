# SPDX-License-Identifier: MIT
"""The example's tables, with the flows' own beside them, and a service that runs flows on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from attrs import frozen

from batchq import Batch, BatchError, Outcome, run
from batchq.result import Failed, attempt
from batchq.testing import Proxy, proxy
from examples.datastore.models import NewProject, NewSilo, Project, Silo
from examples.datastore.project import project_insert
from examples.datastore.schema import create_tables
from examples.datastore.silo import silo_create

SCHEMA = Path(__file__).with_name("schema.sql")


@frozen
class Service:
    """Runs flows, each on a link that withholds every answer until both Syncs are answered: a flow
    that needs a second flight never ends."""

    conn: psycopg.Connection[Any]
    link: Proxy
    observer: psycopg.Connection[Any]

    def attempt(self, flow: Batch[Any]) -> Any:
        """Attempt a flow in one flight."""
        self.link.hold(syncs=2)
        with self.link.record() as recording:
            answer = attempt(self.conn, flow)
        assert recording.flights == 1, answer
        return answer

    def run(self, flow: Batch[Any]) -> Any:
        """Run a flow that succeeds."""
        answer = self.attempt(flow)
        if isinstance(answer, Failed):
            raise answer.error
        return answer.value

    def refuse(
        self, flow: Batch[Any], error: type[Exception], text: str | None = None, *, at: str
    ) -> BatchError:
        """Run a flow that fails with this error and text, at this step, and applies nothing."""
        before = self.rows()
        answer = self.attempt(flow)
        assert isinstance(answer, Failed)
        assert type(answer.error) is error, answer.report
        assert text is None or str(answer.error) == text
        assert (answer.report.path, answer.report.outcome) == (at, Outcome.ROLLED_BACK)
        assert self.rows() == before
        return answer.report

    def rows(self) -> dict[str, list[str]]:
        """Read all rows of all tables."""
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
        """Run a statement beside the flow."""
        cursor = self.observer.execute(query, values)
        return cursor.fetchall() if cursor.description else []

    def interpose(self, table: str, statement: str) -> None:
        """Run a statement between two steps of a flow: after the first has inserted NEW."""
        self.execute(
            f"""
            CREATE FUNCTION interpose() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN {statement}; RETURN NULL; END$$;
            CREATE TRIGGER interpose AFTER INSERT ON {table}
                FOR EACH ROW EXECUTE FUNCTION interpose();
            """
        )


@pytest.fixture
def service(database, conn) -> Iterator[Service]:
    create_tables(conn)
    conn.execute(SCHEMA.read_bytes())
    with (
        proxy(database) as link,
        psycopg.connect(link.conninfo(), autocommit=True) as through,
    ):
        yield Service(through, link, conn)


@pytest.fixture
def silo(service) -> Silo:
    """Create a silo with a limit of two projects."""
    return run(service.observer, silo_create(NewSilo(name="acme"), projects=2))


@pytest.fixture
def project(service, silo) -> Project:
    """Create an empty project."""
    return run(service.observer, project_insert(NewProject(silo_id=silo.id, name="web")))
