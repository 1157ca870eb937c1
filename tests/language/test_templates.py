# SPDX-License-Identifier: MIT
"""``format_error()``: a template, formatted with the values of the row that failed a guard."""

from __future__ import annotations

import pytest

from batchq import (
    InvalidBatch,
    Violation,
    check,
    explain,
    format_error,
    gather,
    insert,
    select,
    sql,
    steps,
    unique,
    update,
)
from batchq.types import ViolationKind


def violation(**found):
    return Violation(kind=ViolationKind.GUARD, sqlstate="22P02", requirement=0, row=found)


@pytest.mark.parametrize(
    ("template", "columns", "text"),
    [
        ("contains a vpc: {name}", ("name",), "contains a vpc: web"),
        ("{name} is {name}", ("name",), "web is web"),
        ("{name!r}: no. {id:03}", ("name", "id"), "'web': no. 007"),
        ("{{name}}: {id}", ("id",), "{name}: 7"),
        ("nothing to fill", (), "nothing to fill"),
        ("100 % of {name}", ("name",), "100 % of web"),
        ("{größe}", ("größe",), "XL"),
        ("", (), ""),
    ],
)
def test_template_is_filled_from_the_columns_that_it_names(template, columns, text):
    meaning = format_error(LookupError, template)
    made = meaning(violation(name="web", id=7, größe="XL", more="unused"))
    assert meaning.columns == columns
    assert (type(made), made.args) == (LookupError, (text,))


def test_value_that_looks_like_a_template_is_not_filled():
    made = format_error(ValueError, "{name}")(violation(name="{id} {0} {{"))
    assert str(made) == "{id} {0} {{"


def test_null_is_formatted_as_none():
    assert str(format_error(ValueError, "until {end}")(violation(end=None))) == "until None"


def test_format_error_passes_the_text_to_a_function():
    made = format_error(lambda text: OSError(5, text), "busy: {name}")(violation(name="web"))
    assert made.args == (5, "busy: web")


@pytest.mark.parametrize(
    "template",
    ["{}", "{0}", "{a.b}", "{a[0]}", "{a b}", "{a-b}", "{", "}", "{a", "{a!x}", "{a:{b}}"],
)
def test_field_that_is_not_a_column_is_rejected(template):
    with pytest.raises(InvalidBatch, match=r"format_error\(\)"):
        format_error(ValueError, template)


def test_field_that_is_not_an_identifier_is_rejected_with_the_alternative():
    with pytest.raises(InvalidBatch, match=r"identifier.*columns=.*v\.row\["):
        format_error(ValueError, "{my col}")


TEMPLATE = format_error(ValueError, "{name}")
BARE = select("vpc", ["id"], where={"id": 7})


@pytest.mark.parametrize(
    "declare",
    [
        lambda: insert("vpc", {"id": 7}).on(unique("k"), TEMPLATE),
        lambda: gather(insert("vpc", {"id": 7})).on(check("k"), TEMPLATE),
        lambda: update("vpc", {"id": 7}, {"id": 7}).expect(1, missing=TEMPLATE),
        lambda: BARE.expect(at_least=1, missing=TEMPLATE),
        lambda: select("vpc", where={"id": 7}).for_update().expect(1, missing=TEMPLATE),
    ],
    ids=["on a statement", "on a batch", "expect", "expect(at_least=1)", "for_update"],
)
def test_template_without_a_row_is_rejected(declare):
    with pytest.raises(InvalidBatch, match="has no row"):
        declare()


def test_template_without_fields_is_accepted_everywhere():
    plain = format_error(ValueError, "no such vpc")
    BARE.expect(at_least=1, missing=plain)
    insert("vpc", {"id": 7}).on(unique("k"), plain)
    update("vpc", {"id": 7}, {"id": 7}).expect(1, missing=plain)


def test_guard_reports_the_columns_of_the_template():
    statement = (
        update("vpc", {"id": 7}, {"id": 7})
        .require({"state": "on"}, raises=format_error(ValueError, "{name} is {state}"))
        .ensure({"id": 7}, raises=TEMPLATE, columns=["size"])
    )
    found = [requirement.columns for requirement in statement._shape.requirements]
    assert found == [("state", "name"), ("id", "size", "name")]


def test_column_missing_from_the_select_is_rejected_before_sending():
    for guarded in (
        BARE.expect(0, unexpected=TEMPLATE),
        BARE.ensure({"id": 7}, raises=TEMPLATE),
        BARE.ensure({"name": "web"}, raises=ValueError),
    ):
        with pytest.raises(InvalidBatch, match="'name' is not among the columns"):
            steps(guarded)[0].sql  # noqa: B018
    for guarded in (
        select("vpc", ["name"], where={"id": 7}).expect(0, unexpected=TEMPLATE),
        select("vpc", [sql("lower(id) AS name")], where={"id": 7}).expect(0, unexpected=TEMPLATE),
        sql("SELECT id AS name FROM vpc").expect(0, unexpected=TEMPLATE),
        select("vpc", where={"id": 7}).require({"id": 7}, raises=TEMPLATE),
    ):
        assert '"name"' in steps(guarded)[0].sql


def test_template_is_shown_by_the_name_of_its_class():
    shown = explain(select("vpc", ["name"], where={"id": 7}).expect(0, unexpected=TEMPLATE))
    assert "expect(unexpected=...) -> ValueError" in shown
    assert "{name}" not in shown
