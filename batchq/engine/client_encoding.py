# SPDX-License-Identifier: MIT
"""How text is written and read for a client whose encoding is SQL_ASCII, which is none.

psycopg sends a str as UTF-8 there, and gives bytes for text. What batchq sends and reads of its own
(names, errors, its own tables) is UTF-8 both ways, or a phase would be ``b"drain"``, and no job
would ever be in it.
"""

from __future__ import annotations

from typing import TypeVar, cast

M = TypeVar("M", bound=type)

_OWN = "__batchq_own__"


def codec(encoding: str) -> str:
    """Python's codec for a client's encoding.

    :param encoding: as psycopg calls it: ``ascii`` stands for SQL_ASCII.
    """
    return "utf-8" if encoding == "ascii" else encoding


def textual(value: object) -> object:
    """Make text of bytes, in a list as well; anything else stays as it is.

    What is no UTF-8 is kept in surrogates: it can be shown, and cannot be sent for something else.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return [textual(item) for item in cast("list[object]", value)]
    return value


def own(model: M) -> M:
    """Mark a model of batchq's own: what it is made of comes in binary, and all bytes are text."""
    setattr(model, _OWN, True)
    return model


def is_own(model: object) -> bool:
    """Whether a model is batchq's own."""
    return getattr(model, _OWN, False) is True
