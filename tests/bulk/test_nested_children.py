# SPDX-License-Identifier: MIT
"""Children of children: leaves are deleted first, from parents that are hidden."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from batchq import insert, run
from batchq.bulk import ChildDelete, DeleteTree, Report
from batchq.hierarchy import Parent
from tests.support.lock_waits import until_waits
from tests.support.vpcs import ROUTER, VPC, VPC_TABLE, begin, go_on, one

TABLES = """
CREATE TABLE router (
    id int PRIMARY KEY, vpc_id int NOT NULL, kind text NOT NULL DEFAULT 'custom',
    rcgen bigint NOT NULL DEFAULT 1, time_deleted timestamptz, UNIQUE (vpc_id, id));
CREATE TABLE route (id int PRIMARY KEY, router_id int NOT NULL, UNIQUE (router_id, id));
INSERT INTO router (id, vpc_id) VALUES (31, 1), (12, 1), (23, 1), (20, 2);
INSERT INTO router VALUES (15, 1, 'custom', 7, '2020-01-01');
INSERT INTO route SELECT router.id * 100 + n, router.id FROM router, generate_series(1, 4) AS n;
"""
FOREIGN_KEY = "ALTER TABLE route ADD CONSTRAINT up FOREIGN KEY (router_id) REFERENCES router (id)"
ROUTERS, ROUTES = 4, 16
"""Of VPC 1; one of the routers is hidden already, for years, and has its routes still."""


class Missing(Exception):
    """There is no such router."""


OF_VPC = VPC.children("router", by="vpc_id", deleted_at="time_deleted")
OF_ROUTER = ROUTER.children("route", by="router_id", deleted_at=None)


def tree(*, hard: bool = True, routers: Any = OF_VPC) -> DeleteTree:
    below = [ChildDelete(relation=OF_ROUTER)]
    child = ChildDelete(relation=routers, hard=hard, children=below)
    return DeleteTree(name="vpc", parent=VPC, children=[child])


class Site:
    """Two VPCs with routers and routes, the first one fenced."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self.conn = conn
        conn.execute(VPC_TABLE + TABLES)
        conn.execute(tree().jobs.ddl())  # type: ignore[arg-type]

    def delete(
        self, tree: DeleteTree, rows: int = 3, *, conn: Any = None, **options: Any
    ) -> Report:
        if not self.ask("SELECT count(*) FROM bulk_job"):
            begin(self.conn, tree)
        return go_on(conn or self.conn, tree, rows, **options)

    def ask(self, query: str) -> Any:
        return one(self.conn, query)

    def routers(self, columns: str = "count(*)") -> Any:
        return self.ask(f"SELECT {columns} FROM router WHERE vpc_id = 1")

    def routes(self) -> int:
        return self.ask("SELECT count(*) FROM route WHERE router_id <> 20")

    def job(self, columns: str) -> Any:
        return self.ask(f"SELECT {columns} FROM bulk_job")

    def assert_deleted(self, rows: int = ROUTERS + ROUTES) -> None:
        assert (self.routers(), self.routes()) == (0, 0)
        assert self.ask("SELECT array_agg(id) FROM vpc") == [2]
        assert self.ask("SELECT rcgen, time_deleted FROM router") == (1, None)
        assert self.ask("SELECT array_agg(id ORDER BY id) FROM route") == [2001, 2002, 2003, 2004]
        assert self.job("phase, rows_done") == ("done", rows)


@pytest.fixture
def site(conn: psycopg.Connection[Any]) -> Site:
    return Site(conn)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
def test_routers_are_hidden_before_their_routes_and_deleted_after_them(
    site: Site, rows: int
) -> None:
    seen: list[tuple[int, int, int]] = []

    def look() -> None:
        living = site.routers("count(*) FILTER (WHERE time_deleted IS NULL)")
        seen.append((living, site.routes(), site.routers()))

    report = site.delete(tree(), rows, throttles=[look])
    assert all(living == 0 for living, routes, _ in seen if routes < ROUTES)
    assert all(routes == 0 for _, routes, routers in seen if routers < ROUTERS)
    assert (report.rows, report.rows_after_fence) == (ROUTERS + ROUTES, 0)
    assert report.rows_by_table == {"route": ROUTES, "router": ROUTERS}
    site.assert_deleted()


