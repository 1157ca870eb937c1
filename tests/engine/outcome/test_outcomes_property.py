# SPDX-License-Identifier: MIT
"""Any error at any place, in any manner of speaking, from a server that knows whether it committed:
the outcome is never false, and never unknown where the error proves something.

What an error proves is written down here a second time, from what is known of both servers, and
not taken from the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchq import Outcome, gather, insert
from batchq.result import Ok, attempt
from tests.support.fake_server import FakeServer, Scenario, fake_server

STEPS = 3
CLOSING = STEPS + 1
BATCH = gather(*(insert("item", {"id": n}) for n in range(STEPS)))

POSTGRESQLS = sorted(
    {
        code
        for error in vars(psycopg.errors).values()
        if isinstance(error, type) and isinstance(code := getattr(error, "sqlstate", None), str)
    }
)
COCKROACHS = [*"XXUUU XXA00 XXC01 XXC02 58C00 58C01 55C01 55C02 CR000 22C01".split(), *POSTGRESQLS]
USERS = ["U0001", "Z9999", "AB123", "99999", "TV001"]

# Letters: S and V severity, C code, M message, F file, L line, R routine.
MANNERS = {
    "the server's own": "SVCMFLR",
    "an extension's": "SVCMFL",
    "without a file": "SVCMR",
    "PgBouncer's": "SCM",
    "Odyssey's": "SVCM",
    "bare": "M",
}
COCKROACH_SPEAKS = {"the server's own", "an extension's", "without a file", "Odyssey's"}
SERVER_SPEAKS = COCKROACH_SPEAKS - {"Odyssey's"}


def proves(cockroach: bool, code: str, severity: str, synced: bool) -> bool:
    """Whether such an error at COMMIT can only mean that nothing was applied."""
    if cockroach:
        definite = code[:2] == "23" or code in {"40001", "40002", "40P01", "25006", "25P02"}
        return severity == "ERROR" and definite
    if code in {"25P03", "25P04"}:
        return True
    if severity != "ERROR":
        return False
    if code in {"40001", "40002", "40P01", "57014", "25006", "25P02"}:
        return True
    if code[:2] in {"53", "58", "XX", "F0"} or code in USERS:
        return synced
    other = code[0] in "23" and code[:2] != "25"
    return other or code[:2] in {"0A", "42", "44", "54", "55", "HV", "P0"}


@st.composite
def scenarios(draw: st.DrawFn, cockroach: bool) -> tuple[Scenario, Outcome | None]:
    """Draw what becomes of a flight, and what is known of it then, if anything is.

    Whether the server has committed is free only where nothing is known.
    """
    place = draw(st.sampled_from([None, *range(CLOSING + 1), CLOSING, CLOSING]))
    if place is None:
        cut = draw(st.none() | st.integers(0, 24))
        return Scenario(cut=cut), None
    code = draw(st.sampled_from((COCKROACHS if cockroach else POSTGRESQLS) + USERS))
    severity = draw(st.sampled_from(["ERROR", "ERROR", "FATAL", "PANIC"]))
    manner = draw(st.sampled_from(list(MANNERS)))
    reported = {"S": severity, "V": severity, "C": code, "M": "no", "F": "x.c", "L": "1", "R": "f"}
    fields = {letter: reported[letter] for letter in MANNERS[manner]}
    ends = severity != "ERROR" or (cockroach and code == "57P01") or draw(st.booleans())
    own = manner in (COCKROACH_SPEAKS if cockroach else SERVER_SPEAKS)
    lost = not own or code == "40003" or (severity != "ERROR" and code[:2] == "08")
    if lost:
        known = False
    elif place == CLOSING:
        known = proves(cockroach, code, severity, not ends)
    else:
        known = True
    commits = not known and draw(st.booleans())
    scenario = Scenario(place=place, fields=fields, commits=commits, ends=ends)
    return scenario, Outcome.ROLLED_BACK if known else None


@pytest.fixture(scope="module", params=[False, True], ids=["postgresql", "cockroachdb"])
def server(request) -> Iterator[FakeServer]:
    with fake_server(cockroach=request.param) as server:
        yield server


class Link:
    """A connection to it, opened again when the last one was closed."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.conn: psycopg.Connection[Any] | None = None

    def attempt(self, scenario: Scenario, **options: Any) -> Outcome:
        if self.conn is None or self.conn.closed:
            self.conn = self.server.connect(prepare_threshold=None)
        self.server.scenario, self.server.committed = scenario, False
        answer = attempt(self.conn, BATCH, **options)
        if scenario.ends or scenario.cut is not None:
            self.conn.close()  # it may not have seen the end of the link yet
        return Outcome.COMMITTED if isinstance(answer, Ok) else answer.outcome

    def close(self) -> None:
        if self.conn is not None:
            self.conn.close()


@pytest.fixture(scope="module")
def link(server) -> Iterator[Link]:
    with closing(Link(server)) as link:
        yield link


def check(link: Link, scenario: Scenario, known: Outcome | None) -> None:
    outcome = link.attempt(scenario)
    if outcome is not Outcome.UNKNOWN:
        assert (outcome is Outcome.COMMITTED) == link.server.committed
    if known is not None:
        assert outcome is known


def drawn(link: Link, data: st.DataObject) -> None:
    check(link, *data.draw(scenarios(link.server.cockroach)))


EASY = settings(deadline=None, suppress_health_check=list(HealthCheck))


@EASY
@given(data=st.data())
def test_outcome_is_never_false_and_never_unknown_if_it_is_proven(link, data):
    drawn(link, data)


@EASY
@given(data=st.data())
def test_read_only_batch_is_never_unknown(link, data):
    scenario, _ = data.draw(scenarios(link.server.cockroach))
    outcome = link.attempt(scenario, read_only=True)
    assert outcome in {Outcome.COMMITTED, Outcome.ROLLED_BACK}


@pytest.mark.soak
@settings(EASY, max_examples=10_000)
@given(data=st.data())
def test_the_outcome_is_never_false_in_ten_thousand_examples(link, data):
    drawn(link, data)
