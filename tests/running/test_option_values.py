# SPDX-License-Identifier: MIT
"""An option with an impossible value is rejected: before a byte is sent, and with a
pool before a connection is taken."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from psycopg import IsolationLevel
from psycopg_pool import ConnectionPool

import batchq
from batchq import InvalidBatch, Outcome, Retry, gather, sql
from tests.support.titles import title

LEVEL = sql("SELECT current_setting('transaction_isolation')").scalar(str)

NAMES = {
    "serializable": "serializable",
    "SERIALIZABLE": "serializable",
    "Serializable": "serializable",
    "repeatable read": "repeatable read",
    "REPEATABLE READ": "repeatable read",
    "REPEATABLE_READ": "repeatable read",
    "repeatable-read": "repeatable read",
    " Repeatable  Read ": "repeatable read",
    "read committed": "read committed",
    "read_committed": "read committed",
    "READ UNCOMMITTED": "read uncommitted",
    **{level.name: level.name.replace("_", " ").lower() for level in IsolationLevel},
}

WRONG = [
    *(
        ("isolation", value, "'repeatable read'")
        for value in ("", "snapshot", "serialisable", 4, True, b"serializable", Retry, object())
    ),
    *(("read_only", value, "True or False") for value in ("yes", 1, 0, "", [], b"", 0.0)),
    *(("nested", value, "True or False") for value in ("yes", 1, 0, "", [])),
    *(
        ("timeout", value, "a number of seconds or a timedelta")
        for value in ("1s", "1", b"1", True, False, [1], 1j, Decimal(1), object(), math.nan.hex())
    ),
    *(
        ("timeout", value, "between a millisecond and 24 days")
        for value in (
            *(0, -1, 0.0, 0.0009, -0.5, math.nan, math.inf, -math.inf, 2**31 / 1000, 10**400),
            *(timedelta(0), timedelta(microseconds=999), timedelta(days=-1), timedelta.max),
            *(Fraction(1, 2000), Fraction(10**400, 1), -(10**400)),
        )
    ),
    *(
        ("retry", value, r"retry=Retry\(attempts=3\)")
        for value in (3, 0, True, False, "3", Retry, {"attempts": 3}, object())
    ),
]


def naming(case):
    name, value, _ = case
    return f"{name}={title(value)}"[:40]


def refusal(client, batch, **options):
    try:
        return client.attempt(batch, **options)
    except InvalidBatch as error:
        return error


class TestWrong:
    def test_values_get_a_sentence(self, client, conn):
        for name, value, sentence in WRONG:
            for batch in (batchq.insert("item", {"id": 1, "size": 1}), gather()):
                error = refusal(client, batch, **{name: value})
                assert re.match(f"{name}=.*{sentence}", str(error)), (name, value)
                assert error.outcome is Outcome.NOT_SENT
        assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)
        assert client.run(LEVEL) == "read committed"

    @pytest.mark.parametrize("case", WRONG, ids=naming)
    def test_values_take_no_connection_from_a_pool(self, case):
        name, value, _ = case
        pool = ConnectionPool("", open=False)  # it would say that it is not open
        with pytest.raises(InvalidBatch, match=f"^{name}="):
            batchq.run(pool, LEVEL, **{name: value})


class TestRight:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_level_by_its_name(self, connection, name):
        assert connection.run(LEVEL, isolation=name) == NAMES[name]

    @pytest.mark.parametrize(
        ("timeout", "shown"),
        [
            (1, "1s"),
            (1.5, "1500ms"),
            (Fraction(5, 2), "2500ms"),
            (timedelta(days=24), "24d"),
            ((2**31 - 1) / 1000, "2147483647ms"),
        ],
    )
    def test_a_timeout_within_what_the_server_keeps(self, connection, timeout, shown):
        setting = sql("SELECT current_setting('statement_timeout')").scalar(str)
        assert connection.run(setting, timeout=timeout) == shown


def test_a_lock_is_refused_at_repeatable_read_by_its_name_too(connection):
    batch = batchq.select("item", where={"id": 1}).for_update().expect(1, missing=LookupError())
    with pytest.raises(InvalidBatch, match="REPEATABLE READ"):
        connection.run(batch, isolation="repeatable read")


class TestRetry:
    @pytest.mark.parametrize("attempts", [0, -1])
    def test_attempts_are_at_least_one(self, attempts):
        with pytest.raises(ValueError, match=r"attempts=.*1 or more"):
            Retry(attempts=attempts)

    @pytest.mark.parametrize("attempts", ["3", 2.5, 3.0, True, None, math.inf])
    def test_attempts_are_a_whole_number(self, attempts):
        with pytest.raises(TypeError, match=r"attempts=.*int"):
            Retry(attempts=attempts)

    @pytest.mark.parametrize("name", ["backoff", "max_backoff"])
    @pytest.mark.parametrize("seconds", ["1s", "1", None, True, [1], 1j])
    def test_sleeps_are_seconds(self, name, seconds):
        with pytest.raises(TypeError, match=f"{name}=.*seconds"):
            Retry(**{name: seconds})

    @pytest.mark.parametrize("name", ["backoff", "max_backoff"])
    @pytest.mark.parametrize(
        "seconds", [-1, -0.001, math.nan, math.inf, 1e300, 10**400, timedelta(seconds=-1)], ids=repr
    )
    def test_too_long_sleep_is_rejected(self, name, seconds):
        with pytest.raises(ValueError, match=f"{name}="):
            Retry(**{name: seconds})

    def test_a_hook_is_called_and_not_awaited(self):
        async def hook(_):
            pass

        for wrong in (hook, 3, "log"):
            with pytest.raises(TypeError, match=r"before_sleep=.*function"):
                Retry(before_sleep=wrong)