def test_soft_deleted_routers_count_once_and_change_once(site: Site) -> None:
    report = site.delete(tree(hard=False))
    assert report.rows_by_table == {"route": ROUTES, "router": ROUTERS - 1}
    assert site.job("rows_done") == report.rows == ROUTES + ROUTERS - 1
    assert site.routers("array_agg(rcgen ORDER BY id)") == [2, 7, 2, 2]
    assert site.ask("SELECT extract(year FROM time_deleted) FROM router WHERE id = 15") == 2020
    assert site.routes() == 0


@pytest.mark.parametrize("hard", [True, False])
def test_delete_now_of_nested_children_does_the_same_as_chunks(site: Site, hard: bool) -> None:
    assert run(site.conn, tree(hard=hard).delete_now(1, missing=Missing())) == (
        ROUTES + ROUTERS - (not hard)
    )
    assert site.routes() == 0
    living = "count(*), count(*) FILTER (WHERE time_deleted IS NULL), max(rcgen)"
    assert site.routers(living) == ((0, 0, None) if hard else (4, 0, 7))


def test_writer_may_add_routes_until_the_router_is_hidden(
    site: Site, connect: Callable[..., Any]
) -> None:
    writer, received, keys = connect(), [], iter(range(9000, 9100))

    def add() -> None:
        route = insert("route", {"id": next(keys), "router_id": 31})
        hidden = site.ask("SELECT count(*) FROM router WHERE id = 31 AND time_deleted IS NULL") == 0
        try:
            run(writer, OF_ROUTER.add(31, route, missing=Missing()))
        except Missing:
            received.append((hidden, "deleted"))
        else:
            received.append((hidden, "added"))

    report = site.delete(tree(), 2, throttles=[add])
    added = received.count((False, "added"))
    assert added == 2  # both before the chunk that hides it, the second one
    assert set(received) == {(False, "added"), (True, "deleted")}
    assert report.rows_after_fence == 0
    site.assert_deleted(ROUTERS + ROUTES + added)


@pytest.mark.parametrize("foreign_key", [False, True])
def test_route_added_around_the_library_is_deleted_before_its_router(
    site: Site, connect: Callable[..., Any], foreign_key: bool
) -> None:
    """It comes when all routes are deleted and no router is yet."""
    writer, late = connect(), iter([9000])
    if foreign_key:
        site.conn.execute(FOREIGN_KEY)

    def bypass() -> None:
        if site.routes() == 0:
            for key in late:
                writer.execute("INSERT INTO route VALUES (%s, 23)", [key])

    report = site.delete(tree(), throttles=[bypass])
    assert (report.jobs_done, report.rows_after_fence, report.rows) == (1, 1, ROUTERS + ROUTES + 1)
    site.assert_deleted(ROUTERS + ROUTES + 1)


def test_route_inserted_while_its_router_is_deleted_fails_or_is_deleted(
    site: Site, connect: Callable[..., Any]
) -> None:
    """The chunk waits for the foreign key's lock on the router, and sees no route of it."""
    writer, worker, observer = connect(autocommit=False), connect(), connect()
    site.conn.execute(FOREIGN_KEY)
    begun: list[None] = []

    def bypass() -> None:
        if site.routes() == 0 and not begun:
            begun.append(writer.execute("INSERT INTO route VALUES (9000, 23)"))

    with ThreadPoolExecutor(1) as threads:
        options: Any = {"conn": worker, "throttles": [bypass]}
        work = threads.submit(site.delete, tree(), **options)
        try:
            until_waits(observer, worker.info.backend_pid, work)
        finally:
            writer.commit()
    report = work.result()
    assert (report.jobs_done, report.rows) == (1, ROUTERS + ROUTES + 1)
    assert site.job("restarts") == 1
    site.assert_deleted(ROUTERS + ROUTES + 1)


