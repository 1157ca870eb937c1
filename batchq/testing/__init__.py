# SPDX-License-Identifier: MIT
"""Real PostgreSQL servers and a real man in the middle, for tests that must not pretend.

Imports nothing else of batchq: it can test any PostgreSQL client.

>>> with server() as postgres, proxy(postgres.conninfo()) as link:
...     with psycopg.connect(link.conninfo(), autocommit=True) as conn, link.record() as recording:
...         conn.execute("SELECT %s", [1])
>>> recording.client
'PBDES'
"""

from __future__ import annotations

from .installations import InstallationMissing, installations
from .messages import Message, error_response
from .proxy import Proxy, proxy
from .recording import Recording
from .servers import Server, server

__all__ = [
    "InstallationMissing",
    "Message",
    "Proxy",
    "Recording",
    "Server",
    "error_response",
    "installations",
    "proxy",
    "server",
]
