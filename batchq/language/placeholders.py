# SPDX-License-Identifier: MIT
"""Split SQL text at its placeholders, and check once that it is complete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from batchq.language import lexing
from batchq.language.errors import InvalidBatch
from batchq.language.expressions import is_query, label, why_no_column, why_no_value
from batchq.language.nesting import checked_depth
from batchq.language.spelling import with_article
from batchq.language.syntax import Delete, Insert, Nested, RawSql, Select, Source, Update

NUL = "\0"
"""A NUL ends the text for libpq, so SQL cannot contain it; batchq uses it as a mark."""

# psycopg's placeholders, and common mistakes: %% | %(name)s | % and anything else
_PERCENT = re.compile(r"%(?:(%)|\(([^)]*)\)(.?)|(.?))", re.DOTALL)

_OUTLINES: Mapping[type[Source], str] = {
    Insert: "INSERT INTO ? VALUES ? ",
    Update: "UPDATE ? SET ? WHERE ? ",
    Delete: "DELETE FROM ? WHERE ? ",
    Select: "SELECT ? FROM ? WHERE ? ",
    RawSql: "SELECT ? ",
}
"""What decides whether a text that contains a statement is one expression. The last is that of any
query: it has been scanned already, and is not scanned again with each text around it."""


@lru_cache(maxsize=4096)
def text(sql: str, names: tuple[str, ...], casts: tuple[str | None, ...]) -> RawSql:
    """Split SQL text at its placeholders; cached by text.

    As in psycopg, ``%`` has no special meaning in a text without parameters, and is written ``%%``
    in a text with parameters.

    :raises InvalidBatch: if placeholders and parameters do not agree, or the text is incomplete.
    """
    if not sql.strip():
        raise InvalidBatch("sql(): the text is empty; write a command or an expression")
    if NUL in sql:
        raise InvalidBatch("sql(): the text contains a NUL, at which libpq cuts it; remove it")
    if not names and not re.search(r"%\(\w+\)s", sql):
        return read(sql, (sql,), (), (), ())
    place = {name: i for i, name in enumerate(names)}
    pieces, used = split(sql)
    for name in used:
        if name not in place:
            raise InvalidBatch(f"sql(): %({name})s has no value; pass {name}=…")
    for name in place.keys() - set(used):
        raise not_used(name)
    return read(sql, tuple(pieces), tuple(place[name] for name in used), names, casts)


def not_used(name: str) -> InvalidBatch:
    """Return the error for a keyword that the text does not use."""
    return InvalidBatch(f"sql(): the text has no %({name})s; drop {name}=…, or use it")


@lru_cache(maxsize=4096)
def names_in(sql: str) -> tuple[str, ...]:
    """Return the names of a text's placeholders, each once, in their order.

    :raises InvalidBatch: for a percent sign that begins no placeholder.
    """
    return tuple(dict.fromkeys(split(sql)[1]))


def split(sql: str) -> tuple[list[str], list[str]]:
    """Split SQL text with parameters at its placeholders.

    :return: the pieces, and the names between them.
    :raises InvalidBatch: for a percent sign that begins no placeholder.
    """
    pieces = [""]
    names: list[str] = []
    end = 0
    for match in _PERCENT.finditer(sql):
        percent, name, kind, other = match.groups()
        pieces[-1] += sql[end : match.start()]
        end = match.end()
        if percent:
            pieces[-1] += "%"
        elif name is None:
            raise InvalidBatch(
                f"sql(): %{other} is not a placeholder; write %(name)s, or %% for a percent sign"
            )
        elif kind != "s":
            raise InvalidBatch(f"sql(): %({name}){kind} is not a placeholder; write %({name})s")
        else:
            names.append(name)
            pieces.append("")
    pieces[-1] += sql[end:]
    return pieces, names


def not_text(value: object) -> InvalidBatch:
    """Return the error for SQL that is not a str."""
    return InvalidBatch(
        f"sql(): the text must be a str, not {with_article(type(value))}; write %(name)s for a "
        "value, and use insert(), update(), delete() or select() for names that vary"
    )


def read(
    sql: str,
    pieces: tuple[str, ...],
    order: tuple[int | Nested, ...],
    names: tuple[str, ...],
    casts: tuple[str | None, ...],
) -> RawSql:
    """Scan the text and return it with what is known about it.

    :raises InvalidBatch: if it is incomplete, or fragments nest too deep.
    """
    nested = tuple([each.source for each in order if isinstance(each, Nested)])
    depth = checked_depth(nested)
    reading = lexing.read(outline(pieces, order))
    if reading.broken in lexing.NO_PARAMETER:
        # Wrong only in a fragment; a whole statement is scanned again when it is compiled.
        return RawSql(
            pieces,
            order,
            names,
            casts,
            reading.broken,
            no_column=reading.broken,
            text=sql,
            nested=nested,
            depth=depth,
        )
    if reading.broken is not None:
        raise InvalidBatch(f"sql(): {reading.broken}")
    outermost = reading.outermost
    return RawSql(
        pieces,
        order,
        names,
        casts,
        no_value=why_no_value(outermost),
        is_query=is_query(outermost),
        no_column=why_no_column(outermost),
        label=label(outermost),
        unsure=reading.unsure,
        text=sql,
        nested=nested,
        depth=depth,
    )


def outline(pieces: tuple[str, ...], order: tuple[int | Nested, ...]) -> str:
    """Return a text with a mark for each parameter, and with nested statements in outline."""
    parts = [pieces[0]]
    for inserted, piece in zip(order, pieces[1:], strict=True):
        parts += (_outlined(inserted), piece)
    return "".join(parts)


def _outlined(inserted: int | Nested) -> str:
    if not isinstance(inserted, Nested):
        return lexing.PLACE
    source = inserted.source
    if isinstance(source, RawSql) and (not source.is_query or source.no_value or source.unsure):
        return outline(source.pieces, source.order) + "\n"  # it may end in a comment
    return _OUTLINES[type(source)].replace("?", lexing.PLACE)
