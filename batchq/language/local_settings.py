# SPDX-License-Identifier: MIT
"""Run a part of a batch with changed settings, and restore them after it.

``set_config(name, value, true)`` lasts until the transaction ends (PostgreSQL documentation,
"Configuration Settings Functions"), so no setting remains on a pooled connection. The previous
values are saved in settings named ``batchq.was_…``, from which they are restored for the later
steps.
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
"""With it, the server raises an error (42501) instead of hiding rows by a row-level security
policy. So a query that returns no row has seen every row."""


_CHANGING = """\
WITH batchq_was AS MATERIALIZED (SELECT {kept} AS kept)
SELECT CASE WHEN kept IS NOT NULL THEN {changed} END FROM batchq_was"""


def with_settings(settings: Mapping[str, str], batch: Batch[T]) -> Batch[T]:
    """Run a batch with changed settings.

    :param settings: names and values; they become part of the SQL text, so pass constants only.
    :return: a batch with the result of ``batch``.
    """
    before = change(settings).label("settings")
    after = put_back(settings).label("settings put back")
    return gather(before, batch, after).map(_second)


def change(settings: Mapping[str, str]) -> Statement[None]:
    """Return a statement that saves the current values, and sets new ones."""
    return _changing(tuple(settings.items()))


def put_back(settings: Mapping[str, str]) -> Statement[None]:
    """Return a statement that restores the values saved by :func:`change` or :func:`kept`."""
    return _restoring(tuple(settings))


def kept(settings: Mapping[str, str]) -> str:
    """Return an expression that saves the current values."""
    return _concat(
        f"set_config('{_beside(name)}', current_setting('{name}'), true)" for name in settings
    )


def changed(settings: Mapping[str, str]) -> str:
    """Return an expression that sets new values until the transaction ends."""
    return _concat(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


@lru_cache(maxsize=16)
def _changing(settings: tuple[tuple[str, str], ...]) -> Statement[None]:
    # The CTE returns its row before the outer expression is evaluated: values are saved first.
    text = _CHANGING.format(kept=kept(dict(settings)), changed=changed(dict(settings)))
    return raw_sql(text)


@lru_cache(maxsize=16)
def _restoring(names: tuple[str, ...]) -> Statement[None]:
    restored = (f"set_config('{name}', current_setting('{_beside(name)}'), true)" for name in names)
    return raw_sql(f"SELECT {_concat(restored)}")


def _concat(calls: Iterable[str]) -> str:
    return f"concat({', '.join(calls)})"


def _beside(name: str) -> str:
    return f"batchq.was_{name.lower()}"


def _second(results: tuple[object, T, object]) -> T:
    return results[1]
