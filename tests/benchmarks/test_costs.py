# SPDX-License-Identifier: MIT
"""What the main workloads cost, in figures that no machine's mood changes: what is sent and
received, and how often a function is called. A change that costs something has to say so here.

When one of these fails because a batch has become cheaper, or dearer for a reason, put in what the
failure shows.
"""

from __future__ import annotations

import sys
from collections import Counter
from uuid import uuid4

import psycopg
import pytest

from batchq import run
from batchq.testing import proxy
from benchmarks.inserts import rules, rules_insert
from benchmarks.wire import Wire
from examples.datastore.models import NewProject, NewSilo
from examples.datastore.project import project_create
from examples.datastore.schema import create_tables
from examples.datastore.silo import silo_create

TOLERANCE = 0.03

# Bytes received vary with the times in the rows, which are sent as text: zeros at the end are not.
SENT = {
    "project_create": Wire(
        flights=1, messages_sent=32, messages_received=40, bytes_sent=1342, bytes_received=2285
    ),
    "100 inserts": Wire(
        flights=1, messages_sent=308, messages_received=308, bytes_sent=18299, bytes_received=2655
    ),
}

# The same on Python 3.11, 3.12 and 3.13. About ten of those of project_create are for the look at
# the socket. Of each insert of a row with a list in it four are for the list: it is copied, and
# looked at before it goes to a prepared statement.
CALLS = {
    "project_create": {"Python": 584, "C": 560},
    "100 inserts": {"Python": 4020, "C": 5062},
}

WARM = 25
"""Batches until everything is prepared and every cache is filled."""
TIMES = 5

# Python 3.12 and later have no call for them.
COMPREHENSIONS = {"<listcomp>", "<dictcomp>", "<setcomp>"}


@pytest.fixture
def store(connect, database):
    """A conninfo of the example's tables, and the silo in them."""
    conn = connect()
    create_tables(conn)
    silo = NewSilo(name="acme")
    run(conn, silo_create(silo, projects=1_000))
    return database, silo


@pytest.fixture(params=SENT)
def workload(request, store):
    """Its name, where to connect, and what makes the batch of a number."""
    conninfo, silo = store
    vpc = uuid4()

    def create(number):
        return project_create(NewProject(silo_id=silo.id, name=f"project-{number:04}"))

    def insert(number):
        return rules_insert(rules(vpc, range(number * 100, (number + 1) * 100)))

    return request.param, conninfo, create if request.param == "project_create" else insert


def test_a_warm_batch_sends_no_more_than_it_did(workload):
    name, conninfo, batch = workload
    with (
        proxy(conninfo) as link,
        psycopg.connect(link.conninfo(), autocommit=True) as conn,
    ):
        for number in range(WARM):
            run(conn, batch(number))
        # All answers are held until all is sent, so what needs one in between would wait in vain.
        link.hold(syncs=2)
        with link.record() as recording:
            run(conn, batch(WARM))
    seen, pinned = Wire.of(recording), SENT[name]
    assert (seen.flights, seen.messages_sent, seen.messages_received) == (
        pinned.flights,
        pinned.messages_sent,
        pinned.messages_received,
    )
    assert (seen.bytes_sent, seen.bytes_received) == pytest.approx(
        (pinned.bytes_sent, pinned.bytes_received), rel=TOLERANCE
    )


@pytest.mark.skipif(psycopg.pq.__impl__ == "python", reason="psycopg's own calls are in C")
def test_a_warm_batch_calls_no_more_functions_than_it_did(workload):
    name, conninfo, batch = workload
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for number in range(WARM):
            run(conn, batch(number))
        counted = [_calls(lambda n=n: run(conn, batch(n))) for n in range(WARM, WARM + TIMES)]
    # A wait for the server that is interrupted goes on by another call or two.
    fewest = {kind: min(calls[kind] for calls in counted) for kind in ("Python", "C")}
    assert fewest == pytest.approx(CALLS[name], rel=TOLERANCE)


def _calls(work):
    """How many functions of each kind are called while it works."""
    seen = Counter()

    def look(frame, event, _):
        if event == "c_call":
            seen["C"] += 1
        elif event == "call" and frame.f_code.co_name not in COMPREHENSIONS:
            seen["Python"] += 1

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen
