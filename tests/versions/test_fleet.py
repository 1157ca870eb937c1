# SPDX-License-Identifier: MIT
"""Processes join and leave a fleet; its window is expanded, and versions are retired."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchq import run
from batchq.versions import Fleet, NoFleet, StillRunning, TooNew, TooOld
from tests.versions.helpers import EIGHT, MEMBERS, MINUTE, SEVEN, SIX, WINDOW, expand


def rows(conn, query):
    return conn.execute(query, prepare=False).fetchall()


def test_expand_creates_the_window_and_never_lowers_it(planned) -> None:
    assert run(planned, SEVEN.expand(7)).newest == 7
    window = run(planned, SIX.expand(6))

    assert (window.oldest, window.newest, window.settled_at) == (0, 7, None)


def test_join_registers_and_renews(planned) -> None:
    expand(planned, 7, oldest=6)

    window = run(planned, SIX.join("a", lease=MINUTE))
    run(planned, SEVEN.join("b", lease=MINUTE))
    run(planned, SEVEN.join("a", lease=2 * MINUTE))

    assert (window.oldest, window.newest) == (6, 7)
    status = run(planned, SIX.status())
    assert [(m.member, m.version, m.is_running) for m in status.members] == [
        ("a", 7, True),
        ("b", 7, True),
    ]
    assert status.members == run(planned, SIX.members())
    left = status.members[0].until - status.members[1].until
    assert timedelta(0) < left <= 2 * MINUTE


@pytest.mark.parametrize(
    ("window", "fleet", "error"),
    [((7, 7), SIX, TooOld(6, 7)), ((7, 0), EIGHT, TooNew(8, 7)), (None, SIX, NoFleet("nexus"))],
    ids=str,
)
def test_join_outside_of_the_window_registers_nothing(planned, window, fleet, error) -> None:
    if window:
        expand(planned, *window)

    with pytest.raises(type(error)) as raised:
        run(planned, fleet.join("a", lease=MINUTE))

    assert raised.value.args == error.args
    assert rows(planned, MEMBERS) == []


def test_leave_ends_membership_and_may_be_repeated(planned) -> None:
    expand(planned)
    run(planned, SIX.join("a", lease=MINUTE))

    for _ in range(2):
        assert run(planned, SIX.leave("a")) is None

    assert run(planned, SIX.status()).members == []


def test_status_without_a_window_raises_no_fleet(planned) -> None:
    with pytest.raises(NoFleet):
        run(planned, SIX.status())


def test_retire_waits_for_no_process_but_names_one_that_runs(planned) -> None:
    expand(planned)
    run(planned, SIX.join("a", lease=MINUTE))
    run(planned, SEVEN.join("b", lease=MINUTE))

    with pytest.raises(StillRunning) as raised:
        run(planned, SEVEN.retire(below=7))
    assert (raised.value.member, raised.value.version) == ("a", 6)
    assert rows(planned, WINDOW) == [(0, 7)]

    planned.execute("UPDATE version_member SET until = now() - interval '1 s' WHERE version = 6")
    window = run(planned, SEVEN.retire(below=7))

    assert (window.oldest, window.newest) == (7, 7)
    assert window == run(planned, SEVEN.retire(below=7)) == run(planned, SEVEN.retire(below=3))
    assert [m.is_running for m in run(planned, SEVEN.members())] == [False, True]


def test_retire_needs_the_schema_of_what_it_keeps(planned) -> None:
    expand(planned, 6)

    with pytest.raises(TooNew) as raised:
        run(planned, SEVEN.retire(below=7))
    assert raised.value.args == (7, 6)
    with pytest.raises(NoFleet):
        run(planned, Fleet(name="other", version=7).retire(below=7))
