# SPDX-License-Identifier: MIT
"""Processes join and leave a fleet; its window is expanded, and versions are retired."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from batchq import InvalidBatch, run
from batchq.versions import (
    Change,
    Document,
    Fleet,
    NoFleet,
    NotYet,
    StillRunning,
    TooNew,
    TooOld,
    Unproven,
)
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


ADD = "ALTER TABLE rule ADD CONSTRAINT rule_row_version_7"


class TestContract:
    """What older versions need may be dropped when four things are true."""

    @pytest.fixture
    def ready(self, planned):
        """All four are true."""
        expand(planned, 8, oldest=8)
        planned.execute("UPDATE version_window SET settled_at = now() - interval '2 h'")
        for command in SEVEN.proof("rule", 7).ddl():
            planned.execute(command.encode())
        return planned

    @staticmethod
    def check(unused_since: int = 8, after: timedelta = timedelta(hours=1)):
        proofs = [SEVEN.proof("rule", 7)]
        return SEVEN.contract(unused_since=unused_since, proofs=proofs, after=after)

    def test_contract_passes(self, ready) -> None:
        assert run(ready, self.check()).oldest == 8

    def test_contract_needs_older_versions_to_be_retired(self, ready) -> None:
        with pytest.raises(NotYet) as raised:
            run(ready, self.check(unused_since=9))
        assert raised.value.args[:2] == (9, 8)

    def test_contract_needs_them_to_be_retired_for_some_time(self, ready) -> None:
        with pytest.raises(NotYet) as raised:
            run(ready, self.check(after=timedelta(hours=3)))
        assert raised.value.args[:2] == (8, 8)
        assert "only since" in str(raised.value)

    @pytest.mark.parametrize(
        "instead",
        [
            "ALTER TABLE rule DROP COLUMN deleted_at",
            f"{ADD} CHECK (row_version >= 7) NOT VALID",
            "ALTER TABLE image ADD CONSTRAINT rule_row_version_7 CHECK (id > 0)",
            (
                "CREATE SCHEMA {other} CREATE TABLE rule (row_version int CONSTRAINT "
                "rule_row_version_7 CHECK (row_version >= 7))"
            ),
            f"{ADD} CHECK (id > 0)",
            f"{ADD} CHECK (row_version >= 7) NO INHERIT",
            f"{ADD} UNIQUE (row_version)",
        ],
        ids="none, not valid, other table, other schema, column, no inherit, kind".split(", "),
    )
    def test_contract_needs_every_proof(self, ready, instead) -> None:
        ready.execute("ALTER TABLE rule DROP CONSTRAINT rule_row_version_7")
        other = f"other_{uuid4().hex}"
        ready.execute(instead.format(other=other).encode())

        with pytest.raises(Unproven) as raised:
            run(ready, self.check())
        assert raised.value.args == ("rule", "rule_row_version_7")

    def test_proof_rejects_a_stamp_that_is_null(self, ready) -> None:
        ready.execute("ALTER TABLE rule ALTER row_version DROP NOT NULL")
        with pytest.raises(Exception, match="rule_row_version_7"):
            ready.execute("INSERT INTO rule (id, row_version) VALUES (1, NULL)")


def test_what_only_a_later_version_may_do_is_rejected() -> None:
    for call in (
        lambda: SIX.retire(below=7),
        lambda: SIX.proof("rule", 7),
        lambda: SIX.proof("image", 6),
        lambda: Fleet(name="a", version=7, stamps={"r" * 60: "row_version"}).proof("r" * 60, 7),
    ):
        with pytest.raises(InvalidBatch):
            call()
    for call in (
        lambda: Fleet(name="a", version=0),
        lambda: SIX.join("a", lease=timedelta(0)),
        lambda: SIX.contract(unused_since=7, after=timedelta(seconds=-1)),
        lambda: SIX.expand(0),
    ):
        with pytest.raises(ValueError, match=r"must be|is from"):
            call()


SPEC = Document(
    name="spec", load=dict, dump=dict, changes=[Change(up=dict, down=dict, since=7)], first=2
)


class TestDocumentProof:
    """No document of an older version is stored."""

    @pytest.mark.parametrize(
        ("stored", "passes"),
        [
            ('{"version": 3, "document": {}}', True),
            ('{"version": 2, "document": {}}', False),
            (None, True),
            ("null", False),
            ("[3]", False),
            ('{"document": {}}', False),
        ],
    )
    def test_proof_is_of_each_row(self, planned, stored, passes) -> None:
        expand(planned, 7, oldest=7)
        proof = SPEC.proof("image", "spec", 3)
        check = SEVEN.contract(unused_since=7, proofs=[proof], after=timedelta(0))
        planned.execute("INSERT INTO image (id, spec) VALUES (1, %s)", [stored])
        add, validate = proof.ddl()

        planned.execute(add.encode())
        with pytest.raises(Unproven):
            run(planned, check)
        if not passes:
            with pytest.raises(psycopg.errors.CheckViolation):
                planned.execute(validate.encode())
            return
        planned.execute(validate.encode())

        assert run(planned, check).oldest == 7

    def test_proof_of_a_version_that_is_not_read_is_rejected(self) -> None:
        for version in (1, 4):
            with pytest.raises(InvalidBatch, match="versions 2 to 3"):
                SPEC.proof("image", "spec", version)
