# SPDX-License-Identifier: MIT
"""The server connection is another one than that of the batch before: its prepared statements are
missing, or another client's."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from batchq import check, gather, insert, run, select, sql
from batchq.result import Ok, attempt


class TooSmall(Exception):
    """The caller's own error."""


def backend(client) -> int:
    return client.execute("SELECT pg_backend_pid()", prepare=False).fetchone()[0]


class Two:
    """Two connections to the server, of which one is kept busy, so that the other one is taken."""

    def __init__(self, clients) -> None:
        self._holders = [clients(autocommit=False, prepare_threshold=None) for _ in range(2)]
        self.servers = tuple(map(backend, self._holders))
        self._end()

    def _end(self) -> None:
        for holder in self._holders:
            holder.rollback()

    @contextmanager
    def on(self, server: int):
        """Leave none but this one free."""
        held = {backend(holder): holder for holder in self._holders}
        held[server].rollback()
        try:
            yield
        finally:
            self._end()


@pytest.fixture
def two(clients):
    return Two(clients)


@pytest.fixture(params=[False, True], ids=["first one", "first the other"])
def servers(request, two):
    return two.servers[::-1] if request.param else two.servers


def item(key, *, size=1):
    made = insert("item", {"id": key, "size": size, "name": "007"})
    return made.on(check("item_size_check"), TooSmall)


def test_statement_prepared_on_another_server_connection_is_not_a_failure(
    clients, two, servers, conn
):
    client = clients()
    for n in range(12):
        with two.on(servers[n % 2]):
            assert isinstance(attempt(client, gather(item(f"{n}"), sql("SELECT 1"))), Ok)
    assert conn.execute("SELECT count(*) FROM item WHERE name = '007'").fetchone() == (12,)


def test_statement_prepared_by_another_client_is_not_a_failure(clients, two, servers):
    """The names of both are the same, for so are the statements."""
    for n in range(6):
        client = clients()
        for m in range(4):
            with two.on(servers[m % 2]):
                assert isinstance(attempt(client, gather(item(f"{n}-{m}"), sql("SELECT 1"))), Ok)


def test_second_attempt_reports_what_the_first_would_have(clients, two, servers, conn, lane):
    client = clients()
    with two.on(servers[0]):
        for n in range(3):
            run(client, item(f"{n}"))
    with two.on(servers[1]):
        answer = attempt(client, gather(item("right"), item("wrong", size=0).label("here")))
    assert isinstance(answer.error, TooSmall)
    report = answer.report
    assert (report.path, report.index, report.outcome.value) == ("here", 1, "rolled_back")
    assert report.violation.constraint == "item_size_check"
    assert report.attempts == (1 if lane.tracks else 2)
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (3,)


def test_value_is_not_sent_by_the_type_inferred_for_another_client(clients, two, servers, conn):
    """One prepared on this server before the column became a text; both send the same statement."""
    first, second = servers
    conn.execute("CREATE TABLE code (id int, v int)")

    def code(n):
        return insert("code", {"id": n, "v": "007"})

    with two.on(first):
        run(clients(), code(1))
    conn.execute("ALTER TABLE code ALTER v TYPE text")
    after = clients()
    for n, server in enumerate([second, second, second, first, first, second, first], start=10):
        with two.on(server):
            run(after, code(n))
    rows = select("code", ["v"], where=sql("id >= 10")).all(tuple)
    assert run(after, rows) == [("007",)] * 7
