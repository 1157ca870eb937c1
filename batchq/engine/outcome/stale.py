# SPDX-License-Identifier: MIT
"""What a prepared statement may get wrong because it is older than the schema: which types that the
server inferred may stay, and which failures may be a preparation's and not the statement's.

The server infers the type of a parameter that has none declared, as psycopg's strings have none,
when it prepares a statement, and never again. Read into the type of a column as it was, a value may
become another one in the column as it is: ``"007"`` is 7 by way of int.
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
    from batchq.engine.wire.encode import Encoded
    from batchq.engine.wire.flight import Flight
    from batchq.engine.wire.statement_cache import Doubts, StatementCache

LOST: Final = {
    "26000": "the name is gone: DISCARD ALL, or a pooler that hands out another server session",
    "42P05": "the name is taken: such a pooler again, and another client of it",
}
"""Failures of a name, whatever the statement."""

STALE: Final = {
    **LOST,
    "0A000": "the columns of the answer have other types: cached plan must not change result type",
    "42804": "a column has another type, which none of the parameter's is made",
    "42883": "no operator or function takes the type that a column had",
    "42846": "a cast takes the type that another type of this name was",
    "XX000": "the type that a parameter had is gone: cache lookup failed for type",
    "22P02": "a value is no label of the enum that a column had; or a column that is compared with "
    "text is none any more, which batchq checks",
    "42P01": "a value that is read by way of text names no table, for a column that is a regclass",
    "3F000": "likewise: no schema",
}
"""Every SQLSTATE by which a batch is sent once more without preparation, and why: each was seen to
come from a prepared statement where one that is not prepared succeeds or fails otherwise."""

_OF_VALUES = frozenset({"42P01", "3F000"})
"""Codes that are a value's fault when they lie at no place in the text, and else the text's."""

_FRAME = frozenset({OPENING, CLOSING})

_TEXTS = frozenset({25, 1043})  # text, varchar: what goes in comes out
_LISTS = frozenset({1009, 1015})  # text[], varchar[]

_WORD = rb'(?:NULL|(?!(?i:null)[,}])[^"{},\\ \t\n\r\v\f]+)'
_QUOTED = rb'"(?:|(?i:null)|(?=[^"]*[{},\\ \t\n\r\v\f])(?:[^"\\]|\\["\\])*)"'
_CANONICAL = re.compile(rb"\{(?:E(?:,E)*)?\}".replace(b"E", rb"(?:%b|%b)" % (_WORD, _QUOTED)))
"""A list of strings as array_out writes it (utils/adt/arrayfuncs.c): in quotes what has to be."""
_FIRST_OWN = 16_384
"""OIDs from here on are given to what users create: FirstNormalObjectId, access/transam.h."""


class Described(Protocol):
    """The part of the answer to a Describe that is read here."""

    @property
    def nparams(self) -> int:
        """How many parameters the statement has."""
        ...

    def param_type(self, param_number: int, /) -> int:
        """The type of one of them."""
        ...


def doubts_of(step: Encoded, answer: Described, adapters: AdaptersMap) -> Doubts:
    """Say which values a statement does not fit once it is prepared.

    :param answer: what the server says of its parameters, those among them whose types it inferred.
    """
    found: list[tuple[int, Callable[[Any], object]]] = []
    for index in step.compiled.form(step.settled).inferred:
        is_exact = _exact(step.compiled.places[index], answer.param_type(index), adapters)
        if is_exact is not None:
            found.append((index, is_exact))
    return tuple(found)


def never(value: object) -> bool:
    """Say of every value that it may be misread."""
    del value
    return False


def _exact(place: Place, type_: int, adapters: AdaptersMap) -> Callable[[Any], object] | None:
    """Tell which values mean the same by way of a type whatever becomes of the column; None: all.

    What the text itself says is not inferred from the schema, but for the types that users create,
    whose names may come to mean others. A text is as it was by way of text, and an enum's label is
    one or fails; but that a type is an enum, only a registered adapter tells. A list, when it is
    written as the server writes it. What is compared with is never written again, and the column's
    type is checked.
    """
    if type_ in _TEXTS or (place is Place.CAST and type_ < _FIRST_OWN):
        return None
    info = adapters.types.get(type_)
    if isinstance(info, EnumInfo) and info.oid == type_:
        return None
    if type_ in _LISTS or isinstance(info, EnumInfo):
        return None if place is Place.LISTED else _CANONICAL.fullmatch
    return never


def learn(
    statements: StatementCache,
    flight: Flight,
    answers: Sequence[PGresult | None],
    adapters: AdaptersMap,
    *,
    well: bool,
) -> None:
    """Record what the answers say was prepared and closed, and which types the server inferred.

    :param well: whether the batch succeeded with what was prepared before.
    """
    prepared = {key for index, key in flight.parses if _is_well(answers[index])}
    closed = sum(_is_closed(answers[index]) for index in flight.closes)
    statements.record(prepared, closed, well=well)
    for slot, key, step in flight.describes:
        answer = answers[slot]
        if answer is None or not _is_well(answer):
            continue
        form = step.compiled.form(step.settled)
        types = list(step.settled)
        for index in form.inferred:
            types[index] = answer.param_type(index)
        declared = tuple(types)
        doubts = doubts_of(step, answer, adapters)
        statements.record_types(key, Learnt(name_of(f"{form.sql}\0{declared}"), declared, doubts))


def _is_well(answer: PGresult | None) -> bool:
    return answer is not None and answer.status == ExecStatus.COMMAND_OK


def _is_closed(answer: PGresult | None) -> bool:
    """Whether a name is closed; DEALLOCATE of one that does not exist closes it as well."""
    return _is_well(answer) or (
        answer is not None and answer.error_field(DiagnosticField.SQLSTATE) == b"26000"
    )


def may_be_stale(verdict: Verdict, flight: Flight) -> bool:
    """Return whether nothing was applied, and a stale preparation may be the cause.

    BEGIN and COMMIT name nothing in the schema: the other failures at COMMIT are deferred
    constraints.
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
    if violation.sqlstate in _OF_VALUES and violation.position is not None:
        return False
    return violation.sqlstate in (LOST if verdict.owner in _FRAME else STALE)


def is_alike(first: Verdict, second: Verdict) -> bool:
    """Whether a batch has failed twice in the same way."""
    one, other = first.violation, second.violation
    return (
        first.owner == second.owner
        and one is not None
        and other is not None
        and (one.sqlstate, one.message) == (other.sqlstate, other.message)
    )


def give_up(state: ConnectionState, verdict: Verdict, flight: Flight) -> None:
    """Learn from a failure that did not come again with nothing prepared."""
    code = None if verdict.violation is None else verdict.violation.sqlstate
    asked = next((key for slot, key, _ in flight.describes if slot - 1 == verdict.slot), None)
    if asked is None:
        state.invalidate(lost=code in LOST)
    else:  # Nothing is stale of it; the server cannot prepare it as it is.
        state.statements.record_types(asked, None)
