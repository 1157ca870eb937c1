# SPDX-License-Identifier: MIT
"""Invariant V8: whatever changes the meaning of a frozen document is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict, frozen

from batchq import InvalidBatch
from batchq.versions import Change, Document, Finding, check_frozen, freeze


@frozen
class Spec:
    memory: int
    boot: str = "disk"


@frozen
class WithNote:
    memory: int
    boot: str
    note: str | None = None


@frozen
class Renamed:
    ram: int
    boot: str


@frozen
class WithoutBoot:
    memory: int


def with_boot(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "boot": "disk"}


def without_boot(document: dict[str, Any]) -> dict[str, Any]:
    return {"memory": document["memory"]}


def document(model: type[Any] = Spec, *changes: Change, **options: Any) -> Document[Any]:
    return Document(
        name="spec",
        load=options.pop("load", lambda stored: model(**stored)),
        dump=options.pop("dump", asdict),
        changes=changes,
        **options,
    )


ADDED = Change(up=with_boot, down=without_boot, since=7)
ONE = document(WithoutBoot)
TWO = document(Spec, ADDED)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """Return a folder with what both versions have frozen."""
    folder = tmp_path_factory.mktemp("frozen") / "spec"
    freeze(ONE, folder, "small", WithoutBoot(1))
    freeze(TWO, folder, "disk", Spec(2))
    freeze(TWO, folder, "net", Spec(2, "net"))
    return folder


@pytest.fixture
def folder(template, tmp_path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "copy"))


def test_frozen_files_are_what_is_stored_in_each_version(folder) -> None:
    stored = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}

    assert stored == {
        "spec.small.1.json": {"version": 1, "document": {"memory": 1}},
        "spec.small.1.as-2.json": {"version": 2, "document": {"memory": 1, "boot": "disk"}},
        "spec.disk.2.json": {"version": 2, "document": {"memory": 2, "boot": "disk"}},
        "spec.disk.2.as-1.json": {"version": 1, "document": {"memory": 2}},
        "spec.net.2.json": {"version": 2, "document": {"memory": 2, "boot": "net"}},
    }
    assert check_frozen(TWO, folder) == check_frozen(TWO, str(folder)) == []


CHANGED = {
    "added field": (document(WithNote, ADDED), "spec.disk.2.json", ("note",)),
    "renamed field": (document(Renamed, ADDED), "spec.disk.2.json", ()),
    "renamed, reads both": (
        document(Renamed, ADDED, load=lambda d: Renamed(d.get("ram", d.get("memory")), d["boot"])),
        "spec.disk.2.json",
        ("memory", "ram"),
    ),
    "removed field": (
        document(WithoutBoot, ADDED, load=lambda d: WithoutBoot(d["memory"])),
        "spec.net.2.json",
        ("boot",),
    ),
    "changed default": (
        document(Spec, Change(lambda d: {**d, "boot": "net"}, without_boot, 7)),
        "spec.small.1.as-2.json",
        ("boot",),
    ),
    "changed way back": (
        document(Spec, Change(with_boot, lambda _: {"memory": 0}, 7)),
        "spec.disk.2.as-1.json",
        (),
    ),
    "load reads something else": (
        document(Spec, ADDED, load=lambda d: Spec(d["memory"] + 1, d["boot"])),
        "spec.small.1.json",
        ("memory",),
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_changed_form_is_found(folder, name) -> None:
    changed, file, paths = CHANGED[name]

    findings = check_frozen(changed, folder)

    assert (file, paths) in [(finding.file, finding.paths) for finding in findings]
    assert all("add a Change" in str(finding) for finding in findings)


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace("2", "3"))


def add(path: Path) -> None:
    path.with_name("spec.mine.2.json").write_text(path.read_text())


@pytest.mark.parametrize(
    ("do", "file", "reason"),
    [
        (edit, "spec.disk.2.json", "edited"),
        (edit, "spec.disk.2.as-1.json", "edited"),
        (Path.unlink, "spec.disk.2.json", "deleted"),
        (Path.unlink, "spec.small.1.as-2.json", "deleted"),
        (add, "spec.mine.2.json", "not listed"),
    ],
)
def test_changed_file_is_found(folder, do: Callable[[Path], None], file, reason) -> None:
    do(folder / (file if do is not add else "spec.disk.2.json"))

    assert (file, True) in [
        (each.file, reason in each.reason) for each in check_frozen(TWO, folder)
    ]


def test_version_without_a_fixture_is_found(folder, tmp_path) -> None:
    three = document(WithNote, ADDED, Change(lambda d: {**d, "note": None}, dict, 8))

    assert [str(finding) for finding in check_frozen(three, folder)] == [
        "version 3 of spec has no fixture; freeze() a value"
    ]
    (finding,) = check_frozen(TWO, tmp_path / "nowhere")
    assert "version 2" in finding.reason


def test_change_that_was_dropped_is_found(folder) -> None:
    reasons = [finding.reason for finding in check_frozen(ONE, folder)]

    assert reasons == ["version 2 of spec is frozen, and changes= ends at 1; restore the change"]


def test_versions_below_the_first_need_not_be_read(folder) -> None:
    assert check_frozen(document(Spec, first=2), folder) == []


def test_file_is_never_written_again(folder) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}

    with pytest.raises(FileExistsError, match="choose another name"):
        freeze(TWO, folder, "disk", Spec(3))
    (folder / "spec.disk.2.json").unlink()
    with pytest.raises(FileExistsError):
        freeze(TWO, folder, "disk", Spec(3))

    (folder / "spec.disk.2.json").write_bytes(before[folder / "spec.disk.2.json"])
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_next_version_is_frozen_beside_the_others(folder) -> None:
    before = {path: path.read_bytes() for path in folder.glob("*.json")}
    down = {"memory", "boot"}
    three = document(
        WithNote,
        ADDED,
        Change(lambda d: {**d, "note": None}, lambda d: {key: d[key] for key in down}, 8),
    )

    path = freeze(three, folder, "disk", WithNote(2, "disk"))

    assert path.name == "spec.disk.3.json"
    assert check_frozen(three, folder) == []
    assert before.items() <= {path: path.read_bytes() for path in folder.glob("*.json")}.items()
    assert {path.name for path in set(folder.glob("*.json")) - before.keys()} == {
        "spec.disk.3.json",
        "spec.disk.3.as-2.json",
        "spec.disk.3.as-1.json",
        "spec.disk.2.as-3.json",
        "spec.net.2.as-3.json",
        "spec.small.1.as-3.json",
    }


def test_value_that_is_read_as_another_one_is_not_frozen(tmp_path) -> None:
    forgets = document(Spec, load=lambda d: Spec(d["memory"]))

    with pytest.raises(InvalidBatch, match="boot is not the same"):
        freeze(forgets, tmp_path, "net", Spec(1, "net"))
    with pytest.raises(InvalidBatch, match="use letters"):
        freeze(ONE, tmp_path, "../net", WithoutBoot(1))
    assert list(tmp_path.iterdir()) == []


def test_finding_names_file_paths_and_reason() -> None:
    assert str(Finding("a.json", "was edited", ("b", "c"))) == "a.json: b, c: was edited"
