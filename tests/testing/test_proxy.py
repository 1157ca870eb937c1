# SPDX-License-Identifier: MIT
"""`proxy()` forwards, records, holds and cuts after an exact message, and never hangs."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus

from batchq.testing import error_response, proxy, server
from tests.support.lock_waits import TIMEOUT

# BEGIN, a step, Sync, COMMIT, Sync; unprepared.
REQUESTS = "PBDEPBDESPBDES"
ANSWERS = "12nC12nCZ12nCZ"


@pytest.fixture(scope="module")
def postgres():
    with server() as running:
        yield running


@pytest.fixture
def link(postgres):
    with proxy(postgres.conninfo()) as running:
        yield running


@pytest.fixture
def conn(link):
    with psycopg.connect(link.conninfo(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def direct(postgres):
    """Connect without the proxy, and create an empty table `t`."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS t; CREATE TABLE t (a int)")
        yield connection


def send(conn, *commands):
    """Send one flight of these commands; "SYNC" is a Sync."""
    conn.pgconn.enter_pipeline_mode()
    for command in commands:
        if command == "SYNC":
            conn.pgconn.pipeline_sync()
        else:
            conn.pgconn.send_query_params(command.encode(), None)


def receive(conn, syncs):
    """Return the answers: command tags, "SYNC", SQLSTATEs, and "LOST" if the connection broke."""
    answers = []
    while answers.count("SYNC") < syncs:
        # Waiting inside get_result() would keep the interpreter's lock, and the proxy from running.
        while conn.pgconn.is_busy():
            select.select([conn.pgconn.socket], [], [])
            with suppress(psycopg.OperationalError):  # comes again, as a result
                conn.pgconn.consume_input()
        result = conn.pgconn.get_result()
        if result is not None:
            answers.append(meaning(result))
        elif conn.pgconn.status == ConnStatus.BAD:
            return answers
    conn.pgconn.exit_pipeline_mode()
    return answers


def meaning(result):
    if result.status == ExecStatus.PIPELINE_SYNC:
        return "SYNC"
    if result.status == ExecStatus.FATAL_ERROR:
        return (result.error_field(DiagnosticField.SQLSTATE) or b"LOST").decode()
    return result.command_status.decode()


def insert(conn):
    send(conn, "BEGIN", "INSERT INTO t VALUES (1)", "SYNC", "COMMIT", "SYNC")
    return receive(conn, syncs=2)


def rows(direct):
    return direct.execute("SELECT count(*) FROM t").fetchone()[0]


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


class TestHold:
    @pytest.mark.usefixtures("direct")
    def test_held_flight_that_needs_no_answer_gets_all_answers(self, link, conn):
        link.hold(syncs=2)
        with link.record() as recording:
            assert insert(conn) == ["BEGIN", "INSERT 0 1", "SYNC", "COMMIT", "SYNC"]
        assert recording.client == REQUESTS
        assert recording.server == ANSWERS
        senders = [message.sender for message in recording.messages]
        assert senders == ["client"] * len(REQUESTS) + ["server"] * len(ANSWERS)
        assert recording.flights == 1

    def test_held_client_that_waits_for_an_answer_gets_an_error(self, postgres):
        with (
            proxy(postgres.conninfo(), timeout=0.05) as link,
            psycopg.connect(link.conninfo(), autocommit=True) as conn,
        ):
            link.hold(syncs=2)
            with pytest.raises(psycopg.OperationalError, match="rest of its flight"):
                conn.execute("SELECT 1")
            assert conn.closed

    def test_hold_applies_to_one_flight_and_can_be_armed_again(self, link, conn):
        for _ in range(2):
            link.hold(syncs=1)
            with link.record() as recording:
                send(conn, "SELECT 1", "SELECT 2", "SYNC")
                assert receive(conn, syncs=1) == ["SELECT 1", "SELECT 1", "SYNC"]
            assert recording.flights == 1
            conn.execute("SELECT 1")

    def test_held_answers_are_delivered_if_the_server_ends_the_session(self, link, conn):
        link.hold(syncs=2)
        send(conn, "SELECT 1", "SYNC", "SELECT pg_terminate_backend(pg_backend_pid())", "SYNC")
        assert receive(conn, syncs=2) == ["SELECT 1", "SYNC", "57P01", "LOST"]

    def test_connection_can_start_while_a_hold_is_armed(self, link):
        link.hold(syncs=1)
        with psycopg.connect(link.conninfo(), autocommit=True) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)


