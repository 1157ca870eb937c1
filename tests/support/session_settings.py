# SPDX-License-Identifier: MIT
"""Settings that change how a session writes and resolves values, and values that they affect."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st
from psycopg import sql

OWN = "{schema}"
"""Placeholder for the test's schema in a search path."""

# Not changed while a batch runs: a batch is encoded before it is sent.
FIXED_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "client_encoding": ("UTF8", "LATIN1", "SQL_ASCII", "EUC_JP"),
    "standard_conforming_strings": ("on", "off"),
}
VARYING_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "DateStyle": tuple(
        f"{style}, {order}"
        for style in ("ISO", "SQL", "German", "Postgres")
        for order in ("DMY", "MDY", "YMD")
    ),
    "TimeZone": (
        "UTC", "Asia/Kolkata", "America/St_Johns", "Europe/Amsterdam", "Pacific/Apia",
        "Israel", "<+0530>-5:30",
    ),
    "IntervalStyle": ("postgres", "postgres_verbose", "sql_standard", "iso_8601"),
    "extra_float_digits": ("-15", "0", "1", "3"),
    "escape_string_warning": ("on", "off"),
    "backslash_quote": ("on", "off", "safe_encoding"),
    "row_security": ("on", "off"),
    "search_path": (
        f"{OWN}, public", "", "pg_catalog", f"public, {OWN}, pg_catalog", f"{OWN}, pg_catalog",
    ),
    "bytea_output": ("hex", "escape"),
    "lc_monetary": ("C", "POSIX"),
    "transform_null_equals": ("on", "off"),
    "plan_cache_mode": ("auto", "force_custom_plan", "force_generic_plan"),
    "quote_all_identifiers": ("on", "off"),
    "xmlbinary": ("hex", "base64"),
    "xmloption": ("content", "document"),
    "array_nulls": ("on", "off"),
    "timezone_abbreviations": ("Default", "India", "Australia"),
}  # fmt: skip

Settings = Mapping[str, str]


def any_of(of: Mapping[str, tuple[str, ...]]) -> st.SearchStrategy[Settings]:
    """Return a strategy for some of the settings, each with any of its values."""
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in of.items()}
    )


def assignment(name: str, value: str, schema: str) -> tuple[str, str]:
    """Return both sides of a SET."""
    if name == "search_path":
        names = [part.strip().replace(OWN, schema) for part in value.split(",")]
        return name, ", ".join(sql.Literal(part).as_string() for part in names)
    return name, sql.Literal(value).as_string()


# Types and texts of values, as read with a session's initial settings.
SENSITIVE_VALUES: Mapping[str, tuple[str, ...]] = {
    "timestamptz": ("2024-02-03 12:00:00+05:30", "0044-03-15 00:00:00+00 BC", "infinity",
                    "1890-01-01 00:00:00.000001+00"),
    "timestamp": ("2024-02-03 12:00:00.000001", "-infinity", "0044-03-05 00:00:00 BC"),
    "date": ("2024-02-03", "infinity", "0044-03-05 BC", "5874897-12-31"),
    "time": ("24:00:00", "00:00:00.000001"),
    "timetz": ("12:00:00.5+05:30",),
    "interval": ("-1 year -2 mons +3 days -04:05:06.000007", "1 year -2 mons", "-1 day",
                 "-00:00:01", "1 day -00:00:01", "-3 days -01:00:00", "-178000000 years"),
    "float4": ("0.1", "3.4028235e38", "NaN", "-0"),
    "float8": ("0.30000000000000004", "5e-324", "-0", "NaN", "-Infinity", "0.1"),
    "point": ("(0.30000000000000004,-0)",),
    "numeric": ("NaN", "Infinity", "1.00", "1e-30"),
    "money": ("-1234567.89", "0.05"),
    "bytea": ("\\x", "\\x00ff5c27"),
    "text": ("a\\b'c\"d\ne\t%$1", "\u2603\U0001f600\ue000\ue001", "NULL", "null", ""),
    "char(5)": ("ab", "a\\"),
    '"char"': ("x", "\\"),
    "name": ("n",),
    "varbit": ("01",),
    "inet": ("10.0.0.1/8",),
    "uuid": ("00000000-0000-0000-0000-000000000001",),
    "json": ('{"b": 1,  "a": "\\u0041\\\\"}', "null", ' "\\u2603" '),
    "jsonb": ('{"a": null}', "null", '"null"', "1.00", '["\\\\", "\\""]'),
    "{schema}.mood": ("it's \"ok\"", "back\\slash"),
    "{schema}.document": ("null", '"x"'),
    "{schema}.day": ("2024-02-03",),
    "{schema}.stay": ('(2024-02-03,"2024-02-03 12:00:00+05:30","-1 day",0.30000000000000004)',
                      "(,,,)"),
    "text[]": ('{a,"b c",NULL,"NULL","","\\\\\\""}', "[2:3]={a,NULL}", "{}"),
    "int[]": ("{1,NULL,3}",),
    "timestamptz[]": ('{"2024-02-03 12:00:00+05:30",NULL,infinity}',),
    "date[]": ("{2024-02-03,NULL}",),
    "interval[]": ('{"-1 year +3 days",NULL}',),
    "float8[]": ("{0.30000000000000004,NULL,-0}",),
    "money[]": ("{-1.05,NULL}",),
    "bytea[]": ('{"\\\\x00",NULL}',),
    "jsonb[]": ('{"null",NULL,"{\\"a\\": 1}"}',),
    "{schema}.stay[]": (
        '{"(2024-02-03,\\"2024-02-03 12:00:00+05:30\\",\\"1 day\\",0.1)",NULL}',
    ),
    "tstzrange": ('["2024-02-03 12:00:00+05:30",infinity)', "empty", "(,)"),
    "daterange": ("[2024-02-03,2024-03-04)",),
    "tsmultirange": ('{["2024-02-03 12:00:00","2024-02-04 12:00:00")}', "{}"),
    "tstzrange[]": ('{"[\\"2024-02-03 12:00:00+05:30\\",)",NULL}',),
    "{schema}.floats": ("[0.1,0.30000000000000004)",),
    "{schema}.lists": ("[{1},{2})",),
    "regclass": ("pg_class", '{schema}."odd ""name"'),
    "regtype": ("integer", "{schema}.mood", "timestamp with time zone[]"),
    "regclass[]": ("{{schema}.beside,pg_class}",),
    "tsvector": ("'a':1 'b\\'':2",),
}  # fmt: skip

MAKE = """
CREATE TYPE {schema}.mood AS ENUM ('it''s "ok"', E'back\\\\slash');
CREATE DOMAIN {schema}.document AS jsonb;
CREATE DOMAIN {schema}.day AS date CHECK (VALUE > '2000-01-01');
CREATE TYPE {schema}.stay AS (day date, at timestamptz, lasted interval, paid float8);
CREATE TYPE {schema}.floats AS RANGE (subtype = float8);
CREATE TYPE {schema}.lists AS RANGE (subtype = int[]);
CREATE TABLE {schema}."odd ""name" ();
CREATE TABLE {schema}.beside ();
"""
