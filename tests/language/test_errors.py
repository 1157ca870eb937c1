# SPDX-License-Identifier: MIT
"""Errors: one base, the report as attributes, and words for what was observed."""

from __future__ import annotations

import pytest

import batchq
from batchq import BatchError, Outcome, Violation, gather, insert, sql, steps
from batchq.language.violation import KIND_BY_SQLSTATE
from batchq.types import ViolationKind

ERRORS = [
    value
    for name in batchq.__all__
    if isinstance(value := getattr(batchq, name), type) and issubclass(value, BaseException)
]

STATEMENT = insert("t", {"name": "web"})


@pytest.mark.parametrize("error", ERRORS)
def test_exported_error_is_a_batch_error(error):
    assert issubclass(error, BatchError)
    assert issubclass(error, Exception)


def test_invalid_batch_is_a_value_error():
    assert issubclass(batchq.InvalidBatch, ValueError)


@pytest.mark.parametrize("error", ERRORS)
def test_report_has_the_statement_and_its_place(error):
    step = steps(gather(sql("SELECT 1"), STATEMENT).label("create"))[1]
    violation = Violation(kind=ViolationKind.OTHER, sqlstate="22003")
    report = error("what happened", outcome=Outcome.ROLLED_BACK, step=step, violation=violation)
    assert str(report) == "what happened"
    assert report.statement is STATEMENT
    assert (report.index, report.path) == (1, "create")
    assert report.sql == step.sql
    assert report.parameters == ("web",)
    assert report.violation is violation
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.attempts == 1


@pytest.mark.parametrize("error", ERRORS)
def test_report_without_a_step_has_none_in_each_attribute(error):
    report = error("what happened")
    for name in ("step", "statement", "index", "path", "sql", "parameters", "violation"):
        assert getattr(report, name) is None
    assert report.candidates == ()
    assert report.outcome is Outcome.NOT_SENT


def test_sql_and_parameters_of_a_report_are_never_in_its_text():
    report = BatchError("what happened", step=steps(STATEMENT)[0])
    assert "INSERT" not in str(report) + repr(report)
    assert "web" not in str(report) + repr(report)


def test_report_of_an_invalid_statement_has_its_path_and_title():
    report = batchq.InvalidBatch("no", step=steps(sql("COMMIT"))[0])
    assert report.path == ""
    assert report.statement.title == "COMMIT"


# -- outcomes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", Outcome)
def test_nothing_applied_is_true_only_if_certain(outcome):
    assert outcome.nothing_applied is (outcome in (Outcome.NOT_SENT, Outcome.ROLLED_BACK))


# -- violations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("violation", "text"),
    [
        (
            Violation(kind=ViolationKind.UNIQUE, sqlstate="23505", constraint="k", table="t"),
            'unique "k" on table "t", SQLSTATE 23505',
        ),
        (
            Violation(kind=ViolationKind.UNIQUE, sqlstate="23505", constraint="k"),
            'unique "k", SQLSTATE 23505',
        ),
        (
            Violation(kind=ViolationKind.NOT_NULL, sqlstate="23502", column="c", table="t"),
            'not_null column "c" on table "t", SQLSTATE 23502',
        ),
        (Violation(kind=ViolationKind.GUARD, sqlstate="22P02", rows=0), "guard saw 0 rows"),
        (Violation(kind=ViolationKind.GUARD, sqlstate="22P02", rows=1), "guard saw 1 row"),
        (
            Violation(
                kind=ViolationKind.OTHER,
                sqlstate="42P01",
                message='no relation "t"',
                may_quote_values=False,
            ),
            'error, SQLSTATE 42P01: no relation "t"',
        ),
    ],
)
def test_violation_text_is_what_was_observed(violation, text):
    assert str(violation) == text
    assert repr(violation) == f"Violation({text})"


def test_foreign_key_has_one_kind_for_both_of_its_sqlstates():
    assert KIND_BY_SQLSTATE["23503"] is KIND_BY_SQLSTATE["23001"] is ViolationKind.FOREIGN_KEY


def test_matcher_of_a_kind_has_the_name_of_the_kind():
    for kind in set(KIND_BY_SQLSTATE.values()):
        assert str(getattr(batchq, kind.value)("a")) == f'{kind.value}("a")'
