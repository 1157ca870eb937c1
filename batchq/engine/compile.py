# SPDX-License-Identifier: MIT
"""Compiling: from a statement's shape to what is sent, once per shape, then found again.

Pure. The cache is by shape, never by value: two statements that differ only in their values are one
and the same to the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from attrs import define, field

from batchq.engine import anatomy, guarding
from batchq.engine.preparations import name_of
from batchq.engine.render import render
from batchq.language import step
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Bound
from batchq.language.results import WITHOUT_ROWS, Rows
from batchq.language.shape import Shape
from batchq.language.sources import Delete, Insert, Select, Source, Update
from batchq.language.statement import Statement

MAX_PARAMETERS = 65_535
"""The Bind message counts parameters in 16 bits: PostgreSQL documentation, "Message Formats"."""


@define(eq=False)
class Compiled:
    """A statement's shape, ready to be sent."""

    sql: str
    order: tuple[int, ...] | None
    """Which value stands at ``$1``, ``$2``, …; None when they stand in their own order."""
    parameters: int
    """How many parameters it takes, the guard's two included, which stand last."""
    types: tuple[int, ...] = ()
    """The parameters' types when last sent. Shared by threads: any value written is right."""
    _names: dict[tuple[int, ...], bytes] = field(factory=dict[tuple[int, ...], bytes])

    def settle(self, types: tuple[int, ...], values: Sequence[object]) -> tuple[int, ...]:
        """Give NULL and the empty list, which have no type of their own, the one last seen there.

        Otherwise a statement would be another one to the server whenever a value is missing.
        """
        known = self.types or types
        self.types = settled = tuple(
            old if value is None or (type(value) is list and not value) else new
            for new, old, value in zip(types, known, values, strict=True)
        )
        return settled

    def name(self, types: tuple[int, ...]) -> bytes:
        """The name to prepare it by: derived from content, so a clash is the same statement."""
        name = self._names.get(types)
        if name is None:
            name = self._names[types] = name_of(f"{self.sql}\0{types}")
        return name


@lru_cache(maxsize=4096)
def compiled(shape: Shape) -> Compiled:
    """Compile a shape, or find what was compiled for it.

    :raises InvalidBatch: when such a statement cannot be part of a batch.
    """
    bound = None if shape.guard is None else shape.guard.bound
    return _compiled(shape.source, shape.columns, shape.result.rows, bound)


@lru_cache(maxsize=4096)
def _compiled(
    source: Source, columns: tuple[str, ...] | None, answer: Rows, bound: Bound | None
) -> Compiled:
    """Compile what decides the text. Many shapes share it: those of each new lambda, for one."""
    rows = answer not in WITHOUT_ROWS
    if rows:
        _check_columns(source, columns, answer)
    wanted = columns if rows else ()
    sql, order = render(source, wanted)
    parameters = len(order) + (2 if bound else 0)
    if parameters > MAX_PARAMETERS:
        message = f"{parameters} parameters in one statement: the protocol allows {MAX_PARAMETERS}"
        raise InvalidBatch(message)
    seen = anatomy.read(render(source, wanted, anatomy.MARK)[0])
    if bound is not None:
        sql = guarding.guarded(sql, seen, len(order), bound, rows=rows)
    in_order = order == tuple(range(len(order)))
    return Compiled(sql, None if in_order else order, parameters)


def _check_columns(source: Source, columns: tuple[str, ...] | None, answer: Rows) -> None:
    if isinstance(source, Insert | Update | Delete) and not columns:
        message = (
            f'which columns does {source.verb}("{source.table}", …).{answer.value}(…) return? This '
            f'model names none: add .returning("…") before it'
        )
        raise InvalidBatch(message)
    own = source.columns if isinstance(source, Select) else None
    if answer is Rows.SCALAR and len(own or columns or "1") != 1:
        message = f"scalar() is of one column, and this names {len(own or columns or '')}"
        raise InvalidBatch(message)


def _show(statement: Statement[Any]) -> tuple[str, tuple[int, ...]]:
    made = compiled(statement.shape)
    return made.sql, tuple(range(len(statement.values))) if made.order is None else made.order


step.port.render = _show
