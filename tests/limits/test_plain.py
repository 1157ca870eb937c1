# SPDX-License-Identifier: MIT
"""The plain case stays plain: a counter column and a CHECK of the user's own, and one update."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg_pool import ConnectionPool

from batchq import check, gather, insert, run, sql, steps, update
from batchq.result import Ok, attempt
from batchq.types import ViolationKind

TABLES = """
CREATE TABLE project (
    id int PRIMARY KEY, vpcs int NOT NULL DEFAULT 0,
    CONSTRAINT project_vpcs_within_limit CHECK (vpcs <= 5)
);
CREATE TABLE vpc (id int PRIMARY KEY);
INSERT INTO project VALUES (1)
"""


class LimitError(Exception):
    pass


class NotFoundError(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(TABLES)


def create(vpc, project=1):
    take = (
        update("project", {"vpcs": sql("vpcs + 1")}, where={"id": project})
        .on(check("project_vpcs_within_limit"), LimitError("vpcs"))
        .expect(1, missing=NotFoundError(project))
    )
    return gather(insert("vpc", {"id": vpc}), take.label("limit"))


def test_charges_count_up_to_the_limit_in_any_order(database, conn):
    with (
        ConnectionPool(database, min_size=8, max_size=8, open=True) as pool,
        ThreadPoolExecutor(8) as threads,
    ):
        answers = list(threads.map(lambda n: attempt(pool, create(n)), range(40)))
    refused = [answer for answer in answers if not isinstance(answer, Ok)]
    assert len(refused) == 35
    assert {(type(one.error), one.report.path) for one in refused} == {(LimitError, "limit")}
    assert {one.report.violation.kind for one in refused} == {ViolationKind.CHECK}
    assert conn.execute("SELECT vpcs, (SELECT count(*) FROM vpc) FROM project").fetchone() == (5, 5)


def test_missing_project_is_another_error_than_an_exceeded_limit(conn):
    answer = attempt(conn, create(1, project=9))
    assert (type(answer.error), answer.report.path) == (NotFoundError, "limit")
    assert answer.report.violation.kind is ViolationKind.GUARD


def test_charge_by_hand_runs_at_its_place(conn):
    assert [step.path for step in steps(gather(create(1), insert("vpc", {"id": 2})))] == [
        "",
        "limit",
        "",
    ]
    run(conn, gather(create(1), insert("vpc", {"id": 2})))
