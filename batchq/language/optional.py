# SPDX-License-Identifier: MIT
"""Compose a part that is there for some calls only."""

from __future__ import annotations

from typing import TypeVar

from batchq.language.batch import Batch
from batchq.language.compose import gather
from batchq.language.errors import InvalidBatch
from batchq.language.spelling import with_article
from batchq.language.type_variables import R_contra

T = TypeVar("T")


def optional(batch: Batch[T, R_contra] | None, /) -> Batch[T | None, R_contra]:
    """Return a batch, or in the place of None one without statements, whose result is None.

    So a part that some calls do not need keeps its place among the results, and its type.

    :param batch: the part, or None.
    :raises InvalidBatch: for anything else.

    >>> from batchq import gather, insert, optional, steps
    >>> def org_create(name, owner=None):
    ...     member = insert("member", {"org": name, "user": owner}) if owner else None
    ...     return gather(insert("org", {"name": name}), optional(member))
    >>> len(steps(org_create("web"))), len(steps(org_create("web", "me")))
    (1, 2)
    """
    if batch is None:
        return gather().map(_none)
    if isinstance(batch, Batch):  # pyright: ignore[reportUnnecessaryIsInstance]  an argument of users
        return batch
    raise InvalidBatch(f"optional(): pass a batch or None, not {with_article(type(batch))}")


def _none(_: tuple[()]) -> None:
    """Return the result of a part that is not there."""
