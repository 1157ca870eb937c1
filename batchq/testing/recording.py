# SPDX-License-Identifier: MIT
"""What went over the wire, in a form that a test can compare."""

from __future__ import annotations

from .messages import Message, Sender

__all__ = ["Recording"]


class Recording:
    """The messages forwarded while `Proxy.record()` was open.

    A message is in it before the first of its bytes reaches the receiver: a client that has its
    last answer finds everything here. What the proxy dropped or made up is not.

    The untyped messages (startup, cancel) are in `messages`, not in `client`.
    """

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def add(self, message: Message) -> None:
        """For the proxy."""
        self._messages.append(message)

    @property
    def messages(self) -> tuple[Message, ...]:
        """Everything, in the order it was forwarded."""
        return tuple(self._messages)

    @property
    def client(self) -> str:
        """The type letters of the client's messages: `"PBDES"` is one unprepared statement."""
        return self._letters("client")

    @property
    def server(self) -> str:
        """The type letters of the server's messages: `"12TDCZ"` is its answer."""
        return self._letters("server")

    @property
    def bytes_sent(self) -> int:
        """By the clients."""
        return sum(message.size for message in self.messages if message.sender == "client")

    @property
    def bytes_received(self) -> int:
        """By the clients."""
        return sum(message.size for message in self.messages if message.sender == "server")

    @property
    def flights(self) -> int:
        """How many times a client sent something after it was the server's turn, or at first:
        maximal runs of client messages, each connection on its own.

        An upper bound of the round trips the client needed: a client that sends on without waiting
        may be overtaken by an answer. Under `Proxy.hold` it is exact, and for a client that waits
        for each answer before it sends on.
        """
        last: dict[int, Sender] = {}
        flights = 0
        for message in self.messages:
            if message.sender == "client" and last.get(message.connection) != "client":
                flights += 1
            last[message.connection] = message.sender
        return flights

    def _letters(self, sender: Sender) -> str:
        return "".join(
            message.kind
            for message in self.messages
            if message.sender == sender and len(message.kind) == 1
        )
