# SPDX-License-Identifier: MIT
"""A statement prepared before the schema changed reads and stores what one that is prepared again
would: every way of changing it, every place for a value."""

from __future__ import annotations

import random
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from itertools import permutations, product
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

import batchq
from batchq import gather, insert, run, select, sql, unique, update
from batchq.engine.outcome.stale import _CANONICAL
from batchq.engine.wire.connection_state import state_of
from batchq.result import Ok, attempt
from tests.support.prepared_connections import (
    COLUMNS,
    STATEMENTS,
    ConnectionPair,
    connection_pair,
    statement,
)


@pytest.fixture
def two(connect):
    with connection_pair(connect) as two:
        yield two


class TestTheIssue:
    def test_a_text_that_went_to_an_integer_keeps_its_zeros(self, two: ConnectionPair):
        two.execute("CREATE TABLE t (k int, v int)")
        run(two.warm, insert("t", {"k": 1, "v": "007"}))
        two.execute("ALTER TABLE t ALTER v TYPE text")
        run(two.warm, insert("t", {"k": 2, "v": "007"}))
        run(two.warm, update("t", {"v": "007"}, {"k": 1}))
        assert two.admin.execute("SELECT v FROM t").fetchall() == [("007",), ("007",)]

    def test_time_sent_to_a_former_date_column_keeps_its_time(self, two: ConnectionPair):
        two.execute("CREATE TABLE t (k int, v date)")
        run(two.warm, insert("t", {"k": 1, "v": "2024-05-01 10:30"}))
        two.execute("ALTER TABLE t ALTER v TYPE timestamp")
        run(two.warm, insert("t", {"k": 2, "v": "2024-05-01 10:30"}))
        found = two.admin.execute("SELECT v FROM t WHERE k = 2").fetchone()
        assert found == (datetime(2024, 5, 1, 10, 30),)  # noqa: DTZ001  the column has no zone

    def test_unused_name_is_not_taken(self, two: ConnectionPair):
        class NameTaken(Exception):
            pass

        def named(name):
            return insert("t", {"v": name}).on(unique("t_v_key"), NameTaken)

        two.execute("CREATE TABLE t (v int CONSTRAINT t_v_key UNIQUE)")
        run(two.warm, named("7"))
        two.execute("ALTER TABLE t ALTER v TYPE text")
        run(two.warm, named("007"))
        with pytest.raises(NameTaken):
            run(two.warm, named("7"))

    @pytest.mark.parametrize("value", [str(UUID(int=7)), UUID(int=7)], ids=["str", "UUID"])
    def test_no_run_fails_because_the_column_is_a_uuid_now(self, two: ConnectionPair, value):
        two.execute("CREATE TABLE t (k int, v text)")
        batch = insert("t", {"k": 1, "v": value})
        run(two.warm, batch)
        two.execute("ALTER TABLE t ALTER v TYPE uuid USING v::uuid")
        for _ in range(3):
            run(two.warm, batch)
        assert two.admin.execute("SELECT DISTINCT v FROM t").fetchall() == [(UUID(int=7),)]

    @pytest.mark.parametrize(
        ("text", "before", "after"),
        [
            ("SELECT 5::made::int", "CREATE DOMAIN made AS int", "CREATE DOMAIN made AS int"),
            (
                "SELECT ROW(%(n)s::int, 'q')::made::text",
                "CREATE TYPE made AS (a int, b text)",
                "CREATE TYPE made AS (a int, b text)",
            ),
        ],
        ids=["domain", "composite"],
    )
    def test_type_that_is_made_again_is_found(self, two: ConnectionPair, text, before, after):
        two.execute(before)
        values = {"n": 5} if "%" in text else {}
        batch = sql(text, **values).one(tuple)
        expected = [run(two.warm, batch) for _ in range(8)][-1]
        kind = before.split()[1]
        two.execute(f"DROP {kind} made; {after}")
        assert [run(two.warm, batch) for _ in range(3)] == [expected] * 3

    @pytest.mark.parametrize("threshold", [None, 0], ids=["unprepared", "prepared"])
    def test_null_is_sent_to_a_column_that_had_another_type(
        self, two: ConnectionPair, connect, threshold
    ):
        two.execute("CREATE TABLE t (k int, v bigint)")
        conn = connect(prepare_threshold=threshold)
        run(conn, insert("t", {"k": 1, "v": 7}))
        two.execute("ALTER TABLE t ALTER v TYPE uuid USING NULL")
        for value in (None, UUID(int=7), None):
            answer = attempt(conn, insert("t", {"k": 1, "v": value}))
            assert isinstance(answer, Ok)
        assert batchq.run(conn, select("t", ["k"], where={"v": []}).all(tuple)) == []


