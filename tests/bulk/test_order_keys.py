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

from batchq import InvalidBatch, run, sql
from batchq.bulk import (
    Backfill,
    Budget,
    ChildDelete,
    ChunkSize,
    DeleteTree,
    Report,
    StopReason,
    preflight,
    resume,
)
from batchq.bulk.chunks.order_key import OUTPUTS
from batchq.bulk.preflight.findings import FindingCode
from batchq.hierarchy import Parent

ROWS = 12
ITEMS = f"""
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN pair_too AS pair;
CREATE DOMAIN cash AS money;
CREATE DOMAIN cash_too AS cash;
CREATE TYPE kind AS ENUM ('x', 'y', 'z');
CREATE TABLE item (
    id int PRIMARY KEY, vpc_id int NOT NULL DEFAULT 1, v int NOT NULL DEFAULT 1, n int
);
CREATE UNIQUE INDEX ON item (vpc_id, id);
INSERT INTO item (id, n) SELECT n, n FROM generate_series(1, {ROWS}) AS n;
CREATE TABLE vpc (id int PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 0, time_deleted timestamptz);
INSERT INTO vpc VALUES (1);
"""
REWRITE = Backfill(name="items", table="item", set={"v": 2}, where=sql("v < 2"))
VPC = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen")
CHILDREN = VPC.children("item", by="vpc_id", deleted_at=None)
TREE = DeleteTree(name="vpc", parent=VPC, children=[ChildDelete(relation=CHILDREN)])
MISSING = LookupError("no such vpc")
MOST = 500
"""Chunks. What ends, ends long before."""


