# SPDX-License-Identifier: MIT
"""Keep a connection's Transformer, which converts values, from one batch to the next.

To make one, and to look up the dumpers and loaders of the types of a batch, takes longer than to
convert the values. psycopg makes a new one for each cursor, so a dumper or loader may keep what it
finds when it is made: the session's settings, a function that was set for all of JSON, anything at
all if it is the caller's own. So a Transformer is kept only as long as it is as good as a new one:

- the settings that psycopg's adapters read, and the connection's adapters, are the same;
- it has used only adapters of psycopg that read nothing else.

It is used by one batch at a time: to take it is to remove it from the connection's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, cast
from weakref import proxy, ref

from attrs import define, field
from psycopg import AsyncConnection, Connection, ProgrammingError
from psycopg.adapt import AdaptersMap, PyFormat, Transformer

from batchq.engine.client_encoding import codec
from batchq.engine.wire.prepared_flight import MOST_FLIGHTS

if TYPE_CHECKING:
    from psycopg import abc
    from psycopg.pq import Format
    from psycopg.pq.abc import PGconn, PGresult

    from batchq.engine.filling import Filling
    from batchq.engine.wire.constants import Constants
    from batchq.engine.wire.prepared_flight import PreparedFlight

_SETTINGS = b"client_encoding", b"DateStyle", b"IntervalStyle", b"TimeZone"
"""What psycopg's dumpers and loaders read of the session when they are made (psycopg 3.3 sources,
``types/``)."""

_STATELESS = frozenset(
    {
        *("psycopg_binary._psycopg", "psycopg_c._psycopg"),
        *("psycopg.types.bool", "psycopg.types.datetime", "psycopg.types.enum"),
        *("psycopg.types.net", "psycopg.types.none", "psycopg.types.numeric"),
        *("psycopg.types.string", "psycopg.types.uuid", "psycopg.dbapi20"),
    }
)
"""The modules of psycopg whose dumpers and loaders read only these settings. Those of JSON keep a
function that may be replaced. Those of ranges and composites use the adapters of other types."""
_OF_ARRAYS = "psycopg.types.array"

_INTERNALS = ("_dumpers", "_dumpers_by_oid", "_loaders")
"""Attributes of psycopg's AdaptersMap, by which a change of the adapters is found. A map copies
each before it changes it, if another map was made from it."""
_MOST_CLASSES = 1024
"""The number of classes of values that a Transformer has dumped before a new one is made."""
_CAN_KEEP = all(hasattr(AdaptersMap(), name) for name in _INTERNALS)
"""Whether psycopg has them; if not, nothing is kept."""


def settings_of(pg: PGconn) -> tuple[bytes | None, ...]:
    """Return the session's settings that psycopg's adapters read."""
    status = pg.parameter_status
    encoding, date_style, interval_style, time_zone = _SETTINGS
    return status(encoding), status(date_style), status(interval_style), status(time_zone)


def is_plain(pg: PGconn, settings: Sequence[bytes | None]) -> bool:
    """Return whether a session writes values as text in the usual way.

    That is: dates in ISO, intervals in PostgreSQL's style, characters in the client's encoding.

    :param settings: as in :func:`settings_of`.
    """
    encoding, date_style, interval_style, _ = settings
    return (
        (date_style or b"").startswith(b"ISO")
        and interval_style == b"postgres"
        and b"SQL_ASCII" not in (encoding, pg.parameter_status(b"server_encoding"))
    )


@define(eq=False)
class KeptTransformer:
    """A Transformer, and what it was made under."""

    transformer: abc.Transformer
    settings: tuple[bytes | None, ...]
    adapters: AdaptersMap
    """A copy of the connection's adapters at that time."""
    is_plain: bool
    """Whether the session writes values as text in the usual way."""
    codec: str
    """Python's codec for the client's encoding."""
    constants: dict[ref[Filling], Constants] = field(
        init=False, factory=dict["ref[Filling]", "Constants"]
    )
    """Constants that it has encoded; see :meth:`keep`."""
    stateless: set[type[object]] = field(init=False, factory=lambda: {list})
    """Classes of values whose dumpers read nothing but the settings."""
    loads: dict[PreparedFlight, bool] = field(init=False, factory=dict["PreparedFlight", bool])
    """Whether the loaders of the results of a flight read nothing but the settings."""

    def keep(self, filling: Filling, constants: Constants) -> None:
        """Keep encoded constants, and drop those of declarations that no longer exist."""
        for reference in [each for each in self.constants if each() is None]:
            del self.constants[reference]
        self.constants[ref(filling)] = constants

    def dumps_stateless(self, kinds: AbstractSet[type[object]]) -> bool:
        """Return whether psycopg dumps values of these classes without reading anything else.

        :param kinds: the classes of the values, and of those in lists.
        """
        if kinds <= self.stateless:
            return True
        if len(self.stateless) > _MOST_CLASSES:
            return False  # so this Transformer, which keeps the classes as well, is let go of
        for kind in kinds - self.stateless:
            try:
                dumper = self.adapters.get_dumper(kind, PyFormat.AUTO)
            except ProgrammingError:
                return False
            if _module(dumper) not in _STATELESS:
                return False
        self.stateless |= kinds
        return True

    def loads_stateless(self, flight: PreparedFlight, answers: Iterable[PGresult | None]) -> bool:
        """Return whether psycopg loads the answers to a flight without reading anything else.

        Another flight like it has the same columns: of a prepared statement they cannot change.
        """
        known = self.loads.get(flight)
        if known is None:
            if len(self.loads) >= MOST_FLIGHTS:
                self.loads.clear()
            known = self.loads[flight] = self._loads_columns(answers)
        return known

    def _loads_columns(self, answers: Iterable[PGresult | None]) -> bool:
        columns = {
            (answer.ftype(column), cast("Format", answer.fformat(column)))
            for answer in answers
            if answer is not None
            for column in range(answer.nfields)
        }
        return all(self._is_stateless(oid, format_) for oid, format_ in columns)

    def _is_stateless(self, oid: int, format_: Format) -> bool:
        loader = self.adapters.get_loader(oid, format_) or self.adapters.get_loader(0, format_)
        module = _module(loader)
        if module != _OF_ARRAYS:
            return module in _STATELESS
        info = self.adapters.types.get(oid)
        return info is not None and info.oid != oid and self._is_stateless(info.oid, format_)


