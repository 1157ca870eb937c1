# SPDX-License-Identifier: MIT
"""Reject mappings by names that the server truncates.

PostgreSQL keeps 63 bytes of a name, in the encoding of the database, and truncates it between
characters (``NAMEDATALEN`` in pg_config_manual.h, ``truncate_identifier`` in parser/scansup.c). An
error never names more than that, so a mapping by a longer name would never match. A server may be
built with another limit; it reports that only to a query.
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
    """Reject mappings by names that the server never sends.

    :param encoding: the database's, as the server reported it when the session began.
    :raises InvalidBatch: for the first such name, with the truncated name to write instead.
    """
    for matcher in plan.long_names():
        reason = _reason(matcher, encoding or b"UTF8")
        if reason is not None:
            step = _step_of(plan, matcher)
            raise InvalidBatch(f"{step}: {reason}" if step else reason, step=step)


@lru_cache(maxsize=1024)
def _reason(matcher: Matcher, encoding: bytes) -> str | None:
    """Return why a matcher never matches; None if it can."""
    name = matcher.name or ""
    codec = _codec(encoding.decode("ascii", "replace"))
    if codec is None:  # each character takes at least one byte
        return f"{matcher} matches nothing: {_KEEPS}" if len(name) > LONGEST else None
    try:
        if len(name.encode(codec)) <= LONGEST:
            return None
        cut = _cut(name, codec)
    except UnicodeEncodeError:
        return None
    return f"{matcher} matches nothing: {_KEEPS}; write {spelled(cut)}"


_KEEPS = f"the server keeps the first {LONGEST} bytes of a name"


def _cut(name: str, codec: str) -> str:
    """Return as many whole characters as fit."""
    while len(name.encode(codec)) > LONGEST:
        name = name[:-1]
    return name


def _codec(encoding: str) -> str | None:
    """Return Python's codec for a database's encoding; None if Python has none.

    With SQL_ASCII the server stores the bytes that it receives, which are UTF-8.
    """
    if encoding in ("UTF8", "SQL_ASCII"):
        return "utf-8"
    known = encoding.replace("WIN", "cp").replace("KOI8", "koi8_")
    try:
        return codecs.lookup(known).name
    except LookupError:
        return None


def _step_of(plan: Plan, matcher: Matcher) -> PlacedStep | None:
    """Return the first step that the mapping applies to."""
    for index, leaf in enumerate(plan.placed):
        mappings = (mapping for mapping in leaf.declared.mappings if not isinstance(mapping, str))
        if any(mapping.matcher is matcher for mapping in mappings):
            return PlacedStep(index, leaf)
    return None
