# SPDX-License-Identifier: MIT
"""Test that a statement says what to write instead of a method of another library."""

from __future__ import annotations

import copy
import pickle
import re
from typing import NamedTuple

import pytest

from batchq import Statement, gather, insert, select, sequence, steps
from batchq.language.other_names import INSTEAD

ROW = select("t", ["id"], where={"id": 1})


@pytest.mark.parametrize("name", INSTEAD)
def test_name_of_another_library_is_answered_with_what_to_write(name):
    with pytest.raises(AttributeError, match=f"^Statement has no {name}; write "):
        getattr(ROW, name)
    assert not hasattr(ROW, name)
    assert not hasattr(Statement, name)
    assert getattr(ROW, name, None) is None
    assert name not in dir(ROW)


METHODS = sorted({word for text in INSTEAD.values() for word in re.findall(r"(\w+)\(", text)})


@pytest.mark.parametrize("method", METHODS)
def test_suggested_method_exists(method):
    import batchq  # noqa: PLC0415

    assert hasattr(ROW, method) or hasattr(batchq, method)


def test_unknown_name_gets_the_usual_error():
    with pytest.raises(AttributeError, match="nonsense"):
        ROW.nonsense  # noqa: B018


def test_statement_has_no_getattr():
    assert not hasattr(Statement, "__getattr__")


def test_statement_with_hints_is_copied_and_pickled():
    assert copy.copy(ROW).title == copy.deepcopy(ROW).title == ROW.title
    assert pickle.loads(pickle.dumps(ROW)).title == ROW.title


def test_batch_has_no_such_hints():
    with pytest.raises(AttributeError) as caught:
        gather(ROW).one_or_none  # noqa: B018
    assert "write" not in str(caught.value)


class New(NamedTuple):
    """A row to insert."""

    id: int


DECLARED = insert("t", New)
BATCHES = {
    "Gathered": gather(DECLARED, DECLARED),
    "Labelled": gather(DECLARED).label("new"),
    "Bound": gather(DECLARED, DECLARED).bind(New(1)),
    "Each": DECLARED.each([New(1)]),
}


@pytest.mark.parametrize("name", BATCHES)
def test_whole_batch_says_how_to_repeat_it(name):
    batch = BATCHES[name]
    with pytest.raises(AttributeError) as caught:
        batch.each([New(1)])
    assert str(caught.value) == f"{name} has no each; write sequence(map(declaration.bind, rows))"
    assert not hasattr(batch, "each")
    assert not hasattr(type(batch), "each")
    assert "each" not in dir(batch)
    assert "bind" in dir(batch)


def test_whole_batch_is_repeated_as_the_hint_says():
    batch = sequence(map(BATCHES["Gathered"].bind, [New(1), New(2)]))
    assert [step.parameters for step in steps(batch)] == [(1,), (1,), (2,), (2,)]


def test_statement_lists_what_only_a_batch_has_not():
    assert "each" in dir(DECLARED)
