# SPDX-License-Identifier: MIT
"""Write the other table of an update or delete, and the guard against a row that matches twice.

PostgreSQL changes such a row by one of its matches, without an error. The guard is in the WHERE,
at each row that is found:

- the row's key must be among the keys that occur more than once. The server finds these once, in
  one pass, and by the index that finds the few rows of the statement. So it costs nothing for each
  row without a second match;
- and then the matches of this row alone are counted, up to two. So conditions that compare both
  tables are taken into account.

Each subquery has the same conditions: within it, ``source`` and the changed table's name are its
own tables, or those of the statement around it.
"""

from __future__ import annotations

from attrs import frozen

from batchq.engine.compile.quoting import identifier, quoted, unqualified


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

    def matches_twice(self, selected: str) -> str:
        """Return whether a row matches two rows of the other table.

        :param selected: all conditions, those that join the tables among them.
        """
        keys = ", ".join(self._others)
        own = ", ".join(self._own)
        own = own if len(self._own) == 1 else f"({own})"
        several = (
            f"SELECT {keys} FROM {self.other} WHERE EXISTS (SELECT 1 FROM {quoted(self.table)} "
            f"WHERE {selected}) GROUP BY {keys} HAVING pg_catalog.count(*) "
            f"OPERATOR(pg_catalog.>) 1"
        )
        matches = (
            f"SELECT pg_catalog.count(*) FROM (SELECT 1 FROM {self.other} WHERE {selected} "
            f"LIMIT 2) AS _batchq_matches"
        )
        return f"{own} IN ({several}) AND ({matches}) OPERATOR(pg_catalog.>) 1"

    @property
    def _own(self) -> list[str]:
        return [self.row + identifier(own) for own, _ in self.on]

    @property
    def _others(self) -> list[str]:
        return [f"source.{identifier(other)}" for _, other in self.on]
