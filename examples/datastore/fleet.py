# SPDX-License-Identifier: MIT
"""The processes of the service as a fleet, of which this code is version 6."""

from __future__ import annotations

from batchq.versions import Fleet

FLEET = Fleet(name="datastore", version=6, stamps={"router_route": "row_version"})
