# SPDX-License-Identifier: MIT
"""A whole batch is declared once, and bound for each call."""

from __future__ import annotations

import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from attrs import frozen

from batchq import (
    InvalidBatch,
    delete,
    explain,
    gather,
    insert,
    into,
    param,
    row,
    sequence,
    sql,
    steps,
    unique,
    update,
)
from batchq.engine.plan import plan

DEEP = 5_000


class New(NamedTuple):
    """A row to insert."""

    id: int
    name: object = "default"


@frozen
class Other:
    """A row of another class."""

    id: int


X, Y = param("x", int), param("y", int)
INSERT = insert("t", New).returning("id").one(tuple)
REMOVE = delete("t", where={"id": X}).count()
ONE = sql("SELECT 1").scalar(int)
WHOLE = gather(INSERT, REMOVE, update("t", {"name": row(New).name}, {"id": X}))


def values(batch: Any) -> list[tuple[object, ...]]:
    return [step.parameters for step in steps(batch)]


# -- names -----------------------------------------------------------------------------------------


def test_row_and_values_by_name_fill_the_whole():
    assert values(WHOLE.bind(New(7, "web"), x=3)) == [(7, "web"), (3,), ("web", 3)]


def test_value_of_a_name_and_a_field_of_that_name_are_two():
    both = gather(INSERT, delete("t", {"id": param("id", int)}))
    assert values(both.bind(New(7), id=3)) == [(7, "default"), (3,)]


