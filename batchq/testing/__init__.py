# SPDX-License-Identifier: MIT
"""Start real PostgreSQL servers, and a proxy that records, delays and cuts connections to them.

This package imports nothing else of batchq: it can test any PostgreSQL client.

>>> with server() as postgres, proxy(postgres.conninfo()) as link:
...     with psycopg.connect(link.conninfo(), autocommit=True) as conn, link.record() as recording:
...         conn.execute("SELECT %s", [1])
>>> recording.client
'PBDES'
"""

from __future__ import annotations

from batchq.testing.installations import InstallationMissing, installations
from batchq.testing.messages import Message, error_response
from batchq.testing.proxy import Proxy, proxy
from batchq.testing.recording import Recording
from batchq.testing.servers import Server, server

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
