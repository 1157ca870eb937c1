# SPDX-License-Identifier: MIT
"""What a failure means: the caller's own exception, a new one each time it is raised."""

from __future__ import annotations

import dataclasses

import attrs
import pytest

from batchq import InvalidBatch, Kind, Violation, check, insert, not_null, sql, sqlstate, unique
from batchq.language.mapping import INTERNAL, describe, exception_for
from batchq.language.plan import plan

VIOLATION = Violation(kind=Kind.UNIQUE, sqlstate="23505", constraint="k")


class Plain(Exception):
    pass


class KeywordOnly(Exception):
    def __init__(self, *, name):
        super().__init__(f"{name} is taken")
        self.name = name


class OtherArguments(Exception):
    def __init__(self, name, status):
        super().__init__(f"{name}: {status}")
        self.name, self.status = name, status


class Slotted(Exception):
    __slots__ = ("__private", "name")

    def __init__(self, name):
        super().__init__(name)
        self.name = self.__private = name


@attrs.define
class Attrs(Exception):
    name: str


@attrs.frozen
class Frozen(Exception):
    name: str


@attrs.define
class AttrsKeywordOnly(Exception):
    name: str = attrs.field(kw_only=True)


@dataclasses.dataclass
class Data(Exception):
    name: str


EXCEPTIONS = [
    Plain(),
    Plain("a", 2),
    KeyError("a"),
    FileNotFoundError(2, "no such project"),
    ExceptionGroup("a", [ValueError("b")]),
    KeywordOnly(name="a"),
    OtherArguments("a", 409),
    Slotted("a"),
    Attrs("a"),
    Frozen("a"),
    AttrsKeywordOnly(name="a"),
    Data("a"),
]


def raised(meaning):
    """What the caller gets, once it was raised and chained as ``run`` does it."""
    error = exception_for(meaning, VIOLATION)
    error.__cause__ = OSError("the report")
    with pytest.raises(type(error)):
        raise error
    return error


def looks(error):
    """Everything that a handler can tell an exception by."""
    names = ["name", "status", "_Slotted__private", "errno", "exceptions"]
    fields = {name: getattr(error, name) for name in names if hasattr(error, name)}
    return type(error), error.args, str(error), repr(error), vars(error), fields


@pytest.mark.parametrize("meaning", EXCEPTIONS, ids=lambda e: type(e).__name__)
def test_an_exception_is_raised_as_a_fresh_copy_each_time(meaning):
    before = looks(meaning)
    first, second = raised(meaning), raised(meaning)
    assert len({id(meaning), id(first), id(second)}) == 3
    assert looks(first) == looks(second) == looks(meaning) == before


@pytest.mark.parametrize("meaning", EXCEPTIONS, ids=lambda e: type(e).__name__)
def test_the_callers_own_object_keeps_no_traceback_and_no_cause(meaning):
    raised(meaning)
    assert meaning.__traceback__ is None
    assert meaning.__cause__ is None
    assert meaning.__context__ is None


@pytest.mark.parametrize("make", [lambda: Plain("a"), lambda: Attrs("a"), lambda: Frozen("a")])
def test_notes_are_copied_and_not_shared(make):
    meaning = make()
    meaning.add_note("try another name")
    first = raised(meaning)
    first.add_note("seen once")
    assert meaning.__notes__ == ["try another name"]
    assert raised(meaning).__notes__ == ["try another name"]
    assert first.__notes__ == ["try another name", "seen once"]


def test_a_copy_shares_what_the_exception_holds():
    holds = {"deep": ["a"]}
    assert raised(Attrs(holds)).name is holds


def test_a_class_is_called_with_the_violation():
    error = raised(Plain)
    assert type(error) is Plain
    assert error.args == (VIOLATION,)


def test_a_function_makes_the_exception_of_the_violation():
    error = raised(lambda violation: KeywordOnly(name=violation.constraint))
    assert error.name == "k"


def test_what_a_function_makes_is_raised_as_it_is():
    made = Plain("mine")
    assert raised(lambda _: made) is made


@pytest.mark.parametrize("junk", [None, "a", 7, Plain])
def test_a_function_that_makes_no_exception_is_a_type_error_that_names_it(junk):
    def meaning_of_it(_):
        return junk

    with pytest.raises(TypeError, match=f"meaning_of_it .* returned {type(junk).__name__}"):
        exception_for(meaning_of_it, VIOLATION)


