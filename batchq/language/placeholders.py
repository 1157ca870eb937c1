# SPDX-License-Identifier: MIT
"""Cutting SQL at its placeholders, and reading it once, to know that it is whole."""

from __future__ import annotations

import re
from functools import lru_cache

from batchq.language import lexing
from batchq.language.errors import InvalidBatch
from batchq.language.expressions import is_query, label, why_no_column, why_no_value
from batchq.language.syntax import RawSql

NUL = "\0"
"""Ends a text for libpq, which sends what is before it; so batchq marks places with it."""

# psycopg's placeholders, and what users write by mistake: %% | %(name)s | % and anything else
_PERCENT = re.compile(r"%(?:(%)|\(([^)]*)\)(.?)|(.?))", re.DOTALL)


@lru_cache(maxsize=4096)
def text(sql: str, names: tuple[str, ...], casts: tuple[str | None, ...] = ()) -> RawSql:
    """Cut SQL at its placeholders, once per text.

    As in psycopg, ``%`` means nothing special in a text without parameters, and is written ``%%``
    in a text with some.

    :raises InvalidBatch: when placeholders and parameters do not agree.
    """
    if not sql.strip():
        message = "sql() needs a command"
        raise InvalidBatch(message)
    if NUL in sql:
        message = "a NUL in sql(): the server would not see what is behind it"
        raise InvalidBatch(message)
    if not names and not re.search(r"%\(\w+\)s", sql):
        return _read((sql,), (), (), ())
    place = {name: i for i, name in enumerate(names)}
    pieces = [""]
    order: list[int] = []
    end = 0
    for found in _PERCENT.finditer(sql):
        percent, name, kind, other = found.groups()
        pieces[-1] += sql[end : found.start()]
        end = found.end()
        if percent:
            pieces[-1] += "%"
        elif name is None:
            message = f"%{other} in sql(): parameters are named, %(name)s; a percent sign is %%"
            raise InvalidBatch(message)
        elif kind != "s":
            message = f"%({name}){kind} in sql(): the only placeholder is %({name})s"
            raise InvalidBatch(message)
        elif name not in place:
            message = f"%({name})s in sql() has no value: pass {name}=…"
            raise InvalidBatch(message)
        else:
            order.append(place[name])
            pieces.append("")
    pieces[-1] += sql[end:]
    for name in place.keys() - {names[i] for i in order}:
        message = f"sql() was given {name}=… but its text has no %({name})s"
        raise InvalidBatch(message)
    return _read(tuple(pieces), tuple(order), names, casts)


def _read(
    pieces: tuple[str, ...],
    order: tuple[int, ...],
    names: tuple[str, ...],
    casts: tuple[str | None, ...],
) -> RawSql:
    """Make a text of what it was cut into.

    :raises InvalidBatch: when it is not whole.
    """
    reading = lexing.read(lexing.PLACE.join(pieces))
    if reading.broken in lexing.NO_PARAMETER:
        # A whole statement is read again when it is compiled, and refused there for this.
        return RawSql(pieces, order, names, casts, reading.broken, no_column=reading.broken)
    if reading.broken is not None:
        message = f"this SQL cannot be read: {reading.broken}"
        raise InvalidBatch(message)
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
    )
