# SPDX-License-Identifier: MIT
"""Whatever happens to a session, batches give right results, and batchq's books agree with the
server's: ``pg_prepared_statements``."""

from __future__ import annotations

from itertools import count

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql as compose

from batchq import gather, sql
from batchq.engine.wire.connection_state import state_of
from batchq.result import Failed, Ok, attempt
from tests.support.clients import prepared

STATEMENTS = {
    "one": (sql("SELECT 1 + %(n)s", n=1).scalar(int), 2),
    "two": (sql("SELECT 2 + %(n)s", n=40_000).scalar(int), 40_002),
    "three": (sql("SELECT 3 + %(n)s::bigint AS n", n=None).one(tuple), (None,)),
    "rows": (sql("SELECT * FROM changing").all(tuple), []),
    "write": (sql("INSERT INTO log VALUES (%(n)s)", n=5).count(), 1),
}
BOOM = sql("SELECT 1 / %(n)s::int", n=0).scalar(int)

batches = st.tuples(
    st.just("batch"),
    st.lists(st.sampled_from(sorted(STATEMENTS)), min_size=1, max_size=5),
    st.none() | st.integers(0, 4),  # where a statement that fails is put in, if at all
    st.booleans(),  # nested
)
events = st.sampled_from([("DISCARD ALL",), ("DEALLOCATE one",), ("ALTER TABLE",)])


@pytest.fixture(scope="module")
def schema(postgres):
    """Create a schema for all examples, and connect to it."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute("CREATE SCHEMA preparing")
        admin.execute("SET search_path = preparing; CREATE TABLE log (n int)")
        yield admin
        admin.execute("DROP SCHEMA preparing CASCADE")


class Session:
    """One connection, and what the table and the books should say."""

    def __init__(self, postgres, admin, threshold, most):
        self.admin = admin
        admin.execute("DROP TABLE IF EXISTS changing; CREATE TABLE changing (a int)")
        admin.execute("TRUNCATE log")
        self.conn = psycopg.connect(
            postgres.conninfo(), autocommit=True, prepare_threshold=threshold
        )
        self.conn.prepared_max = self.most = most
        self.reset()
        self.lost = set()
        self.written = 0
        self.columns = count()

    def reset(self):
        self.conn.execute("SET search_path = preparing", prepare=False)

    def apply(self, event):
        match event:
            case ("DISCARD ALL",):
                self.lost |= prepared(self.conn)
                self.conn.execute("DISCARD ALL", prepare=False)
                self.reset()
            case ("DEALLOCATE one",):
                for name in sorted(prepared(self.conn))[:1]:
                    self.lost.add(name)
                    deallocated = compose.Identifier(name.decode())
                    self.conn.execute(
                        compose.SQL("DEALLOCATE {}").format(deallocated), prepare=False
                    )
            case ("ALTER TABLE",):
                self.admin.execute(f"ALTER TABLE changing ADD c{next(self.columns)} int")
            case ("batch", names, at, nested):
                self.run(names, at, nested)

    def run(self, names, at, nested):
        chosen = [STATEMENTS[name] for name in names]
        steps = [statement for statement, _ in chosen]
        if at is not None:
            steps.insert(at, BOOM)
        if nested:
            self.conn.execute("BEGIN", prepare=False)
        answer = attempt(self.conn, gather(*steps), nested=nested)
        if nested:
            self.conn.execute("COMMIT", prepare=False)
        if at is None:
            assert isinstance(answer, Ok), answer.error
            assert answer.value == tuple(result for _, result in chosen)
            self.written += names.count("write")
        else:
            assert isinstance(answer, Failed)
            assert answer.report.statement is BOOM
            assert answer.report.violation.sqlstate == "22012"
        self.check()

    def check(self):
        assert self.conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert self.admin.execute("SELECT count(*) FROM log").fetchone() == (self.written,)
        books, server = state_of(self.conn).statements, prepared(self.conn)
        names = {*books._names.values()}
        assert len(names) <= self.most
        assert names - self.lost <= server
        assert server <= names | {*books.to_close}

    def end(self):
        """One more flight, and nothing is left that is not wanted."""
        self.run(["one"], None, nested=False)
        assert len(prepared(self.conn)) <= self.most


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(batches | events, min_size=1, max_size=12),
    threshold=st.integers(0, 2),
    most=st.integers(0, 3) | st.integers(4, 9),
)
def test_results_and_books_are_right_whatever_happens(postgres, schema, events, threshold, most):
    session = Session(postgres, schema, threshold, most)
    with session.conn:
        for event in events:
            session.apply(event)
        session.end()
