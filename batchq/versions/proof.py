# SPDX-License-Identifier: MIT
"""Prove that no row of a table is older than a version: by a CHECK that the server has validated.

A scan proves its own moment only: a row that is written after it is not seen. A CHECK also holds
for what is written later, and to look it up reads no row of the table.
"""

from __future__ import annotations

import re

from attrs import frozen

from batchq.engine.compile.quoting import LONGEST, check_table, identifier, quoted, unqualified
from batchq.language.batch import Batch
from batchq.language.builders import sql
from batchq.language.errors import InvalidBatch
from batchq.versions.errors import Unproven

# The definition also says if it is NOT VALID, NOT ENFORCED or NO INHERIT, or of another kind.
_VALIDATED = """\
SELECT 1 FROM pg_catalog.pg_constraint AS proof
WHERE proof.conrelid = pg_catalog.to_regclass(%(table)s) AND proof.conname = %(constraint)s
  AND pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(proof.oid), %(noise)s, '', 'g')
    = %(definition)s"""

_NOISE = r':::?[A-Za-z0-9]+|[()" ]'
"""What the server writes otherwise than the DDL: parentheses, quotes, and casts, by the type of the
column. CockroachDB's casts have three colons."""


@frozen
class Proof:
    """The CHECK by which no row of a table is older than a version.

    :meth:`Fleet.proof` and :meth:`Document.proof` return it, for :meth:`Fleet.contract`.

    >>> from batchq.versions import Fleet
    >>> proof = Fleet(name="nexus", version=7, stamps={"rule": "row_version"}).proof("rule", 7)
    >>> proof.condition
    'COALESCE("row_version", 0) >= 7'
    >>> proof.ddl()[1]
    'ALTER TABLE "rule" VALIDATE CONSTRAINT "rule_row_version_7"'
    """

    table: str
    constraint: str
    condition: str
    """The SQL of the CHECK."""

    def ddl(self) -> tuple[str, str]:
        """Return the DDL, each for a migration of its own.

        The first adds the CHECK for what is written from now on; run it after
        :meth:`Fleet.retire`, since older versions would fail. The second reads the table, under a
        lock that lets reads and writes continue, and fails if there is an older row.
        """
        table, constraint = quoted(self.table), identifier(self.constraint)
        return (
            f"ALTER TABLE {table} ADD CONSTRAINT {constraint} CHECK ({self.condition}) NOT VALID",
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}",
        )

    def check(self) -> Batch[None]:
        """Return a batch that fails unless the CHECK is there and validated.

        It reads the server's catalog and no row of the table. A CHECK of that name on another
        table, in another schema than the table's, or with another condition proves nothing.

        :raises Unproven: when it is run.
        """
        found = sql(
            _VALIDATED,
            table=quoted(self.table),
            constraint=self.constraint,
            noise=_NOISE,
            definition=re.sub(_NOISE, "", f"CHECK ({self.condition})"),
        )
        unproven = Unproven(self.table, self.constraint)
        return found.expect(at_least=1, missing=unproven).label(f"proof {self.constraint}")


def stamp_proof(table: str, column: str, version: int) -> Proof:
    """Return the proof that the stamps of a table are not below a version.

    NULL would pass a CHECK, and is less than any stamp here.
    """
    condition = f"COALESCE({identifier(column)}, 0) >= {version}"
    return made_proof("Fleet.proof()", table, column, version, condition)


def document_proof(table: str, column: str, version: int) -> Proof:
    """Return the proof that the documents of a column are not below a version.

    NULL is not a document. What is not an envelope counts as version 0.
    """
    name = identifier(column)
    condition = f"{name} IS NULL OR COALESCE(({name}->>'version')::int, 0) >= {version}"
    return made_proof("Document.proof()", table, column, version, condition)


def made_proof(call: str, table: str, column: str, version: int, condition: str) -> Proof:
    """Return a proof, named by its table, column and version.

    :raises InvalidBatch: if the name of the constraint would be too long.
    """
    check_table(table, call[:-2])
    constraint = f"{unqualified(table)}_{column}_{version}"
    if len(constraint.encode()) > LONGEST:
        raise InvalidBatch(
            f"{call}: the constraint {constraint!r} would have a longer name than {LONGEST} bytes; "
            f"shorten the name of the table or of the column"
        )
    return Proof(table, constraint, condition)
