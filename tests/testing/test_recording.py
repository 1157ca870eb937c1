# SPDX-License-Identifier: MIT
"""`Recording` counts messages and bytes, and flights of each connection."""

from __future__ import annotations

import pytest

from batchq.testing import Message, Recording


def recording(*messages):
    """Make a recording of messages such as `c0:P`: client or server, connection, kind."""
    recorded = Recording()
    for message in messages:
        (who, connection), kind = message.split(":")
        sender = {"c": "client", "s": "server"}[who]
        recorded.add(Message(int(connection), sender, kind, size=5, body=b""))
    return recorded


@pytest.mark.parametrize(
    ("messages", "flights"),
    [
        ("", 0),
        ("s0:S", 0),
        ("c0:P c0:S s0:1 s0:Z", 1),
        ("c0:P c0:S s0:1 c0:P s0:Z", 2),
        ("c0:P c1:P c0:S c1:S s0:Z s1:Z", 2),
        ("c0:P s1:Z c0:S", 1),
    ],
)
def test_flight_is_a_run_of_messages_of_one_client(messages, flights):
    assert recording(*messages.split()).flights == flights


def test_letters_and_bytes_are_separate_for_each_sender():
    recorded = recording("c0:startup", "s0:R", "s0:Z", "c0:Q")
    assert (recorded.client, recorded.server) == ("Q", "RZ")
    assert (recorded.bytes_sent, recorded.bytes_received) == (10, 10)
    recorded.add(Message(0, "server", "Z", size=6, body=b"I"))
    assert (recorded.bytes_sent, recorded.bytes_received) == (10, 16)
    assert [message.kind for message in recorded.messages] == ["startup", "R", "Z", "Q", "Z"]
