# SPDX-License-Identifier: MIT
"""Act 4: two hundred concurrent requests, and a limit of fifty."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed

import psycopg
from psycopg_pool import ConnectionPool
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from batchq import run, select
from examples.datastore.datastore import DataStore
from examples.datastore.errors import LimitExceeded
from examples.datastore.models import NewProject, NewSilo
from examples.demo.console import check, console, headline

REQUESTS, LIMIT, CONNECTIONS = 200, 50, 16
_POOL_TIMEOUT = 600
"""Seconds to wait for a connection: there is one for each thread, but a busy machine is slow."""


def race_for_limit(conninfo: str) -> None:
    """Run the requests concurrently, and count those that succeed."""
    headline(4, f"{REQUESTS} requests race for a limit of {LIMIT}, on {CONNECTIONS} connections")
    size = CONNECTIONS
    with ConnectionPool(conninfo, min_size=size, max_size=size, timeout=_POOL_TIMEOUT) as pool:
        store = DataStore(pool)
        silo = NewSilo(name="crowded")
        store.silo_create(silo, projects=LIMIT)
        seen = _race(store, silo)
    with psycopg.connect(conninfo, autocommit=True) as conn:
        counter = select("silo_limits", ["projects_used"], where={"silo_id": silo.id}).scalar(int)
        rows = select("project", ["id"], where={"silo_id": silo.id}).count()
        used, projects = run(conn, counter), run(conn, rows)
    check("requests that succeeded", seen["created"], LIMIT)
    check("requests that were refused", seen["refused"], REQUESTS - LIMIT)
    check("the counter", used, LIMIT)
    check("the projects", projects, LIMIT)
    console.print(
        f"{LIMIT} created, {REQUESTS - LIMIT} times LimitExceeded (HTTP 507); the counter is "
        f"{used}, and there are {projects} projects."
    )


def _race(store: DataStore, silo: NewSilo) -> Counter[str]:
    seen: Counter[str] = Counter()
    columns = TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn()
    with (
        Progress(*columns, console=console) as progress,
        ThreadPoolExecutor(CONNECTIONS) as threads,
    ):
        bars = {
            "created": progress.add_task("[green]created", total=REQUESTS),
            "refused": progress.add_task("[yellow]refused", total=REQUESTS),
        }
        names = [f"project-{number}" for number in range(REQUESTS)]
        for done in as_completed([threads.submit(_create, store, silo, name) for name in names]):
            result = done.result()
            seen[result] += 1
            progress.advance(bars[result])
    return seen


def _create(store: DataStore, silo: NewSilo, name: str) -> str:
    try:
        store.project_create(NewProject(silo_id=silo.id, name=name))
    except LimitExceeded:
        return "refused"
    return "created"
