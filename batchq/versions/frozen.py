# SPDX-License-Identifier: MIT
"""Freeze documents in files that are never written again, and find what has changed since.

Code that reads what older versions have stored is right as long as it reads these files as before.
A fixture is a value as its version has stored it. Beside it is what it becomes in each other
version, or which parts of it that version cannot express, so that a change whose ``up`` or ``down``
is edited later is found too. A list of digests finds files that were edited or deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen

from batchq.language.argument_types import checked
from batchq.language.errors import InvalidBatch
from batchq.versions.documents import Document
from batchq.versions.errors import Lossy
from batchq.versions.plain_json import ROOT, copied, differences

T = TypeVar("T")

Folder = str | PathLike[str]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_DIGEST = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>.+)")
_FILE = re.compile(r"(?P<fixture>.+)\.(?P<version>\d+)(?:\.as-(?P<other>\d+))?\.json")


@frozen
class Finding:
    """What has changed of a frozen document, or of its files.

    :ivar file: the file that shows it; empty if none does.
    :ivar reason: what is wrong, and what to do.
    :ivar paths: the parts of the document that are read or written in another way.
    """

    file: str
    reason: str
    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the file, the paths and the reason."""
        paths = f"{', '.join(self.paths)}: " if self.paths else ""
        return f"{self.file}: {paths}{self.reason}" if self.file else self.reason


@frozen(order=True)
class _File:
    """A file of one fixture: as its version has stored it, or as it is in another version."""

    fixture: str
    version: int
    other: int | None = None

    def name(self, document: Document[Any]) -> str:
        suffix = "" if self.other is None else f".as-{self.other}"
        return f"{document.name}.{self.fixture}.{self.version}{suffix}.json"


@frozen
class _Frozen:
    """The files of one document in a folder."""

    document: Document[Any]
    folder: Path

    @property
    def digests(self) -> Path:
        """The file that lists the digest of each file, in the format of sha256sum."""
        return self.folder / f"{self.document.name}.sha256"

    def listed(self) -> dict[str, str]:
        """Return the digest of each file that was written, by its name."""
        lines = map(_DIGEST.fullmatch, self.lines())
        return {line["name"]: line["digest"] for line in lines if line is not None}

    def lines(self) -> list[str]:
        """Return the lines of the list of digests, which may have been edited or merged."""
        try:
            return self.digests.read_bytes().decode(errors="replace").splitlines()
        except OSError:  # then no file is listed
            return []

    def there(self) -> list[str]:
        """Return the names of the files that are there."""
        return sorted(path.name for path in self.folder.glob(f"{self.document.name}.*.json"))

    def file(self, name: str) -> _File | None:
        """Return what a file is of; None if its name is of no such file."""
        match = _FILE.fullmatch(name.removeprefix(f"{self.document.name}."))
        if match is None:
            return None
        other = match["other"]
        return _File(match["fixture"], int(match["version"]), None if other is None else int(other))

    def damage(self, name: str, digest: str) -> str | None:
        """Return what is wrong with a file that is listed; None if it is as it was written."""
        try:
            content = (self.folder / name).read_bytes()
        except FileNotFoundError:
            return "the file was deleted"
        except OSError:
            return "it is not a file that can be read"
        content = content.replace(b"\r\n", b"\n")  # which a checkout may have written
        return None if sha256(content).hexdigest() == digest else "the file was edited"

    def intact(self) -> set[str]:
        """Return the names of the files that are as they were written."""
        return {name for name, digest in self.listed().items() if not self.damage(name, digest)}

    def read(self, file: _File) -> Any:
        """Return the envelope of a fixture, or the record beside it."""
        return json.loads((self.folder / file.name(self.document)).read_text(encoding="utf-8"))

    def write(self, file: _File, record: dict[str, Any]) -> None:
        """Write a file, which must not exist, and list its digest."""
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        name = file.name(self.document)
        with (self.folder / name).open("x", encoding="utf-8", newline="\n") as new:
            new.write(text)
        with self.digests.open("a", encoding="utf-8", newline="\n") as digests:
            digests.write(f"{sha256(text.encode()).hexdigest()}  {name}\n")

    def fixtures(self) -> list[_File]:
        """Return the fixtures that are listed and can be read by this code."""
        files = map(self.file, self.listed())
        return sorted(file for file in files if file is not None and file.other is None)


def freeze(document: Document[T], folder: Folder, name: str, value: T) -> Path:
    """Write a value as the latest version of a document stores it, to a file that stays.

    Do it for each version, before it is released. What earlier fixtures become in this version is
    frozen as well, and what this one becomes in earlier versions: a document, or the parts that are
    lost. Commit all files, and let no formatter rewrite them.

    :param folder: it is made if it does not exist, and may have fixtures of other documents.
    :param name: what the value is an example of: ``"two-disks"``.
    :return: the file.
    :raises FileExistsError: if it is frozen already; a fixture is never written again.
    :raises InvalidBatch: if ``load`` does not read what ``dump`` returns as it was; 1 and 1.0 are
        not the same here.
    """
    frozen_files = _files("freeze", document, folder)
    checked("freeze", "name", name, str, '"two-disks"')
    if _NAME.fullmatch(name) is None:
        raise InvalidBatch(f"freeze(name={name!r:.40}): use letters, digits, _ and - in the name")
    latest, fixture = document.latest, _File(name, document.latest)
    listed = frozen_files.listed()
    path = frozen_files.folder / fixture.name(document)
    if fixture.name(document) in listed or path.exists():
        raise FileExistsError(
            f"freeze(): version {latest} of {name!r} is frozen, and no fixture is written again; "
            f"choose another name, or give the document a new version"
        )
    stored = document.write(value, versions=[latest]).obj["document"]
    if lost := differences(stored, _dumped(document, stored), is_exact=True):
        raise InvalidBatch(
            f"freeze(): {', '.join(lost)} is not the same after load() and dump(); mend these first"
        )
    records = {fixture: {"version": latest, "document": stored}}
    for version in range(document.first, latest):
        records[_File(name, latest, version)] = _record(document, stored, latest, version)
    for file in frozen_files.fixtures():
        other = _File(file.fixture, file.version, latest)
        if other.name(document) in listed or not document.first <= file.version < latest:
            continue
        earlier = frozen_files.read(file)["document"]
        records[other] = _record(document, earlier, file.version, latest)
    frozen_files.folder.mkdir(parents=True, exist_ok=True)
    for file, record in records.items():
        frozen_files.write(file, record)
    return path


