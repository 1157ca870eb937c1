# SPDX-License-Identifier: MIT
"""A declared statement is repeated for each of many rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from attrs import define, field, frozen

from batchq import (
    Batch,
    InvalidBatch,
    delete,
    gather,
    insert,
    param,
    row,
    sequence,
    sql,
    steps,
    unique,
    update,
)
from batchq.engine.plan import plan


@frozen
class New:
    """A row to insert."""

    id: int
    name: Any = "default"


@frozen
class Better(New):
    """A subclass, with a field that the statement does not know."""

    more: int = 0


class Pair(NamedTuple):
    """A row of another class."""

    id: int
    name: str


INSERT = insert("t", New).returning("id").one(tuple)
ROWS = [New(1, "a"), New(2), Better(3, "c", 1)]


def values(batch: Any) -> list[tuple[object, ...]]:
    return [step.parameters for step in steps(batch)]


def test_each_row_is_a_statement_of_its_own():
    batch = INSERT.each(ROWS)
    assert values(batch) == [(1, "a"), (2, "default"), (3, "c")]
    assert [step.sql for step in steps(batch)] == [steps(INSERT.bind(ROWS[0]))[0].sql] * 3
    assert repr(batch) == "<Each of 3 statements>"


def test_constants_stand_in_each_statement():
    wheres = {"id": row(New).id, "kind": "vpc"}
    renaming = update("t", {"name": row(New).name, "n": 7}, where=wheres)
    assert values(renaming.each(ROWS[:2])) == [("a", 7, 1, "vpc"), ("default", 7, 2, "vpc")]


def test_statement_that_takes_a_class_is_repeated():
    renaming = update("t", {"name": param("name", str)}, {"id": param("id", int)}).takes(Pair)
    assert values(renaming.each([Pair(1, "a"), Pair(2, "b")])) == [("a", 1), ("b", 2)]


def test_results_are_a_list_if_there_are_any():
    with_result, without = INSERT.each(ROWS), insert("t", New).each(ROWS)
    assert plan(with_result).combine(["x", "y", "z"]) == ["x", "y", "z"]
    assert plan(without).combine([None] * 3) is None


def test_no_rows_run_nothing():
    for batch, result in ((INSERT.each([]), []), (insert("t", New).each(()), None)):
        assert steps(batch) == ()
        assert plan(batch).combine([]) == result
    around = gather(sql("SELECT 1").scalar(int), INSERT.each([]), INSERT.each(ROWS[:1]))
    assert plan(around).combine([1, "x"]) == (1, [], ["x"])


def test_generator_is_read_once_and_at_once():
    read = []

    def rows():
        for new in ROWS:
            read.append(new)
            yield new

    batch = INSERT.each(rows())
    assert read == ROWS
    assert values(batch) == values(batch) == [(1, "a"), (2, "default"), (3, "c")]


def test_rows_are_read_at_once():
    @define
    class Draft:
        id: int
        tags: list[str]

    draft = Draft(1, ["a"])
    batch = insert("t", Draft).each([draft, Draft(3, [])])
    draft.id = 2
    draft.tags.append("b")
    assert values(batch) == [(1, ["a"]), (3, [])]


def test_list_in_a_list_is_read_at_once():
    @define
    class Matrix:
        cells: list[list[int]]

    matrix = Matrix([[1], [2]])
    batch = insert("t", Matrix).each([matrix])
    matrix.cells[0][0] = 3
    assert values(batch) == [([[1], [2]],)]


def test_list_that_contains_itself_names_its_row():
    @define
    class Loop:
        items: list[object]

    loop = Loop([])
    loop.items.append(loop.items)
    with pytest.raises(InvalidBatch, match=r"each\(\): row 1: a list contains itself"):
        insert("t", Loop).each([Loop([1]), loop])


def test_labels_and_mappings_are_those_of_the_declaration_and_around():
    named = INSERT.on(unique("t_key"), KeyError).label("one")
    for step in steps(gather(named.each(ROWS).label("all")).label("batch")):
        assert step.path == "batch/all/one"
        assert step.mappings == ('unique("t_key") -> KeyError',)


def test_output_before_it_is_used_by_each_statement():
    made = insert("made", {"k": 1}).returning("id").one(tuple)
    child = insert("t", {"parent": made.output("id"), "name": row(New).name})
    batch = gather(made, child.each(ROWS))
    assert [step.parameters[1] for step in steps(batch)[1:]] == ["a", "default", "c"]
    with pytest.raises(InvalidBatch, match="that statement is not in the batch"):
        steps(child.each(ROWS))
    with pytest.raises(InvalidBatch, match="used before its statement"):
        gather(child.each(ROWS), made)
    assert steps(child.each([])) == ()


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], []], ids=len)
def test_output_of_the_declared_statement_is_that_of_no_row(rows):
    later = delete("t", {"id": INSERT.output("id")})
    with pytest.raises(InvalidBatch, match="that statement is not in the batch"):
        steps(gather(INSERT.each(rows), later))
    # Once the statement stands by itself, it is the one.
    whole = gather(INSERT, INSERT.each(rows), later)
    assert plan(whole).outputs == {0: ("id",)}


def test_each_is_bound_already():
    batch = INSERT.each(ROWS)
    assert batch.bind() is batch
    whole = gather(batch, delete("t", {"id": param("id", int)})).partial(id=param("x", int))
    assert values(whole.bind(x=7)) == [(1, "a"), (2, "default"), (3, "c"), (7,)]


def test_each_is_the_sequence_of_what_is_bound():
    built = steps(sequence(map(INSERT.bind, ROWS)))
    for step, other in zip(steps(INSERT.each(ROWS)), built, strict=True):
        assert (step.sql, step.parameters) == (other.sql, other.parameters)
        assert step.statement._shape is other.statement._shape


REJECTED = {
    "a row of another class": (
        lambda: INSERT.each([*ROWS, Pair(1, "a")]),
        "each(): row 3 is a Pair, not a New",
    ),
    "no row": (lambda: INSERT.each([New(1), None]), "each(): row 1 is a NoneType, not a New"),
    "a set": (lambda: INSERT.each({New(1)}), "each(): pass a list"),
    "one row": (lambda: INSERT.each(New(1)), "each(): pass a list"),
    "a fragment in a row": (
        lambda: INSERT.each([New(1), New(2, sql("now()"))]),
        "each(): row 1: a Statement would change the SQL",
    ),
    "None in a condition": (
        lambda: delete("t", {"name": row(New).name}).each([New(1), New(2, None)]),
        "each(): row 1: 'name' is compared by =, which NULL never matches",
    ),
    "a list in a condition": (
        lambda: delete("t", {"name": row(New).name}).each([New(1, [1])]),
        "each(): row 0: 'name' is compared by =, and is a list",
    ),
    "values by name": (
        lambda: delete("t", {"a": param("a", int)}).each([]),
        "this statement takes a; say .takes(Class), or bind each by itself: sequence(map(…, rows))",
    ),
    "a row and a value by name": (
        lambda: update("t", {"a": param("a", int)}, {"id": row(New).id}).each(ROWS),
        "this statement takes a New and a; say",
    ),
    "nothing open": (lambda: sql("SELECT 1").each([]), "this statement takes nothing"),
    "two rows' classes": (
        lambda: insert("t", {"a": row(New).id, "b": row(Pair).id}).each(ROWS),
        "each(): a batch takes one row, and this takes a New and a Pair",
    ),
}


@pytest.mark.parametrize("case", REJECTED)
def test_wrong_use_is_rejected_by_its_call(case):
    call, text = REJECTED[case]
    with pytest.raises(InvalidBatch) as raised:
        call()
    assert text in str(raised.value)


def test_batch_of_several_statements_is_not_repeated():
    assert not hasattr(Batch, "each")


@define
class Draft:
    """A row with a field that its constructor does not set."""

    id: int
    name: str = field(init=False)


class Later(Draft):
    """A row of a subclass."""


UNSET = insert("t", Draft)
KEYED = delete("t", where={"name": row(Draft).name})
NAMED = update("t", {"name": row(Draft).name, "kind": param("kind", str)}, where={"id": 1})
UNREADABLE = {
    "each": (
        lambda: UNSET.each([set_row(), Draft(2)]),
        "each(): row 1: the field 'name' of a Draft",
    ),
    "each, of a condition": (lambda: KEYED.each([Draft(1)]), "each(): row 0: the field 'name'"),
    "each, of a subclass": (
        lambda: UNSET.each([Later(1)]),
        "each(): row 0: the field 'name' of a Later",
    ),
    "bind": (lambda: UNSET.bind(Draft(1)), "bind(): the field 'name' of a Draft"),
    "bind, of a subclass": (lambda: UNSET.bind(Later(1)), "bind(): the field 'name' of a Later"),
    "bind, with values by name": (
        lambda: NAMED.bind(Draft(1), kind="a"),
        "bind(): the field 'name'",
    ),
    "insert, built": (lambda: insert("t", Draft(1)), "insert(): the field 'name' of a Draft"),
    "update, built": (
        lambda: update("t", Draft(1), where={"id": 1}),
        "update(set=): the field 'name' of a Draft",
    ),
    "bind of a batch": (lambda: gather(UNSET, KEYED).bind(Draft(1)), "bind(): the field 'name'"),
}


def set_row() -> Draft:
    made = Draft(1)
    made.name = "a"
    return made


@pytest.mark.parametrize("case", UNREADABLE)
def test_field_that_is_not_set_is_named(case):
    call, text = UNREADABLE[case]
    with pytest.raises(InvalidBatch) as caught:
        call()
    assert str(caught.value).startswith(text)
    assert str(caught.value).endswith(" cannot be read; set it first")
    assert isinstance(caught.value.__cause__, AttributeError)


def test_field_that_is_set_later_is_read():
    assert values(UNSET.each([set_row()])) == [(1, "a")]


TAKEN = insert("t", {"id": param("id", int)}).takes(New)


def test_type_given_by_param_is_checked_in_each_row():
    assert values(TAKEN.each([New(1), New(2)])) == [(1,), (2,)]
    with pytest.raises(InvalidBatch, match=r"each\(\): row 1: id= takes an int, not a str"):
        TAKEN.each([New(1), New("2")])  # type: ignore[arg-type]
