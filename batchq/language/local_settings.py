# SPDX-License-Identifier: MIT
"""A part of a batch that runs under settings of its own, which are put back behind it.

``set_config(name, value, true)`` lasts until the transaction ends (PostgreSQL documentation,
"Configuration Settings Functions"), so nothing stays on a pooled connection. What was set before is
kept beside, in settings of batchq's own: the steps behind find what the caller had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.compose import gather
from batchq.language.statement import Statement

T = TypeVar("T")

ALL_ROWS: Mapping[str, str] = {"row_security": "off"}
"""Under it the server refuses to read a table of which a policy would hide rows from this role
(42501), instead of hiding them: a look that finds nothing has then seen everything."""


_CHANGING = """\
WITH batchq_was AS MATERIALIZED (SELECT {kept} AS kept)
SELECT CASE WHEN kept IS NOT NULL THEN {changed} END FROM batchq_was"""


def with_settings(settings: Mapping[str, str], batch: Batch[T]) -> Batch[T]:
    """Run a batch under settings.

    :param settings: their names and values, which are part of the SQL.
    """
    changing = raw_sql(_changing(tuple(settings.items()))).label("settings")
    return gather(changing, batch, put_back(settings)).map(_second)


def put_back(settings: Mapping[str, str]) -> Statement[None]:
    """Set what :func:`kept` has kept."""
    return raw_sql(_putting_back(tuple(settings))).label("settings put back")


def kept(settings: Mapping[str, str]) -> str:
    """Write an expression that keeps what is set now."""
    return _concat(
        f"set_config('{_beside(name)}', current_setting('{name}'), true)" for name in settings
    )


def changed(settings: Mapping[str, str]) -> str:
    """Write an expression that sets them until the transaction ends."""
    return _concat(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


@lru_cache(maxsize=16)
def _changing(settings: tuple[tuple[str, str], ...]) -> str:
    # A row of the first part is there before the second is evaluated: what was is kept first.
    return _CHANGING.format(kept=kept(dict(settings)), changed=changed(dict(settings)))


@lru_cache(maxsize=16)
def _putting_back(names: tuple[str, ...]) -> str:
    back = (f"set_config('{name}', current_setting('{_beside(name)}'), true)" for name in names)
    return f"SELECT {_concat(back)}"


def _concat(calls: Iterable[str]) -> str:
    return f"concat({', '.join(calls)})"


def _beside(name: str) -> str:
    return f"batchq.was_{name.lower()}"


def _second(results: tuple[object, T, object]) -> T:
    return results[1]
