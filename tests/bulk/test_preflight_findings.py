# SPDX-License-Identifier: MIT
"""Errors of the preflight, similar tables that have none, and remedies that work."""

from __future__ import annotations

import pytest
from attrs import evolve

from batchq.bulk import ChildDelete, DeleteTree, Jobs
from batchq.bulk.preflight.findings import FindingCode
from batchq.bulk.preflight.preflight import preflight
from batchq.hierarchy import Parent
from tests.support.bulk_fixtures import (
    REWRITE,
    ROWS_BY_CONDITION,
    RULES,
    TABLES,
    TREE,
    VPC,
    change,
    rejected,
    warned,
)

NO_JOBS, OTHER_JOBS = FindingCode.NO_JOB_TABLE, FindingCode.WRONG_JOB_TABLE
NO_TABLE, NO_COLUMN, WRONG_COLUMN = (
    FindingCode.NO_TABLE,
    FindingCode.NO_COLUMN,
    FindingCode.WRONG_COLUMN,
)
NO_INDEX, NOT_UNIQUE, NULLABLE = FindingCode.NO_INDEX, FindingCode.NOT_UNIQUE, FindingCode.NULLABLE
UNINDEXED = FindingCode.UNINDEXED


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(TABLES, prepare=False)
    conn.execute(Jobs().ddl(), prepare=False)


def test_correct_tables_have_no_findings(conn):
    assert (rejected(conn), warned(conn), rejected(conn, REWRITE)) == ([], [], [])


