# SPDX-License-Identifier: MIT
"""What callers pass by mistake, refused where it is passed."""

from __future__ import annotations

from batchq.language.errors import InvalidBatch


def is_text(value: object) -> bool:
    """Whether a value is a str that says something."""
    return isinstance(value, str) and value != ""


def checked_label(name: str) -> str:
    """Refuse what is no label.

    :raises InvalidBatch: when the name is empty, or no text.
    """
    if not is_text(name):
        message = "label() needs a name"
        raise InvalidBatch(message)
    return name


def checked_call(call: str, function: object) -> None:
    """Refuse what cannot be called, before COMMIT and not after it.

    :raises InvalidBatch: naming the call that was given it.
    """
    if not callable(function):
        message = f"{call} takes a function or class, not {function!r:.40}"
        raise InvalidBatch(message)
