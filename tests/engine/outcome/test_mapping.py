# SPDX-License-Identifier: MIT
"""What a failure means to the caller, decided by the mappings of the step and around it."""

from __future__ import annotations

import psycopg
import pytest

from batchq import (
    BatchError,
    DecodeFailed,
    GuardFailed,
    InvalidBatch,
    InvariantViolation,
    Outcome,
    SerializationConflict,
    UnmappedViolation,
    Violation,
    arun,
    check,
    delete,
    exclusion,
    foreign_key,
    gather,
    insert,
    not_null,
    run,
    select,
    sql,
    sqlstate,
    unique,
    update,
)
from batchq.language.guards import When
from batchq.language.syntax import SAME
from batchq.result import Failed, Ok, attempt
from batchq.types import ViolationKind
from tests.support.exceptions import FrozenData, FrozenSlots, Unwritable

TABLES = """
CREATE TABLE vpc (id int CONSTRAINT vpc_pkey PRIMARY KEY,
                  name text NOT NULL CONSTRAINT vpc_name_key UNIQUE);
CREATE TABLE twin (n int CONSTRAINT twin_rule CHECK (n > 0));
CREATE UNIQUE INDEX twin_rule ON twin (n);
INSERT INTO vpc VALUES (1, 'default'); INSERT INTO twin VALUES (1);
"""
NAME, PKEY = unique("vpc_name_key"), unique("vpc_pkey")


