# SPDX-License-Identifier: MIT
"""Convert a value that a guard reports to Python, as a value that a statement returns.

The server wrote it as text, under the DateStyle and IntervalStyle of that moment. A loader of dates
expects those of the session, and would misread a text written under others: 01/02/2024 is a day in
January or in February. So such a text is given to a loader only if it cannot be misread.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from psycopg.adapt import AdaptersMap
from psycopg.postgres import register_default_adapters, types
from psycopg.pq import Format
from psycopg.types.composite import CompositeInfo
from psycopg.types.multirange import MultirangeInfo
from psycopg.types.range import RangeInfo

from batchq.engine.client_encoding import codec, textual
from batchq.engine.redaction import is_drivers

if TYPE_CHECKING:
    from psycopg.abc import Transformer

    from batchq.engine.compile.row_text import Cell

_BYTES = frozenset({types["bytea"].oid, types["bytea"].array_oid})


def load_cell(cell: Cell, transformer: Transformer) -> object:
    """Return the value of a cell.

    If it cannot be loaded, return its text: that must not hide the guard's failure.
    """
    if cell.text is None:
        return None
    try:
        loaded = _load(cell, cell.text, transformer)
    except Exception:  # noqa: BLE001  any loader may be the user's own
        return cell.text
    # With client encoding SQL_ASCII, psycopg returns text as bytes.
    return loaded if cell.type in _BYTES else textual(loaded)


def _load(cell: Cell, text: str, transformer: Transformer) -> object:
    parts = tuple(_parts(cell.type, transformer))
    # A loader that the caller has registered, of the type or of a part of it, is the one that a
    # query uses.
    if cell.binary is not None and all(
        _is_usual(part, format_, transformer)
        for part in parts
        for format_ in (Format.TEXT, Format.BINARY)
    ):
        return transformer.get_loader(cell.type, Format.BINARY).load(cell.binary)
    changed = _changed_styles(cell, transformer)
    if changed and any(not changed.isdisjoint(_styles_of(part, transformer)) for part in parts):
        return text
    loader = transformer.get_loader(cell.type, Format.TEXT)
    return loader.load(text.encode(codec(transformer.encoding), "surrogateescape"))


def _is_usual(type_: int, format_: Format, transformer: Transformer) -> bool:
    """Return whether a type is loaded by the class that psycopg has for it."""
    loader, usual = transformer.get_loader(type_, format_), _usual().get_loader(type_, format_)
    return is_drivers(loader) and (usual is None or type(loader).__name__ == usual.__name__)


@cache
def _usual() -> AdaptersMap:
    """Return psycopg's adapters without those that were registered later."""
    adapters = AdaptersMap(types=types)
    register_default_adapters(adapters)
    return adapters


def _parts(type_: int, transformer: Transformer) -> Iterator[int]:
    """Yield the OIDs of a type and of the types that it is composed of, as far as psycopg knows."""
    yield type_
    info = transformer.adapters.types.get(type_)
    inner: tuple[int, ...] = ()
    if info is not None and info.oid != type_:
        inner = (info.oid,)  # it is found by the OID of its array as well
    elif isinstance(info, CompositeInfo):
        inner = tuple(info.field_types)
    elif isinstance(info, RangeInfo | MultirangeInfo):
        inner = (info.subtype_oid,)
    for part in inner:
        yield from _parts(part, transformer)


# -- styles ----------------------------------------------------------------------------------------

_DATE, _INTERVAL = b"DateStyle", b"IntervalStyle"
_BOTH = frozenset({_DATE, _INTERVAL})
_FIRST_USER_OID = 16384
"""PostgreSQL source, ``FirstNormalObjectId``: types from here on may be composed of others."""


def _oids(*names: str) -> frozenset[int]:
    infos = [types[name] for name in names]
    return frozenset(oid for info in infos for oid in (info.oid, info.array_oid))


_DATES = _oids(
    *("date", "timestamp", "timestamptz"),
    *(f"{of}{kind}" for of in ("date", "ts", "tstz") for kind in ("range", "multirange")),
)
_INTERVALS = _oids("interval")
_RECORDS = _oids("record")


def _styles_of(type_: int, transformer: Transformer) -> frozenset[bytes]:
    """Return the styles by which a loader may read the text of a type, without its parts."""
    if type_ in _DATES:
        return frozenset({_DATE})
    if type_ in _INTERVALS:
        return frozenset({_INTERVAL})
    if type_ < _FIRST_USER_OID and type_ not in _RECORDS:
        return frozenset()
    # psycopg's loaders leave the text to those of the parts, and nothing says what others do.
    is_own = not is_drivers(transformer.get_loader(type_, Format.TEXT))
    return _BOTH if is_own else frozenset()


def _changed_styles(cell: Cell, transformer: Transformer) -> frozenset[bytes]:
    """Return the styles that were set for the transaction only."""
    if transformer.connection is None or not cell.styles:
        return frozenset()
    status = transformer.connection.pgconn.parameter_status
    return frozenset(
        name
        for name, written, then in zip(
            (_DATE, _INTERVAL), (_date, _interval), cell.styles, strict=True
        )
        if written((status(name) or b"").decode()) != then
    )


def _date(style: str) -> str | None:
    """Return 2001-02-03 in a DateStyle (PostgreSQL documentation, "Date/Time Output")."""
    name, _, order = style.partition(", ")
    is_day_first = order == "DMY"
    return {
        "ISO": "2001-02-03",
        "German": "03.02.2001",
        "SQL": "03/02/2001" if is_day_first else "02/03/2001",
        "Postgres": "03-02-2001" if is_day_first else "02-03-2001",
    }.get(name)


def _interval(style: str) -> str | None:
    """Return one day in an IntervalStyle (PostgreSQL documentation, "Interval Output")."""
    return {
        "postgres": "1 day",
        "postgres_verbose": "@ 1 day",
        "sql_standard": "1 0:00:00",
        "iso_8601": "P1D",
    }.get(style)
