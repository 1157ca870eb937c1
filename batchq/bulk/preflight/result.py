# SPDX-License-Identifier: MIT
"""The result of a preflight, and how it is printed."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from batchq.bulk.preflight.findings import Finding
from batchq.bulk.preflight.orders import StageOrder
from batchq.bulk.preflight.row_counts import RowCount
from batchq.bulk.preflight.statements import PlannedStatement


class PreflightFailed(Exception):
    """The preflight has found errors. They are listed with their remedies."""

    def __init__(self, preflight: Preflight) -> None:
        super().__init__(preflight)
        self.preflight = preflight

    def __str__(self) -> str:
        """List the errors with their remedies."""
        errors = self.preflight.errors
        number = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        head = f"{self.preflight.name!r} should not be started, the preflight has found {number}:"
        return "\n".join([head, *(line for error in errors for line in error.lines())])


@frozen(kw_only=True)
class Preflight:
    """The result of :func:`preflight`. ``print()`` shows all of it but the statements' values."""

    name: str
    """The task name."""
    key: str | None
    """The parent's key, as text; None for a backfill."""
    statements: tuple[PlannedStatement, ...]
    """In the order in which they would be sent. A later chunk is sent again and again."""
    row_counts: tuple[RowCount, ...]
    """In the order in which rows are deleted; a table may be in it twice. Empty if the rows could
    not be counted, which is then one of the errors."""
    orders: tuple[StageOrder, ...]
    """In which order the rows are deleted in chunks, where there is a choice."""
    inline: bool
    """Whether the tree would be deleted in one batch."""
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Return whether there are no errors."""
        return not self.errors

    def raise_for_errors(self) -> None:
        """Raise if there are errors.

        :raises PreflightFailed: with all errors and their remedies.
        """
        if self.errors:
            raise PreflightFailed(self)

    def lines(self) -> Iterator[str]:
        """Format the result."""
        root = "" if self.key is None else f" of {self.key}"
        yield f"{self.name}{root}: {'in one batch' if self.inline else 'in chunks'}"
        for title, findings in (("Error", self.errors), ("Warning", self.warnings)):
            for finding in findings:
                first, *rest = finding.lines()
                yield f"{title}: {first}"
                yield from rest
        for count in self.row_counts:
            yield f"Rows of {count.table}: {count}"
        for order in self.orders:
            yield f"Order of {order.table}: {order.order}"
        for number, statement in enumerate(self.statements, 1):
            yield f"{number}. {statement.title}"
            yield from (f"    {line}" for line in statement.sql.splitlines())
            explain = statement.explain or [f"not explained: {statement.unexplained}"]
            yield from (f"    | {line}" for line in explain)

    def __str__(self) -> str:
        """Format the result."""
        return "\n".join(self.lines())
