# SPDX-License-Identifier: MIT
"""Compare a value with the text in which the server writes it after it is stored in a column.

The column's type is not known here. So the result is YES or NO only if it holds for every type that
accepts such a value, and MAYBE otherwise: ``12.345`` in a numeric(10, 2) is ``12.35``, ``'ab'`` in
a char(5) is padded with spaces, and the text of a timestamp depends on DateStyle.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import Enum
from typing import Any
from uuid import UUID


class TextMatch(Enum):
    """Result of comparing a value with a text."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


YES, NO, MAYBE = TextMatch.YES, TextMatch.NO, TextMatch.MAYBE


def match_parameter(value: object, text: str) -> TextMatch:
    """Compare the value of a parameter with the text of the column that it was written to."""
    if value is None:
        # The string 'null' has this text, too.
        return MAYBE if text == "null" else NO
    compare = _BY_TYPE.get(type(value))
    return MAYBE if compare is None else compare(value, text)


def match_stored(value: object, text: str) -> TextMatch:
    """Compare a value with the text of a column that is equal to it.

    Equal values need not have the same text: collations and types may ignore case, accents, spaces.
    """
    match = match_parameter(value, text)
    is_exact = type(value) is not str or _INTEGER.fullmatch(text) or _UUID.fullmatch(text)
    return MAYBE if match is NO and not is_exact else match


def _bool(value: bool, text: str) -> TextMatch:  # noqa: FBT001  the value itself
    """Compare a bool: ``t`` in a bool, ``true`` in a text, where ``t`` may be any string."""
    opposites = ("t", "true") if not value else ("f", "false")
    return NO if text in opposites else MAYBE


def _number(value: int | Decimal, text: str) -> TextMatch:
    """Compare a number, which was rounded to the column's scale, half away from zero."""
    plain = format(value, "f") if isinstance(value, Decimal) else str(value)
    if plain == text:
        return YES
    if not _DECIMAL.fullmatch(text):
        return MAYBE  # a float, money, a text with spaces
    try:
        number = Decimal(text)
        unit = Decimal(1).scaleb(min(_exponent(number), 0))
        return MAYBE if Decimal(value).quantize(unit, ROUND_HALF_UP) == number else NO
    except InvalidOperation:  # too large for the context, or NaN
        return MAYBE


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _uuid(value: UUID, text: str) -> TextMatch:
    if text == str(value):
        return YES
    return NO if _UUID.fullmatch(text) else MAYBE


def _date(value: date, text: str) -> TextMatch:
    """Compare a date. In a text its form depends on DateStyle, so an equal one may be another."""
    return NO if _DATE.fullmatch(text) and text != value.isoformat() else MAYBE


def _str(value: str, text: str) -> TextMatch:
    """Compare a string, which the column's type may have parsed and formatted again.

    A text that only string types produce is unchanged, except for spaces at its end and truncation
    (type ``name``). A text that looks like an integer or a UUID is compared as one.
    """
    if value == text:
        return YES if text != "null" else MAYBE
    if (len(text) == 1 and value.startswith(text)) or "\\" in value:
        return MAYBE  # "char" keeps the first byte; bytea has escapes
    if _INTEGER.fullmatch(text):
        return NO if _INTEGER.fullmatch(value) and value[0] != "-" else MAYBE  # an OID is unsigned
    if _UUID.fullmatch(text):
        digits = _NO_HEX.sub("", value.lower())
        is_uuid = len(digits) == _UUID_DIGITS
        return NO if is_uuid and digits != text.replace("-", "") else MAYBE
    if _is_string_type(text, value) and value.rstrip(" ") != text.rstrip(" "):
        is_cut = len(text.encode()) >= _CUT and value.startswith(text)
        return MAYBE if is_cut or _is_same_name(value, text) else NO
    return MAYBE


def _is_string_type(text: str, value: str) -> bool:
    """Return True if only a string type, an enum or a name can produce the text from the value.

    Numbers, dates, UUIDs, networks and bytes begin with a digit or have hexadecimal letters only;
    arrays, ranges and JSON are in brackets or quotes; some types have words of their own.
    """
    if not text[:1].isalpha() or text in ("t", "f") or _BRACKETS.search(text):
        return False
    if not any(letter.isdigit() for letter in text):
        is_word = text.isalpha() or bool(_NO_HEX_LETTER.search(text))
        return is_word and not _WORDS.fullmatch(text)
    is_other = bool(_NUMBERED.fullmatch(value)) if _DIGIT.search(value) else _NOT_0.search(text)
    is_money = _MONEY.fullmatch(text) and not is_other
    return bool(_NO_HEX_LETTER.search(text)) and not is_money and not _TIMES.search(text)


def _is_same_name(value: str, text: str) -> bool:
    """Return True if both may name the same table, type or function.

    A name may be quoted or have a schema, and an OID may stand for it.
    """
    name = _name_in(value)
    return name == _name_in(text) or name.isdigit()


def _name_in(text: str) -> str:
    name = text.replace('"', "").partition("(")[0]
    return name.rpartition(".")[2].strip().casefold()


_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_DATE = re.compile(r"[0-9]{4,}-[0-9]{2}-[0-9]{2}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID_DIGITS = 32
_NO_HEX = re.compile(r"[^0-9a-f]")
_CUT = 59
"""A ``name`` of this many bytes may be truncated: it keeps 63 bytes, and whole characters."""
_NO_HEX_LETTER = re.compile(r"[^\W\d_a-fA-F]")
_BRACKETS = re.compile(r"""[\[\]{}<>"'\\:]""")  # also in times, networks, bytes
_WORDS = re.compile(
    r"""true|false|null|nan|empty|infinity
    | boolean|smallint|integer|bigint|real|double\ precision|numeric|interval  # of regtype
    | (?:character|bit)(?:\ varying)?|time(?:stamp)?\ with(?:out)?\ time\ zone""",
    re.IGNORECASE | re.VERBOSE,
)
_MONEY = re.compile(r"[^\d]{1,5}-?[\d.,\s]+")
_NUMBERED = re.compile(r"[^\W\d_][^\d.,]{0,4}\d+")
_DIGIT, _NOT_0 = re.compile(r"\d"), re.compile(r"[1-9]")
_TIMES = re.compile(
    r"""\b(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|ad|bc)\b
    | \b(?:year|mon|day|hour|min|sec|week|ago)s?\b
    | ^P[\dTYMDHS.-]+$""",
    re.IGNORECASE | re.VERBOSE,
)

_BY_TYPE: dict[type, Callable[[Any, str], TextMatch]] = {
    bool: _bool,
    int: _number,
    Decimal: _number,
    UUID: _uuid,
    date: _date,
    str: _str,
}
