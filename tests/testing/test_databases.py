# SPDX-License-Identifier: MIT
"""`database()`: each database starts or is found, reports why it cannot be used, and is stopped."""

from __future__ import annotations

import sys

import psycopg
import pytest
from docker.errors import APIError, DockerException
from testcontainers.core import container
from testcontainers.core.config import testcontainers_config

from batchq.testing import containers, installations
from batchq.testing.databases import DatabaseUnavailable, database, kind_of
from tests.support.fake_services import FakeDocker, fake_cockroach

REMOVED = ["removed, force True, volumes True", "client closed"]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in (
        *("DATABASE_URL", "PGHOST", "PGPORT", "BATCHQ_COCKROACH_URL"),
        *("BATCHQ_POSTGRES_IMAGE", "BATCHQ_COCKROACH_IMAGE"),
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def docker(monkeypatch):
    """Make a fake Docker engine; its containers are the server that listens on this port."""
    monkeypatch.setattr(testcontainers_config, "_ryuk_disabled", True)
    monkeypatch.setattr(testcontainers_config, "sleep_time", 0.001)

    def make(port=0, *, status="running", trouble=None):
        docker_engine = FakeDocker(port, status, trouble)
        for module in (container, containers):
            monkeypatch.setattr(module, "DockerClient", docker_engine)
        return docker_engine

    return make


@pytest.fixture
def no_docker(monkeypatch):
    def refuse():
        raise DockerException("Error while fetching\nserver API version")

    monkeypatch.setattr(containers, "DockerClient", refuse)


def url_of(running):
    return f"postgresql://postgres@127.0.0.1:{running.port}/postgres"


def answers(running, *, tcp=False):
    with psycopg.connect(running.conninfo(tcp=tcp)) as conn:
        return conn.execute("SELECT inet_server_addr() IS NOT NULL").fetchone() == (tcp,)


class TestEmbedded:
    def test_server_starts_and_stops(self):
        with database() as running:
            assert (running.name, running.kind) == ("embedded", "PostgreSQL")
            assert running.version // 10_000 == 18
            assert answers(running)
            assert answers(running, tcp=True)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(running.conninfo())

    @pytest.mark.parametrize("name", [name for name in installations() if name != "18"])
    def test_installation_and_settings_can_be_chosen(self, name):
        with (
            database("embedded", installation=name, settings={"autovacuum": "off"}) as running,
            psycopg.connect(running.conninfo()) as conn,
        ):
            assert running.installation == name
            assert running.version // 10_000 == int(name)
            assert conn.execute("SHOW autovacuum").fetchone() == ("off",)


class TestUrl:
    def test_existing_server_is_used_and_keeps_running(self, postgres, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", postgres.conninfo(tcp=True))
        with database("url", installation="16") as running:
            assert running.kind == kind_of("url") == postgres.kind
            assert running.version == postgres.version
            assert running.installation == "16"
        psycopg.connect(running.conninfo()).close()

    def test_conninfo_has_the_host_that_the_url_lacks(self, monkeypatch, restartable):
        monkeypatch.setenv("PGHOST", str(restartable.socket_directory))
        monkeypatch.setenv("PGPORT", str(restartable.port))
        monkeypatch.setenv("DATABASE_URL", "postgresql://postgres@/postgres")
        with database("url") as running:
            monkeypatch.delenv("PGHOST")
            monkeypatch.delenv("PGPORT")
            assert answers(running)

    @pytest.mark.parametrize("empty", [True, False])
    def test_unset_variable_is_named(self, empty, monkeypatch):
        if empty:
            monkeypatch.setenv("DATABASE_URL", "")
        with pytest.raises(ValueError, match="not set: write DATABASE_URL=postgresql:"):
            kind_of("url")

    def test_malformed_url_is_not_shown(self, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://me:secret@host/database")
        with pytest.raises(ValueError, match="DATABASE_URL is not a connection string") as raised:
            kind_of("url")
        assert "secret" not in str(raised.value)
        assert raised.value.__suppress_context__

    def test_password_is_not_in_repr(self, monkeypatch, restartable):
        monkeypatch.setenv("DATABASE_URL", f"{url_of(restartable)}?password=secret")
        with database("url") as running:
            assert "secret" in running.conninfo()
            assert "secret" not in repr(running)

    def test_unreachable_server_is_an_error_and_not_a_skip(self, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/postgres")
        with pytest.raises(psycopg.OperationalError, match="refused"):
            kind_of("url")


class TestExistingCockroach:
    def test_cockroachdb_is_recognized(self, monkeypatch):
        with fake_cockroach() as cockroach:
            monkeypatch.setenv("BATCHQ_COCKROACH_URL", cockroach.url)
            with database("cockroach") as running:
                assert running.kind == kind_of("cockroach") == "CockroachDB"
                assert running.version == 250404
            assert cockroach.sent == []  # no setting is changed

    def test_postgresql_is_rejected(self, monkeypatch, restartable):
        monkeypatch.setenv("BATCHQ_COCKROACH_URL", url_of(restartable))
        with pytest.raises(ValueError, match=r"BATCHQ_COCKROACH_URL is .* a PostgreSQL"):
            kind_of("cockroach")


class TestWithoutDocker:
    @pytest.mark.usefixtures("no_docker")
    @pytest.mark.parametrize("name", ["postgres", "cockroach"])
    def test_missing_docker_is_reported_in_one_line(self, name):
        with pytest.raises(DatabaseUnavailable) as raised, database(name):
            pass
        assert str(raised.value).startswith(
            "a container needs a Docker engine, and none answers "
            "(Error while fetching server API version)"
        )

    @pytest.mark.usefixtures("no_docker")
    def test_existing_cockroachdb_is_suggested(self):
        with pytest.raises(DatabaseUnavailable, match=r"; or set BATCHQ_COCKROACH_URL$"):
            kind_of("cockroach")

    def test_missing_testcontainers_is_named(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "batchq.testing.containers")
        monkeypatch.delattr("batchq.testing.containers")
        monkeypatch.setitem(sys.modules, "testcontainers.core.container", None)
        with pytest.raises(DatabaseUnavailable, match=r"needs testcontainers: .*testcontainers"):
            kind_of("postgres")

    @pytest.mark.usefixtures("no_docker")
    def test_embedded_and_url_do_not_need_docker(self, monkeypatch, postgres):
        monkeypatch.setenv("DATABASE_URL", postgres.conninfo(tcp=True))
        assert kind_of("embedded") == "PostgreSQL"
        assert kind_of("url") == postgres.kind

    def test_unknown_name_lists_the_known_ones(self):
        with (
            pytest.raises(ValueError, match="'mysql'; use one of: embedded, postgres, cockroach"),
            database("mysql"),
        ):
            pass


class TestPostgresContainer:
    def test_container_has_fast_settings_and_a_pinned_version(self, docker, restartable):
        docker_engine = docker(restartable.port)
        with database("postgres", settings={"autovacuum": "off", "fsync": "on"}) as running:
            assert running.kind == "PostgreSQL"
            assert running.version == restartable.version
            assert answers(running, tcp=True)
            assert running.conninfo() == running.conninfo(tcp=True)
        (created,) = docker_engine.created
        assert created["image"] == "postgres:18.4"
        assert created["environment"]["POSTGRES_HOST_AUTH_METHOD"] == "trust"
        assert "--locale=C" in created["environment"]["POSTGRES_INITDB_ARGS"]
        assert list(created["ports"]) == ["5432"]
        assert " ".join(created["command"]) == (
            "-c fsync=on -c full_page_writes=off -c max_connections=120 "
            "-c max_prepared_transactions=10 -c lc_messages=C -c autovacuum=off"
        )
        assert "port 5432" in docker_engine.events
        assert docker_engine.events[-2:] == REMOVED

    def test_image_can_be_chosen(self, docker, monkeypatch, restartable):
        monkeypatch.setenv("BATCHQ_POSTGRES_IMAGE", "postgres:15")
        docker_engine = docker(restartable.port)
        with database("postgres"):
            pass
        assert docker_engine.created[0]["image"] == "postgres:15"

    def test_container_is_removed_if_the_block_raises(self, docker, restartable):
        docker_engine = docker(restartable.port)
        with pytest.raises(KeyboardInterrupt), database("postgres"):
            raise KeyboardInterrupt
        assert docker_engine.events[-2:] == REMOVED


class TestCockroachContainer:
    def test_container_is_one_node_in_memory_with_settings_for_tests(self, docker):
        with fake_cockroach() as inside:
            docker_engine = docker(inside.port)
            with database("cockroach") as running:
                assert running.kind == "CockroachDB"
                assert inside.sent == [
                    "SET CLUSTER SETTING kv.range_merge.queue_interval = '50ms'",
                    "SET CLUSTER SETTING jobs.registry.interval.gc = '30s'",
                    "SET CLUSTER SETTING jobs.registry.interval.cancel = '180s'",
                    "SET CLUSTER SETTING jobs.retention_time = '15s'",
                    "SET CLUSTER SETTING sql.stats.automatic_collection.enabled = false",
                    "SET CLUSTER SETTING kv.range_split.by_load_merge_delay = '5s'",
                    'ALTER RANGE default CONFIGURE ZONE USING "gc.ttlseconds" = 600',
                    'ALTER DATABASE system CONFIGURE ZONE USING "gc.ttlseconds" = 600',
                ]
        (created,) = docker_engine.created
        assert created["image"] == "cockroachdb/cockroach:v25.4.4"
        assert created["command"] == [
            "start-single-node",
            "--insecure",
            "--store=type=mem,size=0.25",
            "--advertise-addr=localhost",
        ]
        assert list(created["ports"]) == ["26257"]
        assert {(session["user"], session["database"]) for session in inside.sessions} == {
            ("root", "defaultdb")
        }
        assert docker_engine.events[-2:] == REMOVED

    def test_image_can_be_chosen(self, docker, monkeypatch):
        monkeypatch.setenv("BATCHQ_COCKROACH_IMAGE", "cockroachdb/cockroach:v26.2.0")
        with fake_cockroach() as inside:
            docker_engine = docker(inside.port)
            with database("cockroach"):
                pass
        assert docker_engine.created[0]["image"] == "cockroachdb/cockroach:v26.2.0"

    def test_login_is_retried_until_it_succeeds(self, docker):
        with fake_cockroach(refusals=3) as inside:
            docker_engine = docker(inside.port)
            with database("cockroach") as running:
                assert running.kind == "CockroachDB"
        assert docker_engine.events.count("started") == 1

    @pytest.mark.parametrize("status", ["exited", "dead"])
    def test_ended_container_is_reported_with_its_log_and_removed(self, docker, status):
        docker_engine = docker(status=status)
        with (
            pytest.raises(RuntimeError, match=rf"v25.4.4 did not start: .*{status}") as raised,
            database("cockroach"),
        ):
            pass
        assert "what the server logged last" in str(raised.value)
        assert docker_engine.events == ["client closed", "started", "looked at", *REMOVED]

    def test_missing_image_is_named(self, docker):
        docker_engine = docker(trouble=APIError("no such image"))
        with (
            pytest.raises(RuntimeError, match=r"cockroach:v25.4.4 did not start: no such image"),
            database("cockroach"),
        ):
            pass
        assert docker_engine.created == []
        assert docker_engine.events[-1] == "client closed"
