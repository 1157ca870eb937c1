# SPDX-License-Identifier: MIT
"""Read and write the files in which a document is frozen, and find those that were damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from attrs import frozen

from batchq.versions.documents import Document

DIGEST = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>.+)")
"""A line of the list of digests."""
_FILE = re.compile(r"(?P<fixture>.+)\.(?P<version>\d+)(?:\.as-(?P<other>\d+))?\.json")


@frozen(order=True)
class FrozenFile:
    """A file of one fixture: as its version has stored it, or as it is in another version."""

    fixture: str
    version: int
    other: int | None = None

    def name(self, document: Document[Any]) -> str:
        """Return the name of the file."""
        suffix = "" if self.other is None else f".as-{self.other}"
        return f"{document.name}.{self.fixture}.{self.version}{suffix}.json"


@frozen
class FrozenFiles:
    """The files of one document in a folder."""

    document: Document[Any]
    folder: Path

    @property
    def digests(self) -> Path:
        """The file that lists the digest of each file, in the format of sha256sum."""
        return self.folder / f"{self.document.name}.sha256"

    def listed(self) -> dict[str, str]:
        """Return the digest of each file that was written, by its name."""
        lines = map(DIGEST.fullmatch, self.lines())
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

    def file(self, name: str) -> FrozenFile | None:
        """Return what a file is of; None if its name is of no such file."""
        match = _FILE.fullmatch(name.removeprefix(f"{self.document.name}."))
        if match is None:
            return None
        version, other = int(match["version"]), match["other"]
        return FrozenFile(match["fixture"], version, None if other is None else int(other))

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

    def read(self, file: FrozenFile) -> Any:
        """Return the envelope of a fixture, or the record beside it."""
        return json.loads((self.folder / file.name(self.document)).read_text(encoding="utf-8"))

    def write(self, file: FrozenFile, record: dict[str, Any]) -> None:
        """Write a file, which must not exist, and list its digest."""
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        name = file.name(self.document)
        with (self.folder / name).open("x", encoding="utf-8", newline="\n") as new:
            new.write(text)
        with self.digests.open("a", encoding="utf-8", newline="\n") as digests:
            digests.write(f"{sha256(text.encode()).hexdigest()}  {name}\n")

    def fixtures(self) -> list[FrozenFile]:
        """Return the fixtures that are listed and can be read by this code."""
        files = map(self.file, self.listed())
        return sorted(file for file in files if file is not None and file.other is None)

    def missing_conversions(self, versions: Iterable[int]) -> Iterator[FrozenFile]:
        """Yield the files that the fixtures do not have: what they are in other versions."""
        listed, document = self.listed(), self.document
        versions = sorted({*versions} & {*document.reads})
        for file in self.fixtures():
            if file.version not in document.reads:
                continue
            for version in versions:
                other = FrozenFile(file.fixture, file.version, version)
                if version != file.version and other.name(document) not in listed:
                    yield other
