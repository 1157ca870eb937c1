# SPDX-License-Identifier: MIT
"""Generate batches of any shape for property tests, each with its expected result.

The expectations are computed differently from batchq: it walks scopes from the outside in and a
program in postfix order; here they are accumulated from the inside out while a tree is built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen
from hypothesis import strategies as st

from batchq import (
    Batch,
    Statement,
    Violation,
    check,
    foreign_key,
    gather,
    into,
    not_null,
    sequence,
    sql,
    sqlstate,
    unique,
)
from batchq.types import Matcher, ViolationKind

NAMES = ("a", "b")
CODES = {
    ViolationKind.UNIQUE: "23505",
    ViolationKind.CHECK: "23514",
    ViolationKind.FOREIGN_KEY: "23503",
    ViolationKind.NOT_NULL: "23502",
    ViolationKind.OTHER: "22003",
}
MATCHERS = {
    ViolationKind.UNIQUE: unique,
    ViolationKind.CHECK: check,
    ViolationKind.FOREIGN_KEY: foreign_key,
    ViolationKind.NOT_NULL: not_null,
}

Accepts = Callable[[Violation], bool]
MappingSpec = tuple[Accepts, type[Exception] | None] | str
"""A mapping: whom it is for and what it means, None for internal. Or an as_invariant's context."""


@frozen(eq=False)
class Expected:
    """Expectations about one statement of a tree."""

    statement: Statement[Any]
    labels: tuple[str, ...] = ()
    mappings: tuple[MappingSpec, ...] = ()
    """From the inside out."""

    def meaning(self, violation: Violation) -> tuple[type[Exception] | None, str | None] | None:
        """Return the violation's meaning and the context that makes it a bug, or None."""
        found: tuple[type[Exception] | None, str | None] | None = None
        for one in self.mappings:
            if isinstance(one, str):
                if found is not None and found[1] is None:
                    found = found[0], one
            elif one[0](violation):
                found = one[1], None
        return found


@frozen(eq=False)
class Tree:
    """A batch, and what should result from it."""

    batch: Batch[Any]
    leaves: tuple[Expected, ...]
    combine: Callable[[list[Any]], Any]
    """From the statements' results to the batch's."""


def _add_mapping(tree: Tree, batch: Batch[Any], mappings: MappingSpec) -> Tree:
    leaves = tuple(evolve(leaf, mappings=(*leaf.mappings, mappings)) for leaf in tree.leaves)
    return Tree(batch, leaves, tree.combine)


def _joined(batch: Batch[Any], trees: list[Tree], make: Callable[[list[Any]], Any]) -> Tree:
    def combine(results: list[Any]) -> Any:
        parts: list[Any] = []
        for tree in trees:
            count = len(tree.leaves)
            parts.append(tree.combine(results[:count]))
            results = results[count:]
        return make(parts)

    return Tree(batch, tuple(leaf for tree in trees for leaf in tree.leaves), combine)


# -- strategies -----------------------------------------------------------------------------------

labels = st.sampled_from(["project", "vpc", "subnet"])
meanings = st.sampled_from([KeyError, ValueError, LookupError])
contexts = st.sampled_from(["creating", "deleting"])


@st.composite
def violations(draw: st.DrawFn) -> Violation:
    """Draw a failure; it may name a constraint in place of a column, and vice versa."""
    kind = draw(st.sampled_from([*CODES]))
    name = draw(st.sampled_from(NAMES))
    if kind is ViolationKind.NOT_NULL:
        return Violation(kind=kind, sqlstate=CODES[kind], column=name)
    constraint = None if kind is ViolationKind.OTHER else name
    return Violation(kind=kind, sqlstate=CODES[kind], constraint=constraint)


