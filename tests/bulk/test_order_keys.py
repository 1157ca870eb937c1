# SPDX-License-Identifier: MIT
"""Invalid order keys are rejected by the preflight and by the chunk.

No job is done while rows are due, and none runs for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import psycopg
import pytest

from batchq import InvalidBatch, sql
from batchq.bulk import (
    Backfill,
    StopReason,
    preflight,
)
from batchq.bulk.chunks.order_key import OUTPUTS
from batchq.bulk.preflight.findings import FindingCode
from tests.support.order_key_items import (
    DELETE,
    REWRITE,
    ROWS,
    TREE,
    WORKS,
    assert_refused,
    due,
    ordered,
)
from tests.support.vpcs import begin, go_on, job_of

pytestmark = pytest.mark.usefixtures("item_table")


# -- what cannot be one ----------------------------------------------------------------------------

NO_KEYS = {
    "may be NULL": ("int", "id", FindingCode.NULLABLE, "may be NULL"),
    "of a composite type": (
        "pair",
        "ROW(id, 'x')::pair",
        FindingCode.INVALID_ORDER_KEY,
        "type pair",
    ),
    "a domain of one": ("pair_too", "ROW(id, '')", FindingCode.INVALID_ORDER_KEY, "type pair_too"),
    "money": ("money", "id::money", FindingCode.INVALID_ORDER_KEY, "type money"),
    "regclass": ("regclass", "id::regclass", FindingCode.INVALID_ORDER_KEY, "type regclass"),
    "money in an array": (
        "money[]",
        "ARRAY[id::money]",
        FindingCode.INVALID_ORDER_KEY,
        "type money[]",
    ),
    "money in disguise": ("cash_too", "id::money", FindingCode.INVALID_ORDER_KEY, "type cash_too"),
}


@WORKS
@pytest.mark.parametrize("key", NO_KEYS)
def test_invalid_order_key_is_rejected_by_preflight_and_job_alike(
    conn: Any, work: Any, key: str
) -> None:
    type_, value, reason, words = NO_KEYS[key]
    conn.execute(f"ALTER TABLE item ADD k {type_}; UPDATE item SET k = {value}")
    if reason is not FindingCode.NULLABLE:
        conn.execute("ALTER TABLE item ALTER k SET NOT NULL")
    conn.execute("CREATE UNIQUE INDEX ON item (vpc_id, k); CREATE UNIQUE INDEX ON item (k)")
    bad = ordered(work, "k")
    (refusal,) = [
        one
        for one in preflight(conn, bad, *([1] if work is TREE else [])).errors
        if one.code is not FindingCode.REJECTED
    ]
    assert (refusal.code, refusal.table, refusal.name) == (reason, "item", "k")
    assert words in refusal.detail
    assert_refused(conn, bad, f"item.k: {refusal.detail}")


@WORKS
@pytest.mark.parametrize("order", [("k", "id"), ("id", "k"), ("k",)])
@pytest.mark.parametrize("nulls", [[1], [12], [2, 5], []])
def test_one_null_does_not_hide_the_rest(conn: Any, work: Any, order: Any, nulls: Any) -> None:
    conn.execute("ALTER TABLE item ADD k int; UPDATE item SET k = id")
    conn.execute("UPDATE item SET k = NULL WHERE id = ANY(%s)", [list(nulls)])
    assert_refused(conn, ordered(work, *order), "item.k: it is part of the order key and may be")


@WORKS
def test_system_column_cannot_be_an_order_key(conn: Any, work: Any) -> None:
    """``ctid`` has an order and a text; each update gives the row another, further on."""
    bad = ordered(work, "ctid")
    reasons = [one.code for one in preflight(conn, bad, *([1] if work is TREE else [])).errors]
    assert FindingCode.NO_COLUMN in reasons
    assert_refused(conn, bad, "item.ctid", "system column")


@WORKS
@pytest.mark.parametrize("type_", ["json", "xml", "point"])
def test_type_without_an_order_is_rejected_by_the_server(conn: Any, work: Any, type_: str) -> None:
    conn.execute(f"ALTER TABLE item ADD k {type_}")
    bad = ordered(work, "k")
    reasons = [one.code for one in preflight(conn, bad, *([1] if work is TREE else [])).errors]
    assert FindingCode.REJECTED in reasons
    begin(conn, bad)
    report = go_on(conn, bad, 3)
    assert (report.stop_reason, report.rows, report.jobs_done) == (StopReason.FAILED, 0, 0)
    assert go_on(conn, work, 3).rows == ROWS


SHARDS = {
    "a table that inherits": """
        CREATE TABLE shard () INHERITS (item);
        ALTER TABLE shard ALTER id DROP NOT NULL;
        INSERT INTO shard (id) VALUES (NULL)""",
    "a foreign table": """
        CREATE FOREIGN DATA WRAPPER nothing;
        CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
        CREATE FOREIGN TABLE shard () INHERITS (item) SERVER nowhere""",
}


@pytest.mark.parametrize("shard", SHARDS)
def test_not_null_must_hold_in_every_partition(conn: Any, shard: str) -> None:
    try:
        conn.execute(SHARDS[shard])
    except (psycopg.errors.InvalidTableDefinition, psycopg.errors.FeatureNotSupported):
        pytest.skip("this server does not let a part allow what the whole forbids")
    assert FindingCode.NULLABLE in [one.code for one in preflight(conn, REWRITE).errors]
    if shard == "a foreign table":
        return  # which leads nowhere
    begin(conn, REWRITE)
    report = go_on(conn, REWRITE, 3)  # which sees it where it would end
    assert (report.jobs_done, report.jobs_stuck) == (0, 1)
    assert "item.id: it is part of the order key and may be NULL" in job_of(conn, "last_error")


@pytest.mark.parametrize("work", [REWRITE, DELETE], ids=["rewrite", "rows"])
def test_unvalidated_not_null_is_found_at_the_end_of_a_scan(conn: Any, work: Any) -> None:
    if conn.info.server_version < 180000:
        pytest.skip("NOT NULL … NOT VALID is new in PostgreSQL 18")
    conn.execute("""
        ALTER TABLE item ADD k int; UPDATE item SET k = id;
        UPDATE item SET k = NULL WHERE id = 12;
        ALTER TABLE item ADD CONSTRAINT there NOT NULL k NOT VALID""")
    conn.execute("UPDATE item SET v = 2 WHERE id < 12")
    bad = ordered(work, "k", "id")
    begin(conn, bad)
    for rows in (3, 4, 100):
        report = go_on(conn, bad, rows)
        assert report.jobs_done == 0
        conn.execute("UPDATE bulk_job SET phase = 'active', cursor = NULL, stage = 0")
    assert due(conn) == 1


@WORKS
@pytest.mark.parametrize("rows", [1, 3, 12])
@pytest.mark.parametrize("value", ["id / 5", "1", "(ARRAY['0', '-0', 'NaN'])[1 + id % 3]::float8"])
def test_rows_of_one_key_are_deleted_together(conn: Any, work: Any, value: str, rows: int) -> None:
    """Zero and minus zero are one key, and so is NaN with itself."""
    conn.execute(f"ALTER TABLE item ADD k float8; UPDATE item SET k = {value}")
    conn.execute("ALTER TABLE item ALTER k SET NOT NULL; CREATE INDEX ON item (vpc_id, k)")
    begin(conn, work := ordered(work, "k"))
    report = go_on(conn, work, rows)
    assert (report.rows, report.rows_after_fence, report.jobs_done) == (ROWS, 0, 1)
    assert due(conn) == 0


# -- what never ended ------------------------------------------------------------------------------


@WORKS
@pytest.mark.parametrize(
    ("type_", "value", "setting"),
    [
        ("float8", "1 + id * 2.220446049250313e-16::float8", "SET extra_float_digits = 0"),
        ("float8", "-1 - id * 2.220446049250313e-16::float8", "SET extra_float_digits = -15"),
        ("float4", "1 + id * 1.2e-7::float4", "SET extra_float_digits = 0"),
        ("float8[]", "ARRAY[1 + id * 2.3e-16::float8]", "SET extra_float_digits = 0"),
        ("interval", "interval '-1 mon 1 day 2 s' * id", "SET IntervalStyle = 'sql_standard'"),
        ("date", "date '2024-01-01' + 31 * id", "SET DateStyle = 'ISO, DMY'"),
        ("daterange", "daterange(date '2024-01-01' + 31 * id, NULL)", "SET DateStyle = 'ISO, DMY'"),
    ],
)
def test_cursor_is_exact_under_settings_that_shorten_its_text(  # noqa: PLR0917
    conn: Any, connect: Callable[..., Any], work: Any, type_: str, value: str, setting: str
) -> None:
    conn.execute(f"ALTER TABLE item ADD k {type_}; UPDATE item SET k = {value}")
    conn.execute("ALTER TABLE item ALTER k SET NOT NULL; CREATE INDEX ON item (vpc_id, k)")
    work = ordered(work, "k")
    begin(conn, work)
    session = connect()
    session.execute(setting)
    report = go_on(session, work, 1)
    assert (report.rows, report.rows_after_fence, report.jobs_done) == (ROWS, 0, 1)
    scans = 2 if isinstance(work, Backfill) else 1
    assert report.chunks == scans * (ROWS + 1)


def test_backfill_that_sets_its_order_key_is_rejected() -> None:
    for order in ("v", ("id", "v")):
        with pytest.raises(InvalidBatch, match=r"'items'.*'v'.*order="):
            attrs.evolve(REWRITE, order=order)


MOVING = {
    "by a trigger": """
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.n = NEW.n + 1000; RETURN NEW; END $$;
        CREATE TRIGGER touch BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION touch()""",
    "by what it is generated from": """
        ALTER TABLE item DROP n;
        ALTER TABLE item ADD n int GENERATED ALWAYS AS (v * 1000 + id) STORED""",
}


@pytest.mark.parametrize("moving", MOVING)
def test_rows_that_an_update_moves_ahead_are_not_met_for_ever(conn: Any, moving: str) -> None:
    conn.execute(MOVING[moving])
    conn.execute("ALTER TABLE item ALTER n SET NOT NULL; CREATE UNIQUE INDEX ON item (n)")
    still_due = attrs.evolve(
        REWRITE, set={"v": sql("v + 1")}, where=sql("v < 1000000"), order=("n",)
    )
    assert_refused(conn, still_due, "item (n)", "rows ahead")
    assert conn.execute("SELECT max(v) FROM item").fetchone() == (1,)


# -- any settings ----------------------------------------------------------------------------------


def test_statement_and_triggers_run_under_the_sessions_settings(
    conn: Any, connect: Callable[..., Any]
) -> None:
    """The settings that a place is written under are for nothing else."""
    conn.execute("""
        ALTER TABLE item ADD d date, ADD f float8, ADD made text, ADD noted text;
        UPDATE item SET d = date '2024-05-04' + id, f = 0.1 + 0.2::float8 + id;
        ALTER TABLE item ALTER d SET NOT NULL;
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.noted = NEW.d || ' ' || NEW.f || ' ' || interval '-1 day 1 s'; RETURN NEW;
            END $$;
        CREATE FUNCTION tell_after() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO later VALUES (NEW.id, NEW.d || ' ' || NEW.f); RETURN NULL; END $$;
        CREATE TABLE later (id int, noted text);
        CREATE TRIGGER note BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION note();
        CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON item DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION tell_after()""")
    session = connect()
    session.execute("SET DateStyle = 'ISO, DMY'; SET extra_float_digits = -3")
    session.execute("SET IntervalStyle = 'sql_standard'")
    sets = {"v": 2, "made": sql("f || ' ' || interval '-1 day 1 s'")}
    work = attrs.evolve(REWRITE, set=sets, order=("d", "id"))
    begin(conn, work)
    assert go_on(session, work).rows == ROWS
    wanted = session.execute(
        "SELECT id, f || ' ' || interval '-1 day 1 s', "
        "d || ' ' || f || ' ' || interval '-1 day 1 s', d || ' ' || f FROM item ORDER BY id"
    ).fetchall()
    found = session.execute(
        "SELECT id, made, item.noted, later.noted FROM item JOIN later USING (id) ORDER BY id"
    ).fetchall()
    assert found == wanted
    assert session.execute("SHOW extra_float_digits").fetchone() == ("-3",)


def test_types_whose_text_depends_on_settings_are_known(conn: Any) -> None:
    """By OIDs, which are the same on every version."""
    found = conn.execute(
        "SELECT oid::bigint, typoutput::oid::bigint FROM pg_type "
        "WHERE typnamespace = 'pg_catalog'::regnamespace"
        " AND typcategory <> 'A' AND (typname = 'money' OR typname LIKE 'reg%')"
    ).fetchall()
    assert dict(found) == OUTPUTS
