# SPDX-License-Identifier: MIT
"""What the server rejects, and what happens to the job: stuck, released, or tried again.

The requests after each failure are in test_failure_handling.py; here the server fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from psycopg import sql

import batchq
from batchq import UnmappedViolation
from batchq.bulk import (
    Backfill,
    Budget,
    ChildDelete,
    DeleteTree,
    Report,
    StopReason,
    TooManyRows,
    start,
)
from batchq.bulk.errors import NoJobTable, RowsAfterFence
from tests.support.progress_events import Events

# -- what a constraint refuses ---------------------------------------------------------------------

HIT = "CREATE TABLE hit (at int CONSTRAINT hit_fk REFERENCES {}); INSERT INTO hit VALUES ({})"
CHECKED = """
ALTER TABLE rule ADD time_deleted timestamptz;
ALTER TABLE rule ADD CONSTRAINT hit_fk CHECK (time_deleted IS NULL OR id <> 500)
"""


@pytest.mark.parametrize(
    ("refuses", "mended", "options", "rows"),
    [
        (HIT.format("rule", 500), "DROP TABLE hit", {}, 300),
        (HIT.format("rule ON DELETE RESTRICT", 500), "DROP TABLE hit", {}, 300),
        (HIT.format("rule DEFERRABLE INITIALLY DEFERRED", 500), "DROP TABLE hit", {}, 300),
        (HIT.format("vpc", 1), "DROP TABLE hit", {}, 1_000),
        (CHECKED, "ALTER TABLE rule DROP CONSTRAINT hit_fk", {"hard": False}, 300),
    ],
    ids=["a chunk", "a chunk, restricted", "a chunk's COMMIT", "the final batch", "a soft delete"],
)
def test_job_rejected_by_a_constraint_is_stuck_until_fixed(
    estate: Any, refuses: str, mended: str, options: dict[str, Any], rows: int
) -> None:
    estate.conn.execute(refuses)
    if options:
        rules = estate.tree.parent.children("rule", by="vpc_id", deleted_at="time_deleted")
        estate.tree = DeleteTree(
            name="vpc", parent=estate.tree.parent, children=[ChildDelete(relation=rules)]
        )
    job = estate.fence(1)
    estate.fence(2)

    report = estate.resume()
    assert (report.stop_reason, report.jobs_stuck, report.jobs_done) == (StopReason.EXHAUSTED, 1, 1)
    phase, error, lease, done = estate.job("phase, last_error, lease_until, rows_done")
    assert (phase, lease, done) == ("stuck", None, rows)
    assert "hit_fk" in error
    assert estate.one("SELECT count(*) FROM vpc WHERE id = 1") == 1
    assert estate.resume() == Report(all_jobs_stuck=1)

    estate.conn.execute(mended)
    assert batchq.run(estate.conn, estate.tree.jobs.retry(job)) == 1
    assert estate.resume().rows == 1_000 - rows
    assert estate.job("phase, rows_done, last_error") == ("done", 1_000, None)
    assert estate.one("SELECT count(*) FROM vpc WHERE id = 1") == 0


def test_not_null_column_is_named_in_last_error(estate: Any) -> None:
    """Not every refusal is a named constraint's."""
    rules = ChildDelete(relation=estate.rules, set={"vpc_id": None})
    estate.tree = DeleteTree(name="vpc", parent=estate.tree.parent, children=[rules])
    estate.fence()
    assert estate.resume().jobs_stuck == 1
    assert re.fullmatch(
        r"constraint (NOT NULL|\w+) on rule\.vpc_id rejects it \(SQLSTATE 23502\)",
        estate.job("last_error"),
    )


def test_missing_job_table_is_named_with_its_ddl(estate: Any) -> None:
    estate.conn.execute("DROP TABLE bulk_job")
    words = re.escape("the job table 'bulk_job' does not exist: ") + r".*task\.jobs\.ddl\(\)"
    report = estate.resume()
    assert report.stop_reason is StopReason.FAILED
    assert re.match(words, report.detail)
    with pytest.raises(NoJobTable, match=words):
        start(estate.conn, attrs.evolve(estate.tree, inline_limit=5), 1, missing=LookupError())
    backfill = Backfill(name="x", table="rule", set={"name": "x"}, where={"name": None})
    for batch in (backfill.start(), estate.tree.fence(1, missing=LookupError())):
        with pytest.raises(NoJobTable, match=words):
            batchq.run(estate.conn, batch)


