# SPDX-License-Identifier: MIT
"""Keep what depends on the shapes of a batch's statements alone, and not on its values.

A service runs batches of the same shapes again and again. So their texts, and the place of each
parameter, are found once, and looked up by the tuple of shapes after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, groupby

from attrs import frozen
from psycopg.types.numeric import Int8

from batchq.engine.abilities import NEWEST, Abilities
from batchq.engine.compile.compile import Compiled, compiled
from batchq.engine.compile.sentinel import TOKEN
from batchq.language.matchers import Matcher
from batchq.language.old import Returned
from batchq.language.shape import Shape
from batchq.language.takes import picker

_MOST_STEPS = 256
"""The number of steps up to which a program is kept. A longer batch is dominated by its values, and
its program may be large."""

Outputs = tuple[tuple[int, tuple[Returned, ...]], ...]
"""The statements that have outputs, by index, and the columns that later statements use."""


@frozen(eq=False)
class Program:
    """The statements of a batch without their values, compiled."""

    shapes: tuple[Shape, ...]
    steps: tuple[Compiled, ...]
    added: tuple[object, ...]
    """The values that batchq adds: expected numbers of rows, the token of guards, the names of the
    settings that hold outputs."""
    in_order: Callable[[Sequence[object]], Sequence[object]] | None
    """Picks the parameters from the values of all statements followed by ``added``; None if they
    are in that order."""
    long_names: tuple[Matcher, ...]
    """The matchers of the statements by names that may be too long for the server."""
    is_long: bool
    """Whether a text is so long that a server may not read it in one message."""
    has_backslash: bool
    """Whether a text has a backslash in a plain string."""
    is_kept: bool
    """Whether it is kept for the next batch of these shapes, and what is known of it, too."""

    @property
    def ends(self) -> tuple[int, ...]:
        """For each step, the number of parameters of it and of the steps before it."""
        return tuple(accumulate([step.parameters for step in self.steps]))


def program_of(
    shapes: tuple[Shape, ...], outputs: Outputs, abilities: Abilities = NEWEST
) -> Program:
    """Return the program of statements of these shapes, from the cache if it is there.

    :param abilities: those of the server that it is for.
    :raises InvalidBatch: if a statement cannot be part of a batch.
    """
    make = _program if len(shapes) <= _MOST_STEPS else _program.__wrapped__
    return make(shapes, outputs, abilities)


@lru_cache(maxsize=1024)
def _program(shapes: tuple[Shape, ...], outputs: Outputs, abilities: Abilities) -> Program:
    columns = dict(outputs)
    steps = _compiled(shapes, columns, abilities)
    kinds = dict.fromkeys(steps)
    added, order = ((), None) if _is_plain(kinds) else _order(shapes, steps, columns)
    return Program(
        shapes,
        steps,
        added,
        order,
        sum((shape.long_names for shape in dict.fromkeys(shapes) if shape.long_names), ()),
        any(step.long for step in kinds),
        any(step.has_backslash for step in kinds),
        len(steps) <= _MOST_STEPS,
    )


def _compiled(
    shapes: Sequence[Shape], columns: Mapping[int, Sequence[Returned]], abilities: Abilities
) -> tuple[Compiled, ...]:
    """Compile each statement; those in a row that are of one shape at once."""
    if columns:
        indexed = enumerate(shapes)
        return tuple(
            [compiled(shape, tuple(columns.get(n, ())), abilities) for n, shape in indexed]
        )
    steps: list[Compiled] = []
    for shape, same in groupby(shapes):
        steps += [compiled(shape, (), abilities)] * len(list(same))
    return tuple(steps)


def _is_plain(steps: Iterable[Compiled]) -> bool:
    """Return whether the parameters are the values of the statements, as they are."""
    return all(
        step.order is None and not step.takes_row_count and not step.takes_token for step in steps
    )


def _order(
    shapes: Sequence[Shape], steps: Sequence[Compiled], columns: Mapping[int, Sequence[Returned]]
) -> tuple[tuple[object, ...], Callable[[Sequence[object]], Sequence[object]] | None]:
    """Return the values that batchq adds, and what picks the parameters in their order."""
    added: list[object] = []
    order: list[int] = []
    first, values = 0, sum(len(shape.names) for shape in shapes)
    for index, (shape, step) in enumerate(zip(shapes, steps, strict=True)):
        own_order = range(len(shape.names)) if step.order is None else step.order
        order += [first + place for place in own_order]
        own = _added(index, shape, step, columns.get(index, ()))
        order += range(values + len(added), values + len(added) + len(own))
        added += own
        first += len(shape.names)
    is_sorted = order == list(range(values + len(added)))
    return tuple(added), None if is_sorted else picker(order)


def _added(index: int, shape: Shape, step: Compiled, outputs: Sequence[Returned]) -> list[object]:
    """Return the values that batchq adds to a statement, in the order of its parameters."""
    added: list[object] = []
    if step.takes_row_count:
        added.append(Int8(1 if shape.guard is None else shape.guard.rows))
    if step.takes_token:
        added.append(TOKEN)
    return added + [setting_name(index, place) for place in range(len(outputs))]


def setting_name(index: int, place: int) -> str:
    """Return the name of the setting of the transaction that holds an output.

    ``set_config(name, value, true)`` lasts until the transaction ends (PostgreSQL documentation,
    "Configuration Settings Functions"), so nothing stays on a pooled connection. The names are
    parameters, so a statement's text does not depend on its place in a batch.

    :param index: the statement that has the output.
    :param place: the place of its column among its outputs.
    """
    return f"batchq.output_{index}_{place}"
