# SPDX-License-Identifier: MIT
"""On a busy machine everything may take long: no default that is a time ends a test."""

from __future__ import annotations

import math
from datetime import timedelta

import hypothesis
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from batchq.bulk import Budget
from batchq.bulk.worker.options import Orders
from tests.support.lock_waits import TIMEOUT


def test_an_activation_goes_on_as_long_as_it_takes():
    orders = Orders(owner="any")
    assert orders.budget == Budget(seconds=math.inf)
    assert (orders.timeout, orders.lease) == (TIMEOUT, timedelta(days=1))


@pytest.mark.parametrize("kind", [ConnectionPool, AsyncConnectionPool])
async def test_a_pool_gives_a_connection_however_late(kind):
    pool = kind("", open=False)
    assert pool.timeout == TIMEOUT
    assert kind.wait.__defaults__ == (TIMEOUT,)


def test_no_example_is_too_slow():
    assert hypothesis.settings().deadline is None
    assert hypothesis.HealthCheck.too_slow in hypothesis.settings().suppress_health_check
