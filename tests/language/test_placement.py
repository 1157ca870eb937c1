# SPDX-License-Identifier: MIT
"""Statements that do not run at their position: once in a batch, or after all others.

The laws hold for batches of any shape. What should come of one is kept by other means than
batchq's: a walk over a flat list of what was drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from batchq import Batch, Violation, gather, into, sequence, sql, steps, unique
from batchq.engine.outcome.resolve import mapping_for
from batchq.engine.plan import plan
from batchq.language.placement import Scheduled
from batchq.types import ViolationKind

CLASH = Violation(kind=ViolationKind.UNIQUE, sqlstate="23505", constraint="k")


def statements(batch):
    return [step.statement for step in steps(batch)]


def result(batch):
    """Return the result of the batch if each statement returns its index."""
    made = plan(batch)
    return made.combine(list(range(len(made.statements))))


# -- batches of any shape --------------------------------------------------------------------------


@frozen(eq=False)
class Drawn:
    """A statement of a tree, where it should run, and what is declared around it."""

    batch: Batch[Any]
    statement: Any
    once: str | None = None
    tail: tuple[str, ...] | None = None
    path: tuple[str, ...] = ()


@frozen(eq=False)
class Tree:
    batch: Batch[Any]
    leaves: tuple[Drawn, ...]
    combine: Callable[[list[Any]], Any]
    """From what each leaf results in to the batch's result."""


@st.composite
def leaf(draw: st.DrawFn) -> Tree:
    statement = sql("SELECT 1")
    once = draw(st.sampled_from([None, None, "a", "b"]))
    tail = draw(st.sampled_from([None, None, ("a",), ("a", "b"), ("b",)]))
    placed = (
        statement if once is tail is None else Scheduled(statement, dedupe_key=once, last_key=tail)
    )
    return Tree(placed, (Drawn(placed, statement, once, tail),), lambda results: results[0])


def joined(draw: st.DrawFn, found: list[Tree]) -> Tree:
    def parts(results: list[Any]) -> list[Any]:
        made = []
        for tree in found:
            made.append(tree.combine(results[: len(tree.leaves)]))
            results = results[len(tree.leaves) :]
        return made

    batches = [tree.batch for tree in found]
    leaves = tuple(drawn for tree in found for drawn in tree.leaves)
    match draw(st.sampled_from(["gather", "sequence", "map"])):
        case "gather":
            return Tree(gather(*batches), leaves, lambda results: tuple(parts(results)))
        case "sequence":
            return Tree(sequence(batches), leaves, parts)
        case _:
            mapped = gather(*batches).map(lambda results: ("mapped", results))
            return Tree(mapped, leaves, lambda results: ("mapped", tuple(parts(results))))


@st.composite
def inner(draw: st.DrawFn, children: st.SearchStrategy[Tree]) -> Tree:
    tree = joined(draw, draw(st.lists(children, max_size=4)))
    if not draw(st.booleans()):
        return tree
    name = draw(st.sampled_from(["x", "y"]))
    labelled = tuple(
        Drawn(d.batch, d.statement, d.once, d.tail, (name, *d.path)) for d in tree.leaves
    )
    return Tree(tree.batch.label(name), labelled, tree.combine)


trees = st.recursive(leaf(), inner, max_leaves=14)


def expected(tree: Tree) -> list[Drawn]:
    """Return the statements that run, in order."""
    standing = [drawn for drawn in tree.leaves if drawn.tail is None]
    moved = [drawn for drawn in tree.leaves if drawn.tail is not None]
    runs: list[Drawn] = []
    for drawn in [*standing, *sorted(moved, key=lambda drawn: drawn.tail or ())]:
        if drawn.once is None or drawn.once not in [one.once for one in runs]:
            runs.append(drawn)
    return runs


@given(trees)
def test_scheduled_statements_run_once_and_in_order(tree):
    runs = expected(tree)
    assert statements(tree.batch) == [drawn.statement for drawn in runs]
    assert [step.index for step in steps(tree.batch)] == list(range(len(runs)))


