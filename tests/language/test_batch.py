# SPDX-License-Identifier: MIT
"""Composition: the laws that hold for batches of any shape."""

from __future__ import annotations

import sys
import threading
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq import Violation, explain, gather, into, sequence, sql, steps, unique
from batchq.engine.outcome.resolve import mapping_for
from batchq.engine.plan import plan
from batchq.types import ViolationKind
from tests.support.batch_trees import trees, violations

ONE, TWO = sql("SELECT 1"), sql("SELECT 2")


def statements(batch):
    return [step.statement for step in steps(batch)]


def result(batch, values=None):
    """Return the result of the batch for these results of its statements, without a database."""
    made = plan(batch)
    return made.combine(list(range(len(made.placed)) if values is None else values))


# -- the laws --------------------------------------------------------------------------------------


@given(trees())
def test_statements_run_in_the_order_written_as_the_same_objects(tree):
    seen = statements(tree.batch)
    assert len(seen) == len(tree.leaves)
    assert all(a is leaf.statement for a, leaf in zip(seen, tree.leaves, strict=True))
    assert [step.index for step in steps(tree.batch)] == list(range(len(seen)))


@given(trees())
def test_labels_nest_into_paths(tree):
    assert [step.path for step in steps(tree.batch)] == [
        "/".join(leaf.labels) for leaf in tree.leaves
    ]


@given(trees())
def test_results_are_placed_as_the_composition_shapes_them(tree):
    values = list(range(len(tree.leaves)))
    assert result(tree.batch) == tree.combine(values)


@given(st.lists(trees(), max_size=4))
def test_gather_keeps_order(found):
    values = list(range(sum(len(tree.leaves) for tree in found)))
    parts = iter(values)
    own = tuple(tree.combine([next(parts) for _ in tree.leaves]) for tree in found)
    assert result(gather(*(tree.batch for tree in found)), values) == own
    assert result(sequence(tree.batch for tree in found), values) == list(own)


@given(trees(), trees(), trees())
def test_gather_is_associative_on_steps(a, b, c):
    left = gather(gather(a.batch, b.batch), c.batch)
    right = gather(a.batch, gather(b.batch, c.batch))
    flat = gather(a.batch, b.batch, c.batch)
    described = [
        [(step.statement, step.path, step.mappings) for step in steps(batch)]
        for batch in (left, right, flat)
    ]
    assert described[0] == described[1] == described[2]


@given(trees())
def test_empty_gather_is_a_neutral_element_on_steps(tree):
    alone = statements(tree.batch)
    assert statements(gather(gather(), tree.batch)) == alone
    assert statements(gather(tree.batch, gather())) == alone


@given(trees())
def test_map_obeys_identity(tree):
    assert result(tree.batch.map(lambda r: r)) == result(tree.batch)


@given(trees())
def test_map_obeys_composition(tree):
    def f(value):
        return ("f", value)

    def g(value):
        return ["g", value]

    assert result(tree.batch.map(f).map(g)) == result(tree.batch.map(lambda r: g(f(r))))


@given(trees(), violations())
def test_outermost_mapping_of_a_batch_that_matches_wins(tree, violation):
    """And as_invariant turns what is mapped inside it, and nothing else."""
    for leaf, expected in zip(plan(tree.batch).placed, tree.leaves, strict=True):
        found = mapping_for(leaf, violation)
        if found is None:
            assert expected.meaning(violation) is None
        else:
            meaning = found.mapping.raises if isinstance(found.mapping.raises, type) else None
            assert (meaning, found.context) == expected.meaning(violation)


@given(trees())
def test_mapping_of_a_constraint_does_not_match_a_guard(tree):
    guard = Violation(
        kind=ViolationKind.GUARD, sqlstate="22003", constraint="a", column="a", rows=0
    )
    assert all(mapping_for(leaf, guard) is None for leaf in plan(tree.batch).placed)


@given(trees())
def test_batch_used_in_two_batches_and_twice_in_one_is_unchanged(tree):
    before = result(tree.batch)
    twice = gather(gather(tree.batch).map(lambda r: r[0]).label("x"), tree.batch.as_invariant("y"))
    assert statements(twice) == statements(tree.batch) * 2
    assert result(twice, [*range(len(tree.leaves))] * 2) == (before, before)
    assert result(tree.batch) == before


