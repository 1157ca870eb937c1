# SPDX-License-Identifier: MIT
"""The object of the application that a command works on."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, TypeVar

import click

from batchq.language.spelling import with_article

T = TypeVar("T")


class Target(click.ParamType[T]):
    """Convert ``module:attribute`` to an object of one of several classes.

    The current directory is searched first, as by ``python -m``.

    :param example: such a name, for a message.
    """

    name = "module:attribute"

    def __init__(self, *classes: type[T], example: str) -> None:
        self._classes = classes
        self._example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """Import the module and return its attribute."""
        if isinstance(value, self._classes):
            return value
        module, _, attribute = str(value).partition(":")
        if not (module and attribute):
            self.fail(f"{value!r} is not module:attribute, such as {self._example}", param, ctx)
        if (here := os.getcwd()) not in sys.path:  # noqa: PTH109  sys.path is of strings
            sys.path.insert(0, here)
        try:
            target: object = importlib.import_module(module)
            for name in attribute.split("."):
                target = getattr(target, name)
        except (ImportError, AttributeError) as error:
            self.fail(f"{value}: {error}", param, ctx)
        if not isinstance(target, self._classes):
            found = with_article(type(target), unlike=self._classes)
            self.fail(f"{value} is {found}, not {self._accepted()}", param, ctx)
        return target

    def _accepted(self) -> str:
        *others, last = (with_article(each) for each in self._classes)
        return f"{', '.join(others)} or {last}" if others else last
