# SPDX-License-Identifier: MIT
"""Split and build messages of PostgreSQL's frontend/backend protocol.

Source: PostgreSQL documentation, "Frontend/Backend Protocol", sections "Message Formats" and "Error
and Notice Message Fields". A message is a type letter, a length that counts itself (4 bytes, big
endian) and a body; only a connection's first message has no letter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal

import attrs

__all__ = ["Message", "Sender", "error_response", "split", "startup"]

Sender = Literal["client", "server"]

_LENGTH: Final = 4
_STARTUP_LIMIT: Final = 10_000  # the server's own, MAX_STARTUP_PACKET_LENGTH

_STARTUP_KINDS: Mapping[int, str] = {
    3 << 16: "startup",  # protocol 3.0
    (3 << 16) + 2: "startup",  # protocol 3.2, which PostgreSQL 18 brought
    80877102: "cancel",
    80877103: "ssl",
    80877104: "gssenc",
}

_FIELDS: Mapping[str, str] = {
    "detail": "D",
    "hint": "H",
    "context": "W",
    "schema_name": "s",
    "table_name": "t",
    "column_name": "c",
    "datatype_name": "d",
    "constraint_name": "n",
    "source_file": "F",
    "source_line": "L",
    "source_function": "R",
}


@attrs.frozen
class Message:
    """One message that was forwarded.

    :ivar connection: number of the proxy's connection, counted from 0.
    :ivar sender: `"client"` or `"server"`.
    :ivar kind: the type letter; `"startup"` and `"cancel"` for the two messages without one.
    :ivar size: bytes on the wire, including letter and length.
    :ivar body: the bytes after the length.
    """

    connection: int
    sender: Sender
    kind: str
    size: int
    body: bytes = attrs.field(repr=False)  # holds parameters


def split(buffer: bytearray) -> Iterator[tuple[str, bytes]]:
    """Remove each complete typed message from the front; yield its kind and all its bytes.

    :raises ValueError: the length is impossible.

    """
    while len(buffer) > _LENGTH:
        end = 1 + _length(buffer[1 : 1 + _LENGTH])
        if len(buffer) < end:
            return
        message = bytes(buffer[:end])
        del buffer[:end]
        yield chr(message[0]), message


def startup(receive: Callable[[int], bytes]) -> tuple[str, bytes]:
    """Read a connection's first message; return its kind and all its bytes.

    The kind is `"startup"`, `"cancel"`, `"ssl"` or `"gssenc"`.

    :param receive: called with n, returns exactly n bytes.
    :raises ValueError: the client speaks another protocol, for example TLS without a request.

    """
    field = receive(_LENGTH)
    length = _length(field)
    if length > _STARTUP_LIMIT:
        raise ValueError(f"not a startup message of protocol 3: length {length}")
    body = receive(length - _LENGTH)
    code = int.from_bytes(body[:_LENGTH], "big")
    if code not in _STARTUP_KINDS:
        raise ValueError(f"not a startup message of protocol 3: code {code}")
    return _STARTUP_KINDS[code], field + body


def error_response(severity: str, sqlstate: str, message: str, **fields: str) -> bytes:
    r"""Return the bytes of an ErrorResponse message.

    Fields are named as in `psycopg.errors.Diagnostic`, without its `message_`: `detail`, `hint`,
    `context`, `schema_name`, `table_name`, `column_name`, `datatype_name`, `constraint_name`, and
    `source_file`, `source_line`, `source_function`, which errors of a pooler do not have.

    >>> error_response("FATAL", "57P01", "bye")
    b'E\x00\x00\x00!SFATAL\x00VFATAL\x00C57P01\x00Mbye\x00\x00'
    """
    texts = {"S": severity, "V": severity, "C": sqlstate, "M": message}
    texts |= {_FIELDS[name]: text for name, text in fields.items()}
    body = b"".join(f"{code}{text}\0".encode() for code, text in texts.items()) + b"\0"
    return b"E" + (_LENGTH + len(body)).to_bytes(_LENGTH, "big") + body


def _length(field: bytes | bytearray) -> int:
    length = int.from_bytes(field, "big")
    if length < _LENGTH:
        raise ValueError(f"not a message of protocol 3: length {length}")
    return length
