# SPDX-License-Identifier: MIT
"""What CockroachDB is sent: every text is searched for what its sources show that it lacks.

Nothing was run on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import attrs
import pytest
import sqlglot
from sqlglot import exp

from batchq import gather, insert, steps
from batchq.bulk.preflight.catalog import catalog
from batchq.bulk.preflight.row_counts import count_rows, key_as_text
from batchq.engine.compile.compile import compiled
from batchq.engine.dialects import COCKROACHDB
from batchq.limits import Limits
from batchq.versions import Fleet
from tests.support.bulk_fixtures import REWRITE, ROWS_BY_CONDITION, TREE, VPC
from tests.support.job_rows import begun

JOB = begun(root="7", generation=1, tables=[1], epoch=1)
LEASE = timedelta(seconds=30)
LIMITS = Limits()
FLEET = Fleet(name="nexus", version=7, stamps={"rule": "row_version"})
A, B = UUID(int=1), UUID(int=2)
SUBNETS = VPC.children("subnet", by="vpc_id", deleted_at="time_deleted")
GUARDED = attrs.evolve(TREE, guards=[lambda vpc: SUBNETS.forbid(vpc, unexpected=ValueError())])


def batches() -> Iterator[tuple[str, Any]]:
    """Whatever bulk, limits, versions and parents send."""
    for tree in (TREE, GUARDED):
        yield "fence", tree.fence(7, missing=KeyError())
        yield "at once", tree.delete_now(7, missing=KeyError())
        yield "last", tree.finish(JOB)
    yield "adopt", TREE.adopt(JOB)
    for work in (TREE, REWRITE, ROWS_BY_CONDITION):
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
    yield "delete's end", ROWS_BY_CONDITION.finish(JOB)
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
    proofs = [FLEET.proof("rule", 7)]
    yield (
        "versions",
        gather(
            FLEET.join("a", lease=LEASE),
            FLEET.leave("a"),
            FLEET.members(),
            FLEET.status(),
            FLEET.gate(gather(), needs=7),
            FLEET.expand(7),
            FLEET.retire(below=7),
            FLEET.contract(unused_since=7, proofs=proofs),
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
            made = compiled(
                step.statement._shape, step.placed.outputs, COCKROACHDB.abilities(130000)
            )
            yield f"{name}: {step.path or step.statement.title}", made.sql


Trees = list[tuple[str, str, exp.Expression]]
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


@pytest.fixture(scope="module")
def trees() -> Trees:
    """Each text, by its name, and what it is read as."""
    return [(name, text, parsed(text)) for name, text in dict.fromkeys(texts())]


def test_cockroachdb_every_limit_has_its_own_order(trees: Trees) -> None:
    """The order of a query inside is dropped there: the first rows would be any rows."""
    for name, _, tree in trees:
        for query in tree.find_all(exp.Select):
            limit = query.args.get("limit")
            # Any one of them is enough; and a tally counts rows, and shows one of them.
            if limit is not None and limit.expression.sql() != "1" and "tally" not in name:
                assert query.args.get("order"), (name, query.sql(dialect="postgres"))


def test_cockroachdb_texts_use_nothing_that_it_lacks(trees: Trees) -> None:
    for name, text, tree in trees:
        assert [word for word in LACKING if word in text] == [], name
        assert list(tree.find_all(exp.Slice)) == [], name  # of arrays: unimplemented
        for inner in tree.find_all(exp.With):
            if not isinstance(inner.parent.parent, exp.Exists | exp.In | exp.Subquery):
                continue
            # A WITH inside a query must not hang on the rows around it.
            known = {one.alias_or_name for one in inner.parent.find_all(exp.Table)}
            used = {one.table for one in inner.parent.find_all(exp.Column) if one.table}
            assert used <= known, (name, used - known)


def test_cockroachdb_no_statement_writes_a_table_twice(trees: Trees) -> None:
    for name, _, tree in trees:
        written = [
            one.this.this.sql() if isinstance(one.this, exp.Schema) else one.this.sql()
            for one in tree.find_all(exp.Insert, exp.Update, exp.Delete)
        ]
        written = [one.split(" AS ")[0] for one in written]
        assert len(set(written)) == len(written), name


def test_cockroachdb_array_of_oids_has_no_string_default() -> None:
    """There it has another type (cockroach pull request 167333, of 2026)."""
    (tables,) = [line for line in TREE.jobs.ddl().splitlines() if "oid[]" in line]
    assert tables.strip() == "tables oid[] NOT NULL DEFAULT ARRAY[]::oid[],"
