# SPDX-License-Identifier: MIT
"""Version 7 of the data store: a route has labels in the place of a description, and a new target.

It neither reads nor writes the description. Version 6 still does, and sees an empty one in the rows
of version 7.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network
from uuid import UUID, uuid4

from attrs import field, frozen

from batchq import insert, sql
from batchq.bulk import Backfill
from batchq.versions import Fleet
from examples.datastore.datastore import DataStore
from examples.datastore.errors import NotFound
from examples.datastore.fleet import FLEET
from examples.datastore.parents import ROUTES


class Target(StrEnum):
    """Where packets are sent, unless it is an address."""

    DROP = "drop"
    NAT = "nat"


NEXT = Fleet(name=FLEET.name, version=7, since={Target.NAT: 7}, stamps=FLEET.stamps)
EXPAND = "ALTER TABLE router_route ADD COLUMN labels text[]"
FILL = Backfill(
    name="route-labels",
    table="router_route",
    set={"labels": sql("string_to_array(description, ' ')"), "row_version": NEXT.version},
    where=sql("row_version < 7"),
)
PROOF = NEXT.proof("router_route", 7)
DROP = "ALTER TABLE router_route DROP COLUMN description"


@frozen(kw_only=True)
class NewLabelledRoute:
    """A route to create."""

    id: UUID = field(factory=uuid4)
    router_id: UUID
    name: str
    destination: IPv4Network
    target: str
    labels: list[str]
    row_version: int = NEXT.version


@frozen
class LabelledRoute:
    """A route of a router."""

    id: UUID
    name: str
    target: str
    labels: list[str] | None
    """None if they are not known yet: version 6 has written the row, and it is not filled."""


@frozen
class NextDataStore(DataStore):
    """The data store with the methods that version 7 has in the place of those of version 6."""

    fleet: Fleet = NEXT

    def labelled_route_create(self, new: NewLabelledRoute) -> LabelledRoute:
        """Create a route of an existing router."""
        added = insert("router_route", new).one(LabelledRoute)
        not_found = NotFound("router", new.router_id)
        return self._run(ROUTES.add(new.router_id, added, missing=not_found))

    def labelled_route_list(self, router_id: UUID) -> list[LabelledRoute]:
        """Read all routes of a router."""
        return self._run(ROUTES.read(router_id, LabelledRoute), read_only=True)
