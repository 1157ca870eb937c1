# SPDX-License-Identifier: MIT
"""Fill the parameters of a program with the values that are given to a declaration.

A value may stand in many places, and most of the others are constants. So each given value is
encoded once, and put to its places; the constants are encoded once for a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import frozen

from batchq.engine.program import Program, program_of, setting_name
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter
from batchq.language.takes import picker

if TYPE_CHECKING:
    from batchq.engine.abilities import Abilities
    from batchq.engine.plan import Plan
    from batchq.language.takes import Takes


@frozen(eq=False)
class Filling:
    """How given values fill the parameters of a program."""

    program: Program
    constants: tuple[object, ...]
    """The other values: those of the declaration and those that batchq adds."""
    places: tuple[tuple[int, ...], ...]
    """For each given value and then each constant, its places among the parameters."""
    pick: Callable[[Sequence[Any]], Sequence[Any]]
    """Puts them in the order of the parameters."""
    most: int
    """The most places that one of them has."""

    @property
    def places_of_constants(self) -> list[int]:
        """The place of each constant among the parameters."""
        return [place for (place,) in self.places[len(self.places) - len(self.constants) :]]

    def spread(self, given: tuple[int, ...], constants: tuple[int, ...]) -> tuple[int, ...]:
        """Return the places among the parameters of values without a type of their own.

        :param given: which of the given values they are; that of an empty list as ``~place``.
        :param constants: which of the constants, likewise.
        """
        if not given and not constants:
            return ()
        first = len(self.places) - len(self.constants)
        sources = (*given, *[n + first if n >= 0 else n - first for n in constants])
        found = [
            place if source >= 0 else ~place
            for source in sources
            for place in self.places[source if source >= 0 else ~source]
        ]
        return tuple(sorted(found, key=lambda place: max(place, ~place)))


def find_filling(plan: Plan, takes: Takes, abilities: Abilities) -> Filling:
    """Find how the values of a bound batch fill its program, and keep it with the declaration.

    :param takes: what the declaration takes, by which it is known.
    :raises InvalidBatch: if a statement cannot be part of a batch.
    """
    program = program_of(plan.shapes, tuple(plan.outputs.items()), abilities)
    constants: list[object] = []
    places: list[list[int]] = [[] for _ in range(takes.count)]
    order: list[int] = []
    for n, value in enumerate(parameters_of(plan, program)):
        if isinstance(value, Parameter):
            source = takes.places[value]
        else:
            source = len(places)
            places.append([])
            constants.append(value)
        places[source].append(n)
        order.append(source)
    most = max(map(len, places), default=0)
    filling = Filling(program, tuple(constants), tuple(map(tuple, places)), picker(order), most)
    takes.known[abilities] = filling
    return filling


def parameters_of(plan: Plan, program: Program) -> Sequence[object]:
    """Return the values in the order of the parameters, with those that batchq adds.

    :param plan: of a batch that is built, or of a declaration.
    """
    values = _with_setting_names(plan) if plan.outputs else plan.built_values
    if program.added:
        values = [*values, *program.added]
    return values if program.in_order is None else program.in_order(values)


def _with_setting_names(plan: Plan) -> list[object]:
    """Return the values of all statements, with the name of its setting in place of an output."""
    values: list[object] = []
    producers = dict(plan.shared)
    declared = iter(plan.built_values)
    for index, statement in enumerate(plan.statements):
        for value in islice(declared, len(statement._values)):
            if isinstance(value, Output):
                producer = producers[value.identity]
                place = plan.outputs[producer].index(value.column)
                values.append(setting_name(producer, place))
            else:
                values.append(value)
        if index in plan.outputs:
            producers[statement._identity] = index
    return values
