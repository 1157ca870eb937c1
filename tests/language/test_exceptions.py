# SPDX-License-Identifier: MIT
"""The caller's own exception is raised, whatever its class does: a new one each time, with the
report as its cause."""

from __future__ import annotations

import pytest

from batchq import BatchError
from batchq.language.exceptions import annotate
from batchq.language.mapping import exception_for
from tests.support.exceptions import (
    EXCEPTIONS,
    VIOLATION,
    Attrs,
    Frozen,
    FrozenData,
    KeywordOnly,
    Plain,
    Unwritable,
    raised,
)

FIELDS = (
    "name status _Slotted__private errno strerror filename filename2 exceptions message encoding "
    "object start end reason path obj code msg lineno offset text end_lineno end_offset"
).split()


def looks(error):
    """Return everything by which a handler can distinguish exceptions."""
    fields = {name: getattr(error, name) for name in FIELDS if hasattr(error, name)}
    return type(error), error.args, str(error), repr(error), vars(error), fields


@pytest.mark.parametrize("meaning", EXCEPTIONS, ids=lambda e: type(e).__name__)
def test_exception_is_raised_as_a_new_copy_each_time(meaning):
    before = looks(meaning)
    first, second = raised(meaning), raised(meaning)
    assert len({id(meaning), id(first), id(second)}) == 3
    assert looks(first) == looks(second) == looks(meaning) == before


@pytest.mark.parametrize("meaning", EXCEPTIONS, ids=lambda e: type(e).__name__)
def test_exception_of_the_caller_keeps_no_traceback_and_no_cause(meaning):
    raised(meaning)
    assert meaning.__traceback__ is None
    assert meaning.__cause__ is None
    assert meaning.__context__ is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Plain("a"),
        lambda: Attrs("a"),
        lambda: Frozen("a"),
        lambda: FrozenData("a"),
        lambda: Unwritable(name="a"),
    ],
)
def test_notes_are_copied_and_not_shared(make):
    meaning = make()
    annotate(meaning, "try another name")
    first = raised(meaning)
    annotate(first, "seen once")
    assert meaning.__notes__ == ["try another name"]
    assert raised(meaning).__notes__ == ["try another name"]
    assert first.__notes__ == ["try another name", "seen once"]


def test_copy_of_an_exception_shares_its_attributes():
    holds = {"deep": ["a"]}
    assert raised(Attrs(holds)).name is holds


def test_class_is_called_with_the_violation():
    error = raised(Plain)
    assert type(error) is Plain
    assert error.args == (VIOLATION,)


def test_function_is_called_with_the_violation():
    error = raised(lambda violation: KeywordOnly(name=violation.constraint))
    assert error.name == "k"


def test_exception_made_by_a_function_is_raised_as_it_is():
    made = Plain("mine")
    assert raised(lambda _: made) is made


@pytest.mark.parametrize("junk", [None, "a", 7, Plain])
def test_function_that_returns_no_exception_raises_type_error(junk):
    def meaning_of_it(_):
        return junk

    with pytest.raises(TypeError, match=f"meaning_of_it .* returned {type(junk).__name__}"):
        exception_for(meaning_of_it, VIOLATION)


def test_exception_made_with_a_cause_keeps_it_as_context():
    first = OSError("no answer")

    def caught(_):
        made = Plain("mine")
        made.__cause__ = first
        return made

    error = raised(caught)
    assert type(error.__cause__) is BatchError
    assert error.__context__ is first


def test_exception_object_made_twice_keeps_no_earlier_report():
    made = Plain("mine")
    raised(lambda _: made)
    last = raised(lambda _: made).__cause__
    assert made.__cause__ is last
    assert made.__context__ is None


def test_exception_raised_by_the_function_is_not_changed():
    def explode(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exception_for(explode, VIOLATION)
