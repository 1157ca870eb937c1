# SPDX-License-Identifier: MIT
"""PostgreSQL and CockroachDB in containers, for tests of what only the real one can answer.

Needs `testcontainers`. Of it only the plain container is used: its CockroachDB has a command line
that cannot be changed, and its module warns of its own deprecated parts when it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager

import psycopg
from docker.errors import DockerException  # type: ignore[import-untyped]  # and has no stubs here
from psycopg.conninfo import make_conninfo
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient
from testcontainers.core.wait_strategies import WaitStrategy, WaitStrategyTarget

__all__ = ["DockerException", "cockroach_container", "find_docker", "postgres_container"]

# Pinned, so that a run can be repeated. CockroachDB's is of a long-term support release.
_POSTGRES_IMAGE = "postgres:18.4"
_COCKROACH_IMAGE = "cockroachdb/cockroach:v25.4.4"

# The same as the embedded server's, and for the same reasons.
_POSTGRES_SETTINGS: Mapping[str, str | int] = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": 120,
    "max_prepared_transactions": 10,
    "lc_messages": "C",
}
_POSTGRES_ENVIRONMENT = {
    "POSTGRES_HOST_AUTH_METHOD": "trust",
    "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C --no-sync",
}

# CockroachDB's documentation, "Test Your Application Locally": this command line, these settings.
_COCKROACH_COMMAND = [
    "start-single-node",
    "--insecure",
    "--store=type=mem,size=0.25",
    "--advertise-addr=localhost",
]
_COCKROACH_SETTINGS = (
    "SET CLUSTER SETTING kv.range_merge.queue_interval = '50ms'",
    "SET CLUSTER SETTING jobs.registry.interval.gc = '30s'",
    "SET CLUSTER SETTING jobs.registry.interval.cancel = '180s'",
    "SET CLUSTER SETTING jobs.retention_time = '15s'",
    "SET CLUSTER SETTING sql.stats.automatic_collection.enabled = false",
    "SET CLUSTER SETTING kv.range_split.by_load_merge_delay = '5s'",
    'ALTER RANGE default CONFIGURE ZONE USING "gc.ttlseconds" = 600',
    'ALTER DATABASE system CONFIGURE ZONE USING "gc.ttlseconds" = 600',
)

_LOG_CHARACTERS = 4000


def find_docker() -> None:
    """Return when a Docker engine answers; testcontainers says where it looks for one.

    Raises:
        docker.errors.DockerException: none does.
    """
    DockerClient().client.close()


@contextmanager
def postgres_container(settings: Mapping[str, str | int]) -> Generator[str]:
    """Run a PostgreSQL in a container, not durable; yields its conninfo. Superuser `postgres`.

    Args:
        settings: configuration parameters, on top of ones that make it fast.

    Raises:
        RuntimeError: it does not start; carries the end of its log.

    The image is `BATCHQ_POSTGRES_IMAGE`'s where that is set.
    """
    settings = {**_POSTGRES_SETTINGS, **settings}
    container = (
        DockerContainer(os.environ.get("BATCHQ_POSTGRES_IMAGE") or _POSTGRES_IMAGE)
        .with_envs(**_POSTGRES_ENVIRONMENT)
        .with_command(
            [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        )
    )
    with _started(container, port=5432, user="postgres", dbname="postgres") as conninfo:
        yield conninfo


@contextmanager
def cockroach_container() -> Generator[str]:
    """Run a CockroachDB of one node in a container, in memory; yields its conninfo. User `root`.

    It has the settings for tests that its documentation recommends; they are not meant for
    benchmarks of CockroachDB itself.

    Raises:
        RuntimeError: it does not start; carries the end of its log.

    The image is `BATCHQ_COCKROACH_IMAGE`'s where that is set.
    """
    container = DockerContainer(
        os.environ.get("BATCHQ_COCKROACH_IMAGE") or _COCKROACH_IMAGE
    ).with_command(_COCKROACH_COMMAND)
    with _started(container, port=26257, user="root", dbname="defaultdb") as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            for setting in _COCKROACH_SETTINGS:
                conn.execute(setting.encode())
        yield conninfo


class _Login(WaitStrategy):
    """Ready is who lets us in from where the tests are. An open port proves nothing: Docker's own
    proxy answers it, and PostgreSQL's image first starts a server that it stops again."""

    def __init__(self, port: int, user: str, dbname: str) -> None:
        super().__init__()
        self._port, self._user, self._dbname = port, user, dbname

    def conninfo(self, container: WaitStrategyTarget) -> str:
        return make_conninfo(
            host=container.get_container_host_ip(),
            port=container.get_exposed_port(self._port),
            user=self._user,
            dbname=self._dbname,
            sslmode="disable",
        )

    def wait_until_ready(self, container: WaitStrategyTarget) -> None:
        def logged_in() -> bool:
            container.reload()
            if container.status in {"exited", "dead"}:
                raise StopIteration  # ends the polling
            with psycopg.connect(self.conninfo(container), connect_timeout=5):
                return True

        if not self._poll(logged_in, [psycopg.OperationalError]):
            raise TimeoutError(f"it does not let us in, and is {container.status}")


@contextmanager
def _started(container: DockerContainer, port: int, user: str, dbname: str) -> Generator[str]:
    login = _Login(port, user, dbname)
    container.with_exposed_ports(port).waiting_for(login)
    with ExitStack() as stack:
        try:
            stack.enter_context(container)
        # Docker's errors, testcontainers', a registry's, a socket's: there is no base of them.
        except Exception as error:
            # testcontainers adds the container's log as a note.
            log = "\n".join(getattr(error, "__notes__", []))[-_LOG_CHARACTERS:]
            raise RuntimeError(
                f"{container.image} did not start: {error}\n{log}".strip()
            ) from error
        yield login.conninfo(container)
