# SPDX-License-Identifier: MIT
"""Hold what a statement is made of; its methods are in :mod:`batchq.language.statement`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from batchq.language import shape_changes
from batchq.language.errors import InvalidBatch
from batchq.language.fragments import fragment_of, refuse_label, title_of
from batchq.language.mapping import Raises, checked_raises
from batchq.language.matchers import Matcher
from batchq.language.old import Old
from batchq.language.outputs import Output, checked_type
from batchq.language.partial import Replacements, replaced_values
from batchq.language.results import NO_RESULT
from batchq.language.row_guards import RowGuards
from batchq.language.shape import Shape, check_single_row
from batchq.language.syntax import CREATED, RawSql
from batchq.language.takes import still_taken
from batchq.language.type_variables import R_contra, T_co
from batchq.language.update_checks import check_old
from batchq.language.validation import checked_label, is_text
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.mapping import ErrorMapping
    from batchq.language.takes import HasValues, Values

_NAMED_IN_SQL = 'to name a column, write sql("… AS name")'
_OF_THE_WHOLE = "label the statement that contains it"


@value
class StatementBase(RowGuards[T_co, R_contra]):
    """One SQL command: its shape, its values, and what its failures raise."""

    _shape: Shape
    _values: tuple[object, ...]
    """The values of the parameters, in the order of the source."""
    _raises: tuple[Raises, ...] = ()
    """What the mappings raise, in the order in which the shape declares them."""
    _labels: tuple[str, ...] = ()
    _first: StatementBase[Any, Any] | None = None
    """The statement as first built; None if it is this one."""

    @property
    def _statements(self) -> Sequence[HasValues]:
        return (self,)

    def _replaced(self, replace: Replacements, /) -> Self:
        return self._filled(replaced_values(self._values, replace))

    def _filled(self, values: Values) -> Self:
        """Return the same statement with other values."""
        return type(self)(self._shape, values, self._raises, self._labels, self._first or self)

    @property
    def _identity(self) -> StatementBase[Any, Any]:
        """The statement as first built, before labels and mappings."""
        return self._first or self

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """Return the outputs of other statements among the values."""
        if not self._shape.takes_outputs:
            return ()
        return tuple(value for value in self._values if isinstance(value, Output))

    @property
    def _mappings(self) -> tuple[ErrorMapping, ...]:
        """The mappings, in the order of declaration: the last that matches wins."""
        return tuple(self._shape.mappings(self._raises))

    def _as_expression(
        self, call: str, *, column: bool = False
    ) -> tuple[RawSql, tuple[object, ...]]:
        shape = self._shape
        source = shape.source
        if not isinstance(source, RawSql):
            return super()._as_expression(call)
        if self._labels:
            refuse_label(call, self._labels, _NAMED_IN_SQL if column else _OF_THE_WHOLE)
        if column or not shape.is_value:
            source = fragment_of(shape, source, call, column=column)
        return source, self._values

    def __repr__(self) -> str:
        """Return the title, the result, the guards and what it takes, without values."""
        words = [] if self._shape.result is NO_RESULT else [str(self._shape.result)]
        if self._shape.guard is not None:
            words.append(str(self._shape.guard))
        words.extend(map(str, self._shape.conditions))
        promises = f": {', '.join(words)}" if words else ""
        return f"<Statement {self.title}{promises}{still_taken((self,))}>"

    @property
    def title(self) -> str:
        """A few words for messages; see :func:`~batchq.language.fragments.title_of`."""
        return title_of(self._shape.source)

    def on(self, matcher: Matcher, raises: Raises) -> Self:
        """Map a failure of this statement to an exception.

        If several mappings match, the last one declared wins. A mapping of a batch around the
        statement (``batch.on``) wins over those of the statement.

        :param matcher: the failures to map: ``unique("name")``, ``check("name")``, …
        :param raises: an exception, of which each failure raises a copy; an exception class, which
            is called with the :class:`~batchq.Violation`; or a function of the Violation that
            returns an exception.
        :raises InvalidBatch: if ``raises`` cannot be raised later: it cannot be called with one
            argument, it cannot be copied, or it is ``StopIteration``, which a coroutine cannot
            raise.

        >>> from batchq import insert, unique
        >>> new = insert("project", {"name": "web"})
        >>> new.on(unique("project_name_key"), ValueError("taken"))
        <Statement insert project>
        >>> new.on(unique("project_name_key"), lambda v: ValueError(f"{v.values['name']} is taken"))
        <Statement insert project>
        """
        checked = (*self._raises, checked_raises(matcher, raises))
        shape = shape_changes.with_mapping(self._shape, matcher)
        return type(self)(shape, self._values, checked, self._labels, self._first or self)

    def invariant(self, *constraints: str) -> Self:
        """Raise :class:`~batchq.InvariantViolation` if one of these constraints is violated.

        For constraints that only a bug of the application can violate.

        :raises InvalidBatch: without a name, or for one that is not a non-empty str.
        """
        try:
            shape = shape_changes.with_invariants(self._shape, constraints)
        except TypeError:  # one is not hashable, so not a str
            raise InvalidBatch('invariant(): pass each name as a str: "a_key", "b_key"') from None
        return type(self)(shape, self._values, self._raises, self._labels, self._first or self)

    def returning(self, *columns: str | Old) -> Self:
        """Return these columns from a built insert, update or delete.

        Needed only for results that do not name columns: ``scalar``, ``tuple``, ``dict``; and for
        columns of the row before an update, see :func:`~batchq.old`.

        :raises InvalidBatch: without columns, or on a ``sql()`` or ``select()``.

        >>> from uuid import UUID
        >>> from batchq import insert
        >>> insert("project", {"name": "web"}).returning("id").scalar(UUID)
        <Statement insert project: scalar(UUID)>
        """
        return self._shaped(shape_changes.with_returning(self._shape, columns))

    def label(self, name: str) -> Self:
        """Return the statement with a label, as in :meth:`Batch.label`."""
        labels = (checked_label(name), *self._labels)
        return type(self)(self._shape, self._values, self._raises, labels, self._first or self)

    def output(self, column: str | Old, type: str | None = None, /) -> Output:
        """Return a reference to a column of this statement, for a later statement of the batch.

        Use it wherever a value is accepted: in the row or the conditions of a builder, and in
        ``sql()``. The server substitutes the value, in the same round trip. It also checks that the
        statement returns exactly one row.

        :param column: a column of the result; a built insert, update or delete returns it. Of an
            update also one of the row before it, :func:`~batchq.old`.
        :param type: its SQL type: required in ``sql()``; in a builder the default is the type of
            the column that it is assigned to or compared with.
        :raises InvalidBatch: if the statement may return another number of rows.

        >>> from batchq import gather, insert
        >>> project = insert("project", {"name": "web"})
        >>> vpc = insert("vpc", {"project_id": project.output("id"), "name": "default"})
        >>> gather(project, vpc)
        <Gathered of 2 statements>
        """
        if not is_text(column) and not isinstance(column, Old):
            raise InvalidBatch("output(): the name of the column must be a non-empty str")
        check_single_row(self._shape, self.title)
        check_old(self._shape, column)
        if column == CREATED:
            shape_changes.check_created(self._shape, column)
            type = type or "boolean"  # noqa: A001  the name of the parameter
        return Output(self._identity, self.title, column, checked_type(type))

    def _shaped(
        self, shape: Shape, values: tuple[object, ...] = (), raises: tuple[Raises, ...] = ()
    ) -> Self:
        """Return the statement with another shape, and what the shape has added.

        :param values: of parameters.
        :param raises: what its mappings raise.
        """
        own, raised = self._values + values, self._raises + raises
        return type(self)(shape, own, raised, self._labels, self._first or self)
