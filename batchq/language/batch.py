# SPDX-License-Identifier: MIT
"""Batches: statements composed in order, with one result. Values, which nothing here runs.

Composition is applicative, not monadic: no function of a result may choose the next statement, so
every statement is known before the first byte is sent, and one round trip is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from batchq.language.errors import InvalidBatch
from batchq.language.mapping import ErrorMapping, Raises, mapping_of
from batchq.language.signatures import why_not_one
from batchq.language.syntax import Expression
from batchq.language.validation import checked_call, checked_label, is_text
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.matchers import Matcher
    from batchq.language.outputs import Output
    from batchq.language.syntax import RawSql

T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")
M = TypeVar("M")


class Batch(Expression, Generic[T_co]):
    """An ordered composition of statements with one combined result of type ``T_co``.

    Immutable: it may be run twice, be part of two batches, and be shared between threads.
    """

    __slots__ = ()

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """The outputs of statements outside that are used inside. None in nearly every batch."""
        raise NotImplementedError

    def map(self, function: Callable[[T_co], U], /) -> Batch[U]:
        """Turn the result into another, after COMMIT.

        An exception in ``function`` becomes :class:`~batchq.DecodeFailed` with outcome
        ``committed``: by then the rows are there.
        """
        checked_call("map()", function, why_not_one(function))
        return Mapped((self,), function, self._required_outputs)

    def label(self, name: str) -> Batch[T_co]:
        """Name this part in the paths of its steps: ``project_create/vpc``. For people only."""
        return Labelled(self, checked_label(name))

    def on(self, matcher: Matcher, raises: Raises) -> Batch[T_co]:
        """Say from outside what a failure of any statement inside means.

        The outermost mapping that matches wins: the same clash is one thing where a user names a
        VPC and another where the default one is created. See :meth:`Statement.on` for the
        arguments.
        """
        mapping = mapping_of(matcher, raises)
        return Remapped(self, mapping, (mapping.matcher,) if mapping.matcher.is_long else ())

    def as_invariant(self, context: str) -> Batch[T_co]:
        """Declare that every failure mapped inside is *our* bug here: ``InvariantViolation``.

        :param context: what is being done, for the error's text: ``"creating the default VPC"``.
        :raises InvalidBatch: when it is no text.
        """
        if not is_text(context):
            message = 'as_invariant() says what is being done: "creating the default VPC"'
            raise InvalidBatch(message)
        return AsInvariant(self, context)

    def _as_expression(self, *, column: bool = False) -> tuple[RawSql, tuple[object, ...]]:
        """Reject the batch: it is more than one expression."""
        del column
        raise InvalidBatch(NO_EXPRESSION)

    def __repr__(self) -> str:
        """Show how many statements it holds, without a value and however deep it is."""
        count = _size(self)
        return f"<{type(self).__name__} of {count} {'statement' if count == 1 else 'statements'}>"


NO_EXPRESSION = (
    "only a sql() fragment fits where an expression does, not a whole statement or batch"
)
"""Why a batch cannot stand in the place of a value."""


# -- the forms of a batch besides the statement ----------------------------------------------------


class Composite(Batch[T_co]):
    """A batch made of others: it has parts, and combines their results."""

    __slots__ = ()

    parts: tuple[Batch[Any], ...]
    """The batches inside, in order."""
    unmet_outputs: tuple[Output, ...]
    """Found when it was composed: a batch is looked at once, however often it is nested."""

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """What was found."""
        return self.unmet_outputs

    def combine(self, results: Sequence[Any]) -> T_co:
        """Make one result of the parts' results."""
        raise NotImplementedError


class Wrapped(Batch[T_co]):
    """A batch around one other, with the same result, that says something about what is inside."""

    __slots__ = ()

    inner: Batch[T_co]
    long_names: tuple[Matcher, ...] = ()
    """What is mapped by a name that may be too long for the server."""

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """What is needed inside; not by recursion, for wrapping has no depth limit."""
        inner: Batch[Any] = self.inner
        while isinstance(inner, Wrapped):
            inner = inner.inner
        return inner._required_outputs


@value
class Gathered(Composite[tuple[Any, ...]]):
    """What :func:`gather` makes."""

    parts: tuple[Batch[Any], ...]
    unmet_outputs: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> tuple[Any, ...]:
        """Keep them in order."""
        return tuple(results)


@value
class Sequenced(Composite[list[Any]]):
    """What :func:`sequence` makes."""

    parts: tuple[Batch[Any], ...]
    unmet_outputs: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> list[Any]:
        """Keep them in order."""
        return list(results)


@value
class Into(Composite[M]):
    """What :func:`into` makes: the last parts are the named ones."""

    parts: tuple[Batch[Any], ...]
    model: Callable[..., M]
    names: tuple[str, ...]
    unmet_outputs: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> M:
        """Pass the named results to the model and drop the others."""
        named = results[len(results) - len(self.names) :]
        return self.model(**dict(zip(self.names, named, strict=True)))


@value
class Mapped(Composite[U]):
    """What :meth:`Batch.map` makes."""

    parts: tuple[Batch[Any], ...]
    function: Callable[[Any], U]
    unmet_outputs: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> U:
        """Call the function."""
        return self.function(results[0])


@value
class Labelled(Wrapped[T_co]):
    """What :meth:`Batch.label` makes."""

    inner: Batch[T_co]
    name: str


@value
class Remapped(Wrapped[T_co]):
    """What :meth:`Batch.on` makes."""

    inner: Batch[T_co]
    mapping: ErrorMapping
    long_names: tuple[Matcher, ...]


@value
class AsInvariant(Wrapped[T_co]):
    """What :meth:`Batch.as_invariant` makes."""

    inner: Batch[T_co]
    context: str


def _size(batch: Batch[Any]) -> int:
    """Count the statements, without recursion: nesting has no depth limit."""
    count, todo = 0, [batch]
    while todo:
        node = todo.pop()
        if isinstance(node, Composite):
            todo.extend(node.parts)
        elif isinstance(node, Wrapped):
            todo.append(node.inner)
        else:
            count += 1
    return count
