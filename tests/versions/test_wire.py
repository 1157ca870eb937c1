# SPDX-License-Identifier: MIT
"""A gate is one step of the batch's own flight, also if it refuses; no text has a value in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from batchq import gather, insert, param, run, steps
from batchq.result import Failed, attempt
from batchq.versions import Fleet, StillRunning, TooOld
from tests.versions.helpers import MINUTE, SEVEN, SIX, TABLES, expand

pytestmark = pytest.mark.link(*SIX.ddl(), *TABLES.split(";"))

BUILT = gather(insert("image", {"id": 1}), insert("image", {"id": 2}))
DECLARED = gather(
    insert("image", {"id": param("one", int)}), insert("image", {"id": param("two", int)})
)
BATCHES = {
    "bound": SIX.gate(DECLARED.bind(one=1, two=2)),
    "gated twice": SIX.gate(gather(SIX.gate(BUILT.parts[0]), SIX.gate(BUILT.parts[1]))),
}


def executed(recording: Any) -> int:
    """Return the number of commands, without BEGIN and COMMIT."""
    return recording.client.count("E") - 2


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("oldest", [0, 7])
def test_gate_is_one_step_of_the_flight(linked, link, conn, batch, oldest) -> None:
    expand(conn, oldest=oldest)
    link.hold(syncs=2)  # answers come when the server has had all of it

    with link.record() as recording:
        answer = linked.attempt(batch)

    assert (recording.flights, executed(recording)) == (1, 3)
    assert isinstance(answer, Failed) is (oldest == 7)
    if isinstance(answer, Failed):
        assert isinstance(answer.error, TooOld)
        assert (answer.report.index, answer.report.path) == (0, "gate")


def test_gate_in_a_pool_has_no_flight_of_its_own(link, conn) -> None:
    expand(conn, oldest=7)
    with ConnectionPool(link.conninfo(), min_size=1, max_size=1, open=True) as pool:
        pool.wait()
        link.hold(syncs=2)
        with link.record() as recording, pytest.raises(TooOld):
            run(pool, BATCHES["bound"])

    assert (recording.flights, executed(recording)) == (1, 3)


def test_others_are_one_flight_each(link, conn) -> None:
    expand(conn, oldest=6)
    with psycopg.connect(link.conninfo(), autocommit=True) as through:
        for batch, error in (
            (SIX.join("a", lease=MINUTE), None),
            (SIX.status(), None),
            (SEVEN.retire(below=7), StillRunning),
            (SIX.leave("a"), None),
            (SEVEN.retire(below=7), None),
            (SIX.join("a", lease=MINUTE), TooOld),
            (SEVEN.contract(unused_since=7, after=timedelta(0)), None),
        ):
            link.hold(syncs=2)
            with link.record() as recording:
                answer = attempt(through, batch)
            assert recording.flights == 1
            assert (type(answer.error) if isinstance(answer, Failed) else None) is error


def batches(name: str, version: int, member: str, lease: timedelta) -> list[Any]:
    fleet = Fleet(name=name, version=version, stamps={"rule": f"row_version_{name}"})
    return [
        fleet.join(member, lease=lease),
        fleet.leave(member),
        fleet.members(),
        fleet.status(),
        fleet.gate(gather()),
        fleet.gate(gather(), needs=version),
        fleet.expand(version),
        fleet.retire(below=version),
        fleet.contract(unused_since=version, proofs=[fleet.proof("rule", version)], after=lease),
    ]


def test_no_value_is_in_a_text() -> None:
    """So texts of fleets with other names, versions, members and leases are the same."""
    one, other = (
        [[step.sql for step in steps(batch)] for batch in batches(*values)]
        for values in (("a", 6, "b", MINUTE), ("c", 7, "d", 2 * MINUTE))
    )

    assert one == other
