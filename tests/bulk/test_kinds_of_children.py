# SPDX-License-Identifier: MIT
"""Kinds of children: only those are deleted and checked; and children that are orphaned."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from batchq import InvalidBatch, run, sql
from batchq.bulk import Backfill, ChildDelete, DeleteTree, Report
from batchq.hierarchy import Parent
from batchq.result import Failed, attempt
from tests.support.vpcs import MISSING, ROUTER, VPC, VPC_TABLE, begin, go_on

TABLES = """
CREATE TABLE address (
    id int PRIMARY KEY, vpc_id int, kind text, node int, time_deleted timestamptz);
CREATE UNIQUE INDEX ON address (vpc_id, id);
INSERT INTO address
    SELECT n, 1 + n % 2, (ARRAY['floating', 'snat', 'ephemeral', NULL])[1 + n / 2 % 4]
    FROM generate_series(1, 48) AS n;
UPDATE address SET node = 7 WHERE id % 3 = 0;
UPDATE address SET time_deleted = '2020-01-01' WHERE id > 40;
"""
pytestmark = pytest.mark.tables(VPC_TABLE + TABLES)


def addresses(deleted_at: str | None = None, **where: object) -> Any:
    return VPC.children("address", by="vpc_id", deleted_at=deleted_at, where=where)


def tree(*children: ChildDelete) -> DeleteTree:
    return DeleteTree(name="vpc", parent=VPC, children=children)


def drained(conn: Any, *children: ChildDelete, **options: Any) -> Report:
    begin(conn, tree(*children))
    return go_on(conn, tree(*children), 4, **options)


def ids(conn: Any, condition: str = "vpc_id = 1") -> set[int]:
    found = conn.execute(f"SELECT id FROM address WHERE {condition}").fetchall()
    return {key for (key,) in found}


KINDS = {
    "a value": ({"kind": "floating"}, "kind = 'floating'"),
    "None": ({"kind": None}, "kind IS NULL"),
    "a list": ({"kind": ["floating", "snat"]}, "kind IN ('floating', 'snat')"),
    "no kind at all": ({"kind": []}, "false"),
    "two columns": ({"kind": "snat", "node": 7}, "kind = 'snat' AND node = 7"),
    "a list and None": (
        {"kind": ["snat", "floating"], "node": None},
        "kind IN ('snat', 'floating') AND node IS NULL",
    ),
    "a fragment": ({"kind": sql("lower(%(k)s)", k="SNAT")}, "kind = 'snat'"),
}


@pytest.mark.parametrize("at_once", [False, True], ids=["in chunks", "at once"])
@pytest.mark.parametrize("hard", [True, False], ids=["deleted", "hidden"])
@pytest.mark.parametrize("kind", KINDS)
def test_only_children_of_the_kind_are_deleted(
    conn: Any, kind: str, hard: bool, at_once: bool
) -> None:
    """The others stay, and are not what the look at the end is for."""
    where, condition = KINDS[kind]
    living = "vpc_id = 1" if hard else "vpc_id = 1 AND time_deleted IS NULL"
    before, wanted = ids(conn, living), ids(conn, f"{living} AND {condition}")
    neighbour = ids(conn, "vpc_id = 2")
    child = ChildDelete(relation=addresses(None if hard else "time_deleted", **where))
    if at_once:
        assert run(conn, tree(child).delete_now(1, missing=MISSING)) == len(wanted)
    else:
        report = drained(conn, child)
        assert (report.jobs_done, report.rows, report.rows_after_fence) == (1, len(wanted), 0)
    assert ids(conn, living) == before - wanted
    assert ids(conn, "vpc_id = 2") == neighbour
    assert conn.execute("SELECT array_agg(id) FROM vpc").fetchone() == ([2],)


@pytest.mark.parametrize(("kind", "late"), [("'floating'", 1), ("'snat'", 0), ("NULL", 0)])
def test_late_row_must_be_of_the_kind(conn: Any, at: Any, kind: str, late: int) -> None:
    """Six go in two chunks; it comes before the look at the end."""
    coming = f"INSERT INTO address VALUES (91, 1, {kind})"
    child = ChildDelete(relation=addresses(kind="floating"))
    report = drained(conn, child, throttles=[at(3, lambda: conn.execute(coming))])
    assert (report.jobs_done, report.rows_after_fence, report.rows) == (1, late, 6 + late)
    assert ids(conn, "kind = 'floating' AND id % 2 = 0 OR id = 91") == ({91} if not late else set())


def test_kinds_of_one_table_are_deleted_separately(conn: Any) -> None:
    """Ephemeral ones are deleted, floating ones let go, SNAT hidden, the rest kept as it is."""
    kinds = ("ephemeral", "floating", "snat")
    ephemeral, floating, snat = (ids(conn, f"vpc_id = 1 AND kind = '{kind}'") for kind in kinds)
    rest = ids(conn, "vpc_id = 1 AND kind IS NULL")
    report = drained(
        conn,
        ChildDelete(relation=addresses(kind="ephemeral")),
        ChildDelete(
            relation=addresses(kind="floating"), set={"vpc_id": None, "node": sql("-node")}
        ),
        ChildDelete(relation=addresses("time_deleted", kind="snat")),
    )
    hidden_before = {key for key in snat if key > 40}
    assert report.rows == len(ephemeral | floating | snat) - len(hidden_before)
    assert report.rows_by_table == {"address": report.rows}
    assert ids(conn, "kind = 'ephemeral' AND id % 2 = 0") == set()
    assert ids(conn, "vpc_id IS NULL") == floating
    assert ids(conn, "vpc_id IS NULL AND node = -7") == {key for key in floating if key % 3 == 0}
    assert ids(conn, "vpc_id = 1 AND time_deleted IS NOT NULL AND kind = 'snat'") == snat
    assert ids(conn, "vpc_id = 1 AND kind IS NULL") == rest


def test_set_without_deleted_at_updates_soft_deleted_children_too(conn: Any) -> None:
    whole = ids(conn)
    report = drained(conn, ChildDelete(relation=addresses(), set={"vpc_id": None}))
    assert (report.rows, report.chunks, ids(conn)) == (len(whole), len(whole) // 4 + 1, set())
    assert ids(conn, "vpc_id IS NULL") == whole


def test_soft_deleted_children_keep_their_time(conn: Any) -> None:
    """Without hard the tombstone is the end of them, and those that have one have ended."""
    before = ids(conn)
    report = drained(conn, ChildDelete(relation=addresses("time_deleted")))
    assert report.rows == len(before) - 4
    assert ids(conn) == before
    assert ids(conn, "vpc_id = 1 AND time_deleted = '2020-01-01'") == {42, 44, 46, 48}


def test_hard_deletes_soft_deleted_children_too(conn: Any) -> None:
    whole = ids(conn)
    report = drained(conn, ChildDelete(relation=addresses("time_deleted"), hard=True))
    assert (report.rows, ids(conn)) == (len(whole), set())


def test_foreign_key_from_outside_the_tree_keeps_the_parent(conn: Any) -> None:
    """It names the constraint, and ends after that kind was deleted."""
    conn.execute("ALTER TABLE address ADD CONSTRAINT of_vpc FOREIGN KEY (vpc_id) REFERENCES vpc")
    child = ChildDelete(relation=addresses(kind="floating"))
    report = drained(conn, child)
    assert (report.jobs_stuck, report.jobs_done) == (1, 0)
    error = conn.execute("SELECT last_error FROM bulk_job").fetchone()[0]
    assert "of_vpc" in error
    conn.execute("DELETE FROM address WHERE vpc_id = 1")
    (job,) = run(conn, tree(child).jobs.all("vpc"))
    run(conn, tree(child).jobs.retry(job.id))
    assert go_on(conn, tree(child)).jobs_done == 1


ROUTERS = VPC.children("router", by="vpc_id", deleted_at="time_deleted")
ROUTES = ChildDelete(relation=ROUTER.children("route", by="router_id", deleted_at="time_deleted"))
BARE = Parent(table="router", deleted_at=None, key="id", generation="rcgen")
OF_BARE = ChildDelete(relation=BARE.children("route", by="router_id", deleted_at="time_deleted"))
REFUSED = {
    "an order of nothing": (lambda: ChildDelete(relation=ROUTERS, order=()), "order=()"),
    "a rewrite in no order": (
        lambda: Backfill(name="x", table="t", set={"a": 1}, where={"a": 0}, order=[]),  # type: ignore[arg-type]
        "order=()",
    ),
    "rows that stay children": (
        lambda: ChildDelete(relation=ROUTERS, set={"name": None}),
        "'vpc_id'",
    ),
    "rows that are let go above others": (
        lambda: ChildDelete(relation=ROUTERS, set={"vpc_id": None}, children=[ROUTES]),
        "must set",
    ),
    "grandchildren as children": (lambda: tree(ROUTES), "not of 'vpc'"),
    "children of another table below": (
        lambda: ChildDelete(relation=addresses("time_deleted"), children=[ROUTES]),
        "'route' are children of 'router'",
    ),
    "a fence of a parent that cannot be hidden": (
        lambda: attrs.evolve(tree(), parent=BARE).fence(1, missing=MISSING),
        "deleted_at=",
    ),
    "a parent declared with another deleted_at": (
        lambda: ChildDelete(relation=ROUTERS, children=[OF_BARE]),
        "'router'",
    ),
    "routers that cannot be hidden": (
        lambda: ChildDelete(relation=attrs.evolve(ROUTERS, deleted_at=None), children=[OF_BARE]),
        "no soft delete",
    ),
}


@pytest.mark.parametrize("declaration", REFUSED)
def test_declaration_that_might_not_end_is_rejected(declaration: str) -> None:
    declare, received = REFUSED[declaration]
    with pytest.raises(InvalidBatch) as rejected:
        declare()
    assert received in str(rejected.value)


def test_kind_without_rows_takes_two_steps(conn: Any) -> None:
    report = drained(conn, ChildDelete(relation=addresses(kind="none such")))
    assert (report.chunks, report.rows, report.jobs_done) == (1, 0, 1)
    answer = attempt(conn, tree().fence(1, missing=MISSING))
    assert isinstance(answer, Failed)
    assert answer.error.args == MISSING.args
