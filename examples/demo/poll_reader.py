# SPDX-License-Identifier: MIT
"""A reader in a thread of its own, who keeps asking what is in a VPC that is being deleted."""

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
    """Ask how many rules a VPC has, over and over, and a last time at the end.

    :return: the answers so far, in turn; there is one from the beginning.
    """
    first, over = Event(), Event()
    answers: list[str] = []

    def ask() -> None:
        try:
            with psycopg.connect(conninfo, autocommit=True) as conn:
                last = False
                while not last:
                    last = over.is_set()
                    answers.append(_answer(conn, vpc_id))
                    first.set()
        finally:
            first.set()

    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask)
        first.wait()
        try:
            yield answers
        finally:
            over.set()
    asked.result()


def _answer(conn: psycopg.Connection[Any], vpc_id: UUID) -> str:
    try:
        view = run(conn, vpc_view(vpc_id))
    except NotFound:
        return "NotFound"
    return f"{view.rules:,} rules"
