# SPDX-License-Identifier: MIT
"""run_once(), run_first(), run_last() schedule a statement; optional() leaves a part out."""

from __future__ import annotations

from datetime import UTC, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from attrs import frozen
from psycopg.types.json import Json, Jsonb

from batchq import (
    Batch,
    InvalidBatch,
    Statement,
    gather,
    insert,
    optional,
    param,
    row,
    select,
    sequence,
    sql,
    steps,
    unique,
)
from batchq.engine.plan import plan

ID = param("id", int)
OTHER = param("other", int)


def read(number: object) -> Statement[Any]:
    return select("org", ["name"], where={"id": number}).for_update().one(tuple)


def numbers(batch: Batch[Any]) -> list[object]:
    """Return the first parameter of each step."""
    return [step.parameters[0] if step.parameters else None for step in steps(batch)]


def results(batch: Batch[Any]) -> Any:
    """Return the result of the batch if each statement returns its index."""
    made = plan(batch)
    return made.combine(list(range(len(made.statements))))


ONE, TWO, THREE = (sql("SELECT %(n)s::int8", n=n) for n in (1, 2, 3))


def test_run_once_runs_the_first_and_shares_its_result():
    batch = gather(ONE, read(7).run_once("org"), TWO, read(7).run_once("org"))
    assert numbers(batch) == [1, 7, 2]
    assert results(batch) == (0, 1, 2, 1)


def test_run_once_of_a_text_is_the_same_built_and_bound():
    def text(number):
        return sql("SELECT %(n)s::int8", n=number).scalar(int).run_once("n")

    bound = text(param("n", int)).bind(n=1)
    for pair in ((text(1), bound), (bound, text(1)), (bound, bound)):
        assert numbers(gather(*pair)) == [1]


def test_run_once_right_after_another_keeps_the_places_of_labels():
    batch = gather(read(7).run_once("org"), read(7).run_once("org"), ONE.label("one"))
    assert [step.path for step in steps(batch)] == ["", "one"]


def test_run_once_in_parts_is_once_in_the_whole():
    part = gather(read(7).label("lock").run_once(("org", 7)), ONE).label("part")
    batch = gather(part, read(8).run_once(("org", 8)), part)
    assert numbers(batch) == [7, 1, 8, 1]
    assert results(batch) == ((0, 1), 2, (0, 3))
    assert [step.path for step in steps(batch)] == ["part/lock", "part", "", "part"]


UNEQUAL = {
    "another value": read(8),
    "another type of value": read(True),
    "other columns": select("org", ["id"], where={"id": 7}).for_update().one(tuple),
    "another result": select("org", ["name"], where={"id": 7}).for_update().one(dict),
    "no lock": select("org", ["name"], where={"id": 7}).one(tuple),
}


@pytest.mark.parametrize("case", UNEQUAL)
def test_run_once_of_different_statements_is_rejected(case):
    other = UNEQUAL[case]
    for batch in (
        gather(read(7).run_once("x"), other.run_once("x")),
        gather(other.run_once("x").run_first(), read(7).run_once("x").run_first()),
        gather(read(7).run_once("x").run_last(), other.run_once("x")),
    ):
        with pytest.raises(InvalidBatch, match="two statements with one key are not the same SQL"):
            steps(batch)


SENT_ALIKE = {
    "ints": (7, 7, True),
    "bool and int": (True, 1, False),
    "floats": (0.0, -0.0, False),
    "NaN": (float("nan"), float("nan"), True),
    "numerics": (Decimal("1.0"), Decimal("1.00"), False),
    "times": (time(12, tzinfo=UTC), time(14, tzinfo=timezone(timedelta(hours=2))), False),
    "lists": ([1, [2]], [1, [2]], True),
    "lists of other types": ([1], [True], False),
    "documents": (Jsonb({"a": [1]}), Jsonb({"a": [1]}), True),
    "other documents": (Jsonb([1]), Jsonb([True]), False),
    "long documents": (Jsonb(["a" * 99, 1]), Jsonb(["a" * 99, 2]), False),
    "json and jsonb": (Json(1), Jsonb(1), False),
    "NULL": (None, None, True),
}


@pytest.mark.parametrize("case", SENT_ALIKE)
def test_run_once_shares_only_what_is_sent_alike(case):
    *values, is_same = SENT_ALIKE[case]
    batch = gather(*[sql("SELECT %(x)s", x=value).run_once("x") for value in values])
    if is_same:
        assert len(steps(batch)) == 1
    else:
        with pytest.raises(InvalidBatch, match="not the same SQL with the same result and values"):
            steps(batch)


def test_run_once_shares_statements_that_differ_in_their_mappings():
    mapped = read(7).on(unique("k"), KeyError).invariant("k2").label("lock")
    batch = gather(read(7).run_once("x"), mapped.run_once("x"), read(7).run_once("x").label("y"))
    assert numbers(batch) == [7]
    assert results(batch) == (0, 0, 0)


def test_run_once_by_keys_that_values_decide():
    for one, other, runs in (
        ((ID, "x"), (1, "y"), 2),
        (("k", ID, "x"), ("k", 5, "y"), 2),
        ((ID, "x"), (1, "x"), 1),
        ((ID, "x"), (OTHER, "y"), 2),
        ((ID, "x"), (OTHER, "x"), 1),
    ):
        part = next((each for each in other if each is OTHER), 1)
        batch = gather(read(ID).run_once(one), read(part).run_once(other))
        named = {"other": 1} if part is OTHER else {}
        values = {"id": 5 if other[0] is one[0] else 1, **named}
        assert len(steps(batch.bind(**values))) == runs
        if named:
            assert len(steps(batch.partial(other=1).bind(id=1))) == runs