RENAMED = "DROP INDEX rules_by_vpc; CREATE INDEX other ON rule "
NO_KEY = "ALTER TABLE rule DROP CONSTRAINT rule_pkey; DROP INDEX rules_by_vpc; CREATE "
NO_RULES = [(NO_INDEX, "rule", "")]
OTHER = [(NO_INDEX, "rule", "other")]
PARTLY = (
    "DROP INDEX routers_by_vpc;CREATE INDEX other ON router (vpc_id, id) WHERE time_deleted IS NULL"
)
NO_VPC_KEY = "ALTER TABLE vpc DROP CONSTRAINT vpc_pkey CASCADE"
VPC_TWICE = [(FindingCode.KEY_NOT_UNIQUE, "vpc", "id")]
X_OF = "CREATE TABLE x (id int PRIMARY KEY, of int CONSTRAINT x_of REFERENCES "
INDEXED = "; CREATE INDEX x_by_of ON x (of)"


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ("DROP TABLE bulk_job", [(NO_JOBS, "bulk_job", "")]),
        ("ALTER TABLE bulk_job DROP COLUMN scan_rows", [(OTHER_JOBS, "bulk_job", "scan_rows")]),
        ("ALTER TABLE bulk_job ALTER seq TYPE int", [(OTHER_JOBS, "bulk_job", "seq")]),
        ("DROP INDEX bulk_job_unfinished_key", [(OTHER_JOBS, "bulk_job", "")]),
        ("ALTER TABLE bulk_job DROP CONSTRAINT bulk_job_pkey", [(OTHER_JOBS, "bulk_job", "")]),
        ("ALTER TABLE vpc DROP COLUMN rcgen", [(NO_COLUMN, "vpc", "rcgen")]),
        ("ALTER TABLE router DROP COLUMN rcgen", [(NO_COLUMN, "router", "rcgen")]),
        ("ALTER TABLE router DROP COLUMN time_deleted", [(NO_COLUMN, "router", "time_deleted")]),
        (
            "ALTER TABLE vpc ALTER time_deleted SET NOT NULL",
            [(WRONG_COLUMN, "vpc", "time_deleted")],
        ),
        (
            "ALTER TABLE tag ALTER time_deleted SET NOT NULL",
            [(WRONG_COLUMN, "tag", "time_deleted")],
        ),
        (
            "ALTER TABLE router ALTER rcgen DROP DEFAULT, ALTER rcgen TYPE text",
            [(WRONG_COLUMN, "router", "rcgen")],
        ),
        ("DROP INDEX rules_by_vpc", NO_RULES),
        (RENAMED + "(vpc_id, id)", NO_RULES),
        (RENAMED + "(kind, vpc_id, id)", NO_RULES),
        (RENAMED + "(vpc_id, lower(kind), id)", NO_RULES),
        (RENAMED + "(vpc_id) INCLUDE (kind, id)", NO_RULES),
        (RENAMED + "(vpc_id, kind DESC, id)", OTHER),
        (RENAMED + "(vpc_id, kind NULLS FIRST, id)", OTHER),
        (RENAMED + "(vpc_id, kind text_pattern_ops, id)", OTHER),
        (RENAMED + '(vpc_id, kind COLLATE "POSIX", id)', OTHER),
        (RENAMED + "(vpc_id, kind, id) WHERE kind <> 'x'", OTHER),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'rules_by_vpc'::regclass",
            [(NO_INDEX, "rule", "rules_by_vpc")],
        ),
        # The routers that are hidden already are deleted as well.
        (
            PARTLY,
            [(NO_INDEX, "router", "other")],
        ),
        (NO_KEY + "INDEX ON rule (vpc_id, kind, id)", [(NOT_UNIQUE, "rule", "")]),
        (
            NO_KEY + "INDEX ON rule (vpc_id, kind, id); CREATE UNIQUE INDEX ON rule (id) "
            "WHERE kind = 'x'",
            [(NOT_UNIQUE, "rule", "")],
        ),
        (
            NO_KEY
            + "INDEX ON rule (vpc_id, kind, id); CREATE UNIQUE INDEX ON rule (id, row_version)",
            [(NOT_UNIQUE, "rule", "")],
        ),
        (NO_KEY + "INDEX ON rule (vpc_id)", [(NO_INDEX, "rule", ""), (NOT_UNIQUE, "rule", "")]),
        ("ALTER TABLE rule ALTER kind DROP NOT NULL", [(NULLABLE, "rule", "kind")]),
        (X_OF + "rule (id))", [(UNINDEXED, "x", "x_of")]),
        (X_OF + "router ON DELETE RESTRICT)", [(UNINDEXED, "x", "x_of")]),
        (X_OF + "rule); CREATE INDEX ON x (of) WHERE id > 0", [(UNINDEXED, "x", "x_of")]),
        (X_OF + "rule); CREATE INDEX ON x (id, of)", [(UNINDEXED, "x", "x_of")]),
        (NO_VPC_KEY, VPC_TWICE),
        (NO_VPC_KEY + ";CREATE INDEX ON vpc (id)", VPC_TWICE),
        # A hidden one may have the key of a living one then.
        (NO_VPC_KEY + ";CREATE UNIQUE INDEX ON vpc (id) WHERE time_deleted IS NULL", VPC_TWICE),
        (NO_VPC_KEY + ";CREATE UNIQUE INDEX ON vpc (id, rcgen)", VPC_TWICE),
        (NO_VPC_KEY + ";CREATE UNIQUE INDEX ON vpc (abs(id))", VPC_TWICE),
        (
            "ALTER TABLE router DROP CONSTRAINT router_pkey CASCADE",
            [(FindingCode.KEY_NOT_UNIQUE, "router", "id")],
        ),
    ],
)
def test_remedy_fixes_its_error(conn, bad, expected):
    change(conn, bad)
    assert rejected(conn) == expected
    for remedy in dict.fromkeys(one.remedy for one in preflight(conn, TREE, 1).errors):
        change(conn, remedy)
    assert rejected(conn) == []