class TestCutAnswers:
    @pytest.mark.parametrize("after", range(len(ANSWERS) + 1))
    def test_client_gets_the_answers_before_the_cut_and_server_did_all(
        self, link, conn, direct, after
    ):
        link.hold(syncs=2)
        link.cut_answers(after=after)
        with link.record() as recording:
            got = insert(conn)
        assert recording.client == REQUESTS
        assert recording.server == ANSWERS[:after]
        whole = iter(["BEGIN", "INSERT 0 1", "SYNC", "COMMIT", "SYNC"])
        expected = [next(whole) for kind in ANSWERS[:after] if kind in "CZ"]
        assert got == expected + ["LOST"] * (expected.count("SYNC") < 2)
        assert rows(direct) == 1
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")

    def test_final_messages_follow_the_last_answer(self, link, conn, direct):
        link.hold(syncs=2)
        link.cut_answers(
            after=ANSWERS.rindex("C") + 1,
            final_messages=error_response(
                "FATAL", "57P01", "going down", detail="soon", constraint_name="k"
            ),
        )
        assert insert(conn) == ["BEGIN", "INSERT 0 1", "SYNC", "COMMIT", "57P01", "LOST"]
        assert rows(direct) == 1

    def test_final_messages_are_an_error_with_all_fields_in_psycopg(self, link, conn):
        link.cut_answers(
            after=0,
            final_messages=error_response("FATAL", "57P01", "bye", detail="d", table_name="t"),
        )
        with pytest.raises(psycopg.errors.AdminShutdown, match="bye") as raised:
            conn.execute("SELECT 1")
        diag = raised.value.diag
        assert (diag.severity, diag.message_detail, diag.table_name) == ("FATAL", "d", "t")

    def test_answers_are_counted_over_flights(self, link, conn):
        with link.record() as recording:
            link.cut_answers(after=len("TDCZ") + 1)
            conn.execute("SELECT 1")
            with pytest.raises(psycopg.OperationalError):
                conn.execute("SELECT 1")
        assert recording.server == "TDCZT"


class TestCutRequests:
    @pytest.mark.parametrize("after", range(len(REQUESTS) + 1))
    def test_server_gets_the_requests_before_the_cut_and_client_nothing(
        self, link, conn, direct, after
    ):
        link.cut_requests(after=after)
        with link.record() as recording:
            got = insert(conn)
        assert recording.client == REQUESTS[:after]
        assert recording.server == ""
        assert got == ["LOST"]
        # COMMIT commits when it is executed, with or without a Sync after it.
        assert rows(direct) == (after > REQUESTS.rindex("E"))

    def test_client_that_sends_too_few_requests_gets_an_error(self, postgres):
        with (
            proxy(postgres.conninfo(), timeout=0.05) as link,
            psycopg.connect(link.conninfo(), autocommit=True) as conn,
        ):
            link.cut_requests(after=2)
            with pytest.raises(psycopg.OperationalError, match="rest of its flight"):
                conn.execute("SELECT 1")


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

    def test_crash_of_the_server_ends_the_clients_connection(self):
        with server() as postgres, proxy(postgres.conninfo()) as link:
            with psycopg.connect(link.conninfo(), autocommit=True) as conn:
                postgres.kill()
                with pytest.raises(psycopg.OperationalError):
                    conn.execute("SELECT 1")
            with pytest.raises(psycopg.OperationalError, match="closed the connection"):
                psycopg.connect(link.conninfo())
            postgres.restart()
            with psycopg.connect(link.conninfo()) as conn:
                assert conn.execute("SELECT 1").fetchone() == (1,)
