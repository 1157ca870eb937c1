# SPDX-License-Identifier: MIT
"""The reader's side of the fence: a parent with its children, all of them or none."""

from __future__ import annotations

from typing import TypeVar

from batchq.language.batch import Batch
from batchq.language.compose import gather

P = TypeVar("P")
C = TypeVar("C")


def read_tree(parent: Batch[P], children: Batch[C]) -> Batch[tuple[P, C]]:
    """Read children first and their parent last.

    Every statement of a batch sees what was committed before it began. No child goes before its
    parent is hidden: so a parent that is found alive behind them had them all. In a transaction of
    one snapshot (``isolation=REPEATABLE_READ``) the order does not matter; here it is enough.

    :param parent: reads the parent, and fails where it does not live: :meth:`Parent.read`.
    :param children: reads the children: :meth:`Children.read`, several of them gathered.
    :return: the parent, and the children.

    >>> from attrs import frozen
    >>> from batchq import Parent
    >>> @frozen
    ... class Row:
    ...     id: int
    >>> vpc = Parent(table="vpc")
    >>> rules = vpc.children("vpc_firewall_rule", by="vpc_id")
    >>> view = read_tree(vpc.read(7, Row, missing=LookupError("7")), rules.read(7, Row))
    >>> [step.path for step in view.steps()]
    ['vpc_firewall_rule', 'vpc']
    """
    return gather(children, parent).map(_parent_first)


def _parent_first(read: tuple[C, P]) -> tuple[P, C]:
    children, parent = read
    return parent, children
