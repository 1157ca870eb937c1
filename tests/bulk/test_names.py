# SPDX-License-Identifier: MIT
"""Tables, columns and job tables of any name."""

from __future__ import annotations

from typing import Any

import attrs
import psycopg
import pytest

from batchq import run
from batchq.bulk import (
    ChildDelete,
    DeleteTree,
    Jobs,
    TooManyRows,
)
from batchq.hierarchy import Parent
from tests.support.vpcs import MISSING, VPC, VPC_TABLE, begin, go_on

RULES = VPC.children("rule", by="vpc_id", deleted_at=None)

ODD = """ä %s "x' %% D"""
"""What has to be quoted, and what a placeholder must not be taken for."""
NAMES = ["page", "changed", "done", "job", "above", "below", "row", "of", "ORDER", "user", ODD]
QUALIFIED = ["page", "ORDER", ODD]
"""Of those the ones to try with a schema as well: a part's own name, a keyword, an odd one."""


def called(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("name", "schema"), [*((name, None) for name in NAMES), *((name, ODD) for name in QUALIFIED)]
)
def test_table_and_columns_may_have_any_name(
    conn: psycopg.Connection[Any], name: str, schema: str | None
) -> None:
    """What the statement of a chunk calls its own parts included."""
    own = f"{schema} {conn.info.backend_pid}" if schema else None
    prefix, qualified = (f"{own}.", f"{called(own)}.") if own else ("", "")
    if own:
        conn.execute(f"CREATE SCHEMA {called(own)}")  # type: ignore[arg-type]

    def table(suffix: str) -> str:
        return f"{qualified}{called(name + suffix)}"

    key, by, tomb, gen = (called(name + s) for s in ("", "_of", "_gone", "_gen"))
    columns = f"{key} int PRIMARY KEY, {by} int, {tomb} timestamptz, {gen} bigint DEFAULT 0"
    try:
        for suffix in ("_vpc", "_router", ""):
            conn.execute(f"CREATE TABLE {table(suffix)} ({columns})")  # type: ignore[arg-type]
        conn.execute(f"INSERT INTO {table('_vpc')} VALUES (1), (2)")  # type: ignore[arg-type]
        routers = f"INSERT INTO {table('_router')} SELECT n, 1 + n / 4 FROM generate_series(1, 5) n"
        conn.execute(routers)  # type: ignore[arg-type]
        leaves = f"INSERT INTO {table('')} SELECT n, 1 + n % 5 FROM generate_series(1, 25) n"
        conn.execute(leaves)  # type: ignore[arg-type]
        parents = {"key": name, "deleted_at": f"{name}_gone", "generation": f"{name}_gen"}
        vpc = Parent(table=f"{prefix}{name}_vpc", **parents)
        router = Parent(table=f"{prefix}{name}_router", **parents)
        links = {"by": f"{name}_of", "deleted_at": f"{name}_gone"}
        routes = router.children(f"{prefix}{name}", **links)
        below = [ChildDelete(relation=routes, order=name, hard=True)]
        routers_of = vpc.children(f"{prefix}{name}_router", **links)
        child = ChildDelete(relation=routers_of, order=[name], hard=True, children=below)  # type: ignore[arg-type]
        jobs = Jobs(table=f"{prefix}{name}_jobs")
        tree = DeleteTree(name=name, parent=vpc, children=[child], jobs=jobs)
        conn.execute(jobs.ddl())  # type: ignore[arg-type]
        with pytest.raises(TooManyRows):
            run(conn, attrs.evolve(tree, inline_limit=14).delete_now(1, missing=MISSING))
        begin(conn, tree)
        report = go_on(conn, tree, 4)
        assert (report.rows, report.rows_after_fence, report.jobs_done) == (18, 0, 1)
        assert run(conn, attrs.evolve(tree, inline_limit=10).delete_now(2, missing=MISSING)) == 12
    finally:
        if own:
            conn.execute(f"DROP SCHEMA {called(own)} CASCADE")  # type: ignore[arg-type]


@pytest.mark.parametrize("table", ["page", "changed", "done", "job"])
def test_job_table_may_have_any_name(conn: psycopg.Connection[Any], table: str) -> None:
    conn.execute(f"{VPC_TABLE} CREATE TABLE rule (id int PRIMARY KEY, vpc_id int)")  # type: ignore[arg-type]
    conn.execute("INSERT INTO rule SELECT n, 1 FROM generate_series(1, 10) AS n")
    children = [ChildDelete(relation=RULES)]
    tree = DeleteTree(name="vpc", parent=VPC, children=children, jobs=Jobs(table=table))
    conn.execute(tree.jobs.ddl())  # type: ignore[arg-type]
    begin(conn, tree)
    assert go_on(conn, tree, 4).jobs_done == 1
