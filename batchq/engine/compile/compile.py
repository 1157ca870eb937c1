# SPDX-License-Identifier: MIT
"""Compile a statement's shape to what is sent, and cache it by shape.

The cache never depends on values: two statements that differ only in their values are the same
statement to the server. Nothing here does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from attrs import define, evolve, field, frozen
from psycopg.pq import Format

from batchq.engine.abilities import NEWEST, Abilities
from batchq.engine.client_encoding import is_own
from batchq.engine.compile.command import reported_columns, write_command
from batchq.engine.compile.find_spans import can_change_names, find_fragments
from batchq.engine.compile.guard_sql import (
    ROWS_MARK,
    SETTING_MARK,
    GuardSpec,
    PostCondition,
    summary,
    wrap,
)
from batchq.engine.compile.notes import one_snapshot
from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.output_sql import needs_no_setting
from batchq.engine.compile.parameter_places import CHECKED, Place
from batchq.engine.compile.quoting import name_of
from batchq.engine.compile.render import requirement
from batchq.engine.compile.returned_columns import (
    hidden_columns,
    returned_columns,
    sql_names,
    wanted_columns,
)
from batchq.engine.compile.sentinel import SENTINEL_MARK
from batchq.language.errors import InvalidBatch
from batchq.language.guards import INSIDE, Bound, Requirement
from batchq.language.left_rows import notes_left
from batchq.language.lexing import NO_PARAMETER
from batchq.language.old import Returned
from batchq.language.results import WITHOUT_ROWS, Rows
from batchq.language.shape import Shape
from batchq.language.source_columns import refuse_source_columns
from batchq.language.syntax import RawSql, Select, Source

MAX_PARAMETERS = 65_535
"""The Bind message counts parameters in 16 bits: PostgreSQL documentation, "Message Formats"."""

_ROWS_IN_TEXT = (0, 1)
"""Expected numbers of rows that are part of the text: a parameter costs time in each run. Any other
may come from data, such as the length of a list, and the statement would be another one each time.
"""

_LONG = 1 << 20
"""Characters. Every server reads a message of this length; a longer text is measured when it is
sent."""


@frozen(eq=False)
class Form:
    """A statement with the types of its parameters, as a server prepares it."""

    key: bytes | None
    """A digest of text and types, so equal keys mean the same statement. None: never prepared,
    because a changed type of a column could silently change the meaning of a value."""
    inferred: tuple[int, ...]
    """The parameters without a declared type. The server infers their types in Parse and keeps
    them, so a Describe has to report them first."""
    sql: str
    """The text to prepare. If it :attr:`checks_types`, the text to run unprepared is another."""
    checks_types: bool
    """Whether the text checks that columns still have the type that the server inferred by them."""


@define(eq=False)
class Compiled:
    """A statement's shape, ready to be sent."""

    sql: str
    order: tuple[int, ...] | None
    """The index of the value at ``$1``, ``$2``, …; None if the values are in order."""
    parameters: int
    """The number of parameters. Those that batchq adds are the last: the expected number of rows,
    the guards' token, and the settings of its outputs."""
    takes_row_count: bool
    """Whether the expected number of rows is a parameter."""
    takes_token: bool
    """Whether the guards' token is a parameter."""
    may_change_names: bool
    """Whether it may change what later names refer to, as ``SET search_path`` does."""
    places: tuple[Place, ...]
    """The place of each parameter."""
    _checking_sql: Callable[[frozenset[int]], str]
    """Returns the text that checks the types of the columns compared with these parameters."""
    has_backslash: bool
    """Whether the user's SQL has a backslash in a plain string. Only a server with
    ``standard_conforming_strings`` on reads it as batchq does."""
    notes: tuple[str, ...] = ()
    """Notes for the reader, unless an earlier step holds a lock."""
    long: bool = False
    """Whether the text is so long that a server may not read it in one message."""
    result_format: Format = Format.TEXT
    """The format of the result: binary, whatever the settings, for models of batchq's own."""
    _forms: dict[tuple[int, ...], Form] = field(factory=dict[tuple[int, ...], Form])

    def form(self, types: tuple[int, ...]) -> Form:
        """Return the form with parameters of these types; 0 for one without a declared type."""
        form = self._forms.get(types)
        if form is None:
            form = self._forms[types] = self._form(types)
        return form

    def _form(self, types: tuple[int, ...]) -> Form:
        untyped = [
            index
            for index, type_ in enumerate(types)
            if not type_ and self.places[index] is not Place.BUILT_IN
        ]
        checked = frozenset(index for index in untyped if self.places[index] in CHECKED)
        free = any(self.places[index] is Place.FREE for index in untyped)
        sql = self._checking_sql(checked) if checked and not free else self.sql
        key = None if free else name_of(f"{sql}\0{types}")
        return Form(key, tuple(untyped), sql, bool(checked))


@lru_cache(maxsize=4096)
def compiled(
    shape: Shape, outputs: tuple[Returned, ...] = (), abilities: Abilities = NEWEST
) -> Compiled:
    """Return the compiled statement of a shape, from the cache if it is there.

    :param outputs: the columns that later statements use.
    :param abilities: those of the server that it is for.
    :raises InvalidBatch: if such a statement cannot be part of a batch.
    """
    bound = None if shape.guard is None or shape.carries_unexpected else shape.guard.bound
    if outputs:
        bound = Bound.EXACTLY
    rows = 1 if shape.guard is None else shape.guard.rows
    spec = GuardSpec(
        bound,
        rows if rows in _ROWS_IN_TEXT else None,
        shape.result.rows is Rows.COUNT,
        probe=shape.probe,
        or_left=notes_left(shape.source),
        fresh=shape.fresh,
    )
    statement = _compiled(
        shape.source,
        shape.columns,
        shape.result.rows,
        shape.requirements,
        spec,
        outputs=outputs,
        abilities=abilities,
    )
    if is_own(shape.result.model):
        return evolve(statement, result_format=Format.BINARY)
    return statement


