# SPDX-License-Identifier: MIT
"""ON CONFLICT on a server: what is inserted, updated, passed over, returned and blamed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from batchq import (
    GuardFailed,
    UnmappedViolation,
    created,
    gather,
    insert,
    missing,
    param,
    run,
    sequence,
    sql,
    steps,
    unique,
)
from batchq.conditions import gt, lt, ne
from batchq.result import Failed, Ok, attempt
from batchq.types import Inserted
from tests.support.lock_waits import until_waits
from tests.support.plan_modes import EACH_PLAN_MODE

TABLE = """
CREATE TABLE host (
    name text, zone int DEFAULT 1, seen bigint, note text, serial text UNIQUE, deleted bool,
    times int DEFAULT 1, CHECK (times < 99)
);
CREATE UNIQUE INDEX host_name ON host (name);
CREATE UNIQUE INDEX host_live ON host (zone, lower(note)) WHERE deleted IS NULL;
"""


class Host(NamedTuple):
    name: str
    seen: int | None
    times: int


class Seen(NamedTuple):
    name: str
    seen: int | None


class TakenError(Exception):
    pass


@pytest.fixture
def host(planned, observer):
    observer.execute(TABLE)
    return planned


def seen(n: int | None, **columns: Any):
    return insert("host", {"name": "a", "seen": n, **columns})


MORE = {"seen": sql("excluded.seen"), "times": sql('"host".times + %(n)s', n=1)}
DIFFERS = sql('("host".seen, "host".note) IS DISTINCT FROM (excluded.seen, excluded.note)')


def rows(conn) -> list[tuple[Any, ...]]:
    text = "SELECT name, seen, times FROM host ORDER BY name"
    return conn.execute(text, prepare=False).fetchall()


def test_row_is_inserted_and_then_updated(host):
    for n, times in (1, 1), (2, 2), (3, 3):
        one = seen(n).on_conflict_do_update("name", set=MORE).one(Host)
        assert run(host, one) == ("a", n, times)
    assert run(host, seen(4).on_conflict_do_update("name", set=["seen"]).count()) == 1
    assert rows(host) == [("a", 4, 3)]


def test_conditions_pass_over_the_row(host):
    def later(n: int, **where: Any):
        return seen(n).on_conflict_do_update(
            "name", set=MORE, where={"seen": lt(sql("excluded.seen")), **where}
        )

    for n, wanted in (5, ("a", 5, 1)), (5, None), (4, None), (6, ("a", 6, 2)):
        assert run(host, later(n).maybe(Host)) == wanted
    assert run(host, later(6).count()) == 0
    assert run(host, later(6).all(Host)) == []
    assert run(host, later(7, times=ne(2)).maybe(Host)) is None
    assert run(host, later(7, note="x").maybe(Host)) is None
    assert run(host, later(7, note=ne("x"), times=gt(1)).maybe(Host)) == ("a", 7, 3)
    answer = attempt(host, gather(insert("host", {"name": "b"}), later(7).one(Host)))
    assert isinstance(answer.error, GuardFailed)
    assert (answer.report.index, answer.report.violation.rows) == (1, 0)
    assert rows(host) == [("a", 7, 3)]


def test_equal_row_is_not_written(host):
    def same(n: int, note: str | None):
        row = seen(n, note=note)
        return row.on_conflict_do_update("name", set=["seen", "note"], where=DIFFERS).count()

    def version():
        return host.execute("SELECT xmin, ctid FROM host", prepare=False).fetchone()

    assert run(host, same(1, None)) == 1
    first = version()
    assert run(host, same(1, None)) == 0
    assert version() == first
    assert run(host, same(1, "x")) == 1
    assert version() != first


def test_nothing_is_done_on_any_conflict(host):
    run(host, seen(1, serial="s"))
    new = insert("host", {"name": "b", "serial": "s"})
    assert run(host, new.on_conflict_do_nothing().count()) == 0
    taken = new.on_conflict_do_nothing("name").on(unique("host_serial_key"), TakenError)
    assert isinstance(attempt(host, taken).error, TakenError)
    assert run(host, seen(2).on_conflict_do_nothing("name").maybe(Host)) is None
    assert rows(host) == [("a", 1, 1)]


def test_index_of_an_expression_with_a_predicate(host):
    def upsert(name: str, note: str):
        return seen(1, name=name, zone=3, note=note).on_conflict_do_update(
            "zone",
            sql("lower(note)"),
            index_where={"deleted": None},
            set={"seen": sql("excluded.seen + 1")},
        )

    assert run(host, upsert("a", "X").one(Seen)) == ("a", 1)
    assert run(host, upsert("b", "x").one(Seen)) == ("a", 2)
    assert run(host, upsert("b", "y").one(Seen)) == ("b", 1)


def test_other_violations_are_blamed_on_their_row(host):
    run(host, sequence([seen(1, serial="s"), insert("host", {"name": "b"})]))
    clash = insert("host", {"name": "b", "serial": "s"})
    clash = clash.on_conflict_do_update("name", set=["serial"])
    answer = attempt(host, gather(seen(2).on_conflict_do_update("name", set=MORE), clash))
    assert isinstance(answer.error, UnmappedViolation)
    assert (answer.report.index, answer.report.violation.constraint) == (1, "host_serial_key")
    mapped = clash.on(unique("host_serial_key"), TakenError)
    assert isinstance(attempt(host, mapped).error, TakenError)
    full = seen(1).on_conflict_do_update("name", set={"times": 99})
    assert attempt(host, full).report.violation.constraint == "host_times_check"


def test_updated_row_is_ensured(host):
    bumped = seen(1).on_conflict_do_update("name", set=MORE)
    fine = bumped.ensure({"times": lt(3)}, raises=TakenError)
    assert [type(attempt(host, fine)) for _ in range(3)] == [Ok, Ok, Failed]
    assert rows(host) == [("a", 1, 2)]


def test_declared_is_bound_and_repeated(host):
    declared = (
        insert("host", Seen)
        .on_conflict_do_update(
            "name",
            set={"seen": sql("excluded.seen"), "times": param("times", int)},
            where={"seen": lt(sql("excluded.seen")), "times": lt(param("most", int))},
        )
        .maybe(Host)
    )
    for n, times, most, wanted in (
        (1, 2, 9, ("a", 1, 1)),
        (2, 2, 9, ("a", 2, 2)),
        (2, 3, 9, None),
        (3, 3, 2, None),
    ):
        assert run(host, declared.bind(Seen("a", n), times=times, most=most)) == wanted
    each = declared.partial(times=4, most=9).takes(Seen)
    answers = run(host, each.each([Seen("a", 3), Seen("b", 1), Seen("a", 3), Seen("b", 2)]))
    assert answers == [("a", 3, 4), ("b", 1, 1), None, ("b", 2, 4)]


def test_outputs_are_set_and_compared(host):
    first = seen(5, name="first")
    using = seen(1, name="b").on_conflict_do_update(
        "name",
        set={"seen": first.output("seen"), "times": 7},
        where={"seen": lt(first.output("seen"))},
    )
    run(host, seen(4, name="b"))
    after = insert("host", {"name": "c", "seen": using.output("times")}).one(Seen)
    assert run(host, gather(first, using, after))[2] == ("c", 7)
    assert rows(host)[0] == ("b", 5, 7)
    passed = gather(seen(5, name="x"), using.label("again"))
    with pytest.raises(Exception, match="output"):
        run(host, passed)


def test_schema_and_odd_names(host):
    schema = host.execute("SELECT current_schema", prepare=False).fetchone()[0]
    host.execute('CREATE TABLE "odd ""t" ("the key" int PRIMARY KEY, "select" int)', prepare=False)
    table = f'{schema}.odd "t'
    for n, wanted in (3, 3), (2, None), (5, 5):
        odd = insert(table, {"the key": 1, "select": n}).on_conflict_do_update(
            "the key", set=["select"], where={"select": lt(n)}
        )
        got = run(host, odd.returning("select").maybe(tuple))
        assert got == (None if wanted is None else (wanted,))


def test_row_and_whether_it_is_new_are_returned(host):
    upsert = seen(1).on_conflict_do_update("name", set=MORE)
    assert run(host, upsert.inserted(Host)) == Inserted(Host("a", 1, 1), created=True)
    assert run(host, upsert.inserted(Host)) == Inserted(Host("a", 1, 2), created=False)
    assert run(host, gather(upsert.inserted(Seen), upsert.returning("seen").inserted(dict))) == (
        Inserted(Seen("a", 1), created=False),
        Inserted({"seen": 1}, created=False),
    )
    new = seen(1, name="b").on_conflict_do_update("name", set=["seen"])
    asked = gather(new.inserted(Host), new.inserted(Host))
    assert [each.created for each in run(host, asked)] == [True, False]
    assert run(host, new.returning("name", created()).one(tuple)) == ("b", False)
    passed = seen(1).on_conflict_do_update("name", set=MORE, where={"seen": 9})
    answer = attempt(host, passed.inserted(Host))
    assert isinstance(answer.error, GuardFailed)
    assert run(host, passed.on(missing(), TakenError).maybe(Host)) is None


def test_each_row_reports_whether_it_is_new(host):
    declared = insert("host", Seen).on_conflict_do_update("name", set=["seen"])
    rows = [Seen("a", 1), Seen("b", 1), Seen("a", 2)]
    answers = run(host, declared.inserted(Host).each(rows))
    assert [(each.row.seen, each.created) for each in answers] == [(1, True), (1, True), (2, False)]
    assert run(host, declared.inserted(Host).bind(Seen("b", 2))).created is False


def test_creation_is_ensured_and_put_out(host):
    upsert = seen(1, note="x").on_conflict_do_update("name", set=["seen"])
    only = upsert.ensure({created(): True, "note": "x"}, raises=lambda v: TakenError(v.row))
    assert run(host, only.one(Seen)) == ("a", 1)
    answer = attempt(host, only)
    assert isinstance(answer.error, TakenError)
    assert answer.error.args[0] == {created(): False, "note": "x"}
    known = upsert.ensure({created(): param("known", bool)})
    run(host, known.bind(known=False))
    noted = insert("host", {"name": "b", "deleted": upsert.output(created()), "note": "b"})
    asked = sql("SELECT NOT %(c)s", c=upsert.output(created())).scalar(bool)
    assert run(host, gather(upsert, noted.returning("deleted").scalar(bool), asked)) == (
        None,
        False,
        True,
    )


def test_row_of_nulls_and_a_table_named_old_report_it_as_well(host):
    host.execute("CREATE TABLE old (a int, UNIQUE NULLS NOT DISTINCT (a))", prepare=False)
    upsert = insert("old", {"a": None}).on_conflict_do_update("a", set=["a"])
    asked = upsert.returning("a").inserted(tuple)
    assert run(host, asked) == Inserted((None,), created=True)
    assert run(host, asked) == Inserted((None,), created=False)


def test_row_locked_by_others_reports_it_as_well(host, observer):
    """Its xmax is then that of several transactions."""
    observer.execute("INSERT INTO host (name, seen) VALUES ('a', 1)")
    with observer.transaction():
        observer.execute("SELECT 1 FROM host FOR KEY SHARE")
        upsert = seen(1).on_conflict_do_update("name", set=MORE)
        assert run(host, gather(upsert, upsert.inserted(Host)))[1].created is False


@pytest.mark.parametrize("table", ["parted", "shown"])
def test_partitioned_tables_and_views_report_it_or_the_error_says_so(conn, table):
    conn.execute(
        "CREATE TABLE parted (name text PRIMARY KEY, seen int) PARTITION BY LIST (name);"
        "CREATE TABLE part PARTITION OF parted DEFAULT;"
        "CREATE TABLE plain (name text PRIMARY KEY, seen int);"
        "CREATE VIEW shown AS SELECT * FROM plain"
    )
    upsert = insert(table, {"name": "a", "seen": 1}).on_conflict_do_update("name", set=["seen"])
    for made in (True, False):
        answer = attempt(conn, upsert.inserted(Seen))
        if conn.info.server_version >= 180000:
            assert answer == Ok(Inserted(Seen("a", 1), created=made))
        else:
            assert "or use insert_or_get()" in str(answer.error)
    run(conn, upsert)
    assert run(conn, upsert.one(Seen)) == ("a", 1)


@pytest.mark.parametrize("mode", EACH_PLAN_MODE[:2])
def test_writers_of_an_absent_row_insert_it_once(connect, mode):
    """All but the first wait for its lock, which it keeps until they do."""
    writers, observer = [mode.set_on(connect()) for _ in range(24)], connect()
    observer.execute(TABLE)
    batch = seen(1).on_conflict_do_update("name", set=MORE).inserted(Host)
    first, *others = writers
    with ThreadPoolExecutor(len(others)) as threads:
        with first.transaction():
            assert run(first, batch, nested=True) == Inserted(Host("a", 1, 1), created=True)
            work = [(conn, threads.submit(run, conn, batch)) for conn in others]
            for conn, each in work:
                until_waits(observer, conn.info.backend_pid, each)
        answers = [each.result() for _, each in work]
    assert sorted(answer.row.times for answer in answers) == list(range(2, 25))
    assert not any(answer.created for answer in answers)
    assert rows(observer) == [("a", 1, 24)]


def test_text_for_cockroachdb_has_no_name_of_a_catalog():
    """CockroachDB has INSERT ON CONFLICT, its EXCLUDED, and a table's name in DO UPDATE."""
    text = steps(seen(1).on_conflict_do_update("name", set=["seen"], where={"seen": lt(3)}))[0].sql
    assert text.endswith('DO UPDATE SET "seen" = EXCLUDED."seen" WHERE "host"."seen" < $3')
