# SPDX-License-Identifier: MIT
"""`split()` and `startup()` find the messages, whatever chunks the bytes arrive in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq.testing import error_response
from batchq.testing.messages import split, startup

KINDS = st.sampled_from("PBDES12TCZ")


def typed(kind, body):
    return kind.encode() + (4 + len(body)).to_bytes(4, "big") + body


def receiver(data):
    rest = bytearray(data)

    def receive(size):
        assert size <= 10_000, "waits for what no client sends"
        taken = bytes(rest[:size])
        del rest[:size]
        return taken

    return receive


@given(st.lists(st.tuples(KINDS, st.binary(max_size=9))), st.integers(1, 20))
def test_split_yields_whole_messages_wherever_chunks_end(messages, size):
    stream = b"".join(typed(kind, body) for kind, body in messages)
    buffer, found = bytearray(), []
    for start in range(0, len(stream), size):
        buffer += stream[start : start + size]
        found += split(buffer)
    assert found == [(kind, typed(kind, body)) for kind, body in messages]
    assert not buffer


def test_split_rejects_a_length_shorter_than_itself():
    with pytest.raises(ValueError, match="length 3"):
        list(split(bytearray(b"P\0\0\0\3")))


@pytest.mark.parametrize(
    ("code", "kind"),
    [(196608, "startup"), (196610, "startup"), (80877102, "cancel"), (80877103, "ssl")],
)
def test_startup_returns_the_kind_of_the_first_message(code, kind):
    packet = b"\0\0\0\x0a" + code.to_bytes(4, "big") + b"xy"
    assert startup(receiver(packet + b"more")) == (kind, packet)


@pytest.mark.parametrize(
    "start",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"\0\0\0\x08\0\2\0\0", b"\0\0\0\x03"],
    ids=["TLS", "protocol 2", "too short"],
)
def test_startup_rejects_another_protocol(start):
    with pytest.raises(ValueError, match="not a"):
        startup(receiver(start))


def test_error_response_is_one_message_with_the_given_fields():
    message = error_response("ERROR", "23505", "no", constraint_name="k", table_name="t")
    [(kind, whole)] = split(bytearray(message))
    assert (kind, whole) == ("E", message)
    assert whole[5:] == b"SERROR\0VERROR\0C23505\0Mno\0nk\0tt\0\0"