CHANGES = {
    "a column, dropped": ("CREATE TABLE t (k int, v text, w int)", "ALTER TABLE t DROP v"),
    "a column, renamed": ("CREATE TABLE t (k int, v text)", "ALTER TABLE t RENAME v TO w"),
    "a column, added": ("CREATE TABLE t (k int, v text)", "ALTER TABLE t ADD w int DEFAULT 3"),
    "columns that trade places": (
        "CREATE TABLE t (k int, v text, w int)",
        "ALTER TABLE t RENAME v TO x; ALTER TABLE t RENAME w TO v",
    ),
    "a table, dropped": ("CREATE TABLE t (k int, v text)", "DROP TABLE t"),
    "a table, renamed and another in its place": (
        "CREATE TABLE t (k int, v text)",
        "ALTER TABLE t RENAME TO t_old; CREATE TABLE t (k int, v bigint)",
    ),
    "a table and then a view": (
        "CREATE TABLE t (k int, v text)",
        "DROP TABLE t; CREATE TABLE u (k int, v ci); CREATE VIEW t AS SELECT k, v FROM u",
    ),
    "a view, replaced": (
        "CREATE TABLE u (k int, v text, w int); CREATE VIEW t AS SELECT k, v FROM u",
        "DROP VIEW t; CREATE VIEW t AS SELECT k, w AS v FROM u",
    ),
    "an enum, renamed": ("CREATE TABLE t (k int, v mood)", "ALTER TYPE mood RENAME TO temper"),
    "a label, renamed": (
        "CREATE TABLE t (k int, v mood)",
        "ALTER TYPE mood RENAME VALUE '7' TO 'seven'",
    ),
    "an enum, dropped": (
        "CREATE TABLE t (k int, v mood)",
        "ALTER TABLE t ALTER v TYPE text; DROP TYPE mood",
    ),
    "an enum, made again": (
        "CREATE TABLE t (k int, v mood)",
        """ALTER TABLE t ALTER v TYPE text; DROP TYPE mood; CREATE TYPE mood AS ENUM ('7', 'ab');
        ALTER TABLE t ALTER v TYPE mood USING v::mood""",
    ),
    "a domain, dropped": (
        "CREATE TABLE t (k int, v number)",
        "ALTER TABLE t ALTER v TYPE text; DROP DOMAIN number",
    ),
    "a trigger, added": (
        "CREATE TABLE t (k int, v text)",
        """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN NEW.v := 'by trigger'; RETURN NEW; END$$;
        CREATE TRIGGER f BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()""",
    ),
    "a generated column": (
        "CREATE TABLE t (k int, v text)",
        "ALTER TABLE t DROP v; ALTER TABLE t ADD v text GENERATED ALWAYS AS ('7') STORED",
    ),
    "a policy": (
        "CREATE TABLE t (k int, v text); INSERT INTO t VALUES (1, '7')",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY",
    ),
}
TEXTS = ("007", "7", "ab", "AB", "ab  ")


