# SPDX-License-Identifier: MIT
"""Record what one connection has prepared: bounded, correct after failures, without name clashes.

A statement is prepared after it has run as often as the connection's ``prepare_threshold``, within
the flight that runs it. Its name is derived from its content, which includes the types of all its
parameters. So a name that is already in use, as with a pooler, always means the same statement.

Whether a Parse took effect is known only from its slot. If a Parse was sent and did not succeed,
its name is never sent again on this connection: PgBouncer (1.21 and later) remembers names of Parse
messages that the server skipped, and disconnects a client that sends one again (08P01).

The types that the server infers in a Parse stay, even if the schema changes, and with a pooler
another client may have prepared the statement. So a statement is never prepared with types to
infer: a Describe asks for them first, and the Parse declares them. If a statement's values could be
misread, it runs unprepared: see :mod:`batchq.engine.outcome.stale`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

_MOST_LOSSES = 3
"""After so many losses of the prepared statements nothing is prepared any more. With a pooler that
does not track them each use may fail, and each failure costs a round trip."""

_WORTH_A_LOSS = 100
"""After so many successful batches in a row that used prepared statements, earlier losses no longer
count, as those by an occasional ``DISCARD ALL``."""

_MOST_LEARNT = 4096
"""The number of statements whose inferred types are kept."""

ValueChecks = tuple[tuple[int, Callable[[Any], object]], ...]
"""Parameters of a statement, each with a test of its values: those that keep their meaning when it
is prepared. NULL always does."""

_EARNED = 1 << 30
"""The uses of a statement that was prepared before: more than any threshold."""


@frozen
class Learnt:
    """The types that the server inferred for a statement whose values do not all have one."""

    key: bytes
    """The key of the statement to prepare: the same text, with every type declared."""
    types: tuple[int, ...]
    checks: ValueChecks
    """The tests that the values have to pass if it is prepared."""

    def fits(self, params: Sequence[Any]) -> bool:
        """Return whether these values keep their meaning when the statement is prepared."""
        for index, is_exact in self.checks:
            value = params[index]
            if value is not None and not is_exact(value):
                return False
        return True


class StatementCache:
    """The prepared statements of one connection. One flight at a time: plan, send, record."""

    def __init__(self) -> None:
        # The names of prepared statements, least recently used first; the uses of all others.
        self._names: OrderedDict[bytes, bytes] = OrderedDict()
        self._uses: OrderedDict[bytes, int] = OrderedDict()
        self._sent: dict[bytes, bytes] = {}  # in the flight being planned
        self._others: frozenset[bytes] = frozenset()  # of them, by earlier batches of the flight
        self._used: set[bytes] = set()  # prepared before, and used in the flight being planned
        self._to_close: list[bytes] = []  # names to close on the server
        self._epoch = 0  # part of every name given from now on
        self._losses = 0
        self.kept = 0
        """Successful batches since the last loss that used prepared statements."""
        self.learnt: dict[bytes, Learnt | None] = {}
        """The types that the server inferred, by key; None: the statement is never prepared."""
        self._described: set[bytes] = set()  # in the flight being planned
        self.version = 0
        """Changes whenever a name given before may no longer be the one to use."""
        self.latest: tuple[bytes, ...] = ()
        """The keys of the latest flight that was repeated: the statements most recently used."""

    @property
    def to_close(self) -> tuple[bytes, ...]:
        """The names to close on the server in the flight being planned."""
        return tuple(self._to_close)

    def should_describe(self, key: bytes, threshold: int, limit: int) -> bool:
        """Count one use of a statement with types to infer; return whether to send a Describe.

        :param threshold: how often a statement runs before it is prepared.
        :param limit: how many statements may be prepared at a time.
        """
        if key in self._described or limit <= 0 or self._losses >= _MOST_LOSSES:
            return False
        if self._count(key, limit) <= threshold:
            return False
        self._described.add(key)
        return True

    def use(self, key: bytes, threshold: int, limit: int) -> tuple[bytes | None, bool]:
        """Return the name for one use of a statement in the flight being planned.

        :param threshold: how often a statement runs before it is prepared.
        :param limit: how many statements may be prepared at a time.
        :return: the name to run it by, None to run it unprepared; and whether to send its Parse
            first.
        """
        name = self._names.get(key)
        if name is not None:
            self.latest = ()
            self._names.move_to_end(key)
            self._used.add(key)
            return name, False
        if key in self._sent:
            return (None if key in self._others else self._sent[key]), False
        if self._losses >= _MOST_LOSSES:
            return None, False
        if self._count(key, limit) <= threshold or not self._make_room(limit):
            return None, False
        self._sent[key] = name = b"%b_%d" % (key, self._epoch) if self._epoch else key
        return name, True

    def next_batch(self) -> None:
        """Begin to plan the next batch of the same flight.

        It does not use what an earlier one prepares: the server skips that Parse if it comes after
        an error, and whether it does is known only after the flight.
        """
        self._others = frozenset(self._sent)

    def _count(self, key: bytes, limit: int) -> int:
        """Count one use of a statement that is not prepared; return all its uses."""
        uses = self._uses.pop(key, 0) + 1
        self._uses[key] = uses
        if len(self._uses) > max(limit, 1):
            self._uses.popitem(last=False)
        return uses

    def _make_room(self, limit: int) -> bool:
        """Make room for one more statement: close the least recently used one.

        :return: False if the flight being planned uses all of them.
        """
        if len(self._names) + len(self._sent) < limit:
            return True
        oldest = next((key for key in self._names if key not in self._used), None)
        if oldest is None:
            return False
        self._to_close.append(self._names.pop(oldest))
        self.version += 1
        # The name exists on the server until the flight's end.
        self._epoch += 1
        return True

    def record(self, prepared: set[bytes], closed: int, *, well: bool) -> None:
        """Record the result of the flight that was sent.

        :param prepared: the keys whose Parse succeeded.
        :param closed: how many of the names to close were closed.
        :param well: whether the batch succeeded with the statements prepared before.
        """
        if well and self._used:
            self.kept += 1
        for key, name in self._sent.items():
            if key in prepared:
                self._names[key] = name
                self._uses.pop(key, None)
        if self._sent:
            self.version += 1
        if len(prepared) < len(self._sent):
            self._epoch += 1
        del self._to_close[:closed]
        self._sent.clear()
        self._others = frozenset()
        self._used.clear()
        self._described.clear()

    def touch(self, keys: tuple[bytes, ...]) -> None:
        """Note that a flight which uses names given in an earlier one is sent.

        :param keys: the statements that it runs, which are now the most recently used ones.
        """
        for key in keys:
            self._names.move_to_end(key)
        self.latest = keys

    def record_types(self, key: bytes, learnt: Learnt | None) -> None:
        """Record the types that the server inferred for a statement, to prepare it by them.

        :param learnt: None if the statement cannot be prepared as it is.
        """
        if len(self.learnt) >= _MOST_LEARNT:
            self.learnt.clear()
        self.learnt[key] = learnt
        self.version += 1
        if learnt is not None:
            self._uses[learnt.key] = self._uses.pop(key, _EARNED)

    def invalidate(self, *, lost: bool) -> None:
        """Invalidate the cache; use new names from now on.

        The prepared statements are lost, stale, or another client's.

        :param lost: whether the names were lost, as the next ones may be too.
        """
        if lost:
            self._losses = 1 if self.kept >= _WORTH_A_LOSS else self._losses + 1
            self.kept = 0
        self._to_close.extend(self._names.values())
        self._uses.update(dict.fromkeys(self._names, _EARNED))
        # Statements that need a Describe again keep their uses too.
        for key, learnt in self.learnt.items():
            if learnt is not None and learnt.key in self._names:
                self._uses[key] = _EARNED
        self._names.clear()
        self.learnt.clear()
        self._epoch += 1
        self.version += 1
