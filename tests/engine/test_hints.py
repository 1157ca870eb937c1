# SPDX-License-Identifier: MIT
"""A hint is given for what it is about, and for nothing that only looks alike."""

from __future__ import annotations

import pytest
from psycopg.types.json import Json, Jsonb

from batchq import (
    Batch,
    BatchError,
    asc,
    created,
    insert,
    insert_or_advance,
    run,
    select,
    sql,
    update,
)
from batchq.conditions import lt, not_in
from batchq.hierarchy import Parent

pytestmark = pytest.mark.postgres_only("the words of PostgreSQL")

ID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
TABLE = """
CREATE TABLE t (id uuid, n int, x text, j jsonb, js json, a text[], p point, "json" int);
CREATE UNIQUE INDEX ON t (n, x);
CREATE TABLE p (id int, g int);
INSERT INTO p VALUES (1, 1);
"""

BIGINT, LIST, DOCUMENT = "as bigint", 'a list means "one of these"', "Jsonb(...)"
CAST, NO_OPERATOR, STR = "a text is compared", "has no =", "pass a str"
NO_LESS = "json has no <"
INDEX = "in index_where=, or in where= of insert_or_get() and children()"
KEPT_JSON = "which json lacks: make the column jsonb, or leave it out"
KEEP = "which json lacks: make the column jsonb, or name it in keep="
DESC, ASC = 'write desc("n")', 'write asc("n")'
BOTH_ROWS = 'write excluded.x for the row that would have been inserted, and "t".x'
OLD = "before PostgreSQL 18"
ALL = (
    *(BIGINT, LIST, DOCUMENT, CAST, NO_OPERATOR, NO_LESS, STR),
    *(INDEX, DESC, ASC, BOTH_ROWS, OLD, KEPT_JSON, KEEP),
)
UPSERT = insert("t", {"n": 1}).on_conflict_do_update("n", set=["n"])


def advance(**row: object) -> Batch[object]:
    return insert_or_advance("t", row, key=["x"], version="n", stale=KeyError, raises=KeyError)


def replaced(document: object, *keep: str) -> Batch[object]:
    parent = Parent(table="p", key="id", deleted_at=None, generation="g")
    new = insert("t", {"n": 1, "x": "a", "js": Json(document)})
    children = parent.children("t", by="n", deleted_at=None)
    return children.replace(1, [new], by="x", keep=keep, missing=KeyError)


