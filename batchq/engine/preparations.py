# SPDX-License-Identifier: MIT
"""What one connection has prepared: bounded, truthful after failures, and free of name clashes.

A statement is prepared when it has run more often than the connection's ``prepare_threshold``, in
the flight that runs it, by a name derived from its content. So a name that is already taken, behind
a pooler say, means the same statement, and never another one.

Whether a Parse took effect is known only from its slot. A name whose Parse was sent but not
answered well is never sent again on this connection: PgBouncer (1.21 and later) remembers names of
Parse messages that the server skipped, and ends a client that sends one again (08P01).

What the server inferred when it prepared a statement stays, whatever becomes of the schema. So a
statement whose values could be misread runs unprepared: see :mod:`batchq.engine.stale`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, Connection

if TYPE_CHECKING:
    from batchq.engine.compile import Compiled

_MOST_LOSSES = 3
"""So often in a row may what was prepared be lost before it is used once."""

_MOST_DOUBTS = 4096
"""As many are kept of statements that are not prepared at present."""

Doubts = tuple[tuple[int, Callable[[Any], object]], ...]
"""Parameters of a statement, and which values but NULL mean the same when it is prepared."""

_EARNED = 1 << 30
"""The uses of a statement that has earned its preparation before."""

AnyConnection = Connection[Any] | AsyncConnection[Any]


def name_of(content: str) -> bytes:
    """A name that is a digest of what it names, well within the 63 bytes that servers compare."""
    return b"batchq_" + blake2b(content.encode(), digest_size=16).hexdigest().encode()


class Preparations:
    """The prepared statements of one connection. One flight at a time: plan, send, learn."""

    def __init__(self) -> None:
        # What is prepared, least recently used first, and how often the rest ran unprepared.
        self._names: OrderedDict[bytes, bytes] = OrderedDict()
        self._uses: OrderedDict[bytes, int] = OrderedDict()
        self._sent: dict[bytes, bytes] = {}  # in the flight being planned
        self._used: set[bytes] = set()  # likewise
        self._unwanted: list[bytes] = []  # names to close on the server
        self._epoch = 0  # part of every name given from now on
        self._losses = 0
        self.doubts: dict[bytes, Doubts | None] = {}
        """By key, what values it does not fit when it is prepared; None: any."""
        self._unasked: set[bytes] = set()  # those of them that the server has not been asked about
        # By connection and not for all: one statement may be about two tables in two databases.
        self.types: dict[Compiled, tuple[int, ...]] = {}
        """The types of each statement's parameters when it was last sent."""

    @property
    def unwanted(self) -> tuple[bytes, ...]:
        """Names that the server should forget, with the flight being planned."""
        return tuple(self._unwanted)

    def fits(self, key: bytes, params: Sequence[Any]) -> bool:
        """Whether these values mean the same to a doubtful statement when it is prepared."""
        if key in self._unasked and key not in self._names:  # it has been closed since
            del self.doubts[key]
            self._unasked.discard(key)
            return True
        doubts = self.doubts[key]
        if doubts is None:
            return False
        for index, is_exact in doubts:
            value = params[index]
            if value is not None and not is_exact(value):
                return False
        return True

    def unasked(self, key: bytes) -> bytes | None:
        """Name a doubtful statement that is prepared, and that nobody has asked about yet."""
        return self._names.get(key) if key in self._unasked else None

    def is_new(self, key: bytes) -> bool:
        """Whether it is the flight being planned that prepares it."""
        return key in self._sent

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
        uses = self._uses.pop(key, 0) + 1
        self._uses[key] = uses
        if uses <= threshold or self._losses >= _MOST_LOSSES or not self._has_room(limit):
            if len(self._uses) > limit:
                self._uses.popitem(last=False)
            return None, False
        self._sent[key] = name = b"%b_%d" % (key, self._epoch) if self._epoch else key
        return name, True

    def _has_room(self, limit: int) -> bool:
        """Make room for one more, by closing what has not been used for longest."""
        if len(self._names) + len(self._sent) < limit:
            return True
        oldest = next((key for key in self._names if key not in self._used), None)
        if oldest is None:
            return False  # all of them are needed in this very flight
        self._unwanted.append(self._names.pop(oldest))
        # The name stays taken on the server until the flight's end.
        self._epoch += 1
        return True

    def learn(self, prepared: set[bytes], closed: int, *, well: bool) -> None:
        """Learn from the slots of the flight that was sent.

        :param prepared: the keys whose Parse was answered well.
        :param closed: how many of the unwanted names the server has forgotten.
        :param well: whether all went well, with what was prepared before.
        """
        if well and self._used:
            self._losses = 0
        for key, name in self._sent.items():
            if key in prepared:
                self._names[key] = name
                self._uses.pop(key, None)
        if len(prepared) < len(self._sent):
            self._epoch += 1
        del self._unwanted[:closed]
        self._sent.clear()
        self._used.clear()

    def suspect(self, key: bytes, doubts: Doubts) -> None:
        """Doubt a statement that is prepared now, and that the server has not been asked about."""
        if key in self._names:
            self.doubt(key, doubts)
            self._unasked.add(key)

    def doubt(self, key: bytes, doubts: Doubts | None) -> None:
        """Learn which values a statement does not fit when it is prepared.

        :param doubts: None: any; empty: none.
        """
        self._unasked.discard(key)
        if doubts is not None and not doubts:
            self.doubts.pop(key, None)
            return
        if len(self.doubts) >= _MOST_DOUBTS:
            self.doubts = {one: of for one, of in self.doubts.items() if one in self._names}
            self._unasked &= self.doubts.keys()
        self.doubts[key] = doubts

    def close(self, key: bytes) -> None:
        """Close a statement that was prepared for nothing."""
        if key in self._names:
            self._unwanted.append(self._names.pop(key))
            self._epoch += 1  # the name stays taken until the next flight's end

    def forget(self, *, lost: bool) -> None:
        """Prepare everything anew, by new names: what is prepared is lost, stale or not ours.

        :param lost: whether it was the names that were lost, which the next ones may be as well.
        """
        self._losses += lost
        self._unwanted.extend(self._names.values())
        self._uses.update(dict.fromkeys(self._names, _EARNED))
        self._names.clear()
        self.doubts.clear()
        self._unasked.clear()
        self.types.clear()
        self._epoch += 1


_of: WeakKeyDictionary[AnyConnection, Preparations] = WeakKeyDictionary()


def preparations_of(connection: AnyConnection) -> Preparations:
    """The preparations of a connection, as long as it lives."""
    found = _of.get(connection)
    if found is None:
        found = _of[connection] = Preparations()
    return found
