# SPDX-License-Identifier: MIT
"""What a failure means, and which rule decides it; see test_exceptions.py for how it is raised."""

from __future__ import annotations

import functools

import pytest

from batchq import Violation, check, insert, not_null, sql, sqlstate, unique
from batchq.engine.outcome.resolve import mapping_for
from batchq.engine.plan import plan
from batchq.language.mapping import INVARIANT, describe
from batchq.types import ViolationKind

VIOLATION = Violation(kind=ViolationKind.UNIQUE, sqlstate="23505", constraint="k")


class Plain(Exception):
    pass


class Third(Exception):
    pass


class Fourth(Exception):
    pass


class Second(Exception):
    pass


STATEMENT = insert("t", {"a": 1})


@pytest.mark.parametrize(
    ("meaning", "name"),
    [
        (Plain("secret"), "Plain"),
        (Plain, "Plain"),
        (len, "len"),
        (INVARIANT, "InvariantViolation"),
    ],
)
def test_mapping_is_described_by_a_name(meaning, name):
    assert describe(meaning) == name


def test_partial_is_described_by_the_function_it_calls():
    assert describe(functools.partial(functools.partial(Plain, "a"), "b")) == "Plain"


def test_callable_object_is_described_by_its_class():
    class Taken:
        def __call__(self, _):
            return Plain()

    assert describe(Taken()) == "Taken"


# -- which rule decides ----------------------------------------------------------------------------


def meaning_of(statement, violation):
    (leaf,) = plan(statement).placed
    resolution = mapping_for(leaf, violation)
    return None if resolution is None else resolution.mapping.raises


def test_violation_is_mapped_by_its_own_matcher():
    statement = (
        STATEMENT.on(unique("k"), Plain)
        .on(check("k"), Second)
        .on(not_null("k"), Third)
        .on(sqlstate("22003"), Fourth)
        .invariant("pkey")
    )
    assert meaning_of(statement, VIOLATION) is Plain
    for seen, meaning in [
        (Violation(kind=ViolationKind.CHECK, sqlstate="23514", constraint="k"), Second),
        (Violation(kind=ViolationKind.NOT_NULL, sqlstate="23502", column="k"), Third),
        (Violation(kind=ViolationKind.OTHER, sqlstate="22003"), Fourth),
        (Violation(kind=ViolationKind.UNIQUE, sqlstate="23505", constraint="pkey"), INVARIANT),
        (Violation(kind=ViolationKind.EXCLUSION, sqlstate="23P01", constraint="k"), None),
    ]:
        assert meaning_of(statement, seen) is meaning


def test_last_of_two_mappings_of_a_statement_wins():
    assert meaning_of(STATEMENT.on(unique("k"), Plain).on(unique("k"), Fourth), VIOLATION) is Fourth
    assert meaning_of(STATEMENT.on(unique("k"), Plain).invariant("k"), VIOLATION) is INVARIANT


@pytest.mark.parametrize(
    ("statement", "seen", "meaning"),
    [
        (sql("SELECT 1").expect(2, missing=Plain), 0, Plain),
        (sql("SELECT 1").expect(2, missing=Plain), 1, Plain),
        (sql("SELECT 1").expect(2, missing=Plain), 3, None),
        (sql("SELECT 1").expect(2), 1, None),
        (sql("SELECT 1").expect(at_least=2, missing=Plain), 1, Plain),
        (sql("SELECT 1").expect(1, missing=Plain).one(tuple), 0, Plain),
        (sql("SELECT 1").expect(0), 1, None),
        (sql("SELECT 1").maybe(tuple), 2, None),
    ],
)
def test_missing_maps_too_few_rows_only(statement, seen, meaning):
    guard = Violation(kind=ViolationKind.GUARD, sqlstate="22P02", rows=seen)
    assert meaning_of(statement, guard) is meaning
