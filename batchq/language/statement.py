# SPDX-License-Identifier: MIT
"""A statement: one SQL command with its parameters, its result, and what its failures mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast, overload

from attrs import frozen

from batchq.language import shape as shapes
from batchq.language.batch import Batch, checked_label
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Guard
from batchq.language.mapping import Meaning, Rule, checked_meaning
from batchq.language.matchers import MISSING_ROWS, Matcher
from batchq.language.results import NO_RESULT, Result
from batchq.language.shape import Shape
from batchq.language.sources import Source, Text

T_co = TypeVar("T_co", covariant=True)
M = TypeVar("M")
N = TypeVar("N", bound=NamedTuple)

_LONGEST_TITLE = 40


@frozen(eq=False, repr=False)
class Statement(Batch[T_co]):
    """A batch of one. Immutable: every method returns a new statement.

    Made by :func:`~batchq.sql`, :func:`~batchq.insert`, :func:`~batchq.update`,
    :func:`~batchq.delete` and :func:`~batchq.select`; run it alone or compose it.
    """

    shape: Shape
    values: tuple[object, ...]
    """The parameters' values, in the order in which the source takes them."""
    meanings: tuple[Meaning, ...] = ()
    """What the mapped failures mean, in the order in which the shape declares them."""
    labels: tuple[str, ...] = ()

    # -- the result shape --------------------------------------------------------------------------

    @overload
    def one(self, model: type[N]) -> Statement[N]: ...
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
        return self._answering("one", model)

    @overload
    def maybe(self, model: type[N]) -> Statement[N | None]: ...
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
        return self._answering("maybe", model)

    @overload
    def all(  # pyright: ignore[reportOverlappingOverload]  a list is invariant
        self, model: type[N]
    ) -> Statement[list[N]]: ...
    @overload
    def all(self, model: type[tuple[Any, ...]]) -> Statement[list[tuple[Any, ...]]]: ...
    @overload
    def all(self, model: type[dict[Any, Any]]) -> Statement[list[dict[str, Any]]]: ...
    @overload
    def all(self, model: Callable[..., M]) -> Statement[list[M]]: ...
    def all(self, model: Callable[..., Any]) -> Statement[Any]:
        """Ask for every row, as a list; see :meth:`one` for ``model``."""
        return self._answering("all", model)

    def scalar(self, type_: type[M]) -> Statement[M]:
        """Ask for exactly one row of one column, of the given Python type.

        A value of another type (NULL too) is a :class:`~batchq.DecodeFailed`. On anything that can
        match no row it is also a guard, as :meth:`one`.
        """
        return self._answering("scalar", type_)

    def count(self) -> Statement[int]:
        """Ask for the number of rows affected (of a select: returned)."""
        return self._answering("count", None)

    def returning(self, *columns: str) -> Statement[T_co]:
        """Name the columns that a built write returns, for shapes that do not name them.

        >>> from uuid import UUID
        >>> from batchq import insert
        >>> insert("project", {"name": "web"}).returning("id").scalar(UUID)
        <Statement insert project: scalar(UUID)>
        """
        return self._shaped(shapes.returning(self.shape, columns))

    # -- what failures mean ------------------------------------------------------------------------

    def on(self, matcher: Matcher, meaning: Meaning) -> Statement[T_co]:
        """Say what a failure of this statement means.

        :param matcher: which failures: ``unique("name")``, ``check("name")``, …
        :param meaning: an exception (a fresh copy is raised each time), an exception class (called
            with the :class:`~batchq.Violation`) or a function from the Violation to an exception.

        When several mappings match, the one declared last wins, and any mapping from outside the
        statement (``batch.on``) wins over its own.
        """
        meanings = (*self.meanings, checked_meaning(matcher, meaning))
        return Statement(shapes.mapping(self.shape, matcher), self.values, meanings, self.labels)

    def internal(self, *constraints: str) -> Statement[T_co]:
        """Declare constraints whose violation would be *our* bug: ``InvariantViolation``."""
        return self._shaped(shapes.internal(self.shape, constraints))

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
        bound, number = ("=", rows) if rows is not None else (">=", at_least)
        shape = shapes.expecting(self.shape, bound, cast("int", number))
        guarded: Statement[T_co] = self._shaped(shape)
        return guarded if missing is None else guarded.on(MISSING_ROWS, missing)

    def label(self, name: str) -> Statement[T_co]:
        """Name the statement in paths, for people; see :meth:`Batch.label`."""
        labels = (checked_label(name), *self.labels)
        return Statement(self.shape, self.values, self.meanings, labels)

    # -- looking at it -----------------------------------------------------------------------------

    @property
    def source(self) -> Source:
        """What it does, without its values."""
        return self.shape.source

    @property
    def result(self) -> Result:
        """Its result shape."""
        return self.shape.result

    @property
    def guard(self) -> Guard | None:
        """The guard that the server will check: the one asked for, or the result's own promise."""
        return self.shape.guard

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What its failures mean, in the order of declaration: the last that matches wins."""
        return tuple(self.shape.rules(self.meanings))

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
            words = " ".join("…".join(self.source.pieces).split()[:3])
            return words if len(words) <= _LONGEST_TITLE else words[: _LONGEST_TITLE - 1] + "…"
        return f"{self.source.verb} {self.source.table}"

    def _answering(self, rows: str, model: object) -> Statement[Any]:
        try:
            return self._shaped(shapes.answering(self.shape, rows, model))
        except TypeError as error:
            message = f"{rows}() takes a class or function, which is hashable: {error}"
            raise InvalidBatch(message) from error

    def _shaped(self, shape: Shape) -> Statement[Any]:
        return Statement(shape, self.values, self.meanings, self.labels)
