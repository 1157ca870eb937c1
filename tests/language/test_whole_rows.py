# SPDX-License-Identifier: MIT
"""row(C) is for its fields. A whole one in the place of columns or of a value is rejected by the
call, which says what to write: to a type checker it is a row, and a value of any type."""

from __future__ import annotations

import pytest
from attrs import frozen

from batchq import InvalidBatch, delete, insert, row, select, sql, update


@frozen
class New:
    id: int
    name: str


def message(build):
    with pytest.raises(InvalidBatch) as caught:
        build()
    return str(caught.value)


def test_insert_of_a_whole_row_says_to_pass_the_class():
    text = message(lambda: insert("t", row(New)))
    assert text == 'insert(): pass the class, insert("t", New), not row(New)'


WHERE = {"id": 1}
COLUMNS = {
    "update(set=)": lambda given: update("t", given, WHERE),
    "update(where=)": lambda given: update("t", {"name": "x"}, given),
    "delete(where=)": lambda given: delete("t", [WHERE, given]),
    "select(where=)": lambda given: select("t", where=given),
    "require()": lambda given: delete("t", WHERE).require(given),
    "refuse()": lambda given: delete("t", WHERE).refuse(given),
    "ensure()": lambda given: delete("t", WHERE).ensure(given),
}


@pytest.mark.parametrize("call", COLUMNS)
def test_columns_are_to_be_named(call):
    wanted = f'{call}: pass a mapping of columns, {{"id": row(New).id}}, not '
    assert message(lambda: COLUMNS[call](row(New))) == wanted + "row(New)"
    assert message(lambda: COLUMNS[call](New)) == wanted + "New"
    assert "not a type" in message(lambda: COLUMNS[call](int))


VALUES = {
    "insert()": lambda given: insert("t", {"id": given}),
    "insert() in a list": lambda given: insert("t", {"ids": [[given]]}),
    "insert() beside an expression": lambda given: insert("t", {"a": sql("now()"), "id": given}),
    "update(set=)": lambda given: update("t", {"id": given}, WHERE),
    "update(where=)": lambda given: update("t", {"id": 1}, {"id": given}),
    "update(where=) in a list": lambda given: update("t", {"id": 1}, {"id": [given]}),
    "require()": lambda given: delete("t", WHERE).require({"id": given}),
    "sql()": lambda given: sql("SELECT %(id)s", id=given),
}


@pytest.mark.parametrize("call", VALUES)
def test_a_value_is_one_field(call):
    text = message(lambda: VALUES[call](row(New)))
    assert text.startswith(f"{call.partition(' ')[0]}: ")
    assert text.endswith(" row(…); name one field of it")