# -- a few of them by hand -------------------------------------------------------------------------

CLASH = Violation(kind=ViolationKind.UNIQUE, sqlstate="23505", constraint="vpc_name_key")


def resolved(batch):
    """Return the exception and the context that CLASH resolves to at each step."""
    found = [mapping_for(leaf, CLASH) for leaf in plan(batch).placed]
    return [None if one is None else (one.mapping.raises, one.context) for one in found]


def test_same_violation_is_an_error_in_one_place_and_a_bug_in_another():
    vpc = ONE.on(unique("vpc_name_key"), KeyError)
    both = gather(vpc, vpc.as_invariant("the default VPC"), TWO.as_invariant("nothing mapped"))
    assert resolved(both) == [(KeyError, None), (KeyError, "the default VPC"), None]


def test_mapping_around_as_invariant_takes_the_failure_back():
    vpc = ONE.on(unique("vpc_name_key"), KeyError)
    mine = vpc.as_invariant("inner").on(unique("vpc_name_key"), ValueError)
    assert resolved(mine) == [(ValueError, None)]
    assert resolved(mine.as_invariant("outer")) == [(ValueError, "outer")]
    assert resolved(vpc.as_invariant("inner").as_invariant("outer")) == [(KeyError, "inner")]


def test_into_passes_the_named_results_and_labels_their_steps():
    three = sql("SELECT 3")
    batch = into(dict, ONE, a=TWO.label("x"), b=gather(three, three).label("y"))
    assert [step.path for step in steps(batch)] == ["", "a/x", "b/y", "b/y"]
    assert result(batch, [0, 1, 2, 3]) == {"a": 1, "b": (2, 3)}


def test_sequence_reads_its_iterable_once_and_at_once():
    source = iter([ONE, TWO])
    batch = sequence(source)
    assert list(source) == []
    assert statements(batch) == statements(batch) == [ONE, TWO]


def test_empty_batch_has_a_result_and_no_steps():
    for batch, empty in [(gather(), ()), (sequence([]), []), (into(dict), {})]:
        assert steps(batch) == ()
        assert result(batch) == empty
        assert explain(batch) == ""


# -- depth -----------------------------------------------------------------------------------------

DEEP = sys.getrecursionlimit() + 100

FOLDS = {
    "gather": lambda batch: gather(batch, ONE),
    "map": lambda batch: batch.map(lambda r: r),
    "label": lambda batch: batch.map(lambda r: r).label("x"),
    "on": lambda batch: batch.on(unique("k"), KeyError),
    "as_invariant": lambda batch: batch.as_invariant("x"),
    "into": lambda batch: into(dict, ONE, x=batch),
    "sequence": lambda batch: sequence([batch]),
}


@pytest.mark.parametrize("fold", FOLDS)
def test_nesting_deeper_than_the_recursion_limit_is_planned(fold):
    batch = reduce(lambda inner, _: FOLDS[fold](inner), range(DEEP), gather(TWO))
    placed = steps(batch)
    assert [step.statement for step in placed].count(TWO) == 1
    assert len(placed) == (DEEP + 1 if fold in ("gather", "into") else 1)
    result(batch)
    assert "SELECT 2" in explain(batch)


# -- values ----------------------------------------------------------------------------------------

FORMS = {name: fold(gather(ONE)) for name, fold in FOLDS.items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["needs", "anything"])
def test_batch_takes_no_new_attribute_and_derived_ones_are_read_only(form, name):
    """That the others are read only is for type checkers to see: tests/typing/rejected.py."""
    with pytest.raises(AttributeError):
        setattr(FORMS[form], name, None)


def test_statement_is_composed_and_explained_from_eight_threads():
    statement = sql("SELECT %(x)s FROM nowhere_else", x=1).on(unique("k"), KeyError).scalar(int)
    start, seen = threading.Barrier(8), []

    def compose(n):
        start.wait()
        for _ in range(50):
            batch = gather(*[statement] * n).label(f"t{n}").as_invariant("x")
            seen.append((n, [(s.statement, s.path, s.sql, s.parameters) for s in steps(batch)]))

    workers = [threading.Thread(target=compose, args=[n]) for n in range(1, 9)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    (alone,) = steps(statement)
    assert len(seen) == 400
    for n, shown in seen:
        assert shown == [(statement, f"t{n}", alone.sql, (1,))] * n
