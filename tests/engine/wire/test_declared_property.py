# SPDX-License-Identifier: MIT
"""A declaration that is bound answers and stores the same as the batch built with the values."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from batchq import Batch, Retry, steps
from batchq.engine.wire import connection_state
from batchq.types import Output
from tests.support.clients import prepared
from tests.support.declarations import bound, build, declare, plans, values_strategy
from tests.support.warm_pairs import EVENTS, WarmPair

OPTIONS = st.sampled_from(
    (
        *({}, {}, {}, {"nested": True}, {"timeout": 60}, {"deadline": 60}),
        *({"retry": Retry(attempts=2)}, {"isolation": "serializable"}, {"read_only": True}),
    )
)


class Pair(WarmPair):
    """The two connections, which both prepare.

    Not at the same run: a fragment or output set by .partial() makes a shape of its own, with types
    of its own. A row's place among the rows of .each() is not compared."""

    def __init__(self, conninfo):
        super().__init__(conninfo)
        self.set(prepare_threshold=0, prepared_max=8)

    def set(self, **attributes):
        for conn in (self.warm, self.cold):
            for name, value in attributes.items():
                setattr(conn, name, value)

    def deallocate(self, _):
        for conn in (self.warm, self.cold):
            for name in sorted(prepared(conn))[:1]:
                self.execute(conn, f'DEALLOCATE "{name.decode()}"')

    def seen(self, conn, batch, options):
        found = super().seen(conn, batch, options)
        if isinstance(found, tuple):
            found = tuple(
                re.sub(r", row \d+", "", one) if isinstance(one, str) else one for one in found
            )
        return found


@st.composite
def histories(draw: st.DrawFn) -> Any:
    """Draw runs of a few declarations with a few kinds of values, and events between them."""
    makes = draw(st.lists(plans(), min_size=1, max_size=2))
    kinds = draw(st.lists(values_strategy, min_size=1, max_size=3))
    number = st.integers(0, len(makes) - 1)
    run = st.tuples(number, st.sampled_from(kinds), st.booleans() | st.just(True), OPTIONS)
    steps = st.lists(run | run | run | st.sampled_from(sorted(EVENTS)), min_size=6, max_size=16)
    return makes, draw(steps)


@settings(max_examples=30)
@given(history=histories())
def test_bound_batch_answers_and_stores_as_the_built_one(postgres, history):
    makes, events = history
    connection_state._states.clear()
    declarations = [declare(make) for make in makes]
    pair = Pair(postgres.conninfo())
    with pair.warm, pair.cold:
        for shift, step in enumerate(events):
            if isinstance(step, str):
                pair.apply(step)
                continue
            number, values, is_bound, options = step
            values = values | {"id": values["id"] + shift}
            built = build(makes[number], values)
            batch = bound(declarations[number], values) if is_bound else built
            assert sent(batch) == sent(built)
            pair.run(batch, built, options)


def sent(batch: Batch[Any]) -> list[tuple[object, ...]]:
    return [
        (
            step.path,
            step.sql,
            [("an output" if isinstance(value, Output) else value) for value in step.parameters],
        )
        for step in steps(batch)
    ]
