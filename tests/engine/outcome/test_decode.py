# SPDX-License-Identifier: MIT
"""From rows to models. It runs after COMMIT, so a failure here says that the rows are there."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

import attrs
import pytest

from batchq import (
    DecodeFailed,
    InvalidBatch,
    Outcome,
    arun,
    gather,
    insert,
    into,
    run,
    select,
    sequence,
    sql,
)
from batchq.result import attempt

ID = UUID("00000000-0000-0000-0000-000000000007")


@attrs.frozen
class Frozen:
    id: int
    name: str


@attrs.frozen(kw_only=True)
class KwOnly:
    id: int
    name: str


@attrs.frozen
class PartlyKwOnly:
    id: int = attrs.field(kw_only=True)
    name: str


@attrs.frozen
class Aliased:
    id: int = attrs.field(alias="identity")
    name: str


@attrs.frozen
class WithDefaults:
    id: int
    name: str
    size: int = 3
    derived: int = attrs.field(init=False, default=4)


@dataclasses.dataclass(frozen=True)
class Data:
    id: int
    name: str
    size: int = dataclasses.field(default_factory=lambda: 3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KwOnlyData:
    id: int
    name: str


class Named(NamedTuple):
    id: int
    name: str
    size: int = 3


def from_row(row: dict[str, Any]) -> str:
    return f"{row['id']}{row['name']}"


MADE = {
    Frozen: Frozen(1, "a"),
    KwOnly: KwOnly(id=1, name="a"),
    PartlyKwOnly: PartlyKwOnly("a", id=1),
    Aliased: Aliased(1, "a"),
    WithDefaults: WithDefaults(1, "a"),
    Data: Data(1, "a"),
    KwOnlyData: KwOnlyData(id=1, name="a"),
    Named: Named(1, "a"),
    tuple: (1, "a"),
    dict: {"id": 1, "name": "a"},
    from_row: "1a",
}


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute("CREATE TABLE t (id int PRIMARY KEY, name text, size int DEFAULT 9)")


@pytest.fixture
def misfit(conn):
    """Run a batch that cannot be decoded, after a step whose row has to be there all the same."""

    def failed(batch, **options) -> DecodeFailed:
        with pytest.raises(DecodeFailed) as caught:
            run(conn, gather(insert("t", {"id": 0, "name": "kept"}), batch), **options)
        kept = conn.execute("DELETE FROM t WHERE id = 0").rowcount
        assert kept == 1
        return caught.value

    return failed


# -- models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "made"), MADE.items(), ids=lambda m: getattr(m, "__name__", ""))
@pytest.mark.parametrize("threshold", [None, 0])
def test_a_row_becomes_its_model(conn, model, made, threshold):
    conn.prepare_threshold = threshold
    row = sql("SELECT 1 AS id, 'a' AS name")
    assert run(conn, row.one(model)) == made
    assert type(run(conn, row.one(model))) is type(made)
    assert run(conn, row.maybe(model)) == made
    assert run(conn, row.all(model)) == [made]
    assert run(conn, sql("SELECT 1 AS id, 'a' AS name WHERE false").maybe(model)) is None
    assert run(conn, sql("SELECT 1 AS id, 'a' AS name WHERE false").all(model)) == []


@pytest.mark.parametrize(
    "model", [m for m in MADE if m not in (tuple, from_row)], ids=lambda m: m.__name__
)
def test_columns_become_fields_by_name_in_any_order(conn, model):
    assert run(conn, sql("SELECT 'a' AS name, 1 AS id").one(model)) == MADE[model]


def test_a_built_statement_asks_for_the_columns_of_its_model(conn):
    made = run(conn, insert("t", {"id": 1, "name": "a"}).one(WithDefaults))
    assert made == WithDefaults(1, "a", 9)
    assert run(conn, select("t", where={"id": 1}).one(Named)) == Named(1, "a", 9)


def test_values_have_the_types_that_the_connections_loaders_give_them(conn):
    row = sql("SELECT %(id)s::uuid AS id, '2026-01-02'::date AS d, '{1,2}'::int[] AS a", id=ID)
    assert run(conn, row.one(tuple)) == (ID, date(2026, 1, 2), [1, 2])


def test_results_of_parts_are_combined_as_the_batch_is_built(conn):
    one, two = (sql("SELECT %(n)s::int", n=n).scalar(int) for n in (1, 2))
    batch = into(
        dict,
        sql("SELECT 0").scalar(int),
        pair=gather(one, two).map(sum),
        rest=sequence([one, one]),
        nothing=sequence([]),
    )
    assert run(conn, batch) == {"pair": 3, "rest": [1, 1], "nothing": []}


# -- what does not fit -----------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Frozen, KwOnly, Data, Named], ids=lambda m: m.__name__)
@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ("1 AS id", "name"),
        ("1 AS id, 'a' AS name, 2 AS colour", "colour"),
        ("1 AS id, 'a' AS name, 'b' AS name", "name"),
    ],
    ids=["missing", "extra", "twice"],
)
def test_columns_that_do_not_fit_the_model_are_named(misfit, model, columns, named):
    statement = sql(f"SELECT {columns}").one(model)  # type: ignore[arg-type]
    error = misfit(gather(statement).label("job"))
    assert error.outcome is Outcome.COMMITTED
    assert (error.statement, error.index, error.path) == (statement, 1, "job")
    assert named in str(error)
    assert "committed" in str(error)


@pytest.mark.parametrize("model", [dict, from_row], ids=lambda m: m.__name__)
def test_a_column_that_comes_twice_is_not_dropped_in_silence(misfit, model):
    error = misfit(sql("SELECT 1 AS id, 'a' AS name, 'b' AS name").one(model))
    assert "name" in str(error)


@pytest.mark.parametrize(
    ("value", "type_", "named"),
    [("'a'", int, "str"), ("1", str, "int"), ("1.5", int, "Decimal"), ("NULL::int", int, "NULL")],
)
def test_a_scalar_of_another_type_is_a_misfit(misfit, value, type_, named):
    error = misfit(sql(f"SELECT {value}").scalar(type_))  # type: ignore[arg-type]
    assert error.outcome is Outcome.COMMITTED
    assert named in str(error)


def test_a_scalar_has_one_column(misfit):
    assert "2" in str(misfit(sql("SELECT 1, 2").scalar(int)))


def test_scalar_of_a_type_that_cannot_be_checked_is_rejected_when_built():
    with pytest.raises(InvalidBatch):
        sql("SELECT '{1}'::int[]").scalar(list[int])


def test_model_that_raises_fails_decoding_with_its_exception_as_cause(misfit):
    error = misfit(sql("SELECT 1 AS id").one(lambda row: row["nothing"]))
    assert error.index == 1
    assert isinstance(error.__cause__, KeyError)


def test_map_that_raises_fails_decoding_with_its_exception_as_cause(misfit):
    error = misfit(sql("SELECT 0").scalar(int).map(lambda n: 1 // n))
    assert error.outcome is Outcome.COMMITTED
    assert error.step is None
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert "ZeroDivisionError" in str(error)


def test_into_whose_model_raises_fails_decoding(misfit):
    def made(n):
        return 1 // n

    error = misfit(into(made, n=sql("SELECT 0").scalar(int)))
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_attempt_returns_a_misfit_as_a_failure(conn):
    failed = attempt(conn, sql("SELECT 'a'").scalar(int))
    assert type(failed.report) is DecodeFailed
    assert failed.error is failed.report
    assert failed.outcome is Outcome.COMMITTED


async def test_a_misfit_is_a_misfit_in_async_code_too(aconn):
    with pytest.raises(DecodeFailed) as caught:
        await arun(aconn, gather(insert("t", {"id": 1}), sql("SELECT 'a'").scalar(int)))
    assert caught.value.outcome is Outcome.COMMITTED
    assert await arun(aconn, select("t", ["id"], where={"id": 1}).scalar(int)) == 1


def test_decoding_failure_in_the_callers_transaction_is_released(conn):
    with conn.transaction(force_rollback=True):
        with pytest.raises(DecodeFailed) as caught:
            run(conn, gather(insert("t", {"id": 1}), sql("SELECT 'a'").scalar(int)), nested=True)
        assert caught.value.outcome is Outcome.RELEASED
        assert "released" in str(caught.value)
        assert conn.execute("SELECT count(*) FROM t").fetchone() == (1,)
    assert conn.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_an_insert_that_a_trigger_swallowed_is_a_misfit_of_one(conn, misfit):
    conn.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.name = 'no' THEN RETURN NULL; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER swallow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION swallow()"
    )
    error = misfit(insert("t", {"id": 1, "name": "no"}).one(Frozen))
    assert error.index == 1
    assert "got 0" in str(error)
