# SPDX-License-Identifier: MIT
"""Suggest what to write instead of a method of another library, or of a statement.

Each name is a descriptor of its own: ``__getattr__`` would make every attribute of a statement
slower to read.
"""

from __future__ import annotations

from inspect import getattr_static

from attrs import frozen

_ROW = "maybe(Model) for one row or none, or one(Model) for exactly one"
_ROWS = "all(Model)"
_VALUE = "scalar(type)"
_WHERE = "where= of select(), update() and delete()"
_SQL = 'sql("SELECT …")'
_CONFLICT = "on_conflict_do_update(), or on_conflict_do_nothing()"
_RUN = "run(connection, statement)"

INSTEAD = {
    "one_or_none": "maybe(Model)",
    "first": _ROW,
    "fetchone": _ROW,
    "fetchrow": _ROW,
    "fetchall": _ROWS,
    "fetchmany": _ROWS,
    "scalars": _ROWS,
    "mappings": "all(dict)",
    "scalar_one": _VALUE,
    "scalar_one_or_none": "maybe(Model)",
    "fetchval": _VALUE,
    "rowcount": "count()",
    "with_for_update": "for_update()",
    "select_for_update": "for_update()",
    "lock": "for_update()",
    "on_conflict": _CONFLICT,
    "from_select": "insert(table, select(…))",
    "ignore_conflicts": "on_conflict_do_nothing()",
    "values": "the row as the second argument of insert()",
    "set": "set= of update()",
    "where": _WHERE,
    "filter": _WHERE,
    "filter_by": _WHERE,
    "columns": "columns= of select()",
    "order_by": "order_by= of select()",
    "group_by": _SQL,
    "limit": "limit= of select()",
    "offset": "after= of select(), the last row of the page before",
    "join": _SQL,
    "distinct": _SQL,
    "bindparams": 'sql("… %(name)s …", name=value)',
    "params": 'sql("… %(name)s …", name=value)',
    "execute": _RUN,
    "run": _RUN,
    "raises": "on(matcher, error)",
    "guard": "expect(), require() or ensure()",
    "then": "gather(first, second)",
}
"""Names of SQLAlchemy, Django, psycopg and asyncpg, and what to write for them."""

INSTEAD_OF_BATCH = {"each": "sequence(map(declaration.bind, rows))"}
"""Methods of a statement that a whole batch does not have, and what to write for them."""


@frozen
class _OtherName:
    """An attribute that does not exist, for ``hasattr`` too; the error says what to write."""

    name: str
    instead: str

    def __get__(self, instance: object, owner: type[object]) -> object:
        message = f"{owner.__name__} has no {self.name}; write {self.instead}"
        raise AttributeError(message)


class BatchNames:
    """Base class of a batch, with the hints for one."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        """List the attributes without the hints."""
        return [name for name in super().__dir__() if not _is_hint(type(self), name)]


class OtherNames:
    """Base class of a statement, with the hints for one."""

    __slots__ = ()


def _is_hint(cls: type[object], name: str) -> bool:
    return isinstance(getattr_static(cls, name, None), _OtherName)


for _class, _names in ((OtherNames, INSTEAD), (BatchNames, INSTEAD_OF_BATCH)):
    for _name, _instead in _names.items():
        setattr(_class, _name, _OtherName(_name, _instead))