@pytest.mark.parametrize("change", CHANGES)
def test_schema_change_affects_prepared_and_unprepared_alike(two: ConnectionPair, change):
    before, after = CHANGES[change]
    two.execute(before)
    # Pairwise: each statement and each change meet each value, in half of the cases.
    place = [*CHANGES].index(change)
    batches = [
        batch
        for number, (name, value) in enumerate(product(STATEMENTS, (*TEXTS, None)))
        if (number + number // (len(TEXTS) + 1) + place) % 2 == 0
        and (batch := statement(name, value))
    ]
    for batch in batches:
        warm, cold = two.both(batch)
        assert warm == cold
    assert len(two.prepared_names()) > len(STATEMENTS) / 7
    two.execute(after)
    for still in (True, False):
        for batch in batches:
            warm, cold = two.both(batch, still=still)
            assert warm == cold, batch


class Mood(Enum):
    SEVEN = "7"
    OLD = "007"


VALUES = [
    *("007", "7", "ab", "AB", "ab  ", " 7", "2024-05-01", "2024-05-01 10:30:00", "1.50", "{}"),
    *("{1,2}", "{ a , b }", '{"b":1,"a":1}', "10.0.0.1", "10.0.0.1/8", "x" * 70, "\\101"),
    *("pg_class", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", 7, 0, True, None, b"ab", Mood.OLD),
    *(Decimal("1.50"), UUID(int=7), date(2024, 5, 1), datetime(2024, 5, 1, 10, 30)),  # noqa: DTZ001
    *(["ab", "a b"], ["007", "7"], ["\u1680x"], [], [7], [None, "ab"], [UUID(int=7)]),
    *(Jsonb({"b": 1}), IPv4Address("10.0.0.1")),
]


def check_pair(two: ConnectionPair, before, after, *, new_table, values, names, still=True) -> int:
    """Run statements with values before and after a change of the column's type."""
    batches = [one for name in names for v in values if (one := statement(name, v)) is not None]
    two.set_column_type(before)
    for batch in batches:
        warm, cold = two.both(batch)
        assert warm == cold, (before, batch)
    two.set_column_type(after, new_table=new_table)
    for batch in batches:
        warm, cold = two.both(batch, still=still)
        assert warm == cold, (before, after, batch)
    return 2 * len(batches)


# Where what a text is compared with or becomes decides what it means, by other rules than text's.
CHANGES_MEANING = [("text", other) for other in ("ci", "char(8)", "name", '"char"', "words")]
CHANGES_MEANING += [
    (other, "text") for other in ("int", "mood", "bytea", "uuid", "text[]", "char(8)")
]


@pytest.mark.parametrize(("before", "after"), CHANGES_MEANING)
def test_a_text_means_the_same_by_way_of_a_column_of_another_type(two, before, after):
    check_pair(
        two,
        before,
        after,
        new_table=False,
        values=[*VALUES[:5], "{ a , b }", "x" * 70],
        names=STATEMENTS,
    )


def test_a_null_by_the_type_last_sent_is_asked_about_and_no_failure(two: ConnectionPair):
    """The question is sent with the type that the last value had, which the column is not of."""
    check_pair(two, "words", "char(8)", new_table=True, values=VALUES, names=["check"])


@settings(max_examples=12, deadline=None)
@given(
    pair=st.sampled_from([*permutations(COLUMNS, 2)]),
    new_table=st.booleans(),
    values=st.lists(st.sampled_from(VALUES), min_size=1, max_size=6),
    names=st.lists(st.sampled_from([*STATEMENTS]), min_size=1, max_size=5, unique=True),
    still=st.booleans(),
)
def test_no_value_is_another_by_way_of_any_type(two_for_all, pair, **drawn):
    check_pair(two_for_all, *pair, **drawn)


@pytest.fixture(scope="module")
def two_for_all(postgres):
    """Both connections, for many examples: what was prepared for one is there in the next."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as owner:
        owner.execute("CREATE SCHEMA stale")
        try:

            def connect(**kwargs):
                options = "-csearch_path=stale,public"
                return psycopg.connect(
                    postgres.conninfo(), autocommit=True, options=options, **kwargs
                )

            with connection_pair(connect) as two:
                yield two
        finally:
            two.admin.close()
            owner.execute("DROP SCHEMA stale CASCADE")


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_value_is_another_by_way_of_any_type_at_length(two_for_all):
    pairs = [*permutations(COLUMNS, 2)]
    random.shuffle(pairs)
    runs = 0
    for number, (before, after) in enumerate(pairs[:120]):
        runs += check_pair(
            two_for_all,
            before,
            after,
            new_table=number % 2 > 0,
            values=VALUES,
            names=STATEMENTS,
            still=number % 4 > 0,
        )
    print(f"\n{runs} pairs of runs over 120 changes of a type")  # noqa: T201


@pytest.mark.parametrize("mode", ["auto", "force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("index", [False, True], ids=["no index", "an index"])
def test_a_guard_sees_what_its_column_has_become(two: ConnectionPair, mode, index):
    """A name is taken whatever its case, from the day on that the column says so."""
    two.warm.execute(f"SET plan_cache_mode = {mode}", prepare=False)
    two.execute("CREATE TABLE t (k int, v text); INSERT INTO t VALUES (1, 'Ada')")
    if index:
        two.execute("CREATE INDEX t_v ON t (v)")
        two.warm.execute("SET enable_seqscan = off", prepare=False)
    free = select("t", where={"v": "ada"}).expect(0, unexpected=KeyError)
    for _ in range(8):
        run(two.warm, free)
    two.execute("DROP INDEX IF EXISTS t_v; ALTER TABLE t ALTER v TYPE ci")
    with pytest.raises(KeyError):
        run(two.warm, free)


def test_search_path_set_by_a_batch_applies_in_the_flight_that_prepares(
    two: ConnectionPair,
):
    two.execute("CREATE SCHEMA IF NOT EXISTS elsewhere; CREATE TABLE elsewhere.t (k int, v text)")
    two.execute("CREATE TABLE t (k int, v int)")
    try:
        batch = gather(
            insert("t", {"k": 1, "v": "007"}),
            sql("SET LOCAL search_path = elsewhere"),
            insert("t", {"k": 1, "v": "007"}),
        )
        run(two.warm, batch)
        assert two.admin.execute("SELECT v FROM elsewhere.t").fetchall() == [("007",)]
    finally:
        two.execute("DROP SCHEMA elsewhere CASCADE")


class TestHidden:
    """What PostgreSQL itself does not notice: another object by a name that a prepared statement
    has found already. Documented, with the way out."""

    @pytest.fixture
    def hidden(self, two: ConnectionPair):
        two.execute("CREATE TABLE t (v text); INSERT INTO t VALUES ('of all')")
        two.warm.execute("CREATE TEMPORARY TABLE first_one ()", prepare=False)
        two.warm.execute("CREATE FUNCTION f(text) RETURNS text LANGUAGE sql RETURN 'text'")
        return two

    def test_a_first_temporary_table_is_noticed(self, two: ConnectionPair):
        two.execute("CREATE TABLE t (v text); INSERT INTO t VALUES ('of all')")
        read = select("t", ["v"], where={"v": ["of all", "mine"]}).all(tuple)
        assert run(two.warm, read) == [("of all",)]
        two.warm.execute("CREATE TEMPORARY TABLE t AS SELECT 'mine' AS v", prepare=False)
        assert run(two.warm, read) == [("mine",)]

    def test_another_is_once_plans_are_discarded(self, hidden: ConnectionPair):
        read = select("t", ["v"], where={"v": ["of all", "mine"]}).all(tuple)
        for _ in range(2):  # asked about, and prepared
            assert run(hidden.warm, read) == [("of all",)]
        hidden.warm.execute("CREATE TEMPORARY TABLE t AS SELECT 'mine' AS v", prepare=False)
        assert run(hidden.warm, read) == [("of all",)]
        hidden.warm.execute("DISCARD PLANS", prepare=False)
        assert run(hidden.warm, read) == [("mine",)]


_LAST = sql("SELECT 'what is not wanted is closed after this'")


class TestStays:
    """What stays prepared: where values mean the same, and nowhere else."""

    @pytest.fixture
    def stays(self, two: ConnectionPair):
        def stays(column, make, *values):
            """How many statements are prepared by these, run twice, once others are closed."""
            two.set_column_type(column)
            state_of(two.warm).invalidate(lost=False)
            run(two.warm, _LAST)
            before = two.prepared_names()
            for value in values * 2:
                attempt(two.warm, make(value))
            run(two.warm, _LAST)
            return len(two.prepared_names() - before)

        return stays

    @pytest.mark.parametrize("name", ["insert", "update"])
    def test_a_text_in_a_column_that_gives_it_back(self, stays, name):
        columns = {"text": "ab", "varchar(20)": "ab", "mood": "ab", "text[]": ["ab", "a b"]}
        columns["mood[]"] = ["ab", "007"]
        columns["varchar(5)[]"] = "{ab}"
        for column, value in columns.items():
            assert stays(column, STATEMENTS[name], value) == 1, column
        for column in [one for one in COLUMNS if one not in (*columns, "varchar(2)")]:
            assert stays(column, STATEMENTS[name], "7") == 0, column

    @pytest.mark.parametrize(
        "name",
        [
            *("select", "select, one of several", "delete", "delete, guarded", "require"),
            *("ne", "not_in", "refuse"),
        ],
    )
    def test_a_text_that_a_column_of_texts_is_compared_with(self, stays, name):
        columns = {"text", "varchar(20)", "varchar(2)", "words", "mood"}
        for column in COLUMNS:
            if not column.endswith("[]"):
                assert stays(column, STATEMENTS[name], "7") == (column in columns), column

    def test_a_text_that_a_column_of_texts_is_ordered_by(self, stays):
        for column in ("text", "varchar(20)", "words", "mood"):
            assert stays(column, STATEMENTS["lt"], "7") == 1, column
        for column in ("name", "char(8)", "int", "date", "ci"):
            assert stays(column, STATEMENTS["lt"], "7") == 0, column

    def test_a_pattern_whatever_is_like_it(self, stays):
        for column in ("text", "varchar(20)", "words", "char(8)", "name", "ci"):
            assert stays(column, STATEMENTS["like"], "7%") == 1, column

    def test_a_pattern_is_matched_by_the_rules_of_its_column(self, two: ConnectionPair):
        two.set_column_type("int")
        for column, found in (("text", [(1,)]), ("ci", [(1,), (2,)]), ("varchar(20)", [(1,)])):
            two.set_column_type(column, new_table=False)
            for _ in range(3):
                assert sorted(run(two.warm, STATEMENTS["like"]("a_"))) == found, column

    def test_text_with_its_type_in_the_statement_is_prepared(self, stays):
        for cast in (
            "%(v)s::text",
            "%(v)s ::numeric",
            "CAST(%(v)s AS int)",
            "cast( %(v)s as date)",
        ):
            value = "2024-05-01" if "date" in cast else "7"
            assert stays("text", lambda v, c=cast: sql(f"SELECT {c} AS w", v=v), value) == 1, cast

    @pytest.mark.parametrize("name", ["sql", "sql, coalesce", "sql, insert", "fragment"])
    def test_text_in_sql_without_a_type_is_not_prepared(self, stays, name):
        assert stays("text", STATEMENTS[name], "ab") == 0

    @pytest.mark.parametrize("cast", ["%(v)s::words", "%(v)s::mood2", "%(v)s::text || %(v)s"])
    def test_text_of_a_user_defined_type_is_not_prepared(self, stays, cast):
        assert stays("text", lambda v: sql(f"SELECT {cast} AS w", v=v), "ab") == 0

    def test_a_null_in_a_column_of_any_type(self, stays):
        assert [stays(column, STATEMENTS["insert"], None) for column in ("int", "uuid")] == [1, 1]

    def test_text_after_a_null_is_sent_again(self, stays):
        assert stays("text", STATEMENTS["insert"], None, "ab", "AB") == 1

    @pytest.mark.parametrize("value", [7, UUID(int=7), Decimal(7), [7], date(2024, 5, 1)])
    def test_a_declared_type(self, stays, value):
        assert stays("text", lambda v: sql("SELECT %(v)s AS w", v=v), value) == 1

    def test_a_system_column_is_refused_once_and_not_again(self, two: ConnectionPair):
        """It has no place in the row's type that the check of its type uses."""
        two.set_column_type("text")
        read = select("t", ["k"], where={"ctid": "(0,1)"}).all(tuple)
        assert [run(two.warm, read) for _ in range(3)] == [[(1,)]] * 3


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
lists = st.lists(st.none() | words | st.sampled_from(["NULL", "null", "a b", 'q"', "{", "\u1680"]))


@settings(max_examples=200, deadline=None)
@given(values=lists | words.map(lambda word: "{" + word + "}"))
def test_a_list_that_is_held_to_be_written_as_the_server_writes_it_is(two_for_all, values):
    sent = two_for_all.cold.execute("SELECT %s", [values], prepare=False)
    try:
        (read,) = two_for_all.cold.execute(
            "SELECT convert_to(%s::text[]::text, 'UTF8')", [values], prepare=False
        ).fetchone()
    except psycopg.Error:
        return
    del sent
    written = psycopg.adapt.Transformer(two_for_all.cold).dump_sequence(
        [values], [psycopg.adapt.PyFormat.AUTO]
    )[0]
    if written is not None and _CANONICAL.fullmatch(written):
        assert read == bytes(written)


@pytest.mark.parametrize("values", [[], ["ab"], ["a b", "", None, "null", 'q"\\', "{", "tcp"]])
def test_a_list_of_texts_is_mostly_written_as_the_server_writes_it(connect, values):
    written = psycopg.adapt.Transformer(connect()).dump_sequence(
        [values], [psycopg.adapt.PyFormat.AUTO]
    )[0]
    assert written is not None
    assert _CANONICAL.fullmatch(written)
