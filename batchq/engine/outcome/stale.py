# SPDX-License-Identifier: MIT
"""Decide what a prepared statement may get wrong if the schema has changed since.

These are the values that it may misread, and the failures that may disappear without preparation.

The server infers the type of an undeclared parameter (psycopg declares none for strings) when it
prepares a statement, and never again. If the column's type has changed since, a value is converted
to the old type first, and may become another value: ``"007"`` becomes 7 by way of int.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol

from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.types.enum import EnumInfo

from batchq.engine.compile.parameter_places import Place
from batchq.engine.compile.quoting import name_of
from batchq.engine.wire.flight import CLOSING, OPENING
from batchq.engine.wire.statement_cache import Learnt
from batchq.language.outcome import Outcome
from batchq.language.violation import ViolationKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.adapt import AdaptersMap
    from psycopg.pq.abc import PGresult

    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.wire.connection_state import ConnectionState
    from batchq.engine.wire.encoded import EncodedStep
    from batchq.engine.wire.flight import Flight
    from batchq.engine.wire.statement_cache import StatementCache, ValueChecks

LOST: Final = {
    "26000": "the name does not exist: after DISCARD ALL, or in another server session of a pooler",
    "42P05": "the name exists: another client of a pooler prepared it in this server session",
}
"""SQLSTATEs of a statement name, whatever the statement."""

STALE: Final = {
    **LOST,
    "0A000": "the result columns have other types: cached plan must not change result type",
    "42804": "a column has another type, to which the parameter's type is not converted",
    "42883": "no operator or function takes the type that a column had",
    "42846": "no cast from the type that had this name before",
    "XX000": "the type of a parameter was dropped: cache lookup failed for type",
    "42704": "a type that the SQL names was dropped and made again: type with OID … does not exist",
    "22P02": "a value is not a label of the enum that a column had; or a column compared with text "
    "has another type, which batchq checks",
    "42P01": "a value converted by way of text is not a table, for a column of type regclass",
    "3F000": "likewise, for a schema",
}
"""SQLSTATEs after which a batch is sent again without preparation, and why. For each of them a
prepared statement was seen to fail while an unprepared one succeeds, or fails otherwise."""

_VALUE_CODES = frozenset({"42P01", "3F000"})
"""SQLSTATEs that a value causes if the error has no position; else the SQL causes them."""

_FRAME = frozenset({OPENING, CLOSING})

_TEXTS = frozenset({25, 1043})  # text, varchar: the value is returned as it was sent
_LISTS = frozenset({1009, 1015})  # text[], varchar[]

_WORD = rb'(?:NULL|(?!(?i:null)[,}])[^"{},\\ \t\n\r\v\f]+)'
_QUOTED = rb'"(?:|(?i:null)|(?=[^"]*[{},\\ \t\n\r\v\f])(?:[^"\\]|\\["\\])*)"'
_CANONICAL = re.compile(rb"\{(?:E(?:,E)*)?\}".replace(b"E", rb"(?:%b|%b)" % (_WORD, _QUOTED)))
"""Array of strings as array_out writes it, with quotes only if needed (utils/adt/arrayfuncs.c)."""
_FIRST_USER_OID = 16_384
"""The first OID of objects that users create: FirstNormalObjectId, access/transam.h."""


class Described(Protocol):
    """The attributes of the answer to a Describe that :func:`checks_of` reads."""

    @property
    def nparams(self) -> int:
        """Return the number of parameters."""
        ...

    def param_type(self, param_number: int, /) -> int:
        """Return the type of a parameter."""
        ...


def checks_of(step: EncodedStep, answer: Described, adapters: AdaptersMap) -> ValueChecks:
    """Return the checks that values must pass to be sent to a prepared statement.

    :param answer: the server's description of the parameters, with the types that it inferred.
    """
    checks: list[tuple[int, Callable[[Any], object]]] = []
    for index in step.compiled.form(step.settled).inferred:
        is_exact = _exact(step.compiled.places[index], answer.param_type(index), adapters)
        if is_exact is not None:
            checks.append((index, is_exact))
    return tuple(checks)


def never(value: object) -> bool:
    """Return False: the statement may misread any value."""
    del value
    return False


def _exact(place: Place, type_: int, adapters: AdaptersMap) -> Callable[[Any], object] | None:
    """Return a check that a value keeps its meaning by way of a type, for any type of the column.

    A type in the SQL itself is not inferred from the schema; but the name of a type that a user has
    created may come to mean another one. A string keeps its value by way of text. A label of an
    enum keeps it or fails; but only a registered adapter shows that a type is an enum. An array
    keeps it if it is written as the server writes it. A value that is only compared is not stored,
    and the column's type is checked.

    :return: None if all values keep their meaning.
    """
    if type_ in _TEXTS or (place is Place.CAST and type_ < _FIRST_USER_OID):
        return None
    info = adapters.types.get(type_)
    if isinstance(info, EnumInfo) and info.oid == type_:
        return None
    if type_ in _LISTS or isinstance(info, EnumInfo):
        return None if place is Place.LISTED else _CANONICAL.fullmatch
    return never


def learn(
    statements: StatementCache,
    sent: Sequence[tuple[Flight, Sequence[PGresult | None]]],
    adapters: AdaptersMap,
    *,
    well: bool,
) -> None:
    """Record which statements were prepared and closed, and which types the server inferred.

    :param sent: the commands that were sent together, of each batch, and their answers.
    :param well: whether a batch succeeded with the statements that were prepared before.
    """
    prepared: set[bytes] = set()
    closed = 0
    for flight, answers in sent:
        prepared.update(key for index, key in flight.parses if _succeeded(answers[index]))
        closed += sum(_is_closed(answers[index]) for index in flight.closes)
    statements.record(prepared, closed, well=well)
    for flight, answers in sent:
        for slot, key, step in flight.describes:
            _learn_types(statements, key, step, answers[slot], adapters)


def _learn_types(
    statements: StatementCache,
    key: bytes,
    step: EncodedStep,
    answer: PGresult | None,
    adapters: AdaptersMap,
) -> None:
    """Record the types that the server has inferred for a step, if it has described them."""
    if answer is None or not _succeeded(answer):
        return
    form = step.compiled.form(step.settled)
    types = list(step.settled)
    for index in form.inferred:
        types[index] = answer.param_type(index)
    declared = tuple(types)
    checks = checks_of(step, answer, adapters)
    statements.record_types(key, Learnt(name_of(f"{form.sql}\0{declared}"), declared, checks))


def _succeeded(answer: PGresult | None) -> bool:
    return answer is not None and answer.status == ExecStatus.COMMAND_OK


def _is_closed(answer: PGresult | None) -> bool:
    """Return True if a name is closed; DEALLOCATE of a name that does not exist counts, too."""
    return _succeeded(answer) or (
        answer is not None and answer.error_field(DiagnosticField.SQLSTATE) == b"26000"
    )


def may_be_stale(verdict: Verdict, flight: Flight) -> bool:
    """Return True if nothing was applied, and a stale preparation may be the cause.

    BEGIN and COMMIT refer to nothing in the schema: the other failures at COMMIT are those of
    deferred constraints.
    """
    violation = verdict.violation
    if (
        violation is None
        or verdict.outcome is not Outcome.ROLLED_BACK
        or verdict.slot in flight.unnamed
        or verdict.link_lost
    ):
        return False
    # An error with a position in the text may lie in the type check that was added to it.
    if verdict.slot in flight.checked and violation.position is not None:
        return True
    if violation.kind is ViolationKind.GUARD:
        return False
    if violation.sqlstate in _VALUE_CODES and violation.position is not None:
        return False
    return violation.sqlstate in (LOST if verdict.owner in _FRAME else STALE)


def is_alike(first: Verdict, second: Verdict) -> bool:
    """Return True if a batch has failed twice in the same way."""
    before, after = first.violation, second.violation
    return (
        first.owner == second.owner
        and before is not None
        and after is not None
        and (before.sqlstate, before.message) == (after.sqlstate, after.message)
    )


def give_up(state: ConnectionState, failures: Sequence[tuple[Verdict, Flight]]) -> None:
    """Update the cache after failures of one flight that did not occur again without preparation.

    However many of its batches they are, the prepared statements were lost once.
    """
    stale: list[bool] = []
    for verdict, flight in failures:
        described = next(
            (key for slot, key, _ in flight.describes if slot - 1 == verdict.slot), None
        )
        if described is None:
            code = None if verdict.violation is None else verdict.violation.sqlstate
            stale.append(code in LOST)
        else:  # It is not stale: the server cannot prepare it as it is.
            state.statements.record_types(described, None)
    if stale:
        state.invalidate(lost=any(stale))
