# SPDX-License-Identifier: MIT
"""Generate batches that can be declared, to be bound, or built with the same values.

A plan of a batch is written once, as a function of an environment, as its statements are."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from batchq import Batch, gather, into, sequence, unique
from batchq.language.tree import declared
from tests.support.declared_forms import (
    FIELDS,
    LEAVES,
    PARAMETERS,
    Env,
    Item,
    Make,
    Unmet,
    item_of,
)

# -- values ----------------------------------------------------------------------------------------

notes = st.sampled_from([None, "a", "007", "é", 7, "x" * 40])
values_strategy: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        # What cannot be stored, or not even be sent, is rare: nothing else would be compared.
        "id": st.sampled_from([*range(20), 1 << 40, 1 << 70]),
        "parent": st.sampled_from([1, 1, 1, 1, 2, 2, 2, 3]),
        "note": notes,
        "number": st.sampled_from([*[None, 1, -1, 1 << 40, (1 << 63) - 1] * 3, 1 << 63]),
        "tags": st.sampled_from([None, [], ["x"], ["x", None], [None]]),
        "other": st.sampled_from([1, 1, 1, 1, 2, 2, 2, 1 << 40]),
        "choice": st.sampled_from([[], [1], [1 << 40], [1, 2, 3]]),
        "text": notes,
    }
)


def bound(declaration: Batch[Any], values: Env) -> Batch[Any]:
    """Bind a declaration with those of the values that it takes."""
    takes = declared(declaration, "bind()")[1]
    named = {name: values[name] for name in takes.named}
    if takes.row is None:
        return declaration.bind(**named)
    return declaration.bind(Item(*[values[name] for name in Item._fields]), **named)


# -- plans -----------------------------------------------------------------------------------------


def _apart(make: Make, values: Env) -> Make:
    """Bind a part to values of its own."""

    def make_part(env: Env) -> Batch[Any]:
        return (
            make(values)
            if env["is_built"]
            else bound(make(PARAMETERS | {"is_built": False}), values)
        )

    return make_part


def _set(make: Make, name: str, value: Any) -> Make:
    """Set one parameter of a part: to a constant, or to another one by its name."""

    def make_part(env: Env) -> Batch[Any]:
        def of(source: Env) -> Any:
            return source[value] if isinstance(value, str) else value

        if env["is_built"]:
            return make({**env, name: of(env)})
        part = make(PARAMETERS | {"is_built": False})
        takes = declared(part, "partial()")[1]
        return part.partial(**{name: of(PARAMETERS)}) if name in takes.named else part

    return make_part


def _each(rows: list[dict[str, Any]]) -> Make:
    declared_item: Any = item_of(FIELDS)
    items = [Item(*[values[name] for name in Item._fields]) for values in rows]
    return lambda env: (
        sequence([item_of(one._asdict()) for one in items])
        if env["is_built"]
        else declared_item.each(items)
    )


def _joined(parts: list[Make], how: str) -> Make:
    def make(env: Env) -> Batch[Any]:
        batches = [part(env) for part in parts]
        match how:
            case "gather":
                return gather(*batches)
            case "sequence":
                return sequence(batches)
            case _:
                return into(dict, *batches[1:], **{f"n{n}": b for n, b in enumerate(batches[:1])})

    return make


def _wrapped(part: Make, how: str) -> Make:
    def make(env: Env) -> Batch[Any]:
        batch = part(env)
        match how:
            case "map":
                return batch.map(repr)
            case "label":
                return batch.label("around")
            case "on":
                return gather(batch).on(unique("item_pkey"), Unmet)
            case _:
                return gather(batch).as_invariant("checking")

    return make


def plans() -> st.SearchStrategy[Make]:
    """Return a strategy for batches of any form."""
    rows = st.lists(values_strategy, max_size=3)
    leaves = st.sampled_from(LEAVES) | rows.map(_each)
    settings = st.sampled_from(
        [("other", 1), ("other", "parent"), ("choice", [1, 2]), ("text", "note"), ("text", 7)]
    )
    joints = st.sampled_from(["gather", "sequence", "into"])
    wraps = st.sampled_from(["map", "label", "on", "as_invariant"])
    tree = st.recursive(
        leaves,
        lambda inner: (
            st.builds(_joined, st.lists(inner, min_size=1, max_size=4), joints)
            | st.builds(_wrapped, inner, wraps)
            | st.builds(_apart, inner, values_strategy.map(_built))
            | st.builds(lambda part, one: _set(part, *one), inner, settings)
        ),
        max_leaves=6,
    )
    return st.builds(_joined, st.lists(tree, min_size=2, max_size=4), joints)


def _built(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "is_built": True}


def declare(make: Make) -> Batch[Any]:
    """Return a plan as a declaration."""
    return make(PARAMETERS | {"is_built": False})


def build(make: Make, values: Env) -> Batch[Any]:
    """Return a plan built with values."""
    return make({**values, "is_built": True})
