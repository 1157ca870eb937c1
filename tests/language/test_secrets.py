# SPDX-License-Identifier: MIT
"""Nothing that ends up in a log shows a parameter's value; values are there for who asks."""

from __future__ import annotations

import functools

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq import (
    Violation,
    check,
    delete,
    explain,
    gather,
    insert,
    into,
    select,
    sql,
    steps,
    unique,
    update,
)
from batchq.engine.plan import plan
from batchq.language.mapping import mapping_of
from batchq.types import ViolationKind

# Long and of letters that stand in no text of batchq's own, quoted or not.
secrets = st.text("ЖЩЪЫЮЯ🔑", min_size=4, max_size=12)


@attrs.define
class Taken(Exception):
    name: str


@attrs.define
class Model:
    id: int


def refused(secret, _):
    return Taken(secret)


class Callable:
    """A meaning, model or function whose repr shows what it holds."""

    def __init__(self, secret):
        self.secret = secret

    def __call__(self, _):
        return Taken(self.secret)

    def __repr__(self):
        return f"Callable({self.secret})"


def holding(secret):
    """One statement of every kind, with the secret wherever a caller can put a value."""
    fragment = sql("coalesce(%(x)s, 'none')", x=secret)
    meaning = Taken(secret)
    return [
        sql("SELECT %(x)s", x=secret).scalar(str).on(unique("k"), meaning),
        insert("t", {"a": secret, "b": fragment, "c": [secret]}).on(check("k"), KeyError(secret)),
        insert("t", Taken(secret)).on(unique("k"), functools.partial(refused, secret)),
        update("t", {"a": secret}, {"b": [secret]}).expect(1, missing=meaning),
        update("t", {"a": fragment}, fragment).on(unique("k"), Callable(secret)),
        delete("t", {"a": secret, "b": fragment}).maybe(Model),
        select("t", ["a", fragment], where={"b": secret}).all(Callable(secret)),
        select("t", ["a"], where={"b": secret}).one(functools.partial(print, secret)),
    ]


def composed(secret):
    """One batch of every form."""
    parts = holding(secret)
    gathered = gather(*parts)
    return [
        gathered,
        gathered.map(Callable(secret)),
        gathered.map(functools.partial(print, secret)),
        gathered.label("x"),
        gathered.on(unique("k"), Taken(secret)),
        gathered.on(unique("k"), Callable(secret)),
        gathered.as_invariant("x"),
        into(functools.partial(dict, secret=secret), *parts),
    ]


def shown(value):
    return f"{value!r}{value!s}{value}"


@given(secrets)
def test_statement_shows_no_value(secret):
    for statement in holding(secret):
        assert secret not in shown(statement)
        assert secret not in shown(steps(statement)[0])
        assert secret not in explain(statement)


@given(secrets)
def test_batch_shows_no_value(secret):
    for batch in composed(secret):
        assert secret not in shown(batch)
        for step in steps(batch):
            assert secret not in shown(step) + shown(step.mappings)
        assert secret not in explain(batch)


@given(secrets)
def test_mapping_shows_no_text_of_its_exception(secret):
    """A traceback with local variables shows what the engine holds, too."""
    for meaning in (Taken(secret), KeyError(secret), Callable(secret)):
        assert secret not in shown(mapping_of(unique("k"), meaning))
    for leaf in plan(gather(*composed(secret))).placed:
        assert secret not in shown(leaf) + shown(leaf.declared) + shown(leaf.leaf)


@given(secrets)
def test_violation_shows_no_message_that_may_quote_a_value(secret):
    for kind, code in [
        (ViolationKind.UNIQUE, "23505"),
        (ViolationKind.CHECK, "23514"),
        (ViolationKind.OTHER, "22001"),
    ]:
        violation = Violation(
            kind=kind, sqlstate=code, message=secret, detail=f"Key ({secret})", hint=secret
        )
        assert secret not in shown(violation)
        assert (violation.message, violation.hint) == (secret, secret)


@given(secrets)
def test_server_message_is_shown_only_if_the_dialect_knows_it_is_safe(secret):
    violation = Violation(kind=ViolationKind.OTHER, sqlstate="42P01", message=secret, detail=secret)
    assert secret not in shown(violation)
    assert shown(attrs.evolve(violation, may_quote_values=False)).count(secret) == 3


@given(secrets)
def test_parameters_are_available_on_request(secret):
    statement = update("t", {"a": secret}, {"b": [secret]})
    (step,) = steps(statement)
    assert step.parameters == (secret, [secret])
    assert explain(statement, parameters=True).count(repr(secret)) == 2


@pytest.mark.parametrize("index", range(8))
def test_repr_of_a_batch_shows_its_size(index):
    text = repr(composed("x")[index])
    assert "8" in text
    assert len(text) < 500


def test_repr_of_a_deep_batch_does_not_recurse():
    batch = gather(sql("SELECT 1"))
    for _ in range(3000):
        batch = gather(batch)
    assert len(repr(batch)) < 500
