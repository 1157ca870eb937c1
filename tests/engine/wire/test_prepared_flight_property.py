# SPDX-License-Identifier: MIT
"""Whatever is run, in whatever order, a connection that repeats flights and keeps its Transformer
answers and stores the same as one that prepares nothing and has no state."""

from __future__ import annotations

from datetime import date
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from batchq import Retry, gather, insert, select, sql, unique, update
from batchq.engine.wire import connection_state
from batchq.engine.wire.prepared_flight import PreparedFlight
from batchq.hierarchy import Parent
from tests.support.warm_pairs import EVENTS, Text, WarmPair

PARENT = Parent(table="parent", key="id", deleted_at=None, generation="gen")
ITEMS = PARENT.children("item", by="parent", deleted_at=None)


class Item(NamedTuple):
    """A row of the table, with the column whose format depends on a setting."""

    id: int
    note: object
    tags: object
    day: date


class Taken(Exception):
    """The id exists."""


def new(values):
    row = {
        "id": values["id"],
        "parent": values["parent"],
        "note": values["note"],
        "number": values["number"],
    }
    row |= {"tags": values["tags"], "day": date(2026, 2, 3)}
    return insert("item", row).one(Item).on(unique("item_pkey"), Taken)


BATCHES = {
    "one insert": new,
    "several": lambda values: gather(
        new(values).label("new"),
        select("item", ["id", "note"], where={"note": values["note"]}).all(tuple),
        update("item", {"number": values["number"]}, {"id": [values["id"], 3]}).count(),
    ),
    "once and last": lambda values: ITEMS.add(values["parent"], new(values), missing=LookupError),
    "an output": lambda values: gather(
        item := new(values),
        update("item", {"number": item.output("id")}, {"note": values["note"]}).count(),
        sql("SELECT %(a)s::text, %(b)s::int8[]", a=values["note"], b=values["list"]).one(tuple),
    ),
    "a guard": lambda values: gather(
        new(values),
        update("item", {"note": "changed"}, {"id": values["id"]})
        .expect(1)
        .require({"number": values["number"]}, raises=Taken),
    ),
}
VALUES = st.fixed_dictionaries(
    {
        "id": st.integers(0, 30) | st.just(1 << 40),
        "parent": st.sampled_from([1, 1, 1, 1, 2, 3]),
        "note": st.sampled_from([None, "a", "007", "é", Text("b")]),
        "number": st.sampled_from([None, 1, 1 << 40]),
        "tags": st.sampled_from([None, [], ["x"], ["x", None]]),
        "list": st.sampled_from([None, [], [1], [1 << 40]]),
    }
)
OPTIONS = st.sampled_from(
    (
        *({}, {}, {}, {"nested": True}, {"timeout": 60}, {"deadline": 60}),
        *({"retry": Retry(attempts=2)}, {"isolation": "serializable"}, {"read_only": True}),
    )
)


@pytest.fixture
def repeated(monkeypatch):
    """Count the flights that are repeated."""
    numbers = count()
    original = PreparedFlight.send

    def send(flight, pg, encoded):
        next(numbers)
        original(flight, pg, encoded)

    monkeypatch.setattr(PreparedFlight, "send", send)
    return numbers


@st.composite
def histories(draw):
    """Draw runs of one batch with a few kinds of values, so that many are alike, and events."""
    name = draw(st.sampled_from(sorted(BATCHES)))
    kinds = draw(st.lists(VALUES, min_size=1, max_size=3))
    options = draw(OPTIONS)
    run = st.tuples(st.just(name), st.sampled_from(kinds), st.just(options))
    return draw(
        st.lists(run | run | run | st.sampled_from(sorted(EVENTS)), min_size=16, max_size=32)
    )


@settings(max_examples=30)
@given(history=histories())
def test_repeated_flights_answer_and_store_the_same(postgres, repeated, history):
    connection_state._states.clear()
    before = next(repeated)
    pair = WarmPair(postgres.conninfo())
    with pair.warm, pair.cold:
        for shift, step in enumerate(history):
            if isinstance(step, str):
                pair.apply(step)
            else:
                name, values, options = step
                batch = BATCHES[name](values | {"id": values["id"] + shift})
                pair.run(batch, batch, options)
    event("repeated" if next(repeated) - before > 1 else "never repeated")
