# SPDX-License-Identifier: MIT
"""A statement: one SQL command with its parameters, its result, and what its failures mean."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any, NamedTuple, Self, TypeVar, overload

from batchq.language import shape_changes
from batchq.language.batch import NO_EXPRESSION
from batchq.language.errors import InvalidBatch
from batchq.language.guards import EXACTLY_ONE
from batchq.language.inputs import Where, conflict
from batchq.language.mapping import ErrorMapping, Raises, checked_raises
from batchq.language.matchers import Matcher
from batchq.language.outputs import Output, checked_type
from batchq.language.results import NO_RESULT, Rows
from batchq.language.row_guards import RowGuards
from batchq.language.shape import Shape
from batchq.language.syntax import RawSql
from batchq.language.validation import checked_label, is_text
from batchq.language.value import value

T_co = TypeVar("T_co", covariant=True)
M = TypeVar("M")
N = TypeVar("N", bound=NamedTuple)

_LONGEST_TITLE = 40
_STRINGS = frozenset("'$")
"""What a string begins with."""


@value
class Statement(RowGuards[T_co]):
    """A batch of one. Immutable: every method returns a new statement.

    Made by :func:`~batchq.sql`, :func:`~batchq.insert`, :func:`~batchq.update`,
    :func:`~batchq.delete` and :func:`~batchq.select`; run it alone or compose it.
    """

    _shape: Shape
    _values: tuple[object, ...]
    """The parameters' values, in the order in which the source takes them."""
    _raises: tuple[Raises, ...] = ()
    """What the mapped failures raise, in the order in which the shape declares the mappings."""
    _labels: tuple[str, ...] = ()
    _first: Statement[Any] | None = None
    """The statement as it was first built; None if this is that one."""

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

        :param model: an attrs class, dataclass, NamedTuple, TypedDict, or any other class that
            takes columns by name, as Pydantic's and msgspec's do; ``tuple`` or ``dict``; or a
            function on the row as a dict. A class of one argument gets the column of that name, or
            the dict; a function of several gets the columns by name.
        :raises InvalidBatch: for what cannot take the columns, as far as they are known here.

        On a built write this adds RETURNING of the model's columns. On anything that can match no
        row it is also a guard: the server aborts the transaction unless there is exactly one.

        >>> from batchq import select
        >>> select("project", ["id", "name"], where={"id": 7}).one(tuple)
        <Statement select project: one(tuple), exactly 1 row>
        """
        return self._with_result("one", model)

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
        return self._with_result("maybe", model)

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
        return self._with_result("all", model)

    def scalar(self, type_: type[M]) -> Statement[M]:
        """Ask for exactly one row of one column, of the given Python type.

        A value of another type (NULL too) is a :class:`~batchq.DecodeFailed`. On anything that can
        match no row it is also a guard, as :meth:`one`.
        """
        return self._with_result("scalar", type_)

    def count(self) -> Statement[int]:
        """Ask for the number of rows affected (of a select: returned)."""
        return self._with_result("count", None)

    def returning(self, *columns: str) -> Statement[T_co]:
        """Name the columns that a built write returns, for shapes that do not name them.

        >>> from uuid import UUID
        >>> from batchq import insert
        >>> insert("project", {"name": "web"}).returning("id").scalar(UUID)
        <Statement insert project: scalar(UUID)>
        """
        return self._shaped(shape_changes.with_returning(self._shape, columns))

    # -- what failures mean ------------------------------------------------------------------------

    def on(self, matcher: Matcher, raises: Raises) -> Statement[T_co]:
        """Say what a failure of this statement means.

        :param matcher: which failures: ``unique("name")``, ``check("name")``, …
        :param raises: an exception (a fresh copy is raised each time), an exception class (called
            with the :class:`~batchq.Violation`) or a function from the Violation to an exception.
        :raises InvalidBatch: for what could not be raised when the time comes: a class or function
            that cannot be called with one argument, an exception that cannot be copied, and
            ``StopIteration``, which no coroutine lets out.

        When several mappings match, the one declared last wins, and any mapping from outside the
        statement (``batch.on``) wins over its own.
        """
        checked = (*self._raises, checked_raises(matcher, raises))
        shape = shape_changes.with_mapping(self._shape, matcher)
        return Statement(shape, self._values, checked, self._labels, self._identity)

    def invariant(self, *constraints: str) -> Statement[T_co]:
        """Declare constraints whose violation would be *our* bug: ``InvariantViolation``."""
        return self._shaped(shape_changes.with_invariants(self._shape, constraints))

    def on_conflict_do_nothing(self, *columns: str, where: Where | None = None) -> Statement[T_co]:
        """Let an insert pass over a row that is there already: it then affects no row.

        :param columns: the columns of the unique index.
        :param where: the predicate of that index, where it is partial. The server finds the index
            by it when it plans, so it takes None, booleans, integers, strings, and ``sql()``
            without parameters, all of which become part of the text.

        >>> from batchq import insert, steps
        >>> new = insert("project", {"silo_id": 7, "name": "web"})
        >>> quiet = new.on_conflict_do_nothing("silo_id", "name", where={"time_deleted": None})
        >>> steps(quiet)[0].sql.partition(" ON ")[2]
        'CONFLICT ("silo_id", "name") WHERE "time_deleted" IS NULL DO NOTHING'
        """
        return self._shaped(shape_changes.with_conflict(self._shape, conflict(columns, where)))

    def output(self, column: str, type: str | None = None, /) -> Output:
        """Name a value that this statement produces, for a later statement of the same batch.

        It stands where a value stands, in the row or the conditions of a builder, and in ``sql()``;
        the server hands it over, in the same round trip. The statement has to produce exactly one
        row, which is guarded.

        :param column: one of the statement's columns; a built write returns it for this alone.
        :param type: its SQL type, which an output in ``sql()`` has to say. In a builder it is that
            of the column, unless it is said.
        :raises InvalidBatch: when the statement may have another number of rows.

        >>> from batchq import gather, insert
        >>> project = insert("project", {"name": "web"})
        >>> vpc = insert("vpc", {"project_id": project.output("id"), "name": "default"})
        >>> gather(project, vpc)
        <Gathered of 2 statements>
        """
        if not is_text(column):
            message = "output() names a column"
            raise InvalidBatch(message)
        check_single_row(self)
        return Output(self._identity, self.title, column, checked_type(type))

    def label(self, name: str) -> Statement[T_co]:
        """Name the statement in paths, for people; see :meth:`Batch.label`."""
        labels = (checked_label(name), *self._labels)
        return Statement(self._shape, self._values, self._raises, labels, self._identity)

    # -- for the floors above --------------------------------------------------------------------

    @property
    def _identity(self) -> Statement[Any]:
        """The statement as it was first built."""
        return self._first or self

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """The outputs of other statements that it uses."""
        if not self._shape.takes_outputs:
            return ()
        return tuple(value for value in self._values if isinstance(value, Output))

    @property
    def _mappings(self) -> tuple[ErrorMapping, ...]:
        """Its mappings, in the order of declaration: the last that matches wins."""
        return tuple(self._shape.mappings(self._raises))

    def _as_expression(self, *, column: bool = False) -> tuple[RawSql, tuple[object, ...]]:
        source = self._shape.source
        if not isinstance(source, RawSql):
            raise InvalidBatch(NO_EXPRESSION)
        if not self._shape.is_bare:
            message = (
                "a fragment is a bare sql(): say the result, the mappings and the guards of the "
                "statement that it stands in"
            )
            raise InvalidBatch(message)
        problem = (source.no_column if column else source.no_value) or source.unsure
        if problem is not None:
            message = f"a fragment is one expression, and this one is not: {problem}"
            raise InvalidBatch(message)
        return source, self._values

    def __repr__(self) -> str:
        """Show what it does and promises, without a single value."""
        words = [] if self._shape.result is NO_RESULT else [str(self._shape.result)]
        if self._shape.guard is not None:
            words.append(str(self._shape.guard))
        words.extend(map(str, self._shape.conditions))
        promises = f": {', '.join(words)}" if words else ""
        return f"<Statement {self.title}{promises}>"

    @property
    def title(self) -> str:
        """A few words for people: ``insert project``, or the first words of a ``sql()`` text, up to
        a string in it, which may be anybody's data."""
        if isinstance(self._shape.source, RawSql):
            first = "…".join(self._shape.source.pieces).split()[:3]
            words = " ".join(takewhile(_STRINGS.isdisjoint, first)) or self._shape.source.verb
            return words if len(words) <= _LONGEST_TITLE else words[: _LONGEST_TITLE - 1] + "…"
        return f"{self._shape.source.verb} {self._shape.source.table}"

    def _with_result(self, rows: str, model: object) -> Statement[Any]:
        try:
            return self._shaped(shape_changes.with_result(self._shape, rows, model))
        except TypeError as error:
            message = f"{rows}() takes a class or function, which is hashable: {error}"
            raise InvalidBatch(message) from error

    def _shaped(self, shape: Shape, values: tuple[object, ...] = ()) -> Self:
        """Return the statement with another shape.

        :param values: what that takes after the values so far.
        """
        taken = self._values + values
        return type(self)(shape, taken, self._raises, self._labels, self._identity)


def check_single_row(producer: Statement[Any]) -> None:
    """Reject outputs of a statement that may produce any number of rows but one.

    :raises InvalidBatch: naming the statement.
    """
    counts = producer._shape.guard in (None, EXACTLY_ONE)
    if not counts or producer._shape.result.rows in (Rows.MAYBE, Rows.ALL, Rows.COUNT):
        message = (
            f"an output is of exactly one row, and {producer.title} may have another number of them"
        )
        raise InvalidBatch(message)
