# SPDX-License-Identifier: MIT
"""A document of three versions, and what of it is stored."""

from __future__ import annotations

from typing import Any

from attrs import asdict, frozen

from batchq.versions import Change, Document


@frozen
class Disk:
    name: str
    boot: int | None


@frozen
class Spec:
    """The latest version, 3."""

    memory_mib: int
    disks: tuple[Disk, ...] = ()
    note: str | None = None


def load(document: dict[str, Any]) -> Spec:
    disks = tuple(Disk(**disk) for disk in document["disks"])
    return Spec(**{**document, "disks": disks})


def with_boot(document: dict[str, Any]) -> dict[str, Any]:
    """1 to 2: disks are objects that may have a place in the order of the boot. In place."""
    names = document["disks"]
    document["disks"] = [{"name": name, "boot": n} for n, name in enumerate(names)]
    return document


def without_boot(document: dict[str, Any]) -> dict[str, Any]:
    document["disks"] = [disk["name"] for disk in document["disks"]]
    return document


def in_mib(document: dict[str, Any]) -> dict[str, Any]:
    """2 to 3: another unit, and a new field."""
    rest = {key: value for key, value in document.items() if key != "memory"}
    return {**rest, "memory_mib": document["memory"] * 1024, "note": None}


def in_gib(document: dict[str, Any]) -> dict[str, Any]:
    return {"memory": document["memory_mib"] // 1024, "disks": document["disks"]}


CHANGES = [
    Change(up=with_boot, down=without_boot, since=6),
    Change(up=in_mib, down=in_gib, since=7),
]
SPEC = Document(name="spec", load=load, dump=asdict, changes=CHANGES)
ONE = {"version": 1, "document": {"memory": 2, "disks": ["a", "b"]}}
TWO = {
    "version": 2,
    "document": {"memory": 2, "disks": [{"name": "a", "boot": 0}, {"name": "b", "boot": 1}]},
}
BOTH = Spec(2048, (Disk("a", 0), Disk("b", 1)))