@pytest.mark.parametrize(
    "twin",
    [
        "ALTER TABLE bulk_job ADD COLUMN note text",
        "ALTER TABLE vpc ALTER rcgen TYPE numeric",
        "ALTER TABLE vpc ALTER rcgen DROP NOT NULL",
        RENAMED + "(vpc_id, kind, id, row_version)",
        RENAMED + "(vpc_id DESC, kind, id)",
        RENAMED + "(vpc_id, kind DESC, id DESC)",
        RENAMED + "(vpc_id, kind, id) INCLUDE (row_version)",
        NO_KEY + "UNIQUE INDEX ON rule (vpc_id, kind, id)",
        NO_KEY + "INDEX ON rule (vpc_id, kind, id); CREATE UNIQUE INDEX ON rule (kind, id)",
        NO_KEY + "INDEX ON rule (vpc_id, kind, id); CREATE UNIQUE INDEX ON rule (vpc_id, id)",
        "ALTER TABLE tag DROP CONSTRAINT tag_pkey",  # unique among the living
        "ALTER TABLE rule ALTER vpc_id DROP NOT NULL",  # a row without one is an orphan
        X_OF + "rule" + ")" + INDEXED,
        X_OF + "rule); CREATE INDEX ON x (of) WHERE of IS NOT NULL",
        X_OF + "rule ON UPDATE CASCADE)" + INDEXED,
        X_OF + "tag ON DELETE CASCADE)",  # tags are hidden, never deleted
        X_OF + "vpc)",  # one row is deleted, once
        NO_VPC_KEY + ";ALTER TABLE vpc ADD UNIQUE (id)",
        NO_VPC_KEY + ";CREATE UNIQUE INDEX ON vpc (id DESC) INCLUDE (rcgen)",
    ],
)
def test_nearly_the_same_tables_have_no_errors(conn, twin):
    change(conn, twin)
    assert rejected(conn) == []


@pytest.mark.parametrize("bad", ["DROP TABLE tag", "DROP TABLE tag; CREATE VIEW tag AS SELECT 1"])
def test_missing_table_is_an_error_and_nothing_is_counted(conn, bad):
    change(conn, bad)
    assert rejected(conn) == [(NO_TABLE, "tag", "")]
    assert preflight(conn, TREE, 1).row_counts == ()


VIEW = "ALTER TABLE rule RENAME TO rules; CREATE VIEW rule AS SELECT * FROM rules"


@pytest.mark.parametrize("task", [TREE, REWRITE, ROWS_BY_CONDITION], ids=lambda task: task.name)
def test_view_is_not_a_table_and_nothing_else_is_advised(conn, task):
    change(conn, VIEW)
    key = 1 if task is TREE else None
    (error,) = preflight(conn, task, key).errors
    assert (error.code, error.remedy) == (NO_TABLE, "name a table in Python")
    assert error.detail.startswith("it is a view")


def test_view_in_the_place_of_the_job_table_is_not_altered(conn):
    change(conn, "ALTER TABLE bulk_job RENAME TO jobs; CREATE VIEW bulk_job AS SELECT * FROM jobs")
    (error,) = preflight(conn, REWRITE).errors
    assert (error.code, error.remedy[:8]) == (FindingCode.NO_JOB_TABLE, "name ano")


def test_schema_is_advised_for_a_table_without_one_only(conn):
    remedies = [
        preflight(conn, evolve(REWRITE, table=table)).errors[0].remedy
        for table in ("nothere", "net.nothere")
    ]
    assert "'public.nothere'" in remedies[0]
    assert remedies[1] == "CREATE TABLE …;\nor name another one in Python"


def test_wrong_column_name_lists_the_existing_columns(conn):
    child = ChildDelete(
        relation=VPC.children("rule", by="vpc", deleted_at=None), set={"vpc": 1, "no": 2}
    )
    seen = preflight(conn, DeleteTree(name="vpc", parent=VPC, children=[child]), 1)
    assert [(one.code, one.name) for one in seen.errors] == [
        (NO_COLUMN, "vpc"),
        (NO_COLUMN, "no"),
    ]
    assert "'id', 'vpc_id', 'kind', 'row_version'" in seen.errors[0].remedy


