# SPDX-License-Identifier: MIT
"""Conditions that a statement evaluates twice, and that may find another row the second time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batchq import InvalidBatch, delete, old, param, select, source, sql, steps, update

TAKEN = "id = (SELECT id FROM job ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)"
FROM: Any = {"from_": "worker", "on": {"id": "job"}}
USING: Any = {"using": "worker", "on": {"id": "job"}}


def taking(where: Any = None, **more: Any):
    return update("job", {"n": 1}, sql(TAKEN) if where is None else where, **more)


TWICE: dict[str, Callable[[Any], Any]] = {
    "change()": lambda where: taking(where).returning("n").change(tuple),
    "old('n')": lambda where: taking(where).returning("n", old("n")),
    "old('m')": lambda where: taking(where).returning("n").one(tuple).output(old("m")),
    "require()": lambda where: taking(where).require({"n": 1}),
    "refuse()": lambda where: delete("job", where).refuse({"n": 1}),
    "require() ": lambda where: select("job", ["n"], where=where).for_update().require({"n": 1}),
    "unless()": lambda where: taking(where).unless({"n": 1}),
    "from_=": lambda where: taking(where, **FROM),
    "using=": lambda where: delete("job", where, **USING),
}
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
}
LASTS = (
    "id = (SELECT max(id) FROM job WHERE state = 'FOR UPDATE') -- LIMIT 1",
    'name = substring(other FOR 3) AND job.limit > 2 AND "limit" < 3 AND name <> $$random()$$',
    "random = 1 AND at < clock_timestamp()",
)


@pytest.mark.parametrize("call", TWICE)
def test_conditions_that_vary_are_refused_where_they_are_evaluated_twice(call):
    with pytest.raises(InvalidBatch) as info:
        TWICE[call](sql(TAKEN))
    assert f"(where=): with {call.strip()} it is evaluated twice, and LIMIT may" in str(info.value)
    assert "for_update(skip_locked=True) in an earlier step" in str(info.value)
    for text in LASTS:
        TWICE[call](sql(text))


@pytest.mark.parametrize(("text", "word"), VARIES.items(), ids=VARIES.values())
def test_each_word_by_which_conditions_vary_is_found(text, word):
    inside: Any = sql("(%(a)s) = 1", a=sql("%(b)s", b=sql(text)))
    for where in (sql(text), [{"n": 1}, sql(text)], {"a": sql(text)}, inside):
        with pytest.raises(InvalidBatch, match=f"twice, and {word.replace('()', '..')} may find"):
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


def test_fragment_for_a_parameter_is_refused_too():
    declared = taking({"id": param("id", int)}).require({"n": 1})
    with pytest.raises(InvalidBatch, match="LIMIT may find another row"):
        declared.partial(id=sql("(SELECT id FROM job LIMIT 1)"))


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
