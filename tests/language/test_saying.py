# SPDX-License-Identifier: MIT
"""``saying()``: a text with holes, filled from what a guard on a row found."""

from __future__ import annotations

import pytest

from batchq import (
    InvalidBatch,
    Kind,
    Violation,
    check,
    forbid,
    gather,
    insert,
    lock,
    require,
    saying,
    select,
    sql,
    unique,
    update,
)


def violation(**found):
    return Violation(kind=Kind.GUARD, sqlstate="22P02", requirement=0, found=found)


@pytest.mark.parametrize(
    ("template", "columns", "text"),
    [
        ("contains a vpc: {name}", ("name",), "contains a vpc: web"),
        ("{name} is {name}", ("name",), "web is web"),
        ("{name!r} is no. {id:03}", ("name", "id"), "'web' is no. 007"),
        ("{{name}}: {id}", ("id",), "{name}: 7"),
        ("nothing to fill", (), "nothing to fill"),
        ("100 % of {name}", ("name",), "100 % of web"),
        ("{größe}", ("größe",), "XL"),
        ("", (), ""),
    ],
)
def test_a_template_names_columns_and_is_filled_from_them(template, columns, text):
    meaning = saying(LookupError, template)
    made = meaning(violation(name="web", id=7, größe="XL", more="unused"))
    assert meaning.columns == columns
    assert (type(made), made.args) == (LookupError, (text,))


def test_a_value_that_looks_like_a_template_is_a_value():
    made = saying(ValueError, "{name}")(violation(name="{id} {0} {{"))
    assert str(made) == "{id} {0} {{"


def test_null_is_said_as_python_says_it():
    assert str(saying(ValueError, "until {end}")(violation(end=None))) == "until None"


def test_a_function_may_take_the_text():
    made = saying(lambda text: OSError(5, text), "busy: {name}")(violation(name="web"))
    assert made.args == (5, "busy: web")


@pytest.mark.parametrize(
    "template",
    ["{}", "{0}", "{a.b}", "{a[0]}", "{a b}", "{a-b}", "{", "}", "{a", "{a!x}", "{a:{b}}"],
)
def test_what_is_no_column_is_refused(template):
    with pytest.raises(InvalidBatch, match=r"saying\(\)"):
        saying(ValueError, template)


def test_what_makes_no_exception_of_a_text_is_refused():
    for error in (ValueError("made already"), "ValueError", None):
        with pytest.raises(InvalidBatch, match=r"saying\(\)"):
            saying(error, "{name}")  # type: ignore[arg-type]
    with pytest.raises(InvalidBatch, match=r"saying\(\)"):
        saying(ValueError, 7)  # type: ignore[arg-type]


TOLD = saying(ValueError, "{name}")
BARE = select("vpc", ["id"], where={"id": 7})


@pytest.mark.parametrize(
    "say",
    [
        lambda: insert("vpc", {"id": 7}).on(unique("k"), TOLD),
        lambda: gather(insert("vpc", {"id": 7})).on(check("k"), TOLD),
        lambda: update("vpc", {"id": 7}, {"id": 7}).expect(1, missing=TOLD),
        lambda: require(BARE, else_=TOLD),
        lambda: lock("vpc", {"id": 7}, missing=TOLD),
    ],
    ids=["on a statement", "on a batch", "expect", "require()", "lock()"],
)
def test_where_no_row_is_found_there_is_nothing_to_tell_of(say):
    with pytest.raises(InvalidBatch, match="only the guards on a row"):
        say()


def test_a_text_without_holes_may_stand_anywhere():
    plain = saying(ValueError, "no such vpc")
    require(BARE, else_=plain)
    insert("vpc", {"id": 7}).on(unique("k"), plain)
    update("vpc", {"id": 7}, {"id": 7}).expect(1, missing=plain)


def test_a_guard_reports_the_columns_that_are_told():
    statement = (
        update("vpc", {"id": 7}, {"id": 7})
        .require({"state": "on"}, else_=saying(ValueError, "{name} is {state}"))
        .check("id", 7, else_=TOLD, found=["size"])
    )
    found = [requirement.found for requirement in statement.shape.requirements]
    assert found == [("state", "name"), ("id", "size", "name")]


def test_a_column_that_the_select_does_not_name_is_refused_before_it_is_sent():
    for told in (
        forbid(BARE, else_=TOLD),
        BARE.check("id", 7, else_=TOLD),
        BARE.check("name", "web", else_=ValueError),
    ):
        with pytest.raises(InvalidBatch, match="'name' is none of the columns"):
            told.steps()[0].sql  # noqa: B018
    for told in (
        forbid(select("vpc", ["name"], where={"id": 7}), else_=TOLD),
        forbid(select("vpc", [sql("lower(id) AS name")], where={"id": 7}), else_=TOLD),
        forbid(sql("SELECT id AS name FROM vpc"), else_=TOLD),
        select("vpc", where={"id": 7}).require({"id": 7}, else_=TOLD),
    ):
        assert '"name"' in told.steps()[0].sql


def test_it_is_called_by_the_name_of_its_class_in_what_shows_a_batch():
    shown = forbid(select("vpc", ["name"], where={"id": 7}), else_=TOLD).explain()
    assert "forbid(...) -> ValueError" in shown
    assert "{name}" not in shown
