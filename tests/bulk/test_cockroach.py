# SPDX-License-Identifier: MIT
"""What CockroachDB is sent, and how its answers are read. Nothing was run on it.

Its sources show what it lacks: every text is searched for that, a tree runs on PostgreSQL in
CockroachDB's layout, and the preflight reads a catalog as CockroachDB would answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import attrs
import psycopg
import pytest
import sqlglot
from sqlglot import exp

from batchq import gather, insert, run, sql, steps
from batchq.bulk import Backfill, Budget, ChunkSize, DeleteTree, Fenced, preflight, resume, start
from batchq.bulk.chunks.estimate import estimated
from batchq.bulk.preflight import explain
from batchq.bulk.preflight.catalog import Catalog, Index, catalog
from batchq.bulk.preflight.findings import FindingCode
from batchq.bulk.preflight.indexes import find_order_errors
from batchq.bulk.preflight.job_table import find_job_table_errors
from batchq.bulk.preflight.row_counts import count_rows, key_as_text
from batchq.bulk.preflight.tables import find_missing, find_wrong_columns
from batchq.engine.compile.compile import compiled
from batchq.engine.dialects import COCKROACHDB
from batchq.limits import Limits
from batchq.testing import proxy
from tests.support.bulk_fixtures import REWRITE, ROWS, TABLES, TREE, VPC
from tests.support.fake_server import fake_server
from tests.support.job_rows import begun

JOB = begun(root="7", generation=1, tables=[1], epoch=1)
LEASE = timedelta(seconds=30)
LIMITS = Limits()
A, B = UUID(int=1), UUID(int=2)
SUBNETS = VPC.children("subnet", by="vpc_id", deleted_at="time_deleted")
GUARDED = attrs.evolve(TREE, guards=[lambda vpc: SUBNETS.forbid(vpc, unexpected=ValueError())])


# -- the texts -------------------------------------------------------------------------------------


def batches() -> Iterator[tuple[str, Any]]:
    """Whatever bulk, limits and parents send."""
    for tree in (TREE, GUARDED):
        yield "fence", tree.fence(7, missing=KeyError())
        yield "at once", tree.delete_now(7, missing=KeyError())
        yield "last", tree.finish(JOB)
    yield "adopt", TREE.adopt(JOB)
    for work in (TREE, REWRITE):
        for child, one in enumerate(work.stages):
            job = attrs.evolve(JOB, stage=child)
            keys = one.order_key.columns
            later = attrs.evolve(job, cursor=["1"] * len(keys), cursor_key=["x"])
            name = f"{work.name}, pass {child}"
            yield f"{name}: first chunk", work.chunk(job, 200, LEASE)
            yield f"{name}: later chunk", work.chunk(later, 200, LEASE)
            yield f"{name}: chunk around", work.chunk(later, 200, LEASE, skip_locked=True)
            yield f"{name}: estimate", one.estimate("7")
            of = TREE.root(7) if work is TREE else None
            yield f"{name}: tally", count_rows(one, of, 7, 100)
    yield "begin", REWRITE.start()
    yield "rewrite's end", REWRITE.finish(JOB)
    yield "rewrite's end with rows", REWRITE.finish(attrs.evolve(JOB, scan_rows=1))
    jobs = TREE.jobs
    yield (
        "jobs",
        gather(
            jobs.get(A),
            jobs.all("vpc"),
            jobs.stats("vpc"),
            jobs.claimable("vpc", [A], 16),
            jobs.other_versions("vpc"),
            jobs.claim(JOB, "me", LEASE, 3),
            jobs.renew_lease(JOB, LEASE),
            jobs.restart(JOB, "x"),
            jobs.mark_stuck(JOB, "x"),
            jobs.retry(A),
            jobs.abandon(A),
            jobs.release(JOB, "x"),
        ),
    )
    yield "catalog", catalog(["vpc"], [one.order_key for one in TREE.stages], jobs)
    yield "key", key_as_text(TREE, 7)
    yield (
        "limits",
        gather(
            LIMITS.charge("vpcs", scope=[A, B], id=A),
            LIMITS.release("vpcs", scope=A, id=B),
            LIMITS.resize("vpcs", 2, scope=A, id=A),
            LIMITS.set_limit("vpcs", 2, scope=A),
            LIMITS.reconcile(A),
            LIMITS.shortfalls(LIMITS.charge("vpcs", scope=A, id=A)),
        ),
    )
    row = insert("rule", {"vpc_id": 7})
    rules = VPC.children("rule", by="vpc_id", deleted_at="time_deleted")
    yield "add", rules.add(7, row, missing=KeyError())
    looks = [rules.forbid(7, unexpected=ValueError())]
    yield "delete", VPC.delete(7, missing=KeyError(), guards=looks)


def texts() -> Iterator[tuple[str, str]]:
    for name, batch in batches():
        for step in steps(batch):
            made = compiled(step.statement._shape, step.placed.outputs, COCKROACHDB.has_record_send)
            yield f"{name}: {step.path or step.statement.title}", made.sql


TEXTS = list(dict.fromkeys(texts()))
LACKING = {
    "row_security_active": "no such function (builtins)",
    "indisready": "false of every index that is ready (pg_catalog.go)",
    "ctid": "no such column",
    "xmin": "no such column",
    "record_send": "no such function",
    "(FORMAT": "EXPLAIN has no such option",
}


def parsed(text: str) -> exp.Expression:
    """Read it, but for a type that sqlglot does not know."""
    text = text.removeprefix("EXPLAIN ").replace("oid[]", "int[]")
    return sqlglot.parse_one(text, dialect="postgres")


@pytest.mark.parametrize(("name", "text"), TEXTS)
def test_cockroachdb_every_limit_has_its_own_order(name: str, text: str) -> None:
    """The order of a query inside is dropped there: the first rows would be any rows."""
    if "tally" in name:
        return  # which counts rows, and shows one of them
    for query in parsed(text).find_all(exp.Select):
        limit = query.args.get("limit")
        # Any one of them is enough.
        if limit is not None and limit.expression.sql() != "1":
            assert query.args.get("order"), query.sql(dialect="postgres")


@pytest.mark.parametrize(("name", "text"), TEXTS)
def test_cockroachdb_texts_use_nothing_that_it_lacks(name: str, text: str) -> None:
    del name
    assert [word for word in LACKING if word in text] == []
    tree = parsed(text)
    assert list(tree.find_all(exp.Slice)) == []  # of arrays: unimplemented
    for inner in tree.find_all(exp.With):
        if not isinstance(inner.parent.parent, exp.Exists | exp.In | exp.Subquery):
            continue
        # A WITH inside a query must not hang on the rows around it.
        known = {one.alias_or_name for one in inner.parent.find_all(exp.Table)}
        used = {one.table for one in inner.parent.find_all(exp.Column) if one.table}
        assert used <= known, used - known


@pytest.mark.parametrize(("name", "text"), TEXTS)
def test_cockroachdb_no_statement_writes_a_table_twice(name: str, text: str) -> None:
    del name
    written = [
        one.this.this.sql() if isinstance(one.this, exp.Schema) else one.this.sql()
        for one in parsed(text).find_all(exp.Insert, exp.Update, exp.Delete)
    ]
    written = [one.split(" AS ")[0] for one in written]
    assert len(set(written)) == len(written)


def test_cockroachdb_array_of_oids_has_no_string_default() -> None:
    """There it has another type (cockroach pull request 167333, of 2026)."""
    (tables,) = [line for line in TREE.jobs.ddl().splitlines() if "oid[]" in line]
    assert tables.strip() == "tables oid[] NOT NULL DEFAULT ARRAY[]::oid[],"


# -- the whole, on PostgreSQL in its layout --------------------------------------------------------


@pytest.fixture
def cockroach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchq.engine.ready.dialect_of", lambda _: COCKROACHDB)
    monkeypatch.setattr(explain, "dialect_of", lambda _: COCKROACHDB)


@pytest.fixture
def filled(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    conn.execute(TABLES + ROWS, prepare=False)  # type: ignore[arg-type]
    conn.execute(TREE.jobs.ddl(), prepare=False)  # type: ignore[arg-type]
    return conn


@pytest.mark.usefixtures("cockroach")
def test_cockroachdb_layout_tree_starts_and_ends(filled: psycopg.Connection[Any]) -> None:
    fenced = start(filled, TREE, 1, missing=KeyError())
    assert isinstance(fenced, Fenced)
    some = resume(
        filled, [TREE], owner="test", budget=Budget(chunks=3), chunk_size=ChunkSize(initial=1_000)
    )
    assert (some.chunks, some.detail) == (3, "")
    rest = resume(filled, [TREE], owner="test")
    assert (rest.detail, rest.jobs_done) == ("", 1)
    left = "SELECT (SELECT count(*) FROM rule WHERE vpc_id = 1), (SELECT count(*) FROM route)"
    assert filled.execute(left).fetchone() == (0, 15_000)
    run(filled, REWRITE.start())
    assert resume(filled, [REWRITE], owner="test").jobs_done == 1


@pytest.mark.usefixtures("cockroach")
@pytest.mark.parametrize("work", [TREE, REWRITE], ids=lambda work: work.name)
def test_cockroachdb_write_is_not_explained_in_read_only(
    filled: psycopg.Connection[Any], database: str, work: DeleteTree | Backfill
) -> None:
    """CockroachDB refuses there to explain it, with 25006."""
    key = 1 if isinstance(work, DeleteTree) else None
    before = filled.execute("SELECT count(*) FROM rule").fetchone()
    with (
        proxy(database) as link,
        psycopg.connect(link.conninfo(), autocommit=True) as conn,
        link.record() as recording,
    ):
        found = preflight(conn, work, key)
    assert found.ok, str(found)
    assert all(one.explain for one in found.statements), str(found)
    sent = b"".join(one.body for one in recording.messages if one.sender == "client")
    assert b"EXPLAIN" in sent
    assert b"SET TRANSACTION READ ONLY" not in sent
    assert filled.execute("SELECT count(*) FROM rule").fetchone() == before


@pytest.mark.parametrize(
    "batch",
    [
        TREE.fence(1, missing=KeyError()),
        REWRITE.start(),
        VPC.delete(1, missing=KeyError()),
        LIMITS.set_limit("vpcs", 3, scope=A),
    ],
    ids=["fence", "begin", "delete", "set_limit"],
)
def test_cockroachdb_catalog_has_no_findings(batch: Any) -> None:
    """No outputs, no barrier: one flight with one Sync, to a server that says it is CockroachDB."""
    with fake_server(cockroach=True) as server, server.connect(prepare_threshold=None) as there:
        run(there, batch)
        assert server.committed


# -- its answers -----------------------------------------------------------------------------------


def as_there(index: Index) -> Index:
    """Return an index as CockroachDB's ``pg_catalog.go`` lists it; NULLs are first there."""
    predicate = index.predicate
    if predicate is not None and "phase" in predicate:
        predicate = "phase IN ('active':::STRING, 'stuck':::STRING)"
    elif predicate is not None:
        predicate = predicate.removeprefix("(").removesuffix(")")
    return index._replace(method="prefix", options=[2] * len(index.columns), predicate=predicate)


