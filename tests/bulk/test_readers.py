# SPDX-License-Identifier: MIT
"""Readers during a delete: they see all of it or get NotFound, and nothing in between."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import psycopg
import pytest
from attrs import frozen
from psycopg import IsolationLevel

from batchq import gather, run, sql, steps
from batchq.bulk import Budget, ChildDelete, DeleteTree
from batchq.hierarchy import Parent
from tests.support.lock_waits import until_waits
from tests.support.vpcs import ROUTER, VPC, begin, go_on


@frozen
class Vpc:
    id: int
    rcgen: int


class Rule(NamedTuple):
    id: int
    name: str | None


class NotFound(Exception):
    """There is no such VPC."""


RULES = VPC.children("rule", by="vpc_id", deleted_at=None)
WHOLE = Vpc(1, 0), [Rule(n, None) for n in range(1, 1_001)]
SNAPSHOTS = [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]
ISOLATIONS = [IsolationLevel.READ_COMMITTED, *SNAPSHOTS]


def read_tree(parent: Any, children: Any) -> Any:
    """Read the children first and their parent last, as docs/bulk.md shows it."""
    return gather(children, parent).map(lambda read: read[::-1])


def whole() -> Any:
    return read_tree(VPC.read(1, Vpc, missing=NotFound(1)), RULES.read(1, Rule))


def seen(conn: Any, reading: Any, **options: Any) -> Any:
    """All that is there, in the order of the keys; the word for it when there is nothing."""
    try:
        parent, children = run(conn, reading, read_only=True, **options)
    except NotFound:
        return "not found"
    return parent, sorted(children)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_reader_sees_all_or_nothing_at_every_step_of_a_delete(
    estate: Any, connect: Callable[..., Any], isolation: IsolationLevel
) -> None:
    reader, views = connect(), []

    def look() -> None:
        views.append(seen(reader, whole(), isolation=isolation))

    look()
    estate.fence()
    look()
    estate.resume(throttles=[look])
    look()
    assert views == [WHOLE, *["not found"] * 7]
    estate.assert_deleted()


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_snapshot_older_than_the_fence_sees_all_to_the_end(
    estate: Any, connect: Callable[..., Any], isolation: IsolationLevel
) -> None:
    """Its first statement was before the fence; what it reads later is of the same moment."""
    reader, views = connect(autocommit=False), []
    reader.isolation_level = isolation

    def look() -> None:
        try:
            parent, rules = run(reader, whole(), nested=True)
        except NotFound:
            views.append("not found")
        else:
            views.append((parent, sorted(rules)))

    reader.execute("SELECT 1 FROM vpc")
    estate.fence()
    estate.resume(throttles=[look])
    look()
    assert views == [WHOLE if isolation in SNAPSHOTS else "not found"] * 6


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("chunks", [0, 1, 9], ids=["fenced", "half", "all"])
def test_reader_overtaken_by_a_delete_sees_no_half(
    estate: Any, connect: Callable[..., Any], isolation: IsolationLevel, chunks: int
) -> None:
    """The children are read, then the parent is fenced and its children go, then it is read."""
    reading = read_tree(
        VPC.read(1, Vpc, missing=NotFound(1)), gather(RULES.read(1, Rule), _waiting())
    )
    found = _overtaken(estate, connect, reading, isolation, chunks)
    if isolation in SNAPSHOTS:
        vpc, (rules, _) = found
        assert (vpc, sorted(rules)) == WHOLE
    else:
        assert found == "not found"


def test_reader_of_the_parent_first_would_see_half(
    estate: Any, connect: Callable[..., Any]
) -> None:
    """Which is why :func:`read_tree` does not."""
    vpc = VPC.read(1, Vpc, missing=NotFound(1))
    reading = gather(gather(vpc, _waiting()), RULES.read(1, Rule))
    (found, _), rules = _overtaken(estate, connect, reading, IsolationLevel.READ_COMMITTED, 1)
    assert (found, len(rules)) == (WHOLE[0], 700)


def _waiting() -> Any:
    return sql("SELECT pg_advisory_xact_lock(4)")


def _overtaken(
    estate: Any, connect: Any, reading: Any, isolation: IsolationLevel, chunks: int
) -> Any:
    reader, holder = connect(), connect()
    holder.execute("SELECT pg_advisory_lock(4)")
    with ThreadPoolExecutor(1) as threads:
        work = threads.submit(_tried, reader, reading, isolation)
        try:
            until_waits(estate.conn, reader.info.backend_pid, work)
            estate.fence()
            estate.resume(budget=Budget(chunks=chunks))
        finally:
            holder.execute("SELECT pg_advisory_unlock(4)")
    return work.result()


def _tried(reader: Any, reading: Any, isolation: IsolationLevel) -> Any:
    try:
        return run(reader, reading, isolation=isolation)
    except NotFound:
        return "not found"


def test_other_parent_is_complete_at_every_step(estate: Any, connect: Callable[..., Any]) -> None:
    reader, counts = connect(), []
    reading = read_tree(VPC.read(2, Vpc, missing=NotFound(2)), RULES.read(2, Rule))

    def look() -> None:
        counts.append(len(run(reader, reading)[1]))

    estate.fence()
    estate.resume(throttles=[look])
    assert counts == [10] * 5


# -- below, and of a kind --------------------------------------------------------------------------

TABLES = """
CREATE TABLE vpc (id int PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 0, time_deleted timestamptz);
CREATE TABLE router (
    id int PRIMARY KEY, vpc_id int, rcgen bigint NOT NULL DEFAULT 0, time_deleted timestamptz);
