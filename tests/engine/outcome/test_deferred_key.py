# SPDX-License-Identifier: MIT
"""Of several steps that declare what COMMIT reports, the one that wrote the key is named; and no
step, with the reason, if that is not certain."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq import (
    InvariantViolation,
    Outcome,
    UnmappedViolation,
    Violation,
    arun,
    delete,
    exclusion,
    foreign_key,
    gather,
    insert,
    run,
    sql,
    sqlstate,
    unique,
    update,
)
from batchq.conditions import ge, le, lt, ne, not_in
from batchq.engine.outcome.deferred_key import find_step_by_key
from batchq.running.explain import steps
from batchq.testing import proxy
from batchq.types import ViolationKind
from tests.support.clients import SyncClient

pytestmark = pytest.mark.postgres_only("constraints are never deferred there")

TABLES = """
CREATE TABLE parent (id int PRIMARY KEY, name text UNIQUE, "Odd" text, UNIQUE (id, name));
CREATE TABLE child (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    parent int CONSTRAINT child_parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED,
    named text CONSTRAINT child_named REFERENCES parent (name) DEFERRABLE INITIALLY DEFERRED,
    pair int, pair_name text,
    place int CONSTRAINT child_place UNIQUE DEFERRABLE INITIALLY DEFERRED,
    "Odd, (name)" text CONSTRAINT child_odd UNIQUE DEFERRABLE INITIALLY DEFERRED,
    "Quoted" text CONSTRAINT child_quoted UNIQUE DEFERRABLE INITIALLY DEFERRED,
    price numeric(10, 2) CONSTRAINT child_price UNIQUE DEFERRABLE INITIALLY DEFERRED,
    code char(5) CONSTRAINT child_code UNIQUE DEFERRABLE INITIALLY DEFERRED,
    at timestamptz CONSTRAINT child_at UNIQUE DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT child_pair FOREIGN KEY (pair, pair_name) REFERENCES parent (id, name)
        DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO parent VALUES (1, 'one'), (2, 'two'), (3, 'three, (3)=(3)');
INSERT INTO child (place, "Odd, (name)", "Quoted", price, code, at)
    VALUES (1, 'odd', 'q', 12.35, 'ab', '2024-03-04 12:00+00');
INSERT INTO child (parent) VALUES (1);
"""


class First(Exception):
    pass


class Second(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(request):
    if "conn" in request.fixturenames or "aconn" in request.fixturenames:
        request.getfixturevalue("connect")().execute(TABLES)


def child(**row):
    return insert("child", row)


def both(matcher, one, two):
    return gather(
        one.on(matcher, First("1")), insert("parent", {"id": 77}), two.on(matcher, Second("2"))
    )


PARENT, NAMED, PAIR = (foreign_key(f"child_{name}") for name in ("parent", "named", "pair"))
KEY = UUID(int=7)

DISTINGUISHED = {
    "foreign key": (PARENT, child(parent=1), child(parent=9)),
    "an int and a null": (PARENT, child(parent=None), child(parent=9)),
    "a text": (NAMED, child(named="one"), child(named="nine")),
    "a text with a number": (NAMED, child(named="one"), child(named="web-9")),
    "a text with brackets": (NAMED, child(named="one"), child(named="n (9)")),
    "a text like a DETAIL": (NAMED, child(named="one"), child(named="n) is still referenced")),
    "two columns": (PAIR, child(pair=1, pair_name="one"), child(pair=1, pair_name="two")),
    "unique": (unique("child_place"), child(place=2), child(place=1)),
    "a quoted column": (unique("child_quoted"), child(Quoted="r"), child(Quoted="q")),
    "an update": (
        PARENT,
        child(parent=2, id=KEY),
        update("child", {"parent": 9}, {"place": 1}),
    ),
    "an update of a part": (
        PAIR,
        child(pair=2, pair_name="two"),
        gather(
            child(id=KEY, pair=1, pair_name="one"),
            update("child", {"pair_name": "two"}, {"pair": 1}).on(PAIR, Second("2")),
        ),
    ),
    "deleting the parent": (
        PARENT,
        child(parent=2),
        delete("parent", {"id": 1}),
    ),
    "one of two parents deleted": (
        PARENT,
        delete("parent", {"id": 3}),
        delete("parent", {"id": 1}),
    ),
    "one of two parents deleted, by other comparisons too": (
        PARENT,
        delete("parent", [{"name": ge(sql("%(a)s || ''", a="one"))}, {"id": 3}]),
        delete("parent", [{"id": lt(2), "name": not_in(["two"])}, {"id": 1}]),
    ),
    "the parent's key updated": (
        PARENT,
        child(parent=2),
        update("parent", {"id": 8}, {"id": 1}),
    ),
}


@pytest.mark.parametrize("case", DISTINGUISHED)
def test_violation_is_attributed_to_the_step_with_its_key(conn, case):
    matcher, innocent, guilty = DISTINGUISHED[case]
    guilty_is_batch = not hasattr(guilty, "_shape")
    for turned in (False, True):
        right = guilty if guilty_is_batch else guilty.on(matcher, Second("2"))
        parts = [innocent.on(matcher, First("1")), insert("parent", {"id": 77}), right.label("it")]
        with pytest.raises(Second) as caught:
            run(conn, gather(*(reversed(parts) if turned else parts)))
        report = caught.value.__cause__
        assert report.outcome is Outcome.ROLLED_BACK
        assert report.path == "it"
        assert report.candidates == ()
        assert "COMMIT" in str(report)


async def test_arun_attributes_by_key_as_well(aconn):
    with pytest.raises(Second):
        await arun(aconn, both(PARENT, child(parent=1), child(parent=9)))


def test_invariant_is_attributed_by_key_too(conn):
    one, two = child(parent=1).on(PARENT, First), child(parent=9).invariant("child_parent")
    with pytest.raises(InvariantViolation) as caught:
        run(conn, gather(one, two))
    assert caught.value.statement is two


SEVERAL = "all of them"
NONE = "none of them is certain"
OTHERS = "only the server knows"
READINGS = "more than one way"
HIDDEN = "DETAIL has no key"

UNCERTAIN = {
    "the same key": (PARENT, child(parent=9), child(parent=9, place=5), SEVERAL),
    "the user's own SQL": (
        PARENT,
        child(parent=9),
        sql("INSERT INTO child (parent) VALUES (%(p)s)", p=8),
        OTHERS,
    ),
    "an expression": (PARENT, child(parent=9), child(parent=sql("4 + 4")), OTHERS),
    "only an expression": (PARENT, child(parent=1), child(parent=sql("4 + 4")), NONE),
    "a default": (PARENT, child(parent=9), child(place=5), OTHERS),
    "an insert that may have updated": (
        PARENT,
        child(parent=9),
        insert("parent", {"id": 3}).on_conflict_do_update("id", set={"name": "x"}),
        OTHERS,
    ),
    "rounded": (
        unique("child_price"),
        child(price=Decimal("12.345")),
        child(price=Decimal(1)),
        NONE,
    ),
    "rounded and not": (
        unique("child_price"),
        child(price=Decimal("12.345")),
        child(price=Decimal("12.35")),
        OTHERS,
    ),
    "an int that gets decimals": (
        unique("child_price"),
        gather(child(price=8), child(price=8).on(unique("child_price"), First("1"))),
        child(price=9),
        NONE,
    ),
    "blanks": (unique("child_code"), child(code="ab"), child(code="cd"), NONE),
    "a timestamp": (
        unique("child_at"),
        child(at="2024-03-04 12:00+00"),
        child(at="2024-03-05 12:00+00"),
        NONE,
    ),
    "a column with brackets": (
        unique("child_odd"),
        child(**{"Odd, (name)": "odd"}),
        child(**{"Odd, (name)": "even"}),
        READINGS,
    ),
    "a comma in one of two": (
        PAIR,
        child(pair=1, pair_name="a, b"),
        child(pair=1, pair_name="one"),
        READINGS,
    ),
    "a text that is a split": (
        NAMED,
        child(named="9)=(9"),
        child(named="one"),
        READINGS,
    ),
    "a text that ends the sentence": (
        NAMED,
        child(named='9) is not present in table "parent".'),
        child(named="one"),
        READINGS,
    ),
    "a parent found by another comparison": (
        PARENT,
        child(parent=2),
        delete("parent", {"id": le(1)}),
        NONE,
    ),
    "a parent that is not another": (
        PARENT,
        delete("parent", {"id": 3}),
        delete("parent", {"id": not_in([2, 3]), "name": ne("two")}),
        NONE,
    ),
    "a parent found by another column": (
        PARENT,
        child(parent=2),
        delete("parent", {"name": "one"}),
        NONE,
    ),
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_uncertain_violation_names_no_step_and_gives_the_reason(conn, case):
    matcher, one, two, why = UNCERTAIN[case]
    one = one if not hasattr(one, "_shape") else one.on(matcher, First("1"))
    with pytest.raises(UnmappedViolation) as caught:
        run(conn, gather(one, two.on(matcher, Second("2"))))
    error = caught.value
    assert error.step is None
    assert len(error.candidates) == 2
    assert why in str(error)
    assert str(matcher) in str(error)


def test_violation_without_a_key_names_no_step(conn):
    conn.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'no' USING ERRCODE = 'ZZ001', DETAIL = 'Key (parent)=(1)'; END $$;"
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON child DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(UnmappedViolation, match="not about a key"):
        run(conn, both(sqlstate("ZZ001"), child(parent=1), child(parent=2)))


def test_exclusion_of_two_rows_names_no_step(conn):
    conn.execute(
        "CREATE TABLE x (k int, CONSTRAINT x_k EXCLUDE USING btree (k WITH =)"
        " DEFERRABLE INITIALLY DEFERRED); INSERT INTO x VALUES (1)"
    )
    one, two = insert("x", {"k": 1}), insert("x", {"k": 2})
    with pytest.raises(UnmappedViolation, match="two keys"):
        run(conn, both(exclusion("x_k"), one, two))


def test_a_null_that_is_one_is_not_taken_for_a_text(conn):
    conn.execute(
        "CREATE TABLE odd (n text CONSTRAINT odd_n UNIQUE NULLS NOT DISTINCT"
        " DEFERRABLE INITIALLY DEFERRED); INSERT INTO odd VALUES (NULL)"
    )
    null, text = insert("odd", {"n": None}), insert("odd", {"n": "null"})
    with pytest.raises(UnmappedViolation):
        run(conn, both(unique("odd_n"), text, null))


def test_two_tables_with_constraints_of_one_name_are_not_mixed_up(conn):
    conn.execute(
        "CREATE TABLE other (parent int);"
        "CREATE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO child (parent) VALUES (NEW.parent); RETURN NEW; END $$;"
        "CREATE TRIGGER copy AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION copy()"
    )
    with pytest.raises(Second):
        run(conn, both(PARENT, insert("other", {"parent": 1}), child(parent=9)))
    with pytest.raises(UnmappedViolation):
        run(conn, both(PARENT, insert("other", {"parent": 9}), child(parent=1)))


REWRITERS = {
    "a trigger": "CREATE TRIGGER more BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION more()",
    "a trigger on updates": "CREATE TRIGGER more BEFORE UPDATE OF parent ON child FOR EACH ROW"
    " EXECUTE FUNCTION more()",
    "a rule": "CREATE RULE more AS ON INSERT TO child WHERE NEW.parent = 3 DO ALSO SELECT 1",
}
HARMLESS = {
    "a trigger after": "CREATE TRIGGER more AFTER INSERT ON child FOR EACH ROW"
    " EXECUTE FUNCTION more()",
    "a trigger for the statement": "CREATE TRIGGER more BEFORE INSERT ON child"
    " EXECUTE FUNCTION nothing()",
    "one that is switched off": REWRITERS["a trigger"] + "; ALTER TABLE child DISABLE TRIGGER more",
    "one before deletes": "CREATE TRIGGER more BEFORE DELETE ON child FOR EACH ROW"
    " EXECUTE FUNCTION nothing()",
    "one of another table": "CREATE TABLE apart (parent int);"
    + REWRITERS["a trigger"].replace("ON child", "ON apart"),
}
FUNCTIONS = """
CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.parent := NEW.parent + 1; RETURN NEW; END $$;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
"""


@pytest.mark.parametrize("ddl", REWRITERS.values(), ids=REWRITERS)
def test_key_that_a_trigger_may_have_written_names_no_step(conn, ddl):
    """Here 8 becomes 9, and 9 becomes 10, which is there: the step that writes 9 is innocent."""
    conn.execute(FUNCTIONS + ddl + "; INSERT INTO parent VALUES (10)")
    with pytest.raises(UnmappedViolation, match="a trigger, a rule or a view") as caught:
        run(conn, both(PARENT, child(parent=8), child(parent=9)))
    assert len(caught.value.candidates) == 2
    conn.execute("DROP TRIGGER IF EXISTS more ON child; DROP RULE IF EXISTS more ON child")
    with pytest.raises(Second):
        run(conn, both(PARENT, child(parent=1), child(parent=9)))


@pytest.mark.parametrize("ddl", HARMLESS.values(), ids=HARMLESS)
def test_trigger_that_writes_no_key_does_not_hide_the_step(conn, ddl):
    conn.execute(FUNCTIONS + ddl)
    with pytest.raises(Second):
        run(conn, both(PARENT, child(parent=1), child(parent=9)))


def test_write_through_a_view_is_resolved_by_the_server(conn):
    conn.execute("CREATE VIEW children AS SELECT parent FROM child")
    one, two = insert("children", {"parent": 1}), insert("children", {"parent": 9})
    with pytest.raises(UnmappedViolation, match="a view"):
        run(conn, both(PARENT, one, two))


def test_link_lost_during_the_lookup_names_no_step(database, conn):
    batch = both(PARENT, child(parent=1), child(parent=9))
    with proxy(database) as link, SyncClient(link.conninfo()) as client:
        with link.record() as recording:
            assert type(client.attempt(batch).error) is Second
        messages = [n for n, letter in enumerate(recording.server) if letter == "Z"]
        assert len(messages) == 3
        for after in range(messages[1] + 1, messages[2] - 1):
            with SyncClient(link.conninfo()) as other:
                link.cut_answers(after=after)
                failed = other.attempt(batch)
                assert type(failed.error) is UnmappedViolation
                assert failed.outcome is Outcome.ROLLED_BACK
                assert "did not say" in str(failed.error)
                assert other.conn.closed


def test_violation_of_a_partition_is_attributed_by_key_too(conn):
    conn.execute(
        "CREATE TABLE note (k int, CONSTRAINT note_k UNIQUE (k) DEFERRABLE INITIALLY DEFERRED)"
        " PARTITION BY RANGE (k); INSERT INTO parent VALUES (78);"
        "CREATE TABLE note_a PARTITION OF note FOR VALUES FROM (0) TO (10);"
        "INSERT INTO note VALUES (7)"
    )
    for _ in range(2):
        with pytest.raises(Second):
            run(conn, both(unique("note_k"), insert("note", {"k": 6}), insert("note", {"k": 7})))


def test_a_key_that_this_role_may_not_read_is_not_in_detail(conn, database):
    role = conn.execute("SELECT 'blind_' || pg_backend_pid()").fetchone()[0]
    conn.execute(
        f"CREATE ROLE {role} LOGIN;"
        f"DO $$ BEGIN EXECUTE 'GRANT USAGE ON SCHEMA ' || current_schema() || ' TO {role}'; END $$;"
        f"GRANT INSERT ON child, parent TO {role}"
    )
    try:
        with psycopg.connect(database, user=role, autocommit=True) as blind:
            with pytest.raises(UnmappedViolation) as caught:
                run(blind, both(PARENT, child(parent=1), child(parent=9)))
            assert "9" not in (caught.value.violation.detail or "")
            assert HIDDEN in str(caught.value)
    finally:
        conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


# -- DETAIL, in whatever language ------------------------------------------------------------------

DETAILS = [
    'Key ({})=({}) is not present in table "parent".',
    "Schlüssel ({})=({}) ist nicht in Tabelle »parent« vorhanden.",
    'テーブル"parent"にキー({})=({})がありません',
    '({})=({}) 키가 "parent" 테이블에 없습니다.',
    'Ключ ({})=({}) отсутствует в таблице "parent".',
    "La clé ({})=({}) n'est pas présente dans la table « parent ».",
]
"""Of PostgreSQL's own translations."""


def named_step(detail, *statements, kind=ViolationKind.FOREIGN_KEY, table="child"):
    violation = Violation(kind=kind, sqlstate="23503", constraint="k", table=table, detail=detail)
    return find_step_by_key(violation, [step for one in statements for step in steps(one)])


@pytest.mark.parametrize("detail", DETAILS)
def test_the_key_is_read_in_every_language(detail):
    steps = child(parent=1), child(parent=9), child(parent=10)
    assert named_step(detail.format("parent", "9"), *steps)[0] == 1
    assert named_step(detail.format("parent", "7"), *steps)[0] is None
    pairs = child(pair=1, pair_name="x"), child(pair=1, pair_name="y")
    assert named_step(detail.format("pair, pair_name", "1, y"), *pairs)[0] == 1


@pytest.mark.parametrize(
    "detail", ["", "Key", ")=(", "Key (=(", "Key (parent)=(", "Key )=(9)", "(((", "a)=(b)=(c)"]
)
def test_text_that_is_not_a_key_names_no_step(detail):
    assert named_step(detail, child(parent=9), child(parent=8))[0] is None


texts = st.text(st.sampled_from("ab1,() =\"'é"), max_size=6)


@given(
    detail=st.sampled_from(DETAILS),
    columns=st.lists(texts.filter(bool), min_size=1, max_size=3, unique=True),
    rows=st.lists(
        st.lists(st.one_of(texts, st.integers(-2, 12)), min_size=3, max_size=3),
        min_size=3,
        max_size=3,
    ),
)
def test_named_step_has_written_that_key(detail, columns, rows):
    """The third row's key is reported, and only the first two steps are asked about."""
    keys = [tuple(map(str, row[: len(columns)])) for row in rows]
    steps = [insert("child", dict(zip(columns, row, strict=False))) for row in rows[:2]]
    place, _ = named_step(detail.format(", ".join(columns), ", ".join(keys[2])), *steps)
    if place is not None:
        assert keys[place] == keys[2]
        assert keys[1 - place] != keys[2]
