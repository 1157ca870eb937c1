# SPDX-License-Identifier: MIT
"""A statement: one SQL command with its parameters, its result, and what its failures mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

from batchq.language import shape as shapes
from batchq.language.batch import Batch
from batchq.language.errors import InvalidBatch
from batchq.language.guards import Guard, Judged, Requirement
from batchq.language.mapping import Meaning, Rule, checked_meaning
from batchq.language.matchers import MISSING_ROWS, Matcher, unmet
from batchq.language.outputs import Output, checked_type, refuse_rows
from batchq.language.results import NO_RESULT, Result
from batchq.language.shape import Shape
from batchq.language.syntax import Conditions, Insert, Source, Text, compared
from batchq.language.templates import Saying
from batchq.language.validation import checked_label, is_text, listed
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.inputs import Where

T_co = TypeVar("T_co", covariant=True)
M = TypeVar("M")
N = TypeVar("N", bound=NamedTuple)

_LONGEST_TITLE = 40
_STRINGS = frozenset("'$")
"""What a string begins with."""


@value
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
    first: Statement[Any] | None = None
    """The statement that it was first built as; None where it is that one."""

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
        :raises InvalidBatch: for what could not be raised when the time comes: a class or function
            that cannot be called with one argument, an exception that cannot be copied, and
            ``StopIteration``, which no coroutine lets out.

        When several mappings match, the one declared last wins, and any mapping from outside the
        statement (``batch.on``) wins over its own.
        """
        meanings = (*self.meanings, checked_meaning(matcher, meaning))
        shape = shapes.mapping(self.shape, matcher)
        return Statement(shape, self.values, meanings, self.labels, self.first or self)

    def internal(self, *constraints: str) -> Statement[T_co]:
        """Declare constraints whose violation would be *our* bug: ``InvariantViolation``."""
        return self._shaped(shapes.internal(self.shape, constraints))

    def expect(
        self,
        rows: int | None = None,
        /,
        *,
        at_least: int | None = None,
        at_most: int | None = None,
        missing: Meaning | None = None,
    ) -> Statement[T_co]:
        """Guard the number of rows affected: the server aborts the transaction before COMMIT.

        :param rows: exactly so many rows.
        :param at_least: so many rows or more; instead of ``rows``.
        :param at_most: so many rows or fewer; instead of ``rows``.
        :param missing: what too few rows mean, as the meaning of :meth:`on`. Too many rows, or too
            few without it, raise :class:`~batchq.GuardFailed`.

        >>> from batchq import update
        >>> update("project", {"name": "web"}, where={"id": 7}).expect(1, missing=LookupError("7"))
        <Statement update project: exactly 1 row>
        """
        if (rows is not None) + (at_least is not None) + (at_most is not None) != 1:
            message = "expect() takes either a number of rows, or at_least=, or at_most="
            raise InvalidBatch(message)
        if missing is not None and at_most is not None:
            message = "expect(at_most=…) misses no rows: missing= would never be raised"
            raise InvalidBatch(message)
        bound, number = ("=", rows) if at_most is None else ("<=", at_most)
        if at_least is not None:
            bound, number = ">=", at_least
        shape = shapes.expecting(self.shape, bound, cast("int", number))
        guarded: Statement[T_co] = self._shaped(shape)
        return guarded if missing is None else guarded.on(MISSING_ROWS, missing)

    def require(
        self, condition: Where, /, *, else_: Meaning | None = None, found: Iterable[str] = ()
    ) -> Statement[T_co]:
        """Require something of each row that ``where`` finds, before the statement touches it.

        A row that is not there, a row that is soft-deleted and a row of another generation are
        three different answers to a caller. ``where`` says which row is meant, each ``require``
        what has to hold of it: in the order in which they are said, the first that does not decides
        the error, and :attr:`Violation.found` carries what the row holds instead.

        On an update or delete without a result shape it also means ``.expect(1)``: say
        ``.expect(1, missing=…)``, or ``.expect(at_most=1)`` where there may be no such row.

        :param condition: as ``where`` of :func:`~batchq.update`.
        :param else_: what a row that does not meet it means, as the meaning of :meth:`on`; left
            out, it raises :class:`~batchq.GuardFailed`, which is nobody's mistake but ours.
        :param found: columns whose values the error is to carry, besides those of the conditions.
        :raises InvalidBatch: on an insert, or a ``sql()`` text: say ``.check()`` of what these
            return.

        >>> from batchq import update
        >>> (
        ...     update("project", {"name": "web"}, where={"id": 7})
        ...     .expect(1, missing=LookupError("no such project"))
        ...     .require({"time_deleted": None}, else_=LookupError("deleted"))
        ...     .require({"rcgen": 3}, else_=lambda v: ValueError(f"now at {v.found['rcgen']}"))
        ... )
        <Statement update project: exactly 1 row, require("time_deleted"), require("rcgen")>
        """
        from batchq.language.inputs import read_conditions  # noqa: PLC0415  which read statements

        if isinstance(self.source, Text | Insert):
            message = (
                "require() is of rows that where= finds: of what an insert or a sql() text returns "
                'say .check("column", …)'
            )
            raise InvalidBatch(message)
        test, values = read_conditions(condition)
        return self.requiring(Judged.FOUND, test, values, else_, found)

    def check(
        self,
        column: str,
        expected: object,
        /,
        *,
        else_: Meaning | None = None,
        found: Iterable[str] = (),
    ) -> Statement[T_co]:
        """Require something of each row that the statement returns, as it is afterwards.

        :param column: one of the columns returned; a built write returns it for this alone.
        :param expected: as the value of a column in ``where`` of :func:`~batchq.update`.
        :param else_: what a row that does not meet it means, as of :meth:`require`.
        :param found: columns whose values the error is to carry, besides this one.

        >>> from batchq import insert
        >>> insert("disk", {"id": 7}).check("state", "creating", else_=ValueError("raced"))
        <Statement insert disk: check("state")>
        """
        from batchq.language.inputs import read_conditions  # noqa: PLC0415  which read statements

        test, values = read_conditions({column: expected})
        return self.requiring(Judged.RETURNED, test, values, else_, found)

    def on_conflict_do_nothing(self, *columns: str, where: Where | None = None) -> Statement[T_co]:
        """Let an insert pass over a row that is there already: it then affects no row.

        :param columns: the columns of the unique index.
        :param where: the predicate of that index, where it is partial. The server finds the index
            by it when it plans, so it takes None, booleans, integers, strings, and ``sql()``
            without parameters, all of which become part of the text.

        >>> from batchq import insert
        >>> new = insert("project", {"silo_id": 7, "name": "web"})
        >>> quiet = new.on_conflict_do_nothing("silo_id", "name", where={"time_deleted": None})
        >>> quiet.steps()[0].sql.partition(" ON ")[2]
        'CONFLICT ("silo_id", "name") WHERE "time_deleted" IS NULL DO NOTHING'
        """
        from batchq.language.inputs import conflict  # noqa: PLC0415  which reads statements

        return self._shaped(shapes.on_conflict_do_nothing(self.shape, conflict(columns, where)))

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
        refuse_rows(self)
        return Output(self.origin, column, checked_type(type))

    def label(self, name: str) -> Statement[T_co]:
        """Name the statement in paths, for people; see :meth:`Batch.label`."""
        labels = (checked_label(name), *self.labels)
        return Statement(self.shape, self.values, self.meanings, labels, self.first or self)

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
    def origin(self) -> Statement[Any]:
        """The statement that it was first built as."""
        return self.first or self

    @property
    def needs(self) -> tuple[Output, ...]:
        """The outputs of other statements that it uses."""
        if not self.shape.takes_outputs:
            return ()
        return tuple(value for value in self.values if isinstance(value, Output))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What its failures mean, in the order of declaration: the last that matches wins."""
        return tuple(self.shape.rules(self.meanings))

    def __repr__(self) -> str:
        """Show what it does and promises, without a single value."""
        words = [] if self.result is NO_RESULT else [str(self.result)]
        if self.guard is not None:
            words.append(str(self.guard))
        words.extend(map(str, self.shape.requirements))
        promises = f": {', '.join(words)}" if words else ""
        return f"<Statement {self.title}{promises}>"

    @property
    def title(self) -> str:
        """A few words for people: ``insert project``, or the first words of a ``sql()`` text, up to
        a string in it, which may be anybody's data."""
        if isinstance(self.source, Text):
            first = "…".join(self.source.pieces).split()[:3]
            words = " ".join(takewhile(_STRINGS.isdisjoint, first)) or self.source.verb
            return words if len(words) <= _LONGEST_TITLE else words[: _LONGEST_TITLE - 1] + "…"
        return f"{self.source.verb} {self.source.table}"

    def _answering(self, rows: str, model: object) -> Statement[Any]:
        try:
            return self._shaped(shapes.answering(self.shape, rows, model))
        except TypeError as error:
            message = f"{rows}() takes a class or function, which is hashable: {error}"
            raise InvalidBatch(message) from error

    def requiring(
        self,
        judged: Judged,
        test: Conditions,
        values: tuple[object, ...],
        else_: Meaning | None,
        found: Iterable[str],
    ) -> Statement[T_co]:
        """Add a requirement; what :meth:`require`, :meth:`check` and ``forbid()`` come down to."""
        told = else_.columns if isinstance(else_, Saying) else ()
        columns = tuple(dict.fromkeys((*compared(test), *columns_of(found), *told)))
        requirement = Requirement(judged, test, columns)
        shape = shapes.requiring(self.shape, requirement)
        first = self.first or self
        guarded = Statement[T_co](shape, self.values + values, self.meanings, self.labels, first)
        if else_ is None:
            return guarded
        return guarded.on(unmet(len(self.shape.requirements), requirement), else_)

    def _shaped(self, shape: Shape) -> Statement[Any]:
        return Statement(shape, self.values, self.meanings, self.labels, self.first or self)


def columns_of(found: Iterable[str]) -> tuple[str, ...]:
    """Read ``found=``.

    :raises InvalidBatch: for what is not a list.
    """
    return listed("found=", found, '["id", "name"]')