@pytest.mark.parametrize(("inline", "reasons"), [(3, []), (2, [FindingCode.NO_FENCE])])
def test_parent_without_deleted_at_must_have_few_children(conn, inline, reasons):
    conn.execute("INSERT INTO vpc VALUES (1)")
    conn.execute("INSERT INTO rule SELECT n, 1, 'k' FROM generate_series(1, 3) AS n")
    parent = Parent(table="vpc", deleted_at=None, key="id", generation="rcgen")
    rules = evolve(RULES, relation=parent.children("rule", by="vpc_id", deleted_at=None))
    seen = preflight(
        conn, DeleteTree(name="vpc", parent=parent, children=[rules], inline_limit=inline), 1
    )
    assert [one.code for one in seen.errors] == reasons
    assert seen.statements[0].title == "delete now: lock vpc"


def test_parents_key_is_enough_if_it_has_one_child(conn):
    tree = evolve(TREE, children=[evolve(RULES, order="vpc_id")])
    assert rejected(conn, tree) == [(NOT_UNIQUE, "rule", "")]
    change(conn, preflight(conn, tree, 1).errors[0].remedy)
    assert rejected(conn, tree) == []


@pytest.mark.parametrize("order", [("vpc_id", "kind", "id"), ("kind", "vpc_id", "id")])
def test_parents_key_within_the_order_key_changes_nothing(conn, order):
    assert rejected(conn, evolve(TREE, children=[evolve(RULES, order=order)])) == []
    change(conn, "DROP INDEX rules_by_vpc")
    assert rejected(conn, evolve(TREE, children=[evolve(RULES, order=order)])) == NO_RULES


@pytest.mark.parametrize(("kind", "expected"), [("x", []), (["x"], NO_RULES), (None, NO_RULES)])
def test_column_compared_with_one_value_may_be_anywhere_in_the_index(conn, kind, expected):
    children = VPC.children("rule", by="vpc_id", deleted_at=None, where={"kind": kind})
    tree = DeleteTree(name="vpc", parent=VPC, children=[ChildDelete(relation=children, order="id")])
    assert rejected(conn, tree) == expected


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (NO_KEY + "INDEX other ON rule USING hash (id)", [NO_INDEX, NOT_UNIQUE]),
        (NO_KEY + "UNIQUE INDEX ON rule (id) WHERE row_version < 2", [NO_INDEX, NOT_UNIQUE]),
        (NO_KEY + "INDEX ON rule (id)", [NOT_UNIQUE]),
        (NO_KEY + "UNIQUE INDEX ON rule (id)", []),
        (NO_KEY + "UNIQUE INDEX ON rule (id); ALTER TABLE rule ALTER id DROP NOT NULL", [NULLABLE]),
        ("ALTER TABLE rule DROP COLUMN row_version", [NO_COLUMN]),
        ("DROP TABLE rule", [NO_TABLE]),
    ],
)
def test_backfill_needs_an_index_of_all_rows_by_its_order_key(conn, bad, expected):
    change(conn, bad)
    assert [reason for reason, *_ in rejected(conn, REWRITE)] == expected


def test_remedy_for_a_partitioned_table_can_be_run(conn):
    change(conn, "DROP TABLE rule; CREATE TABLE rule (LIKE tag) PARTITION BY HASH (vpc_id)")
    change(conn, "CREATE TABLE rule_0 PARTITION OF rule FOR VALUES WITH (modulus 1, remainder 0)")
    tree = evolve(TREE, children=[evolve(RULES, order="id")])
    assert rejected(conn, tree) == [*NO_RULES, (NOT_UNIQUE, "rule", "")]
    change(conn, preflight(conn, tree, 1).errors[0].remedy)
    assert rejected(conn, tree) == []


def test_unvalidated_not_null_is_an_error(conn):
    if conn.info.server_version < 180000:
        pytest.skip("NOT NULL … NOT VALID is new in PostgreSQL 18")
    change(conn, "ALTER TABLE rule ALTER kind DROP NOT NULL")
    change(conn, "ALTER TABLE rule ADD CONSTRAINT kind_there NOT NULL kind NOT VALID")
    assert rejected(conn) == [(NULLABLE, "rule", "kind")]
    change(conn, preflight(conn, TREE, 1).errors[0].remedy)
    assert rejected(conn) == []
