# SPDX-License-Identifier: MIT
"""Compiling: from a statement's shape to what is sent, once per shape, then found again.

Pure. The cache is by shape, never by value: two statements that differ only in their values are one
and the same to the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from attrs import define, evolve, field, frozen
from psycopg.pq import Format

from batchq.engine.client_encoding import is_own
from batchq.engine.compile import scan
from batchq.engine.compile.guard_sql import ROWS_MARK, SETTING_MARK, GuardSpec, PostCondition, wrap
from batchq.engine.compile.notes import one_snapshot
from batchq.engine.compile.output_sql import needs_no_setting
from batchq.engine.compile.parameter_places import CHECKED, Place
from batchq.engine.compile.quoting import name_of
from batchq.engine.compile.render import Numbering, render, requirement
from batchq.engine.compile.sentinel import SENTINEL_MARK
from batchq.language.errors import InvalidBatch
from batchq.language.guards import INSIDE, Bound, Requirement
from batchq.language.lexing import NO_PARAMETER
from batchq.language.results import WITHOUT_ROWS, Rows
from batchq.language.shape import Shape
from batchq.language.spelling import spelled
from batchq.language.syntax import Delete, Insert, RawSql, Select, Source, Update

MAX_PARAMETERS = 65_535
"""The Bind message counts parameters in 16 bits: PostgreSQL documentation, "Message Formats"."""

_LONG = 1 << 20
"""Characters. No server's messages end before; what is longer is measured when it is sent."""


@frozen(eq=False)
class Form:
    """A statement and the types of its parameters: what a server prepares."""

    key: bytes | None
    """Derived from content, so a clash is the same statement. None: it is never prepared, for
    another type of a column could give a value another meaning, silently."""
    inferred: tuple[int, ...]
    """Which parameters have no declared type, so that the server infers one when it prepares, and
    stays with it: it has to be asked which."""
    sql: str
    """What is prepared. Not what runs unprepared where it :attr:`checks_types`."""
    checks_types: bool
    """Whether it checks that columns still have the type that the server inferred from them."""


@define(eq=False)
class Compiled:
    """A statement's shape, ready to be sent."""

    sql: str
    order: tuple[int, ...] | None
    """Which value stands at ``$1``, ``$2``, …; None when they stand in their own order."""
    parameters: int
    """How many parameters it takes, with those that batchq adds, which stand last: the wanted
    number of rows, the guards' token, and the settings that carry its outputs."""
    takes_row_count: bool
    """Whether it takes the wanted number of rows."""
    takes_token: bool
    """Whether it takes the guards' token."""
    may_change_names: bool
    """Whether it may set what names mean from then on, as ``SET search_path`` does."""
    places: tuple[Place, ...]
    """Where each parameter stands."""
    _checking: Callable[[frozenset[int]], str]
    """Makes the text that checks the types of the columns that these are compared with."""
    has_backslash: bool
    """Whether the user's SQL has a plain string with a backslash in it, which only a server with
    ``standard_conforming_strings`` on reads as batchq does."""
    notes: tuple[str, ...] = ()
    """What a reader should know about it, unless a step before it holds a lock."""
    long: bool = False
    """Whether its text is so long that a server may not read it in one message."""
    result_format: Format = Format.TEXT
    """How it is answered: what batchq reads for itself in binary, which no setting changes."""
    _forms: dict[tuple[int, ...], Form] = field(factory=dict[tuple[int, ...], Form])

    def form(self, types: tuple[int, ...]) -> Form:
        """Take it with parameters of these types; 0 where none is declared."""
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
        sql = self._checking(checked) if checked and not free else self.sql
        key = None if free else name_of(f"{sql}\0{types}")
        return Form(key, tuple(untyped), sql, bool(checked))


@lru_cache(maxsize=4096)
def compiled(shape: Shape, outputs: tuple[str, ...] = (), binary: bool = True) -> Compiled:  # noqa: FBT001, FBT002  by keyword it would be looked up slower
    """Compile a shape, or find what was compiled for it.

    :param outputs: the columns that later statements use.
    :param binary: whether the server can make a value binary in SQL.
    :raises InvalidBatch: when such a statement cannot be part of a batch.
    """
    bound = None if shape.guard is None or shape.carries_unexpected else shape.guard.bound
    if outputs:
        bound = Bound.EXACTLY
    made = _compiled(
        shape.source,
        shape.columns,
        shape.result.rows,
        shape.requirements,
        GuardSpec(bound, outputs=outputs, probe=shape.probe, fresh=shape.fresh),
        binary=binary,
    )
    return evolve(made, result_format=Format.BINARY) if is_own(shape.result.model) else made


