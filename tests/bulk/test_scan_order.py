# SPDX-License-Identifier: MIT
"""In which order a parent's rows are deleted: chosen by estimates, and shown by the preflight."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from batchq import run
from batchq.bulk import Budget, ChildDelete, preflight
from batchq.hierarchy import Parent

ANALYZE = "ANALYZE rule"
ROUTER = Parent(table="router", key="id", deleted_at="time_deleted", generation="rcgen")


def order(estate: Any) -> str:
    """Return the column in whose order the first chunk is deleted."""
    estate.fence()
    estate.resume(budget=Budget(chunks=1))
    return estate.job("cursor_key")[1]


@pytest.fixture
def unfenced(heap: Any) -> Any:
    heap.conn.execute("UPDATE vpc SET time_deleted = NULL; TRUNCATE bulk_job")
    return heap


def refill(estate: Any, others: int, key: str) -> None:
    """Fill the table with rows of the VPC, and so many others."""
    estate.conn.execute("TRUNCATE rule")
    filled = f"INSERT INTO rule SELECT n, 1 + n %% 1001 * (n > 12000)::int, {key}"
    estate.conn.execute(f"{filled} FROM generate_series(1, %s) AS n", [12_000 + others])
    estate.conn.execute(ANALYZE)


@pytest.mark.parametrize(
    ("others", "key", "expected"),
    [
        (30_000, "md5(n::text)", "ctid"),
        (80_000, "md5(n::text)", "name"),
        (6_000, "lpad(n::text, 9, '0')", "ctid"),
        (30_000, "lpad(n::text, 9, '0')", "name"),
    ],
    ids=["random, a third", "random, an eighth", "ordered, two thirds", "ordered, a third"],
)
def test_order_follows_the_parents_part_of_the_table(
    unfenced: Any, others: int, key: str, expected: str
) -> None:
    refill(unfenced, others, key)
    assert order(unfenced) == expected


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM rule WHERE id > 5000; ANALYZE rule",
        "DELETE FROM pg_statistic WHERE starelid = 'rule'::regclass",
        "CREATE TABLE heir () INHERITS (rule)",
        "SET enable_tidscan = off",
        """ALTER TABLE rule RENAME TO old;
        CREATE TABLE rule (id int NOT NULL, vpc_id int NOT NULL, name text NOT NULL,
            UNIQUE (vpc_id, name)) PARTITION BY RANGE (vpc_id);
        CREATE TABLE part PARTITION OF rule DEFAULT; INSERT INTO rule SELECT * FROM old;
        ANALYZE rule""",
    ],
    ids=["few rows", "no statistics", "inherited", "no ranges", "partitioned"],
)
def test_order_of_the_key_stays(unfenced: Any, change: str) -> None:
    for command in change.split(";"):
        unfenced.conn.execute(command)
    assert order(unfenced) == "name"


def test_updated_rows_and_rows_with_parents_below_have_the_order_of_the_key(unfenced: Any) -> None:
    (own,) = unfenced.tree.stages
    assert own.scan_order(1) is not None
    updated = ChildDelete(relation=unfenced.rules, order="name", set={"vpc_id": 2})
    rules = ROUTER.children("rule", by="router_id", deleted_at=None)
    relation = unfenced.tree.parent.children("router", by="vpc_id", deleted_at="time_deleted")
    routers = ChildDelete(relation=relation, hard=True, children=[ChildDelete(relation=rules)])
    tree = evolve(unfenced.tree, children=[updated, routers])
    assert [stage.scan_order(1) for stage in tree.stages] == [None] * 4


def test_scan_after_the_first_one_has_the_order_of_the_key(heap: Any) -> None:
    heap.resume(budget=Budget(chunks=2))
    heap.conn.execute("UPDATE bulk_job SET phase = 'stuck'")
    assert run(heap.conn, heap.tree.jobs.retry(heap.job("id"))) == 1
    heap.resume(budget=Budget(chunks=1))
    assert heap.job("cursor_key")[1] == "name"
    heap.resume()
    heap.assert_deleted()


# -- the preflight ---------------------------------------------------------------------------------


def test_preflight_shows_the_order_of_the_heap(unfenced: Any) -> None:
    found = preflight(unfenced.conn, unfenced.tree, 1)
    found.raise_for_errors()
    (line,) = [line for line in found.lines() if line.startswith("Order of")]
    assert line.startswith("Order of rule: that of the heap: about 1")
    assert line.endswith("of the table's 13,000 rows are the parent's, and the key is random")
    titles = [shown.title for shown in found.statements]
    (chunk,) = [shown for shown in found.statements if "order of the heap" in shown.title]
    assert "Tid Range Scan on rule" in "\n".join(chunk.explain)
    assert sum("after a restart" in title for title in titles) == 2


def test_preflight_shows_why_the_order_is_that_of_the_key(unfenced: Any) -> None:
    refill(unfenced, 80_000, "md5(n::text)")
    found = preflight(unfenced.conn, unfenced.tree, 1)
    (line,) = [line for line in found.lines() if line.startswith("Order of")]
    assert line.startswith("Order of rule: that of the order key: about 1")
    assert not any("heap" in shown.title for shown in found.statements)
