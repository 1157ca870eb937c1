# SPDX-License-Identifier: MIT
"""How CockroachDB's answers are read. Nothing was run on it.

A tree runs on PostgreSQL in CockroachDB's layout, and the preflight reads a catalog as CockroachDB
would answer.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import attrs
import psycopg
import pytest

from batchq import run, sql
from batchq.bulk import Backfill, Budget, ChunkSize, DeleteTree, Fenced, preflight, resume, start
from batchq.bulk.chunks.estimate import estimated
from batchq.bulk.preflight import explain
from batchq.bulk.preflight.catalog import Catalog, Index, catalog
from batchq.bulk.preflight.findings import FindingCode
from batchq.bulk.preflight.indexes import find_order_errors
from batchq.bulk.preflight.job_table import find_job_table_errors
from batchq.bulk.preflight.tables import find_missing, find_wrong_columns
from batchq.engine.dialects import COCKROACHDB
from batchq.engine.plan import plan
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


# -- the whole, on PostgreSQL in its layout --------------------------------------------------------


@pytest.fixture
def cockroach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchq.engine.wire.connection_state.dialect_of", lambda _: COCKROACHDB)
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
    assert plan(asked).combine([[(line,) for line in lines]]) == rows