@pytest.fixture
def found(filled: psycopg.Connection[Any]) -> Catalog:
    tables = ["vpc", "router", "route", "rule", "tag"]
    keys = [one.order_key for work in (TREE, REWRITE) for one in work.stages]
    seen = run(filled, catalog(tables, keys, TREE.jobs))
    return attrs.evolve(seen, indexes=[as_there(one) for one in seen.indexes])


def all_found(work: Any, seen: Any) -> list[Any]:
    found = [*find_job_table_errors(work, seen), *find_missing(work, seen)]
    return [*found, *find_wrong_columns(work, seen), *find_order_errors(work, seen)]


def rejected(found: Catalog, **changes: Any) -> list[tuple[FindingCode, str]]:
    """Return the errors that are found after this change to the index of rules."""
    indexes = [
        one._replace(**changes) if one.name == "rules_by_vpc" else one for one in found.indexes
    ]
    seen = attrs.evolve(found, indexes=indexes)
    return [(one.code, one.name) for one in all_found(TREE, seen)]


def test_cockroachdb_index_in_order_is_accepted(found: Catalog) -> None:
    assert all_found(REWRITE, found) == []
    assert rejected(found) == []
    assert rejected(found, options=[2, 1, 1]) == []  # descending, all the way


def test_cockroachdb_unusable_index_is_found(found: Catalog) -> None:
    bad = [(FindingCode.NO_INDEX, "rules_by_vpc")]
    assert rejected(found, options=[2, 1, 2]) == bad
    assert rejected(found, method="inverted") == bad
    assert rejected(found, valid=False)[:1] == bad
    assert rejected(found, default=[True, False, True]) == bad
    assert rejected(found, predicate="kind = 'x':::STRING") == bad
    none = rejected(found, columns=[], options=[], default=[])  # all of it is implicit
    assert none == [(FindingCode.NO_INDEX, "")]
    keyless = [one._replace(columns=[], options=[], default=[]) for one in found.indexes]
    reasons = {one.code for one in find_order_errors(TREE, attrs.evolve(found, indexes=keyless))}
    assert reasons == {FindingCode.NO_INDEX, FindingCode.NOT_UNIQUE}