def test_another_missing_table_is_not_taken_for_the_job_table(estate: Any) -> None:
    estate.conn.execute("DROP TABLE rule")
    with pytest.raises(UnmappedViolation, match="rule"):
        batchq.run(estate.conn, estate.tree.fence(1, missing=LookupError()))


def test_errors_of_trees_are_sentences() -> None:
    assert str(TooManyRows("rule", 5000)).startswith("rule: more than 5,000 rows are too many ")
    assert str(RowsAfterFence("rule", 7)) == "rule: rows are left after the last chunk, such as 7"


def test_job_retried_before_the_fix_is_restarted_as_often(estate: Any) -> None:
    estate.conn.execute(HIT.format("vpc", 1))
    job = estate.fence()
    received = [Events(), Events()]
    for events in received:
        estate.resume(observers=[events])
        assert batchq.run(estate.conn, estate.tree.jobs.retry(job)) == 1
    assert [events.names.count("RESTARTED") for events in received] == [4, 4]
    assert all(events.names[-1] == "STUCK" for events in received)


# -- what nothing but a person can mend ------------------------------------------------------------


@pytest.fixture
def role(estate: Any) -> Iterator[str]:
    """May do everything but delete rules."""
    name = estate.one("SELECT 'worker_' || current_schema")
    who = sql.Identifier(name)
    for text in (
        "CREATE ROLE {}",
        "GRANT USAGE ON SCHEMA {schema} TO {}",
        "GRANT ALL ON vpc, bulk_job TO {}",
        "GRANT SELECT, UPDATE ON rule TO {}",
    ):
        schema = sql.Identifier(estate.one("SELECT current_schema"))
        estate.conn.execute(sql.SQL(text).format(who, schema=schema))
    yield name
    estate.conn.execute(sql.SQL("DROP OWNED BY {}").format(who))
    estate.conn.execute(sql.SQL("DROP ROLE {}").format(who))


def test_missing_table_releases_the_job(fenced: Any) -> None:
    fenced.conn.execute("ALTER TABLE rule RENAME TO elsewhere")
    fenced.assert_released(fenced.resume(), "42P01")
    fenced.conn.execute("ALTER TABLE elsewhere RENAME TO rule")
    fenced.resume()
    fenced.assert_deleted()


def test_missing_privilege_releases_the_job_for_another_role(
    fenced: Any, connect: Callable[..., Any], role: str
) -> None:
    worker = connect()
    worker.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    fenced.assert_released(fenced.resume(worker), "42501")
    fenced.resume()
    fenced.assert_deleted()


REFUSES_THE_FIRST = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF OLD.id = 1 THEN RAISE 'never'; END IF; RETURN OLD;
END $$;
CREATE TRIGGER refuse BEFORE DELETE ON vpc FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@pytest.mark.parametrize("chunks", [6, 5], ids=["exhausted", "out of chunks"])
def test_rejected_job_is_followed_by_the_next_and_reported(estate: Any, chunks: int) -> None:
    """Whatever stops the worker afterwards: the failure must not be hidden by a used-up budget."""
    estate.fence(1)
    estate.fence(2)
    estate.conn.execute(REFUSES_THE_FIRST)
    report = estate.resume(budget=Budget(chunks=chunks))
    assert (report.stop_reason, report.jobs_done) == (StopReason.FAILED, chunks - 5)
    assert "P0001" in report.detail


FAILS = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN OLD; END $$;
CREATE TRIGGER fail BEFORE DELETE ON rule FOR EACH ROW WHEN (OLD.id = 400) EXECUTE FUNCTION fail();
"""


@pytest.mark.parametrize(
    "body",
    [
        f"RAISE EXCEPTION 'no' USING DETAIL = 'hers', ERRCODE = '{state}';"
        for state in ("P0001", "57014", "0A000", "22012", "42501", "40001", "XX000")
    ],
)
def test_last_error_has_no_advice_and_no_values(estate: Any, body: str) -> None:
    """A chunk is the library's own, so no user can map it; and the server's DETAIL quotes rows."""
    estate.conn.execute(FAILS.format(body))
    estate.fence()
    received: list[Any] = []
    report = estate.resume(observers=[received.append])
    assert report.stop_reason is StopReason.FAILED
    texts = [report.detail, estate.job("last_error"), *(one.detail for one in received)]
    assert any("rule" in detail for detail in texts)
    for detail in filter(None, texts):
        for lesson in ("maps", "map it", ".on(", "hers", "internal"):
            assert lesson not in detail
