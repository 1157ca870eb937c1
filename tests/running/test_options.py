# SPDX-License-Identifier: MIT
"""Isolation, read only, deferrable, timeout: in force inside the batch, and not after it."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from psycopg import IsolationLevel

import batchq
from batchq import InvalidBatch, into, sql
from batchq.result import Failed


def setting(name):
    return sql("SELECT current_setting(%(name)s::text)", name=name).scalar(str)


SETTINGS = into(
    dict,
    isolation=setting("transaction_isolation"),
    read_only=setting("transaction_read_only"),
    deferrable=setting("transaction_deferrable"),
    timeout=setting("statement_timeout"),
)
DEFAULT = {
    "isolation": "read committed",
    "read_only": "off",
    "deferrable": "off",
    "timeout": "0",
}

OPTIONS = {
    "read uncommitted": (
        {"isolation": IsolationLevel.READ_UNCOMMITTED},
        {"isolation": "read uncommitted"},
    ),
    "read committed": ({"isolation": IsolationLevel.READ_COMMITTED}, {}),
    "repeatable read": (
        {"isolation": IsolationLevel.REPEATABLE_READ},
        {"isolation": "repeatable read"},
    ),
    "serializable": ({"isolation": IsolationLevel.SERIALIZABLE}, {"isolation": "serializable"}),
    "read only": ({"read_only": True}, {"read_only": "on"}),
    "read write": ({"read_only": False}, {}),
    "seconds": ({"timeout": 90}, {"timeout": "90s"}),
    "a fraction of one": ({"timeout": 0.25}, {"timeout": "250ms"}),
    "a timedelta": ({"timeout": timedelta(minutes=2)}, {"timeout": "2min"}),
    "all of them": (
        {"isolation": IsolationLevel.SERIALIZABLE, "read_only": True, "timeout": 5},
        {"isolation": "serializable", "read_only": "on", "timeout": "5s"},
    ),
}


@pytest.mark.parametrize(("options", "changed"), OPTIONS.values(), ids=OPTIONS)
def test_option_applies_in_the_batch_and_not_after_it(client, options, changed):
    assert client.run(SETTINGS, **options) == DEFAULT | changed
    assert client.run(SETTINGS) == DEFAULT
    assert isinstance(client.attempt(sql("SELECT 1/0"), **options), Failed)
    assert client.run(SETTINGS) == DEFAULT


def test_none_leaves_an_option_alone(client):
    none = dict.fromkeys(("isolation", "read_only", "timeout", "retry"))
    assert client.run(SETTINGS, **none, nested=False) == DEFAULT


def test_the_sessions_own_defaults_stay_in_force(connection):
    connection.execute("SET default_transaction_isolation = 'serializable'")
    connection.execute("SET statement_timeout = '70s'")
    assert connection.run(SETTINGS) == DEFAULT | {"isolation": "serializable", "timeout": "70s"}
    assert connection.run(SETTINGS, timeout=5)["timeout"] == "5s"
    assert connection.run(SETTINGS)["timeout"] == "70s"


class TestOfTheConnection:
    """``conn.isolation_level``, ``conn.read_only``, ``conn.deferrable``: psycopg's own settings."""

    @pytest.fixture
    def conn(self, conn):
        conn.isolation_level = IsolationLevel.SERIALIZABLE
        conn.read_only = True
        conn.deferrable = True
        return conn

    def test_options_are_honoured(self, conn):
        assert batchq.run(conn, SETTINGS) == {
            "isolation": "serializable",
            "read_only": "on",
            "deferrable": "on",
            "timeout": "0",
        }

    def test_an_option_wins(self, conn):
        assert batchq.run(
            conn, SETTINGS, isolation=IsolationLevel.REPEATABLE_READ, read_only=False
        ) == {
            "isolation": "repeatable read",
            "read_only": "off",
            "deferrable": "on",
            "timeout": "0",
        }

    async def test_options_are_honoured_on_an_async_connection(self, database):
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
            await conn.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            await conn.set_read_only(True)
            assert await batchq.arun(conn, SETTINGS) == DEFAULT | {
                "isolation": "repeatable read",
                "read_only": "on",
            }


def test_a_read_only_batch_cannot_write(client):
    answer = client.attempt(batchq.insert("item", {"id": 1, "size": 1}), read_only=True)
    assert answer.report.violation.sqlstate == "25006"


def test_statement_over_its_timeout_is_named(client):
    slow = sql("SELECT pg_sleep(600)").label("slow")
    answer = client.attempt(batchq.gather(sql("SELECT 1"), slow, sql("SELECT 2")), timeout=0.01)
    assert answer.report.statement is slow
    assert answer.report.violation.sqlstate == "57014"


@pytest.mark.parametrize(
    "timeout",
    [0, -1, 0.0001, timedelta(0), timedelta(days=30), float("inf"), float("nan")],
    ids=repr,
)
def test_a_timeout_that_the_server_cannot_keep_is_refused(client, timeout):
    with pytest.raises(InvalidBatch, match="timeout"):
        client.run(SETTINGS, timeout=timeout)
    assert client.run(SETTINGS) == DEFAULT
