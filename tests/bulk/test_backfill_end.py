# SPDX-License-Identifier: MIT
"""A backfill ends when no row is due; a row that is kept due makes its job stuck."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from batchq import run, sql
from batchq.bulk import Backfill, StopReason, preflight
from batchq.bulk.preflight.findings import FindingCode
from tests.support.vpcs import go_on, job_of

TABLES = """
CREATE TABLE rule (id int PRIMARY KEY, v int NOT NULL DEFAULT 1);
INSERT INTO rule SELECT n FROM generate_series(1, 50) AS n;
"""
pytestmark = pytest.mark.tables(TABLES)
STAMP = Backfill(name="v2", table="rule", set={"v": 2}, where=sql("v < 2"))
TRIGGER = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
CREATE TRIGGER keep {when} ON {table} FOR EACH ROW {of} EXECUTE FUNCTION keep();
"""
OF_SEVEN = "WHEN (OLD.id = 7)"
SWALLOWS = TRIGGER.format(body="RETURN NULL;", when="BEFORE UPDATE", table="rule", of=OF_SEVEN)
PARTITIONED = """
ALTER TABLE rule RENAME TO plain;
CREATE TABLE rule (LIKE plain INCLUDING ALL) PARTITION BY RANGE (id);
CREATE TABLE rule_low PARTITION OF rule FOR VALUES FROM (0) TO (20);
CREATE TABLE rule_high PARTITION OF rule FOR VALUES FROM (20) TO (100);
INSERT INTO rule SELECT * FROM plain;
"""
GENERATED = """
ALTER TABLE rule ADD is_due boolean GENERATED ALWAYS AS (id = 7 OR v < 2) STORED;
"""
ANOTHER = """
CREATE TABLE another (LIKE rule);
CREATE RULE keep AS ON UPDATE TO rule DO INSTEAD
    UPDATE another SET v = NEW.v WHERE id = OLD.id RETURNING another.*;
"""

KEPT: dict[str, tuple[str, Backfill]] = {
    "a trigger swallows it": (SWALLOWS, STAMP),
    "a trigger of a partition swallows it": (
        PARTITIONED + SWALLOWS.replace("ON rule ", "ON rule_low "),
        STAMP,
    ),
    "a trigger sets it back": (
        TRIGGER.format(
            body="NEW.v := OLD.v; RETURN NEW;", when="BEFORE UPDATE", table="rule", of=OF_SEVEN
        ),
        STAMP,
    ),
    "set= does not make where= false": ("", attrs.evolve(STAMP, set={"v": 1})),
    "a generated value stays": (GENERATED, attrs.evolve(STAMP, where=sql("is_due"))),
    "a rule updates another table instead": (ANOTHER, STAMP),
    "nothing changes of any row": (SWALLOWS.replace("OLD.id = 7", "OLD.id > 0"), STAMP),
}


@pytest.mark.parametrize("case", KEPT)
def test_backfill_with_a_row_that_stays_due_is_stuck_with_the_causes(conn: Any, case: str) -> None:
    ddl, backfill = KEPT[case]
    conn.execute(ddl)
    run(conn, backfill.start())
    report = go_on(conn, backfill)
    assert (report.stop_reason, report.jobs_done, report.jobs_stuck) == (StopReason.EXHAUSTED, 0, 1)
    phase, detail = job_of(conn, "phase, last_error")
    assert phase == "stuck"
    for cause in (backfill.table, "trigger", "rule", "policy", "set=", "where="):
        assert cause in detail


def test_backfill_ends_after_the_trigger_is_dropped(conn: Any) -> None:
    conn.execute(SWALLOWS)
    begun = run(conn, STAMP.start())
    go_on(conn, STAMP)
    conn.execute("DROP FUNCTION keep CASCADE")
    run(conn, STAMP.jobs.retry(begun))
    assert go_on(conn, STAMP).jobs_done == 1
    assert conn.execute("SELECT count(*) FROM rule WHERE v < 2").fetchone() == (0,)
    assert conn.execute("SELECT rows_done FROM bulk_job").fetchone() == (50,)


@pytest.mark.parametrize("locked", [8, 7], ids=["another row", "the row itself"])
def test_backfill_with_a_kept_and_a_locked_row_neither_ends_nor_spins(
    conn: Any, connect: Any, locked: int
) -> None:
    conn.execute(SWALLOWS)
    run(conn, STAMP.start())
    with connect() as holder, holder.transaction():
        holder.execute("SELECT FROM rule WHERE id = %s FOR UPDATE", [locked])
        report = go_on(conn, STAMP, timeout=0.2)
        assert (report.jobs_done, report.jobs_stuck, report.jobs_released) == (0, 0, 1)
        assert "locked by other transactions" in job_of(conn, "last_error")
    assert go_on(conn, STAMP).jobs_stuck == 1
    assert conn.execute("SELECT id FROM rule WHERE v < 2").fetchall() == [(7,)]


RULES = {
    "nothing instead": "DO INSTEAD NOTHING",
    "nothing instead of one": "WHERE OLD.id = 7 DO INSTEAD NOTHING",
    "something else as well": "DO ALSO SELECT 1",
    "two instead": "DO INSTEAD (SELECT 1; SELECT 2)",
    "another table's rows, of which none comes back": (
        "DO INSTEAD UPDATE other SET v = 3 WHERE id = OLD.id"
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule_makes_a_backfill_stuck_and_is_a_preflight_error(conn: Any, rule: str) -> None:
    conn.execute(
        f"CREATE TABLE other (LIKE rule); CREATE RULE keep AS ON UPDATE TO rule {RULES[rule]}"
    )
    found_errors = [(one.code, one.table, one.name) for one in preflight(conn, STAMP).errors]
    assert found_errors == [(FindingCode.RULE, "rule", "keep")]
    begun = run(conn, STAMP.start())
    report = go_on(conn, STAMP)
    assert (report.stop_reason, report.jobs_done, report.jobs_stuck) == (StopReason.EXHAUSTED, 0, 1)
    phase, detail = job_of(conn, "phase, last_error")
    assert phase == "stuck"
    assert "rule: a rule (CREATE RULE)" in detail
    assert str(begun) in detail
    conn.execute("ALTER TABLE rule DISABLE RULE keep")
    assert preflight(conn, STAMP).ok
    run(conn, STAMP.jobs.retry(begun))
    assert go_on(conn, STAMP).jobs_done == 1


def test_preflight_warns_of_an_update_trigger(conn: Any) -> None:
    conn.execute(SWALLOWS)
    for when in ("BEFORE DELETE", "BEFORE INSERT"):
        conn.execute(
            f"CREATE TRIGGER {when.replace(' ', '_')} {when} ON rule "
            f"FOR EACH ROW EXECUTE FUNCTION keep()"
        )
    seen = preflight(conn, STAMP)
    assert seen.ok
    assert [(one.code, one.table, one.name) for one in seen.warnings] == [
        (FindingCode.TRIGGER, "rule", "keep")
    ]
    conn.execute("ALTER TABLE rule DISABLE TRIGGER keep")
    assert preflight(conn, STAMP).warnings == ()
