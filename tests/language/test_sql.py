# SPDX-License-Identifier: MIT
"""``sql()``: placeholders become ``$n``, and what a batch cannot hold is refused, nothing else."""

from __future__ import annotations

import psycopg.sql
import pytest

from batchq import InvalidBatch, delete, gather, insert, param, select, sql, steps


def sent(text, /, **params):
    (step,) = steps(sql(text, **params))
    return step.sql, step.parameters


@pytest.mark.parametrize(
    "text", [psycopg.sql.SQL("SELECT 1"), b"SELECT 1", 7, None, ["x"]], ids=str
)
def test_text_that_is_not_a_str_is_rejected(text):
    for params in ({}, {"a": 1}):
        with pytest.raises(InvalidBatch, match=r"sql\(\): the text must be a str, not an? "):
            sql(text, **params)


# -- placeholders ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "params", "expected", "values"),
    [
        ("SELECT %(a)s", {"a": 1}, "SELECT $1", (1,)),
        ("SELECT %(b)s, %(a)s", {"a": 1, "b": 2}, "SELECT $1, $2", (2, 1)),
        ("SELECT %(a)s, %(b)s, %(a)s", {"a": 1, "b": 2}, "SELECT $1, $2, $1", (1, 2)),
        ("SELECT 7 %% %(a)s", {"a": 1}, "SELECT 7 % $1", (1,)),
        ("SELECT %(a)s LIKE '%%%%'", {"a": 1}, "SELECT $1 LIKE '%%'", (1,)),
        ("SELECT %(é_1)s", {"é_1": 1}, "SELECT $1", (1,)),
        ("SELECT %(a)s::int4[]", {"a": [1]}, "SELECT $1::int4[]", ([1],)),
        ("SELECT 7 % 2, '%%', '%s'", {}, "SELECT 7 % 2, '%%', '%s'", ()),
    ],
    ids=["one", "order of text", "repeated", "percent", "percents", "unicode", "cast", "none"],
)
def test_placeholders_become_numbered_parameters_as_psycopg_reads_them(
    text, params, expected, values
):
    assert sent(text, **params) == (expected, values)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES (%(a)s,%(b)s)",
        "SELECT f(%(a)s,%(b)s), g(%(a)s,%(b)s)",
        "SELECT ARRAY[%(a)s,%(b)s]",
        "SELECT %(a)s+%(b)s",
        "SELECT %(a)s::text||%(b)s",
        "SELECT * FROM t WHERE x=%(a)s AND y IN(%(b)s)",
        "CALL f(%(a)s, %(b)s)",
        "EXPLAIN SELECT %(a)s, %(b)s",
    ],
)
def test_two_parameters_in_any_place_are_numbered(text):
    expected = text.replace("%(a)s", "$1").replace("%(b)s", "$2")
    assert sent(text, a=1, b=2)[0] == expected


@pytest.mark.parametrize(
    ("text", "params", "teaches"),
    [
        ("SELECT %(a)s", {}, r"%\(a\)s .* pass a="),
        ("SELECT %(a)s, %(b)s", {"a": 1}, r"%\(b\)s .* pass b="),
        ("SELECT %(a)s", {"a": 1, "b": 2}, r"no %\(b\)s; drop b="),
        ("SELECT 1", {"a": 1}, r"no %\(a\)s; drop a="),
        ("SELECT %s", {"a": 1}, r"write %\(name\)s"),
        ("SELECT %(a)s, 7 % 2", {"a": 1}, r"%% for a percent sign"),
        ("SELECT %(a)s LIKE 'x%", {"a": 1}, r"%% for a percent sign"),
        ("SELECT %(a)d", {"a": 1}, r"is not a placeholder; write %\(a\)s"),
        ("SELECT %(a)b", {"a": 1}, r"is not a placeholder; write %\(a\)s"),
        ("SELECT %(a)", {"a": 1}, r"is not a placeholder; write %\(a\)s"),
        ("", {}, r"empty"),
        (" \n", {}, r"empty"),
    ],
)
def test_placeholders_and_parameters_that_disagree_are_rejected(text, params, teaches):
    with pytest.raises(InvalidBatch, match=teaches):
        sql(text, **params)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT '%(a)s'",
        "SELECT 'it''s %(a)s'",
        "SELECT E'\\'%(a)s'",
        "SELECT $$%(a)s$$",
        "SELECT $x$ $$ %(a)s $x$",
        'SELECT "%(a)s"',
        "SELECT 1 -- %(a)s",
        "SELECT 1 /* /* */ %(a)s */",
        "SELECT %(a)s, '%(a)s'",
        "SELECT %(a)s -- and not %(a)s",
        "CALL f('%(a)s')",
    ],
)
def test_placeholder_inside_a_string_or_comment_is_rejected(text):
    with pytest.raises(InvalidBatch, match="inside a quoted string or a comment"):
        sent(text, a=1)


