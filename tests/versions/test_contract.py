# SPDX-License-Identifier: MIT
"""What older versions need may be dropped when four things are true; each is taken away in turn."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from batchq import run
from batchq.versions import NotYet, Unproven
from tests.versions.helpers import SEVEN, expand, prove

ADD = "ALTER TABLE rule ADD CONSTRAINT rule_row_version_7"


@pytest.fixture
def ready(planned):
    """All four are true."""
    expand(planned, 8, oldest=8)
    planned.execute("UPDATE version_window SET settled_at = now() - interval '2 h'")
    prove(planned)
    return planned


def check(unused_since: int = 8, after: timedelta = timedelta(hours=1)):
    proofs = [SEVEN.proof("rule", 7)]
    return SEVEN.contract(unused_since=unused_since, proofs=proofs, after=after)


def test_contract_passes(ready) -> None:
    assert run(ready, check()).oldest == 8


def test_contract_needs_older_versions_to_be_retired(ready) -> None:
    with pytest.raises(NotYet) as raised:
        run(ready, check(unused_since=9))
    assert raised.value.args[:2] == (9, 8)


def test_contract_needs_them_to_be_retired_for_some_time(ready) -> None:
    with pytest.raises(NotYet) as raised:
        run(ready, check(after=timedelta(hours=3)))
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
def test_contract_needs_every_proof(ready, instead) -> None:
    ready.execute("ALTER TABLE rule DROP CONSTRAINT rule_row_version_7")
    other = f"other_{uuid4().hex}"
    ready.execute(instead.format(other=other).encode())

    with pytest.raises(Unproven) as raised:
        run(ready, check())
    assert raised.value.args == ("rule", "rule_row_version_7")


def test_proof_rejects_a_stamp_that_is_null(ready) -> None:
    ready.execute("ALTER TABLE rule ALTER row_version DROP NOT NULL")
    with pytest.raises(Exception, match="rule_row_version_7"):
        ready.execute("INSERT INTO rule (id, row_version) VALUES (1, NULL)")
