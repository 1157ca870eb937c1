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
from batchq.versions import Change, Document, Finding, Lossy, check_frozen, freeze


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
        "spec.net.2.as-1.json": {"version": 1, "lossy": ["boot"]},
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
        ("memory",),
    ),
    "other number": (
        document(Spec, ADDED, load=lambda d: Spec(float(d["memory"]), d["boot"])),
        "spec.disk.2.json",
        ("memory",),
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


def fails(document: dict[str, Any]) -> dict[str, Any]:
    return 1 // 0  # type: ignore[return-value]


def refuses(document: dict[str, Any]) -> dict[str, Any]:
    raise Lossy("spec", 1)


def in_floats(document: dict[str, Any]) -> dict[str, Any]:
    return {"memory": document["memory"] / 1}


@pytest.mark.parametrize(
    ("down", "paths", "reason"),
    [
        (fails, (), "ZeroDivisionError"),
        (lambda _: {"memory": 0}, ("memory", "boot"), "differs"),  # more is lost
        (refuses, ("boot",), "differs"),
    ],
)
def test_broken_way_back_is_found_though_the_older_version_cannot_express_the_fixture(
    tmp_path, down, paths, reason
) -> None:
    freeze(ONE, tmp_path, "small", WithoutBoot(1))
    freeze(TWO, tmp_path, "net", Spec(2, "net"))
    assert check_frozen(TWO, tmp_path) == []

    (finding,) = check_frozen(document(Spec, Change(with_boot, down, 7)), tmp_path)

    assert (finding.file, finding.paths) == ("spec.net.2.as-1.json", paths)
    assert reason in finding.reason


def test_part_that_is_not_lost_any_more_is_found(tmp_path) -> None:
    """Nor one that is lost without saying which, before or now."""
    keeps, silent = (
        document(Spec, Change(up, down, 7)) for up, down in [(dict, dict), (with_boot, refuses)]
    )
    freeze(TWO, tmp_path / "lost", "net", Spec(2, "net"))
    freeze(silent, tmp_path / "silent", "net", Spec(2, "net"))

    assert [each.paths for each in check_frozen(keeps, tmp_path / "lost")] == [("boot",)]
    assert [each.paths for each in check_frozen(keeps, tmp_path / "silent")] == [("$",)]
    assert check_frozen(silent, tmp_path / "silent") == []


def test_way_back_to_another_number_is_found(folder) -> None:
    changed = document(Spec, Change(with_boot, in_floats, 7))

    assert [(each.file, each.paths) for each in check_frozen(changed, folder)] == [
        ("spec.disk.2.as-1.json", ("memory",))
    ]


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace("2", "3"))


def add(path: Path) -> None:
    path.with_name("spec.mine.2.json").write_text(path.read_text())


def make_binary(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\xff")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.json")


@pytest.mark.parametrize(
    ("do", "file", "reason"),
    [
        (edit, "spec.disk.2.json", "edited"),
        (edit, "spec.disk.2.as-1.json", "edited"),
        (Path.unlink, "spec.disk.2.json", "deleted"),
        (Path.unlink, "spec.small.1.as-2.json", "deleted"),
        (add, "spec.mine.2.json", "not listed"),
        (make_binary, "spec.disk.2.json", "edited"),
        (make_folder, "spec.disk.2.json", "not a file"),
        (make_dangling, "spec.disk.2.json", "deleted"),
        (make_binary, "spec.sha256", "line 7"),
        (make_folder, "spec.sha256", None),
        (make_dangling, "spec.sha256", None),
    ],
)
def test_changed_file_is_found(folder, do: Callable[[Path], None], file, reason) -> None:
    do(folder / (file if do is not add else "spec.disk.2.json"))

    findings = check_frozen(TWO, folder)

    if reason is None:  # then no file is listed
        assert len([each for each in findings if "not listed" in each.reason]) == 6
    else:
        (finding,) = findings
        assert finding.file == file
        assert reason in finding.reason


def test_conflict_in_the_list_is_found_at_its_lines(folder) -> None:
    digests = folder / "spec.sha256"
    first, *others = digests.read_text().splitlines()
    conflict = ["<<<<<<< HEAD", first, "=======", *others, ">>>>>>> other", ""]
    digests.write_text("\n".join(conflict))

    assert [(each.file, each.reason[:7]) for each in check_frozen(TWO, folder)] == [
        ("spec.sha256", f"line {line} ") for line in (1, 3, 9)
    ]


def test_ends_of_lines_may_be_those_of_a_checkout(folder) -> None:
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert check_frozen(TWO, folder) == []


def test_nothing_is_written_if_the_way_back_fails(tmp_path) -> None:
    with pytest.raises(ZeroDivisionError):
        freeze(document(Spec, Change(with_boot, fails, 7)), tmp_path, "net", Spec(2, "net"))

    assert list(tmp_path.iterdir()) == []


def test_version_without_a_fixture_is_found(folder, tmp_path) -> None:
    three = document(WithNote, ADDED, Change(lambda d: {**d, "note": None}, dict, 8))

    assert [str(finding) for finding in check_frozen(three, folder)] == [
        "version 3 of spec has no fixture; freeze() a value"
    ]
    (finding,) = check_frozen(TWO, tmp_path / "nowhere")
    assert "version 2" in finding.reason


def test_fixture_that_was_merged_without_its_conversions_is_found(folder, tmp_path) -> None:
    """One branch has frozen a value as version 1, the other one has added version 2."""
    freeze(ONE, folder, "late", WithoutBoot(3))

    (finding,) = check_frozen(TWO, folder)

    assert (finding.file, "as version 2" in finding.reason) == ("spec.late.1.json", True)
    freeze(TWO, folder, "other", Spec(3))
    assert check_frozen(TWO, folder) == []


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


def test_version_that_is_not_released_is_frozen_again_after_its_files_are_deleted(folder) -> None:
    """By the patterns of docs/versions.md."""
    for pattern in ("spec.*.2.json", "spec.*.2.as-*.json", "spec.*.as-2.json"):
        for path in folder.glob(pattern):
            path.unlink()
    digests = folder / "spec.sha256"
    kept = [line for line in digests.read_text().splitlines() if (folder / line[66:]).exists()]
    digests.write_text("\n".join([*kept, ""]))
    other = document(WithNote, Change(lambda d: {**d, "boot": "", "note": None}, without_boot, 7))

    freeze(other, folder, "disk", WithNote(2, ""))

    assert [line[66:] for line in kept] == ["spec.small.1.json"]
    assert check_frozen(other, folder) == []


def test_finding_names_file_paths_and_reason() -> None:
    assert str(Finding("a.json", "was edited", ("b", "c"))) == "a.json: b, c: was edited"
