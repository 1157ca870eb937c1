# SPDX-License-Identifier: MIT
"""A statement: one SQL command with its parameters, its result, and what its failures mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from attrs import field, frozen

from batchq.language.batch import Batch, checked_label
from batchq.language.errors import InvalidBatch
from batchq.language.guards import AT_MOST_ONE, EXACTLY_ONE, Bound, Guard
from batchq.language.mapping import INTERNAL, Meaning, Rule, rule
from batchq.language.matchers import MISSING_ROWS, Matcher, constraint
from batchq.language.results import COUNT, NO_RESULT, Result, Rows, model_columns
from batchq.language.sources import Insert, Select, Source, Text

T_co = TypeVar("T_co", covariant=True)
M = TypeVar("M")


@frozen(eq=False, repr=False)
class Statement(Batch[T_co]):
    """A batch of one. Immutable: every method returns a new statement.

    Made by :func:`~batchq.sql`, :func:`~batchq.insert`, :func:`~batchq.update`,
    :func:`~batchq.delete` and :func:`~batchq.select`; run it alone or compose it.
    """

    source: Source
    values: tuple[object, ...]
    """The parameters' values, in the order in which the source takes them."""
    result: Result = NO_RESULT
    expected: Guard | None = None
    """The guard that ``.expect(...)`` set."""
    rules: tuple[Rule, ...] = ()
    """What its failures mean, in the order of declaration: the last that matches wins."""
    labels: tuple[str, ...] = ()
    returned: tuple[str, ...] | None = field(default=None)
    """The columns that ``.returning(...)`` named."""

    # -- the result shape --------------------------------------------------------------------------

    @overload
    def one(self, model: type[tuple[Any, ...]]) -> Statement[tuple[Any, ...]]: ...
    @overload
    def one(self, model: type[dict[Any, Any]]) -> Statement[dict[str, Any]]: ...
    @overload
    def one(self, model: Callable[..., M]) -> Statement[M]: ...
    def one(self, model: Callable[..., Any]) -> Statement[Any]:
        """Ask for exactly one row, made into ``model``.

        :param model: an attrs class, dataclass or NamedTuple (columns go to fields by name),
            ``tuple``, ``dict``, or any callable on the row as a dict.

        On a built write this adds RETURNING of the model's columns. On anything that can match no
        row it is also a guard: the server aborts the transaction unless there is exactly one.

        >>> from batchq import select
        >>> select("project", ["id", "name"], where={"id": 7}).one(tuple)
        <Statement select project: one(tuple), exactly 1 row>
        """
        return self._shaped(Rows.ONE, model)

    @overload
    def maybe(self, model: type[tuple[Any, ...]]) -> Statement[tuple[Any, ...] | None]: ...
    @overload
    def maybe(self, model: type[dict[Any, Any]]) -> Statement[dict[str, Any] | None]: ...
    @overload
    def maybe(self, model: Callable[..., M]) -> Statement[M | None]: ...
    def maybe(self, model: Callable[..., Any]) -> Statement[Any]:
        """Ask for one row or None; see :meth:`one` for ``model``.

        A second row is a broken promise: the server aborts the transaction (a guard).
        """
        return self._shaped(Rows.MAYBE, model)

    @overload
    def all(self, model: type[tuple[Any, ...]]) -> Statement[list[tuple[Any, ...]]]: ...
    @overload
    def all(self, model: type[dict[Any, Any]]) -> Statement[list[dict[str, Any]]]: ...
    @overload
    def all(self, model: Callable[..., M]) -> Statement[list[M]]: ...
    def all(self, model: Callable[..., Any]) -> Statement[Any]:
        """Ask for every row, as a list; see :meth:`one` for ``model``."""
        return self._shaped(Rows.ALL, model)

    def scalar(self, type_: type[M]) -> Statement[M]:
        """Ask for exactly one row of one column, of the given Python type.

        A value of another type (NULL too) is a :class:`~batchq.DecodeFailed`. On anything that can
        match no row it is also a guard, as :meth:`one`.
        """
        return self._shaped(Rows.SCALAR, type_)

    def count(self) -> Statement[int]:
        """Ask for the number of rows affected (of a select: returned)."""
        if self.returned is not None:
            message = "count() after returning(...): the rows would be thrown away, drop one"
            raise InvalidBatch(message)
        return self._checked(COUNT, self.expected, self.rules)

    def returning(self, *columns: str) -> Statement[T_co]:
        """Name the columns that a built write returns, for shapes that do not name them.

        >>> from uuid import UUID
        >>> from batchq import insert
        >>> insert("project", {"name": "web"}).returning("id").scalar(UUID)
        <Statement insert project: scalar(UUID)>
        """
        if isinstance(self.source, Text | Select) or not columns:
            message = (
                "returning() names at least one column of a built insert, update or delete; a "
                "sql() text has its own RETURNING, a select() its columns"
            )
            raise InvalidBatch(message)
        return self._next(returned=columns)

    # -- what failures mean ------------------------------------------------------------------------

    def on(self, matcher: Matcher, meaning: Meaning) -> Statement[T_co]:
        """Say what a failure of this statement means.

        :param matcher: which failures: ``unique("name")``, ``check("name")``, …
        :param meaning: an exception (a fresh copy is raised each time), an exception class (called
            with the :class:`~batchq.Violation`) or a function from the Violation to an exception.

        When several mappings match, the one declared last wins, and any mapping from outside the
        statement (``batch.on``) wins over its own.
        """
        return self._next(rules=(*self.rules, rule(matcher, meaning)))

    def internal(self, *constraints: str) -> Statement[T_co]:
        """Declare constraints whose violation would be *our* bug: ``InvariantViolation``."""
        if not constraints:
            message = "internal() names the constraints whose violation would be our bug"
            raise InvalidBatch(message)
        declared = [Rule(constraint(name), INTERNAL) for name in constraints]
        return self._next(rules=(*self.rules, *declared))

    def expect(
        self,
        rows: int | None = None,
        /,
        *,
        at_least: int | None = None,
        missing: Meaning | None = None,
    ) -> Statement[T_co]:
        """Guard the number of rows affected: the server aborts the transaction before COMMIT.

        :param rows: exactly so many rows.
        :param at_least: so many rows or more; instead of ``rows``.
        :param missing: what too few rows mean, as the meaning of :meth:`on`. Too many rows, or too
            few without it, raise :class:`~batchq.GuardFailed`.

        >>> from batchq import update
        >>> update("project", {"name": "web"}, where={"id": 7}).expect(1, missing=LookupError("7"))
        <Statement update project: exactly 1 row>
        """
        if (rows is None) == (at_least is None):
            message = "expect() takes either a number of rows, or at_least="
            raise InvalidBatch(message)
        if rows is not None:
            guard, least = Guard(Bound.EXACTLY, rows), 0
        else:
            guard, least = Guard(Bound.AT_LEAST, cast("int", at_least)), 1
        if guard.rows < least:
            message = f"expect({guard}) always holds or never can"
            raise InvalidBatch(message)
        rules = self.rules if missing is None else (*self.rules, rule(MISSING_ROWS, missing))
        return self._checked(self.result, guard, rules)

    def label(self, name: str) -> Statement[T_co]:
        """Name the statement in paths, for people; see :meth:`Batch.label`."""
        return self._next(labels=(checked_label(name), *self.labels))

    # -- what the engine asks ----------------------------------------------------------------------

    @property
    def guard(self) -> Guard | None:
        """The guard that the server will check: the one asked for, or the shape's own promise."""
        if self.expected is not None:
            return self.expected
        if isinstance(self.source, Insert):
            return None  # one row by construction
        if self.result.rows in (Rows.ONE, Rows.SCALAR):
            return EXACTLY_ONE
        return AT_MOST_ONE if self.result.rows is Rows.MAYBE else None

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The columns that its RETURNING or select list names; None where nobody says."""
        return model_columns(self.result.model) if self.returned is None else self.returned

    def __repr__(self) -> str:
        """Show what it does and promises, without a single value."""
        words = [] if self.result is NO_RESULT else [str(self.result)]
        if self.guard is not None:
            words.append(str(self.guard))
        promises = f": {', '.join(words)}" if words else ""
        return f"<Statement {self.title}{promises}>"

    @property
    def title(self) -> str:
        """A few words for people: ``insert project``, or the first words of a ``sql()`` text."""
        if isinstance(self.source, Text):
            return " ".join("…".join(self.source.pieces).split()[:3])
        return f"{self.source.verb} {self.source.table}"

    # -- making the next statement -----------------------------------------------------------------

    def _shaped(self, rows: Rows, model: object) -> Statement[Any]:
        if not callable(model):
            message = f"{rows.value}() takes a class or a callable on the row, not {model!r:.40}"
            raise InvalidBatch(message)
        return self._checked(Result(rows, model), self.expected, self.rules)

    def _checked(
        self, result: Result, expected: Guard | None, rules: tuple[Rule, ...]
    ) -> Statement[Any]:
        """Refuse an ``expect`` that contradicts the shape."""
        if expected is not None and result.rows not in _WITHOUT_ROWS:
            _check_agreement(result.rows, expected)
        return self._next(result=result, expected=expected, rules=rules)

    def _next(
        self,
        *,
        result: Result | None = None,
        expected: Guard | None = None,
        rules: tuple[Rule, ...] | None = None,
        labels: tuple[str, ...] | None = None,
        returned: tuple[str, ...] | None = None,
    ) -> Statement[Any]:
        """Make the same statement but for what is given.

        ``attrs.evolve`` looks the fields up anew each time, which took most of the time of building
        a batch.
        """
        return Statement(
            self.source,
            self.values,
            self.result if result is None else result,
            self.expected if expected is None else expected,
            self.rules if rules is None else rules,
            self.labels if labels is None else labels,
            self.returned if returned is None else returned,
        )


_WITHOUT_ROWS = frozenset({Rows.NONE, Rows.COUNT})


def _check_agreement(rows: Rows, guard: Guard) -> None:
    if rows is Rows.MAYBE:
        message = f"maybe() allows no row and expect({guard}) does not: use one()"
        raise InvalidBatch(message)
    if rows in (Rows.ONE, Rows.SCALAR) and guard != EXACTLY_ONE:
        message = f"{rows.value}() promises exactly 1 row and expect() {guard}: use all()"
        raise InvalidBatch(message)
    if guard.rows == 0:
        message = "expect(0) leaves no row to return: drop the result shape, or use count()"
        raise InvalidBatch(message)
