# SPDX-License-Identifier: MIT
"""A proxy holds a flight and cuts it after an exact message."""

from __future__ import annotations

import psycopg
import pytest

from batchq.testing import error_response, proxy
from tests.support.proxied import ANSWERS, REQUESTS, insert, receive, rows, send


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
