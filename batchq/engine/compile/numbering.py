# SPDX-License-Identifier: MIT
"""Number the parameters of a statement's SQL, and record the value of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

from batchq.engine.abilities import NEWEST, Abilities
from batchq.engine.compile import output_sql
from batchq.engine.compile.parameter_places import OF_A_COLUMN, Place, type_check
from batchq.engine.compile.quoting import identifier
from batchq.engine.compile.row_text import encoded_row
from batchq.engine.compile.sentinel import SENTINEL_MARK, row_sentinel
from batchq.language.guards import Requirement
from batchq.language.placeholders import NUL

MARK = NUL
"""Begins a parameter, before its number; neither names nor SQL text contain a NUL."""
_PARAMETER = re.compile(rf"{MARK}(\d+)")


class Numbering:
    """Numbers the parameters in the order of the text, and records the value of each.

    A parameter is :data:`MARK` and a number until the text has been scanned. The SQL that batchq
    writes around an output is inserted after that, because the scan is about the user's SQL.
    """

    def __init__(
        self, abilities: Abilities = NEWEST, *, checked: frozenset[int] = frozenset()
    ) -> None:
        self.abilities = abilities
        self._checked = checked
        self.order: list[int] = []
        self.places: list[Place] = []
        self.next = 0
        """The index of the next value. Those between may be elsewhere in the text."""
        self.has_text = False
        """Whether SQL of the user's has been rendered."""
        self.row = ""
        """The prefix of the columns in conditions, if the statement has two rows: ``"there."``."""
        self._depth = 0
        self._outputs: dict[int, Callable[[str], str]] = {}

    def parameter(self, place: Place) -> str:
        """Return the parameter of the next value."""
        parameter = self.parameter_of(self.next, place)
        self.next += 1
        return parameter

    def parameter_of(self, value: int, place: Place, kind: str | None = None) -> str:
        """Return the parameter of a value.

        :param kind: the type of an output that is passed as the value; None for other values.
        """
        self.order.append(value)
        self.places.append(Place.FREE if self._depth and place in OF_A_COLUMN else place)
        if kind is not None:
            self._outputs[len(self.order)] = partial(output_sql.typed, kind=kind)
        return f"{MARK}{len(self.order)}"

    @property
    def latest(self) -> str:
        """The parameter that was numbered last, to be used once more."""
        return f"{MARK}{len(self.order)}"

    @contextmanager
    def nested(self, first: int) -> Generator[None]:
        """Enter a statement inside an SQL text, which may decide the types of its parameters.

        :param first: the index of the statement's first value.
        """
        self.next, self._depth = first, self._depth + 1
        yield
        self._depth -= 1

    @contextmanager
    def columns_of(self, row: str) -> Generator[None]:
        """Enter conditions on one of two rows.

        :param row: the prefix of its columns.
        """
        self.row = row
        yield
        self.row = ""

    def column(self, name: str) -> str:
        """Return the SQL of a column in a condition."""
        return self.row + identifier(name)

    def compare(
        self, table: str | None, column: str, place: Place, operator: str = "="
    ) -> tuple[str, str]:
        """Return the comparison of a column with the next value, or with a value of the next list.

        :return: the check of the column's type if it is needed, to be put before everything that
            depends on the comparison; and the comparison.
        """
        number = self.parameter(place if table is not None else Place.FREE)
        value = f"ANY({number})" if place is Place.LISTED else number
        test = f"{self.column(column)} {operator} {value}"
        if table is None or len(self.order) - 1 not in self._checked:
            return "", test
        return f"(false AND {test} OR {type_check(table, column, number, place)}) AND ", test

    def output(self, table: str, column: str) -> str:
        """Return the parameter of another statement's output, with the type of a column."""
        parameter = self.parameter(Place.BUILT_IN)
        of_column = partial(output_sql.of_column, table=table, column=column)
        self._outputs[len(self.order)] = of_column
        return parameter

    def sentinel(self, index: int, requirement: Requirement, row: str = "") -> str:
        """Return SQL that fails the statement if a row does not meet a requirement."""
        return row_sentinel(index, self.encoded_row(requirement, row), token=f"{MARK}0")

    def encoded_row(self, requirement: Requirement, row: str = "") -> str:
        """Return SQL for the text by which a requirement reports a row.

        :param row: the prefix of its columns if the statement has two rows.
        """
        able = self.abilities
        return encoded_row(requirement.columns, row, binary=able.binary, plain=able.plain)

    def to_sql(self, text: str) -> str:
        """Write the parameters of a text as ``$1``, ``$2``, …, and the SQL that reads outputs."""

        def replace(match: re.Match[str]) -> str:
            number = int(match[1])
            if not number:
                return SENTINEL_MARK
            output = self._outputs.get(number)
            return f"${number}" if output is None else output(f"${number}")

        return _PARAMETER.sub(replace, text)