@lru_cache(maxsize=4096)
def _compiled(
    source: Source,
    columns: tuple[str, ...] | None,
    answer: Rows,
    requirements: tuple[Requirement, ...],
    spec: GuardSpec,
    *,
    binary: bool,
    checked: frozenset[int] = frozenset(),
) -> Compiled:
    """Compile what decides the text. Many shapes share it: those of each new lambda, for one."""
    rows = answer not in WITHOUT_ROWS
    if rows:
        _check_columns(source, columns, answer)
    wanted = columns if rows else ()
    hidden = _hidden_columns(source, wanted or (), requirements, spec.outputs)
    asked = wanted
    if hidden and wanted is not None:
        asked = (*wanted, *hidden)
    if isinstance(source, RawSql) and source.no_value in NO_PARAMETER:
        raise InvalidBatch(source.no_value)
    mark = scan.mark_for(_user_sql(source, requirements, asked))
    numbering = Numbering(mark, binary=binary, checked=checked)
    sql = render(numbering, source, requirements, asked)
    seen = scan.scan(sql, mark)
    post_conditions, parts = _post_conditions(numbering, mark, source, requirements)
    if seen.verb == "CALL" and isinstance(source, RawSql):
        _check_call(source)
    if spec.bound is not None or post_conditions:
        if isinstance(source, RawSql) and source.unsure is not None:
            message = f"what is guarded is whole, and this may not be: {source.unsure}"
            raise InvalidBatch(message)
        shown = None if rows and not hidden else wanted or ()
        sql = wrap(sql, seen, evolve(spec, post_conditions=post_conditions, wanted=shown))
    counts = spec.bound is not None
    judges = counts or bool(requirements)
    order = tuple(numbering.order)
    parameters = len(order) + counts + judges + len(spec.outputs)
    if parameters > MAX_PARAMETERS:
        own, added = len(order), parameters - len(order)
        and_ours = f", and {added} that batchq adds" if added else ""
        message = (
            f"{own} parameters in one statement{and_ours}: the protocol allows {MAX_PARAMETERS}"
        )
        raise InvalidBatch(message)
    in_order = order == tuple(range(len(order)))
    sql = _numbered(numbering.written(sql), len(order), counts=counts, judges=judges)
    return Compiled(
        sql,
        None if in_order else order,
        parameters,
        counts,
        judges,
        isinstance(source, RawSql) and _may_change_names(seen.verb, source),
        (*numbering.places, *(Place.BUILT_IN,) * (parameters - len(order))),
        lambda checked: (
            _compiled(
                source, columns, answer, requirements, spec, binary=binary, checked=checked
            ).sql
        ),
        seen.has_backslash or any(part.has_backslash for part in parts),
        one_snapshot(seen, parts),
        len(sql) > _LONG,
    )


def _user_sql(
    source: Source, requirements: tuple[Requirement, ...], asked: tuple[str, ...] | None
) -> str:
    """All the user's SQL of a statement in a row."""
    numbering = Numbering("$")
    sql = render(numbering, source, requirements, asked)
    return sql + "".join(
        requirement(numbering, source, requirements, index) for index in range(len(requirements))
    )


def _post_conditions(
    numbering: Numbering, mark: str, source: Source, requirements: tuple[Requirement, ...]
) -> tuple[tuple[PostCondition, ...], list[scan.Fragment]]:
    """What is required of the rows that the statement returns, and what the conditions are."""
    made: list[PostCondition] = []
    parts: list[scan.Fragment] = []
    for index, one in enumerate(requirements):
        if one.when not in INSIDE:
            test = None
            if one.test:
                test = requirement(numbering, source, requirements, index)
                parts.append(scan.scan_fragment(test, mark))
            made.append(PostCondition(index, test, numbering.finding(one)))
    return tuple(made), parts


def _check_call(source: RawSql) -> None:
    """Refuse an output that a CALL cannot take.

    :raises InvalidBatch: for a type that is only read under settings of its own, in a subquery.
    """
    for kind in source.casts:
        if kind is not None and not needs_no_setting(kind):
            message = f"CALL takes no output of type {kind}: call a function in a SELECT"
            raise InvalidBatch(message)


def _hidden_columns(
    source: Source,
    wanted: tuple[str, ...],
    requirements: tuple[Requirement, ...],
    outputs: tuple[str, ...],
) -> tuple[str, ...]:
    """The columns that a statement has to return for its guards and outputs alone.

    :raises InvalidBatch: when it selects other columns.
    """
    judged = [one.columns for one in requirements if one.when not in INSIDE]
    needed = dict.fromkeys(sum(judged, ()) + outputs)
    if isinstance(source, RawSql):
        return ()  # it returns what it returns, and the server knows what that is
    if isinstance(source, Select) and source.columns is not None:
        if any(isinstance(column, RawSql) for column in source.columns):
            return ()  # what a fragment is called, the server knows
        for column in needed:
            if column not in source.columns:
                message = f"{column!r} is none of the columns that this select() names: add it"
                raise InvalidBatch(message)
        return ()
    return tuple(column for column in needed if column not in wanted)


def _numbered(sql: str, order: int, *, counts: bool, judges: bool) -> str:
    """Number the parameters that batchq adds, behind all others."""
    sql = sql.replace(ROWS_MARK, f"${order + 1}").replace(SENTINEL_MARK, f"${order + counts + 1}")
    first = order + counts + judges + 1
    return _SETTING.sub(lambda found: f"${first + int(found[1])}", sql)


_SETTING = re.compile(f"{SETTING_MARK}(\\d+)")


def _may_change_names(verb: str, text: RawSql) -> bool:
    said = _OWN_SETTING.sub("", "".join(text.pieces).lower())
    return verb not in scan.VERBS_WITH_ROWS or "set_config" in said


_OWN_SETTING = re.compile(r"set_config\('(?:row_security|batchq\.\w+)'")
"""What batchq itself sets around a part of a batch, and what changes no name's meaning."""


def _check_columns(source: Source, columns: tuple[str, ...] | None, answer: Rows) -> None:
    if isinstance(source, Insert | Update | Delete) and not columns:
        message = (
            f"which columns does {source.verb}({spelled(source.table)}, …).{answer.value}(…) "
            f'return? This model names none: add .returning("…") before it'
        )
        raise InvalidBatch(message)
    own = source.columns if isinstance(source, Select) else None
    if answer is Rows.SCALAR and len(own or columns or "1") != 1:
        message = f"scalar() is of one column, and this names {len(own or columns or '')}"
        raise InvalidBatch(message)
