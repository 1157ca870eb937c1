# SPDX-License-Identifier: MIT
"""Each answer to a version that is received: built and declared, again, and at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from batchq import (
    GuardFailed,
    InvalidBatch,
    Outcome,
    gather,
    insert,
    insert_or_advance,
    missing,
    param,
    run,
    select,
    sequence,
    sql,
)
from batchq.result import attempt
from batchq.types import Advanced
from tests.support.lock_waits import until_waits
from tests.support.plan_modes import EACH_PLAN_MODE

NEW, APPLIED, UNCHANGED = Advanced


class StaleError(Exception):
    pass


class DiffersError(Exception):
    pass


class Report(NamedTuple):
    depot: int
    generation: int
    digest: str | None
    tags: list[str]


TABLE = "CREATE TABLE ledger (depot int PRIMARY KEY, generation bigint, digest text, tags text[])"


@pytest.fixture(params=EACH_PLAN_MODE)
def ledger(request, conn):
    conn.execute(TABLE)
    return request.param.set_on(conn)


OPTIONS: dict[str, Any] = {
    "key": ["depot"],
    "version": "generation",
    "stale": lambda v: StaleError(v.row),
    "raises": lambda v: DiffersError(v.row),
}
DECLARED = insert_or_advance("ledger", Report, **OPTIONS)


def built(generation: int, digest: str | None = "a", tags: tuple[str, ...] = ()) -> Any:
    report = Report(1, generation, digest, list(tags))
    return insert_or_advance("ledger", report._asdict(), **OPTIONS)


def bound(generation: int, digest: str | None = "a", tags: tuple[str, ...] = ()) -> Any:
    return DECLARED.bind(Report(1, generation, digest, list(tags)))


def rows(conn) -> list[tuple[Any, ...]]:
    text = "SELECT generation, digest FROM ledger ORDER BY depot"
    return conn.execute(text, prepare=False).fetchall()


@pytest.mark.parametrize("make", [built, bound])
def test_each_answer(ledger, make):
    assert run(ledger, make(20)) is NEW
    assert run(ledger, make(20)) is UNCHANGED
    assert run(ledger, make(30, "b", ("x",))) is APPLIED
    assert run(ledger, make(30, "b", ("x",))) is UNCHANGED
    assert run(ledger, make(40, None)) is APPLIED
    assert run(ledger, make(40, None)) is UNCHANGED
    for other in ("c", ()), (None, ("x",)):
        error = attempt(ledger, gather(insert("ledger", {"depot": 2}), make(40, *other))).error
        assert isinstance(error, DiffersError)
        assert error.args[0] == {"digest": None, "tags": []}
        assert 'wanted same("digest", "tags")' in str(error.__cause__)
    error = attempt(ledger, gather(insert("ledger", {"depot": 2}), make(39, None))).error
    assert isinstance(error, StaleError)
    assert error.args[0] == {"generation": 40}
    assert 'wanted not stale("generation")' in str(error.__cause__)
    assert rows(ledger) == [(40, None)]


def test_stored_null_is_lower(ledger):
    run(ledger, insert("ledger", {"depot": 1}))
    assert run(ledger, built(1)) is APPLIED
    assert rows(ledger) == [(1, "a")]


def test_version_bound_to_none_is_refused_before_sending():
    null: Any = None
    words = "'generation' is or may be None; set it to a version"
    with pytest.raises(InvalidBatch, match=rf"^bind\(\): {words}"):
        bound(null)
    with pytest.raises(InvalidBatch, match=rf"^insert_or_advance\(version=\): {words}"):
        built(null)
    with pytest.raises(InvalidBatch, match=r"^partial\(\): generation= takes an int, not None"):
        DECLARED.partial(generation=null)
    with pytest.raises(InvalidBatch, match="may be None; declare it without None"):
        DECLARED.partial(generation=param("generation", int | None))
    with pytest.raises(InvalidBatch, match=rf"^bind\(\): {words}"):
        gather(DECLARED, insert("log", Report)).bind(Report(1, null, None, []))


@pytest.mark.parametrize("there", [[], [20]], ids=["absent", "there"])
def test_version_that_turns_out_to_be_null_fails(ledger, there):
    for generation in there:
        run(ledger, bound(generation))
    row = {"depot": 1, "generation": sql("nullif(1, 1)")}
    late = insert_or_advance("ledger", row, **OPTIONS)
    assert isinstance(attempt(ledger, late).error, GuardFailed)
    assert rows(ledger) == [(generation, "a") for generation in there]


def test_equal_row_is_not_written(ledger):
    def version():
        return ledger.execute("SELECT xmin FROM ledger", prepare=False).fetchone()

    run(ledger, built(1))
    first = version()
    assert run(ledger, built(1)) is UNCHANGED
    assert version() == first


def test_row_that_a_trigger_has_changed_is_judged_as_stored(ledger):
    ledger.execute(
        "CREATE FUNCTION up() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN NEW.digest = upper(NEW.digest); RETURN NEW; END$$;"
        "CREATE TRIGGER up BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION up()",
        prepare=False,
    )
    assert [run(ledger, built(1, "x")) for _ in range(2)] == [NEW, UNCHANGED]
    assert isinstance(attempt(ledger, built(1, "y")).error, DiffersError)


@pytest.mark.parametrize("event", ["INSERT", "UPDATE"])
def test_write_that_a_trigger_suppresses_fails(ledger, event):
    """Even beside a row that is left, which returns no row either."""
    run(ledger, built(1))
    ledger.execute(
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;"
        f"CREATE TRIGGER skip BEFORE {event} ON ledger FOR EACH ROW EXECUTE FUNCTION skip()",
        prepare=False,
    )
    left = sequence([built(1)] * (event == "UPDATE"))
    other = {"depot": 2, "generation": 1}
    writes = insert_or_advance("ledger", other, **OPTIONS) if event == "INSERT" else built(2)
    error = attempt(ledger, gather(left, writes)).error
    assert isinstance(error, GuardFailed)
    assert (error.index, error.outcome) == (len(left.parts), Outcome.ROLLED_BACK)
    assert ".on(missing(), YourError(...))" in str(error)
    assert isinstance(attempt(ledger, writes.on(missing(), KeyError)).error, KeyError)
    assert rows(ledger) == [(1, "a")]


def test_rows_that_are_left_are_reported_in_one_transaction(ledger):
    run(ledger, built(2))
    batch = sequence([built(2), built(2), built(3), built(3)])
    assert run(ledger, batch) == [UNCHANGED, UNCHANGED, APPLIED, UNCHANGED]
    with ledger.transaction():
        assert run(ledger, built(3), nested=True) is UNCHANGED
        assert run(ledger, built(4), nested=True) is APPLIED


def test_version_without_others(ledger):
    def only(generation):
        row = {"depot": 1, "generation": generation}
        return insert_or_advance("ledger", row, **OPTIONS)

    assert [run(ledger, only(n)) for n in (1, 1, 2)] == [NEW, UNCHANGED, APPLIED]
    assert isinstance(attempt(ledger, only(1)).error, StaleError)


def test_writers_of_an_absent_row_insert_it_once_and_the_highest_stays(connect):
    """All but the first wait for its lock, which it keeps until they do."""
    first, observer = connect(), connect()
    observer.execute(TABLE)
    others = [connect() for _ in range(23)]
    with ThreadPoolExecutor(len(others)) as threads:
        with first.transaction():
            assert run(first, built(10), nested=True) is NEW
            work = [(c, threads.submit(attempt, c, built(n))) for n, c in enumerate(others)]
            for conn, each in work:
                until_waits(observer, conn.info.backend_pid, each)
        answers = [each.result() for _, each in work]
    for generation, answer in enumerate(answers):
        if generation < 10:
            assert isinstance(answer.error, StaleError)
    values = [answer.value for answer in answers if hasattr(answer, "value")]
    assert NEW not in values
    assert rows(observer) == [(22, "a")]


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "no version": ({"version": "other"}, "the row has no 'other'"),
    "the version as a key": ({"version": "depot"}, "not one of key="),
    "no key": ({"key": []}, "unique index"),
    "another key": ({"key": ["other"]}, "the row has no 'other'"),
    "None": ({"row": {"depot": 1, "generation": None}}, "None"),
    "a key twice": ({"key": ["depot", "depot"]}, "'depot' is there twice"),
    "an expression": ({"key": [sql("lower(depot)")]}, "not expressions"),
    "a select": ({"row": select("reports", ["depot", "generation"])}, "not a select"),
    "no error": ({"stale": 7}, r"insert_or_advance\(stale=\)"),
    "no other error": ({"raises": 7}, r"insert_or_advance\(raises=\)"),
}


@pytest.mark.parametrize(("options", "message"), INVALID.values(), ids=INVALID)
def test_wrong_argument_is_rejected(options, message):
    row = {"depot": 1, "generation": 1}
    with pytest.raises(InvalidBatch, match=message):
        insert_or_advance("ledger", **{"row": row, **OPTIONS, **options})
