# SPDX-License-Identifier: MIT
"""What one connection has prepared: bounded, truthful after failures, and free of name clashes.

A statement is prepared when it has run more often than the connection's ``prepare_threshold``, in
the flight that runs it, by a name derived from its content. So a name that is already taken, behind
a pooler say, means the same statement, and never another one.

Whether a Parse took effect is known only from its slot. A name whose Parse was sent but not
answered well is never sent again on this connection: PgBouncer (1.21 and later) remembers names of
Parse messages that the server skipped, and ends a client that sends one again (08P01).
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, Connection

if TYPE_CHECKING:
    from batchq.engine.compile import Compiled

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
        # By connection and not for all: one statement may be about two tables in two databases.
        self.types: dict[Compiled, tuple[int, ...]] = {}
        """The types of each statement's parameters when it was last sent."""

    @property
    def unwanted(self) -> tuple[bytes, ...]:
        """Names that the server should forget, with the flight being planned."""
        return tuple(self._unwanted)

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
        if uses <= threshold or not self._has_room(limit):
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

    def learn(self, prepared: set[bytes], closed: int) -> None:
        """Learn from the slots of the flight that was sent.

        :param prepared: the keys whose Parse was answered well.
        :param closed: how many of the unwanted names the server has forgotten.
        """
        for key, name in self._sent.items():
            if key in prepared:
                self._names[key] = name
                self._uses.pop(key, None)
        if len(prepared) < len(self._sent):
            self._epoch += 1
        del self._unwanted[:closed]
        self._sent.clear()
        self._used.clear()

    def forget(self) -> None:
        """Prepare everything anew, by new names: what is prepared is lost, stale or not ours."""
        self._unwanted.extend(self._names.values())
        self._uses.update(dict.fromkeys(self._names, _EARNED))
        self._names.clear()
        self._epoch += 1


_of: WeakKeyDictionary[AnyConnection, Preparations] = WeakKeyDictionary()


def preparations_of(connection: AnyConnection) -> Preparations:
    """The preparations of a connection, as long as it lives."""
    found = _of.get(connection)
    if found is None:
        found = _of[connection] = Preparations()
    return found
