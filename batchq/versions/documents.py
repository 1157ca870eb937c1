# SPDX-License-Identifier: MIT
"""Store documents that several versions of a service read and write.

A document is stored in an envelope that says its version: ``{"version": 2, "document": {…}}``. The
code has the model of the latest version only. Changes lead from one version to the next and back,
on plain JSON, so that no old model has to be kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, final, overload

from attrs import field, frozen
from psycopg.types.json import Jsonb

from batchq.language.argument_types import checked, is_of, items_of, of
from batchq.language.errors import InvalidBatch
from batchq.language.signatures import why_not_one
from batchq.language.special import REFUSED_IN_JSON
from batchq.language.validation import checked_call, listed
from batchq.versions.errors import Lossy, NoCommonVersion
from batchq.versions.plain_json import copied, differences, plain
from batchq.versions.proof import Proof, document_proof
from batchq.versions.variants import Unknown

if TYPE_CHECKING:
    from attrs import Attribute

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""What is the beginning of a file's name as well."""
_CLASSES_OF_JSON = (dict, list, str, int, float, type(None))


def _check_function(owner: object, attribute: Attribute[Any], function: Any) -> None:
    call = f"{type(owner).__name__}({attribute.name}=)"
    checked_call(call, function, why_not_one(function))


def _changes(given: Iterable[Change]) -> tuple[Change, ...]:
    changes = listed("Document(changes=)", given, "[Change(…)]")
    for change in cast("Sequence[object]", changes):
        checked("Document", "changes", change, Change, "[Change(…)]")
    return changes


@final
class Written(Jsonb):
    """A document in its envelope, to be written into a column of type jsonb.

    It is a ``Jsonb`` of psycopg, so it can be passed wherever a value can, but not as a part of
    JSON. ``.obj`` is plain JSON, for a peer. If it is written as a part of JSON, a gate does not
    see its version: pass ``needs`` to :meth:`Fleet.gate`.
    """

    __slots__ = ("document", "needs", "version")

    def __init__(self, document: str, version: int, needs: int, envelope: dict[str, Any]) -> None:
        super().__init__(envelope)
        self.document = document
        """The name of the document."""
        self.version = version
        """The version of the document that the envelope has."""
        self.needs = needs
        """The version that the oldest running process has to be, so that all of them read it."""

    def __repr__(self) -> str:
        """Return the document and its version, without values."""
        return f"<Written {self.document} version {self.version}>"


REFUSED_IN_JSON[Written] = (
    "write it to a column of its own, or pass its .obj, and its .needs to the gate, as needs="
)


@frozen(eq=False)
class Change:
    """One change of a document's form: to the next version and back, on plain JSON.

    :ivar up: makes a document of the next version. It must not fail for any that is stored.
    :ivar down: makes one of the version before. What it cannot express need not concern it:
        :meth:`Document.write` calls ``up`` with its result, and compares.
    :ivar since: the version of the fleet whose code was the first to read the changed form. Do not
        lower it after that version is released: :func:`check_frozen` does not know it.
    :raises ValueError: for a ``since`` below 1.
    :raises InvalidBatch: for what cannot be called with one argument, or is of another type.
    """

    up: Callable[[Any], Any] = field(validator=_check_function)
    down: Callable[[Any], Any] = field(validator=_check_function)
    since: int = field(validator=of("Change", int, "7, a version of the fleet"))

    def __attrs_post_init__(self) -> None:
        if self.since < 1:
            raise ValueError(f"Change(since={self.since}): versions of a fleet begin with 1")


