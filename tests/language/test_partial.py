# SPDX-License-Identifier: MIT
"""Some parameters of a declaration are set: to constants, other parameters, fragments, outputs."""

from __future__ import annotations

from typing import NamedTuple

import attrs
import pytest
from attrs import field, frozen

from batchq import (
    InvalidBatch,
    delete,
    gather,
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
    name: str = "default"
    tags: list[str] | None = None


class Other(NamedTuple):
    """A row of another class."""

    key: int
    title: str


X, Y = param("x", int), param("y", int)
IDS = param("ids", list[int])
INSERT = insert("t", New)
RENAME = update("t", {"name": param("name", str)}, where={"id": param("id", int)})
MADE = insert("made", {"k": 1}).returning("id").one(tuple)


def values(batch):
    return [step.parameters for step in steps(batch)]


def texts(batch):
    return [step.sql for step in steps(batch)]


# -- to a constant or another parameter ------------------------------------------------------------


def test_constant_is_a_value_of_each_bound_statement():
    named = RENAME.partial(name="web")
    assert values(named.bind(id=7)) == [("web", 7)]
    assert named._shape is RENAME._shape
    with pytest.raises(InvalidBatch, match=r"bind\(\) takes no 'name'; it takes id"):
        named.bind(id=7, name="api")


def test_parameter_is_renamed_everywhere():
    both = gather(update("t", {"a": X}, {"b": X}), delete("t", {"c": X})).partial(x=Y)
    assert values(both.bind(y=7)) == [(7, 7), (7,)]


def test_parameter_is_set_to_a_field_of_a_row():
    renaming = RENAME.partial(id=row(Other).key, name=row(Other).title)
    assert values(renaming.bind(Other(7, "web"))) == [("web", 7)]


def test_two_parameters_may_become_one():
    same = update("t", {"a": X}, {"b": Y}).partial(x=Y)
    assert values(same.bind(y=7)) == [(7, 7)]


def test_parameter_may_be_set_to_one_that_contains_it():
    raised = update("t", {"a": X}, {"b": 1}).partial(x=sql("%(x)s + 1", x=X))
    assert texts(raised) == ['UPDATE "t" SET "a" = ($1 + 1) WHERE "b" = $2']
    assert values(raised.bind(x=7)) == [(7, 1)]


def test_partial_of_a_partial_sets_what_is_left():
    first = RENAME.partial(name=param("title", str))
    assert values(first.partial(title="web").partial(id=7).bind()) == [("web", 7)]


def test_partial_of_nothing_is_the_same_declaration():
    assert values(RENAME.partial().bind(id=7, name="web")) == [("web", 7)]


def test_labels_and_mappings_are_those_of_the_declaration():
    (step,) = steps(INSERT.on(unique("t_key"), KeyError).label("new").partial(id=1, tags=None))
    assert step.path == "new"
    assert step.mappings == ('unique("t_key") -> KeyError',)


def test_list_is_copied_when_it_is_set():
    ids, tags = [1, 2], ["a"]
    found = delete("t", {"id": IDS}).partial(ids=ids)
    made = gather(INSERT).partial(id=1, tags=tags)
    ids.append(3)
    tags.append("b")
    assert values(found.bind()) == [([1, 2],)]
    assert values(made.bind()) == [(1, "default", ["a"])]


# -- of a row: defaults ----------------------------------------------------------------------------


def test_field_without_a_default_becomes_a_parameter_of_its_name():
    named = INSERT.partial(name="web")
    assert values(named.bind(id=7)) == [(7, "web", None)]
    with pytest.raises(InvalidBatch, match=r"bind\(\): id= takes an int, not a str"):
        named.bind(id="7")


def test_row_is_not_taken_once_a_field_of_it_is_set():
    with pytest.raises(InvalidBatch, match=r"bind\(\) takes no New; it takes id"):
        INSERT.partial(name="web").bind(New(7))


def test_default_cannot_be_given_or_set_afterwards():
    named = INSERT.partial(id=7)
    for call in (named.bind, named.partial):
        with pytest.raises(InvalidBatch, match="takes no 'name'; it takes nothing"):
            call(name="web")


def test_whole_batch_shares_the_fields_of_its_row():
    whole = gather(INSERT, delete("t", {"name": row(New).name}), sql("SELECT 1")).partial(id=7)
    assert values(whole.bind()) == [(7, "default", None), ("default",), ()]


# -- to an output or a fragment --------------------------------------------------------------------

FRAGMENT = sql("%(y)s * 2", y=Y)
PLACES = {
    "a row": insert("t", {"a": X, "b": 1}),
    "set=": update("t", {"a": X}, where={"b": 1}),
    "where=": delete("t", where={"a": X, "b": 1}),
    "where= of an update": update("t", {"a": 1}, where={"b": X}),
    "where= in a list": select("t", where=[{"a": X}, sql("true")]).count(),
    "require()": update("t", {"a": 1}, {"b": 2}).require({"c": X}),
    "refuse()": update("t", {"a": 1}, {"b": 2}).refuse([{"c": X}]),
    "ensure()": insert("t", {"a": 1}).ensure({"c": X}),
}
BUILT = {
    "a row": lambda x: insert("t", {"a": x, "b": 1}),
    "set=": lambda x: update("t", {"a": x}, where={"b": 1}),
    "where=": lambda x: delete("t", where={"a": x, "b": 1}),
    "where= of an update": lambda x: update("t", {"a": 1}, where={"b": x}),
    "where= in a list": lambda x: select("t", where=[{"a": x}, sql("true")]).count(),
    "require()": lambda x: update("t", {"a": 1}, {"b": 2}).require({"c": x}),
    "refuse()": lambda x: update("t", {"a": 1}, {"b": 2}).refuse([{"c": x}]),
    "ensure()": lambda x: insert("t", {"a": 1}).ensure({"c": x}),
}


@pytest.mark.parametrize("place", PLACES)
def test_fragment_and_output_stand_as_if_built(place):
    for value in (FRAGMENT, MADE.output("id"), MADE.output("id", "bigint"), 7, Y):
        partial, built = PLACES[place].partial(x=value), BUILT[place](value)
        assert texts(gather(MADE, partial)) == texts(gather(MADE, built))
        whole = gather(MADE, partial)
        bound = whole if not isinstance(value, type(FRAGMENT) | type(Y)) else whole.bind(y=7)
        expected = gather(MADE, built)
        assert values(bound) == values(expected.bind(y=7) if bound is not whole else expected)


INSIDE_SQL = {
    "a statement": sql("SELECT %(x)s::int8, %(z)s::int8", x=X, z=1),
    "one beside an output": sql(
        "SELECT %(o)s, %(x)s::int8", o=MADE.output("id", "bigint"), x=X
    ).one(tuple),
    "a fragment": update("t", {"a": sql("%(x)s + 1", x=X)}, {"b": 1}),
    "a fragment in a condition": delete("t", [sql("a = %(x)s", x=X)]),
    "a column of a select": select("t", [sql("%(x)s::int8 AS x", x=X)], where={"b": 1}).one(tuple),
}


@pytest.mark.parametrize("place", INSIDE_SQL)
def test_inside_sql_only_values_fit(place):
    statement = INSIDE_SQL[place]
    assert 77 in steps(gather(MADE, statement.partial(x=77)))[1].parameters
    for value in (FRAGMENT, MADE.output("id"), MADE.output("id", "bigint")):
        with pytest.raises(InvalidBatch, match=r"cannot stand for 'x' inside sql\(\)"):
            statement.partial(x=value)


@pytest.mark.parametrize("value", [FRAGMENT, MADE.output("id")], ids=["fragment", "output"])
def test_what_changes_the_sql_is_set_before_composition(value):
    with pytest.raises(InvalidBatch, match="changes the SQL of one statement; set it there"):
        gather(MADE, RENAME).partial(id=value)


def test_output_of_another_statement_is_required_by_the_composition():
    child = insert("t", {"parent": X}).partial(x=MADE.output("id"))
    assert len(steps(gather(MADE, child))) == 2
    with pytest.raises(InvalidBatch, match="is used, but that statement is not in the batch"):
        steps(child)
    with pytest.raises(InvalidBatch, match="used before its statement"):
        gather(child, MADE)


# -- what does not fit -----------------------------------------------------------------------------

COMPARED = delete("t", {"id": X})
CHOSEN = delete("t", {"id": IDS})
REJECTED = {
    "an unknown name": (
        lambda: RENAME.partial(label="a"),
        "takes no 'label'; it takes name and id",
    ),
    "another type": (lambda: RENAME.partial(id="7"), "partial(): id= takes an int, not a str"),
    "another type for a field": (lambda: INSERT.partial(id="7"), "id= takes an int, not a str"),
    "a whole row": (lambda: INSERT.partial(name=row(New)), "name one field of it"),
    "a batch": (lambda: RENAME.partial(id=gather()), "cannot be used as a value"),
    "a statement with a result": (
        lambda: RENAME.partial(id=sql("SELECT 1").scalar(int)),
        "cannot have a result",
    ),
    "None in a condition": (lambda: COMPARED.partial(x=None), "x= takes an int, not None"),
    "None of a field in a condition": (
        lambda: delete("t", {"a": row(Untyped).a}).partial(a=None),
        "'a' is compared by =, which NULL never matches",
    ),
    "a list of a field in a condition": (
        lambda: delete("t", {"a": row(Untyped).a}).partial(a=[1]),
        "'a' is compared by =, and is a list",
    ),
    "a parameter that may be None in a condition": (
        lambda: COMPARED.partial(x=param("z", int | None)),
        "partial(): the parameter for 'x' may be None",
    ),
    "a list in the place of one": (
        lambda: COMPARED.partial(x=IDS),
        "'x' is compared with one value, and 'ids' is not of that type",
    ),
    "one in the place of a list": (
        lambda: CHOSEN.partial(ids=X),
        "'ids' is compared with one of a list, and 'x' is not of that type",
    ),
    "a fragment in the place of a list": (
        lambda: CHOSEN.partial(ids=sql("'{1}'::int[]")),
        "'ids' is compared with one of a list, and would be compared by =",
    ),
    "an output in the place of a list": (
        lambda: CHOSEN.partial(ids=MADE.output("id")),
        "'ids' is compared with one of a list, and would be compared by =",
    ),
    "a list that contains itself": (lambda: INSERT.partial(tags=ENDLESS), "contains"),
    "two parameters of one name": (
        lambda: gather(RENAME, COMPARED).partial(x=param("name", int)),
        "two parameters are named 'name'; use one param() object for both",
    ),
    "a field that stays open beside a parameter of its name": (
        lambda: INSERT.partial(name=param("id", str)),
        "two parameters are named 'id'",
    ),
    "rows of two classes": (
        lambda: gather(INSERT, COMPARED).partial(x=row(Other).key),
        "a batch takes one row, and this takes a New and an Other",
    ),
    "a name of a parameter and of a field": (
        lambda: gather(INSERT, RENAME).partial(id=1),
        "'id' is a parameter and a field of the row",
    ),
}
ENDLESS: list[object] = []
ENDLESS.append(ENDLESS)


@frozen
class Untyped:
    """A row whose annotations say nothing."""

    a: object = field(default=attrs.Factory(int))


@pytest.mark.parametrize("case", REJECTED)
def test_wrong_use_is_rejected_by_its_call(case):
    call, text = REJECTED[case]
    with pytest.raises(InvalidBatch) as raised:
        call()
    assert text in str(raised.value)