@pytest.mark.parametrize(
    ("text", "params"),
    [("SELECT $1", {}), ("SELECT $2, %(a)s", {"a": 1}), ("SELECT %(a)s, $1", {"a": 1})],
)
def test_numbered_parameter_is_rejected(text, params):
    """It would be one of batchq's own: the next parameter, or the guard's token."""
    with pytest.raises(InvalidBatch, match=r"write %\(name\)s"):
        sent(text, **params)


def test_parameters_of_the_guard_count_towards_the_protocol_limit():
    names = [f"p{i}" for i in range(65_535)]
    text = "SELECT " + ", ".join(f"%({name})s" for name in names)
    query = sql(text, **dict.fromkeys(names, 0))
    for guarded, added in ((query.one(tuple), 1), (query.all(tuple).expect(2), 2)):
        message = f"65535 parameters in one statement, and {added} that batchq adds: the protocol"
        with pytest.raises(InvalidBatch, match=message):
            _ = steps(guarded)[0].sql


# -- what a batch cannot contain -------------------------------------------------------------------

REJECTED = {
    "because a batch is one": [
        "BEGIN",
        "begin work",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION",
        "COMMIT",
        "Commit And Chain",
        "END",
        "end transaction",
        "ROLLBACK",
        "ROLLBACK TO SAVEPOINT a",
        "ABORT",
        "SAVEPOINT a",
        "RELEASE a",
        "RELEASE SAVEPOINT a",
        "PREPARE TRANSACTION 'a'",
        "COMMIT PREPARED 'a'",
        "ROLLBACK PREPARED 'a'",
        "SET TRANSACTION READ ONLY",
        "SET LOCAL TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "/* a */ -- b\n COMMIT",
        "  COMMIT ;",
    ],
    r"cursor\.copy\(\)": ["COPY t FROM STDIN", "copy (SELECT 1) TO STDOUT"],
    "CockroachDB would commit": [
        "CREATE TABLE t ()",
        "create unique index on t (a)",
        "CREATE TABLE t AS SELECT 1",
        "ALTER TABLE t ADD c int",
        "DROP TABLE t",
        "TRUNCATE t",
        "COMMENT ON TABLE t IS 'x'",
        "GRANT SELECT ON t TO u",
        "REVOKE ALL ON t FROM u",
        "REINDEX TABLE t",
        "REFRESH MATERIALIZED VIEW v",
        "WITH a AS (DROP TABLE t) SELECT 1",
        "SELECT * FROM [DROP TABLE t]",
    ],
    "runs outside a transaction": [
        "BACKUP INTO 'x'",
        "backup TABLE t INTO 'x'",
        "RESTORE FROM LATEST IN 'x'",
        "EXPORT INTO CSV 'x' FROM SELECT * FROM t",
        "INSPECT TABLE t",
        "EXPERIMENTAL CHANGEFEED FOR t",
        "EXPERIMENTAL SCRUB TABLE t",
        "PAUSE JOB 1",
        "RESUME JOBS (SELECT 1)",
        "CANCEL QUERY 'x'",
        "PAUSE SCHEDULES (SELECT 1)",
        "SET CLUSTER SETTING kv.x = 1",
        "RESET CLUSTER SETTING kv.x",
        "WAIT FOR LSN '0/1'",
        "REPACK t",
        "DISCARD ALL",
        "WITH a AS (BACKUP INTO 'x') SELECT 1",
        "WITH a AS (SELECT 1), b AS (EXPORT INTO CSV 'x' FROM SELECT 1) SELECT * FROM b",
        "SELECT * FROM [BACKUP INTO 'x']",
    ],
    "VACUUM cannot be part of a batch": ["VACUUM t"],
    "INSERT … SELECT": [
        "SELECT 1 AS a INTO t",
        "SELECT * INTO TEMP t FROM u",
        "WITH a AS (SELECT 1) SELECT * INTO t FROM a",
        "SELECT 1 AS a INTO t UNION SELECT 2",
        "(SELECT 1 AS a INTO t)",
    ],
    "several commands": [
        "SELECT 1; SELECT 2",
        "SELECT 1; COMMIT",
        "CALL f(1); COMMIT",
        "SHOW a; COMMIT",
        "SELECT 1;-",
    ],
    "empty": [";", "-- nothing", "/* nothing */ ;;"],
}
"""A key word of the error, and the texts that it is raised for."""
INCOMPLETE = [
    "SELECT 'a",
    'SELECT "a',
    "SELECT 1 /* a /* b */",
    "SELECT $$a",
    "SELECT $a$ $$",
    "SELECT E'\\'",
    "SELECT 1) , x AS (DELETE FROM t RETURNING 1",
    "SELECT 1) SELECT 1 --",
    "SELECT (1",
    "UPDATE t SET a = 1 WHERE (b",
    "SELECT '(",
    "SELECT 1 /* (",
    "SELECT a]",
]


