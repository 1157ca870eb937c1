# SPDX-License-Identifier: MIT
"""Whether the server may write a value as a certain text, once the value is in a column.

Which column that is, and of what type, is not known here. So "it does" and "it does not" are said
where they hold for every type that takes such a value, and "it may" of the rest: ``12.345`` in a
numeric(10, 2) is ``12.35``, ``'ab'`` in a char(5) has blanks behind it, a timestamp is written as
DateStyle has it.
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
    """Whether a value is written as a text."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


YES, NO, MAYBE = TextMatch.YES, TextMatch.NO, TextMatch.MAYBE


def match_parameter(value: object, text: str) -> TextMatch:
    """Say whether a value of a parameter is written as this text in the column that it went to."""
    if value is None:
        # A text may say the same.
        return MAYBE if text == "null" else NO
    compare = _BY_TYPE.get(type(value))
    return MAYBE if compare is None else compare(value, text)


def match_stored(value: object, text: str) -> TextMatch:
    """Say whether a row that was found by a value has this text in that column.

    What is equal need not be the same: collations and types may pass over case, accents, blanks.
    """
    written = match_parameter(value, text)
    is_exact = type(value) is not str or _INTEGER.fullmatch(text) or _UUID.fullmatch(text)
    return MAYBE if written is NO and not is_exact else written


def _bool(value: bool, text: str) -> TextMatch:  # noqa: FBT001  the value itself
    """``t`` in its own type, and ``true`` in a text, where ``t`` may be anything."""
    opposites = ("t", "true") if not value else ("f", "false")
    return NO if text in opposites else MAYBE


def _number(value: int | Decimal, text: str) -> TextMatch:
    """A number has as many decimals as its column, to which it was rounded, half away from 0."""
    plain = format(value, "f") if isinstance(value, Decimal) else str(value)
    if plain == text:
        return YES
    if not _DECIMAL.fullmatch(text):
        return MAYBE  # a float, money, a text with blanks
    try:
        told = Decimal(text)
        unit = Decimal(1).scaleb(min(_exponent(told), 0))
        return MAYBE if Decimal(value).quantize(unit, ROUND_HALF_UP) == told else NO
    except InvalidOperation:  # beyond what is compared here, NaN among it
        return MAYBE


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _uuid(value: UUID, text: str) -> TextMatch:
    if text == str(value):
        return YES
    return NO if _UUID.fullmatch(text) else MAYBE


def _date(value: date, text: str) -> TextMatch:
    """In a text it is written as DateStyle has it, so what looks alike may be another's."""
    return NO if _DATE.fullmatch(text) and text != value.isoformat() else MAYBE


def _str(value: str, text: str) -> TextMatch:
    """A string is read as its column's type has it, and written anew.

    What no other type writes is a text's own, and that is written as it was but for blanks at its
    end, or cut (``name``). What looks like a whole number or a UUID is told apart as such.
    """
    if value == text:
        return YES if text != "null" else MAYBE
    if (len(text) == 1 and value.startswith(text)) or "\\" in value:
        return MAYBE  # "char" keeps the first byte, bytea has escapes
    if _INTEGER.fullmatch(text):
        return NO if _INTEGER.fullmatch(value) and value[0] != "-" else MAYBE  # an OID is unsigned
    if _UUID.fullmatch(text):
        digits = _NO_HEX.sub("", value.lower())
        is_uuid = len(digits) == _UUID_DIGITS
        return NO if is_uuid and digits != text.replace("-", "") else MAYBE
    if _is_texts_own(text, value) and value.rstrip(" ") != text.rstrip(" "):
        is_cut = len(text.encode()) >= _CUT and value.startswith(text)
        return MAYBE if is_cut or _is_same_name(value, text) else NO
    return MAYBE


def _is_texts_own(text: str, value: str) -> bool:
    """Whether only a text, an enum or a name is written so, at least where it was read from this.

    Numbers, dates, UUIDs, networks and bytes begin with a digit or have no letter but hexadecimal
    ones; arrays, ranges and JSON are in brackets or quotes; some have words of their own.
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
    """Whether they may name one table, type or function: in quotes, with its schema, by OID."""
    last = _name_in(value)
    return last == _name_in(text) or last.isdigit()


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
"""A ``name`` is cut behind its last whole character of 63 bytes."""
_NO_HEX_LETTER = re.compile(r"[^\W\d_a-fA-F]")
_BRACKETS = re.compile(r"""[\[\]{}<>"'\\:]""")  # and the times, networks and bytes among them
_WORDS = re.compile(
    r"""true|false|null|nan|empty|infinity
    | boolean|smallint|integer|bigint|real|double\ precision|numeric|interval  # regtype has others
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
