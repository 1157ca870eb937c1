# SPDX-License-Identifier: MIT
"""Record the messages on the wire, in a form that a test can compare."""

from __future__ import annotations

from batchq.testing.messages import Message, Sender

__all__ = ["Recording"]


class Recording:
    """Messages forwarded while the block of `Proxy.record()` runs.

    A message is recorded before the first of its bytes is sent: once a client has its last answer,
    the recording is complete. Messages that the proxy drops or makes up are not recorded.

    The untyped messages (startup, cancel) are in `messages`, not in `client`.
    """

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def add(self, message: Message) -> None:
        """Append a message; called by the proxy."""
        self._messages.append(message)

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages, in the order in which they were forwarded."""
        return tuple(self._messages)

    @property
    def client(self) -> str:
        """Type letters of the client's messages: `"PBDES"` is one unprepared statement."""
        return self._letters("client")

    @property
    def server(self) -> str:
        """Type letters of the server's messages: `"12TDCZ"` is the answer to it."""
        return self._letters("server")

    @property
    def bytes_sent(self) -> int:
        """Bytes that the clients sent."""
        return sum(message.size for message in self.messages if message.sender == "client")

    @property
    def bytes_received(self) -> int:
        """Bytes that the clients received."""
        return sum(message.size for message in self.messages if message.sender == "server")

    @property
    def flights(self) -> int:
        """Number of flights: maximal runs of client messages on one connection.

        It is an upper bound of the round trips that the client needed: an answer may overtake the
        requests of a client that does not wait for it. It is exact under `Proxy.hold`, and for a
        client that waits for each answer before it sends more.
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
