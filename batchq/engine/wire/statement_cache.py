# SPDX-License-Identifier: MIT
"""What one connection has prepared: bounded, truthful after failures, and free of name clashes.

A statement is prepared when it has run more often than the connection's ``prepare_threshold``, in
the flight that runs it, by a name derived from its content, the types of all its parameters among
it. So a name that is already taken, behind a pooler say, means the same statement, and never
another one.

Whether a Parse took effect is known only from its slot. A name whose Parse was sent but not
answered well is never sent again on this connection: PgBouncer (1.21 and later) remembers names of
Parse messages that the server skipped, and ends a client that sends one again (08P01).

What the server infers when it prepares a statement stays, whatever becomes of the schema, and
behind a pooler it may be another client that prepared it. So none is prepared with types to infer:
the server is asked first, and what it says is declared. A statement whose values could be misread
runs unprepared: see :mod:`batchq.engine.outcome.stale`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

_MOST_LOSSES = 3
"""So often may what was prepared be lost, before nothing is prepared any more: behind a pooler that
knows nothing of it each use is a gamble, and one that is lost costs a round trip more."""

_WORTH_A_LOSS = 100
"""After so many batches in a row that used what was prepared before, losses are forgotten: those of
a ``DISCARD ALL`` now and then."""

_MOST_LEARNT = 4096
"""Of as many statements it is kept what types the server inferred."""

ValueChecks = tuple[tuple[int, Callable[[Any], object]], ...]
"""Parameters of a statement, and which values but NULL mean the same when it is prepared."""

_EARNED = 1 << 30
"""The uses of a statement that has earned its preparation before."""


@frozen
class Learnt:
    """What the server said of a statement whose values do not all have a type."""

    key: bytes
    """Of what is prepared: the same statement, with every type declared."""
    types: tuple[int, ...]
    checks: ValueChecks
    """Which values it does not fit when it is prepared."""

    def fits(self, params: Sequence[Any]) -> bool:
        """Whether these values mean the same when it is prepared."""
        for index, is_exact in self.checks:
            value = params[index]
            if value is not None and not is_exact(value):
                return False
        return True


class StatementCache:
    """The prepared statements of one connection. One flight at a time: plan, send, learn."""

    def __init__(self) -> None:
        # What is prepared, least recently used first, and how often the rest ran unprepared.
        self._names: OrderedDict[bytes, bytes] = OrderedDict()
        self._uses: OrderedDict[bytes, int] = OrderedDict()
        self._sent: dict[bytes, bytes] = {}  # in the flight being planned
        self._used: set[bytes] = set()  # likewise
        self._to_close: list[bytes] = []  # names to close on the server
        self._epoch = 0  # part of every name given from now on
        self._losses = 0
        self._kept = 0  # batches since the last one that used what was prepared before
        self.learnt: dict[bytes, Learnt | None] = {}
        """What the server said of the types that it infers, by key; None: it is never prepared."""
        self._asked: set[bytes] = set()  # in the flight being planned

    @property
    def to_close(self) -> tuple[bytes, ...]:
        """Names that the server should forget, with the flight being planned."""
        return tuple(self._to_close)

    def should_describe(self, key: bytes, threshold: int, limit: int) -> bool:
        """Plan one use of a statement with types to infer; say whether to ask which.

        :param threshold: how often a statement runs before it is prepared.
        :param limit: how many statements may be prepared at a time.
        """
        if key in self._asked or limit <= 0 or self._losses >= _MOST_LOSSES:
            return False
        if self._count(key, limit) <= threshold:
            return False
        self._asked.add(key)
        return True

    def use(self, key: bytes, threshold: int, limit: int) -> tuple[bytes | None, bool]:
        """Plan one use of a statement.

        :param threshold: how often a statement runs before it is prepared.
        :param limit: how many statements may be prepared at a time.
        :return: the name to run it by, or None to run it unprepared; and whether its Parse has to
            be sent first.
        """
        name = self._names.get(key)
        if name is not None:
            self._names.move_to_end(key)
            self._used.add(key)
            return name, False
        if key in self._sent:
            return self._sent[key], False
        if self._losses >= _MOST_LOSSES:
            return None, False
        if self._count(key, limit) <= threshold or not self._make_room(limit):
            return None, False
        self._sent[key] = name = b"%b_%d" % (key, self._epoch) if self._epoch else key
        return name, True

    def _count(self, key: bytes, limit: int) -> int:
        """Count one use of a statement that is not prepared."""
        uses = self._uses.pop(key, 0) + 1
        self._uses[key] = uses
        if len(self._uses) > max(limit, 1):
            self._uses.popitem(last=False)
        return uses

    def _make_room(self, limit: int) -> bool:
        """Make room for one more, by closing what has not been used for longest."""
        if len(self._names) + len(self._sent) < limit:
            return True
        oldest = next((key for key in self._names if key not in self._used), None)
        if oldest is None:
            return False  # all of them are needed in this very flight
        self._to_close.append(self._names.pop(oldest))
        # The name stays taken on the server until the flight's end.
        self._epoch += 1
        return True

    def record(self, prepared: set[bytes], closed: int, *, well: bool) -> None:
        """Learn from the slots of the flight that was sent.

        :param prepared: the keys whose Parse was answered well.
        :param closed: how many of the unwanted names the server has forgotten.
        :param well: whether all went well, with what was prepared before.
        """
        if well and self._used:
            self._kept += 1
        for key, name in self._sent.items():
            if key in prepared:
                self._names[key] = name
                self._uses.pop(key, None)
        if len(prepared) < len(self._sent):
            self._epoch += 1
        del self._to_close[:closed]
        self._sent.clear()
        self._used.clear()
        self._asked.clear()

    def record_types(self, key: bytes, learnt: Learnt | None) -> None:
        """Learn what types the server inferred for a statement, which is prepared by them.

        :param learnt: None: it cannot be prepared as it is.
        """
        if len(self.learnt) >= _MOST_LEARNT:
            self.learnt.clear()
        self.learnt[key] = learnt
        if learnt is not None:
            self._uses[learnt.key] = self._uses.pop(key, _EARNED)

    def invalidate(self, *, lost: bool) -> None:
        """Prepare everything anew, by new names: what is prepared is lost, stale or not ours.

        :param lost: whether it was the names that were lost, which the next ones may be as well.
        """
        if lost:
            self._losses = 1 if self._kept >= _WORTH_A_LOSS else self._losses + 1
            self._kept = 0
        self._to_close.extend(self._names.values())
        self._uses.update(dict.fromkeys(self._names, _EARNED))
        # Who has to be asked again has earned it as well.
        for key, learnt in self.learnt.items():
            if learnt is not None and learnt.key in self._names:
                self._uses[key] = _EARNED
        self._names.clear()
        self.learnt.clear()
        self._epoch += 1