@st.composite
def rules(draw: st.DrawFn) -> tuple[Matcher, Accepts]:
    """Draw a matcher, and a function that decides what it should match."""
    kind = draw(st.sampled_from([*CODES]))
    if kind is ViolationKind.OTHER or draw(st.integers(0, 9)) == 0:
        code = CODES[kind]
        return sqlstate(code), lambda violation: violation.sqlstate == code
    name = draw(st.sampled_from(NAMES))
    return MATCHERS[kind](
        name
    ), lambda violation: violation.kind is kind and name in (violation.constraint, violation.column)


@st.composite
def _leaf(draw: st.DrawFn) -> Tree:
    statement: Statement[Any] = sql("SELECT 1")
    names: tuple[str, ...] = ()
    mappings: list[MappingSpec] = []
    for step in draw(st.lists(st.sampled_from(["label", "on", "internal"]), max_size=3)):
        if step == "label":
            names = (draw(labels), *names)
            statement = statement.label(names[0])
        elif step == "on":
            matcher, accepts = draw(rules())
            meaning = draw(meanings)
            statement = statement.on(matcher, meaning)
            mappings.append((accepts, meaning))
        else:
            name = draw(st.sampled_from(NAMES))
            statement = statement.invariant(name)
            mappings.append((lambda violation, name=name: violation.constraint == name, None))
    return Tree(
        statement, (Expected(statement, names, tuple(mappings)),), lambda results: results[0]
    )


@st.composite
def _joint(draw: st.DrawFn, children: st.SearchStrategy[Tree]) -> Tree:
    found = draw(st.lists(children, max_size=4))
    batches = [tree.batch for tree in found]
    match draw(st.sampled_from(["gather", "sequence", "into"])):
        case "gather":
            return _joined(gather(*batches), found, tuple)
        case "sequence":
            return _joined(sequence(batches), found, list)
        case _:
            return _into(found, draw(st.integers(0, len(found))))


@st.composite
def _mapped(draw: st.DrawFn, children: st.SearchStrategy[Tree]) -> Tree:
    tree, mark = draw(children), draw(st.integers())
    return Tree(
        tree.batch.map(lambda result: (mark, result)),
        tree.leaves,
        lambda results: (mark, tree.combine(results)),
    )


@st.composite
def _wrapped(draw: st.DrawFn, children: st.SearchStrategy[Tree]) -> Tree:
    tree = draw(children)
    if isinstance(tree.batch, Statement):  # whose own .label and .on make another statement
        tree = evolve(tree, batch=tree.batch.map(lambda result: result))
    batch = tree.batch
    match draw(st.sampled_from(["label", "on", "as_invariant"])):
        case "label":
            name = draw(labels)
            return evolve(_labelled(tree, name), batch=batch.label(name))
        case "on":
            matcher, accepts = draw(rules())
            meaning = draw(meanings)
            return _add_mapping(tree, batch.on(matcher, meaning), (accepts, meaning))
        case _:
            context = draw(contexts)
            return _add_mapping(tree, batch.as_invariant(context), context)


def _labelled(tree: Tree, name: str) -> Tree:
    leaves = tuple(evolve(leaf, labels=(name, *leaf.labels)) for leaf in tree.leaves)
    return evolve(tree, leaves=leaves)


def _into(found: list[Tree], unnamed: int) -> Tree:
    names = [f"n{i}" for i in range(len(found) - unnamed)]
    named = dict(zip(names, found[unnamed:], strict=True))
    return _joined(
        into(
            dict,
            *(tree.batch for tree in found[:unnamed]),
            **{name: tree.batch for name, tree in named.items()},
        ),
        [*found[:unnamed], *(_labelled(tree, name) for name, tree in named.items())],
        lambda parts: dict(zip(names, parts[unnamed:], strict=True)),
    )


def _inner(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return _joint(children) | _mapped(children) | _wrapped(children)


def trees() -> st.SearchStrategy[Tree]:
    """Return a strategy for batches of any shape."""
    return st.recursive(_leaf(), _inner, max_leaves=12)
