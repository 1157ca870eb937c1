# SPDX-License-Identifier: MIT
"""A missing table is recognized in every language of the server, and not taken for another one."""

from __future__ import annotations

import pytest

from batchq.language.missing_table import missing_table
from batchq.language.violation import Violation, ViolationKind

MESSAGES = [
    'relation "a.jobs" does not exist',
    "Relation »a.jobs« existiert nicht",
    "la relation « a.jobs » n'existe pas",
    "la relation «\N{NO-BREAK SPACE}a.jobs\N{NO-BREAK SPACE}» n'existe pas",
    "no existe la relación «a.jobs»",
    'リレーション"a.jobs"は存在しません',
]


def violation(message: str, sqlstate: str = "42P01") -> Violation:
    return Violation(kind=ViolationKind.OTHER, sqlstate=sqlstate, message=message)


@pytest.mark.parametrize("message", MESSAGES)
def test_missing_table_is_recognized_in_any_language(message) -> None:
    assert missing_table("a.jobs").matches(violation(message))
    for other in ("jobs", "a.job", "a", "a.jobs2", "b.a.jobs", "a_jobs"):
        assert not missing_table(other).matches(violation(message)), other
    assert not missing_table("a.jobs").matches(violation(message, "42703"))


def test_name_within_another_name_is_not_it() -> None:
    for name in ("b", "a", "relation", "exist"):
        assert not missing_table(name).matches(violation('relation "a b" does not exist'))
