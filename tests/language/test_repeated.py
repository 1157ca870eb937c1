# SPDX-License-Identifier: MIT
"""Conditions that a statement evaluates twice, and that may find another row the second time."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from itertools import permutations
from typing import Any

import attrs
import pytest

from batchq import InvalidBatch, delete, old, param, select, source, sql, steps, update

TAKEN = "id = (SELECT id FROM job ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)"
FROM: Any = {"from_": "worker", "on": {"id": "job"}}
USING: Any = {"using": "worker", "on": {"id": "job"}}


def taking(where: Any = None, **more: Any):
    return update("job", {"n": 1}, sql(TAKEN) if where is None else where, **more)


def calling(method: str, *arguments: Any, **named: Any) -> Callable[[Any], Any]:
    """Return a step: a call of a method of the statement."""
    return lambda statement: getattr(statement, method)(*arguments, **named)


RETURNING = calling("returning", "n")
START = Callable[[Any], Any]
TWICE: dict[str, tuple[START, list[Callable[[Any], Any]]]] = {
    "change()": (taking, [RETURNING, calling("change", tuple)]),
    "old('n')": (taking, [calling("returning", "n", old("n")), calling("maybe", tuple)]),
    "old('m')": (taking, [RETURNING, calling("one", tuple), calling("output", old("m"))]),
    "require()": (taking, [calling("require", {"n": 1})]),
    "refuse()": (lambda where: delete("job", where), [calling("refuse", {"n": 1})]),
    "require() ": (
        lambda where: select("job", ["n"], where=where).for_update(),
        [calling("require", {"n": 1})],
    ),
    "unless()": (taking, [calling("unless", {"n": 1})]),
    "unless() ": (
        lambda where: taking(where).unless({"n": 1}),
        [RETURNING, calling("updated", tuple)],
    ),
    "from_=": (lambda where: taking(where, **FROM), []),
    "using=": (lambda where: delete("job", where, **USING), []),
}
"""What evaluates the conditions twice: the start of a statement, and the calls on it."""
VARIES = {
    TAKEN: "LIMIT",
    "id IN (SELECT id FROM job ORDER BY id OFFSET 3)": "OFFSET",
    "id = (SELECT id FROM job FETCH FIRST ROW ONLY)": "FETCH",
    "id IN (SELECT id FROM job TABLESAMPLE system (1))": "TABLESAMPLE",
    "id IN (SELECT id FROM job FOR /* its */ UPDATE SKIP LOCKED)": "FOR UPDATE",
    "id IN (SELECT id FROM job for share nowait)": "FOR SHARE",
    "id IN (SELECT id FROM job FOR NO KEY UPDATE)": "FOR NO",
    "id IN (SELECT id FROM job FOR KEY SHARE)": "FOR KEY",
    "Random () < 0.5": "random()",
    "id = nextval('s')": "nextval()",
    "id = (array_sample(ARRAY[1, 2], 1))[1]": "array_sample()",
    "at < clock_timestamp()": "clock_timestamp()",
    'id < "random"()': "random()",
    'id < pg_catalog."random" /* it */ ()': "random()",
    "id < pg_catalog . RANDOM()": "random()",
    "id < \"pg_catalog\".setval('s', 1)": "setval()",
    r'id < U&"r\0061ndom"()': r'U&"r\0061ndom"',
    """id < U&"r!0061ndom" UESCAPE '!' ()""": 'U&"r!0061ndom"',
}
LASTS = (
    "id = (SELECT max(id) FROM job WHERE state = 'FOR UPDATE') -- LIMIT 1",
    'name = substring(other FOR 3) AND job.limit > 2 AND "limit" < 3 AND name <> $$random()$$',
    "random = 1 AND at < now() AND at < CURRENT_TIMESTAMP",
    """ "random" = 1 AND id = "Random"() AND "clock_timestamp"[1] = 2 AND name = 'random()' """,
)


@pytest.mark.parametrize("call", TWICE)
def test_conditions_that_vary_are_refused_where_they_are_evaluated_twice(call):
    start, calls = TWICE[call]

    def twice(where: Any) -> Any:
        return reduce(lambda made, step: step(made), calls, start(where))

    with pytest.raises(InvalidBatch) as info:
        twice(sql(TAKEN))
    assert f"(where=): with {call.strip()} it is evaluated twice, and LIMIT may" in str(info.value)
    assert "for_update(skip_locked=True) in an earlier step" in str(info.value)
    for text in LASTS:
        twice(sql(text))


@pytest.mark.parametrize(("text", "word"), VARIES.items())
def test_each_word_by_which_conditions_vary_is_found(text, word):
    inside: Any = sql("(%(a)s) = 1", a=sql("%(b)s", b=sql(text)))
    for where in (sql(text), [{"n": 1}, sql(text)], {"a": sql(text)}, inside):
        with pytest.raises(InvalidBatch, match=f"twice, and {re.escape(word)} may find"):
            taking(where).require({"n": 1})


def test_conditions_that_vary_are_fine_where_they_are_evaluated_once():
    where = sql(TAKEN)
    for once in (
        taking(where).expect(1).returning("n").one(tuple),
        taking({"id": 1}).ensure({"n": sql("(SELECT n FROM job LIMIT 1)")}),
        delete("job", where).returning("n").maybe(tuple),
        select("job", ["n"], where=where).expect(0),
        taking({"id": 1}).require({"n": sql("(SELECT n FROM job LIMIT 1)")}),
        update("job", {"n": sql("(SELECT n FROM job LIMIT 1)")}, {"id": 1}).require({"n": 1}),
    ):
        text = steps(once)[0].sql
        assert text.count("id LIMIT 1") + text.count("job LIMIT 1") == 1


def test_unless_itself_is_evaluated_twice():
    with pytest.raises(InvalidBatch, match=r"unless\(\): it is evaluated twice, and LIMIT may"):
        taking({"id": 1}).unless({"n": sql("(SELECT n FROM job LIMIT 1)")})


SUBQUERY = "(SELECT id FROM job ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)"
PUT_IN = calling("partial", id=sql(SUBQUERY))
ORDERS = [
    pytest.param(start, order, id=f"{call.strip()}-{number}")
    for call, (start, calls) in TWICE.items()
    for number, order in enumerate(permutations([*calls, PUT_IN]))
    if call != "old('m')" or order[-1] is calls[-1]
]
"""Each order of the calls and ``.partial()``. An output is of a whole statement, so it is last."""


@attrs.frozen
class Job:
    """The row that a declaration takes."""

    id: int


@pytest.mark.parametrize("takes", [False, True])
@pytest.mark.parametrize(("start", "order"), ORDERS)
def test_fragment_for_a_parameter_is_refused_in_each_order_of_the_calls(start, order, takes):
    declared = start({"id": param("id", int)})
    if takes:
        declared = declared.takes(Job)
    with pytest.raises(InvalidBatch, match="is evaluated twice, and LIMIT may find another row"):
        reduce(lambda made, step: step(made), order, declared)


def test_fragment_for_a_parameter_of_unless_is_refused():
    declared = taking({"id": 1}).unless({"n": param("id", int)})
    for made in (declared, declared.returning("n").updated(tuple), declared.takes(Job)):
        with pytest.raises(InvalidBatch, match=r"unless\(\): it is evaluated twice, and LIMIT may"):
            PUT_IN(made)


def test_fragment_for_a_parameter_is_fine_if_it_lasts_or_is_evaluated_once():
    declared = taking({"id": param("id", int)}).returning("n")
    fragment = sql("(SELECT max(id) FROM job)")
    assert "max(id)" in steps(declared.change(tuple).partial(id=fragment))[0].sql
    assert steps(PUT_IN(declared.one(tuple)))[0].sql.count("SKIP LOCKED") == 1


def test_fragment_is_not_bound_as_a_value():
    declared = taking({"id": param("id", int)}).returning("n").change(tuple)
    for bind in (
        lambda: declared.bind(id=sql(SUBQUERY)),
        lambda: declared.takes(Job).bind(Job(sql(SUBQUERY))),  # pyright: ignore[reportArgumentType]
        lambda: declared.takes(Job).each([Job(sql(SUBQUERY))]),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(InvalidBatch) as info:
            bind()
        assert "evaluated twice" not in str(info.value)


def test_select_that_varies_is_evaluated_once_as_the_other_table():
    for rows in (
        select("worker", ["job", "n"], order_by=["job"], limit=3),
        select("worker", ["job", sql("random() AS n")]),
        select("worker", ["job", "n"], where=sql("job IN (SELECT job FROM worker LIMIT 3)")),
    ):
        for statement in (
            update("job", {"n": source("n")}, from_=rows, on={"id": "job"}),
            delete("job", {"n": source("n")}, using=rows, on={"id": "job"}).expect(1),
        ):
            text = steps(statement)[0].sql
            assert text.startswith('WITH _batchq_source AS MATERIALIZED (SELECT "job", ')
            assert text.count("LIMIT 3") + text.count("LIMIT $") + text.count("random()") == 1
    plain = update("job", {"n": 1}, from_=select("worker", ["job"]), on={"id": "job"})
    assert steps(plain)[0].sql.startswith("UPDATE")