REJECTED = {
    "no row": (lambda: WHOLE.bind(x=1), "bind() still needs a New"),
    "no value": (lambda: WHOLE.bind(New(1)), "bind() still needs x (an int)"),
    "neither": (WHOLE.bind, "bind() still needs a New"),
    "another row": (lambda: WHOLE.bind(Other(1), x=1), "bind() takes a New, not an Other"),
    "an unknown name": (
        lambda: WHOLE.bind(New(1), x=1, z=2),
        "bind() takes no 'z'; it takes a New and x",
    ),
    "a field by name": (
        lambda: WHOLE.bind(New(1), x=1, id=2),
        "bind(): 'id' is given twice: the New has it",
    ),
    "another type": (lambda: WHOLE.bind(New(1), x="1"), "bind(): x= takes an int, not a str"),
    "a list for one": (lambda: WHOLE.bind(New(1), x=[1]), "x= takes an int, not a list"),
    "a row without need": (lambda: gather(REMOVE).bind(New(1), x=1), "bind() takes no New"),
    "a fragment in a row": (
        lambda: WHOLE.bind(New(1, sql("now()")), x=1),
        "a Statement would change the SQL; write it where the statement is declared",
    ),
    "None in a condition": (
        lambda: gather(delete("t", {"a": row(New).name})).bind(New(1, None)),
        "'name' is compared by =",
    ),
    "two rows' classes": (
        lambda: gather(INSERT, insert("t", Other)).bind(New(1)),
        "a batch takes one row, and this takes a New and an Other; say by .partial()",
    ),
    "two of one name": (
        lambda: gather(REMOVE, delete("t", {"a": param("x", int)})).bind(x=1),
        "two parameters are named 'x'; use one param() object for both",
    ),
    "what is bound": (lambda: gather(REMOVE).bind(x=1).bind(x=1), "takes no 'x'; it takes nothing"),
    "what is bound, with a row": (
        lambda: WHOLE.bind(New(1), x=1).bind(New(1)),
        "bind() takes no New; it takes nothing",
    ),
    "pickling": (lambda: pickle.dumps(WHOLE.bind(New(1), x=1)), "pickle the row"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_wrong_use_is_rejected_by_its_call(case):
    call, text = REJECTED[case]
    with pytest.raises(InvalidBatch) as raised:
        call()
    assert text in str(raised.value)


def test_row_of_another_class_of_the_same_name_is_rejected():
    class Namesake(NamedTuple):
        id: int

    Namesake.__name__ = "New"
    with pytest.raises(InvalidBatch, match=r"takes a New, not a tests\.\S+\.Namesake"):
        WHOLE.bind(Namesake(1), x=1)


def test_binding_of_what_is_bound_returns_it():
    bound = WHOLE.bind(New(7), x=3)
    built = gather(sql("SELECT 1"))
    assert bound.bind() is bound
    assert built.bind() is built


# -- composition -----------------------------------------------------------------------------------


def test_all_around_a_declaration_is_kept_when_it_is_bound():
    inner = into(dict, REMOVE, made=INSERT).map(lambda made: made["made"])
    whole = gather(
        inner.on(unique("k"), KeyError).label("a"),
        sequence([REMOVE, ONE]).as_invariant("cleaning up"),
    ).label("b")
    bound = whole.bind(New(7), x=3)
    built = steps(
        gather(
            into(dict, REMOVE.bind(x=3), made=INSERT.bind(New(7)))
            .on(unique("k"), KeyError)
            .label("a"),
            sequence([REMOVE.bind(x=3), ONE]).as_invariant("cleaning up"),
        ).label("b")
    )
    for mine, others in zip(steps(bound), built, strict=True):
        assert (mine.path, mine.mappings, mine.parameters, mine.sql) == (
            others.path,
            others.mappings,
            others.parameters,
            others.sql,
        )
    assert plan(bound).combine([1, (7,), 2, 3]) == ((7,), [2, 3])


def test_bound_batch_inside_another_keeps_its_values():
    part = gather(REMOVE).bind(x=3)
    whole = gather(part, REMOVE, part.label("again"))
    for batch in (whole.bind(x=4), whole.partial(x=Y).bind(y=4), whole.takes(Only).bind(Only(4))):
        assert values(batch) == [(3,), (4,), (3,)]
    assert [step.path for step in steps(whole.bind(x=4))] == ["", "", "again"]


def test_statements_of_a_bound_batch_inside_another_stay_as_declared():
    rows = insert("t", New).each([New(1, "a"), New(2, "b")])
    part = gather(REMOVE, rows, gather(REMOVE).bind(x=5), REMOVE.run_once(("k", X)))
    whole = plan(gather(ONE, part.bind(x=3), REMOVE.bind(x=4).label("c")))
    assert whole.values == [3, 1, "a", 2, "b", 5, 3, 4]
    assert [place for place, own in enumerate(whole.statements) if own is REMOVE] == [1, 4, 5]


class Only(NamedTuple):
    """A row of one field."""

    x: int


def test_bound_batch_is_wrapped_as_any_other():
    bound = WHOLE.bind(New(7), x=3)
    wrapped = gather(bound.map(len).label("a")).as_invariant("b")
    assert values(wrapped) == values(bound)
    assert plan(wrapped).combine([1, 2, None]) == (3,)


def test_output_of_a_declared_statement_is_used_inside_its_composition():
    child = insert("u", {"t": INSERT.output("id"), "n": X})
    whole = gather(INSERT, child)
    first, second = whole.bind(New(1), x=1), whole.bind(New(2), x=2)
    twice = plan(gather(first, second))
    assert twice.outputs == {0: ("id",), 2: ("id",)}
    for batch in (first, whole.partial(x=1).bind(New(1)), whole.partial(id=1, x=1).bind()):
        assert plan(batch).outputs == {0: ("id",)}


def test_output_of_what_is_bound_apart_is_that_of_its_statement():
    first, second = INSERT.bind(New(1)), INSERT.bind(New(2))
    child = gather(update("t", {"a": X}, {"id": second.output("id")}))
    batch = gather(first, second, child.bind(x=3))
    assert plan(batch).outputs == {1: ("id",)}
    with pytest.raises(InvalidBatch, match="that statement is not in the batch"):
        steps(gather(first, child.bind(x=3)))


def test_nesting_has_no_limit():
    inside, wrapped, bound = REMOVE, gather(REMOVE), gather(REMOVE).bind(x=0)
    for n in range(1, DEEP):
        inside = gather(inside)
        wrapped = wrapped.label("a").map(list)
        bound = gather(bound, REMOVE).bind(x=n)
    for deep in (inside, wrapped):
        assert values(deep.bind(x=7)) == [(7,)]
        assert values(deep.partial(x=Y).takes(Pair).bind(Pair(y=7))) == [(7,)]
        assert repr(deep.bind(x=7)) == "<Bound of 1 statement>"
    assert [value for (value,) in values(bound)] == list(range(DEEP))
    assert repr(bound) == f"<Bound of {DEEP} statements>"


class Pair(NamedTuple):
    """A row of one field."""

    y: int


# -- values ----------------------------------------------------------------------------------------


def test_values_are_shown_only_when_asked_for():
    bound = WHOLE.bind(New(7, "secret"), x=4321)
    assert repr(bound) == "<Bound of 3 statements>"
    for shown in (repr(bound), explain(bound), repr(steps(bound)), repr(WHOLE)):
        assert "secret" not in shown
        assert "4321" not in shown
    assert "'secret'" in explain(bound, parameters=True)


def test_declaration_keeps_no_row():
    class Name(str):  # noqa: SLOT000  it is referred to weakly
        """A value."""

    name = Name("web")
    reference = weakref.ref(name)
    for n in range(1_000):
        plan(WHOLE.bind(New(n, name), x=n)).values  # noqa: B018
        plan(INSERT.each([New(n, name)])).values  # noqa: B018
    del name
    gc.collect()
    assert reference() is None


def test_list_is_copied_when_it_is_bound():
    tags = ["a"]
    bound = WHOLE.bind(New(1, tags), x=1)
    tags.append("b")
    assert values(bound)[0] == (1, ["a"])


def test_threads_share_a_declaration():
    whole = gather(INSERT, REMOVE.label("a"), sequence([REMOVE] * 3))

    def bind(n: int) -> list[tuple[object, ...]]:
        return values(whole.partial(x=n).bind(New(n)) if n % 2 else whole.bind(New(n), x=n))

    with ThreadPoolExecutor(8) as threads:
        for n, found in enumerate(threads.map(bind, range(400))):
            assert found == [(n, "default"), *[(n,)] * 4]