@pytest.mark.parametrize(
    ("text", "teaches"),
    [(text, teaches) for teaches, texts in REJECTED.items() for text in texts],
)
def test_command_that_a_batch_cannot_contain_is_rejected(text, teaches):
    with pytest.raises(InvalidBatch, match=teaches):
        sent(text)


@pytest.mark.parametrize("text", INCOMPLETE)
def test_text_with_an_open_quote_comment_or_bracket_is_rejected(text):
    with pytest.raises(InvalidBatch, match=r"brackets|closed"):
        sql(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT backup, restore, export, inspect, pause, resume, cancel, repack, wait FROM t",
        "SELECT * FROM json_to_record('{}') AS (comment text, backup text)",
        "SELECT a[backup] FROM t",
        "SELECT ARRAY[export] FROM t",
        'WITH a AS (SELECT 1) SELECT * FROM a JOIN "backup" ON true',
        "SET cluster.setting = 1",
        "DISCARD PLANS",
    ],
)
def test_command_word_as_a_name_is_accepted(text):
    sent(text)


# -- what only looks odd ---------------------------------------------------------------------------

VALID = [
    "SELECT 1;",
    "SELECT 1 ; -- done\n",
    "SELECT $$; COMMIT;$$",
    "SELECT $a$ $$ ; $b$ 'x $a$",
    "SELECT /* a /* ; */ ; */ 1",
    r"SELECT E'it\'s; 50%'",
    r"SELECT '\' || ';'",
    "SELECT 'it''s;', U&'\\0041;', B'01', X'1f'",
    'SELECT "a;""b" FROM "begin"',
    "SELECT a AS begin, b AS commit FROM t",
    "SELECT 1 AS into",
    "SELECT t.into FROM t",
    "SELECT a$1, '$1', $$ $1 $$, \"$1\" FROM t",
    "SELECT '{\"a\": 1}'::jsonb ? 'a', b #>> '{c}', d @> e",
    "INSERT INTO t SELECT 1",
    "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.a",
    "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE",
    "VALUES (1), (2)",
    "TABLE t",
    "(SELECT 1) UNION (SELECT 2)",
    "SELECT * FROM t FOR UPDATE SKIP LOCKED",
    "SET CONSTRAINTS ALL DEFERRED",
    "SET LOCAL statement_timeout = 5",
    "LOCK TABLE t IN SHARE MODE",
    "NOTIFY a, 'b;c'",
    "CALL f('a;b')",
    "DO $$ BEGIN PERFORM 1; END $$",
    "EXPLAIN ANALYZE SELECT ';'",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION TABLE r), d AS (DELETE FROM t RETURNING a) TABLE d",
    "WITH update AS (SELECT 1 AS a) SELECT a FROM update",
]


@pytest.mark.parametrize("text", VALID)
def test_odd_but_valid_sql_is_sent_as_written(text):
    assert sent(text) == (text, ())


# -- a mapping of values ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values", "named", "expected", "passed"),
    [
        ("SELECT %(a)s", {"a": 1}, {}, "SELECT $1", (1,)),
        ("SELECT %(b)s, %(a)s", {"a": 1, "b": 2, "c": 3}, {}, "SELECT $1, $2", (2, 1)),
        ("SELECT %(b)s, %(a)s", {"a": 1, "c": 3}, {"b": 2}, "SELECT $1, $2", (2, 1)),
        ("SELECT 7 %% 2", {"a": 1}, {}, "SELECT 7 % 2", ()),
        ("SELECT 7 %% 2", {}, {}, "SELECT 7 % 2", ()),
        ("SELECT 1", {1: 2}, {}, "SELECT 1", ()),
    ],
)
def test_mapping_may_hold_more_than_the_text_uses(text, values, named, expected, passed):
    (step,) = steps(sql(text, values, **named))
    assert (step.sql, step.parameters) == (expected, passed)


