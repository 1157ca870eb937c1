# SPDX-License-Identifier: MIT
"""No default timeout or budget ends a test: on a busy machine each step may take long."""

from __future__ import annotations

import math
from datetime import timedelta

import hypothesis
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from batchq.bulk import Budget
from batchq.bulk.worker.options import WorkerOptions
from tests.support.lock_waits import TIMEOUT


def test_worker_run_has_no_default_time_limit():
    options = WorkerOptions(owner="any")
    assert options.budget == Budget(seconds=math.inf)
    assert (options.timeout, options.lease) == (TIMEOUT, timedelta(days=1))


@pytest.mark.parametrize("kind", [ConnectionPool, AsyncConnectionPool])
async def test_pool_timeouts_are_the_suites_own(kind):
    pool = kind("", open=False)
    assert pool.timeout == TIMEOUT
    assert kind.wait.__defaults__ == (TIMEOUT,)


def test_hypothesis_has_no_deadline():
    assert hypothesis.settings().deadline is None
    assert hypothesis.HealthCheck.too_slow in hypothesis.settings().suppress_health_check
