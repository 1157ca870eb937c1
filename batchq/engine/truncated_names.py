# SPDX-License-Identifier: MIT
"""Names that are too long for the server: it cuts what it is given, and never sends the whole.

PostgreSQL keeps 63 bytes of a name, in the encoding of the database, and cuts between characters
(``NAMEDATALEN`` in pg_config_manual.h, ``truncate_identifier`` in parser/scansup.c). So a mapping
by a longer name would match nothing, ever. A server may be built with another number; it does not
say so unasked.
"""

from __future__ import annotations

import codecs
from functools import lru_cache

from batchq.engine.compile.quoting import LONGEST
from batchq.engine.plan import Plan
from batchq.engine.step import PlacedStep
from batchq.language.errors import InvalidBatch
from batchq.language.matchers import Matcher
from batchq.language.spelling import spelled


def check_name_lengths(plan: Plan, encoding: bytes | None) -> None:
    """Refuse mappings by names that the server never sends.

    :param encoding: the database's, as the server reported it when the session began.
    :raises InvalidBatch: saying what it makes of the first one.
    """
    for matcher in plan.long_names:
        why = _why_never(matcher, encoding or b"UTF8")
        if why is not None:
            step = _step_of(plan, matcher)
            raise InvalidBatch(f"{step}: {why}" if step else why, step=step)


@lru_cache(maxsize=1024)
def _why_never(matcher: Matcher, encoding: bytes) -> str | None:
    name = matcher.name or ""
    codec = _codec(encoding.decode("ascii", "replace"))
    if codec is None:  # each character takes a byte at least
        return f"{matcher} matches nothing: {_KEEPS}" if len(name) > LONGEST else None
    try:
        if len(name.encode(codec)) <= LONGEST:
            return None
        cut = _cut(name, codec)
    except UnicodeEncodeError:
        return None
    return f"{matcher} matches nothing: {_KEEPS}, so it is called {spelled(cut)} there"


_KEEPS = f"the server keeps the first {LONGEST} bytes of a name"


def _cut(name: str, codec: str) -> str:
    """Keep whole characters, as many as there is room for."""
    while len(name.encode(codec)) > LONGEST:
        name = name[:-1]
    return name


def _codec(encoding: str) -> str | None:
    """Python's codec for a database's encoding; None where it has none.

    In SQL_ASCII the server takes the bytes that it is sent, which are UTF-8.
    """
    if encoding in ("UTF8", "SQL_ASCII"):
        return "utf-8"
    known = encoding.replace("WIN", "cp").replace("KOI8", "koi8_")
    try:
        return codecs.lookup(known).name
    except LookupError:
        return None


def _step_of(plan: Plan, matcher: Matcher) -> PlacedStep | None:
    """The first step that the mapping is for."""
    for index, leaf in enumerate(plan.placed):
        if any(not isinstance(one, str) and one.matcher is matcher for one in leaf.mappings):
            return PlacedStep(index, leaf)
    return None
