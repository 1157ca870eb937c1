# SPDX-License-Identifier: MIT
"""Run PostgreSQL and CockroachDB in containers.

Of `testcontainers` only the plain container is used: the command line of its CockroachDB cannot be
changed, and importing that module warns about its own deprecated parts.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager

import psycopg
from docker.errors import DockerException  # type: ignore[import-untyped]  # no stubs are installed
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
    """Check that a Docker engine answers, at the address that testcontainers uses.

    :raises docker.errors.DockerException: no engine answers.
    """
    DockerClient().client.close()


@contextmanager
def postgres_container(settings: Mapping[str, str | int]) -> Generator[str]:
    """Run a PostgreSQL that is not durable, and yield the conninfo of its superuser `postgres`.

    The image is BATCHQ_POSTGRES_IMAGE, or a pinned one.

    :param settings: configuration parameters, added to settings that make it fast.
    :raises RuntimeError: it does not start; the message has the end of its log.
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
    """Run a CockroachDB of one node, in memory, and yield the conninfo of its user `root`.

    Its settings are those that its documentation recommends for tests; they are not meant for
    benchmarks of CockroachDB itself. The image is BATCHQ_COCKROACH_IMAGE, or a pinned one.

    :raises RuntimeError: it does not start; the message has the end of its log.
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
    """Wait until a login from this process succeeds.

    An open port proves nothing: Docker's own proxy accepts connections, and PostgreSQL's image
    first starts a server that it stops again.
    """

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
            raise TimeoutError(f"no login succeeded; the container is {container.status}")


@contextmanager
def _started(container: DockerContainer, port: int, user: str, dbname: str) -> Generator[str]:
    login = _Login(port, user, dbname)
    container.with_exposed_ports(port).waiting_for(login)
    with ExitStack() as stack:
        try:
            stack.enter_context(container)
        # Errors of Docker, testcontainers, a registry or a socket: they have no common base class.
        except Exception as error:
            # testcontainers adds the container's log as a note.
            log = "\n".join(getattr(error, "__notes__", []))[-_LOG_CHARACTERS:]
            raise RuntimeError(
                f"{container.image} did not start: {error}\n{log}".strip()
            ) from error
        yield login.conninfo(container)