def test_text_has_one_shape_however_its_values_are_passed():
    text = "SELECT %(b)s, %(a)s"
    shape = sql(text, a=1, b=2)._shape
    assert sql(text, b=2, a=1)._shape is shape
    assert sql(text, {"a": 1, "b": 2, "c": 3})._shape is shape
    assert sql(text, {"c": 3, "b": 2}, a=1)._shape is shape


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: sql("SELECT %(a)s", {"b": 1}), r"%\(a\)s has no value; the mapping has no 'a'"),
        (lambda: sql("SELECT %(a)s", {"a": 1}, b=2), r"the text has no %\(b\)s; drop b=…"),
        (lambda: sql("SELECT %(a)s", {"a": 1}, a=2), "'a' is given twice: the mapping has it"),
        (lambda: sql("SELECT %(a)s", [1]), r"by keyword or in a mapping, .*, not a list"),
        (lambda: sql("SELECT %s", {"a": 1}), "is not a placeholder"),
        (lambda: sql(7, {"a": 1}), "the text must be a str, not an int"),
        (lambda: sql(["x"], {"a": 1}), "the text must be a str, not a list"),
    ],
)
def test_mapping_that_does_not_fit_is_rejected(make, text):
    with pytest.raises(InvalidBatch, match=text):
        make()


# -- fragments in a text ---------------------------------------------------------------------------


AGE = sql("now() - %(made)s", made="2024-02-03")


@pytest.mark.parametrize(
    ("statement", "expected", "values"),
    [
        (
            sql("SELECT %(a)s, %(age)s < %(b)s", a=1, age=AGE, b=2),
            "SELECT $1, (now() - $2) < $3",
            (1, "2024-02-03", 2),
        ),
        (
            sql("SELECT %(age)s, %(age)s::text", {"age": AGE, "more": 1}),
            "SELECT (now() - $1), (now() - $1)::text",
            ("2024-02-03",),
        ),
        (
            sql("SELECT %(x)s * 2", x=sql("1 + %(y)s", y=sql("%(z)s -- why", z=3))),
            "SELECT (1 + ($1 -- why\n)) * 2",
            (3,),
        ),
        (sql("SELECT %(x)s", x=sql("SELECT 1")), "SELECT (SELECT 1)", ()),
        (sql("SELECT %(x)s", x=sql("5 % 2")), "SELECT (5 % 2)", ()),
    ],
)
def test_fragment_in_a_text_stands_in_parentheses(statement, expected, values):
    (step,) = steps(statement)
    assert (step.sql, step.parameters) == (expected, values)


def test_text_with_fragments_is_one_condition_and_has_one_shape():
    def made(days):
        late = sql("%(due)s < now()", due=sql("made + %(days)s * interval '1 day'", days=days))
        return delete("job", late)

    (step,) = steps(made(7))
    assert step.sql == ("DELETE FROM \"job\" WHERE (made + $1 * interval '1 day') < now()")
    assert step.parameters == (7,)
    assert made(7)._shape is made(8)._shape
    assert made(param("days", int)).bind(days=9)._values == (9,)
    assert repr(made(param("days", int))) == "<Statement delete job, takes days>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (sql("SELECT 1").scalar(int), r"sql\(x=\): a sql\(\) fragment cannot have a result"),
        (sql("a, b"), r"sql\(x=\): a sql\(\) fragment must be one expression: it is several"),
        (select("t", ["id"], where={"id": 1}), r"sql\(x=\): a statement or batch cannot be used"),
        (gather(), r"sql\(x=\): a statement or batch cannot be used as a value"),
    ],
    ids=["with a result", "two", "a select", "a batch"],
)
def test_what_is_not_one_expression_is_rejected_in_a_text(value, text):
    with pytest.raises(InvalidBatch, match=text):
        sql("SELECT %(x)s", x=value)


def test_output_in_a_text_beside_a_fragment_and_in_it():
    made = insert("job", {"id": 1}).returning("id").one(tuple)
    with pytest.raises(InvalidBatch, match="has no type"):
        sql("%(x)s + %(y)s", x=sql("1"), y=made.output("id"))
    inner = sql("%(id)s + 1", id=made.output("id", "bigint"))
    read = sql("SELECT %(x)s, %(y)s", x=inner, y=made.output("id", "int"))
    assert [output.type for output in read._required_outputs] == ["int", "bigint"]
    assert steps(gather(made, read))[1].sql.count("$1") == 1