CREATE TABLE route (
    id int PRIMARY KEY, router_id int, kind text, name text, time_deleted timestamptz);
INSERT INTO vpc VALUES (1), (2);
INSERT INTO router VALUES (10, 1), (11, 1), (20, 2);
INSERT INTO route SELECT n, 10 + n % 2, (ARRAY['custom', 'default', NULL])[1 + n % 3], 'r' || n
    FROM generate_series(1, 24) AS n;
UPDATE route SET time_deleted = now() WHERE id > 20;
"""
ROUTERS = VPC.children("router", by="vpc_id", deleted_at="time_deleted")


@pytest.mark.parametrize("hard", [True, False])
def test_router_is_not_found_after_its_first_route_is_deleted(
    conn: psycopg.Connection[Any], connect: Callable[..., Any], hard: bool
) -> None:
    conn.execute(TABLES)
    routes = ROUTER.children("route", by="router_id", deleted_at=None if hard else "time_deleted")
    child = ChildDelete(relation=ROUTERS, hard=hard, children=[ChildDelete(relation=routes)])
    tree = DeleteTree(name="vpc", parent=VPC, children=[child])
    conn.execute(tree.jobs.ddl())  # type: ignore[arg-type]
    reader, views = connect(), []
    reading = read_tree(ROUTER.read(11, Vpc, missing=NotFound(11)), routes.read(11, Rule))

    def look() -> None:
        views.append(seen(reader, reading))

    look()
    whole = views[0]
    begin(conn, tree)
    go_on(conn, tree, 1, throttles=[look])
    look()
    assert len(whole[1]) == (12 if hard else 10)
    hidden = views.index("not found")
    assert hidden == 3  # before the fence, after it, after the other router's chunk
    assert views[:hidden] == [whole] * hidden
    assert views[hidden:] == ["not found"] * (len(views) - hidden)
    assert len(views) > 2 * hidden


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ({}, {2, 4, 6, 8, 10, 12, 14, 16, 18, 20}),
        ({"kind": "custom"}, {6, 12, 18}),
        ({"kind": None}, {2, 8, 14, 20}),
        ({"kind": ["custom", "default"]}, {4, 6, 10, 12, 16, 18}),
    ],
    ids=str,
)
def test_only_live_children_of_the_kind_are_read(
    conn: psycopg.Connection[Any], where: dict[str, object], keys: set[int]
) -> None:
    conn.execute(TABLES)
    children = ROUTER.children("route", by="router_id", where=where, deleted_at="time_deleted")
    read = run(conn, children.read(10, Rule))
    assert {rule.id for rule in read} == keys
    assert all(rule == Rule(rule.id, f"r{rule.id}") for rule in read)
    assert run(conn, children.read(99, Rule)) == []


def test_parent_is_read_into_a_model_or_raises_missing(
    conn: psycopg.Connection[Any],
) -> None:
    conn.execute(TABLES)
    bare = Parent(table="vpc", deleted_at=None, key="id", generation="rcgen")
    assert run(conn, VPC.read(1, Vpc, missing=NotFound)) == Vpc(1, 0)
    conn.execute("UPDATE vpc SET time_deleted = now() WHERE id = 1")
    with pytest.raises(NotFound) as not_found:
        run(conn, VPC.read(1, Vpc, missing=NotFound("vpc 1")))
    assert not_found.value.args == ("vpc 1",)
    assert run(conn, bare.read(1, Vpc, missing=NotFound)) == Vpc(1, 0)


def test_read_steps_are_labeled_with_their_tables() -> None:
    reading = whole().label("vpc_view")
    assert [step.path for step in steps(reading)] == ["vpc_view/rule", "vpc_view/vpc"]
