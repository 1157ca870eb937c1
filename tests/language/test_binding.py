# SPDX-License-Identifier: MIT
"""A statement is declared once, with parameters in the place of values, and bound for each call."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import weakref
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from attrs import frozen

from batchq import (
    InvalidBatch,
    delete,
    insert,
    param,
    row,
    select,
    sql,
    steps,
    unique,
    update,
)


@frozen
class New:
    """A row to insert."""

    id: int
    name: object = "default"


@frozen
class Better(New):
    """A subclass, with a field that the statement does not know."""

    more: int = 0


@dataclasses.dataclass
class Data:
    """A row of a dataclass."""

    id: int
    name: str


class Pair(NamedTuple):
    """A row of a NamedTuple."""

    id: int
    name: str


@frozen
class Typed:
    """A row whose annotations say how its fields are compared."""

    ids: list[int]
    name: str | None = None


class Taken(Exception):
    """An exception of the caller."""


INSERT = insert("t", New)
RENAME = update("t", {"name": param("name", str)}, where={"id": param("id", int)})


def values(statement):
    (step,) = steps(statement)
    return step.parameters


@pytest.mark.parametrize("cls", [New, Data, Pair])
def test_class_in_the_place_of_a_row_declares_its_fields(cls):
    declared = insert("t", cls).returning("id").one(tuple)
    bound = declared.bind(cls(7, "web"))
    built = insert("t", {"id": 7, "name": "web"}).returning("id").one(tuple)
    assert values(bound) == (7, "web")
    assert steps(bound)[0].sql == steps(built)[0].sql
    assert bound._shape is declared._shape


def test_subclass_of_the_row_is_accepted():
    assert values(INSERT.bind(Better(7, "web", 3))) == (7, "web")


def test_values_by_name_fill_their_places():
    assert values(RENAME.bind(id=7, name="web")) == ("web", 7)


def test_same_parameter_may_stand_in_several_places():
    name = param("name", str)
    statement = update("t", {"name": name, "title": sql("upper(%(x)s)", x=name)}, {"id": 1})
    assert values(statement.bind(name="web")) == ("web", "web", 1)


def test_row_and_values_by_name_fill_one_statement():
    when = {"id": row(New).id, "day": param("day", date)}
    statement = update("t", {"name": row(New).name, "kind": "vpc"}, where=when)
    bound = statement.bind(New(7, "web"), day=date(2026, 2, 3))
    assert values(bound) == ("web", "vpc", 7, date(2026, 2, 3))


def test_labels_and_mappings_are_those_of_the_declaration():
    declared = INSERT.on(unique("t_key"), Taken).label("new")
    (step,) = steps(declared.bind(New(7)))
    assert step.path == "new"
    assert step.mappings == ('unique("t_key") -> Taken',)


def test_parameters_stand_wherever_a_value_does():
    x = param("x", int)
    for statement in (
        insert("t", {"id": x}),
        insert("t", {"id": sql("%(x)s + 1", x=x)}),
        update("t", {"id": x}, where={"id": 1}),
        delete("t", where={"id": x}),
        delete("t", where=[{"id": 1}, sql("n = %(x)s", x=x)]),
        select("t", ["id"], where={"id": x}).one(tuple),
        select("t", [sql("%(x)s::int AS x", x=x)], where={"id": 1}).one(tuple),
        sql("SELECT %(x)s", x=x),
        update("t", {"a": 1}, {"b": 2}).require({"c": x}),
        update("t", {"a": 1}, {"b": 2}).refuse({"c": x}),
        insert("t", {"a": 1}).ensure({"c": x}),
    ):
        assert 77 in values(statement.bind(x=77))
        with pytest.raises(InvalidBatch, match="still needs x"):
            statement.bind()


def test_list_is_compared_as_one_of_these_by_its_declaration():
    declared = delete("t", where={"id": param("ids", list[int])})
    for ids in ([], [1], [1, 2]):
        bound = declared.bind(ids=ids)
        assert values(bound) == (ids,)
        assert steps(bound)[0].sql == steps(delete("t", where={"id": [1, 2]}))[0].sql


def test_field_that_is_a_list_is_compared_as_one_of_these():
    declared = delete("t", where={"id": row(Typed).ids})
    assert steps(declared)[0].sql == 'DELETE FROM "t" WHERE "id" = ANY($1)'
    assert values(declared.bind(Typed([1, 2]))) == ([1, 2],)


def test_output_may_stand_beside_a_parameter():
    made = insert("t", {"a": 1})
    declared = update("t", {"a": made.output("a"), "b": [1]}, where={"id": param("id", int)})
    assert declared.bind(id=7)._values[1:] == ([1], 7)


def test_list_is_copied_when_it_is_bound():
    ids = [1, 2]
    bound = delete("t", where={"id": param("ids", list[int])}).bind(ids=ids)
    tags = insert("t", New).bind(New(1, ids))
    ids.append(3)
    assert values(bound) == ([1, 2],)
    assert values(tags) == (1, [1, 2])


def test_binding_of_what_is_bound_returns_it():
    bound = INSERT.bind(New(7))
    assert bound.bind() is bound
    with pytest.raises(InvalidBatch, match=r"bind\(\) takes no 'id'; it takes nothing"):
        bound.bind(id=7)


def test_output_of_a_bound_statement_is_its_own():
    first, second = (INSERT.bind(New(n)) for n in (1, 2))
    assert first.output("id").identity is not second.output("id").identity


def test_declaration_keeps_no_value():
    class Name(str):  # noqa: SLOT000  it is referred to weakly
        """A value."""

    name = Name("web")
    reference = weakref.ref(name)
    for _ in range(100):
        RENAME.bind(id=7, name=name)
        INSERT.bind(New(7, name))
    del name
    assert reference() is None


REJECTED = {
    "no row": (INSERT.bind, "bind() still needs a New"),
    "another row": (lambda: INSERT.bind(Pair(1, "a")), "bind() takes a New, not a Pair"),
    "no value": (lambda: RENAME.bind(id=7), "bind() still needs name (a str)"),
    "an unknown value": (
        lambda: RENAME.bind(id=7, label="a"),
        "bind() takes no 'label'; it takes name and id",
    ),
    "a row without need": (
        lambda: RENAME.bind(New(1)),
        "bind() takes no New; it takes name and id",
    ),
    "another type": (lambda: RENAME.bind(id="7", name="a"), "bind(): id= takes an int, not a str"),
    "a bool for an int": (lambda: RENAME.bind(id=True, name="a"), "takes an int, not a bool"),
    "None": (lambda: RENAME.bind(id=None, name="a"), "bind(): id= takes an int, not None"),
    "a list for an int": (lambda: RENAME.bind(id=[7], name="a"), "takes an int, not a list"),
    "an item of another type": (
        lambda: delete("t", {"id": param("ids", list[int])}).bind(ids=[1, "2"]),
        "ids= takes a list of int, not one that contains a str",
    ),
    "None in a list": (
        lambda: delete("t", {"id": param("ids", list[int])}).bind(ids=[None]),
        "ids= takes a list of int, not one that contains None",
    ),
    "a fragment": (lambda: INSERT.bind(New(1, sql("now()"))), "a Statement would change the SQL"),
    "an output": (
        lambda: INSERT.bind(New(1, insert("t", {"a": 1}).output("a"))),
        "an Output would change the SQL",
    ),
    "a parameter": (lambda: INSERT.bind(New(1, param("x", int))), "would change the SQL"),
    "a field that is NULL in a condition": (
        lambda: delete("t", {"name": row(New).name}).bind(New(1, None)),
        "'name' is compared by =, which NULL never matches",
    ),
    "a field that is a list in a condition": (
        lambda: delete("t", {"name": row(New).name}).bind(New(1, [1])),
        'declare it as param("name", list[…])',
    ),
    "a field that is a set in a condition": (
        lambda: delete("t", {"name": row(New).name}).bind(New(1, {1})),
        "write list(…)",
    ),
    "a field that is NULL in a later condition": (
        lambda: update("t", {"a": 1}, {"b": 2}).require({"c": row(New).name}).bind(New(1, None)),
        "'name' is compared by =",
    ),
    "two rows": (
        lambda: insert("t", {"a": row(New).id, "b": row(Pair).id}).bind(New(1)),
        "a batch takes one row, and this takes a New and a Pair",
    ),
    "two of one name": (
        lambda: insert("t", {"a": param("x", int), "b": param("x", int)}).bind(x=1),
        "two parameters are named 'x'",
    ),
    "None declared in a condition": (
        lambda: delete("t", {"a": param("x", int | None)}),
        "the parameter for 'a' may be None",
    ),
    "a parameter in a list": (
        lambda: delete("t", {"a": [param("x", int)]}),
        'for the whole list write param("a", list[…])',
    ),
    "a parameter in an exception": (
        lambda: delete("t", {"a": 1}).expect(1, missing=Taken(param("x", int))),
        "the exception holds a parameter",
    ),
    "a name that is none": (lambda: param("a b", int), "the name must be a keyword"),
    "a type that isinstance() rejects": (lambda: param("a", Any), "the type must be a class"),
    "a list of such": (lambda: param("a", list[Any]), "the type must be a class"),
    "an object that is not a class": (lambda: row([]), "row(): a row must be of an attrs class"),
    "a datetime for a date": (
        lambda: delete("t", {"a": param("a", date)}).bind(a=datetime(2026, 1, 1)),  # noqa: DTZ001
        "takes a date, not a datetime",
    ),
    "a field that may be None in a condition": (
        lambda: delete("t", {"a": row(Typed).name}),
        "the parameter for 'a' may be None",
    ),
    "no type": (lambda: param("a", 3), "the type must be a class, X | None or list[X]"),
    "a type of several": (lambda: param("a", int | str), "the type must be a class"),
    "a class that is not of a row": (lambda: row(int), "row(): a row must be of an attrs class"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_wrong_use_is_rejected_by_its_call(case):
    call, text = REJECTED[case]
    with pytest.raises(InvalidBatch) as raised:
        call()
    assert text in str(raised.value)


def test_none_is_bound_if_the_type_allows_it():
    statement = update("t", {"name": param("name", str | None)}, {"id": 1})
    assert values(statement.bind(name=None)) == (None, 1)


@pytest.mark.parametrize(
    "look",
    [
        str,
        bool,
        len,
        list,
        int,
        float,
        "{}".format,
        lambda p: p < 1,
        lambda p: p >= 1,
        lambda p: p[0],
    ],
)
def test_value_of_a_parameter_is_not_known(look):
    for parameter in (param("org", UUID), row(New).id):
        with pytest.raises(InvalidBatch, match="is not known before bind"):
            look(parameter)
        with pytest.raises(AttributeError, match="is not known before bind"):
            _ = parameter.hex


def test_field_that_does_not_exist_names_those_that_do():
    with pytest.raises(AttributeError, match="New has no field 'label'; it has id, name"):
        _ = row(New).label
    assert row(New) is row(New)


def test_copy_of_a_parameter_is_the_same_parameter():
    name = row(New).name
    assert copy.copy(name) is name
    assert copy.deepcopy([name]) == [name]
    with pytest.raises(InvalidBatch, match="pickle the row"):
        pickle.dumps(INSERT)
