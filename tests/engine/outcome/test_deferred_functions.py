# SPDX-License-Identifier: MIT
"""A function of the violation has no values if it is not certain which step failed at COMMIT."""

from __future__ import annotations

from typing import NamedTuple

import psycopg
import pytest

from batchq import Outcome, UnmappedViolation, arun, gather, insert, run, sequence, sql, unique

KEY = unique("item_key")


class Item(NamedTuple):
    """A row, with the key of a deferred constraint."""

    id: int
    name: str


class Taken(Exception):
    """An exception of the caller."""


class TakenName(Exception):
    """One whose class reads the values."""

    def __init__(self, violation):
        super().__init__(violation.values["name"])


class TakenSoon(TakenName):
    """One that reads them by the constructor of its base."""


def taken(violation):
    return Taken(violation.values["name"])


@pytest.fixture(autouse=True)
def table(conn):
    conn.execute(
        "CREATE TABLE item (id int CONSTRAINT item_key UNIQUE DEFERRABLE INITIALLY DEFERRED, "
        "name text)"
    )


def items(*ids, raises=taken):
    declared = insert("item", Item).on(KEY, raises)
    return declared.each([Item(each, f"name {each}") for each in ids])


def refused(conn, batch):
    with pytest.raises(UnmappedViolation) as caught:
        run(conn, batch)
    error = caught.value
    assert error.outcome is Outcome.ROLLED_BACK
    assert error.violation.constraint == "item_key"
    assert error.step is None
    assert isinstance(error.__cause__, psycopg.errors.UniqueViolation)
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)
    return error


UNCERTAIN = {
    "rows of each": (items(1, 2, 1), [0, 1, 2]),
    "a mapping around": (
        sequence([insert("item", {"id": each}) for each in (1, 2, 1)]).on(KEY, taken),
        [0, 1, 2],
    ),
    "one of which only the server knows": (
        gather(*[insert("item", {"id": each}) for each in (1, sql("0 + 1"))]).on(KEY, taken),
        [0, 1],
    ),
    "a function that returns no exception": (
        items(1, 2, 1, raises=lambda v: v.values.get("name")),
        [0, 1, 2],
    ),
    "a class": (items(1, 2, 1, raises=TakenName), [0, 1, 2]),
    "a class by its base": (items(1, 2, 1, raises=TakenSoon), [0, 1, 2]),
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_function_that_fails_without_values_hides_no_report(conn, case):
    batch, indexes = UNCERTAIN[case]
    for _ in range(2):  # parsed, prepared
        error = refused(conn, batch)
        assert [step.index for step in error.candidates] == indexes
        assert (error.index, error.parameters, dict(error.violation.values)) == (None, None, {})
        assert type(error.__context__) in (KeyError, TypeError)


async def test_arun_reports_the_same(aconn):
    with pytest.raises(UnmappedViolation, match="it raised KeyError"):
        await arun(aconn, items(1, 2, 1))


def test_text_names_who_wrote_the_key_and_what_the_function_raised(conn):
    (first, *_) = str(refused(conn, items(1, 2, 1))).splitlines()
    assert first == (
        "COMMIT (declared by 3 steps, and of them steps 0 and 2 write the key in DETAIL: "
        "step 0 (insert item, row 0), step 1 (insert item, row 1), step 2 (insert item, row 2)): "
        'unique "item_key" on table "item", SQLSTATE 23505; rolled back, nothing was kept; '
        "mapped to a function that needs the values of the step, and it is not certain which step "
        "failed: it raised KeyError"
    )


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ((1, 1), "declared by 2 steps, and all of them write the key in DETAIL"),
        ((1, 2, 1, 1), "declared by 4 steps, and of them steps 0, 2 and 3 write the key"),
        ((1, 2, *[1] * 11), "declared by 13 steps, and 12 of them write the key"),
    ],
)
def test_text_counts_the_steps_that_write_the_key(conn, ids, words):
    assert words in str(refused(conn, items(*ids)))


def test_text_names_a_class_and_suggests_an_exception(conn):
    text = str(refused(conn, items(1, 2, 1, raises=TakenName)))
    assert "mapped to TakenName, which needs the values of the step" in text
    assert '.on(unique("item_key"), YourError(...))' in text


@pytest.mark.parametrize(
    "raises", [lambda v: Taken(v.values.get("name")), lambda _: Taken(None), Taken(None), Taken]
)
def test_function_that_needs_no_values_maps_it(conn, raises):
    with pytest.raises(Taken) as caught:
        run(conn, items(1, 2, 1, raises=raises))
    assert len(caught.value.__cause__.candidates) == 3
    assert caught.value.__cause__.step is None


@pytest.mark.parametrize("raises", [taken, TakenName])
def test_function_or_class_gets_the_values_of_the_step_that_the_key_names(conn, raises):
    conn.execute("INSERT INTO item VALUES (2, 'x')")
    with pytest.raises((Taken, TakenName)) as caught:
        run(conn, items(1, 2, raises=raises))
    assert caught.value.args == ("name 2",)
    assert caught.value.__cause__.index == 1


def test_error_of_a_function_is_raised_from_the_report_if_the_step_is_known(conn):
    conn.execute("INSERT INTO item VALUES (2, 'x')")
    with pytest.raises(KeyError, match="nme") as caught:
        run(conn, items(1, 2, raises=lambda v: Taken(v.values["nme"])))
    report = caught.value.__cause__
    assert (report.outcome, report.index) == (Outcome.ROLLED_BACK, 1)
    assert str(report).endswith("mapped to <lambda>")


def test_interrupt_of_a_function_is_raised_if_the_step_is_unknown(conn):
    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run(conn, items(1, 2, 1, raises=interrupted))
    assert len(caught.value.__cause__.candidates) == 3