@pytest.mark.parametrize(
    "predicate",
    [
        None,
        "phase IN ('active':::STRING, 'done':::STRING)",
        "phase IN ('active':::STRING)",
        "phase NOT IN ('active':::STRING, 'stuck':::STRING)",
        "tree IN ('active', 'stuck')",
    ],
)
def test_cockroachdb_other_job_index_is_found(found: Catalog, predicate: str | None) -> None:
    indexes = [
        one._replace(predicate=predicate) if "unfinished" in one.name else one
        for one in found.indexes
    ]
    seen = attrs.evolve(found, indexes=indexes)
    assert [one.code for one in find_job_table_errors(TREE, seen)] == [FindingCode.WRONG_JOB_TABLE]


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        (["distribution: local", "", "• scan", "  estimated row count: 1,234 (12%)"], 1234),
        (["• filter", "│ estimated row count: 3", "└── • scan", "    estimated row count: 9"], 3),
        (["• scan", "  missing stats", "  spans: [/7 - /7]"], 0),
        (["• values", "  size: 1 column, 1 row", "  table: x estimated row count: 7"], 0),
        (["Seq Scan on rule  (cost=0.00..1.00 rows=17 width=4)", "  Filter: (id = 1)"], 17),
    ],
)
def test_cockroachdb_estimate_is_read_as_postgresqls(lines: list[str], rows: int) -> None:
    asked: Any = estimated(sql("SELECT 1"))
    assert asked.combine([[(line,) for line in lines]]) == rows
