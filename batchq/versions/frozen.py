# SPDX-License-Identifier: MIT
"""Freeze documents in files that are never written again, and find what has changed since.

Code that reads what older versions have stored is right as long as it reads these files as before.
A fixture is a value as its version has stored it. Beside it is what it becomes in each other
version, or which parts of it that version cannot express, so that a change whose ``up`` or ``down``
is edited later is found too. A list of digests finds files that were edited or deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, cast

from attrs import frozen

from batchq.language.argument_types import checked
from batchq.language.errors import InvalidBatch
from batchq.versions.documents import Document
from batchq.versions.errors import Lossy
from batchq.versions.frozen_files import DIGEST, FrozenFile, FrozenFiles
from batchq.versions.plain_json import ROOT, copied, differences

T = TypeVar("T")

Folder = str | PathLike[str]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


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

    >>> from tempfile import TemporaryDirectory
    >>> spec = Document(name="spec", load=dict, dump=dict)
    >>> with TemporaryDirectory() as folder:
    ...     freeze(spec, folder, "small", {"memory": 1}).name
    ...     [str(finding) for finding in check_frozen(spec, folder)]
    'spec.small.1.json'
    []
    """
    frozen_files = _files("freeze", document, folder)
    checked("freeze", "name", name, str, '"two-disks"')
    if _NAME.fullmatch(name) is None:
        raise InvalidBatch(f"freeze(name={name!r:.40}): use letters, digits, _ and - in the name")
    latest, fixture = document.latest, FrozenFile(name, document.latest)
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
        records[FrozenFile(name, latest, version)] = _record(document, stored, latest, version)
    for file in frozen_files.missing_conversions(document.reads):
        earlier = frozen_files.read(FrozenFile(file.fixture, file.version))["document"]
        records[file] = _record(document, earlier, file.version, cast("int", file.other))
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


def _files(call: str, document: Document[Any], folder: Folder) -> FrozenFiles:
    checked(call, "document", document, Document, "SPEC")
    checked(call, "folder", folder, (str, PathLike), 'Path("tests/frozen")')
    return FrozenFiles(document, Path(folder))


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


def _changed_files(frozen_files: FrozenFiles) -> Iterator[Finding]:
    listed, digests = frozen_files.listed(), frozen_files.digests
    for number, line in enumerate(frozen_files.lines(), start=1):
        if line and DIGEST.fullmatch(line) is None:
            yield Finding(
                digests.name, f"line {number} is not a digest and a name; merge it, or {_RESTORE}"
            )
    for name, digest in listed.items():
        if damage := frozen_files.damage(name, digest):
            yield Finding(name, f"{damage}; {_RESTORE}")
    for name in frozen_files.there():
        if name not in listed:
            yield Finding(
                name,
                f"the file is not listed in {digests.name}; restore its line from the history, or "
                f"delete the file and freeze it again",
            )


_RESTORE = "restore it from the history"


def _missing_versions(frozen_files: FrozenFiles) -> Iterator[Finding]:
    """Find versions without a fixture, from the first that was frozen, and without a conversion."""
    document = frozen_files.document
    versions = {file.version for file in frozen_files.fixtures()}
    first = max(min(versions, default=document.latest), document.first)
    for version in range(first, document.latest + 1):
        if version not in versions:
            yield Finding(
                "", f"version {version} of {document.name} has no fixture; freeze() a value"
            )
    for file in frozen_files.missing_conversions(versions):  # as after a merge of two branches
        yield Finding(
            FrozenFile(file.fixture, file.version).name(document),
            f"it is not frozen as version {file.other}; freeze() another value, which does it",
        )
    for version in sorted(versions):
        if version > document.latest:
            yield Finding(
                "",
                f"version {version} of {document.name} is frozen, and changes= ends at "
                f"{document.latest}; restore the change",
            )


def _changed_forms(frozen_files: FrozenFiles) -> Iterator[Finding]:
    """Find what is converted, read or written in another way than before."""
    document, intact = frozen_files.document, frozen_files.intact()
    for name in frozen_files.listed():
        file = frozen_files.file(name)
        if file is None:
            continue
        fixture = FrozenFile(file.fixture, file.version)
        if not {name, fixture.name(document)} <= intact:
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


def _changed(frozen_files: FrozenFiles, file: FrozenFile) -> tuple[str, ...]:
    """Return the paths at which a document is not as it was frozen."""
    document = frozen_files.document
    if file.other is None:
        latest = document._up(frozen_files.read(file)["document"], file.version)
        return differences(latest, _dumped(document, latest), is_exact=True)
    stored = frozen_files.read(FrozenFile(file.fixture, file.version))["document"]
    return _differences(
        frozen_files.read(file), _record(document, stored, file.version, file.other)
    )


def _differences(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, ...]:
    """Return the paths at which two records differ; if a part is lost in one, what is lost."""
    lost, lost_now = before.get("lossy"), now.get("lossy")
    if lost is None and lost_now is None:
        return differences(before["document"], now["document"], is_exact=True)
    return () if lost == lost_now else tuple(lost_now or lost or [ROOT])
