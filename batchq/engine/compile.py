# SPDX-License-Identifier: MIT
"""Compiling: from a statement's shape to what is sent, once per shape, then found again.

Pure. The cache is by shape, never by value: two statements that differ only in their values are one
and the same to the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from attrs import define, field

from batchq.engine import anatomy, guarding
from batchq.engine.render import render
from batchq.language import step
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Bound
from batchq.language.results import Rows
from batchq.language.sources import Delete, Insert, Source, Update
from batchq.language.statement import Statement

MAX_PARAMETERS = 65_535
"""The Bind message counts parameters in 16 bits: PostgreSQL documentation, "Message Formats"."""

_SHAPES_WITH_ROWS = frozenset({Rows.ONE, Rows.MAYBE, Rows.ALL, Rows.SCALAR})


@define(eq=False)
class Compiled:
    """A statement's shape, ready to be sent."""

    sql: str
    order: tuple[int, ...] | None
    """Which value stands at ``$1``, ``$2``, …; None when they stand in their own order."""
    bound: Bound | None
    """The guard, whose number and token are the last two parameters."""
    parameters: int
    """How many parameters it takes, the guard's included."""
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
            digest = blake2b(f"{self.sql}\0{types}".encode(), digest_size=16).hexdigest()
            name = self._names[types] = b"batchq_" + digest.encode()
        return name


def compiled(statement: Statement[Any]) -> Compiled:
    """Compile a statement, or find what was compiled for its shape.

    :raises InvalidBatch: when the statement cannot be part of a batch.
    """
    guard = statement.guard
    bound = None if guard is None else guard.bound
    return _compile(statement.source, statement.columns, statement.result.rows, bound)


@lru_cache(maxsize=4096)
def _compile(
    source: Source, columns: tuple[str, ...] | None, shape: Rows, bound: Bound | None
) -> Compiled:
    rows = shape in _SHAPES_WITH_ROWS
    if rows and isinstance(source, Insert | Update | Delete):
        _check_returned(source, columns, shape)
    sql, order = render(source, columns if rows else ())
    if len(order) + (2 if bound else 0) > MAX_PARAMETERS:
        message = f"{len(order)} parameters in one statement: the protocol allows {MAX_PARAMETERS}"
        raise InvalidBatch(message)
    seen = anatomy.read(sql, len(order))
    if bound is not None:
        sql = guarding.guarded(sql, seen, len(order), bound, rows=rows)
    in_order = order == tuple(range(len(order)))
    return Compiled(sql, None if in_order else order, bound, len(order) + (2 if bound else 0))


def _check_returned(
    source: Insert | Update | Delete, columns: tuple[str, ...] | None, shape: Rows
) -> None:
    if not columns:
        message = (
            f'which columns does {source.verb}("{source.table}", …).{shape.value}(…) return? This '
            f'model names none: add .returning("…") before it'
        )
        raise InvalidBatch(message)
    if shape is Rows.SCALAR and len(columns) != 1:
        message = f"scalar() takes one column, and returning() names {len(columns)}: {columns}"
        raise InvalidBatch(message)


def _show(statement: Statement[Any]) -> tuple[str, tuple[int, ...]]:
    made = compiled(statement)
    return made.sql, tuple(range(len(statement.values))) if made.order is None else made.order


step.port.render = _show
