# SPDX-License-Identifier: MIT
"""Rows that a trigger or a rule keeps without an error: the parent is kept as well."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from batchq import run
from batchq.bulk import ChildDelete, DeleteTree, StopReason, preflight
from batchq.bulk.errors import ParentKept, RowsAfterFence
from batchq.bulk.preflight.findings import FindingCode
from batchq.result import Failed, attempt
from tests.support.vpcs import VPC

KEEPS = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE {} ON {} FOR EACH ROW WHEN (OLD.id = {}) EXECUTE FUNCTION keep();
"""
UNDOES = """
CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN NEW.{column} := OLD.{column}; RETURN NEW; END $$;
CREATE TRIGGER undo BEFORE UPDATE ON {table} FOR EACH ROW WHEN (OLD.id = {id})
    EXECUTE FUNCTION undo();
"""
PARTITIONED = """
ALTER TABLE rule RENAME TO plain;
CREATE TABLE rule (LIKE plain, UNIQUE (vpc_id, id)) PARTITION BY RANGE (id);
CREATE TABLE rule_low PARTITION OF rule FOR VALUES FROM (0) TO (400);
CREATE TABLE rule_high PARTITION OF rule FOR VALUES FROM (400) TO (100000);
INSERT INTO rule SELECT * FROM plain;
"""
SOFT = "ALTER TABLE rule ADD time_deleted timestamptz"
HARD_RULES = ChildDelete(relation=VPC.children("rule", by="vpc_id", deleted_at=None))
SOFT_RULES = ChildDelete(relation=VPC.children("rule", by="vpc_id", deleted_at="time_deleted"))
NOBODYS = ChildDelete(relation=HARD_RULES.relation, set={"vpc_id": None})
UNBOUND = "ALTER TABLE rule ALTER vpc_id DROP NOT NULL"

CASES: dict[str, tuple[ChildDelete, str, int]] = {
    "a trigger keeps it": (HARD_RULES, KEEPS.format("DELETE", "rule", 500), 1),
    "a trigger of a partition keeps it": (
        HARD_RULES,
        PARTITIONED + KEEPS.format("DELETE", "rule_high", 500),
        1,
    ),
    "a trigger keeps it from being hidden": (
        SOFT_RULES,
        SOFT + ";" + KEEPS.format("UPDATE", "rule", 500),
        1,
    ),
    "a trigger shows it again": (
        SOFT_RULES,
        SOFT + ";" + UNDOES.format(table="rule", column="time_deleted", id=500),
        0,
    ),
    "a trigger keeps it the parent's": (
        NOBODYS,
        UNBOUND + ";" + KEEPS.format("UPDATE", "rule", 500),
        1,
    ),
    "a trigger gives it back to the parent": (
        NOBODYS,
        UNBOUND + ";" + UNDOES.format(table="rule", column="vpc_id", id=500),
        0,
    ),
}
"""The drain, what keeps rule 500, and how many rows fewer the server says that it changed."""


@pytest.mark.parametrize("case", CASES)
def test_job_is_stuck_at_a_row_that_a_trigger_keeps_and_ends_without_it(
    estate: Any, case: str
) -> None:
    child, ddl, fewer = CASES[case]
    estate.conn.execute(ddl)
    estate.tree = DeleteTree(name="vpc", parent=VPC, children=[child])
    job = estate.fence()
    report = estate.resume()
    assert (report.jobs_stuck, report.jobs_done, report.rows_after_fence) == (1, 0, 4)
    detail = estate.job("last_error")
    assert "rule, 500" in detail
    assert "a trigger" in detail
    assert estate.one("SELECT count(*) FROM vpc WHERE id = 1") == 1
    if fewer:
        assert report.rows == 999
    for name in ("keep", "undo"):
        estate.conn.execute(f"DROP FUNCTION IF EXISTS {name} CASCADE")
    run(estate.conn, estate.tree.jobs.retry(job))
    assert estate.resume().jobs_done == 1
    assert estate.one("SELECT count(*) FROM vpc WHERE id = 1") == 0


