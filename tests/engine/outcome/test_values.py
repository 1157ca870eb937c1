# SPDX-License-Identifier: MIT
"""A function of the violation gets the values of the statement that failed, by name."""

from __future__ import annotations

import pytest

from batchq import (
    GuardFailed,
    UnmappedViolation,
    check,
    delete,
    gather,
    insert,
    param,
    run,
    select,
    sql,
    sqlstate,
    unique,
    update,
)

TABLE = """
CREATE TABLE item (
    id int CONSTRAINT item_pkey PRIMARY KEY, name text CONSTRAINT item_name_key UNIQUE,
    amount int CONSTRAINT item_amount CHECK (amount < 100),
    later int CONSTRAINT item_later UNIQUE DEFERRABLE INITIALLY DEFERRED
)
"""


class Refused(Exception):
    """What the function of the violation returns."""


@pytest.fixture(autouse=True)
def table(conn):
    conn.execute(TABLE)
    conn.execute("INSERT INTO item VALUES (1, 'one', 1, 1), (2, 'two', 2, 2)")


def refused(violation):
    return Refused(dict(violation.values))


NEW = {"id": 3, "name": "one", "amount": 3}
EXISTS = sql("EXISTS (SELECT FROM item WHERE id = %(other)s)", other=2)

CASES = {
    "insert": (insert("item", NEW).on(unique("item_name_key"), refused), NEW),
    "an expression in the row": (
        insert("item", {"id": sql("%(n)s::int + 1", n=0), "name": "x"}).on(
            unique("item_pkey"), refused
        ),
        {"n": 0, "name": "x"},
    ),
    "update": (
        update("item", {"amount": 100}, {"name": "one", "id": [1, 2]}).on(
            check("item_amount"), refused
        ),
        {"amount": 100, "name": "one", "id": [1, 2]},
    ),
    "a column that is set and compared": (
        update("item", {"id": 2}, {"id": 1}).on(unique("item_pkey"), refused),
        {"id": 2},
    ),
    "too few rows": (delete("item", {"id": 7}).expect(1, missing=refused), {"id": 7}),
    "a row that must not be": (
        select("item", where=EXISTS).expect(0, unexpected=refused),
        {"other": 2},
    ),
    "a condition": (
        update("item", {"amount": 5}, {"id": 1}).require({"name": "two"}, raises=refused),
        {"amount": 5, "id": 1, "name": "two"},
    ),
    "NULL in a condition": (
        update("item", {"amount": None}, {"id": 1}).require({"name": None}, raises=refused),
        {"amount": None, "id": 1},
    ),
    "sql()": (
        sql("SELECT %(a)s / %(b)s::int", a=1, b=0).on(sqlstate("22012"), refused),
        {"a": 1, "b": 0},
    ),
    "a placeholder with the name of a column": (
        insert("item", {"later": sql("%(id)s::int", id=77), "id": 1}).on(
            unique("item_pkey"), refused
        ),
        {"id": 1},
    ),
    "a placeholder with the name of a column in a condition": (
        update("item", {"later": sql("later + %(id)s", id=5)}, {"id": 99}).expect(
            1, missing=refused
        ),
        {"id": 99},
    ),
    "at COMMIT": (
        insert("item", {"id": 3, "later": 1}).on(unique("item_later"), refused),
        {"id": 3, "later": 1},
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("runs", [1, 8], ids=["first", "prepared"])
def test_function_gets_the_values_of_the_failed_statement(conn, case, runs):
    statement, values = CASES[case]
    others = sql("SELECT %(a)s::int", a=99)
    for _ in range(runs):
        with pytest.raises(Refused) as raised:
            run(conn, gather(others, statement, others))
    assert raised.value.args == (values,)
    assert raised.value.__cause__.violation.values == values
    if not isinstance(raised.value.__cause__, GuardFailed):  # whose text says what was expected
        assert str(raised.value.__cause__).endswith("mapped to Refused")


def test_outputs_of_other_statements_are_not_among_the_values(conn):
    first = insert("item", {"id": 3})
    second = insert("item", {"id": first.output("id"), "name": "x"})
    with pytest.raises(Refused) as raised:
        run(conn, gather(first, second.on(unique("item_pkey"), refused)))
    assert raised.value.args == ({"name": "x"},)


def test_values_are_not_in_any_text(conn):
    with pytest.raises(UnmappedViolation) as raised:
        run(conn, insert("item", {"id": 3, "name": "one", "amount": 54321}))
    error = raised.value
    assert error.violation.values == {"id": 3, "name": "one", "amount": 54321}
    texts = str(error), repr(error), str(error.violation), repr(error.violation)
    assert not any("54321" in text for text in texts)


def test_function_gets_the_values_of_the_step_that_the_key_names(conn):
    new = insert("item", {"id": param("id", int), "later": param("later", int)})
    declared = new.on(unique("item_later"), refused)
    for runs in range(6):
        with pytest.raises(Refused) as raised:
            run(conn, gather(declared.bind(id=10 + runs, later=20), declared.bind(id=30, later=1)))
        assert raised.value.args == ({"id": 30, "later": 1},)


def test_function_cannot_change_the_batch(conn):
    def change(violation):
        violation.values["tags"].append("changed")
        return Refused()

    conn.execute("ALTER TABLE item ADD tags text[]")
    batch = insert("item", {"id": 1, "tags": ["x"]}).on(unique("item_pkey"), change)
    with pytest.raises(Refused):
        run(conn, batch)
    conn.execute("DELETE FROM item WHERE id = 1")
    run(conn, batch)
    assert conn.execute("SELECT tags FROM item WHERE id = 1").fetchone() == (["x"],)
