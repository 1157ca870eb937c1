# SPDX-License-Identifier: MIT
"""Forms of statements that can be declared, to be bound, or built with the same values.

Each is a function of an environment: the names of values. In the place of a name it finds a
parameter, or the value that this is bound to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from batchq import (
    Batch,
    Statement,
    asc,
    delete,
    desc,
    gather,
    insert,
    insert_or_advance,
    old,
    param,
    row,
    select,
    source,
    sql,
    unique,
    update,
)
from batchq.conditions import between, le, ne, not_in
from batchq.hierarchy import Parent
from batchq.language.placement import Scheduled

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


def _row(env: Env) -> Any:
    # Of the fields themselves it is declared by the class.
    fields = {name: env[name] for name in Item._fields}
    return Item if all(fields[name] is FIELDS[name] for name in fields) else fields


def item_of(env: Env) -> Batch[Any]:
    item: Any = insert("item", _row(env))
    return item.one(Item).on(unique("item_pkey"), Taken)


def _upserted(env: Env) -> Batch[Any]:
    item: Statement[Any, Any] = insert("item", _row(env))
    to = {"note": env["text"], "number": sql("excluded.number")}
    where = {"parent": le(env["other"]), "id": env["choice"]}
    return item.on_conflict_do_update("id", set=to, where=where).maybe(Item)


def _inserted(env: Env) -> Batch[Any]:
    item: Statement[Any, Any] = insert("item", _row(env))
    new = item.on_conflict_do_update("id", set=["note", "tags"]).inserted(Item)
    return new.ensure({"parent": env["parent"]}, raises=Unmet)


def _skipped(env: Env) -> Batch[Any]:
    item: Statement[Any, Any] = insert("item", _row(env))
    return item.on_conflict_do_nothing("id").count()


def _advanced(env: Env) -> Batch[Any]:
    version = {"key": ["id"], "version": "parent"}
    return insert_or_advance("item", _row(env), **version, stale=Unmet, raises=Taken)


def _copied(env: Env) -> Batch[Any]:
    columns = [sql("id + 100 AS id"), "parent", sql("%(x)s::text AS note", x=env["text"])]
    rows = select("item", columns, where={"id": env["choice"]}, order_by="id", limit=env["other"])
    return insert("item", rows).on_conflict_do_nothing("id").count()


def _joined(env: Env) -> Batch[Any]:
    rows = select("item", ["id", "note"], where={"parent": env["parent"], "id": env["choice"]})
    to = {"note": source("note"), "number": env["number"]}
    change = update("item", to, {"parent": env["other"]}, from_=rows, on={"parent": "id"})
    return change.count().require({"id": ne(source("id"))}, raises=Unmet)


def _removed(env: Env) -> Batch[Any]:
    deleted = delete("item", {"id": env["id"]}, using="parent", on={"parent": "id"})
    return deleted.refuse({"parent": env["other"]}, raises=Unmet).count()


def _page(env: Env) -> Batch[Any]:
    after = {"number": env["number"], "id": env["id"]}
    order = [asc("number", nulls="first"), desc("id")]
    where = {"parent": env["parent"]}
    return select("item", where=where, order_by=order, limit=env["other"], after=after).all(Item)


def _counted(env: Env) -> Batch[Any]:
    rows = select("item", where={"parent": env["parent"], "id": ne(env["id"])})
    last = select("item", [sql("max(number)")], where={"id": env["choice"]})
    return gather(rows.count(), rows.exists(), last.scalar(int, null=True))


def _before(env: Env) -> Batch[Any]:
    change = update("item", {"number": env["number"], "note": env["text"]}, {"id": env["id"]})
    both = change.require({"parent": env["parent"]}, raises=Unmet).change(Item)
    log = {"id": sql("%(x)s + 200", x=both.output("id", "int8")), "note": both.output(old("note"))}
    return gather(both, insert("item", log).on_conflict_do_nothing("id"))


def _old(env: Env) -> Batch[Any]:
    change = update("item", {"number": env["number"]}, where={"id": env["choice"]})
    return change.unless({"parent": env["other"]}).returning("id", old("number")).maybe(tuple)


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
    made: Any = item_of(env)
    to = {"number": made.output("id"), "tags": env["tags"]}
    later = update("item", to, where={"id": made.output("id"), "parent": env["parent"]})
    return gather(made, gather(later.count()).label("later"))


def _touch(key: str) -> Make:
    return lambda env: PARENT.touch(env[key], missing=Unmet)


def _added(env: Env) -> Batch[Any]:
    return ITEMS.add(env["parent"], item_of(env), missing=Unmet)


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
        item_of,
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
    *(_upserted, _inserted, _skipped, _advanced, _copied, _joined, _removed),
    *(_page, _counted, _before, _old),
    *(_touch("parent"), _touch("other"), _last("parent"), _last("other")),
    *(_touch("other"), _changed, lambda _: PARENT.touch(1, missing=Unmet)),
)