class NameTaken(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is taken")
        self.name = name


def outer(violation: Violation) -> Exception:
    return Outer(violation)


def no_exception(violation: Violation) -> str:
    return str(violation)


class Inner(Exception):
    pass


class Outer(Exception):
    pass


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(TABLES)


@pytest.fixture
def failure(conn):
    """Run a batch that has to fail, and return what was raised."""

    def failed(batch) -> BaseException:
        answer = attempt(conn, batch)
        assert isinstance(answer, Failed)
        with pytest.raises(type(answer.error)) as caught:
            run(conn, batch)
        assert conn.execute("SELECT count(*) FROM vpc").fetchone() == (1,)
        return caught.value

    return failed


def taken(id_: int = 2):
    return insert("vpc", {"id": id_, "name": "default"})


def free(id_: int = 3):
    return insert("vpc", {"id": id_, "name": f"free{id_}"})


# -- which mapping decides -------------------------------------------------------------------------


def test_same_constraint_is_mapped_differently_in_two_steps(failure):
    first = free().on(NAME, Inner)
    second = taken().on(NAME, Outer)
    assert type(failure(gather(first, second))) is Outer
    assert type(failure(gather(taken().on(NAME, Inner), free().on(NAME, Outer)))) is Inner


def test_the_outermost_mapping_that_matches_wins(failure):
    inner = gather(taken().on(NAME, KeyError)).on(NAME, Inner)
    assert type(failure(gather(inner, free()).on(NAME, Outer))) is Outer


def test_a_mapping_outside_that_does_not_match_hides_nothing(failure):
    inner = taken().on(NAME, Inner)
    outside = gather(inner).on(PKEY, Outer).on(not_null("name"), Outer).on(sqlstate("23514"), Outer)
    assert type(failure(outside)) is Inner


def test_a_mapping_is_for_what_it_is_around_and_no_further(failure):
    around_first = gather(free()).on(NAME, Outer)
    assert type(failure(gather(around_first, taken().on(NAME, Inner)))) is Inner
    assert type(failure(gather(around_first, taken()))) is UnmappedViolation


def test_the_last_of_a_statements_own_mappings_wins(failure):
    assert type(failure(taken().on(NAME, Inner).on(NAME, Outer))) is Outer


def test_check_and_unique_of_one_name_are_distinguished(failure):
    def both(n: int):
        row = insert("twin", {"n": n})
        return row.on(check("twin_rule"), Inner).on(unique("twin_rule"), Outer)

    assert type(failure(both(-1))) is Inner
    assert type(failure(both(1))) is Outer


def test_internal_declares_a_constraint_of_any_kind(failure):
    for n in (-1, 1):
        error = failure(insert("twin", {"n": n}).invariant("twin_rule"))
        assert type(error) is InvariantViolation
        assert error.context is None


# -- as_invariant ---------------------------------------------------------------------------------


def test_mapped_violation_inside_as_invariant_is_a_bug_with_its_context(failure):
    step = taken().on(NAME, NameTaken("default")).label("vpc")
    inside = gather(step).as_invariant("creating the default VPC")
    error = failure(gather(free(), inside))
    assert type(error) is InvariantViolation
    assert error.context == "creating the default VPC"
    assert "creating the default VPC" in str(error)
    assert "NameTaken" in str(error)
    assert (error.statement, error.index, error.path) == (step, 1, "vpc")
    assert isinstance(error.__cause__, psycopg.errors.UniqueViolation)


def test_unmapped_violation_inside_as_invariant_stays_unmapped(failure):
    assert type(failure(gather(taken()).as_invariant("x"))) is UnmappedViolation


VIOLATIONS = {
    "unique": (taken(), NAME),
    "check": (sql("INSERT INTO twin VALUES (-1)"), check("twin_rule")),
    "not null": (insert("vpc", {"id": 8, "name": None}), not_null("name")),
    "foreign key": (insert("rule", {"vpc_id": 8}), foreign_key("rule_vpc_id_fkey")),
    "deferred": (insert("late", {"vpc_id": 8}), foreign_key("late_vpc_id_fkey")),
    "exclusion": (insert("room", {"n": 1}), exclusion("room_n_excl")),
    "any other": (sql("SELECT 1 / 0"), sqlstate("22012")),
}


@pytest.mark.parametrize(("part", "matcher"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_each_violation_that_is_mapped_inside_as_invariant_is_a_bug(conn, part, matcher):
    conn.execute(
        "CREATE TABLE rule (vpc_id int REFERENCES vpc);"
        "CREATE TABLE late (vpc_id int REFERENCES vpc DEFERRABLE INITIALLY DEFERRED);"
        "CREATE TABLE room (n int, EXCLUDE USING btree (n WITH =)); INSERT INTO room VALUES (1)"
    )
    for inside, kind in [
        (part.on(matcher, Inner), InvariantViolation),
        (gather(free(), part).on(matcher, Inner), InvariantViolation),
        (part, UnmappedViolation),
    ]:
        assert type(attempt(conn, gather(inside).as_invariant("all")).error) is kind
    assert type(attempt(conn, gather(part).as_invariant("x").on(matcher, Outer)).error) is Outer


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        (taken(), UnmappedViolation),
        (update("vpc", {"name": "x"}, {"id": 99}).expect(1), GuardFailed),
        (sql("SELECT name FROM vpc WHERE id = 1").scalar(int), DecodeFailed),
    ],
    ids=["violation", "guard", "decoding"],
)
def test_unmapped_violation_names_the_step(conn, inside, kind):
    step = gather(gather(inside).as_invariant("creating the VPC")).as_invariant("creating all")
    with pytest.raises(kind) as caught:
        run(conn, gather(free(), step))
    assert str(caught.value).startswith("creating the VPC: step 1 (")
    assert caught.value.context == "creating the VPC"
    with pytest.raises(kind) as outside:
        run(conn, gather(free(4), inside))
    assert outside.value.context is None


def test_the_context_of_a_mapping_around_it_is_none(failure):
    error = failure(gather(gather(taken()).as_invariant("x")).on(NAME, Outer))
    assert error.__cause__.context is None


@pytest.mark.parametrize("context", ["", None, 7])
def test_empty_context_is_rejected(context):
    with pytest.raises(InvalidBatch, match="context"):
        gather(free()).as_invariant(context)


def test_a_mapping_around_as_internal_is_stronger_and_one_inside_is_not(failure):
    inside = gather(taken().on(NAME, Inner)).as_invariant("x")
    assert type(failure(inside.on(NAME, Outer))) is Outer
    assert type(failure(gather(taken()).on(NAME, Outer).as_invariant("x"))) is InvariantViolation


def test_the_context_is_the_innermost_one(failure):
    error = failure(taken().on(NAME, Inner).as_invariant("inner").as_invariant("outer"))
    assert error.context == "inner"


@pytest.mark.parametrize("between", [NAME, PKEY], ids=["decides", "does not match"])
def test_the_context_is_the_innermost_one_whichever_makes_it_a_bug(failure, between):
    inner = taken().on(NAME, Inner).as_invariant("inner").on(between, Outer)
    error = failure(gather(inner).as_invariant("outer"))
    assert type(error) is InvariantViolation
    assert (error.context, str(error).split(": step")[0]) == ("inner", "inner")


def test_the_context_of_a_mapping_inside_is_that_around_both(failure):
    inner = gather(taken()).on(NAME, Inner).as_invariant("inner")
    error = failure(gather(inner).as_invariant("outer"))
    assert (type(error), error.context) == (InvariantViolation, "inner")
    error = failure(gather(inner).on(NAME, Outer))
    assert (type(error), error.__cause__.context) == (Outer, None)


def test_a_missing_row_inside_as_internal_is_our_bug_too(failure):
    bump = update("vpc", {"name": "x"}, {"id": 99}).expect(1, missing=LookupError("missing"))
    error = failure(gather(bump).as_invariant("renaming"))
    assert type(error) is InvariantViolation
    assert error.violation.kind is ViolationKind.GUARD


# -- what the caller gets --------------------------------------------------------------------------


def test_an_instance_is_raised_as_a_fresh_copy_each_time(failure):
    meaning = NameTaken("default")
    first, second = failure(taken().on(NAME, meaning)), failure(taken().on(NAME, meaning))
    assert len({id(one) for one in (meaning, first, second)}) == 3
    assert type(first) is NameTaken
    assert (str(first), first.name) == ("default is taken", "default")
    assert meaning.__cause__ is meaning.__traceback__ is None


@pytest.mark.parametrize("meaning", [Outer, outer], ids=["class", "function"])
def test_a_class_and_a_function_are_called_with_the_violation(failure, meaning):
    error = failure(taken().on(NAME, meaning))
    assert type(error) is Outer
    (violation,) = error.args
    assert isinstance(violation, Violation)
    assert (violation.kind, violation.constraint) == (ViolationKind.UNIQUE, "vpc_name_key")
    assert violation.detail == "Key (name)=(default) already exists."


def test_mapped_exception_has_the_report_and_the_driver_error_as_causes(failure):
    step = taken().on(NAME, Outer).label("vpc")
    report = failure(gather(free(), step)).__cause__
    assert type(report) is BatchError
    assert (report.statement, report.index, report.path) == (step, 1, "vpc")
    assert report.outcome is Outcome.ROLLED_BACK
    assert "mapped to Outer" in str(report)
    driver = report.__cause__
    assert type(driver) is psycopg.errors.UniqueViolation
    assert (driver.sqlstate, driver.diag.constraint_name) == ("23505", "vpc_name_key")
    assert driver.diag.message_detail == "Key (name)=(default) already exists."


@pytest.mark.parametrize(
    ("code", "kind"),
    [("22012", psycopg.errors.DivisionByZero), ("22ZZZ", psycopg.DataError)],
    ids=["its own", "that of its group"],
)
def test_class_of_the_driver_error_is_that_of_the_code(failure, code, kind):
    text = "secret"
    report = failure(sql(f"DO $$ BEGIN RAISE '{text}' USING ERRCODE = '{code}'; END $$"))
    driver = report.__cause__
    assert type(driver) is kind
    assert (driver.sqlstate, driver.diag.message_primary) == (code, text)
    assert text not in str(driver)
    assert str(driver) == str(report.violation)


def test_attempt_returns_what_run_returns_or_raises(conn):
    failed = attempt(conn, taken().on(NAME, Outer))
    assert type(failed.error) is Outer
    assert failed.report is failed.error.__cause__
    assert failed.outcome is Outcome.ROLLED_BACK
    done = attempt(conn, free().returning("id").scalar(int))
    assert isinstance(done, Ok)
    assert done.value == 3


def test_mapping_that_returns_no_exception_fails_with_the_report_as_cause(conn):
    with pytest.raises(TypeError, match="must return an exception") as caught:
        run(conn, taken().on(NAME, no_exception))
    assert conn.execute("SELECT count(*) FROM vpc").fetchone() == (1,)
    assert isinstance(caught.value.__cause__ or caught.value.__context__, BatchError)


def interrupted(_: Violation) -> Exception:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "error",
    [FrozenData("a"), FrozenSlots("a"), Unwritable(name="a")],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize("nested", [False, True])
def test_an_exception_that_is_frozen_is_raised_with_its_cause(conn, error, nested):
    if nested:
        conn.execute("BEGIN")
    batch = taken().on(NAME, error)
    with pytest.raises(type(error)) as caught:
        run(conn, batch, nested=nested)
    assert type(caught.value.__cause__) is BatchError
    assert caught.value.__cause__.outcome is Outcome.ROLLED_BACK
    assert caught.value.name == "a"


async def test_an_exception_that_is_frozen_is_raised_with_its_cause_by_arun(aconn):
    with pytest.raises(FrozenData) as caught:
        await arun(aconn, taken().on(NAME, FrozenData("a")))
    assert type(caught.value.__cause__) is BatchError


def test_interrupt_in_a_mapping_function_propagates_with_the_report(conn):
    with pytest.raises(KeyboardInterrupt) as caught:
        attempt(conn, taken().on(NAME, interrupted))
    assert caught.value.__cause__.violation.constraint == "vpc_name_key"
    assert conn.execute("SELECT count(*) FROM vpc").fetchone() == (1,)


# -- what the texts teach --------------------------------------------------------------------------


def test_unmapped_violation_lists_the_mappings_and_suggests_a_line(failure):
    step = taken().on(PKEY, Inner).on(check("vpc_check"), Outer(b"x")).invariant("vpc_other")
    error = failure(gather(gather(step).on(not_null("name"), NameTaken), free()).as_invariant("c"))
    assert type(error) is UnmappedViolation
    lines = [line.strip() for line in str(error).splitlines()]
    for mapped in (
        'not_null("name") -> NameTaken',
        'unique("vpc_pkey") -> Inner',
        'check("vpc_check") -> Outer',
        'invariant("vpc_other") -> InvariantViolation',
    ):
        assert mapped in lines
    assert '.on(unique("vpc_name_key"), YourError(...))' in lines
    assert '.invariant("vpc_name_key")' in lines


def test_the_line_that_the_text_teaches_works(failure):
    text = str(failure(taken()))
    (line,) = (line.strip() for line in text.splitlines() if line.strip().startswith(".on("))
    names = {"step": taken(), "unique": unique, "YourError": Outer}
    assert type(failure(eval(f"step{line}", names))) is Outer  # noqa: S307  batchq's own text


def test_unmapped_violation_reports_that_nothing_was_mapped(failure):
    assert "maps nothing" in str(failure(taken()))


def test_the_text_of_a_failed_guard_teaches_how_to_map_it(failure):
    error = failure(delete("vpc", {"id": 9}).expect(at_least=2))
    assert type(error) is GuardFailed
    assert ".expect(at_least=2, missing=" in str(error)
    assert "0 rows" in str(error)
    assert "at least 2 rows" in str(error)


@pytest.mark.parametrize("inside", [False, True])
def test_conflict_inside_as_invariant_stays_a_conflict(conn, inside):
    conflict = sql("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$")
    mapped = conflict.on(sqlstate("40001"), LookupError("busy"))

    failed = attempt(conn, mapped.as_invariant("looking") if inside else mapped)

    assert isinstance(failed.report, SerializationConflict)
    assert isinstance(failed.error, SerializationConflict if inside else LookupError)


def test_each_requirement_is_taught_by_the_argument_that_it_takes(conn):
    """One that is judged of the row in the way, and one of what is returned, in one statement."""
    for expected, name, is_new in [("x", "default", True), ("default", "web", False)]:
        same = (("name", SAME),)
        both = insert("vpc", {"id": 9 if is_new else 1, "name": name})
        both = both.on_conflict_do_nothing("id")._with_condition(When.CONFLICT, same, (), None, ())
        if is_new:
            both = both.ensure({"name": expected})
            conn.execute("DELETE FROM vpc")
        with pytest.raises(GuardFailed, match="raises=YourError"):
            run(conn, both)
        conn.execute("INSERT INTO vpc VALUES (1, 'default') ON CONFLICT DO NOTHING")


def test_a_missing_row_is_taught_by_the_argument_of_expect(conn):
    with pytest.raises(GuardFailed, match=r"    \.expect\(at_least=1, missing=YourError"):
        run(conn, select("vpc", ["id"], where={"id": 99}).expect(at_least=1))
    with pytest.raises(GuardFailed, match=r"    \.expect\(at_least=1, missing=YourError"):
        run(conn, delete("vpc", {"id": 99}).expect(at_least=1))
