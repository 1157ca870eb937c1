# SPDX-License-Identifier: MIT
"""Pass outputs to later statements in settings of the transaction.

``set_config(name, value, true)`` lasts until the transaction ends (PostgreSQL documentation,
"Configuration Settings Functions"), so nothing stays on a pooled connection. The names are
parameters, so a statement's text does not depend on its place in a batch.
"""

from __future__ import annotations

from batchq.engine.plan import Plan
from batchq.language.outputs import Output


class OutputSettings:
    """Names the settings of a batch's outputs."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._producers: dict[object, int] = {}

    def bind(self, index: int, flat: list[object], start: int) -> None:
        """Replace a statement's outputs by setting names, and append the settings that it makes.

        :param index: its place in the batch. Statements are bound in order.
        :param flat: the values of the batch so far, with the statement's own from ``start`` on.
        """
        for place in range(start, len(flat)):
            value = flat[place]
            if isinstance(value, Output):
                producer = self._producers[value.identity]
                flat[place] = _name(producer, self._plan.outputs[producer].index(value.column))
        if index in self._plan.outputs:
            self._producers[self._plan.statements[index]._identity] = index
            flat += [_name(index, i) for i in range(len(self._plan.outputs[index]))]


def _name(statement: int, output: int) -> str:
    return f"batchq.output_{statement}_{output}"
