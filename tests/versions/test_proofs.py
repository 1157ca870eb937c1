# SPDX-License-Identifier: MIT
"""A proof is a CHECK that the server has validated, for all rows that the table has or will have.

Whatever else has its name proves nothing, and to look it up reads no row.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from batchq import InvalidBatch, run
from batchq.versions import Change, Document, Fleet, Proof, Unproven
from tests.versions.helpers import SEVEN, expand

PROOF = SEVEN.proof("rule", 7)
ADD, VALIDATE = PROOF.ddl()
PARTITIONED = """
DROP TABLE rule;
CREATE TABLE rule (id int, row_version int NOT NULL DEFAULT 0) PARTITION BY LIST (id);
CREATE TABLE rule_1 PARTITION OF rule FOR VALUES IN (1);
CREATE TABLE rule_2 PARTITION OF rule FOR VALUES IN (2)
"""
DROP = "ALTER TABLE rule DROP CONSTRAINT rule_row_version_7"
INHERITED = "CREATE TABLE kept_rule () INHERITS (rule)"


@pytest.fixture(autouse=True)
def retired(fleet_tables, conn):
    expand(conn, oldest=7)


def contract(proof: Proof = PROOF) -> Any:
    return SEVEN.contract(unused_since=7, proofs=[proof], after=timedelta(0))


def execute(conn: psycopg.Connection[Any], *commands: str) -> None:
    for command in commands:
        conn.execute(command.encode())


@pytest.mark.parametrize("tables", [PARTITIONED, INHERITED], ids=["partitioned", "inherited"])
def test_proof_of_a_table_is_one_of_its_partitions_and_heirs(conn, tables) -> None:
    execute(conn, *tables.split(";"), ADD)
    with pytest.raises(Unproven):
        run(conn, contract())

    execute(conn, VALIDATE)

    assert run(conn, contract()).oldest == 7


@pytest.mark.parametrize(
    ("tables", "older"),
    [
        (PARTITIONED, "INSERT INTO rule (id, row_version) VALUES (2, 6)"),
        (INHERITED, "INSERT INTO kept_rule (id, row_version) VALUES (2, 6)"),
    ],
    ids=["partitioned", "inherited"],
)
def test_older_row_of_a_partition_or_an_heir_is_found(conn, tables, older) -> None:
    execute(conn, *tables.split(";"), older, ADD)

    with pytest.raises(psycopg.errors.CheckViolation):
        execute(conn, VALIDATE)
    with pytest.raises(psycopg.errors.CheckViolation):
        execute(conn, older)


def test_proof_of_a_partition_alone_is_none(conn) -> None:
    alone = SEVEN.proof("rule", 7).ddl()[0].replace('"rule"', '"rule_1"', 1).split(" NOT VALID")[0]
    execute(conn, *PARTITIONED.split(";"), alone)

    with pytest.raises(Unproven):
        run(conn, contract())


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE rule RENAME row_version TO stamp",
        "ALTER TABLE rule RENAME CONSTRAINT rule_row_version_7 TO other",
        "ALTER TABLE rule RENAME TO other",
        "ALTER TABLE rule RENAME TO other; CREATE TABLE rule (row_version int)",
        "ALTER TABLE rule DROP row_version, ADD row_version int",
        f"{DROP}; ALTER TABLE rule ADD CONSTRAINT rule_row_version_7 CHECK (row_version + id > 6)",
        f"{DROP}; ALTER TABLE rule ADD CONSTRAINT rule_row_version_7 CHECK (row_version >= 0)",
        f"{DROP}; ALTER TABLE rule ADD CONSTRAINT rule_row_version_7 CHECK (row_version <= 7)",
    ],
)
def test_proof_that_was_changed_afterwards_is_none(conn, change) -> None:
    execute(conn, ADD, VALIDATE)
    assert run(conn, contract()).oldest == 7

    execute(conn, *change.split(";"))

    with pytest.raises(Unproven):
        run(conn, contract())


@pytest.mark.postgres_only("NOT ENFORCED is of PostgreSQL 18")
def test_check_that_is_not_enforced_is_none(conn) -> None:
    if conn.info.server_version < 180000:
        pytest.skip("a CHECK is always enforced")
    execute(conn, ADD.replace("NOT VALID", "NOT ENFORCED"))

    with pytest.raises(Unproven):
        run(conn, contract())


@pytest.mark.parametrize(
    ("table", "column", "qualified", "strings"),
    [
        ("rule", 'The "Stamp" %s \\', True, "on"),
        ('We"ird %(Rule)s \\', "row_version", False, "on"),
        ('We"ird %(Rule)s \\', 'The "Stamp" %s \\', True, "off"),
    ],
)
def test_names_of_all_kinds(conn, table, column, qualified, strings) -> None:
    schema = conn.execute("SELECT current_schema()").fetchone()[0]
    execute(conn, f"SET standard_conforming_strings = {strings}", "DROP TABLE rule")
    name = f"{schema}.{table}" if qualified else table
    proof = Fleet(name="a", version=7, stamps={name: column}).proof(name, 7)
    quoted = ('"{}"'.format(each.replace('"', '""')) for each in (table, column))
    execute(conn, "CREATE TABLE {} ({} int)".format(*quoted))
    with pytest.raises(Unproven) as raised:
        run(conn, contract(proof))
    assert (raised.value.table, raised.value.constraint) == (name, f"{table}_{column}_7")

    execute(conn, *proof.ddl())

    assert run(conn, contract(proof)).oldest == 7


def test_contract_reads_no_row_of_the_table(conn) -> None:
    execute(conn, "INSERT INTO rule (id, row_version) SELECT n, 7 FROM generate_series(1, 9) AS n")
    execute(conn, ADD, VALIDATE)
    read = """
        SELECT seq_scan + seq_tup_read + coalesce(idx_scan + idx_tup_fetch, 0)
        FROM pg_stat_xact_user_tables WHERE relid = 'rule'::regclass
    """

    with conn.transaction():
        (before,) = conn.execute(read).fetchone()
        run(conn, contract(), nested=True)
        assert conn.execute(read).fetchone() == (before,)
        conn.execute("TABLE rule")
        assert conn.execute(read).fetchone() == (before + 10,)


@pytest.mark.parametrize("kind", ["smallint", "int", "bigint", "numeric", "own"])
def test_proof_is_known_whatever_integers_the_stamps_are(conn, kind) -> None:
    execute(
        conn,
        "CREATE DOMAIN own AS smallint",
        "DROP TABLE rule",
        f"CREATE TABLE rule (row_version {kind} NOT NULL DEFAULT 0)",
        *(ADD, VALIDATE, "SET quote_all_identifiers = on"),
    )

    assert run(conn, contract()).oldest == 7


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
    def test_proof_is_of_each_row(self, conn, stored, passes) -> None:
        proof = SPEC.proof("image", "spec", 3)
        conn.execute("INSERT INTO image (id, spec) VALUES (1, %s)", [stored])
        add, validate = proof.ddl()

        execute(conn, add)
        with pytest.raises(Unproven):
            run(conn, contract(proof))
        if not passes:
            with pytest.raises(psycopg.errors.CheckViolation):
                execute(conn, validate)
            return
        execute(conn, validate)

        assert run(conn, contract(proof)).oldest == 7

    def test_another_check_of_that_name_proves_nothing(self, planned) -> None:
        expand(planned, 7, oldest=7)
        check = SEVEN.contract(
            unused_since=7, proofs=[SPEC.proof("image", "spec", 3)], after=timedelta(0)
        )
        planned.execute("ALTER TABLE image ADD CONSTRAINT image_spec_3 CHECK (spec IS NULL)")

        with pytest.raises(Unproven):
            run(planned, check)

    def test_proof_of_a_version_that_is_not_read_is_rejected(self) -> None:
        for version in (1, 4):
            with pytest.raises(InvalidBatch, match="versions 2 to 3"):
                SPEC.proof("image", "spec", version)
