# SPDX-License-Identifier: MIT
"""How outputs travel: in settings of the transaction, which later statements read.

``set_config(name, value, true)`` lasts until the transaction ends (PostgreSQL documentation,
"Configuration Settings Functions"), so nothing is left behind on a pooled connection. The names are
parameters: where a statement stands in a batch is no part of its text.
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
        """Complete a statement's values.

        :param index: its place in the batch; its predecessors have been here.
        :param flat: the values of the batch so far; from ``start`` on the statement's own. Each
            output among them becomes the name of its setting, and the names of the settings that
            it makes are added.
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
