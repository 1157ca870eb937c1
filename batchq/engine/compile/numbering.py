# SPDX-License-Identifier: MIT
"""Number the parameters of a statement's SQL, and record the value of each.

The scanner reads the SQL between numbering and the final ``$1``, ``$2``: so a parameter is a mark
until then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from batchq.engine.compile import output_sql
from batchq.engine.compile.parameter_places import Place, names_without_cast, type_check
from batchq.engine.compile.quoting import identifier
from batchq.engine.compile.sentinel import SENTINEL_MARK, encoded_row, row_sentinel
from batchq.language.guards import Requirement
from batchq.language.syntax import RawSql


class Numbering:
    """Numbers the parameters in the order of the text, and records the value of each.

    A parameter is a mark and a number until the text has been scanned. The SQL that batchq writes
    around an output is inserted after that, because the scan is about the user's SQL.
    """

    def __init__(
        self, mark: str, *, binary: bool = True, checked: frozenset[int] = frozenset()
    ) -> None:
        self._mark = mark
        self._binary = binary
        self._checked = checked
        self.order: list[int] = []
        self.places: list[Place] = []
        self._taken = 0
        self._outputs: dict[int, Callable[[str], str]] = {}

    def parameter(self, place: Place) -> str:
        """Return the parameter of the next value."""
        self.order.append(self._taken)
        self.places.append(place)
        self._taken += 1
        return f"{self._mark}{len(self.order)}"

    def compare(self, table: str | None, column: str, place: Place) -> tuple[str, str]:
        """Return the comparison of a column with the next value, or with a value of the next list.

        :return: the check of the column's type if it is needed, to be put before everything that
            depends on the comparison; and the comparison.
        """
        number = self.parameter(place if table is not None else Place.FREE)
        value = f"ANY({number})" if place is Place.LISTED else number
        test = f"{identifier(column)} = {value}"
        if table is None or len(self.order) - 1 not in self._checked:
            return "", test
        return f"(false AND {test} OR {type_check(table, column, number, place)}) AND ", test

    def skip_to(self, value: int) -> None:
        """Continue with another value: those between are elsewhere in the text."""
        self._taken = value

    def fragment(self, text: RawSql) -> str:
        """Return a text to put within other SQL, which a comment at its end must not hide."""
        return self.text(text) + ("\n" if "--" in text.pieces[-1] else "")

    def text(self, text: RawSql) -> str:
        """Return a text with its parameters; a name used twice is one parameter, as in psycopg."""
        placed: dict[int, str] = {}
        parts = [text.pieces[0]]
        free = names_without_cast(text)
        for name, piece in zip(text.order, text.pieces[1:], strict=True):
            if name not in placed:
                self.order.append(self._taken + name)
                placed[name] = f"{self._mark}{len(self.order)}"
                kind = text.casts[name] if text.casts else None
                place = Place.FREE if name in free else Place.CAST
                self.places.append(place if kind is None else Place.BUILT_IN)
                if kind is not None:
                    self._outputs[len(self.order)] = partial(output_sql.typed, kind=kind)
            parts += (placed[name], piece)
        self._taken += len(text.names)
        return "".join(parts)

    def output(self, table: str, column: str) -> str:
        """Return the parameter of another statement's output, with the type of a column."""
        parameter = self.parameter(Place.BUILT_IN)
        of_column = partial(output_sql.of_column, table=table, column=column)
        self._outputs[len(self.order)] = of_column
        return parameter

    def sentinel(self, index: int, requirement: Requirement, row: str = "") -> str:
        """Return SQL that fails the statement if a row does not meet a requirement."""
        return row_sentinel(index, self.encoded_row(requirement, row), token=f"{self._mark}0")

    def encoded_row(self, requirement: Requirement, row: str = "") -> str:
        """Return SQL for the text by which a requirement reports a row.

        :param row: the prefix of its columns if the statement has two rows.
        """
        return encoded_row(requirement.columns, row, binary=self._binary)

    def to_sql(self, text: str) -> str:
        """Replace the marks of a text by ``$1``, ``$2``, …, and by the SQL that reads outputs."""

        def replace(match: re.Match[str]) -> str:
            number = int(match[1])
            if not number:
                return SENTINEL_MARK
            output = self._outputs.get(number)
            return f"${number}" if output is None else output(f"${number}")

        return re.sub(rf"{self._mark}(\d+)", replace, text)
