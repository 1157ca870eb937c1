# SPDX-License-Identifier: MIT
"""Copy plain JSON, and find what differs between two documents of it.

Differences are paths, without the values that stand there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from math import isfinite
from typing import Any, TypeGuard, cast

from batchq.language.errors import InvalidBatch
from batchq.language.spelling import with_article

_SHOWN = 20
"""The most paths that are listed."""
_PLAIN_KEY = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def plain(call: str, value: object, path: str = "") -> Any:
    """Return a copy of a value as JSON has it: tuples are lists.

    A member of a StrEnum stays one, which JSON writes as text: a gate of a fleet looks for it.

    :param call: the function that returned it, for the text of the error: ``"spec.dump()"``.
    :raises InvalidBatch: for anything that JSON does not have.
    """
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if _is_dict(value):
        return {
            _checked_key(call, key, path): plain(call, item, _below(path, key))
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        return [plain(call, item, f"{path}[{n}]") for n, item in enumerate(items)]
    found = "an infinite number or NaN" if isinstance(value, float) else with_article(type(value))
    raise _not_plain(call, f"{found} at {path or ROOT}")


def _checked_key(call: str, key: object, path: str) -> str:
    if isinstance(key, str):
        return key
    raise _not_plain(call, f"{with_article(type(key))} as a key of {path or ROOT}")


def _not_plain(call: str, found: str) -> InvalidBatch:
    return InvalidBatch(
        f"{call} returned {found}; it must return plain JSON: dict with str keys, list, str, int, "
        f"float, bool or None"
    )


def copied(value: object) -> Any:
    """Return a copy that can be changed: its dicts and lists are other objects."""
    if _is_dict(value):
        return {key: copied(item) for key, item in value.items()}
    if _is_list(value):
        return [copied(item) for item in value]
    return value


ROOT = "$"
"""The path of a document as a whole, as SQL has it."""


def differences(one: object, other: object, *, is_exact: bool = False) -> tuple[str, ...]:
    """Return the paths at which two documents differ, the first twenty.

    A list of another length differs as a whole. 1 and 1.0 are one number, and true is none.

    :param is_exact: an int is not equal to a float. A jsonb column does not keep this: it returns
        1e16 as an int. A file does.

    >>> differences({"disks": [{"boot": 1}], "name": "a"}, {"disks": [{}], "name": "b"})
    ('disks[0].boot', 'name')
    """
    return tuple(islice(_differences(one, other, "", is_exact=is_exact), _SHOWN))


def _differences(one: object, other: object, path: str, *, is_exact: bool) -> Iterator[str]:
    if _is_dict(one) and _is_dict(other):
        for key in [*one, *[key for key in other if key not in one]]:
            below = _below(path, key)
            if key in one and key in other:
                yield from _differences(one[key], other[key], below, is_exact=is_exact)
            else:
                yield below
    elif _is_list(one) and _is_list(other):
        if len(one) != len(other):
            yield path or ROOT
            return
        for n, item in enumerate(one):
            yield from _differences(item, other[n], f"{path}[{n}]", is_exact=is_exact)
    elif _kind(one, is_exact=is_exact) is not _kind(other, is_exact=is_exact) or one != other:
        yield path or ROOT


def _kind(value: object, *, is_exact: bool) -> type[object] | None:
    """Return the type of a value that is equal to none of another type."""
    kinds = (bool, float) if is_exact else (bool,)
    return next((kind for kind in kinds if isinstance(value, kind)), None)


def _is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _below(path: str, key: Any) -> str:
    if not isinstance(key, str) or _PLAIN_KEY.fullmatch(key) is None:
        return f"{path}[{json.dumps(str(key))}]"
    return f"{path}.{key}" if path else key
