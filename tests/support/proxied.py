# SPDX-License-Identifier: MIT
"""Flights by way of a proxy: what is sent, and what is received."""

from __future__ import annotations

import select
from contextlib import suppress

import psycopg
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus

# BEGIN, a step, Sync, COMMIT, Sync; unprepared.
REQUESTS = "PBDEPBDESPBDES"
ANSWERS = "12nC12nCZ12nCZ"


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
