# SPDX-License-Identifier: MIT
"""What the peers that stand on psycopg share: one connection each, with psycopg's defaults (what is
run more than five times is prepared), in autocommit, so that each says itself where it begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import psycopg

from benchmarks.peers import OneByOne
from benchmarks.scene import Scene

T = TypeVar("T")


class OnPsycopg(OneByOne):
    """A peer on a psycopg connection."""

    def __init__(self, scene: Scene, conn: psycopg.Connection[Any]) -> None:
        super().__init__(scene)
        self.conn = conn

    @classmethod
    @contextmanager
    def opened(cls, scene: Scene) -> Iterator[Self]:
        """Connect."""
        with psycopg.connect(scene.conninfo, autocommit=True) as conn:
            yield cls(scene, conn)


def one(cursor: psycopg.Cursor[T]) -> T:
    """The row that a statement has to return."""
    row = cursor.fetchone()
    if row is None:
        raise LookupError("there is no row")
    return row
