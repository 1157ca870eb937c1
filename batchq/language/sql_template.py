# SPDX-License-Identifier: MIT
"""SQL text that contains other statements: each is a piece of it, and is rendered with it.

A template has two kinds of gaps. ``{name}`` is SQL: a text that is known when the template is
made, such as a quoted name, or another statement. ``%(name)s`` is a value, as in ``sql()``.
Percent signs are doubled in the template alone: what is put in is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import chain
from operator import attrgetter
from string import Formatter
from typing import Any, cast

from attrs import frozen

from batchq.language.comparisons import copy_lists
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import casts
from batchq.language.placeholders import read, split
from batchq.language.shape import Shape
from batchq.language.statement import Statement
from batchq.language.syntax import Nested

_SHAPE = attrgetter("_shape")


@frozen(eq=False)
class SqlTemplate:
    """SQL text with gaps for statements and values; created by :func:`sql_template`."""

    text: str
    pieces: tuple[str, ...]
    """The text around the gaps: the first piece is before the first gap."""
    gaps: tuple[str, ...] = ()
    """The name of each gap, in the order of the text."""
    parts: tuple[str, ...] = ()
    """The names of the gaps for statements."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the gaps for values."""
        return tuple(dict.fromkeys([gap for gap in self.gaps if gap not in self.parts]))

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.gaps)

    def fill(self, **given: object) -> Statement[None]:
        """Return the statement with these values and statements in the gaps.

        :raises InvalidBatch: if other names are given than those of the gaps, or a statement has a
            result, mappings or guards.
        """
        if given.keys() != self._known:
            wrong = ", ".join(sorted(given.keys() ^ self._known))
            raise InvalidBatch(f"{self.text:.40}…: missing, or without a gap: {wrong}")
        values = copy_lists("sql()", tuple(map(given.__getitem__, self.names)))
        parts = cast("list[Statement[Any]]", list(map(given.__getitem__, self.parts)))
        shape = _filled(self, tuple(map(_SHAPE, parts)), casts(values))
        for part in parts:
            values += part._values
        return Statement(shape, values)


@lru_cache(maxsize=1024)
def sql_template(text: str, /, **known: str | SqlTemplate) -> SqlTemplate:
    """Return a template; the same one for the same arguments.

    :param text: the text. For a brace write ``{{`` or ``}}``, for a percent sign ``%%``.
    :param known: what is known already, by the names of gaps: SQL text, or another template. Gaps
        of the same name are filled together, in whichever of the templates they are.

    >>> from batchq import select, steps
    >>> exists = sql_template("SELECT EXISTS ({rows}) AS {name}", name='"100%"')
    >>> steps(exists.fill(rows=select("vpc", ["id"], where={"id": 7})))[0].sql
    'SELECT EXISTS (SELECT "id" FROM "vpc" WHERE "id" = $1) AS "100%"'
    """
    pieces, within = [""], list(_templates_in(text, known))
    for template in within:
        pieces[-1] += template.pieces[0]
        pieces += template.pieces[1:]
    return SqlTemplate(
        "".join([template.text for template in within]),
        tuple(pieces),
        tuple(chain.from_iterable([template.gaps for template in within])),
        tuple(dict.fromkeys(chain.from_iterable([template.parts for template in within]))),
    )


def _templates_in(text: str, known: dict[str, str | SqlTemplate]) -> Iterator[SqlTemplate]:
    for literal, name, _, _ in Formatter().parse(text):
        pieces, names = split(literal)
        yield SqlTemplate(literal, tuple(pieces), tuple(names))
        if name is not None:
            given = known.get(name, SqlTemplate(f"{{{name}}}", ("", ""), (name,), (name,)))
            yield SqlTemplate(given, (given,)) if isinstance(given, str) else given


@lru_cache(maxsize=4096)
def _filled(
    template: SqlTemplate, parts: tuple[Shape, ...], casts: tuple[str | None, ...]
) -> Shape:
    names = template.names
    places: dict[str, int | Nested] = {name: i for i, name in enumerate(names)}
    for name, part in zip(template.parts, parts, strict=True):
        if not part.is_bare:
            raise InvalidBatch(
                f"{template.text:.40}…: the statement {{{name}}} cannot have a result, mappings or "
                f"guards"
            )
        places[name] = Nested(part.source, len(names))
        names += part.names
    order = tuple(places[gap] for gap in template.gaps)
    return Shape(read(template.text, template.pieces, order, names, casts))
