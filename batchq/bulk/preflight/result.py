# SPDX-License-Identifier: MIT
"""What the dry run finds, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from batchq.bulk.preflight.findings import Finding
from batchq.bulk.preflight.row_counts import RowCount
from batchq.bulk.preflight.statements import PlannedStatement


class PreflightFailed(Exception):
    """A tree should not be drained as its tables are. ``plan`` says why, and what to do."""

    def __init__(self, preflight: Preflight) -> None:
        super().__init__(preflight)
        self.preflight = preflight

    def __str__(self) -> str:
        """Say all the reasons, with their remedies."""
        refusals = self.preflight.errors
        reasons = "1 reason" if len(refusals) == 1 else f"{len(refusals)} reasons"
        head = f"{self.preflight.name!r} should not be begun, for {reasons}:"
        return "\n".join([head, *(line for one in refusals for line in one.lines())])


@frozen(kw_only=True)
class Preflight:
    """What :func:`plan` finds. ``print(plan)`` shows all of it, but for the statements' values."""

    name: str
    """Of the tree or the rewrite."""
    key: str | None
    """The parent's, as text; None of a rewrite."""
    statements: tuple[PlannedStatement, ...]
    """In the order in which they would be sent. A later chunk is sent again and again."""
    counts: tuple[RowCount, ...]
    """In the order in which the rows go; one table may be there twice. Empty where they could not
    be counted, which is among the refusals."""
    inline: bool
    """Whether the tree would be deleted in one batch."""
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against beginning."""
        return not self.errors

    def check(self) -> None:
        """Raise when something does.

        :raises PreflightFailed: with all the reasons and their remedies.
        """
        if self.errors:
            raise PreflightFailed(self)

    def lines(self) -> Iterator[str]:
        """Show it to people."""
        root = "" if self.key is None else f" of {self.key}"
        yield f"{self.name}{root}: {'at once' if self.inline else 'in chunks'}"
        for title, found in (("Refused", self.errors), ("Look at", self.warnings)):
            for one in found:
                first, *rest = one.lines()
                yield f"{title}: {first}"
                yield from rest
        for count in self.counts:
            yield f"Rows of {count.table}: {count}"
        for number, sent in enumerate(self.statements, 1):
            yield f"{number}. {sent.title}"
            yield from (f"    {line}" for line in sent.sql.splitlines())
            said = sent.explain or [f"not explained: {sent.unexplained}"]
            yield from (f"    | {line}" for line in said)

    def __str__(self) -> str:
        """Show it to people."""
        return "\n".join(self.lines())