@frozen(eq=False, repr=False)
class Document(Generic[T]):
    """A document that is stored in several versions, and the model of the latest one.

    :ivar name: for errors, and for the files of :func:`freeze`.
    :ivar load: makes the model of plain JSON of the latest version. It has to make a float of a
        number that is one: jsonb returns 1e16 as an int.
    :ivar dump: makes plain JSON of the model. It has to write every field: what it leaves out
        because it is a default has another meaning once the default is changed.
    :ivar changes: the changes after version ``first``, in order.
    :ivar first: the oldest version that can still be read. Raise it, and drop the first changes, if
        it is proven that no older one is stored.
    :raises ValueError: for a name that no file can have, a ``first`` below 1, or changes whose
        ``since`` falls.
    :raises InvalidBatch: for an argument of another type.

    >>> from attrs import asdict, frozen
    >>> @frozen
    ... class Spec:
    ...     memory_mib: int
    >>> SPEC = Document(
    ...     name="spec",
    ...     load=lambda json: Spec(**json),
    ...     dump=asdict,
    ...     changes=[
    ...         Change(
    ...             up=lambda json: {"memory_mib": json["memory_gib"] * 1024},
    ...             down=lambda json: {"memory_gib": json["memory_mib"] // 1024},
    ...             since=7,
    ...         )
    ...     ],
    ... )
    >>> SPEC.read({"version": 1, "document": {"memory_gib": 2}})
    Spec(memory_mib=2048)
    >>> SPEC.write(Spec(2048), floor=6).obj
    {'version': 1, 'document': {'memory_gib': 2}}
    >>> SPEC.write(Spec(512), floor=6)
    Traceback (most recent call last):
    batchq.versions.errors.Lossy: this spec cannot be written as version 1: memory_mib would be lost
    """

    name: str = field(validator=of("Document", str, '"instance_spec"'))
    load: Callable[[Any], T] = field(validator=_check_function)
    dump: Callable[[T], Any] = field(validator=_check_function)
    changes: Sequence[Change] = field(default=(), converter=_changes)
    first: int = field(default=1, validator=of("Document", int, "1"))

    def __attrs_post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(
                f"Document(name={self.name!r:.40}): use letters, digits, _ and -; it is a part of "
                f"the names of files"
            )
        if self.first < 1:
            raise ValueError(f"Document(first={self.first}): versions of a document begin with 1")
        needs = [change.since for change in self.changes]
        if needs != sorted(needs):
            raise ValueError(
                "Document(changes=): since= falls from one change to the next; list them in order"
            )

    def __repr__(self) -> str:
        """Return the name and the versions."""
        return f"<Document {self.name}: versions {self.first} to {self.latest}>"

    @property
    def latest(self) -> int:
        """The version of the model."""
        return self.first + len(self.changes)

    @property
    def reads(self) -> tuple[int, ...]:
        """The versions that this process reads, for a peer."""
        return tuple(range(self.first, self.latest + 1))

    def read(self, value: object, /) -> T | Unknown[Document[T]]:
        """Return the model of a stored document, of whatever version; a converter for a field.

        An error of ``up`` or ``load`` is raised as it is: it is a bug, unlike a later version.

        :param value: the envelope, as psycopg reads it from a column of type json or jsonb. A model
            is returned as it is, so that a row can be made of another one. If the model itself is
            plain JSON, it cannot be distinguished from a document: pass it in an envelope.
        :return: an :class:`Unknown` for a version that is later than the latest or older than the
            first, and for what is not an envelope, such as NULL. For a column that may have NULL,
            use ``attrs.converters.optional(SPEC.read)``.
        """
        stored: Any = value.obj if isinstance(value, Written) else value
        if not isinstance(stored, _CLASSES_OF_JSON):
            return cast("T", stored)
        version = version_of(cast("object", stored))
        if version is None or not self.first <= version <= self.latest:
            return Unknown(value, self)
        document = cast("dict[str, Any]", stored)["document"]
        return self.load(self._up(document, version))

    def _up(self, document: Any, version: int, to: int | None = None) -> Any:
        """Return a document of one version as a later one, by default the latest."""
        first, last = version - self.first, (to or self.latest) - self.first
        document = copied(document) if first < last else document  # which may change it
        for change in self.changes[first:last]:
            document = change.up(document)
        return document

    def _down(self, document: Any, version: int, to: int) -> Any:
        """Return a document of one version, in plain JSON, as an older one.

        :raises Lossy: if going up again does not result in the same document.
        """
        for older in range(version - 1, to - 1, -1):
            change = self.changes[older - self.first]
            call = f"{self.name} version {older}: down()"
            smaller = plain(call, change.down(copied(document)))
            again = plain(f"{self.name} version {older + 1}: up()", change.up(copied(smaller)))
            if lost := differences(document, again):
                raise Lossy(self.name, older, lost)
            document = smaller
        return document

    @overload
    def write(self, value: T, /, *, floor: int) -> Written: ...
    @overload
    def write(self, value: T, /, *, versions: Iterable[int]) -> Written: ...
    def write(
        self, value: T, /, *, floor: int | None = None, versions: Iterable[int] | None = None
    ) -> Written:
        """Return a document to store, of the newest version that all of its readers know.

        :param floor: the oldest running version of the fleet, as
            :meth:`Fleet.join` returns it. It may be out of date: it only rises, and an older
            version of a document is still read.
        :param versions: in the place of ``floor``: what a peer reads, its ``SPEC.reads``.
        :raises Lossy: if that version cannot express the value.
        :raises NoCommonVersion: if the peer reads none of the versions that this process reads.
        :raises InvalidBatch: for an :class:`Unknown`, and if ``dump`` returns no plain JSON.
        """
        if isinstance(value, Unknown):
            raise InvalidBatch(
                f"{self.name}.write(): pass a model, not an Unknown; to leave the document as it "
                f"is, leave its column out"
            )
        version = self._version(floor, versions)
        document = plain(f"{self.name}: dump()", self.dump(value))
        envelope = {"version": version, "document": self._down(document, self.latest, version)}
        return Written(self.name, version, self._since(version), envelope)

    def proof(self, table: str, column: str, version: int, /) -> Proof:
        """Return the CHECK which proves that a column has no document of an older version.

        For :meth:`Fleet.contract`, before ``first`` is raised to that version.

        :param column: a column of type json or jsonb, which may have NULL.
        :param version: one that this process reads.
        :raises InvalidBatch: for another version, or if the CHECK would have a name that is too
            long.

        >>> spec = Document(name="spec", load=dict, dump=dict)
        >>> spec.proof("instance", "spec", 1).constraint
        'instance_spec_1'
        """
        checked("Document.proof", "column", column, str, '"spec"')
        checked("Document.proof", "version", version, int, "2")
        if version not in self.reads:
            raise InvalidBatch(f"Document.proof(): version {version} is not one of {self!r}")
        return document_proof(table, column, version)

    def _since(self, version: int) -> int:
        """Return the version of the fleet that is the first to read a version of the document."""
        return 0 if version == self.first else self.changes[version - self.first - 1].since

    def _version(self, floor: object, versions: object) -> int:
        """Return the newest version that all readers know."""
        call = f"{self.name}.write()"
        if (floor is None) is (versions is None):
            raise InvalidBatch(f"{call}: pass floor=, or versions= for a peer, and not both")
        if versions is None:
            checked(call[:-2], "floor", floor, int, "window.oldest")
            known = [each for each in self.reads if self._since(each) <= cast("int", floor)]
            return max(known, default=self.first)
        peer = items_of(versions)
        if peer is None or not all(is_of(each, int) for each in peer):
            raise InvalidBatch(f"{call[:-1]}versions=): pass a list of versions, such as [1, 2]")
        common = set(self.reads).intersection(peer)
        if not common:
            raise NoCommonVersion(self.name, self.reads, peer)
        return max(common)


def version_of(value: object) -> int | None:
    """Return the version of what is in an envelope; None for what is not an envelope."""
    if not isinstance(value, dict):
        return None
    envelope = cast("dict[object, object]", value)
    version = envelope.get("version")
    return version if type(version) is int and envelope.keys() == {"version", "document"} else None
