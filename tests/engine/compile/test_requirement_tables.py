# SPDX-License-Identifier: MIT
"""Guards on rows of all that SQL calls a table: odd names, partitions, views, hidden rows."""

from __future__ import annotations

import pytest

from batchq import format_error, insert, run, select, sql, update
from batchq.result import attempt
from tests.support.row_values import Unmet

TABLES = """
CREATE TABLE project (id int PRIMARY KEY, state text, rcgen int, time_deleted timestamptz);
INSERT INTO project VALUES (1, 'ready', 3, NULL), (2, 'ready', 3, '2024-01-01'),
                           (3, 'busy', 3, NULL), (4, 'busy', 4, NULL);
"""


class Missing(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


ODD = """
CREATE TABLE "Some Table" ("x""y" int PRIMARY KEY, "a'b" text, "SELECT" int, "%s" int, "a\\b" int);
INSERT INTO "Some Table" VALUES (1, 'is', 5, 6, 7);
CREATE TABLE "a""b" (LIKE "Some Table"); INSERT INTO "a""b" TABLE "Some Table";
CREATE SCHEMA "odd%d"; CREATE TABLE "odd%d"."Some Table" (LIKE "Some Table");
INSERT INTO "odd%d"."Some Table" TABLE "Some Table";
"""


@pytest.fixture
def odd(observer):
    observer.execute(ODD)
    yield
    observer.execute('DROP SCHEMA "odd%d" CASCADE')


@pytest.mark.parametrize("table", ["Some Table", 'a"b', "odd%d.Some Table"])
def test_names_may_be_anything(planned, odd, table):
    names = ["a'b", "SELECT", "%s", "a\\b"]
    row = update(table, {"a'b": "was", "SELECT": 5}, {'x"y': 1})
    refused = [
        row.require({"a'b": "is not", "SELECT": 5}, raises=Unmet, columns=names),
        row.ensure({"a'b": "is"}, raises=Unmet, columns=names),
        select(table, where={'x"y': 1})
        .for_update()
        .expect(1, missing=Missing)
        .require({"%s": 0}, raises=Unmet, columns=names),
    ]
    for statement, text in zip(refused, ("is", "was", "is"), strict=True):
        caught = attempt(planned, statement)
        assert caught.error.found == {"a'b": text, "SELECT": 5, "%s": 6, "a\\b": 7}
    run(
        planned,
        row.require({"a'b": "is", "%s": 6, "a\\b": 7}, raises=Unmet).ensure(
            {"SELECT": 5}, raises=Unmet
        ),
    )


def test_a_partitioned_table_is_a_table(scanned, observer):
    observer.execute(
        "CREATE TABLE part (id int, extra int, n int) PARTITION BY RANGE (id);"
        "CREATE TABLE low PARTITION OF part FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE high (n int, id int, dropped int, extra int);"
        "ALTER TABLE high DROP COLUMN dropped;"
        "ALTER TABLE part ATTACH PARTITION high FOR VALUES FROM (10) TO (20);"
        "INSERT INTO part VALUES (1, 0, 5), (11, 0, 6)"
    )
    for id_, n in ((1, 5), (11, 6)):
        for row in (
            update("part", {"n": n}, {"id": id_}),
            update("part", {"n": n, "id": id_}, {"id": id_}),
            select("part", where={"id": id_}).for_update().expect(1, missing=Missing),
        ):
            run(scanned, row.require({"n": n}, raises=Unmet))
            assert attempt(scanned, row.require({"n": 0}, raises=Unmet)).error.found == {"n": n}
    moved = update("part", {"id": 2}, {"id": 11}).ensure({"n": 5}, raises=Unmet, columns=["id"])
    assert attempt(scanned, moved).error.found == {"n": 6, "id": 2}


@pytest.mark.parametrize("barrier", ["", "WITH (security_barrier)"])
def test_row_hidden_by_a_view_is_missing(scanned, observer, barrier):
    observer.execute(
        f"CREATE VIEW alive {barrier} AS SELECT id, state AS phase, rcgen * 2 AS twice "
        "FROM project WHERE time_deleted IS NULL"
    )
    row = {"phase": "ready"}
    run(
        scanned,
        update("alive", row, {"id": 1}).require({"phase": "ready", "twice": 6}, raises=Unmet),
    )
    stale = update("alive", row, {"id": 1}).require({"twice": 7}, raises=Unmet)
    assert attempt(scanned, stale).error.found == {"twice": 6}
    hidden = update("alive", row, {"id": 2}).expect(1, missing=Missing)
    assert type(attempt(scanned, hidden.require({"twice": 7}, raises=Unmet)).error) is Missing


def test_row_hidden_by_row_level_security_is_missing_and_not_shown(scanned, observer):
    observer.execute(
        "CREATE ROLE tenant_of_a_test; ALTER TABLE project ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON project USING (time_deleted IS NULL);"
        "GRANT ALL ON project TO tenant_of_a_test"
    )
    schema = observer.execute("SELECT current_schema()").fetchone()[0]
    observer.execute(f'GRANT USAGE ON SCHEMA "{schema}" TO tenant_of_a_test')
    scanned.execute("SET ROLE tenant_of_a_test", prepare=False)
    try:
        for row in (
            lambda i: update("project", {"state": "x"}, {"id": i}),
            lambda i: select("project", where={"id": i}).for_update().expect(1, missing=Missing),
        ):
            hidden = (
                row(2)
                .expect(1, missing=Missing)
                .require(sql("false"), raises=format_error(Unmet, "{state}"))
            )
            assert type(attempt(scanned, hidden).error) is Missing
            seen = row(3).require({"state": "ready"}, raises=Unmet)
            assert attempt(scanned, seen).error.found == {"state": "busy"}
    finally:
        scanned.execute("RESET ROLE", prepare=False)
        observer.execute("DROP OWNED BY tenant_of_a_test; DROP ROLE tenant_of_a_test")


def test_ensure_checks_the_row_as_a_trigger_changed_it(planned, observer):
    observer.execute(
        "CREATE FUNCTION settle() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.state = 'settled'; RETURN NEW; END $$;"
        "CREATE TRIGGER settle BEFORE INSERT OR UPDATE ON project "
        "FOR EACH ROW EXECUTE FUNCTION settle()"
    )
    for write in (
        insert("project", {"id": 7, "state": "new"}),
        update("project", {"state": "new"}, {"id": 1}),
        sql("UPDATE project SET state = 'new' WHERE id = 3 RETURNING state"),
    ):
        checked = attempt(planned, write.ensure({"state": "new"}, raises=Unmet))
        assert checked.error.found == {"state": "settled"}
        assert run(planned, write.ensure({"state": "settled"}, raises=Unmet)) is None
    # require() judges the row as it was before the write.
    run(
        planned,
        update("project", {"state": "x"}, {"id": 4}).require({"state": "busy"}, raises=Unmet),
    )
