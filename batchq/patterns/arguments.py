# SPDX-License-Identifier: MIT
"""Check the arguments of parents and children, for callers who run no type checker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from batchq.language.comparisons import Comparison
from batchq.language.errors import InvalidBatch
from batchq.language.models import check_named
from batchq.language.validation import is_text


def check_names(call: str, declared: object, names: tuple[str, ...]) -> None:
    """Reject a declaration with a name that is not a non-empty str.

    :param names: the attributes to check; only ``deleted_at`` may be None.
    :raises InvalidBatch: with the argument.
    """
    for name in names:
        value: object = getattr(declared, name)
        if not is_text(value) and not (name == "deleted_at" and value is None):
            what = "table" if name == "table" else "column"
            or_none = ", or None for hard deletes" if name == "deleted_at" else ""
            raise InvalidBatch(
                f"{call}({name}={value!r:.40}): pass the name of a {what}, a non-empty str{or_none}"
            )


def check_mapping(call: str, values: object) -> None:
    """Reject values that are not a mapping of columns to values.

    :raises InvalidBatch: with the call and argument, ``call``.
    """
    if not isinstance(values, Mapping):
        raise InvalidBatch(
            f"{call}: pass a mapping of columns to values, not {type(values).__name__}; write "
            f'{{"column": …}}'
        )
    for value in cast("Mapping[str, object]", values).values():
        if isinstance(value, Comparison):
            raise InvalidBatch(
                f"{call}: {value.call} does not say which values these children have; list them"
            )


def check_raises(call: str, raises: object) -> None:
    """Reject what raises nothing, whatever its annotation promises.

    :meth:`Statement.expect` takes None as well, for an error of its own, and does not know the name
    of the argument.

    :param call: the call and argument, for the text of the error: ``"lock(missing=)"``.
    :raises InvalidBatch: if it is neither an exception nor a function or a class.
    """
    if not isinstance(raises, BaseException) and not callable(raises):
        raise InvalidBatch(
            f"{call}: pass an exception, an exception class, or a function of the Violation that "
            f"returns an exception, not {type(raises).__name__}"
        )


def check_model(model: object) -> None:
    """Reject a model that is not a class with fields.

    :raises InvalidBatch: if its columns are unknown.
    """
    if not callable(model):
        raise InvalidBatch(f"read(model={model!r:.40}): pass a class with fields")
    check_named("read()", model)


def not_a_parent(given: object) -> InvalidBatch:
    """Return the error for children of anything else."""
    return InvalidBatch(
        f"Children(parent={given!r:.40}): pass a Parent; write Parent(…).children(…)"
    )
