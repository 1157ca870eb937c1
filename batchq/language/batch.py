# SPDX-License-Identifier: MIT
"""Define the batch: statements composed in order, with one combined result.

A batch is a value; the engine runs it. Composition is applicative, not monadic: no function of a
result may choose the next statement. So all are known at the start, and one round trip is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from attrs import evolve

from batchq.language.binding import NO_ROW, given
from batchq.language.combining import Combining
from batchq.language.errors import InvalidBatch
from batchq.language.mapping import ErrorMapping, Raises, mapping_of
from batchq.language.other_names import BatchNames
from batchq.language.partial import Replacements, replacements_of, taken_as
from batchq.language.signatures import why_not_one
from batchq.language.syntax import Expression
from batchq.language.takes import HasValues, Takes, Values, still_taken
from batchq.language.tree import declared, leaves, substituted
from batchq.language.type_variables import Named, R_contra, T_co
from batchq.language.validation import checked_call, checked_label
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.matchers import Matcher
    from batchq.language.outputs import Output

U = TypeVar("U")


class Batch(BatchNames, Expression, Generic[T_co, R_contra]):
    """An ordered composition of statements with one combined result of type ``T_co``.

    Immutable: a batch may be run twice, be part of two batches, and be shared between threads.
    """

    __slots__ = ("_declared",)
    _declared: tuple[Sequence[HasValues], Takes]  # see declared()

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """Return the outputs used in this batch of statements outside it; nearly always none."""
        raise NotImplementedError

    def map(self, function: Callable[[T_co], U], /) -> Batch[U, R_contra]:
        """Return a batch whose result is ``function(result)``, computed after COMMIT.

        If ``function`` raises, the run raises :class:`~batchq.DecodeFailed` with the outcome
        ``committed``: the rows are in the database by then.

        :param function: takes the result of this batch.
        :raises InvalidBatch: if ``function`` cannot be called with one argument.

        >>> from batchq import sql
        >>> sql("SELECT count(*) FROM project").scalar(int).map(bool)
        <Mapped of 1 statement>
        """
        reason = why_not_one(function)
        if reason is not None or not callable(function):
            checked_call("map()", function, reason)  # which raises
        return Mapped((self,), self._required_outputs, (function, True, 0))

    def label(self, name: str) -> Batch[T_co, R_contra]:
        """Return the batch with a name, which is shown in the paths of its steps.

        A label has no effect on what is run.

        :param name: one level of the path: ``"vpc"`` in ``project_create/vpc``.
        :raises InvalidBatch: if it is not a non-empty str.
        """
        return Labelled(self, checked_label(name))

    def on(self, matcher: Matcher, raises: Raises) -> Batch[T_co, R_contra]:
        """Map a failure of any statement in this batch to an exception.

        The outermost mapping that matches wins. So one duplicate key can mean "name taken" if a
        user names the row, and a bug if a larger batch creates it with a default name.

        :param matcher: the failures to map; as in :meth:`Statement.on`.
        :param raises: what to raise instead; as in :meth:`Statement.on`.
        :raises InvalidBatch: as in :meth:`Statement.on`.
        """
        mapping = mapping_of(matcher, raises)
        return Remapped(self, mapping, (mapping.matcher,) if mapping.matcher.is_long else ())

    def as_invariant(self, context: str) -> Batch[T_co, R_contra]:
        """Raise :class:`~batchq.InvariantViolation` for each failure that is mapped inside.

        For a batch whose failures are expected if a user asks for it, and a bug if the application
        runs it by itself. What is mapped nowhere keeps its class, as do conflicts and lost links.

        :param context: what the batch does, for the error's text: ``"creating the default VPC"``.
        :raises InvalidBatch: if it is not a non-empty str.
        """
        if not context or not isinstance(context, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidBatch(
                'as_invariant(): context must be a non-empty str, as "creating the default VPC"'
            )
        return AsInvariant(self, context)

    @overload
    def bind(self: Batch[T_co, Named], /, **values: object) -> Batch[T_co]: ...
    @overload
    def bind(self, row: R_contra, /, **values: object) -> Batch[T_co]: ...
    def bind(self, row: Any = NO_ROW, /, **values: object) -> Batch[T_co]:
        """Return the batch with values in the place of its parameters, ready to be run.

        :param row: a row of the class that the batch takes; its fields are read at once.
        :param values: the values of the other parameters, by name.
        :raises InvalidBatch: for a value that is missing, unknown, or of another type than
            :func:`~batchq.param` declares. In ``where=``, also for None, which ``=`` never matches.

        >>> from batchq import delete, gather, param
        >>> gather(delete("org", where={"id": param("org", int)})).bind(org=7)
        <Bound of 1 statement>
        """
        takes: Takes = (getattr(self, "_declared", None) or declared(self, "bind()"))[1]
        if row is NO_ROW and not values and takes.is_nothing:
            return cast("Batch[T_co]", self)
        return Bound(self, takes, given(takes, row, values))

    def partial(self, /, **values: object) -> Batch[T_co, Named]:
        """Return the batch with some of its parameters set; it is still to be bound.

        If a field of the row is set, no row is taken any more: a field with a default in its class
        takes a new one at each bind, and one without is a parameter of its name.

        :param values: for each name a constant, a :func:`~batchq.param` or a field of
            :func:`~batchq.row`.
        :raises InvalidBatch: for an unknown name, or a value that the parameter does not take.

        >>> from batchq import delete, gather, param
        >>> gather(delete("org", where={"id": param("org", int)})).partial(org=7).bind()
        <Gathered of 1 statement>
        """
        statements, takes = declared(self, "partial()")
        replaced = substituted(self, replacements_of(takes, statements, values))
        declared(replaced, "partial()")
        return cast("Batch[T_co, Named]", replaced)

    def takes(self, row: type[U], /) -> Batch[T_co, U]:
        """Return the batch with the fields of a class in the place of its parameters.

        Its :meth:`bind` takes one row, which type checkers know.

        :param row: an attrs class, a dataclass or a NamedTuple.
        :raises InvalidBatch: if it has no field for a parameter without a factory.

        >>> from typing import NamedTuple
        >>> from batchq import delete, param
        >>> class Leave(NamedTuple):
        ...     org: int
        >>> LEAVE = delete("member", where={"org_id": param("org", int)}).takes(Leave)
        >>> LEAVE.bind(Leave(org=7))
        <Statement delete member>
        """
        statements, takes = declared(self, "takes()")
        return cast("Batch[T_co, U]", substituted(self, taken_as(takes, statements, row)))

    @property
    def _inner(self) -> tuple[Batch[Any, Any], ...] | None:
        """The batches that it is made of; None for one that holds statements, and a bound one."""
        return None

    @property
    def _expanded(self) -> tuple[Batch[Any, Any], ...] | None:
        """As ``_inner``, but a bound one is made of the batch with its values."""
        return self._inner

    def _with_inner(self, inner: tuple[Batch[Any, Any], ...]) -> Batch[Any, Any]:
        raise NotImplementedError

    @property
    def _statements(self) -> Sequence[HasValues]:
        """The statements of a batch that holds no other, with their values."""
        raise NotImplementedError

    def _replaced(self, replace: Replacements, /) -> Batch[Any, Any]:
        raise NotImplementedError

    def __repr__(self) -> str:
        """Show the number of statements and what they take, and no values."""
        found = [each for leaf in leaves(self) for each in leaf._statements]
        count = f"{len(found)} statement" + ("" if len(found) == 1 else "s")
        return f"<{type(self).__name__} of {count}{still_taken(found)}>"


@value
class Composite(Batch[T_co, R_contra]):
    """A batch made of other batches, whose results it combines."""

    parts: tuple[Batch[Any, Any], ...]
    _required_outputs: tuple[Output, ...]  # pyright: ignore[reportIncompatibleMethodOverride]  faster
    combining: Combining
    """How its result is made of those of the parts."""

    @property
    def _inner(self) -> tuple[Batch[Any, Any], ...]:
        return self.parts

    def _with_inner(self, inner: tuple[Batch[Any, Any], ...]) -> Batch[Any, Any]:
        return evolve(cast("Any", self), parts=inner)


class Wrapped(Batch[T_co, R_contra]):
    """A batch around another, with the same result, that adds a label or mappings."""

    __slots__ = ()

    inner: Batch[T_co, R_contra]
    long_names: tuple[Matcher, ...] = ()
    """The matchers added here whose name may be longer than the server allows."""

    @property
    def _inner(self) -> tuple[Batch[Any, Any], ...]:
        return (self.inner,)

    def _with_inner(self, inner: tuple[Batch[Any, Any], ...]) -> Batch[Any, Any]:
        return evolve(cast("Any", self), inner=inner[0])

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """Return what the inner batch requires, without recursion: wrapping has no depth limit."""
        inner: Batch[Any, Any] = self.inner
        while isinstance(inner, Wrapped):
            inner = inner.inner
        return inner._required_outputs


@value
class Mapped(Composite[U, R_contra]):
    """The batch that :meth:`Batch.map` returns."""


@value
class Labelled(Wrapped[T_co, R_contra]):
    """The batch that :meth:`Batch.label` returns."""

    inner: Batch[T_co, R_contra]
    name: str


@value
class Remapped(Wrapped[T_co, R_contra]):
    """The batch that :meth:`Batch.on` returns."""

    inner: Batch[T_co, R_contra]
    mapping: ErrorMapping
    long_names: tuple[Matcher, ...]


@value
class AsInvariant(Wrapped[T_co, R_contra]):
    """The batch that :meth:`Batch.as_invariant` returns."""

    inner: Batch[T_co, R_contra]
    context: str


@value
class Bound(Batch[T_co]):
    """The batch that :meth:`Batch.bind` returns."""

    declaration: Batch[T_co, Any]
    taken: Takes
    given: Values

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        return self.declaration._required_outputs

    @property
    def _expanded(self) -> tuple[Batch[Any, Any], ...]:
        return (self.as_built(),)

    @property
    def _statements(self) -> Sequence[HasValues]:
        return ()  # those with values are in as_built()

    def _replaced(self, _: Replacements, /) -> Batch[Any, Any]:
        return self  # it has no parameters

    def as_built(self) -> Batch[T_co]:
        """Return the batch as if it had been built with these values."""
        return cast("Batch[T_co]", substituted(self.declaration, self.replacements))

    @property
    def replacements(self) -> Replacements:
        """The values by the parameters in whose place they are."""
        return {each: self.given[place] for each, place in self.taken.places.items()}
