# SPDX-License-Identifier: MIT
"""A proxy falls silent after an exact message, and never hangs."""

from __future__ import annotations

import select
import socket
import threading

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from batchq.testing import proxy, server
from tests.support.lock_waits import TIMEOUT
from tests.support.proxied import ANSWERS, REQUESTS, insert, receive, rows, send


class TestSilence:
    """Nothing more is forwarded, and neither side gets an end of file."""

    def test_client_gets_the_answers_before_the_silence(self, link, conn, direct):
        link.hold(syncs=2)
        link.silence_answers(after=3)
        with link.record() as recording:
            send(conn, "BEGIN", "INSERT INTO t VALUES (1)", "SYNC", "COMMIT", "SYNC")
            conn.pgconn.flush()
            assert link.silenced.wait(TIMEOUT)
        assert (recording.client, recording.server) == (REQUESTS, ANSWERS[:3])
        assert direct.execute("SELECT count(*) FROM t").fetchone() == (1,)
        conn.close()

    @pytest.mark.usefixtures("direct")
    @pytest.mark.parametrize("after", [0, len("PBDE"), len(REQUESTS)])
    def test_server_gets_the_requests_before_the_silence(self, link, conn, after):
        link.silence_requests(after=after)
        with link.record() as recording:
            send(conn, "BEGIN", "INSERT INTO t VALUES (1)", "SYNC", "COMMIT", "SYNC")
            conn.pgconn.flush()
            assert link.silenced.wait(TIMEOUT)
        assert (recording.client, recording.server) == (REQUESTS[:after], "")
        conn.close()

    def test_silence_covers_other_connections_until_resume_forwarding(self, link, conn):
        parameters = conninfo_to_dict(link.conninfo())
        address = parameters["host"], int(parameters["port"])
        with psycopg.connect(link.conninfo(), autocommit=True) as other:
            link.silence_answers(after=0)
            conn.pgconn.send_query(b"SELECT 1")
            assert link.silenced.wait(TIMEOUT)
            with socket.create_connection(address) as meanwhile:
                meanwhile.sendall((8).to_bytes(4, "big") + (80877103).to_bytes(4, "big"))
                # The answer to a TLS request is sent before the startup.
                assert meanwhile.recv(1) == b"N"
                other.pgconn.send_query(b"SELECT 1")
                link.resume_forwarding()
                assert not link.silenced.is_set()
                with psycopg.connect(link.conninfo(), autocommit=True) as new:
                    assert new.execute("SELECT 1").fetchone() == (1,)
                meanwhile.sendall((8).to_bytes(4, "big") + (3 << 16).to_bytes(4, "big"))
                readable, _, _ = select.select([conn, other, meanwhile], (), (), 0.1)
                assert not readable
            other.close()
        conn.close()


class TestArming:
    def test_fault_applies_to_one_connection_only(self, link, direct):
        link.cut_requests(after=0)
        with psycopg.connect(link.conninfo(), autocommit=True) as conn:
            assert insert(conn) == ["LOST"]
        with psycopg.connect(link.conninfo(), autocommit=True) as conn:
            assert insert(conn)[-2:] == ["COMMIT", "SYNC"]
        assert rows(direct) == 1

    def test_fault_applies_to_the_connection_that_sends_next(self, link, conn):
        with psycopg.connect(link.conninfo(), autocommit=True) as other:
            link.cut_requests(after=0)
            with pytest.raises(psycopg.OperationalError):
                other.execute("SELECT 1")
        assert conn.execute("SELECT 1").fetchone() == (1,)

    def test_terminate_takes_no_fault(self, link, conn):
        before = set(threading.enumerate())
        with psycopg.connect(link.conninfo()):
            link.cut_requests(after=0)
            threads = set(threading.enumerate()) - before
        for thread in threads:
            thread.join()
        with link.record() as recording, pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
        assert recording.client == ""

    def test_startup_with_a_password_takes_no_fault(self):
        with server() as postgres:
            with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
                admin.execute("CREATE ROLE guarded LOGIN PASSWORD 'guarded'")
            hba = postgres.directory / "data" / "pg_hba.conf"
            hba.write_text(f"local all guarded scram-sha-256\n{hba.read_text()}")
            postgres.restart()
            with proxy(postgres.conninfo()) as link:
                link.cut_requests(after=0)
                with (
                    psycopg.connect(link.conninfo(user="guarded", password="guarded")) as conn,
                    pytest.raises(psycopg.OperationalError),
                ):
                    conn.execute("SELECT 1")


class TestEnding:
    def test_all_threads_and_connections_end_with_the_block(self, postgres):
        before = threading.active_count()
        with proxy(postgres.conninfo()) as link:
            conn = psycopg.connect(link.conninfo())
            link.hold(syncs=2)
            send(conn, "SELECT 1", "SYNC")  # its answer is held
        assert threading.active_count() == before
        with conn:
            assert receive(conn, syncs=1) == ["LOST"]

    def test_client_that_does_not_read_does_not_block_the_end(self, postgres):
        before = threading.active_count()
        with proxy(postgres.conninfo()) as link:
            deaf = psycopg.connect(link.conninfo())
            deaf.pgconn.send_query(b"SELECT repeat('x', 100000000)")
            deaf.pgconn.flush()
            with psycopg.connect(link.conninfo()) as conn:
                assert conn.execute("SELECT 1").fetchone() == (1,)
        assert threading.active_count() == before
        deaf.close()

    def test_threads_of_a_disconnected_client_end(self, postgres):
        with proxy(postgres.conninfo()) as link:
            before = set(threading.enumerate())
            conn = psycopg.connect(link.conninfo())
            threads = set(threading.enumerate()) - before
            assert len(threads) == 4
            conn.close()
            for thread in threads:
                thread.join(TIMEOUT)
                assert not thread.is_alive()

    def test_crash_of_the_server_ends_the_clients_connection(self, postgres):
        with proxy(postgres.conninfo()) as link:
            with psycopg.connect(link.conninfo(), autocommit=True) as conn:
                postgres.kill()
                with pytest.raises(psycopg.OperationalError):
                    conn.execute("SELECT 1")
            with pytest.raises(psycopg.OperationalError, match="closed the connection"):
                psycopg.connect(link.conninfo())
            postgres.restart()
            with psycopg.connect(link.conninfo()) as conn:
                assert conn.execute("SELECT 1").fetchone() == (1,)
