# SPDX-License-Identifier: MIT
"""Looking at a batch before it runs: steps and explain, with no database anywhere."""

from __future__ import annotations

import pytest
from attrs.exceptions import FrozenInstanceError

from batchq import InvalidBatch, explain, gather, insert, select, sql, steps, unique, update

TAKE = update("silo", {"n": sql("n + %(by)s", by=1)}, {"id": 7}).expect(1, missing=LookupError())
PROJECT = insert("project", {"name": "web"}).on(unique("name_key"), KeyError).invariant("pkey")
BATCH = gather(
    TAKE,
    gather(PROJECT, insert("vpc", {"name": "default"}).as_invariant("the default VPC")).label(
        "vpc"
    ),
).label("create")


def test_step_has_the_statement_its_index_and_its_path():
    take, project, vpc = steps(BATCH)
    assert [step.index for step in (take, project, vpc)] == [0, 1, 2]
    assert [step.path for step in (take, project, vpc)] == ["create", "create/vpc", "create/vpc"]
    assert take.statement is TAKE
    assert project.statement is PROJECT
    assert project.sql == 'INSERT INTO "project" ("name") VALUES ($1)'
    assert project.parameters == ("web",)


def test_str_of_a_step_has_its_index_path_and_title():
    take, project, _ = steps(BATCH)
    assert str(take) == "step 0 (create: update silo)"
    assert str(project) == "step 1 (create/vpc: insert project)"
    assert str(steps(sql("SELECT 1 + 1"))[0]) == "step 0 (SELECT 1 +)"


def test_parameters_of_a_step_are_in_the_order_of_the_text():
    (step,) = steps(sql("SELECT %(b)s, %(a)s, %(b)s", a=1, b=2))
    assert step.sql == "SELECT $1, $2, $1"
    assert step.parameters == (2, 1)


def test_mappings_are_listed_strongest_first():
    outer = BATCH.on(unique("name_key"), ValueError).as_invariant("the demo")
    take, project, vpc = steps(outer)
    around = ["inside 'the demo'", 'unique("name_key") -> ValueError']
    assert [text.split(":")[0] for text in take.mappings] == [*around, "expect(...) -> LookupError"]
    assert [text.split(":")[0] for text in project.mappings] == [
        *around,
        'invariant("pkey") -> InvariantViolation',
        'unique("name_key") -> KeyError',
    ]
    assert [text.split(":")[0] for text in vpc.mappings] == [*around, "inside 'the default VPC'"]


def test_steps_and_explain_repeated_give_the_same():
    assert explain(BATCH) == explain(BATCH)
    assert [step.sql for step in steps(BATCH)] == [step.sql for step in steps(BATCH)]


def test_step_is_immutable():
    (step,) = steps(TAKE)
    with pytest.raises(FrozenInstanceError):
        step.index = 5


def test_explain_shows_each_step_with_its_guard_and_mappings():
    lines = explain(BATCH).splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "step 0 (create: update silo)",
        "step 1 (create/vpc: insert project)",
        "step 2 (create/vpc: insert vpc)",
    ]
    assert "    guard: exactly 1 row" in lines
    assert "    expect(...) -> LookupError" in lines
    assert '    unique("name_key") -> KeyError' in lines
    assert any("the default VPC" in line for line in lines)


def test_explain_shows_values_and_names_on_request_only():
    assert "7" not in explain(TAKE)
    lines = explain(TAKE, parameters=True).splitlines()
    assert "    $1 by = 1" in lines
    assert "    $2 id = 7" in lines


def test_explain_names_the_values_of_every_kind_of_statement():
    text = explain(
        gather(
            PROJECT,
            select("t", ["a", sql("b + %(more)s", more=2)], where={"c": [3], "d": None, "e": "x"}),
            sql("SELECT %(q)s, %(p)s", p=4, q=5),
            update("t", {"f": 6}, where=sql("g = %(g)s", g=7)),
        ),
        parameters=True,
    )
    shown = [line.strip() for line in text.splitlines() if line.strip().startswith("$")]
    assert shown == [
        "$1 name = 'web'",
        "$1 more = 2",
        "$2 c = [3]",
        "$3 e = 'x'",
        "$1 q = 5",
        "$2 p = 4",
        "$1 f = 6",
        "$2 g = 7",
    ]


def test_statement_that_cannot_be_sent_is_a_step_until_its_sql_is_read():
    batch = gather(PROJECT, sql("COMMIT"))
    assert [step.statement.title for step in steps(batch)] == ["insert project", "COMMIT"]
    with pytest.raises(InvalidBatch):
        _ = steps(batch)[1].sql
    with pytest.raises(InvalidBatch):
        explain(batch)


def test_mappings_of_row_guards_are_listed_in_the_order_of_their_checks():
    row = update("t", {"a": 1}, {"id": 1}).expect(1, missing=KeyError)
    row = row.require({"a": 2}, raises=ValueError).refuse({"b": 3}, raises=LookupError)
    assert steps(row)[0].mappings == (
        'require("a") -> ValueError',
        'refuse("b") -> LookupError',
        "expect(...) -> KeyError",
    )
