# SPDX-License-Identifier: MIT
"""Write and read text for a client whose encoding is SQL_ASCII, which names no encoding.

There psycopg sends a str as UTF-8, and returns bytes for text. What batchq itself sends and reads
(names, errors, its own tables) is UTF-8 in both directions. Otherwise the phase of a job would be
read as ``b"drain"``, and would match no phase.
"""

from __future__ import annotations

from typing import TypeVar, cast

M = TypeVar("M", bound=type)

_OWN = "__batchq_own__"


def codec(encoding: str) -> str:
    """Return Python's codec for a client's encoding.

    :param encoding: as psycopg names it: ``ascii`` stands for SQL_ASCII.
    """
    return "utf-8" if encoding == "ascii" else encoding


def textual(value: object) -> object:
    """Decode bytes, also inside a list; return any other value unchanged.

    Bytes that are not UTF-8 become surrogates. They can be shown, and cannot be sent as if they
    were other text.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return [textual(item) for item in cast("list[object]", value)]
    return value


def own(model: M) -> M:
    """Mark a model as batchq's own: its rows are read in binary, and bytes in them are text."""
    setattr(model, _OWN, True)
    return model


def is_own(model: object) -> bool:
    """Return whether a model is batchq's own."""
    return getattr(model, _OWN, False) is True