def _record(document: Document[Any], stored: Any, version: int, to: int) -> dict[str, Any]:
    """Return what a document of one version is as another one, or what would be lost of it."""
    if version < to:
        return {"version": to, "document": document._up(stored, version, to)}
    try:
        return {"version": to, "document": document._down(stored, version, to)}
    except Lossy as error:
        return {"version": to, "lossy": list(error.paths)}


def _files(call: str, document: Document[Any], folder: Folder) -> _Frozen:
    checked(call, "document", document, Document, "SPEC")
    checked(call, "folder", folder, (str, PathLike), 'Path("tests/frozen")')
    return _Frozen(document, Path(folder))


def _dumped(document: Document[Any], stored: Any) -> Any:
    """Return what is written after a document of the latest version is read."""
    model = document.load(copied(stored))
    return document.write(model, versions=[document.latest]).obj["document"]


def check_frozen(document: Document[Any], folder: Folder) -> list[Finding]:
    """Return what is read or written in another way than when it was frozen; empty if all is well.

    Call it in a test: ``assert check_frozen(SPEC, folder) == []``.

    :param folder: where :func:`freeze` has written the fixtures.
    """
    frozen_files = _files("check_frozen", document, folder)
    return [
        *_changed_files(frozen_files),
        *_missing_versions(frozen_files),
        *_changed_forms(frozen_files),
    ]


def _changed_files(frozen_files: _Frozen) -> Iterator[Finding]:
    listed, digests = frozen_files.listed(), frozen_files.digests
    for number, line in enumerate(frozen_files.lines(), start=1):
        if line and _DIGEST.fullmatch(line) is None:
            yield Finding(
                digests.name, f"line {number} is not a digest and a name; merge it, or {_RESTORE}"
            )
    for name, digest in listed.items():
        if damage := frozen_files.damage(name, digest):
            yield Finding(name, f"{damage}; {_RESTORE}")
    for name in frozen_files.there():
        if name not in listed:
            yield Finding(name, f"the file is not listed in {digests.name}; freeze it")


_RESTORE = "restore it from the history"


def _missing_versions(frozen_files: _Frozen) -> Iterator[Finding]:
    """Find versions without a fixture, from the first that was frozen."""
    document = frozen_files.document
    versions = {file.version for file in frozen_files.fixtures()}
    first = max(min(versions, default=document.latest), document.first)
    for version in range(first, document.latest + 1):
        if version not in versions:
            yield Finding(
                "", f"version {version} of {document.name} has no fixture; freeze() a value"
            )
    for version in sorted(versions):
        if version > document.latest:
            yield Finding(
                "",
                f"version {version} of {document.name} is frozen, and changes= ends at "
                f"{document.latest}; restore the change",
            )


def _changed_forms(frozen_files: _Frozen) -> Iterator[Finding]:
    """Find what is converted, read or written in another way than before."""
    document, intact = frozen_files.document, frozen_files.intact()
    for name in frozen_files.listed():
        file = frozen_files.file(name)
        if file is None or not {name, _File(file.fixture, file.version).name(document)} <= intact:
            continue
        versions = {file.version, file.version if file.other is None else file.other}
        if not versions <= set(document.reads):
            continue
        try:
            changed = _changed(frozen_files, file)
        except Exception as error:  # noqa: BLE001  it is that of up, down, load or dump
            yield Finding(name, f"{type(error).__name__}: {error}; {_NEW_VERSION}")
            continue
        if changed:
            yield Finding(name, f"differs from what was frozen; {_NEW_VERSION}", changed)


_NEW_VERSION = "undo this, or add a Change for the new form"


def _changed(frozen_files: _Frozen, file: _File) -> tuple[str, ...]:
    """Return the paths at which a document is not as it was frozen."""
    document = frozen_files.document
    if file.other is None:
        latest = document._up(frozen_files.read(file)["document"], file.version)
        return differences(latest, _dumped(document, latest), is_exact=True)
    stored = frozen_files.read(_File(file.fixture, file.version))["document"]
    return _differences(
        frozen_files.read(file), _record(document, stored, file.version, file.other)
    )


def _differences(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, ...]:
    """Return the paths at which two records differ; if a part is lost in one, what is lost."""
    lost, lost_now = before.get("lossy"), now.get("lossy")
    if lost is None and lost_now is None:
        return differences(before["document"], now["document"], is_exact=True)
    return () if lost == lost_now else tuple(lost_now or lost or [ROOT])