def test_an_exception_in_the_function_is_the_functions_own():
    def explode(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exception_for(explode, VIOLATION)


# -- .on(...) --------------------------------------------------------------------------------------

STATEMENT = insert("t", {"a": 1})


@pytest.mark.parametrize("meaning", ["taken", 409, int, object(), ["a"]], ids=repr)
@pytest.mark.parametrize(
    "declare",
    [
        lambda meaning: STATEMENT.on(unique("k"), meaning),
        lambda meaning: STATEMENT.map(str).on(unique("k"), meaning),
        lambda meaning: STATEMENT.expect(1, missing=meaning),
    ],
    ids=["statement", "batch", "missing"],
)
def test_what_can_never_become_an_exception_is_refused_when_built(declare, meaning):
    with pytest.raises(InvalidBatch, match="takes an exception, an exception class, or a function"):
        declare(meaning)


@pytest.mark.parametrize("matcher", ["k", None, Kind.UNIQUE, unique])
@pytest.mark.parametrize("batch", [STATEMENT, STATEMENT.map(str)], ids=["statement", "batch"])
def test_what_is_no_matcher_is_refused_when_built_and_not_when_it_would_be_needed(batch, matcher):
    with pytest.raises(InvalidBatch, match="matcher"):
        batch.on(matcher, Plain)


@pytest.mark.parametrize(
    ("meaning", "name"),
    [
        (Plain("secret"), "Plain"),
        (Plain, "Plain"),
        (looks, "looks"),
        (INTERNAL, "InvariantViolation"),
    ],
)
def test_a_meaning_is_described_by_a_name(meaning, name):
    assert describe(meaning) == name


def test_a_callable_object_is_described_by_its_class():
    class Taken:
        def __call__(self, _):
            return Plain()

    assert describe(Taken()) == "Taken"


# -- which rule decides ----------------------------------------------------------------------------


def meaning_of(statement, violation):
    (leaf,) = plan(statement).leaves
    resolution = leaf.resolve(violation)
    return None if resolution is None else resolution.rule.meaning


def test_each_failure_finds_the_rule_that_was_made_for_it():
    statement = (
        STATEMENT.on(unique("k"), Plain)
        .on(check("k"), KeywordOnly)
        .on(not_null("k"), Slotted)
        .on(sqlstate("22003"), Attrs)
        .internal("pkey")
    )
    assert meaning_of(statement, VIOLATION) is Plain
    for seen, meaning in [
        (Violation(kind=Kind.CHECK, sqlstate="23514", constraint="k"), KeywordOnly),
        (Violation(kind=Kind.NOT_NULL, sqlstate="23502", column="k"), Slotted),
        (Violation(kind=Kind.OTHER, sqlstate="22003"), Attrs),
        (Violation(kind=Kind.UNIQUE, sqlstate="23505", constraint="pkey"), INTERNAL),
        (Violation(kind=Kind.EXCLUSION, sqlstate="23P01", constraint="k"), None),
    ]:
        assert meaning_of(statement, seen) is meaning


def test_of_two_rules_of_a_statement_the_one_declared_last_wins():
    assert meaning_of(STATEMENT.on(unique("k"), Plain).on(unique("k"), Attrs), VIOLATION) is Attrs
    assert meaning_of(STATEMENT.on(unique("k"), Plain).internal("k"), VIOLATION) is INTERNAL


@pytest.mark.parametrize(
    ("statement", "seen", "meaning"),
    [
        (sql("SELECT 1").expect(2, missing=Plain), 0, Plain),
        (sql("SELECT 1").expect(2, missing=Plain), 1, Plain),
        (sql("SELECT 1").expect(2, missing=Plain), 3, None),
        (sql("SELECT 1").expect(2), 1, None),
        (sql("SELECT 1").expect(at_least=2, missing=Plain), 1, Plain),
        (sql("SELECT 1").expect(1, missing=Plain).one(tuple), 0, Plain),
        (sql("SELECT 1").expect(0, missing=Plain), 1, None),
        (sql("SELECT 1").maybe(tuple), 2, None),
    ],
)
def test_missing_means_too_few_rows_and_never_too_many(statement, seen, meaning):
    guard = Violation(kind=Kind.GUARD, sqlstate="22P02", rows=seen)
    assert meaning_of(statement, guard) is meaning
