# SPDX-License-Identifier: MIT
"""Values of many PostgreSQL types, as input texts: chosen odd ones, and random ones."""

from __future__ import annotations

import json
from datetime import UTC

from hypothesis import strategies as st

MAKE_TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"');
CREATE TYPE pair AS (a int, b text, c float8);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN document AS jsonb;
CREATE TYPE tag AS ENUM ('x', 'y');
CREATE FUNCTION tag_json(tag) RETURNS json LANGUAGE sql AS $$ SELECT '"tag"'::json $$;
CREATE CAST (tag AS json) WITH FUNCTION tag_json(tag);
"""

_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)


def _array(elements: st.SearchStrategy[str | None]) -> st.SearchStrategy[str]:
    return st.lists(elements, max_size=4).map(_array_text)


def _array_text(items: list[str | None]) -> str:
    return f"{{{','.join('NULL' if item is None else json.dumps(item) for item in items)}}}"


_plain = st.text("abc ,{}'", max_size=6)
_ints = st.integers(-(2**31), 2**31 - 1).map(str)
_floats = st.floats(allow_subnormal=True).map(repr)
_moments = st.datetimes(timezones=st.just(UTC)).map(str)

ODD: dict[str, list[str]] = {
    "smallint": ["-32768"],
    "bigint": ["9223372036854775807", "-9223372036854775808"],
    "numeric": ["NaN", "Infinity", "1.00", "-0.0001", "9" * 100, "1e-100", "1e1000"],
    "numeric(6,2)": ["1.10"],
    "float4": ["-0", "NaN", "3.4028235e38", "0.1"],
    "float8": ["-0", "NaN", "Infinity", "-Infinity", "5e-324", "1.7976931348623157e308", "0.1"],
    "boolean": ["true", "false"],
    "text": ["", "null", " x ", "a'b\"c\\d\ne\tf", "\U0001f600\u2028", "\x01\x7f", "x" * 100_000],
    "char(5)": ["ab"],
    "varchar(9)": ["ab "],
    '"char"': ["x"],
    "name": ["n"],
    "bytea": ["\\x", "\\x00ff5c27"],
    "uuid": ["00000000-0000-0000-0000-000000000001"],
    "timestamptz": [
        "infinity", "-infinity", "2024-02-29 12:34:56.123456+05:30", "0044-03-15 00:00:00+00 BC",
        "294276-12-31 23:59:59.999999+00",
    ],
    "timestamp": ["infinity", "2024-02-29 12:34:56.000001", "0044-03-15 00:00:00 BC"],
    "date": ["infinity", "0044-03-15 BC", "5874897-12-31"],
    "time": ["24:00:00", "00:00:00.000001"],
    "timetz": ["12:00:00.5+05:30"],
    "interval": ["1 year -2 mons +3 days -04:05:06.000007", "-178000000 years", "0"],
    "inet": ["10.0.0.1", "10.0.0.1/8", "::1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "jsonb": ['"x"', '"null"', "[null, 1.00]", '{"a": null}', "1e400", "true", '"{}"', '"\\\\"'],
    "json": ['"x"', "[null, 1.00]", '{"a": null}'],
    "document": ['"x"', '{"a": [1]}'],
    "mood": ["sad", "it's \"ok\""],
    "tag": ["x"],
    "positive": ["7"],
    "pair": ['(1,"a,b",2.5)', "(,,)", '(1,"",-0)'],
    "int[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[2:3]={1,2}"],
    "text[]": ['{a,"b c",NULL,"NULL","","\\\\\\""}'],
    "float8[]": ["{-0,NaN,1e300}"],
    "bytea[]": ['{"\\\\x00"}'],
    "jsonb[]": ['{"null",NULL,"{\\"a\\": 1}"}'],
    "mood[]": ["{sad}"],
    "pair[]": ['{"(1,x,2)",NULL}'],
    "int4range": ["[1,5)", "empty", "(,)"],
    "int4multirange": ["{[1,2),[5,7)}"],
    "tstzrange": ['["2024-01-01 00:00:00+00",infinity)'],
    "varbit": ["01"],
    "point": ["(1,2)"],
    "tsvector": ["'a':1"],
    "regclass": ["pg_class"],
}  # fmt: skip
"""Types, and values of each that a careless copy would change."""

ANY: dict[str, st.SearchStrategy[str]] = {
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "numeric": st.decimals(places=50, allow_nan=False, allow_infinity=False).map(str),
    "float8": _floats,
    "boolean": st.booleans().map(str),
    "text": _text,
    "bytea": st.binary(max_size=20).map(lambda value: "\\x" + value.hex()),
    "uuid": st.uuids().map(str),
    "timestamptz": _moments,
    "date": st.dates().map(str),
    "interval": st.timedeltas().map(lambda v: f"{v.days} days {v.seconds}.{v.microseconds:06}"),
    "inet": (st.ip_addresses() | st.just("::/0")).map(str),
    "jsonb": _json.filter(lambda value: value is not None)
    .map(json.dumps)
    .filter(lambda text: "\\u0000" not in text),
    "int[]": _array(st.none() | _ints),
    "text[]": _array(st.none() | _plain),
    "jsonb[]": _array(st.none() | _ints),
}
