# SPDX-License-Identifier: MIT
"""A list in a condition of a declaration is "one of these", as in a built one; and an exception may
not hold a parameter, however deep."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from batchq import InvalidBatch, gather, insert, param, row, select, steps, unique, update


class Wanted(NamedTuple):
    """A row."""

    ids: list[int]


FIND = select("t", ["id"], where={"id": row(Wanted).ids})


@pytest.mark.parametrize("ids", [[1, 2], (1, 2)], ids=["list", "tuple"])
def test_list_and_tuple_of_a_field_are_one_of_these(ids):
    built = select("t", ["id"], where={"id": ids})
    assert steps(FIND.bind(Wanted(ids)))[0].parameters == steps(built)[0].parameters == ([1, 2],)
    (row_step,) = steps(FIND.each([Wanted(ids)]))
    assert row_step.parameters == ([1, 2],)


@pytest.mark.parametrize("ids", [[[1], [2]], [1, None], [1, {2}]], ids=["lists", "None", "a set"])
def test_list_that_would_compare_otherwise_is_rejected(ids):
    with pytest.raises(InvalidBatch, match="'ids'"):
        FIND.bind(Wanted(ids))


class NotFound(Exception):
    """An exception that keeps what it is about to itself."""

    def __init__(self, about):
        super().__init__("not found")
        self.about = about


ORG = param("org", int)
HOLDING = {
    "an attribute": NotFound(ORG),
    "a list": NotFound([ORG]),
    "a dict": NotFound({"id": {"org": (1, ORG)}}),
    "an argument within": KeyError({"k": [1, ORG]}),
    "an exception within": NotFound(NotFound(ORG)),
    "a field of a row": NotFound([row(Wanted).ids]),
}


@pytest.mark.parametrize("case", HOLDING)
def test_exception_that_holds_a_parameter_is_rejected_when_it_is_bound(case):
    declared = update("t", {"n": 1}, where={"id": ORG}).expect(1, missing=HOLDING[case])
    for batch in (declared, gather(declared)):
        with pytest.raises(InvalidBatch, match="holds the parameter"):
            batch.bind(org=7)
    with pytest.raises(InvalidBatch, match=r"KeyError\(v\.values"):
        insert("t", Wanted).on(unique("k"), KeyError([ORG])).bind(Wanted([1]))


def test_field_of_the_row_that_is_taken_is_not_set_to_another_field_of_it():
    with pytest.raises(InvalidBatch, match="ids= is a field of the row that is taken already"):
        insert("t", Wanted).partial(ids=row(Wanted).ids)