@pytest.fixture(name="conn")
def conn_fixture(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    conn.execute(ITEMS)
    conn.execute(REWRITE.jobs.ddl())  # type: ignore[arg-type]
    return conn


def ordered(work: Any, *order: str) -> Any:
    if isinstance(work, Backfill):
        return attrs.evolve(work, order=order)
    return attrs.evolve(work, children=[ChildDelete(relation=CHILDREN, order=order)])


def begin(conn: Any, work: Any) -> Any:
    return run(conn, work.start() if isinstance(work, Backfill) else work.fence(1, missing=MISSING))


def go_on(conn: Any, work: Any, rows: int = 3, **options: Any) -> Report:
    size = ChunkSize(minimum=rows, initial=rows, maximum=rows)
    budget = options.pop("budget", Budget(chunks=MOST))
    return resume(conn, [work], owner="test", chunk_size=size, budget=budget, **options)


def job_of(conn: Any) -> Any:
    return conn.execute("SELECT phase, last_error, rows_done FROM bulk_job").fetchone()


def due(conn: Any) -> int:
    return int(conn.execute("SELECT count(*) FROM item WHERE v < 2").fetchone()[0])


def assert_refused(conn: Any, work: Any, *words: str) -> None:
    """Assert that the job is stuck at once, with the reason, and no row is changed."""
    left = due(conn)
    begin(conn, work)
    report = go_on(conn, work)
    phase, error, rows = job_of(conn)
    assert (report.jobs_done, report.jobs_stuck, report.rows) == (0, 1, 0)
    assert (phase, rows, due(conn)) == ("stuck", 0, left)
    for word in words:
        assert word in error


WORKS = pytest.mark.parametrize("work", [REWRITE, TREE], ids=["rewrite", "tree"])


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
@pytest.mark.parametrize("nulls", [[1], [5], [12], [1, 2, 3], range(1, 13), []])
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
    report = go_on(conn, bad)
    assert (report.stop_reason, report.rows, report.jobs_done) == (StopReason.FAILED, 0, 0)
    assert go_on(conn, work).rows == ROWS


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
    report = go_on(conn, REWRITE)  # which sees it where it would end
    assert (report.jobs_done, report.jobs_stuck) == (0, 1)
    assert "item.id: it is part of the order key and may be NULL" in job_of(conn)[1]


def test_unvalidated_not_null_is_found_at_the_end_of_a_scan(conn: Any) -> None:
    if conn.info.server_version < 180000:
        pytest.skip("NOT NULL … NOT VALID is new in PostgreSQL 18")
    conn.execute("""
        ALTER TABLE item ADD k int; UPDATE item SET k = id;
        UPDATE item SET k = NULL WHERE id = 12;
        ALTER TABLE item ADD CONSTRAINT there NOT NULL k NOT VALID""")
    conn.execute("UPDATE item SET v = 2 WHERE id < 12")
    bad = ordered(REWRITE, "k", "id")
    begin(conn, bad)
    for rows in (3, 4, 100):
        report = go_on(conn, bad, rows)
        assert report.jobs_done == 0
        conn.execute("UPDATE bulk_job SET phase = 'active', cursor = NULL, stage = 0")
    assert due(conn) == 1


@WORKS
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("value", ["id / 5", "1", "(ARRAY['0', '-0', 'NaN'])[1 + id % 3]::float8"])
def test_rows_of_one_key_are_deleted_together(conn: Any, work: Any, value: str, rows: int) -> None:
    """Zero and minus zero are one key, and so is NaN with itself."""
    conn.execute(f"ALTER TABLE item ADD k float8; UPDATE item SET k = {value}")
    conn.execute("ALTER TABLE item ALTER k SET NOT NULL; CREATE INDEX ON item (vpc_id, k)")
    begin(conn, work := ordered(work, "k"))
    report = go_on(conn, work, rows)
    assert (report.rows, report.rows_after_fence, report.jobs_done) == (ROWS, 0, 1)
    assert due(conn) == 0


# -- what becomes none on the way ------------------------------------------------------------------


@pytest.mark.parametrize("when", range(1, 12))
@pytest.mark.parametrize("rows", [3, 4])
def test_null_inserted_during_a_scan_is_not_missed(
    conn: Any, connect: Callable[..., Any], at: Any, when: int, rows: int
) -> None:
    """At any chunk of the two passes, and before the end of either."""
    conn.execute("ALTER TABLE item ADD k int; UPDATE item SET k = id")
    conn.execute("ALTER TABLE item ALTER k SET NOT NULL")
    other = connect()

    def allow() -> None:
        other.execute("ALTER TABLE item ALTER k DROP NOT NULL")
        other.execute("INSERT INTO item (id, k) VALUES (100, NULL), (101, 5)")

    work = ordered(REWRITE, "k", "id")
    begin(conn, work)
    report = go_on(conn, work, rows, throttles=[at(when, allow)])
    if conn.execute("SELECT count(*) FROM item WHERE id = 100").fetchone() == (0,):
        assert (report.jobs_done, due(conn)) == (1, 0)
        return
    assert (report.jobs_done, report.jobs_stuck) == (0, 1)
    assert "item.k: it is part of the order key and may be NULL" in job_of(conn)[1]
    conn.execute("UPDATE item SET k = id WHERE k IS NULL; ALTER TABLE item ALTER k SET NOT NULL")
    conn.execute("SELECT 1")
    (job,) = run(conn, work.jobs.all(work.name))
    assert run(conn, work.jobs.retry(job.id)) == 1
    assert go_on(conn, work, rows).jobs_done == 1
    assert due(conn) == 0


TYPES = {
    "to text": ("int", "text", "id", "k::text"),
    "to int": ("text", "int", "id::text", "k::int"),
    "to one of no such texts": ("text", "int", "'k' || id", "id"),
    "to bigint": ("int", "bigint", "id", "k"),
}


@WORKS
@pytest.mark.parametrize("change", TYPES)
def test_type_changed_during_a_scan_starts_no_chunk_in_another_order(
    conn: Any, work: Any, change: str
) -> None:
    """Of texts '11' comes before '2': what comes after a cursor is not what came after it."""
    old, new, value, using = TYPES[change]
    conn.execute(f"ALTER TABLE item ADD k {old}; UPDATE item SET k = {value}")
    conn.execute("ALTER TABLE item ALTER k SET NOT NULL; CREATE INDEX ON item (vpc_id, k)")
    work = ordered(work, "k")
    job = begin(conn, work)
    go_on(conn, work, budget=Budget(chunks=1))
    if change == "to one of no such texts":
        conn.execute("ALTER TABLE item DROP k; ALTER TABLE item ADD k int; UPDATE item SET k = id")
        conn.execute("ALTER TABLE item ALTER k SET NOT NULL")
    else:
        conn.execute(f"ALTER TABLE item ALTER k TYPE {new} USING {using}")
    report = go_on(conn, work)
    assert (report.rows, report.jobs_done) == (0, 0)
    phase, error, rows = job_of(conn)
    assert rows == 3
    if change == "to one of no such texts":
        assert (phase, report.stop_reason) == ("active", StopReason.FAILED)
    else:
        assert (phase, report.jobs_stuck) == ("stuck", 1)
        assert "columns had other types" in error
    assert "retry" in error
    assert run(conn, work.jobs.retry(job)) == 1
    assert go_on(conn, work).jobs_done == 1
    assert due(conn) == 0


# -- what never ended ------------------------------------------------------------------------------


@WORKS
@pytest.mark.parametrize("rows", [1, 2, 5])
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
def test_text_that_depends_on_settings_is_rejected(  # noqa: PLR0917
    conn: Any, connect: Callable[..., Any], work: Any, type_: str, value: str, setting: str,
    rows: int,
) -> None:  # fmt: skip
    conn.execute(f"ALTER TABLE item ADD k {type_}; UPDATE item SET k = {value}")
    conn.execute("ALTER TABLE item ALTER k SET NOT NULL; CREATE INDEX ON item (vpc_id, k)")
    work = ordered(work, "k")
    begin(conn, work)
    session = connect()
    session.execute(setting)
    report = go_on(session, work, rows)
    assert (report.rows, report.rows_after_fence, report.jobs_done) == (ROWS, 0, 1)
    stages = 2 if isinstance(work, Backfill) else 1
    assert report.chunks == stages * (ROWS // rows + 1)


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


# -- another version of the program ----------------------------------------------------------------

OTHERS = {
    "another column": (("n",), ("id",)),
    "one more": (("id",), ("id", "n")),
    "one less": (("id", "n"), ("id",)),
    "in another order": (("n", "id"), ("id", "n")),
}


@WORKS
@pytest.mark.parametrize("change", OTHERS)
def test_changed_order_key_makes_the_job_stuck_with_a_remedy(
    conn: Any, work: Any, change: str
) -> None:
    conn.execute("ALTER TABLE item ALTER n SET NOT NULL")
    old, new = (ordered(work, *order) for order in OTHERS[change])
    job = begin(conn, old)
    go_on(conn, old, budget=Budget(chunks=1))
    report = go_on(conn, new)
    phase, error, rows = job_of(conn)
    assert (report.rows, report.jobs_stuck, phase, rows) == (0, 1, "stuck", 3)
    was, now = (", ".join(order) for order in OTHERS[change])
    assert f"the order key of the job was item ({was}), and is item ({now}) now" in error
    assert f"retry(UUID('{job}'))" in error
    assert run(conn, work.jobs.retry(job)) == 1
    report = go_on(conn, new)
    assert (report.rows, report.jobs_done) == (ROWS - 3, 1)
    assert due(conn) == 0


def test_backfill_of_another_table_by_the_same_name_is_stuck(conn: Any) -> None:
    """It would begin in the middle, find nothing there, and say that it is done."""
    conn.execute("CREATE TABLE item_2 (LIKE item INCLUDING ALL); INSERT INTO item_2 TABLE item")
    conn.execute("UPDATE item_2 SET v = 2 WHERE id > 3; UPDATE item SET v = 2")
    other = attrs.evolve(REWRITE, table="item_2")
    job = begin(conn, REWRITE)
    go_on(conn, REWRITE, budget=Budget(chunks=1))
    assert go_on(conn, other).jobs_stuck == 1
    assert "was item (id), and is item_2 (id) now" in job_of(conn)[1]
    run(conn, REWRITE.jobs.retry(job))
    report = go_on(conn, other)
    assert (report.rows, report.jobs_done) == (3, 1)


def test_tree_with_fewer_stages_makes_the_job_stuck_with_a_remedy(conn: Any) -> None:
    conn.execute("CREATE TABLE more (LIKE item INCLUDING ALL); INSERT INTO more TABLE item")
    more = VPC.children("more", by="vpc_id", deleted_at=None)
    last = VPC.children("last", by="vpc_id", deleted_at=None)
    conn.execute("CREATE TABLE last (LIKE item INCLUDING ALL); INSERT INTO last TABLE item")
    children = [ChildDelete(relation=one) for one in (CHILDREN, more, last)]
    three = attrs.evolve(TREE, children=children)
    job = begin(conn, three)
    go_on(conn, three, rows=100, budget=Budget(chunks=2))
    conn.execute("DELETE FROM last")
    report = go_on(conn, TREE)
    assert (report.jobs_stuck, report.rows) == (1, 0)
    assert "stage 3" in job_of(conn)[1]
    assert "adopt" in job_of(conn)[1]
    stuck = run(conn, TREE.jobs.get(job))
    assert stuck is not None
    assert run(conn, TREE.adopt(stuck)) == 1
    assert go_on(conn, TREE).jobs_done == 1


def test_job_without_a_cursor_takes_a_changed_order_key(conn: Any) -> None:
    conn.execute("ALTER TABLE item ALTER n SET NOT NULL")
    begin(conn, REWRITE)
    assert go_on(conn, ordered(REWRITE, "n", "id")).jobs_done == 1


def test_leased_job_is_not_restarted(conn: Any, connect: Any, at: Any) -> None:
    """Nor does a chunk that was on its way write down where it has come to."""
    job = begin(conn, REWRITE)
    other, received = connect(), []
    retry = at(2, lambda: received.append(run(other, REWRITE.jobs.retry(job))))
    assert go_on(conn, REWRITE, throttles=[retry]).jobs_done == 1
    assert received == [0]


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


def test_null_at_the_end_of_a_page_is_found(
    conn: Any, connect: Callable[..., Any], at: Any
) -> None:
    """The row is up to no last row, itself, and after no cursor: it would never be found."""
    conn.execute("ALTER TABLE item ADD k int; UPDATE item SET k = id, v = 2")
    conn.execute("ALTER TABLE item ALTER k SET NOT NULL")
    other = connect()

    def allow() -> None:
        other.execute("ALTER TABLE item ALTER k DROP NOT NULL")
        other.execute("UPDATE item SET k = NULL, v = 1 WHERE id = 6")

    def forbid() -> None:
        other.execute("UPDATE item SET k = id")
        other.execute("ALTER TABLE item ALTER k SET NOT NULL")

    work = ordered(REWRITE, "id", "k")
    begin(conn, work)
    report = go_on(conn, work, throttles=[at(2, allow), at(3, forbid)])
    assert (report.jobs_done, report.jobs_stuck, report.chunks) == (0, 1, 1)
    assert "item.k: it is part of the order key and may be NULL" in job_of(conn)[1]
