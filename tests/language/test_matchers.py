# SPDX-License-Identifier: MIT
"""Matchers: a failure is matched by its kind *and* its name, and only by what was observed."""

from __future__ import annotations

import pytest

from batchq import (
    InvalidBatch,
    Violation,
    check,
    exclusion,
    foreign_key,
    not_null,
    sqlstate,
    unique,
)
from batchq.language.matchers import MISSING_ROWS, constraint
from batchq.types import ViolationKind

BY_KIND = {
    ViolationKind.UNIQUE: unique,
    ViolationKind.CHECK: check,
    ViolationKind.FOREIGN_KEY: foreign_key,
    ViolationKind.EXCLUSION: exclusion,
    ViolationKind.NOT_NULL: not_null,
}

GUARD = Violation(kind=ViolationKind.GUARD, sqlstate="22P02", rows=0)


def violated(kind, name):
    if kind is ViolationKind.NOT_NULL:
        return Violation(kind=kind, sqlstate="23502", column=name)
    return Violation(kind=kind, sqlstate="23000", constraint=name)


@pytest.mark.parametrize("seen", ViolationKind)
@pytest.mark.parametrize("kind", BY_KIND)
def test_matcher_matches_its_own_kind_and_name_only(kind, seen):
    matcher = BY_KIND[kind]("a")
    assert matcher.matches(violated(seen, "a")) is (kind is seen)
    assert not matcher.matches(violated(seen, "b"))
    assert not matcher.matches(violated(seen, None))


def test_check_and_unique_of_the_same_name_are_distinguished():
    assert unique("a").matches(violated(ViolationKind.UNIQUE, "a"))
    assert not unique("a").matches(violated(ViolationKind.CHECK, "a"))
    assert not check("a").matches(violated(ViolationKind.UNIQUE, "a"))


def test_matcher_compares_names_exactly():
    assert not unique("Name").matches(violated(ViolationKind.UNIQUE, "name"))
    assert not unique("name").matches(violated(ViolationKind.UNIQUE, "name_key"))


def test_not_null_matches_by_the_column_only():
    seen = Violation(
        kind=ViolationKind.NOT_NULL, sqlstate="23502", constraint="a", column="b", table="a"
    )
    assert not_null("b").matches(seen)
    assert not not_null("a").matches(seen)


@pytest.mark.parametrize(
    ("code", "matches"), [("22003", True), ("22012", False), ("22000", False), ("23505", False)]
)
def test_sqlstate_matches_the_exact_code_and_not_its_class(code, matches):
    seen = Violation(kind=ViolationKind.OTHER, sqlstate="22003")
    assert sqlstate(code).matches(seen) is matches


def test_sqlstate_matches_a_constraint_of_any_name():
    assert sqlstate("23502").matches(violated(ViolationKind.NOT_NULL, "any"))


def test_sqlstate_that_guards_borrow_does_not_match_a_guard():
    assert not sqlstate("22P02").matches(GUARD)
    assert sqlstate("22P02").matches(Violation(kind=ViolationKind.OTHER, sqlstate="22P02"))


@pytest.mark.parametrize("matcher", [make("a") for make in BY_KIND.values()], ids=str)
def test_matcher_of_a_constraint_does_not_match_a_guard(matcher):
    assert not matcher.matches(GUARD)
    assert MISSING_ROWS.matches(GUARD)
    assert not MISSING_ROWS.matches(violated(ViolationKind.UNIQUE, "a"))


@pytest.mark.parametrize(
    "kind", [kind for kind in ViolationKind if kind is not ViolationKind.GUARD]
)
def test_constraint_matches_any_kind_of_constraint_of_that_name(kind):
    seen = Violation(kind=kind, sqlstate="23000", constraint="a")
    assert constraint("a").matches(seen)
    assert not constraint("b").matches(seen)
    assert not constraint("a").matches(GUARD)


@pytest.mark.parametrize(
    ("matcher", "call"),
    [
        (unique("a"), 'unique("a")'),
        (check("a"), 'check("a")'),
        (foreign_key("a"), 'foreign_key("a")'),
        (exclusion("a"), 'exclusion("a")'),
        (not_null("a"), 'not_null("a")'),
        (sqlstate("22003"), 'sqlstate("22003")'),
        (constraint("a"), 'invariant("a")'),
        (MISSING_ROWS, "expect(...)"),
    ],
)
def test_str_of_a_matcher_is_the_call_that_creates_it(matcher, call):
    assert str(matcher) == call


@pytest.mark.parametrize(
    "code", ["", "2300", "230000", "2350a", "23 05", "unique", "23505\n", 23505]
)
def test_malformed_sqlstate_is_rejected(code):
    with pytest.raises(InvalidBatch, match="five digits or capital letters"):
        sqlstate(code)
