# SPDX-License-Identifier: MIT
"""Freeze documents in files that are never written again, and find what has changed since.

Code that reads what older versions have stored is right as long as it reads these files as before.
A fixture is a value as its version has stored it. Beside it is what it becomes in each other
version, so that a change whose ``up`` or ``down`` is edited later is found too. A list of digests
finds files that were edited or deleted.
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
from batchq.versions.plain_json import copied, differences

T = TypeVar("T")

Folder = str | PathLike[str]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
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
        if not self.digests.exists():
            return {}
        lines = self.digests.read_text(encoding="utf-8").splitlines()
        return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}

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

    def read(self, file: _File) -> Any:
        """Return the document in a file, without its envelope."""
        text = (self.folder / file.name(self.document)).read_text(encoding="utf-8")
        return json.loads(text)["document"]

    def write(self, file: _File, version: int, document: Any) -> None:
        """Write a file, which must not exist, and list its digest."""
        envelope = {"version": version, "document": document}
        text = json.dumps(envelope, indent=2, ensure_ascii=False) + "\n"
        name = file.name(self.document)
        with (self.folder / name).open("x", encoding="utf-8", newline="\n") as new:
            new.write(text)
        with self.digests.open("a", encoding="utf-8", newline="\n") as digests:
            digests.write(f"{_digest(text)}  {name}\n")

    def fixtures(self) -> list[_File]:
        """Return the fixtures that are listed and can be read by this code."""
        files = map(self.file, self.listed())
        return sorted(file for file in files if file is not None and file.other is None)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def freeze(document: Document[T], folder: Folder, name: str, value: T) -> Path:
    """Write a value as the latest version of a document stores it, to a file that stays.

    Do it for each version, before it is released. What earlier fixtures become in this version is
    frozen as well. Commit all files, and let no formatter rewrite them.

    :param folder: it is made if it does not exist, and may have fixtures of other documents.
    :param name: what the value is an example of: ``"two-disks"``.
    :return: the file.
    :raises FileExistsError: if it is frozen already; a fixture is never written again.
    :raises InvalidBatch: if ``load`` does not read what ``dump`` returns as it was.
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
    if lost := differences(stored, _dumped(document, stored)):
        raise InvalidBatch(
            f"freeze(): {', '.join(lost)} is not the same after load() and dump(); mend these first"
        )
    frozen_files.folder.mkdir(parents=True, exist_ok=True)
    frozen_files.write(fixture, latest, stored)
    for file in frozen_files.fixtures():
        others = range(document.first, latest) if file == fixture else [latest]
        for version in others:
            _freeze_as(frozen_files, file, version, listed)
    return path


def _freeze_as(frozen_files: _Frozen, file: _File, version: int, listed: dict[str, str]) -> None:
    """Write what a fixture is in another version, unless it was written or is not expressible."""
    document = frozen_files.document
    other = _File(file.fixture, file.version, version)
    if other.name(document) in listed or not document.first <= file.version != version:
        return
    try:
        converted = _converted(document, frozen_files.read(file), file.version, version)
    except Lossy:
        return
    frozen_files.write(other, version, converted)


def _files(call: str, document: Document[Any], folder: Folder) -> _Frozen:
    checked(call, "document", document, Document, "SPEC")
    checked(call, "folder", folder, (str, PathLike), 'Path("tests/frozen")')
    return _Frozen(document, Path(folder))


def _converted(document: Document[Any], stored: Any, version: int, to: int) -> Any:
    """Return a document of one version as another one."""
    if version < to:
        return document._up(stored, version, to)
    return document._down(stored, version, to)


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
    listed, there = frozen_files.listed(), frozen_files.there()
    for name, digest in listed.items():
        if name not in there:
            yield Finding(name, "the file was deleted; restore it from the history")
        elif _digest((frozen_files.folder / name).read_text(encoding="utf-8")) != digest:
            yield Finding(name, "the file was edited; restore it from the history")
    for name in there:
        if name not in listed:
            yield Finding(name, f"the file is not listed in {frozen_files.digests.name}; freeze it")


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
    document, there = frozen_files.document, set(frozen_files.there())
    for name in frozen_files.listed():
        file = frozen_files.file(name)
        if file is None or not {name, _File(file.fixture, file.version).name(document)} <= there:
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
        latest = document._up(frozen_files.read(file), file.version)
        return differences(latest, _dumped(document, latest))
    stored = frozen_files.read(_File(file.fixture, file.version))
    converted = _converted(document, stored, file.version, file.other)
    return differences(frozen_files.read(file), converted)