@pytest.mark.parametrize("case", CASES)
def test_delete_now_is_rolled_back_if_a_trigger_keeps_a_row(estate: Any, case: str) -> None:
    child, ddl, _ = CASES[case]
    estate.conn.execute(ddl)
    tree = DeleteTree(name="vpc", parent=VPC, children=[child])
    answer = attempt(estate.conn, tree.delete_now(1, missing=estate.missing()))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, RowsAfterFence)
    assert (answer.error.table, answer.error.key) == ("rule", 500)
    assert estate.left() == 1_000
    assert estate.one("SELECT time_deleted FROM vpc WHERE id = 1") is None


@pytest.mark.parametrize("table", ["rule", "vpc"])
def test_rule_that_does_nothing_instead_keeps_the_parent(estate: Any, table: str) -> None:
    """The server refuses it in a chunk, and at once it is found at the end."""
    estate.conn.execute(f"CREATE RULE keep AS ON DELETE TO {table} DO INSTEAD NOTHING")
    for key in (1, 2):  # in chunks, and at once
        found_errors = preflight(estate.conn, evolve(estate.tree, inline_limit=100), key).errors
        assert [(one.code, one.table, one.name) for one in found_errors] == [
            (FindingCode.RULE, table, "keep")
        ]
    answer = attempt(estate.conn, estate.tree.delete_now(2, missing=estate.missing()))
    assert isinstance(answer, Failed)
    if table == "rule":
        assert isinstance(answer.error, RowsAfterFence)
    job = estate.fence()
    report = estate.resume()
    assert (report.stop_reason, report.jobs_stuck, report.jobs_done) == (StopReason.EXHAUSTED, 1, 0)
    assert f"{table}: a rule (CREATE RULE)" in estate.job("last_error")
    assert estate.one("SELECT count(*) FROM vpc WHERE id = 1") == 1
    estate.conn.execute(f"DROP RULE keep ON {table}")
    run(estate.conn, estate.tree.jobs.retry(job))
    estate.resume()
    estate.assert_deleted()


@pytest.mark.parametrize("how", ["in chunks", "at once"])
def test_parent_kept_by_a_trigger_is_not_reported_as_deleted(estate: Any, how: str) -> None:
    estate.conn.execute(KEEPS.format("DELETE", "vpc", 1))
    if how == "at once":
        answer = attempt(estate.conn, estate.tree.delete_now(1, missing=estate.missing()))
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, ParentKept)
        assert estate.left() == 1_000
        return
    job = estate.fence()
    assert estate.resume().jobs_stuck == 1
    assert "vpc" in estate.job("last_error")
    estate.conn.execute("DROP FUNCTION keep CASCADE")
    run(estate.conn, estate.tree.jobs.retry(job))
    estate.resume()
    estate.assert_deleted()


@pytest.mark.parametrize("case", ["keeps", "undoes"])
def test_parent_that_a_trigger_keeps_from_hiding_is_not_fenced(estate: Any, case: str) -> None:
    ddl = UNDOES.format(table="vpc", column="time_deleted", id=1)
    estate.conn.execute(KEEPS.format("UPDATE", "vpc", 1) if case == "keeps" else ddl)
    answer = attempt(estate.conn, estate.tree.fence(1, missing=estate.missing()))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, ParentKept)
    assert estate.one("SELECT count(*) FROM bulk_job") == 0


@pytest.mark.parametrize("case", ["keeps", "undoes"])
def test_parent_that_stays_live_keeps_its_children_in_delete_now(estate: Any, case: str) -> None:
    ddl = UNDOES.format(table="vpc", column="time_deleted", id=1)
    estate.conn.execute(KEEPS.format("UPDATE", "vpc", 1) if case == "keeps" else ddl)
    tree = DeleteTree(name="vpc", parent=VPC, children=[HARD_RULES], hard=False)
    answer = attempt(estate.conn, tree.delete_now(1, missing=estate.missing()))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, ParentKept)
    assert estate.left() == 1_000
    assert run(estate.conn, tree.delete_now(2, missing=estate.missing())) == 10
