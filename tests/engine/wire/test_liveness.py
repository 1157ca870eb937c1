# SPDX-License-Identifier: MIT
"""A link that was closed while it was idle is found so before anything is written to it; and one
that only has a message pending is used."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import ConnectionPool

import batchq
from batchq import ConnectionFailed, Outcome, sql
from batchq.result import attempt
from batchq.testing import error_response
from tests.support.clients import ITEMS, AsyncClient, SyncClient, item
from tests.support.idle_relay import idle_relay
from tests.support.lock_waits import until_readable

READ = sql("SELECT 1").scalar(int)
OWN = {"source_file": "postgres.c", "source_function": "ProcessInterrupts"}
FATAL = error_response(
    "FATAL", "57P05", "terminating connection due to idle-session timeout", **OWN
)
POOLER = error_response("FATAL", "08P01", "client_idle_timeout")


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (4 + len(body)).to_bytes(4, "big") + body


NOTICE = message(b"N", b"SNOTICE\0VNOTICE\0C00000\0Mby the way\0\0")
SETTING = message(b"S", b"application_name\0renamed\0")
NOTIFICATION = message(b"A", (7).to_bytes(4, "big") + b"news\0read all about it\0")


@pytest.fixture
def link(database, conn):
    conn.execute(ITEMS)
    with idle_relay(database) as link:
        yield link


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def client(request, link):
    with request.param(link.conninfo) as client:
        yield client


ENDS = {
    "hung up": lambda link: link.end_of_file(),
    "reset": lambda link: link.reset(),
    "a farewell": lambda link: link.send_to_client(FATAL),
    "a farewell and hung up": lambda link: (link.send_to_client(FATAL), link.end_of_file()),
    "a pooler's farewell": lambda link: (link.send_to_client(POOLER), link.end_of_file()),
    "news, and hung up": lambda link: (
        link.send_to_client(NOTICE + NOTIFICATION),
        link.end_of_file(),
    ),
}


@pytest.mark.parametrize("options", [{}, {"read_only": True}, {"timeout": 5}, {"nested": True}])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_nothing_is_sent_over_a_link_that_is_closed(link, client, conn, end, options):
    client.run(item(1))
    if options.get("nested"):
        client.execute("BEGIN")
    end(link)
    until_readable(client.conn)
    answer = client.attempt(item(2), **options)
    assert isinstance(answer.error, ConnectionFailed)
    assert answer.outcome is Outcome.NOT_SENT
    assert str(answer.error).endswith("nothing was sent")
    assert answer.report.step is None
    assert isinstance(answer.error.__cause__, psycopg.Error)
    assert client.conn.closed
    assert conn.execute("SELECT id FROM item").fetchall() == [(1,)]


def test_the_servers_farewell_is_in_the_report(link, client):
    link.send_to_client(FATAL)
    until_readable(client.conn)
    report = client.attempt(item(1)).report
    assert report.violation.sqlstate == "57P05"
    assert "idle-session timeout" in str(report)
    assert isinstance(report.__cause__, psycopg.errors.IdleSessionTimeout)


@pytest.mark.parametrize("words", [NOTICE, SETTING, NOTIFICATION, NOTICE * 300 + SETTING])
def test_living_link_with_pending_input_is_used(link, client, words):
    received = []
    client.conn.add_notice_handler(lambda notice: received.append(notice.message_primary))
    client.conn.add_notify_handler(lambda notify: received.append(notify.payload))
    link.send_to_client(words)
    until_readable(client.conn)
    assert client.run(READ) == 1
    if words is SETTING:
        assert client.conn.info.parameter_status("application_name") == "renamed"
    elif words is NOTIFICATION:
        assert received == ["read all about it"]
    else:
        assert received == ["by the way"] * words.count(NOTICE)
    assert client.run(READ) == 1


def test_a_session_that_listens_gets_what_came_while_it_was_idle(client, conn):
    received = []
    client.conn.add_notify_handler(lambda notify: received.append(notify.payload))
    client.execute("LISTEN news")
    conn.execute("NOTIFY news, 'first'")
    until_readable(client.conn)
    assert client.run(READ) == 1
    assert received == ["first"]


def test_link_that_was_opened_again_is_watched_by_its_new_socket(database, conn):
    quiet, peer = socket.socketpair()
    with Path(os.devnull).open():  # so that a lower number is free when the link is opened again
        client = psycopg.connect(database, autocommit=True)
    with client, quiet, peer:
        assert batchq.run(client, READ) == 1
        before = client.pgconn.socket
        client.pgconn.reset()
        assert client.pgconn.socket != before
        os.dup2(quiet.fileno(), before)
        try:
            conn.execute("SELECT pg_terminate_backend(%s, 10000)", [client.pgconn.backend_pid])
            until_readable(client)
            assert attempt(client, READ).outcome is Outcome.NOT_SENT
        finally:
            os.close(before)


def test_the_pools_next_run_gets_another_connection(database, conn):
    conn.execute(ITEMS)
    with ConnectionPool(database, min_size=1, max_size=1) as pool:
        with pool.connection() as first:
            pid = first.info.backend_pid
        conn.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        until_readable(first)
        answer = attempt(pool, item(1))
        assert answer.outcome is Outcome.NOT_SENT
        assert batchq.run(pool, item(2)) is None
    assert conn.execute("SELECT id FROM item").fetchall() == [(2,)]
