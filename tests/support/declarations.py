# SPDX-License-Identifier: MIT
"""Generate batches that can be declared, to be bound, or built with the same values.

A plan of a batch is written once, as a function of an environment: the names of values. In the
place of a name it finds a parameter, or the value that this is bound to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hypothesis import strategies as st

from batchq import Batch, gather, insert, into, param, row, sequence, sql, unique, update
from batchq.conditions import between, le, ne, not_in
from batchq.hierarchy import Parent
from batchq.language.placement import Scheduled
from batchq.language.tree import declared

Env = Mapping[str, Any]
Make = Callable[[Env], Batch[Any]]
PARENT = Parent(table="parent", key="id", deleted_at=None, generation="gen")
ITEMS = PARENT.children("item", by="parent", deleted_at=None)


class Item(NamedTuple):
    """A row to insert, and to read."""

    id: int
    parent: int
    note: object
    number: int | None
    tags: list[str] | None


class Taken(Exception):
    """The id exists."""


class Unmet(Exception):
    """A guard has fired."""


FIELDS: Env = {name: getattr(row(Item), name) for name in Item._fields}
NAMED: Env = {
    "other": param("other", int),
    "choice": param("choice", list[int]),
    "text": param("text", object),
}
PARAMETERS: Env = {**FIELDS, **NAMED}


def _item(env: Env) -> Batch[Any]:
    # Of the fields themselves it is declared by the class.
    fields = {name: env[name] for name in Item._fields}
    is_class = all(fields[name] is FIELDS[name] for name in fields)
    item: Any = insert("item", Item if is_class else fields)
    return item.one(Item).on(unique("item_pkey"), Taken)


def _changed(env: Env) -> Batch[Any]:
    return update("item", {"number": env["number"], "tags": ["k"]}, {"id": env["id"]}).count()


def _guarded(env: Env) -> Batch[Any]:
    change = update("item", {"note": env["text"]}, where={"id": env["choice"]})
    return change.expect(at_most=1, unexpected=Unmet).require(
        {"parent": env["other"]}, raises=Unmet
    )


def _compared(env: Env) -> Batch[Any]:
    where = {"id": not_in(env["choice"]), "parent": le(env["other"])}
    change = update("item", {"note": env["text"]}, where=where).count()
    return change.refuse({"id": between(env["id"], env["other"])}, raises=Unmet).ensure(
        {"parent": ne(env["parent"])}, raises=Unmet
    )


def _unless(env: Env) -> Batch[Any]:
    change = update("item", {"number": env["number"]}, where={"id": env["id"]})
    left = change.unless({"parent": env["other"], "id": le(12)})
    return left.require({"parent": env["parent"]}, raises=Unmet).returning("note").updated(tuple)


def _ensured(env: Env) -> Batch[Any]:
    change = update("item", {"parent": env["parent"]}, where={"id": env["other"]})
    return change.count().ensure({"parent": env["other"]}, raises=Unmet)


def _read(env: Env) -> Batch[Any]:
    number, texts = env["number"], (env["note"], env["text"])
    return sql(
        "SELECT %(a)s::int8, %(b)s::text, %(c)s::text, %(d)s::text[], %(e)s::int8[], %(f)s::int4",
        a=number,
        b=texts[0],
        c=texts[1],
        d=env["tags"],
        e=env["choice"],
        f=7,
    ).one(tuple)


def _fragment(env: Env) -> Batch[Any]:
    note = sql("upper(%(x)s::text) || %(y)s", x=env["text"], y="k")
    where = [{"parent": env["parent"]}, sql("id <> %(z)s", z=env["id"])]
    return update("item", {"note": note}, where).returning("id", "note").all(tuple)


def _output(env: Env) -> Batch[Any]:
    made: Any = _item(env)
    to = {"number": made.output("id"), "tags": env["tags"]}
    later = update("item", to, where={"id": made.output("id"), "parent": env["parent"]})
    return gather(made, gather(later.count()).label("later"))


def _touch(key: str) -> Make:
    return lambda env: PARENT.touch(env[key], missing=Unmet)


def _added(env: Env) -> Batch[Any]:
    return ITEMS.add(env["parent"], _item(env), missing=Unmet)


def _last(key: str) -> Make:
    def make(env: Env) -> Batch[Any]:
        text = "SELECT count(*), %(a)s::int8, %(b)s::int8 FROM item"
        count = sql(text, a=env[key], b=env["number"]).one(tuple)
        return Scheduled(count.label(key), last_key=("last", env[key]))

    return make


def _none(_: Env) -> Batch[Any]:
    return gather()


LEAVES: tuple[Make, ...] = (
    *(
        _item,
        _changed,
        _guarded,
        _compared,
        _ensured,
        _unless,
        _read,
        _fragment,
        _output,
        _added,
        _none,
    ),
    *(_touch("parent"), _touch("other"), _last("parent"), _last("other")),
    *(_touch("other"), _changed, lambda _: PARENT.touch(1, missing=Unmet)),
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
    declared_item: Any = _item(FIELDS)
    items = [Item(*[values[name] for name in Item._fields]) for values in rows]
    return lambda env: (
        sequence([_item(one._asdict()) for one in items])
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
