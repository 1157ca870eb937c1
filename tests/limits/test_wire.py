# SPDX-License-Identifier: MIT
"""However many counters a batch charges, it is one round trip; and so is its failure."""

from __future__ import annotations

import psycopg
import pytest

from batchq import gather
from batchq.limits import LimitExceeded, LimitMissing
from batchq.result import Ok, attempt
from batchq.testing import proxy
from tests.limits.helpers import FLEET, LIMITS, PROJECT, SILO, A, B, set_limits

LEVELS = [PROJECT, SILO]
FLIGHTS = {
    "charge": (LIMITS.charge("vpcs", 2, scope=LEVELS, id=B), Ok),
    "no room": (LIMITS.charge("vpcs", 9, scope=LEVELS, id=B), LimitExceeded),
    "no limit": (LIMITS.charge("vpcs", scope=[*LEVELS, FLEET], id=B), LimitMissing),
    "release": (LIMITS.release("vpcs", scope=LEVELS, id=A), Ok),
    "resize": (LIMITS.resize("vpcs", 3, scope=LEVELS, id=A), Ok),
    "set_limit": (LIMITS.set_limit("vpcs", 0, scope=LEVELS), Ok),
    "reconcile": (gather(*map(LIMITS.reconcile, LEVELS)), Ok),
    "explain": (LIMITS.shortfalls(LIMITS.charge("vpcs", 9, scope=LEVELS, id=B)), Ok),
}


@pytest.mark.parametrize(("batch", "kind"), FLIGHTS.values(), ids=FLIGHTS)
def test_verb_takes_one_flight(database, conn, book, batch, kind):
    set_limits(conn, *((level, "vpcs", 5) for level in LEVELS))
    assert isinstance(attempt(conn, LIMITS.charge("vpcs", scope=LEVELS, id=A)), Ok)
    with proxy(database) as link, psycopg.connect(link.conninfo(), autocommit=True) as through:
        link.hold(syncs=2)  # answers come when the server has had all of it
        with link.record() as recording:
            answer = attempt(through, batch)
    assert isinstance(answer if kind is Ok else answer.error, kind)
    assert recording.flights == 1