def test_job_is_stuck_after_three_restarts_if_routes_keep_coming(
    site: Site, connect: Callable[..., Any]
) -> None:
    writer, keys = connect(), iter(range(9000, 9100))

    def bypass() -> None:
        if site.routes() == 0:
            writer.execute("INSERT INTO route VALUES (%s, 23)", [next(keys)])

    report = site.delete(tree(), throttles=[bypass])
    assert (report.jobs_stuck, report.jobs_done, report.rows_after_fence) == (1, 0, 4)
    phase, stages, error = site.job("phase, restarts, last_error")
    assert (phase, stages) == ("stuck", 3)
    assert "route" in error
    assert str(next(keys) - 1) in error
    assert site.routers("array_agg(id)") == [23]
    assert site.ask("SELECT count(*) FROM vpc WHERE id = 1") == 1
    run(site.conn, tree().jobs.retry(site.job("id")))
    site.delete(tree())
    site.assert_deleted(site.job("rows_done"))
    assert site.job("rows_done") == ROUTERS + ROUTES + next(keys) - 9000 - 1


@pytest.mark.parametrize("hard", [True, False])
def test_routes_of_routers_of_another_kind_are_kept(site: Site, hard: bool) -> None:
    """Neither bit by bit nor at once: only the routers of that kind go, and only their routes."""
    kept = "INSERT INTO router VALUES (18, 1, 'system'); INSERT INTO route VALUES (1, 18), (2, 18)"
    site.conn.execute(kept)
    custom = VPC.children(
        "router", by="vpc_id", where={"kind": "custom"}, deleted_at="time_deleted"
    )
    drained = tree(routers=custom, hard=hard)
    report = site.delete(drained)
    system = "SELECT array_agg(route.id ORDER BY route.id) FROM route WHERE router_id = 18"
    assert site.ask(system) == [1, 2]
    assert report.rows == ROUTES + ROUTERS - (not hard)
    site.conn.execute("UPDATE router SET vpc_id = 2; UPDATE router SET time_deleted = NULL")
    run(site.conn, drained.delete_now(2, missing=Missing()))
    assert site.ask(system) == [1, 2]


def test_order_key_may_begin_with_the_parents_key(site: Site) -> None:
    """It is their primary key in many a schema."""
    routes = ChildDelete(relation=OF_ROUTER, order=("router_id", "id"))
    child = ChildDelete(relation=OF_VPC, hard=True, children=[routes])
    site.delete(DeleteTree(name="vpc", parent=VPC, children=[child]))
    site.assert_deleted()


def test_table_may_be_its_own_child(conn: psycopg.Connection[Any]) -> None:
    """Folders in folders, as deep as the tree says."""
    conn.execute(f"""{VPC_TABLE}
        CREATE TABLE folder (id int PRIMARY KEY, vpc_id int, folder_id int REFERENCES folder,
            rcgen bigint NOT NULL DEFAULT 0, time_deleted timestamptz);
        INSERT INTO folder SELECT n, 1 + n % 2 FROM generate_series(1, 6) AS n;
        INSERT INTO folder SELECT 100 + n, NULL, 1 + n % 6 FROM generate_series(1, 20) AS n;
    """)
    folders = Parent(
        table="folder", key="id", deleted_at="time_deleted", generation="rcgen"
    ).children("folder", by="folder_id", deleted_at="time_deleted")
    below = [ChildDelete(relation=folders, hard=True)]
    top = ChildDelete(
        relation=VPC.children("folder", by="vpc_id", deleted_at="time_deleted"),
        hard=True,
        children=below,
    )
    nested = DeleteTree(name="vpc", parent=VPC, children=[top])
    conn.execute(nested.jobs.ddl())  # type: ignore[arg-type]
    begin(conn, nested)
    report = go_on(conn, nested, 2)
    assert (report.jobs_done, report.rows, report.rows_after_fence) == (1, 13, 0)
    assert conn.execute("SELECT count(*) FROM folder").fetchone() == (13,)