@given(trees)
def test_result_is_at_the_place_of_its_statement(tree):
    place = {drawn: index for index, drawn in enumerate(expected(tree))}
    of_key = {drawn.once: index for drawn, index in place.items()}
    assert result(tree.batch) == tree.combine(
        [place.get(drawn, of_key[drawn.once]) for drawn in tree.leaves]
    )


@given(trees)
def test_labels_are_those_of_the_declared_place(tree):
    assert [step.path for step in steps(tree.batch)] == [
        "/".join(drawn.path) for drawn in expected(tree)
    ]


@given(trees, trees, trees)
def test_composing_is_associative(a, b, c):
    one = statements(gather(gather(a.batch, b.batch), c.batch))
    assert one == statements(gather(a.batch, gather(b.batch, c.batch)))
    assert one == statements(gather(a.batch, b.batch, c.batch))


@given(trees)
def test_batch_planned_repeatedly_gives_the_same_order(tree):
    assert statements(tree.batch) == statements(tree.batch)
    assert statements(gather(tree.batch, gather())) == statements(tree.batch)


# -- by hand ---------------------------------------------------------------------------------------

ONE, TWO, THREE = sql("SELECT 1"), sql("SELECT 2"), sql("SELECT 3")


def test_first_of_several_with_one_key_runs():
    batch = gather(
        ONE,
        Scheduled(TWO, dedupe_key="x"),
        Scheduled(THREE, dedupe_key="x"),
        Scheduled(ONE, dedupe_key="y"),
    )
    assert statements(batch) == [ONE, TWO, ONE]
    assert result(batch) == (0, 1, 1, 2)


def test_deduplicated_statement_runs_again_in_the_next_batch():
    batch = gather(Scheduled(ONE, dedupe_key="x"), TWO)
    assert statements(batch) == statements(batch) == [ONE, TWO]


def test_last_statements_run_in_the_order_of_their_keys():
    tail = [("silo", "2"), ("fleet",), ("silo", "1"), ("fleet",), ("silo",)]
    made = [(sql("SELECT 0"), order) for order in tail]
    batch = gather(*(Scheduled(statement, last_key=order) for statement, order in made), ONE)
    second, first, fourth, also, third = [statement for statement, _ in made]
    assert statements(batch) == [ONE, first, also, third, fourth, second]


def test_last_statement_runs_after_those_outside_its_part():
    part = gather(Scheduled(THREE, last_key=("x",)), ONE).label("part")
    batch = into(dict, a=part, b=TWO)
    assert [(step.statement, step.path) for step in steps(batch)] == [
        (ONE, "a/part"),
        (TWO, "b"),
        (THREE, "a/part"),
    ]
    assert result(batch) == {"a": (2, 0), "b": 1}


def test_statement_in_place_decides_before_the_last_ones():
    batch = gather(
        Scheduled(ONE, dedupe_key="x", last_key=("a",)), TWO, Scheduled(THREE, dedupe_key="x")
    )
    assert statements(batch) == [TWO, THREE]
    assert result(batch) == (1, 0, 1)


@pytest.mark.parametrize("placed", [{"dedupe_key": "x"}, {"last_key": ("x",)}], ids=str)
def test_moved_statement_is_mapped_from_outside_its_place(placed):
    own = ONE.on(unique("k"), KeyError)
    inside = gather(Scheduled(own, **placed)).on(unique("k"), ValueError).as_invariant("there")
    *_, leaf = plan(gather(inside, TWO) if "last_key" in placed else gather(TWO, inside)).placed
    found = mapping_for(leaf, CLASH)
    assert (found.mapping.raises, found.context) == (ValueError, "there")
    assert mapping_for(plan(Scheduled(own, **placed)).placed[0], CLASH).mapping.raises is KeyError


def test_repr_counts_scheduled_statements():
    both = gather(
        Scheduled(ONE, dedupe_key="x"),
        Scheduled(TWO, dedupe_key="x"),
        Scheduled(THREE, last_key=("x",)),
    )
    assert repr(both) == "<Gathered of 3 statements>"
