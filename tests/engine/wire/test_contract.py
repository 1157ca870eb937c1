# SPDX-License-Identifier: MIT
"""What the engine needs of psycopg, pinned: a release that changes it fails here, and says where.

Some of it is public, some only spelled without an underscore (``Connection.lock``,
``psycopg.waiting``); see docs/adr for why the wire leans on it all the same.
"""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg import errors, waiting
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, PipelineStatus, TransactionStatus
from psycopg.types.numeric import Int8
from psycopg.waiting import Ready, Wait
from psycopg_pool import (
    AsyncConnectionPool,
    AsyncNullConnectionPool,
    ConnectionPool,
    NullConnectionPool,
)

from batchq.running.pool_checkout import may_stall
from batchq.testing import proxy
from tests.support.clients import prepared


@pytest.fixture(params=["sync", "async"])
def wait(request, database):
    """Drive a generator by psycopg's ``wait`` or ``wait_async``; and the connection."""
    if request.param == "sync":
        with psycopg.connect(database, autocommit=True) as conn:
            yield lambda gen, interval=0.1: waiting.wait(gen, conn.pgconn.socket, interval), conn
        return

    async def await_(gen, interval):
        async with conn.lock:
            return await waiting.wait_async(gen, conn.pgconn.socket, interval)

    with asyncio.Runner() as loop:
        conn = loop.run(psycopg.AsyncConnection.connect(database, autocommit=True))
        yield lambda gen, interval=0.1: loop.run(await_(gen, interval)), conn
        loop.run(conn.close())


def meaning(result):
    return None if result is None else ExecStatus(result.status).name


class TestWaiting:
    def test_generator_is_sent_what_is_ready_and_returns_its_value(self, wait):
        wait, conn = wait

        def ask():
            conn.pgconn.send_query(b"SELECT 1")
            while conn.pgconn.flush():
                yield Wait.RW
            ready = yield Wait.R
            while conn.pgconn.get_result():
                pass
            return ready

        assert wait(ask()) & Ready.R

    def test_a_socket_that_can_be_written_to_is_reported_so(self, wait):
        wait, _ = wait

        def write():
            return (yield Wait.RW)

        ready = wait(write())
        assert ready
        assert not ready & Ready.R

    def test_nothing_ready_after_the_interval_is_falsy(self, wait):
        wait, _ = wait

        def listen():
            return (yield Wait.R)

        assert not wait(listen(), interval=0.001)

    def test_a_generator_that_is_left_can_be_driven_on(self, wait):
        wait, _ = wait

        def two():
            first = yield Wait.R
            second = yield Wait.RW
            return bool(first), bool(second)

        driven = two()

        def one_step():
            yield next(driven)

        wait(one_step(), interval=0.001)
        assert wait(driven) == (False, True)

    def test_generator_without_a_yield_does_not_wait(self, wait):
        wait, _ = wait

        def nothing():
            return 42
            yield

        assert wait(nothing()) == 42

    def test_an_error_in_the_generator_comes_out_as_it_is(self, wait):
        wait, _ = wait

        def fail():
            raise psycopg.OperationalError("mine")
            yield

        with pytest.raises(psycopg.OperationalError, match="mine"):
            wait(fail())

    def test_the_lock_of_a_connection_is_a_context_manager(self, conn):
        with conn.lock:
            assert conn.lock.locked()
        assert not conn.lock.locked()

    def test_connection_knows_how_to_begin_and_what_to_prepare(self, wait):
        _, conn = wait
        assert (conn.isolation_level, conn.read_only, conn.deferrable) == (None, None, None)
        assert (conn.prepare_threshold, conn.prepared_max) == (5, 100)


class TestPipelining:
    """On ``Connection.pgconn``; every getter blocks here, where the wire waits."""

    @pytest.fixture
    def pg(self, conn):
        pg = conn.pgconn
        pg.enter_pipeline_mode()
        return pg

    def results(self, pg, syncs):
        """Every result as its status, None included, until so many Syncs are answered."""
        while pg.flush():
            pass
        found = []
        while found.count("PIPELINE_SYNC") < syncs:
            found.append(meaning(pg.get_result()))
        return found

    def test_each_command_has_one_result_and_a_none_and_a_sync_has_no_none(self, pg):
        pg.send_query_params(b"SELECT $1::int8", [b"1"], [20], [0])
        pg.send_prepare(b"batchq_x", b"SELECT $1", [20])
        pg.send_query_prepared(b"batchq_x", [b"2"], [0])
        pg.pipeline_sync()
        pg.pipeline_sync()
        assert self.results(pg, 2) == [
            *("TUPLES_OK", None, "COMMAND_OK", None, "TUPLES_OK", None),
            *("PIPELINE_SYNC", "PIPELINE_SYNC"),
        ]
        pg.exit_pipeline_mode()
        assert pg.pipeline_status == PipelineStatus.OFF
        assert pg.transaction_status == TransactionStatus.IDLE

    def test_an_error_is_followed_by_aborted_slots_up_to_the_sync(self, pg):
        for sql in (b"BEGIN", b"SELECT 1/0", b"SELECT 1"):
            pg.send_query_params(sql, None)
        pg.pipeline_sync()
        pg.send_query_params(b"COMMIT", None)
        pg.pipeline_sync()
        while pg.flush():
            pass
        found = [pg.get_result() for _ in range(10)]
        assert list(map(meaning, found)) == [
            *("COMMAND_OK", None, "FATAL_ERROR", None, "PIPELINE_ABORTED", None, "PIPELINE_SYNC"),
            *("COMMAND_OK", None, "PIPELINE_SYNC"),
        ]
        assert found[7].command_status == b"ROLLBACK"
        pg.exit_pipeline_mode()

    def test_a_closed_statement_is_answered_like_a_command(self, pg, conn):
        pg.send_prepare(b"batchq_x", b"SELECT 1")
        if psycopg.capabilities.has_send_close_prepared():
            pg.send_close_prepared(b"batchq_x")
        else:
            pg.send_query_params(b"DEALLOCATE batchq_x", None)
        pg.pipeline_sync()
        assert self.results(pg, 1) == ["COMMAND_OK", None, "COMMAND_OK", None, "PIPELINE_SYNC"]
        pg.exit_pipeline_mode()
        assert not prepared(conn)

    def test_send_does_not_block_and_flush_returns_what_is_left(self, pg, observer):
        # The server reads nothing while it waits for a lock.
        observer.execute("SELECT pg_advisory_lock(1)")
        pg.send_query_params(b"SELECT pg_advisory_lock(1)", None)
        pg.send_query_params(b"SELECT length($1)", [b"x" * 20_000_000], [25], [0])
        pg.pipeline_sync()
        assert pg.flush() == 1
        assert pg.is_busy()
        observer.execute("SELECT pg_advisory_unlock(1)")
        answers = ["TUPLES_OK", None, "TUPLES_OK", None, "PIPELINE_SYNC"]
        assert self.results(pg, 1) == answers
        assert not pg.is_busy()
        pg.exit_pipeline_mode()


