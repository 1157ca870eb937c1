# SPDX-License-Identifier: MIT
"""Rows of .each() are all encoded before the first is sent, and each is a statement of its own."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from attrs import frozen

from batchq import InvalidBatch, Outcome, gather, insert, param, row, sequence, sql, update

pytestmark = pytest.mark.link(
    "CREATE TABLE item (id bigint PRIMARY KEY, note text)", prepare_threshold=0
)

MANY = 2_500


@frozen
class Item:
    """A row."""

    id: int
    note: Any = None


class Unknown:
    """A value that no dumper takes."""


ITEM = insert("item", Item)
COUNTED = ITEM.returning("id").scalar(int)


def items(last: Item) -> list[Item]:
    return [*[Item(n, "a") for n in range(MANY - 1)], last]


UNSENDABLE = {
    "no dumper": Item(MANY, Unknown()),
    "no dumper, in a list": Item(MANY, [Unknown()]),
    "beyond bigint": Item(1 << 63),
    "NUL": Item(MANY, "a\0"),
}


@pytest.mark.parametrize("case", UNSENDABLE)
def test_nothing_is_sent_if_the_last_row_cannot_be_encoded(linked, link, conn, case):
    rows = items(UNSENDABLE[case])
    for batch in (ITEM.each(rows), gather(sql("SELECT 1"), COUNTED.each(rows).label("new"))):
        with link.record() as recording, pytest.raises(InvalidBatch) as raised:
            linked.run(batch)
        assert recording.bytes_sent == 0
        error = raised.value
        assert error.outcome is Outcome.NOT_SENT
        assert error.index in (MANY - 1, MANY)
        assert error.row_index == MANY - 1
        assert error.bound_row is rows[-1]
        assert f"row {MANY - 1}" in str(error)
        assert "cannot be sent" in str(error)
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)
    assert linked.run(ITEM.bind(Item(1))) is None


def test_nothing_is_sent_if_a_bound_value_cannot_be_encoded(linked, link):
    place = param("place", object)
    whole = gather(
        ITEM,
        update("item", {"note": place}, {"id": row(Item).id}).label("here"),
        sql("SELECT %(x)s::text", x=place).one(tuple),
    )
    for values, index, path in (
        ((Item(1, Unknown()), "a"), 0, ""),
        ((Item(1), Unknown()), 1, "here"),
        ((Item(1 << 63), "a"), 0, ""),
    ):
        new, given = values
        with link.record() as recording, pytest.raises(InvalidBatch) as raised:
            linked.run(whole.bind(new, place=given))
        assert recording.bytes_sent == 0
        assert (raised.value.index, raised.value.path) == (index, path)
    assert linked.run(whole.bind(Item(1), place="a")) == (None, None, ("a",))


def test_constant_that_cannot_be_encoded_sends_nothing(linked, link):
    whole = gather(ITEM, update("item", {"note": Unknown()}, {"id": row(Item).id}))
    for _ in range(2):
        with link.record() as recording, pytest.raises(InvalidBatch, match=r"step 1 .*'note'"):
            linked.run(whole.bind(Item(1)))
        assert recording.bytes_sent == 0


def test_many_rows_are_stored_in_order(linked, conn):
    rows = [Item(n, None if n % 3 else str(n)) for n in range(MANY)]
    assert linked.run(COUNTED.each(rows)) == list(range(MANY))
    stored = conn.execute("SELECT id, note FROM item ORDER BY ctid").fetchall()
    assert stored == [(one.id, one.note) for one in rows]


def test_failing_row_leaves_no_other(linked, conn):
    rows = [Item(n) for n in range(50)]
    rows[30] = Item(7)
    for batch in (ITEM.each(rows), sequence(map(ITEM.bind, rows))):
        answer = linked.attempt(gather(sql("SELECT 1"), batch))
        assert answer.report.index == 31
        assert answer.report.outcome is Outcome.ROLLED_BACK
        assert answer.report.violation.values == {"id": 7, "note": None}
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)


def test_no_row_sends_nothing(linked, link):
    with link.record() as recording:
        assert linked.run(COUNTED.each([])) == []
        assert linked.run(ITEM.each([])) is None
    assert recording.bytes_sent == 0


def test_dumper_registered_between_runs_is_used_for_each_row(linked, conn):
    class Quoting(psycopg.adapt.Dumper):
        def dump(self, obj):
            return f"<{obj}>".encode()

    whole = gather(ITEM.partial(id=param("id", int), note="constant"), sql("SELECT 1"))
    for first in (0, 10):
        linked.run(ITEM.each([Item(first + n, "a") for n in range(3)]))
        linked.run(whole.bind(id=first + 5))
        linked.conn.adapters.register_dumper(str, Quoting)
    notes = [note for (note,) in conn.execute("SELECT note FROM item ORDER BY id")]
    assert notes == ["a", "a", "a", "constant", "<a>", "<a>", "<a>", "<constant>"]
