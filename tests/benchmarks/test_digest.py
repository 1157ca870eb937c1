# SPDX-License-Identifier: MIT
"""Digests of what is in the tables: the same for the same rows, whatever their ids."""

from __future__ import annotations

import pytest

from benchmarks.digest import digest
from benchmarks.scene import scene


@pytest.fixture
def both(postgres):
    """Two scenes with the same rows and other ids."""
    with (
        scene(postgres.conninfo(), "one") as one,
        scene(postgres.conninfo(), "other") as other,
    ):
        yield one.conninfo, other.conninfo


def change(connect_to, statement):
    import psycopg  # noqa: PLC0415

    with psycopg.connect(connect_to, autocommit=True) as conn:
        assert conn.execute(statement).rowcount == 1


def test_the_same_rows_with_other_ids_are_the_same(both):
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
    ids=[
        "a value",
        "whom a row refers to",
        "that there is a time",
        "an id of nobody",
        "a row gone",
    ],
)
def test_any_other_difference_is_one(both, statement):
    one, other = both
    change(one, statement)
    assert digest(one) != digest(other)
