# SPDX-License-Identifier: MIT
"""``.for_update()``: which rows it locks, how strongly, in which order, and whether it waits."""

from __future__ import annotations

import pytest

from batchq import InvalidBatch, gather, run, select, sql, sqlstate, steps, update
from batchq.result import Ok, attempt

TABLES = """
CREATE TABLE item (id int PRIMARY KEY, place int, name text);
INSERT INTO item VALUES (1, 3, 'a'), (2, 2, 'b'), (3, 1, 'c');
"""


class Locked(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


def items(*, order=None, **options):
    return select("item", ["id"], order_by=order).for_update(**options)


def test_nowait_fails_at_a_locked_row_and_can_be_mapped(planned, observer):
    with observer.transaction():
        observer.execute("SELECT FROM item WHERE id = 2 FOR UPDATE")
        row = items(nowait=True).on(sqlstate("55P03"), Locked)
        assert type(attempt(planned, row).error) is Locked
    assert isinstance(attempt(planned, row), Ok)


def test_skip_locked_leaves_out_the_rows_that_are_locked(planned, observer):
    free = items(skip_locked=True, order=["id"]).all(dict)
    with observer.transaction():
        observer.execute("SELECT FROM item WHERE id = 2 FOR UPDATE")
        assert run(planned, free) == [{"id": 1}, {"id": 3}]
    assert run(planned, free) == [{"id": 1}, {"id": 2}, {"id": 3}]


@pytest.mark.parametrize(
    ("strength", "shared"),
    [("update", False), ("no key update", False), ("share", False), ("key share", True)],
)
def test_strength_decides_which_other_locks_are_let_in(conn, observer, strength, shared):
    """The other takes FOR NO KEY UPDATE, as an update of a column that is not a key does."""
    with conn.transaction():
        run(conn, items(strength=strength), nested=True)
        other = items(strength="no key update", nowait=True).on(sqlstate("55P03"), Locked)
        assert isinstance(attempt(observer, other), Ok) == shared


@pytest.mark.parametrize(
    ("order", "locked"),
    [(["place"], [3, 2, 1]), (["id"], [1, 2, 3]), (["name", "id"], [1, 2, 3])],
)
def test_order_decides_which_row_is_locked_first(observer, order, locked):
    assert run(observer, items(order=order).all(lambda row: row["id"])) == locked
    listed = ", ".join(map('"{}" NULLS LAST'.format, order))
    assert f"ORDER BY {listed} FOR UPDATE" in steps(items(order=order))[0].sql


def test_locked_rows_are_read_as_they_are(planned):
    """A lock may have a result shape: what it reads is what it has locked."""
    locked = select("item", ["name"], where={"id": 1}).for_update()
    renamed = update("item", {"name": "z"}, {"id": 1})
    assert run(planned, gather(locked.one(dict), renamed, locked.one(dict))) == (
        {"name": "a"},
        None,
        {"name": "z"},
    )
    run(planned, update("item", {"name": "a"}, {"id": 1}))


@pytest.mark.parametrize(
    "ask",
    [
        lambda: update("item", {"name": "z"}, {"id": 1}).for_update(),
        lambda: sql("SELECT 1").for_update(),
        lambda: items(strength="UPDATE"),
        lambda: items(nowait=True, skip_locked=True),
    ],
)
def test_for_update_rejects_what_it_cannot_do(ask):
    with pytest.raises(InvalidBatch, match="for_update"):
        ask()
