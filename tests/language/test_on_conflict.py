# SPDX-License-Identifier: MIT
"""Test what ON CONFLICT accepts, and its text."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import attrs
import pytest

from batchq import (
    InvalidBatch,
    created,
    delete,
    desc,
    gather,
    insert,
    insert_or_get,
    param,
    row,
    select,
    source,
    sql,
    steps,
    update,
)
from batchq.conditions import lt, ne, not_in
from batchq.engine.abilities import abilities
from batchq.engine.compile.compile import compiled
from batchq.engine.dialects import COCKROACHDB, POSTGRESQL
from batchq.language.outputs import Output
from batchq.language.syntax import CREATED

HOST = insert("net.host", {"name": "a", "seen": 7})


class Host(NamedTuple):
    name: str
    seen: int


@attrs.frozen
class Seen:
    seen: int


def text(statement: Any) -> str:
    return steps(statement)[0].sql.partition(" ON CONFLICT")[2]


def update_of(*target: Any, **options: Any) -> Any:
    return HOST.on_conflict_do_update(*(target or ("name",)), **{"set": ["seen"], **options})


LOWER = sql("lower(name)")
SEEN = ' ("name") DO UPDATE SET "seen" = EXCLUDED."seen"'
TEXTS: dict[str, tuple[Any, str]] = {
    "nothing": (HOST.on_conflict_do_nothing("name"), ' ("name") DO NOTHING'),
    "nothing, any index": (HOST.on_conflict_do_nothing(), " DO NOTHING"),
    "nothing, expressions": (
        HOST.on_conflict_do_nothing("zone", LOWER, index_where=sql("seen > 0")),
        ' ("zone", (lower(name))) WHERE seen > 0 DO NOTHING',
    ),
    "columns": (update_of(), SEEN),
    "columns as a tuple": (
        update_of(set=("seen", "name")),
        ' ("name") DO UPDATE SET "seen" = EXCLUDED."seen", "name" = EXCLUDED."name"',
    ),
    "mapping": (
        update_of(set={"seen": sql("excluded.seen"), "times": 3, "x": None}),
        ' ("name") DO UPDATE SET "seen" = (excluded.seen), "times" = $3, "x" = $4',
    ),
    "object": (update_of(set=Seen(8)), ' ("name") DO UPDATE SET "seen" = $3'),
    "partial index": (
        update_of("name", index_where={"deleted": None}),
        ' ("name") WHERE "deleted" IS NULL DO UPDATE SET "seen" = EXCLUDED."seen"',
    ),
    "where": (
        update_of(where={"seen": lt(sql("excluded.seen")), "c": [1, 2]}),
        f'{SEEN} WHERE "host"."seen" < (excluded.seen) AND "host"."c" = ANY($3)',
    ),
    "where it differs": (
        update_of(where={"seen": ne(3), "b": ne(None)}),
        f'{SEEN} WHERE ("host"."seen" = $3) IS NOT TRUE AND "host"."b" IS NOT NULL',
    ),
    "where it is one of none": (
        update_of(where={"c": not_in([1, None])}),
        f'{SEEN} WHERE (("host"."c" = ANY($3) OR "host"."c" IS NULL)) IS NOT TRUE',
    ),
    "where in a fragment": (
        update_of(where=sql('"host".seen < %(n)s', n=3)),
        f'{SEEN} WHERE "host".seen < $3',
    ),
}


@pytest.mark.parametrize(("statement", "expected"), TEXTS.values(), ids=TEXTS)
def test_text(statement, expected):
    assert text(statement) == expected


def test_values_are_in_the_order_of_the_text():
    early = HOST.ensure({"kind": "new"})
    late = early.on_conflict_do_update(
        "name", set={"seen": 1, "times": sql("%(n)s + 1", n=2)}, where={"seen": lt(3)}
    )
    assert steps(late)[0].parameters[:6] == ("a", 7, 1, 2, 3, "new")
    same = HOST.on_conflict_do_update(
        "name", set={"seen": 1, "times": sql("%(n)s + 1", n=2)}, where={"seen": lt(3)}
    ).ensure({"kind": "new"})
    assert steps(same)[0].parameters[:6] == ("a", 7, 1, 2, 3, "new")
    assert steps(same)[0].sql == steps(late)[0].sql


def test_statements_alike_have_one_shape():
    assert update_of()._shape is update_of()._shape
    assert update_of(set={"seen": 1})._shape is update_of(set={"seen": 2})._shape
    assert update_of(where={"seen": 1})._shape is update_of(where={"seen": 2})._shape


def test_only_a_statement_that_may_pass_over_its_row_is_guarded():
    assert repr(update_of().one(Host)) == "<Statement insert net.host: one(Host)>"
    for guarded in (HOST.on_conflict_do_nothing("name"), update_of(where={"seen": 3})):
        assert repr(guarded.one(Host)).endswith("exactly 1 row>")


INVALID: dict[str, tuple[Any, str]] = {
    "nothing: a statement of another kind": (
        lambda: delete("t", {"a": 1}).on_conflict_do_nothing("a"),
        r"on_conflict_do_nothing\(\): only an insert\(\)",
    ),
    "update: a statement of another kind": (
        lambda: sql("INSERT INTO t DEFAULT VALUES").on_conflict_do_update("a", set=["a"]),
        r"on_conflict_do_update\(\): only an insert\(\).*sql\(\)",
    ),
    "twice": (lambda: update_of().on_conflict_do_nothing(), "already; drop"),
    "no index": (
        lambda: HOST.on_conflict_do_update(set=["seen"]),
        "name the columns of a unique index",
    ),
    "a predicate without an index": (
        lambda: HOST.on_conflict_do_nothing(index_where={"a": None}),
        "name its columns as well",
    ),
    "an empty name": (lambda: update_of(""), "unique index"),
    "no name": (lambda: HOST.on_conflict_do_nothing(["name"]), "unique index"),  # type: ignore[arg-type]
    "an expression with a parameter": (
        lambda: update_of(sql("lower(%(a)s)", a="x")),
        "has a parameter",
    ),
    "a predicate with a parameter": (
        lambda: update_of(index_where=sql("a = %(a)s", a="x")),
        r"index_where=\): sql\(\) has a parameter",
    ),
    "a statement as the index": (lambda: update_of(delete("t", {"a": 1})), "cannot be used"),
    "nothing to set": (lambda: update_of(set=[]), "no column to set.*on_conflict_do_nothing"),
    "nothing to set by column": (lambda: update_of(set={}), "no column to set"),
    "a column twice": (lambda: update_of(set=["seen", "seen"]), "'seen' is set twice"),
    "a column that the row has not": (
        lambda: update_of(set=["times"]),
        re.escape("the row has no 'times'; set it there, or write set={'times': …}"),
    ),
    "a column as a str": (lambda: update_of(set="seen"), "pass a list"),
    "a whole statement as a value": (
        lambda: update_of(set={"seen": delete("t", {"a": 1})}),
        r"on_conflict_do_update\(set=\): a statement or batch cannot be used",
    ),
    "a comparison as a value": (lambda: update_of(set={"seen": lt(3)}), r"lt\(\), which is a"),
    "an empty condition": (lambda: update_of(where={}), r"on_conflict_do_update\(where=\): \{\}"),
    "an empty list of conditions": (lambda: update_of(where=[]), r"\(where=\): \[\]"),
    "a comparison with None": (lambda: update_of(where={"seen": lt(None)}), "None"),
    "a table named excluded": (
        lambda: insert("s.excluded", {"a": 1}).on_conflict_do_update("a", set=["a"]),
        "named excluded",
    ),
    "a table named excluded, to compare": (
        lambda: insert_or_get("excluded", {"seen": 1}, Seen, key=["seen"], same=["seen"]),
        "named excluded",
    ),
    "require": (lambda: update_of().require({"a": 1}), "no where="),
}


@pytest.mark.parametrize(("build", "message"), INVALID.values(), ids=INVALID)
def test_wrong_argument_is_rejected(build, message):
    with pytest.raises(InvalidBatch, match=message):
        build()


UPSERT = update_of()
UNKNOWN: dict[str, tuple[Any, str]] = {
    "a plain insert": (lambda: HOST.inserted(Host), "each row is inserted"),
    "nothing": (
        lambda: HOST.on_conflict_do_nothing().inserted(Host),
        r"nothing is returned; use insert_or_get\(\)",
    ),
    "nothing, ensured": (
        lambda: HOST.on_conflict_do_nothing().ensure({created(): True}),
        r"created\(\): of a row",
    ),
    "another statement": (lambda: delete("t", {"a": 1}).inserted(Host), "only an insert"),
    "a text": (lambda: sql("SELECT 1").inserted(Host), "only an insert"),
    "returning": (lambda: HOST.returning(created()), "each row is inserted"),
    "returning twice": (
        lambda: UPSERT.returning("name", created()).inserted(tuple),
        r"drop created\(\)",
    ),
    "an output": (lambda: HOST.output(created()), "each row is inserted"),
    "another value": (lambda: UPSERT.ensure({created(): 1}), "True or False"),
    "a parameter of another type": (
        lambda: UPSERT.ensure({created(): param("c", int)}),
        "True or False",
    ),
    "a column to set": (lambda: insert("t", {created(): 1}), "of the row that an upsert returns"),
    "a condition": (lambda: delete("t", {created(): True}), "of the row that an upsert returns"),
    "where": (lambda: update_of(where={created(): True}), r"where=\): created"),
    "where, alternatives": (
        lambda: update_of(where=[{created(): 1}]),
        r"where=\): created",
    ),
    "set": (lambda: update_of(set={created(): 1}), r"set=\): created"),
    "set, a list": (lambda: update_of(set=[created()]), r"set=\): created"),
    "target": (lambda: update_of(created()), r"on_conflict_do_update\(\): created"),
    "target of nothing": (lambda: HOST.on_conflict_do_nothing(created()), r"nothing\(\): created"),
    "index_where": (lambda: update_of(index_where={created(): True}), r"index_where=\): created"),
    "order": (lambda: select("t", order_by=[created()]), r"order_by=\): created"),
    "order, directed": (lambda: desc(created()), r"desc\(\): created"),
    "page": (
        lambda: select("t", order_by=created(), after={created(): 1}),
        r"order_by=\): created",
    ),
    "another table": (lambda: source(created()), r"source\(\): created"),
    "another table, compared": (
        lambda: delete("t", using="u", on={"a": created()}),
        r"delete\(on=\): created",
    ),
    "a reported column": (
        lambda: select("t").expect(0, columns=[created()]),
        r"created\(\): only an insert",
    ),
    "a number of rows": (lambda: UPSERT.expect(0).inserted(Host), "exactly 1 row"),
}


@pytest.mark.parametrize(("build", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_question_without_an_answer_is_rejected(build, message):
    with pytest.raises(InvalidBatch, match=message):
        build()


REPORTING = {
    "18": (abilities(), 'WITH (OLD AS _batchq_old) "name", "seen", _batchq_old IS NOT DISTINCT'),
    "17": (abilities(old=False), '"name", "seen", xmax OPERATOR(pg_catalog.=) 0 AS "created()"'),
}


@pytest.mark.parametrize(("server", "text"), REPORTING.values(), ids=REPORTING)
def test_inserted_is_asked_as_the_server_can_report_it(server, text):
    made = compiled(UPSERT.inserted(Host)._shape, (), server)
    assert made.sql.partition(" RETURNING ")[2].startswith(text)
    assert CREATED not in compiled(UPSERT.one(Host)._shape, (), server).sql


def test_cockroachdb_cannot_report_it():
    server = COCKROACHDB.abilities(130000)
    assert "EXCLUDED" in compiled(UPSERT.one(Host)._shape, (), server).sql
    with pytest.raises(InvalidBatch, match=r"use insert_or_get\(\)"):
        compiled(UPSERT.inserted(Host)._shape, (), server)


def test_abilities_follow_the_version():
    assert [POSTGRESQL.abilities(version).old for version in (170006, 180000)] == [False, True]


def test_declared_values_are_bound_and_set():
    declared = insert("host", Host).on_conflict_do_update(
        "name",
        set={"seen": param("next", int), "times": sql("%(times)s + 1", times=param("times", int))},
        where={"seen": lt(row(Host).seen)},
    )
    bound = declared.bind(Host("a", 7), next=8, times=2)
    assert steps(bound)[0].parameters == ("a", 7, 8, 2, 7)
    with pytest.raises(InvalidBatch, match="seen"):
        declared.bind(Host("a", None), next=8, times=2)  # type: ignore[arg-type]
    changed = declared.partial(next=sql("greatest(excluded.seen, 1)"))
    assert '"seen" = (greatest(excluded.seen, 1))' in steps(changed.partial(times=2))[0].sql


def test_output_in_set_and_where_is_substituted():
    other = insert("other", {"a": 1})
    given: Output = other.output("id")
    using = update_of(set={"seen": given}, where={"seen": lt(given)})
    assert steps(gather(other, using))[1].sql.count("jsonb_populate_record(NULL::") >= 2
    with pytest.raises(InvalidBatch, match="output"):
        steps(gather(using, other))


@pytest.mark.parametrize(
    "build",
    [
        lambda: insert("t", {"a": created()}),
        lambda: update("t", {"a": 1}, {"b": created()}),
        lambda: update("t", {"a": 1}, {"b": lt(created())}),
        lambda: select("t", [created()]),
        lambda: sql("SELECT %(a)s", a=created()),
        lambda: insert("t", {"a": param("a", str)}).partial(a=created()),
    ],
)
def test_created_is_not_a_text_in_the_place_of_a_value(build):
    with pytest.raises(InvalidBatch, match=r"created\(\) is known of the row that an upsert"):
        build()
    insert("t", {"a": "created()"})