def test_run_once_compares_by_bound_values():
    batch = gather(read(ID).run_once("x"), read(OTHER).run_once("x"))
    assert numbers(batch.bind(id=7, other=7)) == [7]
    with pytest.raises(InvalidBatch, match="not the same SQL with the same result and values"):
        steps(batch.bind(id=7, other=8))
    keyed = gather(read(ID).run_once(("x", ID)), read(OTHER).run_once(("x", OTHER)))
    assert numbers(keyed.bind(id=7, other=7)) == [7]
    assert numbers(keyed.bind(id=7, other=8)) == [7, 8]
    same = gather(read(ID).run_once("x"), read(ID).run_once("x"))
    assert numbers(same.bind(id=9)) == [9]


def test_run_once_has_a_key_of_its_own_kind():
    @frozen
    class Org:
        id: int

    with pytest.raises(InvalidBatch, match="the key is not hashable"):
        ONE.run_once(["org"])
    with pytest.raises(InvalidBatch, match="the key is not hashable"):
        ONE.run_once(("org", [1]))
    with pytest.raises(InvalidBatch, match=r"row\(…\) in it; name one field"):
        ONE.run_once(("org", row(Org)))
    with pytest.raises(InvalidBatch, match="write one flat tuple"):
        read(ID).run_once(("org", ("id", ID)))
    with pytest.raises(InvalidBatch, match="parameter 'other', which the statement does not"):
        read(ID).run_once(("org", OTHER))


def test_output_of_a_statement_that_is_shared_is_that_of_the_first():
    first, again = read(7), read(7)
    child = insert("t", {"name": again.output("name")})
    batch = gather(first.run_once("org"), gather(again.run_once("org"), child))
    assert plan(batch).outputs == {0: ("name",)}
    assert len(steps(batch)) == 2


@pytest.mark.parametrize(
    ("build", "order", "places"),
    [
        (lambda: gather(ONE, TWO.run_first(), THREE), [2, 1, 3], (1, 0, 2)),
        (lambda: gather(ONE, TWO.run_first(), THREE.run_first()), [2, 3, 1], (2, 0, 1)),
        (lambda: gather(ONE.run_last(), TWO), [2, 1], (1, 0)),
        (lambda: gather(ONE.run_last(), TWO.run_last(), THREE), [3, 1, 2], (1, 2, 0)),
        (lambda: gather(ONE.run_last(), TWO, THREE.run_first()), [3, 2, 1], (2, 1, 0)),
        (lambda: sequence([ONE, sequence([TWO.run_first()])]), [2, 1], [1, [0]]),
        (
            lambda: gather(ONE.run_once("x"), TWO, ONE.run_once("x").run_first()),
            [1, 2],
            (0, 1, 0),
        ),
        (lambda: gather(ONE.run_once("x").run_last(), TWO, ONE.run_once("x")), [2, 1], (1, 0, 1)),
        (
            lambda: gather(TWO, ONE.run_first().run_once("x"), ONE.run_once("x").run_first()),
            [1, 2],
            (1, 0, 0),
        ),
    ],
)
def test_results_stay_in_their_places(build, order, places):
    batch = build()
    assert numbers(batch) == order
    assert results(batch) == places
    around = gather(THREE.label("around"), batch.label("in")).map(list)
    assert [step.path for step in steps(around)].count("around") == 1
    assert len(steps(around)) == len(order) + 1
    assert steps(around)[results(around)[0]].path == "around"


def test_each_row_runs_between_the_first_and_the_last():
    @frozen
    class Item:
        id: int

    batch = gather(
        ONE.run_last(), insert("item", Item).each([Item(8), Item(9)]), TWO.run_first().label("two")
    )
    assert numbers(batch) == [2, 8, 9, 1]
    assert [step.path for step in steps(batch)] == ["two", "", "", ""]
    assert [step.declared.row_index for step in plan(batch).placed] == [None, 0, 1, None]


def test_run_first_and_last_are_refused_together():
    with pytest.raises(InvalidBatch, match=r"run_last\(\): a statement runs first or last"):
        ONE.run_first().run_last()
    with pytest.raises(InvalidBatch, match=r"run_first\(\): a statement runs first or last"):
        ONE.run_last().run_first()


def test_output_is_not_used_before_its_statement_runs():
    made = insert("org", {"id": 1}).returning("id").one(tuple)
    child = insert("t", {"org": made.output("id")})
    for batch in (gather(made.run_last(), child), gather(made, child.run_first())):
        with pytest.raises(InvalidBatch, match=r"put that statement first, or say run_first\(\)"):
            steps(batch)
    for batch in (
        gather(made.run_first(), child),
        gather(made, child.run_last()),
        gather(child, made.run_first()),
        gather(child.run_last(), gather(made)),
    ):
        assert [step.statement.title for step in steps(batch)] == ["insert org", "insert t"]


def test_scheduled_statement_is_mapped_and_labelled_like_others():
    batch = gather(ONE, TWO.run_first().on(unique("k"), KeyError).label("two"))
    (first, _) = steps(batch)
    assert (first.path, first.mappings) == ("two", ('unique("k") -> KeyError',))


def test_optional_part_keeps_its_place():
    assert optional(ONE) is ONE
    assert results(gather(ONE, optional(None), TWO)) == (0, None, 1)
    assert results(gather(ONE, optional(THREE), TWO)) == (0, 1, 2)
    declared = optional(read(ID))
    assert numbers(gather(declared, optional(None)).bind(id=7)) == [7]
    with pytest.raises(InvalidBatch, match=r"optional\(\): pass a batch or None, not an int"):
        optional(1)  # type: ignore[arg-type]
