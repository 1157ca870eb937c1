# SPDX-License-Identifier: MIT
"""Set some parameters of a declaration: to a constant, another parameter, a fragment, an output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from attrs import evolve

from batchq.language.binding import check_accepted
from batchq.language.comparisons import copy_lists
from batchq.language.errors import InvalidBatch
from batchq.language.inputs import read_cell, read_test
from batchq.language.operands import check_compared, check_lists, check_operand
from batchq.language.outputs import Output
from batchq.language.page_values import PAGE_TESTS, check_page_value
from batchq.language.parameters import Parameter, fields_of
from batchq.language.row_fields import default_of
from batchq.language.shape import Shape
from batchq.language.special import NO_PARAMETERS
from batchq.language.spelling import with_article
from batchq.language.syntax import (
    EQUALS,
    EQUALS_ANY,
    WITHOUT_VALUE,
    ColumnTest,
    Compared,
    Conditions,
    Delete,
    Expr,
    Expression,
    Insert,
    Join,
    RawSql,
    Select,
    Source,
    Update,
)
from batchq.language.takes import HasValues, Takes, Values
from batchq.language.value_places import FRAGMENT, tests_of

Replacements = Mapping[Parameter, object]
"""What is put in the place of parameters."""


def replacements_of(
    takes: Takes, statements: Iterable[HasValues], values: Mapping[str, object]
) -> Replacements:
    """Return what ``.partial(**values)`` puts in the place of parameters.

    If a field of the row is set, the row is not taken any more: the default of each other field is
    its value, and a field without one is a parameter of its name.

    :raises InvalidBatch: for an unknown name, or a value that does not fit.
    """
    replace: dict[Parameter, object] = {}
    for name, value in values.items():
        parameter, field = takes.named.get(name), takes.fields.get(name)
        if parameter is not None and field is not None:
            raise InvalidBatch(
                f"partial(): {name!r} is a parameter and a field of the row; rename the parameter"
            )
        target = field if parameter is None else parameter
        if target is None:
            raise InvalidBatch(f"partial() takes no {name!r}; it takes {takes}")
        if isinstance(value, Parameter) and target is field and value.row is takes.row:
            raise InvalidBatch(
                f"partial(): {name}= is a field of the row that is taken already; "
                f"set it to a field of another row, or say .takes()"
            )
        if type(value) not in NO_PARAMETERS:
            check_accepted("partial()", target, value)
        (replace[target],) = copy_lists("partial()", (value,))
    if not takes.fields.keys().isdisjoint(values):
        for field in takes.fields.values():
            if field not in replace:
                (replace[field],) = copy_lists("partial()", (_default(field),))
    _check_tests("partial()", statements, replace)
    return replace


def taken_as(takes: Takes, statements: Iterable[HasValues], cls: object) -> Replacements:
    """Return what ``.takes(cls)`` puts in the place of the parameters: the fields of the row.

    :raises InvalidBatch: if one of them is not a field of the row.
    """
    fields = fields_of("takes()", cls)
    name = with_article(cast("type[Any]", cls))
    if takes.row is not None and takes.row is not cast("type[Any]", cls):
        raise InvalidBatch(f"takes(): the batch takes {with_article(takes.row)}, not {name}")
    missing = [each for each in takes.named if each in takes.required and each not in fields]
    if missing:
        raise InvalidBatch(
            f"takes(): {name} has no field {missing[0]!r}; it has {', '.join(fields)}"
        )
    replace = {
        named: Parameter(each, named.accepted, fields[each].row, is_checked=True)
        for each, named in takes.named.items()
        if each in fields
    }
    if not replace and takes.row is None:
        raise InvalidBatch(f"takes(): the batch takes {takes}, and no field of {name}")
    # An annotation that cannot be resolved says nothing; the type of the parameter is checked.
    annotated = {each: fields[each.name] for each in replace if fields[each.name].accepted}
    _check_tests("takes()", statements, annotated)
    return replace


def _default(field: Parameter) -> object:
    """Return what stands in the place of a field that is not set."""
    default = default_of(cast("type[Any]", field.row), field.name)
    if default is None:
        return Parameter(field.name, field.accepted)
    if default.factory is None:
        return default.value
    name = f"{cast('type[Any]', field.row).__name__}.{field.name}"
    return Parameter(name, field.accepted, factory=default.factory, is_default=True)


def _check_tests(call: str, statements: Iterable[HasValues], replace: Replacements) -> None:
    """Reject what a condition would never match, or compare in another way."""
    for statement in statements:
        values = _put_in(statement._values, replace)
        if lists := statement._shape.lists_alone:
            check_lists(call, [values[place] for place in lists])
        tests = tests_of(statement._shape)
        for value, new, test in zip(statement._values, values, tests, strict=True):
            if test is not None and test != FRAGMENT and isinstance(value, Parameter):
                _check_test(call, test, value.name, new)


def _check_test(call: str, test: str, name: str, new: object) -> None:
    """Reject what stands in the place of the parameter in one condition."""
    if test in PAGE_TESTS:
        check_page_value(call, test, name, new)
    elif type(new) not in NO_PARAMETERS:
        check_compared(call, new, name, test)
    elif test not in (EQUALS, EQUALS_ANY):
        check_operand(call, test, new)
    elif isinstance(new, Parameter):
        if read_test(call, name, new, []) != test:
            takes = "one of a list" if test == EQUALS_ANY else "one value"
            raise InvalidBatch(
                f"{call}: {name!r} is compared with {takes}, and {new.name!r} is not of that type"
            )
    elif test == EQUALS_ANY:
        raise InvalidBatch(
            f"{call}: {name!r} is compared with one of a list, and would be compared "
            f"by = with {with_article(type(new))}; write the condition as sql()"
        )


def replaced_values(values: Values, replace: Replacements) -> Values:
    """Return the values with others in the place of parameters, which all stand for one value.

    :raises InvalidBatch: for a fragment or an output, which changes the SQL.
    """
    for value in replace.values():
        if isinstance(value, Output | Expression):
            raise InvalidBatch(
                f"partial(): {with_article(type(value))} changes the SQL of one statement; set it "
                f"there, before that is composed"
            )
    return _put_in(values, replace)


def _put_in(values: Values, replace: Replacements) -> Values:
    """Return the values with others in the place of parameters, whatever these are."""
    return tuple([replace.get(v, v) if isinstance(v, Parameter) else v for v in values])


def replaced(shape: Shape, values: Values, replace: Replacements) -> tuple[Shape, Values]:
    """Return the shape and the values of a statement with some parameters replaced.

    :raises InvalidBatch: for a fragment or an output inside a ``sql()`` text.
    """
    if not any(isinstance(value, Output | Expression) for value in replace.values()):
        return shape, replaced_values(values, replace)
    rewriter = _Rewriter(replace, iter(values))
    source = rewriter.source(shape.source)
    conditions = tuple([evolve(each, test=rewriter.where(each.test)) for each in shape.conditions])
    return evolve(shape, source=source, conditions=conditions), tuple(rewriter.values)


class _Rewriter:
    """Replaces parameters in one part of a statement after the other."""

    def __init__(self, replace: Replacements, declared: Iterator[object]) -> None:
        self._replace, self._declared = replace, declared
        self.values: list[object] = []

    def _put(self, declared: object) -> object:
        if not isinstance(declared, Parameter):
            return declared
        return self._replace.get(declared, declared)

    def source(self, source: Source) -> Source:
        """Replace values in the order of the text, which is that of the declared ones."""
        match source:
            case RawSql():
                return self.fragment(source)
            case Insert(query=query, conflict=on):
                if query is not None:
                    query = self._select(query)
                source = evolve(source, cells=self.cells(source.cells), query=query)
                if on is None:
                    return source
                on = evolve(on, cells=self.cells(on.cells), where=self.where(on.where))
                return evolve(source, conflict=on)
            case Update():
                cells, join = self.cells(source.cells), self._join(source.join)
                return evolve(source, cells=cells, join=join, where=self.where(source.where))
            case Select():
                return self._select(source)
            case Delete():
                join = self._join(source.join)
                return evolve(source, join=join, where=self.where(source.where))

    def _join(self, join: Join | None) -> Join | None:
        if join is None or isinstance(join.table, str):
            return join
        return evolve(join, table=self._select(join.table))

    def _select(self, select: Select) -> Select:
        for column in select.columns or ():
            if isinstance(column, RawSql):
                self.fragment(column)
        changed = evolve(select, where=self.where(select.where))
        self._page(select)
        return changed

    def _page(self, source: Select) -> None:
        """Replace the values of a page, which are neither fragments nor outputs."""
        if source.after:
            self.values += [self._put(next(self._declared)) for _ in source.order]
        for key in source.order:
            self.fragment(key.column) if isinstance(key.column, RawSql) else None
        if source.limited:
            self.values.append(self._put(next(self._declared)))

    def fragment(self, fragment: RawSql) -> RawSql:
        """Replace values in a ``sql()`` text, whose SQL stays."""
        for name in fragment.names:
            declared = next(self._declared)
            value = self._put(declared)
            if value is not declared and isinstance(value, Expression | Output):
                raise InvalidBatch(
                    f"partial(): {with_article(type(value))} cannot stand for {name!r} inside "
                    f"sql(); write it in that text"
                )
            self.values.append(value)
        return fragment

    def cells(self, cells: Sequence[Expr]) -> tuple[Expr, ...]:
        """Replace values that are assigned to columns."""
        return tuple([self._cell(cell) for cell in cells])

    def _cell(self, cell: Expr) -> Expr:
        if isinstance(cell, RawSql):
            return self.fragment(cell)
        cell, own = read_cell("partial()", self._put(next(self._declared)))
        self.values += own
        return cell

    def where(self, where: Conditions) -> Conditions:
        """Replace values in conditions."""
        if isinstance(where, RawSql):
            return self.fragment(where)
        return tuple([self._condition(condition) for condition in where])

    def _condition(self, condition: ColumnTest | RawSql) -> ColumnTest | RawSql:
        if isinstance(condition, RawSql):
            return self.fragment(condition)
        column, test = condition
        if isinstance(test, RawSql):
            return column, self.fragment(test)
        if isinstance(test, Compared):
            (operand,) = self.cells([test.operand])
            return column, Compared(test.operator, operand)
        if test in WITHOUT_VALUE:
            return condition
        value = self._put(next(self._declared))
        if isinstance(value, Expression | Output):
            return column, read_test("partial()", column, value, self.values)
        self.values.append(value)
        return condition
