# SPDX-License-Identifier: MIT
"""The main workloads on the wire: flights, messages and bytes, which no machine's load changes.

A change that sends more has to say so here: if one of these fails for a reason, or because a batch
sends less, write down the figures that the failure shows. Calls and times are in the report.
"""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from batchq import run
from batchq.testing import proxy
from benchmarks.wire import Wire
from benchmarks.workloads.rules import rules, rules_insert
from examples.datastore.models import NewProject, NewSilo
from examples.datastore.project import project_create
from examples.datastore.schema import create_tables
from examples.datastore.silo import silo_create

# Bytes received vary with the times in the rows, which are sent as text, without zeros at the end.
TOLERANCE = 0.03
SENT = {
    "project_create": Wire(
        flights=1, messages_sent=32, messages_received=38, bytes_sent=1315, bytes_received=2276
    ),
    "100 inserts": Wire(
        flights=1, messages_sent=308, messages_received=308, bytes_sent=18299, bytes_received=2655
    ),
}

WARM = 25
"""Batches until everything is prepared and every cache is filled."""


@pytest.fixture
def store(connect, database):
    """Return a conninfo of the example's tables, and the silo in them."""
    conn = connect()
    create_tables(conn)
    silo = NewSilo(name="acme")
    run(conn, silo_create(silo, projects=1_000))
    return database, silo


@pytest.mark.parametrize("name", SENT)
def test_warm_batch_sends_one_flight_of_pinned_size(name, store):
    conninfo, silo = store
    vpc = uuid4()

    def batch(number):
        if name == "project_create":
            return project_create(NewProject(silo_id=silo.id, name=f"project-{number:04}"))
        return rules_insert(rules(vpc, range(number * 100, (number + 1) * 100)))

    with (
        proxy(conninfo) as link,
        psycopg.connect(link.conninfo(), autocommit=True) as conn,
    ):
        for number in range(WARM):
            run(conn, batch(number))
        # All answers are held until all is sent: a batch that needs one in between would wait.
        link.hold(syncs=2)
        with link.record() as recording:
            run(conn, batch(WARM))
    sent, pinned = Wire.of(recording), SENT[name]
    assert (sent.flights, sent.messages_sent, sent.messages_received) == (
        pinned.flights,
        pinned.messages_sent,
        pinned.messages_received,
    )
    assert (sent.bytes_sent, sent.bytes_received) == pytest.approx(
        (pinned.bytes_sent, pinned.bytes_received), rel=TOLERANCE
    )
