# SPDX-License-Identifier: MIT
"""``unless()`` on a row that another session is changing: it waits, and judges what it then finds.

The session that comes first holds the lock of the row until the server shows that the other waits
for it.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from psycopg import IsolationLevel

from batchq import SerializationConflict, delete, run, sql, update
from batchq.types import Updated
from tests.support.row_values import Unmet

TABLES = """
CREATE TABLE disk (id int PRIMARY KEY, instance int, n int);
INSERT INTO disk VALUES (1, NULL, 0), (2, 3, 0)
"""
LEVELS = (
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
)


class Missing(Exception):
    pass


class Busy(Unmet):
    pass


class Disk(NamedTuple):
    instance: int | None
    n: int


def attach(instance, disk=1):
    return (
        update("disk", {"instance": instance, "n": sql("n + 1")}, {"id": disk})
        .expect(1, missing=Missing)
        .unless({"instance": instance})
        .require({"instance": None}, raises=Busy)
        .updated(Disk)
    )


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


def disk(observer, n):
    return observer.execute("SELECT instance, n FROM disk WHERE id = %s", [n]).fetchone()


@pytest.mark.parametrize("isolation", LEVELS, ids=lambda level: level.name)
def test_second_of_two_that_want_the_same_is_a_success_that_changes_nothing(
    racing, observer, isolation
):
    answer = racing.run(attach(3), attach(3), isolation=isolation)
    if isolation is IsolationLevel.READ_COMMITTED:
        assert answer.value == Updated(Disk(3, 1), changed=False)
    else:
        assert type(answer.error) is SerializationConflict
    assert disk(observer, 1) == (3, 1)
    assert run(racing.second, attach(3), isolation=isolation).changed is False


@pytest.mark.parametrize("isolation", LEVELS, ids=lambda level: level.name)
def test_second_of_two_that_want_it_for_themselves_fails_by_the_later_condition(
    racing, observer, isolation
):
    answer = racing.run(attach(3), attach(4), isolation=isolation)
    if isolation is IsolationLevel.READ_COMMITTED:
        assert (type(answer.error), answer.error.found) == (Busy, {"instance": 3})
    else:
        assert type(answer.error) is SerializationConflict
    assert disk(observer, 1) == (3, 1)


def test_row_that_stops_to_be_as_wanted_while_it_is_waited_for_is_changed(racing, observer):
    """An UPDATE by itself would pass over it: it does not wait for a row that it does not want."""
    detach = update("disk", {"instance": None}, {"id": 2}).expect(1)
    assert racing.run(detach, attach(3, 2)).value == Updated(Disk(3, 1), changed=True)
    assert disk(observer, 2) == (3, 1)


def test_row_that_becomes_another_ones_while_it_is_waited_for_is_refused(racing):
    moved = update("disk", {"instance": 4}, {"id": 2}).expect(1)
    answer = racing.run(moved, attach(3, 2))
    assert (type(answer.error), answer.error.found) == (Busy, {"instance": 4})


@pytest.mark.parametrize(("n", "changed"), [(1, True), (2, False)])
def test_change_that_is_rolled_back_changes_nothing(racing, n, changed):
    other = update("disk", {"instance": 5}, {"id": n}).expect(1)
    answer = racing.run(other, attach(3, n), rollback=True)
    assert answer.value == Updated(Disk(3, int(changed)), changed)


@pytest.mark.parametrize("n", [1, 2])
def test_row_that_is_deleted_while_it_is_waited_for_is_missing(racing, n):
    assert type(racing.run(delete("disk", {"id": n}), attach(3, n)).error) is Missing


@pytest.mark.parametrize("isolation", LEVELS, ids=lambda level: level.name)
def test_row_that_is_left_is_locked_until_commit(connect, observer, isolation):
    conn = connect()
    conn.isolation_level = isolation
    with conn.transaction():
        assert not run(conn, attach(3, 2), nested=True).changed
        free = "SELECT FROM disk WHERE id = 2 FOR {} SKIP LOCKED"
        assert observer.execute(free.format("SHARE")).fetchone() is None
        assert observer.execute(free.format("KEY SHARE")).fetchone() is not None
