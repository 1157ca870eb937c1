# SPDX-License-Identifier: MIT
"""A declaration shows what it takes, and no value of a bound batch."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import pytest
from attrs import Factory, frozen

from batchq import explain, gather, insert, param, row, sql, steps, update


@frozen
class New:
    """A row to insert."""

    id: int
    name: object = "default"


class Pair(NamedTuple):
    """Another row."""

    id: int
    name: str


@frozen
class Made:
    """A row with a default that is made for each."""

    id: int
    name: object = Factory(list)


INSERT = insert("t", New)
RENAME = update("t", {"name": param("name", str)}, where={"id": param("id", int)})
BOTH = gather(
    INSERT,
    update("t", {"name": "secret", "day": param("day", date)}, where={"id": row(New).id}).count(),
    sql("SELECT 1"),
)
MADE = insert("t", {"a": 1})


@pytest.mark.parametrize(
    ("declared", "shown"),
    [
        (INSERT, "<Statement insert t, takes New>"),
        (INSERT.returning("id").one(tuple), "<Statement insert t: one(tuple), takes New>"),
        (RENAME, "<Statement update t, takes name and id>"),
        (BOTH, "<Gathered of 3 statements, takes New and day>"),
        (BOTH.label("both"), "<Labelled of 3 statements, takes New and day>"),
        (gather(INSERT, insert("t", Pair)), "<Gathered of 2 statements, takes New and Pair>"),
        (RENAME.partial(id=7), "<Statement update t, takes name>"),
        (insert("t", Made).partial(id=7), "<Statement insert t, not bound>"),
        (RENAME.bind(id=7, name="web"), "<Statement update t>"),
        (BOTH.bind(New(7), day=date(2026, 2, 3)), "<Bound of 3 statements>"),
        (INSERT.each([New(7)]), "<Each of 1 statement>"),
    ],
    ids=str,
)
def test_repr_has_what_is_taken(declared, shown):
    assert repr(declared) == shown


def listed_parameters(batch, **options):
    lines = explain(batch, **options).splitlines()
    return [line.strip() for line in lines if line.startswith("    $") and " = " in line]


def test_explain_lists_what_each_parameter_is():
    expected = ["$1 id = New.id", "$2 name = New.name"]
    expected += ["$1 name = constant", "$2 day = param day, a date", "$3 id = New.id"]
    assert listed_parameters(BOTH) == expected
    expected[2] = "$1 name = 'secret'"
    assert listed_parameters(BOTH, parameters=True) == expected
    fields = insert("t", Made).partial(id=param("other", int | None))
    assert listed_parameters(fields) == [
        "$1 id = param other, an int or None",
        "$2 name = default of Made.name",
    ]
    of_another = RENAME.partial(id=MADE.output("id"))
    assert listed_parameters(gather(MADE, of_another)) == [
        "$1 name = param name, a str",
        "$2 id = <Output 'id' of insert t>",
    ]


def test_explain_of_what_is_bound_shows_no_value_unless_asked():
    bound = BOTH.bind(New(7, "mine"), day=date(2026, 2, 3))
    assert listed_parameters(bound) == []
    assert "mine" not in explain(bound)
    assert listed_parameters(bound, parameters=True) == [
        "$1 id = 7",
        "$2 name = 'mine'",
        "$1 name = 'secret'",
        "$2 day = datetime.date(2026, 2, 3)",
        "$3 id = 7",
    ]


def test_steps_of_a_declaration_have_its_parameters():
    first, second, _ = steps(BOTH)
    assert first.parameters == (row(New).id, row(New).name)
    assert second.parameters[0] == "secret"
    assert repr(second.parameters[1]) == "<parameter day, a date>"
    assert repr(row(New).name) == "<field New.name>"
