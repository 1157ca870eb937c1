# SPDX-License-Identifier: MIT
"""Write the other table of an update or delete, and the guard against a row that matches twice.

PostgreSQL changes such a row by one of its matches, without an error. The guard is in the WHERE,
at each row that is found:

- there must be more matches than rows that match. The server counts both once, each by one join, so
  the guard costs nothing for each row unless one matches twice;
- then the row's key must be among the keys with several matches. Keys are compared as text, because
  nothing else is sure to be finer than the equality that joins the tables: a column may be of
  another type or collation than the other one, or of a type that cannot be grouped;
- and then the matches of this row alone are counted, up to two.

The first two are those of the statement's snapshot, and the row may be newer: another transaction
may have changed it while the statement waited for it. So they leave out the conditions that may
then hold for another match, and only the third has all of them.

Each subquery has the same conditions: within it, ``source`` and the changed table's name are its
own tables, or those of the statement around it.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from batchq.engine.compile.quoting import identifier, quoted, unqualified
from batchq.language.repeated import varies
from batchq.language.source_columns import columns_of_other
from batchq.language.syntax import Compared, Conditions, RawSql, Select

_COUNT = "pg_catalog.count(*)"
_EXCEEDS = "OPERATOR(pg_catalog.>)"
_TEXT = "pg_catalog.text"


@frozen
class Joined:
    """The parts of a statement with another table, as SQL."""

    table: str
    """The changed table, as the caller has named it."""
    other: str
    """The other table and its name in the statement."""
    on: tuple[tuple[str, str], ...]

    @property
    def row(self) -> str:
        """The prefix of the changed row's columns."""
        return f"{identifier(unqualified(self.table))}."

    @property
    def pairs(self) -> str:
        """The conditions that join the tables."""
        pairs = zip(self._own, self._others, strict=True)
        return " AND ".join(f"{own} = {other}" for own, other in pairs)

    def matches_twice(self, selected: str, lasting: str) -> str:
        """Return whether a row matches two rows of the other table.

        :param selected: all conditions, those that join the tables among them.
        :param lasting: those that hold for no other match after a change of the row.
        """
        keys = [f"{own}::{_TEXT}" for own in self._own]
        key = keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
        both = f"FROM {quoted(self.table)}, {self.other} WHERE {lasting}"
        matches = f"SELECT {_COUNT} {both}"
        matching = (
            f"SELECT {_COUNT} FROM {quoted(self.table)} "
            f"WHERE EXISTS (SELECT 1 FROM {self.other} WHERE {lasting})"
        )
        groups = ", ".join(keys)
        several = f"SELECT {groups} {both} GROUP BY {groups} HAVING {_COUNT} {_EXCEEDS} 1"
        own = (
            f"SELECT {_COUNT} FROM (SELECT 1 FROM {self.other} WHERE {selected} "
            f"LIMIT 2) AS _batchq_matches"
        )
        return (
            f"({matches}) {_EXCEEDS} ({matching}) AND {key} IN ({several}) AND ({own}) {_EXCEEDS} 1"
        )

    @property
    def _own(self) -> list[str]:
        return [self.row + identifier(own) for own, _ in self.on]

    @property
    def _others(self) -> list[str]:
        return [f"source.{identifier(other)}" for _, other in self.on]


def rows_of(select: Select, sql: str) -> tuple[str, str]:
    """Return what comes before a statement whose other table is a select, and that table.

    It is in the text several times. So one that may find other rows each time is evaluated once.

    :param sql: the select, in parentheses.
    """
    if varies(select):
        return f"WITH _batchq_source AS MATERIALIZED {sql} ", "_batchq_source"
    return "", sql


def lasting_tests(tests: Sequence[str], where: Conditions) -> list[str]:
    """Return the conditions that hold for no other match after a change of the row.

    :param tests: all conditions, as SQL.
    :param where: the same; those that compare the two rows, but for equality, are left out.
    """
    if isinstance(where, RawSql):
        return list(tests)
    return [
        test
        for test, condition in zip(tests, where, strict=True)
        if isinstance(condition, RawSql) or not _compares_rows(condition[1])
    ]


def _compares_rows(test: object) -> bool:
    return isinstance(test, Compared) and bool(columns_of_other([test.operand]))
