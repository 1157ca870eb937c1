# SPDX-License-Identifier: MIT
"""Define the batch: statements composed in order, with one combined result.

A batch is a value; the engine runs it. Composition is applicative, not monadic: no function of a
result may choose the next statement. So every statement is known before the first byte is sent, and
one round trip is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from batchq.language.errors import InvalidBatch
from batchq.language.mapping import ErrorMapping, Raises, mapping_of
from batchq.language.signatures import why_not_one
from batchq.language.syntax import Expression
from batchq.language.type_variables import R_contra, T_co
from batchq.language.validation import checked_call, checked_label, is_text
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.matchers import Matcher
    from batchq.language.outputs import Output
    from batchq.language.syntax import RawSql

U = TypeVar("U")
M = TypeVar("M")


class Batch(Expression, Generic[T_co, R_contra]):
    """An ordered composition of statements with one combined result of type ``T_co``.

    Immutable: a batch may be run twice, be part of two batches, and be shared between threads.
    """

    __slots__ = ()

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
        checked_call("map()", function, why_not_one(function))
        return Mapped((self,), function, self._required_outputs)

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
        runs it by itself.

        :param context: what the batch does, for the error's text: ``"creating the default VPC"``.
        :raises InvalidBatch: if it is not a non-empty str.
        """
        if not is_text(context):
            raise InvalidBatch(
                'as_invariant(): context must be a non-empty str, as "creating the default VPC"'
            )
        return AsInvariant(self, context)

    def _as_expression(
        self, call: str, *, column: bool = False
    ) -> tuple[RawSql, tuple[object, ...]]:
        """Reject the batch, which is more than one expression."""
        del column
        raise InvalidBatch(f"{call}: {NO_EXPRESSION}")

    def __repr__(self) -> str:
        """Show the number of statements, and no values."""
        count = sum(1 for _ in leaves(self))
        return f"<{type(self).__name__} of {count} {'statement' if count == 1 else 'statements'}>"


NO_EXPRESSION = (
    "a statement or batch cannot be used as a value; use a sql() fragment of one expression, or an "
    ".output() of the statement"
)
"""The error if a batch is used as a value in a row or a condition."""


# -- batches of other batches ----------------------------------------------------------------------


class Composite(Batch[T_co, R_contra]):
    """A batch made of other batches, whose results it combines."""

    __slots__ = ()

    parts: tuple[Batch[Any, Any], ...]
    """The batches that it is made of, in order."""
    unmet_outputs: tuple[Output, ...]
    """The outputs that it requires; computed once, when it is composed."""

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """Return the outputs computed at composition."""
        return self.unmet_outputs

    def combine(self, results: Sequence[Any]) -> T_co:
        """Combine the results of the parts into one."""
        raise NotImplementedError


class Wrapped(Batch[T_co, R_contra]):
    """A batch around another, with the same result, that adds a label or mappings."""

    __slots__ = ()

    inner: Batch[T_co, R_contra]
    long_names: tuple[Matcher, ...] = ()
    """The matchers added here whose name may be longer than the server allows."""

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """Return what the inner batch requires, without recursion: wrapping has no depth limit."""
        inner: Batch[Any, Any] = self.inner
        while isinstance(inner, Wrapped):
            inner = inner.inner
        return inner._required_outputs


@value
class Gathered(Composite[tuple[Any, ...]]):
    """The batch that :func:`gather` returns."""

    parts: tuple[Batch[Any, Any], ...]
    unmet_outputs: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> tuple[Any, ...]:
        """Return the results in order."""
        return tuple(results)


@value
class Sequenced(Composite[list[Any]]):
    """The batch that :func:`sequence` returns."""

    parts: tuple[Batch[Any, Any], ...]
    unmet_outputs: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> list[Any]:
        """Return the results in order."""
        return list(results)


@value
class Into(Composite[M]):
    """The batch that :func:`into` returns; the named parts are the last ones."""

    parts: tuple[Batch[Any, Any], ...]
    model: Callable[..., M]
    names: tuple[str, ...]
    unmet_outputs: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> M:
        """Pass the named results to the model; drop the others."""
        named = results[len(results) - len(self.names) :]
        return self.model(**dict(zip(self.names, named, strict=True)))


@value
class Mapped(Composite[U, R_contra]):
    """The batch that :meth:`Batch.map` returns."""

    parts: tuple[Batch[Any, Any], ...]
    function: Callable[[Any], U]
    unmet_outputs: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> U:
        """Apply the function to the result."""
        return self.function(results[0])


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


def leaves(batch: Batch[Any, Any]) -> Iterator[Batch[Any, Any]]:
    """Yield the batches inside that hold no other, in order and without recursion: nesting has no
    depth limit."""
    todo = [batch]
    while todo:
        node = todo.pop()
        if isinstance(node, Composite):
            todo.extend(reversed(node.parts))
        elif isinstance(node, Wrapped):
            todo.append(node.inner)
        else:
            yield node
