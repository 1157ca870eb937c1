# SPDX-License-Identifier: MIT
"""Batches: statements composed in order, with one result. Values, which nothing here runs.

Composition is applicative, not monadic: no function of a result may choose the next statement, so
every statement is known before the first byte is sent, and one round trip is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from batchq.language.errors import InvalidBatch
from batchq.language.mapping import Meaning, Rule, rule
from batchq.language.signatures import why_not_one
from batchq.language.validation import checked_call, checked_label, is_text
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.matchers import Matcher
    from batchq.language.outputs import Output
    from batchq.language.statement import Statement
    from batchq.language.step import Step

T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")
M = TypeVar("M")


class Batch(Generic[T_co]):
    """An ordered composition of statements with one combined result of type ``T_co``.

    Immutable: it may be run twice, be part of two batches, and be shared between threads.
    """

    __slots__ = ()

    @property
    def needs(self) -> tuple[Output, ...]:
        """The outputs of statements outside that are used inside. None in nearly every batch."""
        raise NotImplementedError

    def map(self, function: Callable[[T_co], U], /) -> Batch[U]:
        """Turn the result into another, after COMMIT.

        An exception in ``function`` becomes :class:`~batchq.DecodeFailed` with outcome
        ``committed``: by then the rows are there.
        """
        checked_call("map()", function, why_not_one(function))
        return Mapped((self,), function, self.needs)

    def label(self, name: str) -> Batch[T_co]:
        """Name this part in the paths of its steps: ``project_create/vpc``. For people only."""
        return Labelled(self, checked_label(name))

    def on(self, matcher: Matcher, meaning: Meaning) -> Batch[T_co]:
        """Say from outside what a failure of any statement inside means.

        The outermost mapping that matches wins: the same clash is one thing where a user names a
        VPC and another where the default one is created. See :meth:`Statement.on` for the
        arguments.
        """
        made = rule(matcher, meaning)
        return Remapped(self, made, (made.matcher,) if made.matcher.is_long else ())

    def as_internal(self, context: str) -> Batch[T_co]:
        """Declare that every failure mapped inside is *our* bug here: ``InvariantViolation``.

        :param context: what is being done, for the error's text: ``"creating the default VPC"``.
        :raises InvalidBatch: when it is no text.
        """
        if not is_text(context):
            message = 'as_internal() says what is being done: "creating the default VPC"'
            raise InvalidBatch(message)
        return AsInternal(self, context)

    def steps(self) -> tuple[Step, ...]:
        """Look at what would be sent, without a database: each statement at its place."""
        from batchq.language.step import steps  # noqa: PLC0415  a Step refers to Batch's subclass

        return steps(self)

    def explain(self, *, parameters: bool = False) -> str:
        """Show the steps, their SQL, guards and mappings as text for people.

        :param parameters: show the values as well; they may be secrets.
        """
        from batchq.language.step import explain  # noqa: PLC0415  as in steps()

        return explain(self.steps(), parameters=parameters)

    def __repr__(self) -> str:
        """Say how much it holds, without a value and however deep it is."""
        from batchq.language.plan import plan  # noqa: PLC0415  as in steps()

        count = len(plan(self).statements)
        return f"<{type(self).__name__} of {count} {'statement' if count == 1 else 'statements'}>"


# -- the forms of a batch besides the statement ----------------------------------------------------


class Composite(Batch[T_co]):
    """A batch made of others: it has parts, and combines their results."""

    __slots__ = ()

    parts: tuple[Batch[Any], ...]
    """The batches inside, in order."""
    still_needed: tuple[Output, ...]
    """Found when it was composed: a batch is looked at once, however often it is nested."""

    @property
    def needs(self) -> tuple[Output, ...]:
        """What was found."""
        return self.still_needed

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
    def needs(self) -> tuple[Output, ...]:
        """What is needed inside; not by recursion, for wrapping has no depth limit."""
        inner: Batch[Any] = self.inner
        while isinstance(inner, Wrapped):
            inner = inner.inner
        return inner.needs


@value
class Gathered(Composite[tuple[Any, ...]]):
    """What :func:`gather` makes."""

    parts: tuple[Batch[Any], ...]
    still_needed: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> tuple[Any, ...]:
        """Keep them in order."""
        return tuple(results)


@value
class Sequenced(Composite[list[Any]]):
    """What :func:`sequence` makes."""

    parts: tuple[Batch[Any], ...]
    still_needed: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> list[Any]:
        """Keep them in order."""
        return list(results)


@value
class Into(Composite[M]):
    """What :func:`into` makes: the last parts are the named ones."""

    parts: tuple[Batch[Any], ...]
    model: Callable[..., M]
    names: tuple[str, ...]
    still_needed: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> M:
        """Pass the named results to the model and drop the others."""
        named = results[len(results) - len(self.names) :]
        return self.model(**dict(zip(self.names, named, strict=True)))


@value
class Mapped(Composite[U]):
    """What :meth:`Batch.map` makes."""

    parts: tuple[Batch[Any], ...]
    function: Callable[[Any], U]
    still_needed: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> U:
        """Call the function."""
        return self.function(results[0])


@value
class Preceded(Composite[M]):
    """A batch behind others whose results nobody wants."""

    parts: tuple[Batch[Any], ...]
    still_needed: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> M:
        """Keep the last."""
        result: M = results[-1]
        return result


@value
class Labelled(Wrapped[T_co]):
    """What :meth:`Batch.label` makes."""

    inner: Batch[T_co]
    name: str


@value
class Remapped(Wrapped[T_co]):
    """What :meth:`Batch.on` makes."""

    inner: Batch[T_co]
    rule: Rule
    long_names: tuple[Matcher, ...]


@value
class AsInternal(Wrapped[T_co]):
    """What :meth:`Batch.as_internal` makes."""

    inner: Batch[T_co]
    context: str


@value
class Placed(Batch[T_co]):
    """One statement that does not simply run where it stands."""

    statement: Statement[T_co]
    once: Hashable = None
    """What it does, when the whole batch needs that once: of several that say the same the first
    runs. Such a statement has no result."""
    ends: Hashable = None
    """What was needed once before it is needed anew behind it."""
    tail: tuple[str, ...] | None = None
    """Where it runs behind the last of the others: all that have one run there, in this order."""

    @property
    def needs(self) -> tuple[Output, ...]:
        """What the statement needs."""
        return self.statement.needs


FORMS = (Gathered, Sequenced, Into, Mapped, Preceded, Labelled, Remapped, AsInternal, Placed)
"""Every form of a batch but the statement."""
