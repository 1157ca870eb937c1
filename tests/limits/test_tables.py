# SPDX-License-Identifier: MIT
"""The tables: what is printed is what is applied, twice is fine, and any name will do."""

from __future__ import annotations

import psycopg
import pytest

from batchq import InvariantViolation, run
from batchq.limits import LimitExceeded, Limits
from tests.limits.helpers import LIMITS, SILO, A, B, failure

CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, contype FROM pg_constraint
WHERE connamespace = current_schema()::regnamespace AND contype <> 'n' ORDER BY 1, 2
"""
# All that distinguishes tables of the same name, so that two ways to make it compare.
CATALOGUE = """
SELECT relname, reloptions, attname, atttypid::regtype::text, attnotnull,
       pg_get_expr(adbin, adrelid), (SELECT array_agg(pg_get_constraintdef(c.oid) ORDER BY conname)
                                     FROM pg_constraint AS c WHERE conrelid = pg_class.oid)
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
LEFT JOIN pg_attrdef ON adrelid = pg_class.oid AND adnum = attnum
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' ORDER BY relname, attnum
"""


def catalogue(conn):
    return conn.execute(CATALOGUE).fetchall()


def test_create_applies_the_commands_of_ddl(conn):
    with conn.transaction(force_rollback=True):
        for command in LIMITS.ddl():
            conn.execute(command)
        printed = catalogue(conn)
    assert catalogue(conn) == []
    LIMITS.create(conn)
    assert catalogue(conn) == printed
    assert {row[1] and tuple(row[1]) for row in printed} == {("fillfactor=50",), None}


def test_repeated_create_keeps_the_rows(conn):
    LIMITS.create(conn)
    run(conn, LIMITS.set_limit("vpcs", 5, scope=SILO))
    LIMITS.create(conn)
    assert conn.execute("SELECT lim FROM resource_limit").fetchall() == [(5,)]


def test_constraints_have_the_documented_names(conn):
    LIMITS.create(conn)
    assert conn.execute(CONSTRAINTS).fetchall() == [
        ("resource_charge", "resource_charge_pkey", "p"),
        ("resource_charge", "resource_charge_positive", "c"),
        ("resource_limit", "resource_limit_ceiling", "c"),
        ("resource_limit", "resource_limit_exceeded", "c"),
        ("resource_limit", "resource_limit_negative", "c"),
        ("resource_limit", "resource_limit_pkey", "p"),
    ]


def test_ddl_on_cockroachdb_has_no_fillfactor():
    assert "fillfactor" in LIMITS.ddl()[0]
    assert "fillfactor" not in "".join(LIMITS.ddl("cockroachdb"))
    assert LIMITS.ddl("cockroachdb")[1] == LIMITS.ddl("postgresql")[1]


async def test_acreate_creates_the_same_tables(database, conn):
    async with await psycopg.AsyncConnection.connect(database) as aconn:
        await LIMITS.acreate(aconn)
        await aconn.commit()
    made = catalogue(conn)
    conn.execute("DROP TABLE resource_limit, resource_charge")
    LIMITS.create(conn)
    assert catalogue(conn) == made != []


def test_failed_create_creates_no_table(conn):
    wrong = Limits(ledger="no_such_schema.charges")
    with pytest.raises(psycopg.errors.InvalidSchemaName):
        wrong.create(conn)
    assert catalogue(conn) == []


def test_create_is_part_of_an_open_transaction(conn):
    with conn.transaction(force_rollback=True):
        LIMITS.create(conn)
        assert catalogue(conn) != []
    assert catalogue(conn) == []


@pytest.mark.parametrize(
    "name",
    [
        "limits",
        "Limits",
        'a"b',
        "100%",
        "%(n)s",
        "{table}",
        "a b",
        "order",
        "\u00e9t\u00e9",
        "x" * 55,
        "x" * 62,
        "\U0001f600" * 15 + "x",
    ],
)
@pytest.mark.parametrize("qualified", [True, False])
def test_verbs_work_with_any_table_name(conn, name, qualified):
    schema = conn.execute("SELECT current_schema()").fetchone()[0]
    prefix = f"{schema}." if qualified else ""
    limits = Limits(table=f"{prefix}{name}", ledger=f"{prefix}{name}2")
    limits.create(conn)
    run(conn, limits.set_limit("vpcs", 5, scope=SILO))
    assert run(conn, limits.charge("vpcs", 5, scope=SILO, id=A)) is True
    more = limits.charge("vpcs", 1, scope=SILO, id=B)
    assert isinstance(failure(conn, more).raised, LimitExceeded)
    run(conn, limits.resize("vpcs", 4, scope=SILO, id=A))
    larger = limits.resize("vpcs", 6, scope=SILO, id=A)
    assert isinstance(failure(conn, larger).raised, LimitExceeded)
    assert [one.asked for one in run(conn, limits.shortfalls(larger))] == [2]
    assert run(conn, limits.reconcile(SILO)) == []
    conn.execute(f"UPDATE {quoted(limits.table)} SET used = 1")
    release = limits.release("vpcs", scope=SILO, id=A)
    assert isinstance(failure(conn, release).raised, InvariantViolation)
    assert [drift.now for drift in run(conn, limits.reconcile(SILO))] == [4]
    assert run(conn, release) is True


def quoted(table):
    return psycopg.sql.Identifier(*table.split(".")).as_string()