@lru_cache(maxsize=4096)
def _compiled(
    source: Source,
    columns: tuple[Returned, ...] | None,
    result: Rows,
    requirements: tuple[Requirement, ...],
    spec: GuardSpec,
    *,
    outputs: tuple[Returned, ...],
    abilities: Abilities,
    checked: frozenset[int] = frozenset(),
) -> Compiled:
    """Compile the parts of a shape that decide the text.

    Many shapes share them, such as those that differ only in a lambda of a mapping.
    """
    rows = result not in WITHOUT_ROWS
    wanted = wanted_columns(source, columns, result)
    hidden = hidden_columns(source, wanted or (), requirements, outputs)
    outside = any(each.when not in INSIDE for each in requirements)
    wraps = outside or spec.bound is not None or spec.fresh
    returned = returned_columns(wanted, hidden, wraps=wraps)
    if isinstance(source, RawSql):
        if source.no_value in NO_PARAMETER:
            raise InvalidBatch(source.no_value)
        refuse_source_columns((source,))
    numbering = Numbering(abilities, checked=checked)
    reported = reported_columns(result)
    sql, spans = write_command(numbering, source, requirements, returned, reported)
    may_change_names = isinstance(source, RawSql) and can_change_names(spans.verb, sql)
    post_conditions = _post_conditions(numbering, source, requirements)
    tests = [each.test for each in post_conditions if each.test is not None]
    parts = find_fragments(numbering, tests)
    if spans.verb == "CALL" and isinstance(source, RawSql):
        _check_call(source)
    if wraps:
        if isinstance(source, RawSql) and source.unsure is not None:
            message = f"a guard needs a whole command, and this may be a part: {source.unsure}"
            raise InvalidBatch(message)
        named = dict(zip(returned or (), sql_names(returned or ()), strict=True))
        shown = (*(named[column] for column in wanted or ()), *reported)
        whole = evolve(
            spec,
            post_conditions=post_conditions,
            outputs=tuple([each if isinstance(each, str) else named[each] for each in outputs]),
            wanted=None if rows and returned == wanted else shown,
        )
        sql = wrap(sql, spans, whole)
    elif isinstance(source, Select):
        sql = summary(sql, result)
    counts = spec.bound is not None and spec.rows is None
    judges = spec.bound is not None or bool(requirements) or spec.fresh
    order = tuple(numbering.order)
    parameters = len(order) + counts + judges + len(outputs)
    if parameters > MAX_PARAMETERS:
        extra = parameters - len(order)
        added = f", and {extra} that batchq adds" if extra else ""
        message = (
            f"{len(order)} parameters in one statement{added}: the protocol allows "
            f"{MAX_PARAMETERS}; split the statement, or pass an array"
        )
        raise InvalidBatch(message)
    in_order = order == tuple(range(len(order)))
    sql = _numbered(numbering.to_sql(sql), len(order), counts=counts, judges=judges)
    return Compiled(
        sql,
        None if in_order else order,
        parameters,
        counts,
        judges,
        may_change_names,
        (*numbering.places, *(Place.BUILT_IN,) * (parameters - len(order))),
        lambda checked: (
            _compiled(
                source,
                columns,
                result,
                requirements,
                spec,
                outputs=outputs,
                abilities=abilities,
                checked=checked,
            ).sql
        ),
        spans.has_backslash or any(part.has_backslash for part in parts),
        one_snapshot(spans, parts, locks=isinstance(source, Select) and source.lock is not None),
        len(sql) > _LONG,
    )


def _post_conditions(
    numbering: Numbering, source: Source, requirements: tuple[Requirement, ...]
) -> tuple[PostCondition, ...]:
    """Return the conditions on the rows that the statement returns."""
    conditions: list[PostCondition] = []
    for index, required in enumerate(requirements):
        if required.when not in INSIDE:
            has_test = bool(required.test)
            test = requirement(numbering, source, requirements, index) if has_test else None
            conditions.append(PostCondition(index, test, numbering.encoded_row(required)))
    return tuple(conditions)


def _check_call(source: RawSql) -> None:
    """Reject an output that a CALL cannot take.

    :raises InvalidBatch: for a type that has to be read in a subquery, under settings of its own.
    """
    for kind in source.casts:
        if kind is not None and not needs_no_setting(kind):
            message = f"CALL cannot take an output of type {kind}; call a function in a SELECT"
            raise InvalidBatch(message)


def _numbered(sql: str, order: int, *, counts: bool, judges: bool) -> str:
    """Assign the numbers of the parameters that batchq adds, after all others."""
    sql = sql.replace(ROWS_MARK, f"${order + 1}").replace(SENTINEL_MARK, f"${order + counts + 1}")
    first = order + counts + judges + 1
    return _SETTING.sub(lambda match: f"${first + int(match[1])}", sql)


_SETTING = re.compile(f"{SETTING_MARK}(\\d+)")
