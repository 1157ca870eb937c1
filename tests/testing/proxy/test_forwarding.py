# SPDX-License-Identifier: MIT
"""A proxy forwards and records every message."""

from __future__ import annotations

import socket
import threading

import psycopg
import pytest

from batchq.testing import proxy


class TestForwarding:
    @pytest.mark.parametrize("tcp", [False, True])
    def test_query_and_answer_are_forwarded(self, postgres, tcp):
        with (
            proxy(postgres.conninfo(tcp=tcp)) as link,
            psycopg.connect(link.conninfo()) as conn,
        ):
            assert conn.execute("SELECT repeat('x', 1000000)").fetchone() == ("x" * 1_000_000,)

    def test_conninfo_has_the_proxys_address_only(self):
        with proxy("host=localhost hostaddr=127.0.0.1 port=1 user=u") as link:
            found = psycopg.conninfo.conninfo_to_dict(link.conninfo())
        assert (found["host"], found["user"]) == ("127.0.0.1", "u")
        assert found["port"] != "1"
        assert "hostaddr" not in found

    def test_conninfo_parameters_override_the_servers(self, link):
        with psycopg.connect(link.conninfo(dbname="template1", application_name="me")) as conn:
            assert conn.info.dbname == "template1"
            assert conn.execute("SHOW application_name").fetchone() == ("me",)

    def test_several_clients_are_served_at_once(self, link):
        with (
            psycopg.connect(link.conninfo()) as one,
            psycopg.connect(link.conninfo()) as two,
            link.record() as recording,
        ):
            one.execute("SELECT pg_advisory_xact_lock(1)")
            blocked = threading.Thread(target=two.execute, args=["SELECT pg_advisory_xact_lock(1)"])
            blocked.start()
            one.execute("SELECT 1")
            one.commit()
            blocked.join()
        assert {message.connection for message in recording.messages} == {0, 1}

    def test_delayed_answer_is_unchanged(self, postgres):
        with (
            proxy(postgres.conninfo(), rtt=0.01) as link,
            psycopg.connect(link.conninfo(), autocommit=True) as conn,
            link.record() as recording,
        ):
            fetched = conn.execute("SELECT i FROM generate_series(1, 5000) i").fetchall()
            assert [i for (i,) in fetched] == list(range(1, 5001))
        assert recording.server == "T" + "D" * 5000 + "CZ"

    def test_cancel_request_reaches_the_server(self, link, conn):
        running = threading.Event()
        conn.add_notice_handler(lambda _: running.set())
        errors = []

        def sleep():
            try:
                conn.execute("DO $$BEGIN RAISE NOTICE 'running'; PERFORM pg_sleep(100); END$$")
            except psycopg.Error as error:
                errors.append(error)

        thread = threading.Thread(target=sleep)
        with link.record() as recording:
            thread.start()
            running.wait()
            conn.cancel_safe()
            thread.join()
        assert [type(error) for error in errors] == [psycopg.errors.QueryCanceled]
        assert [m.kind for m in recording.messages if m.connection == 1] == ["cancel"]
        assert conn.execute("SELECT 1").fetchone() == (1,)

    def test_encryption_is_declined_and_the_startup_continues(self, link):
        address = ("127.0.0.1", int(psycopg.conninfo.conninfo_to_dict(link.conninfo())["port"]))
        with socket.create_connection(address) as client:
            for code in (80877103, 80877104):  # SSLRequest, GSSENCRequest
                client.sendall(b"\0\0\0\x08" + code.to_bytes(4, "big"))
                assert client.recv(10) == b"N"
            start = (196608).to_bytes(4, "big") + b"user\0postgres\0\0"
            client.sendall((len(start) + 4).to_bytes(4, "big") + start)
            assert client.recv(9, socket.MSG_WAITALL) == b"R\0\0\0\x08\0\0\0\0"

    def test_connection_with_another_protocol_is_closed(self, link):
        address = ("127.0.0.1", int(psycopg.conninfo.conninfo_to_dict(link.conninfo())["port"]))
        with socket.create_connection(address) as client:
            client.sendall(b"GET ")
            assert client.recv(10) == b""

    def test_conninfo_without_a_host_is_rejected(self):
        with pytest.raises(ValueError, match="host"), proxy("dbname=x"):
            pass


class TestRecording:
    def test_statement_is_recorded_with_exact_sizes(self, link, conn):
        link.hold(syncs=1)
        with link.record() as recording:
            conn.execute("SELECT %s::text", ["secret"])
        conn.execute("SELECT 1")
        assert recording.client == "PBDES"
        assert recording.server == "12TDCZ"
        assert recording.flights == 1
        assert recording.bytes_received == sum(
            5 + len(m.body) for m in recording.messages if m.sender == "server"
        )
        parse = recording.messages[0]
        assert (parse.sender, parse.kind, parse.size) == ("client", "P", 5 + len(parse.body))
        assert b"SELECT $1::text" in parse.body
        assert "secret" not in repr(recording.messages)

    def test_connection_is_recorded_from_startup_to_terminate(self, link):
        with link.record() as recording, psycopg.connect(link.conninfo()):
            pass
        assert recording.messages[0].kind == "startup"
        assert recording.server[0] == "R"
        assert recording.server[-1] == "Z"
        assert b"postgres" in recording.messages[0].body
        assert recording.messages[0].size == 4 + len(recording.messages[0].body)

    def test_another_round_trip_is_another_flight(self, link, conn):
        with link.record() as recording:
            conn.execute("SELECT 1")
            conn.execute("SELECT 1")
        assert recording.client == "QQ"
        assert recording.flights == 2
