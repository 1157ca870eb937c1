# SPDX-License-Identifier: MIT
"""Digests of the tables: equal for the same rows, whatever their ids."""

from __future__ import annotations

import psycopg
import pytest

from benchmarks.sandbox import sandbox
from benchmarks.table_digest import digest


@pytest.fixture
def both(postgres):
    """Return two sandboxes with the same rows and other ids."""
    with sandbox(postgres.conninfo()) as one, sandbox(postgres.conninfo()) as other:
        yield one.conninfo, other.conninfo


def test_digest_of_rows_with_other_ids_is_equal(both):
    one, other = both
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE silo SET rcgen = rcgen + 1 WHERE name = 'silo'",
        "UPDATE project SET silo_id = (SELECT id FROM silo WHERE name = 'full')",
        "UPDATE silo SET time_deleted = now() WHERE name = 'full'",
        "UPDATE vpc_subnet SET vpc_id = gen_random_uuid()",
        "DELETE FROM vpc_firewall_rule WHERE name = 'allow-ssh'",
    ],
    ids=["value", "referenced row", "time", "dangling reference", "missing row"],
)
def test_digest_differs_if_anything_else_differs(both, statement):
    one, other = both
    with psycopg.connect(one, autocommit=True) as conn:
        assert conn.execute(statement).rowcount == 1
    assert digest(one) != digest(other)
