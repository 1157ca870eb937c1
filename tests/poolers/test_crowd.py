# SPDX-License-Identifier: MIT
"""Sixteen clients on four servers, a thousand batches and failing ones among them: all right."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from batchq import check, gather, insert, select, sql, update
from batchq.engine.wire.connection_state import state_of
from batchq.result import Ok, attempt

CLIENTS, SERVERS, EACH = 16, 4, 63
"""In all 1,008 batches."""


class TooSmall(Exception):
    """The caller's own error."""


def batch(client: int, n: int):
    """Statements of several kinds; every fifth batch fails in its middle."""
    key = f"{client}-{n}"
    size = 0 if n % 5 == 4 else 1
    made = gather(
        insert("item", {"id": key, "size": size, "name": "007"}).on(
            check("item_size_check"), TooSmall
        ),
        select("item", ["id", "name"], where={"id": key}).maybe(tuple),
        sql("SELECT %(x)s::text || %(n)s::int", x="a", n=n).scalar(str),
    )
    if n % 3 == 0:
        made = gather(made, update("item", {"name": "b"}, where={"id": f"{client}-{n - 1}"}))
    return made, (None, (key, "007"), f"a{n}")


def work(conninfo: str, client: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for n in range(EACH):
            made, expected = batch(client, n)
            answer = attempt(conn, made)
            if n % 5 == 4:
                assert isinstance(answer.error, TooSmall)
                assert (answer.report.index, answer.report.outcome.value) == (0, "rolled_back")
                seen["failed as it should"] += 1
            else:
                assert isinstance(answer, Ok), answer.error
                assert (answer.value[0] if n % 3 == 0 else answer.value) == expected
                seen["succeeded"] += 1
        seen["sent twice"] = state_of(conn).statements._losses
    return seen


def test_crowded_clients_are_right_and_stop_preparing_if_it_keeps_failing(start, lane, conn):
    pooler = start(default_pool_size=SERVERS)
    with ThreadPoolExecutor(CLIENTS) as threads:
        done = [threads.submit(work, pooler.conninfo(), n) for n in range(CLIENTS)]
        seen = sum((one.result() for one in done), Counter())
    print(f"PgBouncer {lane.program}, tracking {lane.tracks}:", dict(seen))  # noqa: T201  the figures, with -s
    failing = len([n for n in range(EACH) if n % 5 == 4]) * CLIENTS
    assert seen["failed as it should"] == failing
    assert seen["succeeded"] == CLIENTS * EACH - failing
    # Each of a client's losses is a batch that was sent once more, and the third is its last.
    assert seen["sent twice"] <= 3 * CLIENTS * (not lane.tracks)
    (rows,) = conn.execute("SELECT count(*) FROM item").fetchone()
    assert rows == seen["succeeded"]
    servers = [one for one in pooler.console("SHOW SERVERS") if one["database"] == "pooled"]
    assert len(servers) == SERVERS


@pytest.mark.parametrize("threshold", [None, 0, 5])
def test_each_prepare_threshold_is_right(start, conn, threshold):
    pooler = start(default_pool_size=2)
    clients = [
        psycopg.connect(pooler.conninfo(), autocommit=True, prepare_threshold=threshold)
        for _ in range(4)
    ]
    for n in range(20):
        for number, client in enumerate(clients):
            made = insert("item", {"id": f"{number}-{n}", "size": 1, "name": "007"})
            assert isinstance(attempt(client, made), Ok)
    for client in clients:
        client.close()
    assert conn.execute("SELECT count(*) FROM item WHERE name = '007'").fetchone() == (80,)