def test_a_lost_link_gives_what_was_received_then_an_error_of_its_own(database):
    with proxy(database) as link, psycopg.connect(link.conninfo(), autocommit=True) as conn:
        pg = conn.pgconn
        link.hold(syncs=1)
        link.cut_answers(after=len("12nC"))
        pg.enter_pipeline_mode()
        for sql in (b"BEGIN", b"SELECT 1"):
            pg.send_query_params(sql, None)
        pg.pipeline_sync()

        def read():
            found = []
            with pytest.raises(psycopg.OperationalError):  # noqa: PT012  the end is what is awaited
                while True:
                    while pg.is_busy():
                        yield Wait.R
                        pg.consume_input()
                    found.append(pg.get_result())
                    if found[-1] and found[-1].status == ExecStatus.FATAL_ERROR:
                        break
                raise psycopg.OperationalError
            found += [pg.get_result() for _ in range(3)]
            return found

        found = conn.wait(read())
        assert found[0].command_status == b"BEGIN"
        assert pg.status == ConnStatus.BAD
        lost = [one for one in found[1:] if one is not None]
        assert lost
        assert {one.status for one in lost} == {ExecStatus.FATAL_ERROR}
        # What libpq reports itself has no SQLSTATE: an error of the server has one.
        assert {one.error_field(psycopg.pq.DiagnosticField.SQLSTATE) for one in lost} == {None}


class TestTransformer:
    def test_values_become_bytes_with_types_and_formats(self, conn):
        transformer = Transformer(conn)
        dumped = transformer.dump_sequence([Int8(1), "x", None, [Int8(2)]], [PyFormat.AUTO] * 4)
        assert dumped[0] == b"\0\0\0\0\0\0\0\1"
        assert dumped[1:3] == [b"x", None]
        assert transformer.types == (20, 0, 0, 1016)
        assert len(transformer.formats) == 4
        assert transformer.formats[0] == psycopg.pq.Format.BINARY
        assert transformer.encoding == "utf-8"

    def test_no_values_give_no_types(self, conn):
        transformer = Transformer(conn)
        assert list(transformer.dump_sequence([], [])) == []
        assert not transformer.types
        assert not transformer.formats

    def test_a_value_without_an_adapter_is_refused(self, conn):
        with pytest.raises(psycopg.ProgrammingError):
            Transformer(conn).dump_sequence([object()], [PyFormat.AUTO])

    def test_rows_of_several_results_are_loaded_in_turn(self, conn):
        transformer = Transformer(conn)
        loaded = []
        for sql in (b"SELECT 1, 'a' UNION ALL SELECT 2, NULL", b"SELECT true"):
            answer = conn.pgconn.exec_(sql)
            transformer.set_pgresult(answer)
            loaded += transformer.load_rows(0, answer.ntuples, tuple)
        assert loaded == [(1, "a"), (2, None), (True,)]


def test_an_error_is_made_of_a_result_with_its_diagnostics(conn):
    conn.execute("CREATE TABLE t (a int CONSTRAINT t_a_check CHECK (a > 0))")
    answer = conn.pgconn.exec_(b"INSERT INTO t VALUES (0)")
    error = error_from_result(answer, "utf-8")
    assert type(error) is errors.CheckViolation
    assert error.sqlstate == "23514"
    assert error.diag.constraint_name == "t_a_check"
    error.args = ("no values here",)
    assert str(error) == "no values here"


class TestPools:
    """What a pool does not say in public: whether it looks at a connection before it gives it."""

    @pytest.mark.parametrize("kind", [ConnectionPool, AsyncConnectionPool])
    def test_a_check_is_kept_by_this_name(self, kind):
        assert kind("", open=False)._check is None
        assert kind("", open=False, check=kind.check_connection)._check is kind.check_connection

    def test_generators_that_connect_are_different_ones(self):
        assert not may_stall(ConnectionPool("", open=False))
        assert not may_stall(AsyncConnectionPool("", open=False))
        assert may_stall(NullConnectionPool("", open=False))
        assert may_stall(AsyncNullConnectionPool("", open=False))


def test_a_cancel_request_has_a_bound(conn):
    conn.cancel_safe(timeout=1)
