# SPDX-License-Identifier: MIT
"""A thread that keeps reading a VPC while it is being deleted."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any
from uuid import UUID

import psycopg

from batchq import run
from examples.datastore.errors import NotFound
from examples.datastore.vpc import vpc_view


@contextmanager
def poll_reader(conninfo: str, vpc_id: UUID) -> Generator[list[str]]:
    """Read the number of a VPC's rules repeatedly, and once more at the end.

    :return: the results so far, in order; there is at least one.
    """
    first, over = Event(), Event()
    results: list[str] = []

    def poll() -> None:
        try:
            with psycopg.connect(conninfo, autocommit=True) as conn:
                last = False
                while not last:
                    last = over.is_set()
                    results.append(_read(conn, vpc_id))
                    first.set()
        finally:
            first.set()

    with ThreadPoolExecutor(1) as threads:
        poller = threads.submit(poll)
        first.wait()
        try:
            yield results
        finally:
            over.set()
    poller.result()


def _read(conn: psycopg.Connection[Any], vpc_id: UUID) -> str:
    try:
        view = run(conn, vpc_view(vpc_id))
    except NotFound:
        return "NotFound"
    return f"{view.rules:,} rules"