def _module(adapter: type[object] | None) -> str:
    """Return the module of an adapter's class; ``abc`` created the classes that psycopg makes."""
    if adapter is None:
        return ""
    names = (cls.__module__ for cls in adapter.__mro__)
    return next(name for name in names if name != "abc")


class _Context:
    """What a Transformer is made of: a connection that it does not keep alive.

    Otherwise the state of a connection would refer to it, and neither would ever be dropped.
    """

    def __init__(self, connection: Connection[Any] | AsyncConnection[Any]) -> None:
        self.adapters = connection.adapters
        self.connection = proxy(connection)


@define(eq=False)
class Transformers:
    """The idle Transformers of a connection."""

    _idle: list[KeptTransformer] = field(init=False, factory=list[KeptTransformer])

    def take(self, connection: Connection[Any] | AsyncConnection[Any]) -> KeptTransformer:
        """Return a Transformer that is as good as a new one, and that no other batch uses."""
        settings = settings_of(connection.pgconn)
        try:
            kept = self._idle.pop()  # atomic: another thread does not get it
        except IndexError:
            return _new(connection, settings)
        was: Any = kept.adapters
        now: Any = kept.transformer.adapters  # those of the connection
        if (
            kept.settings == settings
            and was._dumpers == now._dumpers
            and was._loaders == now._loaders
            and was._dumpers_by_oid == now._dumpers_by_oid
            and was.types._registry is now.types._registry
        ):
            return kept
        return _new(connection, settings)

    def give_back(self, kept: KeptTransformer) -> None:
        """Keep a Transformer for the next batch."""
        if _CAN_KEEP and not self._idle:
            kept.transformer.set_pgresult(None)  # which has the rows
            self._idle.append(kept)


def _new(
    connection: Connection[Any] | AsyncConnection[Any], settings: tuple[bytes | None, ...]
) -> KeptTransformer:
    context = _Context(connection)
    transformer = Transformer(context)
    return KeptTransformer(
        transformer,
        settings,
        AdaptersMap(context.adapters),
        is_plain(connection.pgconn, settings),
        codec(transformer.encoding),
    )
