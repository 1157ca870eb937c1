# SPDX-License-Identifier: MIT
"""What cannot be the argument of a document is rejected with what to pass instead."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from os import PathLike
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict

from batchq import InvalidBatch
from batchq.versions import Change, Document, check_frozen, freeze, tolerant
from tests.support.argument_types import (
    ANY,
    Arguments,
    assert_rejects_wrong_types,
    call,
    parameters,
    public_methods,
)
from tests.versions.spec_documents import CHANGES, load


class Distribution(StrEnum):
    DEBIAN = "debian"


FUNCTION = (type,)
NONE = type(None)
SPEC = Document(name="spec", load=dict, dump=dict)
FOLDER = ("/nowhere/frozen", (str, PathLike))
CALLS: dict[str, tuple[Callable[..., Any], Arguments]] = {
    "Change": (
        Change,
        {"up": (dict, FUNCTION), "down": (dict, FUNCTION), "since": (7, (int,))},
    ),
    "Document": (
        Document,
        {
            "name": ("spec", (str,)),
            "load": (dict, FUNCTION),
            "dump": (dict, FUNCTION),
            "changes": ((), ()),
            "first": (1, (int,)),
        },
    ),
    "Document.proof": (
        SPEC.proof,
        {"table": ("instance", (str,)), "column": ("spec", (str,)), "version": (1, (int,))},
    ),
    "Document.read": (SPEC.read, {"value": (None, ANY)}),
    "Document.write": (
        SPEC.write,
        {"value": ({}, ANY), "floor": (7, (int, NONE)), "versions": (None, (NONE,))},
    ),
    "Document.write to a peer": (
        SPEC.write,
        {"value": ({}, ANY), "floor": (None, ANY), "versions": ([1], (NONE,))},
    ),
    "check_frozen": (
        check_frozen,
        {"document": (SPEC, ()), "folder": ("no/such/folder", (str, PathLike))},
    ),
    "tolerant": (tolerant, {"enum": (Distribution, ())}),
}


def test_table_has_every_function_of_a_document() -> None:
    assert public_methods((Document,)).keys() <= CALLS.keys()
    for name, (function, arguments) in CALLS.items():
        assert parameters(function) == arguments.keys(), name


@pytest.mark.parametrize("name", CALLS)
def test_argument_of_a_wrong_type_is_rejected(name: str) -> None:
    call(*CALLS[name])  # the others are right
    assert_rejects_wrong_types(*CALLS[name])


def test_freeze_rejects_arguments_of_a_wrong_type(tmp_path: Path) -> None:
    arguments: Arguments = {
        "document": (SPEC, ()),
        "folder": (tmp_path, (str, PathLike)),
        "name": ("empty", (str,)),
        "value": ({}, ANY),
    }

    assert parameters(freeze) == arguments.keys()
    assert_rejects_wrong_types(freeze, arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "two words"},
        {"name": ""},
        {"first": 0},
        {"changes": CHANGES[::-1]},
    ],
    ids=["name", "empty name", "first", "order"],
)
def test_document_that_cannot_be_is_a_value_error(arguments) -> None:
    with pytest.raises(ValueError, match=r"Document\("):
        Document(**{"name": "spec", "load": load, "dump": asdict, **arguments})


def test_change_since_a_version_that_cannot_be_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="begin with 1"):
        Change(up=dict, down=dict, since=0)


def test_function_that_is_awaited_is_rejected() -> None:
    async def later(_: object) -> object: ...

    with pytest.raises(InvalidBatch, match=r"Change\(down=\).*cannot be called"):
        Change(up=dict, down=later, since=6)
    with pytest.raises(InvalidBatch, match=r"Document\(load=\).*it takes no argument"):
        Document(name="spec", load=lambda: None, dump=dict)
    with pytest.raises(InvalidBatch, match="not both"):
        SPEC.write({}, floor=1, versions=[1])
