# SPDX-License-Identifier: MIT
"""A statement: one SQL command with its parameters, its result, and what its failures mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from typing import Any, Literal, NamedTuple, TypeVar, cast, get_args, overload

from batchq.language import shape as shapes
from batchq.language.batch import NO_EXPRESSION, Batch
from batchq.language.errors import InvalidBatch
from batchq.language.guards import EXACTLY_ONE, Bound, Requirement, When
from batchq.language.inputs import Where, conflict, read_conditions
from batchq.language.mapping import ErrorMapping, Raises, checked_raises
from batchq.language.matchers import MISSING_ROWS, UNEXPECTED_ROWS, Matcher, unmet
from batchq.language.outputs import Output, checked_type
from batchq.language.results import NO_RESULT, Rows
from batchq.language.shape import Shape
from batchq.language.syntax import Conditions, Insert, Text, compared
from batchq.language.templates import ErrorTemplate
from batchq.language.validation import checked_label, is_text, listed
from batchq.language.value import value

T_co = TypeVar("T_co", covariant=True)
M = TypeVar("M")
N = TypeVar("N", bound=NamedTuple)

Strength = Literal["update", "no key update", "share", "key share"]
"""PostgreSQL documentation, "Row-Level Locks", strongest first."""

_LONGEST_TITLE = 40
_STRINGS = frozenset("'$")
"""What a string begins with."""


@value
class Statement(Batch[T_co]):
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
        return self._shaped(shapes.with_returning(self._shape, columns))

    # -- what failures mean ------------------------------------------------------------------------

    def on(self, matcher: Matcher, meaning: Raises) -> Statement[T_co]:
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
        raises = (*self._raises, checked_raises(matcher, meaning))
        shape = shapes.with_mapping(self._shape, matcher)
        return Statement(shape, self._values, raises, self._labels, self._identity)

    def invariant(self, *constraints: str) -> Statement[T_co]:
        """Declare constraints whose violation would be *our* bug: ``InvariantViolation``."""
        return self._shaped(shapes.with_invariants(self._shape, constraints))

    def expect(
        self,
        rows: int | None = None,
        /,
        *,
        at_least: int | None = None,
        at_most: int | None = None,
        missing: Raises | None = None,
        unexpected: Raises | None = None,
        columns: Iterable[str] = (),
    ) -> Statement[T_co]:
        """Guard the number of rows: the server aborts the transaction before COMMIT.

        :param rows: exactly this number of rows.
        :param at_least: this number of rows or more; instead of ``rows``.
        :param at_most: this number of rows or fewer; instead of ``rows``.
        :param missing: what to raise for too few rows, as in :meth:`on`.
        :param unexpected: what to raise for too many rows. With ``expect(0)`` on a ``select()`` or
            on a ``sql()`` that selects, the error carries the first of them, and
            :func:`~batchq.format_error` writes its text.
        :param columns: with ``expect(0)`` on a ``sql()``, the columns that the error carries
            besides those that ``format_error()`` names. A ``select()`` carries all it selects by
            name.
        :raises InvalidBatch: for a number that always holds or never can.

        Without a mapping for it, the wrong number of rows raises :class:`~batchq.GuardFailed`.

        A select without a result shape is a guard alone. It is a step of its own, and under READ
        COMMITTED it sees what was committed until it runs. ``expect(0)``, and ``at_least=`` on a
        ``select()`` of plain columns, stop at the row that decides.

        >>> from batchq import format_error, select, update
        >>> update("project", {"name": "web"}, where={"id": 7}).expect(1, missing=LookupError("7"))
        <Statement update project: exactly 1 row>
        >>> vpcs = select("vpc", ["name"], where={"project_id": 7})
        >>> vpcs.expect(0, unexpected=format_error(ValueError, "project contains a vpc: {name}"))
        <Statement select vpc: exactly 0 rows>
        """
        bound, number = _row_count(rows, at_least, at_most)
        if missing is not None and (bound is Bound.AT_MOST or number == 0):
            message = "expect(missing=…): no number of rows is too few here; say unexpected="
            raise InvalidBatch(message)
        if unexpected is not None and bound is Bound.AT_LEAST:
            message = "expect(at_least=…, unexpected=…): no number of rows is too many here"
            raise InvalidBatch(message)
        carried = columns_of(columns)
        if isinstance(unexpected, ErrorTemplate):
            carried = (*carried, *unexpected.columns)
        if carried and (bound is not Bound.EXACTLY or number != 0):
            message = "expect(columns=…): only expect(0) finds a row to carry columns of"
            raise InvalidBatch(message)
        counted = shapes.with_row_count(self._shape, bound.value, number, carried)
        guarded: Statement[T_co] = self._shaped(counted)
        if missing is not None:
            guarded = guarded.on(MISSING_ROWS, missing)
        return guarded if unexpected is None else guarded.on(UNEXPECTED_ROWS, unexpected)

    def require(
        self, condition: Where, /, *, raises: Raises | None = None, columns: Iterable[str] = ()
    ) -> Statement[T_co]:
        """Require a condition of each row that ``where`` finds, before the statement changes it.

        A row that does not exist, a row that is soft-deleted and a row of another generation are
        three different answers to a caller. ``where`` says which row is meant; each ``require``
        says what must hold of it. They are checked in order. The first that does not hold decides
        the error, and :attr:`Violation.row` carries the values of the row.

        On an update or delete without a result shape it implies ``.expect(1)``: write
        ``.expect(1, missing=…)``, or ``.expect(at_most=1)`` if the row may be absent.

        :param condition: as ``where`` of :func:`~batchq.update`.
        :param raises: what to raise for a row that does not meet it, as in :meth:`on`; default:
            :class:`~batchq.GuardFailed`, an internal error.
        :param columns: columns whose values the error carries, besides those of the conditions.
        :raises InvalidBatch: on an insert or a ``sql()`` text; use :meth:`ensure` there.

        >>> from batchq import update
        >>> (
        ...     update("project", {"name": "web"}, where={"id": 7})
        ...     .expect(1, missing=LookupError("no such project"))
        ...     .require({"deleted_at": None}, raises=LookupError("deleted"))
        ...     .require({"version": 3}, raises=lambda v: ValueError(f"now {v.row['version']}"))
        ... )
        <Statement update project: exactly 1 row, require("deleted_at"), require("version")>
        """
        return self._check_before("require", condition, raises, columns)

    def refuse(
        self, condition: Where, /, *, raises: Raises | None = None, columns: Iterable[str] = ()
    ) -> Statement[T_co]:
        """Refuse each row that ``where`` finds and for which a condition holds.

        The negative of :meth:`require`, with the same arguments and in the same order as those. A
        row for which the condition is false or NULL passes.

        >>> from batchq import update
        >>> attach = update("disk", {"state": "attached", "instance_id": 3}, where={"id": 7})
        >>> mine = {"state": "attached", "instance_id": 3}
        >>> attach.refuse(mine, raises=ValueError("attached to this instance already"))
        <Statement update disk: exactly 1 row, refuse("state", "instance_id")>
        """
        return self._check_before("refuse", condition, raises, columns)

    def _check_before(
        self, call: str, condition: Where, raises: Raises | None, columns: Iterable[str]
    ) -> Statement[T_co]:
        if isinstance(self._shape.source, Text | Insert):
            message = (
                f"{call}(): where= finds no row of an insert or a sql() text; of the rows that "
                'they return say .ensure({"column": …})'
            )
            raise InvalidBatch(message)
        test, values = read_conditions(condition)
        return self._with_condition(
            When.BEFORE, test, values, raises, columns, refuses=call == "refuse"
        )

    def ensure(
        self,
        expected: Mapping[str, object],
        /,
        *,
        raises: Raises | None = None,
        columns: Iterable[str] = (),
    ) -> Statement[T_co]:
        """Check each row that the statement returns, as it is afterwards.

        :param expected: columns that are returned, each with its value as in ``where`` of
            :func:`~batchq.update`. A built write returns them for this alone.
        :param raises: what to raise for a row that differs, as in :meth:`require`.
        :param columns: columns whose values the error carries, besides these.

        >>> from batchq import insert
        >>> insert("disk", {"id": 7}).ensure({"state": "creating"}, raises=ValueError("raced"))
        <Statement insert disk: ensure("state")>
        """
        given = cast("object", expected)
        if not isinstance(given, Mapping):
            message = (
                'ensure(): name the columns that are returned, {"state": "ready"}, not '
                f"{type(given).__name__}"
            )
            raise InvalidBatch(message)
        test, values = read_conditions(expected)
        return self._with_condition(When.AFTER, test, values, raises, columns)

    def for_update(
        self,
        *,
        strength: Strength = "update",
        nowait: bool = False,
        skip_locked: bool = False,
        order: Iterable[str] = (),
    ) -> Statement[T_co]:
        """Lock the rows that a select finds until COMMIT.

        Under READ COMMITTED every statement sees what was committed before it began. The steps
        after this one begin once the lock is held, so what they see is no older than the lock.
        Conditions on the row itself are said by :meth:`require`, and ``.one(Model)`` reads it. A
        row that does not meet them fails at once, without waiting for a transaction that is about
        to change it.

        Under REPEATABLE READ the later steps would see what was committed when the transaction
        began, before the lock was held. It is rejected with :class:`~batchq.InvalidBatch` before
        anything is sent if ``isolation=`` or the connection says so, and by the server with
        :class:`~batchq.GuardFailed` if it is the default of the session or of an outer transaction.
        Under SERIALIZABLE the server finds the conflict with every other SERIALIZABLE transaction
        and with every change of the row; not with a transaction that only locks it at another
        level.

        :param strength: ``"update"`` also keeps out inserts that reference the row by a foreign
            key; ``"no key update"`` is what an update of other columns takes; ``"share"``, ``"key
            share"`` (PostgreSQL documentation, "Row-Level Locks"). CockroachDB has two of the four,
            and takes the stronger one for the others.
        :param nowait: fail with SQLSTATE 55P03 instead of waiting for a lock.
        :param skip_locked: leave out rows that are locked.
        :param order: columns by which the rows are locked in order, so that two batches that lock
            the same rows do not deadlock.
        :raises InvalidBatch: on anything but a ``select()``.

        >>> from batchq import select
        >>> project = select("project", where={"id": 7})
        >>> project.for_update().expect(1, missing=LookupError("no such project"))
        <Statement lock project: exactly 1 row>
        """
        return self._locked(strength, nowait=nowait, skip_locked=skip_locked, order=order)

    def _locked(
        self,
        strength: Strength,
        *,
        nowait: bool = False,
        skip_locked: bool = False,
        order: Iterable[str] = (),
        fresh: bool = True,
    ) -> Statement[T_co]:
        """Lock rows as :meth:`for_update`.

        :param fresh: False for patterns in which every other transaction *changes* that row. Above
            READ COMMITTED the second of them is a conflict, and an old snapshot decides nothing.
        """
        if strength not in get_args(Strength):
            message = (
                f"for_update(strength=): one of {', '.join(get_args(Strength))}, not "
                f"{strength!r:.40}"
            )
            raise InvalidBatch(message)
        if nowait and skip_locked:
            message = (
                "for_update(): nowait= fails at a locked row, skip_locked= leaves it out: drop one"
            )
            raise InvalidBatch(message)
        by = listed("for_update(order=)", order, '["id"]')
        if not all(map(is_text, by)):
            message = 'for_update(order=): name columns, ["id"]'
            raise InvalidBatch(message)
        wait = " NOWAIT" if nowait else " SKIP LOCKED" if skip_locked else ""
        return self._shaped(shapes.with_lock(self._shape, strength.upper() + wait, by, fresh))

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
        return self._shaped(shapes.with_conflict(self._shape, conflict(columns, where)))

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

    def _as_expression(self, *, column: bool = False) -> tuple[Text, tuple[object, ...]]:
        source = self._shape.source
        if not isinstance(source, Text):
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
        if isinstance(self._shape.source, Text):
            first = "…".join(self._shape.source.pieces).split()[:3]
            words = " ".join(takewhile(_STRINGS.isdisjoint, first)) or self._shape.source.verb
            return words if len(words) <= _LONGEST_TITLE else words[: _LONGEST_TITLE - 1] + "…"
        return f"{self._shape.source.verb} {self._shape.source.table}"

    def _with_result(self, rows: str, model: object) -> Statement[Any]:
        try:
            return self._shaped(shapes.with_result(self._shape, rows, model))
        except TypeError as error:
            message = f"{rows}() takes a class or function, which is hashable: {error}"
            raise InvalidBatch(message) from error

    def _with_condition(
        self,
        when: When,
        test: Conditions,
        values: tuple[object, ...],
        raises: Raises | None,
        columns: Iterable[str],
        *,
        refuses: bool = False,
    ) -> Statement[T_co]:
        """Add a requirement: :meth:`require`, :meth:`refuse` and :meth:`ensure` come down to it."""
        named = raises.columns if isinstance(raises, ErrorTemplate) else ()
        carried = tuple(dict.fromkeys((*compared(test), *columns_of(columns), *named)))
        requirement = Requirement(when, test, carried, refuses)
        shape = shapes.with_condition(self._shape, requirement)
        guarded = Statement[T_co](
            shape, self._values + values, self._raises, self._labels, self._identity
        )
        if raises is None:
            return guarded
        return guarded.on(unmet(len(self._shape.conditions), requirement), raises)

    def _shaped(self, shape: Shape) -> Statement[Any]:
        return Statement(shape, self._values, self._raises, self._labels, self._identity)


def _row_count(rows: int | None, at_least: int | None, at_most: int | None) -> tuple[Bound, int]:
    """Read the arguments of :meth:`Statement.expect`.

    :raises InvalidBatch: for none or several of them.
    """
    if (rows is not None) + (at_least is not None) + (at_most is not None) != 1:
        message = "expect() takes either a number of rows, or at_least=, or at_most="
        raise InvalidBatch(message)
    if at_least is not None:
        return Bound.AT_LEAST, at_least
    return (Bound.EXACTLY, cast("int", rows)) if at_most is None else (Bound.AT_MOST, at_most)


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


def columns_of(columns: Iterable[str]) -> tuple[str, ...]:
    """Read ``columns=``.

    :raises InvalidBatch: for what is not a list.
    """
    return listed("columns=", columns, '["id", "name"]')
