# SPDX-License-Identifier: MIT
"""What is sent: one round trip for each request, and nothing in between.

A proxy holds answers back until the server has sent all of them, so waiting for a part would hang.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from batchq.bulk import Budget, Deleted, Fenced, start
from batchq.testing import Proxy, Recording, proxy

At = Callable[[int, Callable[[], object]], Callable[[], None]]
BEFORE = ["jobs of another version", "jobs that wait", "estimate", "claim"]
CHUNK = ["BEGIN", "timeout", "chunk", "COMMIT"]
LOOK = ["settings", "lock", "look", "settings put back"]
LAST = ["BEGIN", "timeout", *LOOK, "delete", "done", "COMMIT"]
AFTER = ["jobs that wait", "backlog"]
REQUESTS = len(BEFORE) + 4 + len(["final batch"]) + len(AFTER)


@pytest.fixture
def link(database: str) -> Iterator[Proxy]:
    with proxy(database) as opened:
        yield opened


@pytest.fixture
def recording(link: Proxy) -> Iterator[Recording]:
    with link.record() as opened:
        yield opened


@pytest.fixture
def worker(link: Proxy) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(link.conninfo(), autocommit=True) as opened:
        yield opened


def test_each_request_of_a_worker_is_one_round_trip_and_transaction(
    fenced: Any, link: Proxy, recording: Recording
) -> None:
    asked: list[int] = []

    class Holding(ConnectionPool):
        """A connection is taken for each request."""

        def connection(self, timeout: float | None = None) -> Any:
            asked.append(recording.flights)
            link.hold(syncs=2)
            return super().connection(timeout)

    settings: Any = {"min_size": 1, "max_size": 1, "open": True}
    with Holding(link.conninfo(), **settings) as pool:
        pool.wait()
        report = fenced.resume(pool)
        asked.append(recording.flights)
    assert report.jobs_done == 1
    assert len(asked) == REQUESTS + 1
    assert [after - before for before, after in pairwise(asked)] == [1] * REQUESTS


def test_chunk_is_one_command_and_the_final_batch_the_fewest(
    fenced: Any, worker: Any, recording: Recording
) -> None:
    """The first chunk as the later ones; and nothing else between a claim and the end."""
    seen: list[int] = []
    fenced.resume(worker, throttles=[lambda: seen.append(len(recording.client))])
    steps = [recording.client[one:other] for one, other in pairwise(seen)]
    assert [step.count("E") for step in steps] == [len(CHUNK)] * 4
    assert {step.count("S") for step in steps} == {2}
    last = recording.client[seen[-1] :]
    assert last.count("E") == len(LAST) + len(AFTER) * len(CHUNK)


def test_chunk_on_the_wire_has_one_text_for_any_job_and_size(
    estate: Any, worker: Any, recording: Recording
) -> None:
    """So the server plans it once a connection, when it is prepared: never two of one table."""
    estate.fence(1)
    estate.fence(2)
    estate.resume(worker)
    texts = [
        message.body.split(b"\0")[1]
        for message in recording.messages
        if (message.sender, message.kind) == ("client", "P") and b"batchq_page" in message.body
    ]
    assert len(set(texts)) == 2  # with a cursor and without
    assert all(text.count(b"DELETE FROM") == 1 for text in texts)


def test_estimate_is_requested_once_in_a_jobs_life(
    fenced: Any, worker: Any, recording: Recording
) -> None:
    def explained() -> int:
        return sum(
            b"EXPLAIN" in message.body
            for message in recording.messages
            if message.sender == "client"
        )

    fenced.resume(worker, budget=Budget(chunks=1))
    assert explained() == 1
    fenced.resume(worker, observers=[lambda _event: None])
    assert explained() == 1


@pytest.mark.parametrize(("vpc", "flights"), [(2, 1), (1, 2)], ids=["small", "large"])
def test_small_tree_takes_one_round_trip_and_a_large_one_two(
    estate: Any, worker: Any, recording: Recording, vpc: int, flights: int
) -> None:
    estate.conn.execute("INSERT INTO rule SELECT n, 1 FROM generate_series(1001, 1001) n")
    received = start(worker, estate.tree, vpc, missing=estate.missing())
    assert isinstance(received, Deleted if vpc == 2 else Fenced)
    assert recording.client.count("S") == 2 * flights


def test_worker_without_jobs_sends_few_requests(
    estate: Any, worker: Any, recording: Recording
) -> None:
    estate.resume(worker)
    requests = ["jobs of another version", "jobs that wait", "backlog"]
    assert recording.client.count("S") == 2 * len(requests)
