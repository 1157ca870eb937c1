# SPDX-License-Identifier: MIT
"""What is known of a declaration lives as long as it does, and no longer: of one that is composed
for each call neither itself nor its constants are kept."""

from __future__ import annotations

import gc
import weakref

import pytest
from attrs import frozen

from batchq import gather, insert, param, run, sql, update


class Name(str):
    """A text that a weak reference may refer to."""

    __slots__ = ("__weakref__",)


@frozen
class Item:
    """A row."""

    id: int
    name: str


ITEM = insert("item", Item)
BY_ID = {"id": param("id", int)}


def whole(rows):
    return gather(ITEM.each(rows), update("item", {"name": "y"}, where=BY_ID))


FORMS = {
    "a whole batch": whole,
    "a whole batch, labelled": lambda rows: whole(rows).label("items"),
    "a part": lambda rows: whole(rows).partial(id=7),
    "one statement": lambda _: update("item", {"name": "y"}, where=BY_ID),
}


@pytest.mark.parametrize("form", FORMS)
def test_declaration_of_one_call_is_not_kept(conn, form):
    conn.execute("CREATE TABLE item (id int, name text)")
    conn.prepare_threshold = 0

    def once(number):
        name = Name("web")
        declared = FORMS[form]([Item(number, name)])
        bound = declared.bind() if form == "a part" else declared.bind(id=number)
        run(conn, gather(bound) if form == "one statement" else bound)
        return weakref.ref(declared), weakref.ref(name)

    left = [reference for number in range(8) for reference in once(number)]
    gc.collect()
    assert [reference() for reference in left] == [None] * 16


def test_what_is_known_of_a_long_declaration_is_found_once(conn):
    statement = sql("SELECT %(a)s::int8", a=param("a", int)).scalar(int)
    declared = gather(*[statement] * 300)
    bound = [declared.bind(a=number) for number in range(4)]
    assert [run(conn, each) for each in bound] == [(number,) * 300 for number in range(4)]
    known = len(bound[0].taken.known)
    run(conn, declared.bind(a=4))
    assert len(bound[0].taken.known) == known
