# SPDX-License-Identifier: MIT
"""``.refuse({…})``: a row for which the condition holds fails the batch, before it is changed."""

from __future__ import annotations

import pytest

from batchq import (
    GuardFailed,
    InvalidBatch,
    delete,
    gather,
    insert,
    run,
    select,
    sql,
    steps,
    update,
)
from batchq.result import Ok, attempt
from tests.support.row_values import Unmet

TABLES = """
CREATE TABLE disk (id int PRIMARY KEY, state text, instance int);
CREATE TABLE log (n int);
INSERT INTO disk VALUES (1, 'attached', 3), (2, 'attached', 4), (3, 'detached', NULL),
                        (4, NULL, 3), (5, NULL, NULL);
"""


class Missing(Exception):
    pass


class Mine(Unmet):
    pass


class Busy(Unmet):
    pass


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


KINDS = {
    "update": lambda where: update("disk", {"state": "attached", "instance": 3}, where),
    "delete": lambda where: delete("disk", where),
    "select": lambda where: select("disk", ["id"], where=where),
    "lock": lambda where: select("disk", where=where).for_update(),
}
CONDITIONS = {
    "columns": ({"state": "attached", "instance": 3}, [1]),
    "column": ({"state": "attached"}, [1, 2]),
    "null": ({"state": None}, [4, 5]),
    "list": ({"instance": [3, 4]}, [1, 2, 4]),
    "list with null": ({"instance": [4, None]}, [2, 3, 5]),
    "fragment": (sql("instance > %(n)s", n=3), [2]),
    "several": ([{"state": "attached"}, sql("instance < 4")], [1]),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("condition", "refused"), CONDITIONS.values(), ids=CONDITIONS)
def test_refuse_fails_exactly_the_rows_for_which_the_condition_holds(
    planned, kind, condition, refused
):
    for _ in range(2):
        for n in range(1, 6):
            row = kind({"id": n}).expect(1, missing=Missing).refuse(condition, raises=Mine)
            answer = attempt(planned, gather(insert("log", {"n": n}), row, sql("SELECT 1 / 0")))
            if n in refused:
                assert type(answer.error) is Mine
                assert (answer.report.index, answer.report.violation.requirement) == (1, 0)
            else:
                assert answer.report.violation.sqlstate == "22012"
        missing = kind({"id": 9}).expect(1, missing=Missing).refuse(condition, raises=Mine)
        assert type(attempt(planned, missing).error) is Missing


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_refuse_and_require_are_checked_in_the_order_of_declaration(planned, kind):
    def attach(n):
        return (
            kind({"id": n})
            .expect(1, missing=Missing)
            .refuse({"state": "attached", "instance": 3}, raises=Mine)
            .require({"state": "detached"}, raises=Busy)
        )

    answers = [attempt(planned, attach(n)) for n in (1, 2, 3, 9)]
    assert [type(getattr(answer, "error", None)) for answer in answers] == [
        Mine,
        Busy,
        type(None),
        Missing,
    ]
    assert isinstance(answers[2], Ok)
    assert answers[0].error.found == {"state": "attached", "instance": 3}


def test_refuse_without_a_mapping_is_an_internal_error(conn):
    with pytest.raises(GuardFailed, match=r'wanted refuse\("state"\)') as caught:
        run(conn, update("disk", {"instance": 5}, {"id": 1}).refuse({"state": "attached"}))
    assert "raises=YourError" in str(caught.value)
    assert caught.value.violation.row == {"state": "attached"}


def test_refuse_of_an_update_implies_that_the_row_exists(conn):
    row = update("disk", {"instance": 5}, {"id": 9}).refuse({"state": "attached"})
    assert repr(row) == '<Statement update disk: exactly 1 row, refuse("state")>'
    with pytest.raises(GuardFailed, match="guard saw 0 rows, wanted exactly 1 row"):
        run(conn, row)


def test_refuse_carries_columns_that_it_is_asked_for(planned):
    row = delete("disk", {"id": 1}).refuse(sql("instance = 3"), raises=Mine, columns=["id"])
    assert attempt(planned, row).error.found == {"id": 1}


def test_refuse_is_rejected_where_there_are_no_rows_to_find():
    for statement in (insert("disk", {"id": 1}), sql("UPDATE disk SET id = 1 RETURNING id")):
        with pytest.raises(InvalidBatch, match=r"refuse\(\).*\.ensure\("):
            statement.refuse({"id": 1})
    with pytest.raises(InvalidBatch, match="selects every row"):
        delete("disk", {"id": 1}).refuse({})


def test_ensure_checks_several_columns_at_once(planned):
    made = insert("disk", {"id": 7, "state": "new"})
    assert isinstance(attempt(planned, made.ensure({"id": 7, "state": "new"}, raises=Busy)), Ok)
    for expected in ({"id": 8, "state": "old"}, {"id": 8, "state": "new"}):
        answer = attempt(
            planned, insert("disk", {"id": 8, "state": "new"}).ensure(expected | {"instance": 1})
        )
        assert answer.report.violation.row == {"id": 8, "state": "new", "instance": None}


def test_refuse_fires_after_a_column_has_changed_its_type(conn, observer):
    """What is prepared with an inferred type must not let pass what it no longer compares."""
    observer.execute("CREATE TABLE t (id int, v int); INSERT INTO t VALUES (1, 7)")
    conn.prepare_threshold = 0
    row = update("t", {"id": 1}, {"id": 1}).refuse({"v": "7"}, raises=Mine)
    for _ in range(3):
        assert type(attempt(conn, row).error) is Mine
    observer.execute("ALTER TABLE t ALTER v TYPE text")
    for _ in range(3):
        assert type(attempt(conn, row).error) is Mine
    observer.execute("UPDATE t SET v = '007'")
    assert isinstance(attempt(conn, row), Ok)
    assert "IS TRUE" in steps(row)[0].sql
