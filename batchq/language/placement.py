# SPDX-License-Identifier: MIT
"""Schedule statements of a batch to run only once, before all others, or after them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve

from batchq.language.batch import Batch
from batchq.language.errors import InvalidBatch
from batchq.language.parameters import Fields, Parameter, parameter_in
from batchq.language.special import Unwritable
from batchq.language.spelling import with_article
from batchq.language.type_variables import R_contra, T_co
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.outputs import Output
    from batchq.language.partial import Replacements
    from batchq.language.statement_base import StatementBase

Key = tuple[Hashable, ...]
"""A key of a scheduled statement. A parameter in it stands for its value."""

_USERS = "run_once"
"""The first part of each key that users choose, so that it equals none of batchq's own."""


class Schedulable(Batch[T_co, R_contra]):
    """A batch of one statement, which need not run at its place."""

    __slots__ = ()

    @property
    def _scheduled(self) -> Scheduled[T_co, R_contra]:
        return Scheduled(cast("StatementBase[T_co, R_contra]", self))

    def run_once(self, key: Hashable, /) -> Scheduled[T_co, R_contra]:
        """Run the statement once in a batch, however often the batch has it with this key.

        A part that needs it can say so by itself: five parts that lock one row are composed to one
        lock, at the place of the first that runs. Each of them has its result. What the failures
        of that one raise counts, so the others' mappings do not.

        :param key: what it is known by. A tuple may have parameters of the statement in it.
        :raises InvalidBatch: for a key that is not hashable, or has a parameter that the statement
            does not use; when the batch is run, if statements with one key are not the same SQL
            with the same result and values.

        >>> from batchq import gather, select, steps
        >>> lock = select("org", ["name"], where={"id": 7}).for_update().one(tuple)
        >>> len(steps(gather(lock.run_once(("org", 7)), lock.run_once(("org", 7)))))
        1
        """
        parts = cast("Key", key) if isinstance(key, tuple) else (key,)
        try:
            hash(parts)
        except TypeError as error:
            message = "run_once(): the key is not hashable; pass a text, or a tuple of values"
            raise InvalidBatch(message) from error
        for part in parts:
            self._check_part(part)
        return evolve(cast("Any", self._scheduled), dedupe_key=(_USERS, *parts), must_be_equal=True)

    def _check_part(self, part: object) -> None:
        """Reject a part of a key whose value would never be known."""
        if isinstance(part, Fields):
            raise InvalidBatch("run_once(): the key has row(…) in it; name one field of it")
        if isinstance(part, Unwritable):
            kind = with_article(type(part))
            raise InvalidBatch(f"run_once(): the key has {kind} in it; pass its .value")
        if not isinstance(part, Parameter) and parameter_in(part) is not None:
            raise InvalidBatch(
                "run_once(): a part of the key has a parameter in it; write one flat tuple"
            )
        values = self._scheduled.statement._values
        if isinstance(part, Parameter) and not any(part is value for value in values):
            raise InvalidBatch(
                f"run_once(): the key has the parameter {part.name!r}, which the statement does "
                f"not use; drop it from the key"
            )

    def run_first(self) -> Scheduled[T_co, R_contra]:
        """Run the statement before all others of the batch, whatever it is composed with.

        Its result, label and mappings stay at its place. Several run in the order of the batch.

        :raises InvalidBatch: if it runs last already.

        >>> from batchq import gather, sql, steps
        >>> limit = sql("SET LOCAL work_mem = '64MB'")
        >>> [step.sql for step in steps(gather(sql("SELECT 1"), limit.run_first()))]
        ["SET LOCAL work_mem = '64MB'", 'SELECT 1']
        """
        if self._scheduled.last_key is not None:
            raise InvalidBatch(f"run_first(): {_BOTH}")
        return evolve(cast("Any", self._scheduled), is_first=True)

    def run_last(self) -> Scheduled[T_co, R_contra]:
        """Run the statement after all others of the batch, whatever it is composed with.

        What every request writes, such as a counter, is locked for the shortest time if it is
        written last. Its result, label and mappings stay at its place. Several run in the order of
        the batch; only the counters of :mod:`batchq.limits` come after them.

        :raises InvalidBatch: if it runs first already.

        >>> from batchq import gather, sql, steps
        >>> count = sql("UPDATE total SET n = n + 1")
        >>> [step.sql for step in steps(gather(count.run_last(), sql("SELECT 1")))]
        ['SELECT 1', 'UPDATE total SET n = n + 1']
        """
        if self._scheduled.is_first:
            raise InvalidBatch(f"run_last(): {_BOTH}")
        return evolve(cast("Any", self._scheduled), last_key=())


_BOTH = "a statement runs first or last, not both; say one of them"


@value
class Scheduled(Schedulable[T_co, R_contra]):
    """A statement that runs once for a whole batch, before all other statements, or after them."""

    statement: StatementBase[T_co, R_contra]
    dedupe_key: Key | None = None
    """Of several statements with the same key, only the first runs, and each has its result."""
    resets: Key | None = None
    """After this statement, ``dedupe_key`` may run again."""
    last_key: Key | None = None
    """If set, it runs after all statements without it; these run in the order of this key."""
    is_first: bool = False
    """Whether it runs before all statements for which this is not set."""
    must_be_equal: bool = False
    """Whether statements with one ``dedupe_key`` have to be the same SQL with the same values."""

    @property
    def _scheduled(self) -> Scheduled[T_co, R_contra]:
        return self

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """Return what the statement requires."""
        statement = self.statement
        return statement._required_outputs if statement._shape.takes_outputs else ()

    @property
    def _statements(self) -> Sequence[StatementBase[T_co, R_contra]]:
        return (self.statement,)

    def _replaced(self, replace: Replacements, /) -> Scheduled[T_co]:
        return evolve(
            cast("Any", self),
            statement=cast("StatementBase[T_co]", self.statement._replaced(replace)),
            dedupe_key=_replaced(self.dedupe_key, replace),
            resets=_replaced(self.resets, replace),
            last_key=_replaced(self.last_key, replace),
        )


def _replaced(key: Key | None, replace: Replacements) -> Key | None:
    if key is None:
        return None
    return tuple([replace.get(v, v) if isinstance(v, Parameter) else v for v in key])