CASES = {
    "a function of an int": (sql("SELECT left('abc', %(n)s)", n=2), BIGINT),
    "a function of something else": (
        sql("SELECT nosuch(%(u)s::uuid) WHERE 1 = %(n)s", n=2, u=ID),
        None,
    ),
    "uuid = text": (sql("SELECT 1 FROM t WHERE id = %(u)s::text AND n = %(n)s", u=ID, n=1), CAST),
    "json = json": (
        sql("SELECT 1 FROM t WHERE js = %(j)s::json AND n = %(n)s", j="1", n=1),
        NO_OPERATOR,
    ),
    "json = a text": (select("t", ["n"], where={"js": "1", "n": 3}), NO_OPERATOR),
    "json = jsonb": (select("t", ["n"], where={"js": Jsonb([1]), "n": 3}), NO_OPERATOR),
    "point = a text": (select("t", ["n"], where={"p": "(1,1)", "n": 3}), NO_OPERATOR),
    "json = json in an upsert": (advance(x="a", n=1, js="1"), KEPT_JSON),
    "json = json in replace()": (replaced({"a": 1}), KEEP),
    "text = int": (select("t", ["n"], where={"x": 3}), STR),
    "text = one of ints": (select("t", ["n"], where={"x": [1, 2]}), STR),
    "an array = a list": (select("t", ["n"], where={"a": ["x"]}), LIST),
    "an array is not in a list": (select("t", ["n"], where={"a": not_in(["x"])}), LIST),
    "json < a text": (select("t", ["n"], where={"js": lt("1"), "n": 3}), NO_LESS),
    "an array = a list of ints": (
        sql("SELECT 1 FROM t WHERE n = %(n)s AND a = %(x)s", n=1, x=1),
        None,
    ),
    "jsonb = one of ints": (select("t", ["n"], where={"j": [1, 2]}), DOCUMENT),
    "jsonb = int": (select("t", ["n"], where={"j": 1}), DOCUMENT),
    "jsonb, a list": (insert("t", {"j": [1, 2]}), DOCUMENT),
    "json, a list": (insert("t", {"js": [1, 2]}), DOCUMENT),
    "jsonb, a list of texts": (insert("t", {"j": ["a"]}), DOCUMENT),
    "jsonb, a list in a list": (update("t", {"j": [[1], [2]]}, {"n": 1}), DOCUMENT),
    "jsonb, a tuple": (insert("t", {"j": (1, 2)}), DOCUMENT),
    "jsonb, an int": (insert("t", {"j": 1}), DOCUMENT),
    "jsonb, a bool": (insert("t", {"j": True}), DOCUMENT),
    "jsonb, a text": (insert("t", {"j": "web"}), DOCUMENT),
    "jsonb, a dict": (insert("t", {"j": {"a": 1}}), DOCUMENT),
    "jsonb, a list of dicts": (insert("t", {"j": [{"a": 1}]}), DOCUMENT),
    "jsonb, dicts further in": (insert("t", {"j": [["a", ({"a": 1},)]]}), DOCUMENT),
    "an int, a document": (insert("t", {"n": Jsonb([1])}), None),
    "an int, json": (insert("t", {"n": Json([1])}), None),
    "an int, an expression": (
        sql("INSERT INTO t (n) SELECT to_jsonb(%(x)s::text)", x="a"),
        None,
    ),
    "a column that is called json": (insert("t", {"json": [1]}), None),
    "an int, a text": (update("t", {"n": "abc"}, {"n": 1}), None),
    "no such index": (insert("t", {"n": 1}).on_conflict_do_nothing("n"), INDEX),
    "no such index of a version": (advance(x="a", n=1), INDEX),
    "no such index in a text": (
        sql("INSERT INTO t (n) VALUES (1) ON CONFLICT (n) DO NOTHING"),
        None,
    ),
    "no such column beside created()": (UPSERT.ensure({created(): True, "xmaxi": 1}), None),
    "an order of Django": (select("t", ["n"], order_by=["-n"]).all(tuple), DESC),
    "an order of SQL": (select("t", ["n"], order_by=["n Desc"]).all(tuple), DESC),
    "an ascending order": (select("t", ["n"], order_by=asc("n asc")).all(tuple), ASC),
    "an order and another column": (select("t", ["q"], order_by=["-n"]).all(tuple), None),
    "a missing column": (select("t", ["n"], order_by=["id desc x"]).all(tuple), None),
    "a bare name in an upsert": (
        insert("t", {"n": 1}).on_conflict_do_update("n", set={"x": sql("x || 'a'")}),
        BOTH_ROWS,
    ),
    "a bare name in a text": (sql("SELECT n FROM t, t AS u"), None),
    "a set": (insert("t", {"a": {"x"}}), "pass a list"),
    "a generator": (insert("t", {"a": iter(["x"])}), "pass a list"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_hint_is_about_this_error_and_no_other_is_given(conn, case):
    conn.execute(TABLE)
    statement, wanted = CASES[case]
    with pytest.raises(BatchError) as caught:
        run(conn, statement)
    given = [hint for hint in (*ALL, "pass a list") if hint in str(caught.value)]
    assert given == ([] if wanted is None else [wanted])


def test_code_suggested_by_hints_works(conn):
    conn.execute(TABLE)
    for document in (1, 2):
        run(conn, replaced(document, "js"))
    assert conn.execute("DELETE FROM t RETURNING js").fetchall() == [(1,)]
    conn.execute("INSERT INTO t (js, p, id) VALUES ('1', '(1,1)', %s)", [ID])
    run(conn, insert("t", {"j": Jsonb([1, 2])}))
    run(conn, insert("t", {"j": Jsonb([{"a": 1}])}))
    for condition, value in [
        ("js::jsonb = %(value)s::jsonb", "1"),
        ("p::text = %(value)s::text", "(1,1)"),
        ("id = %(value)s::uuid", ID),
    ]:
        run(conn, select("t", ["n"], where=sql(condition, value=value)).one(tuple))
    assert run(conn, select("t", ["n"], where={"j": Jsonb([1, 2])}).count()) == 1
    assert run(conn, sql("SELECT left('abc', %(n)s::int) AS x", n=2).scalar(str)) == "ab"
