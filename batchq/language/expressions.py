# SPDX-License-Identifier: MIT
"""Check that a SQL fragment is one expression, as the builders need it.

The builders do not put parentheses around each fragment: a column of a select may have an alias. So
a fragment must not contain a keyword that ends an expression. The keywords here are reserved:
without quotes, they are not names of columns or functions (PostgreSQL documentation, "SQL Key
Words").
"""

from __future__ import annotations

from batchq.language.lexing import Token

_ENDING = frozenset(
    "DO EXCEPT FETCH FOR FROM GROUP HAVING INTERSECT INTO LIMIT OFFSET ON ORDER RETURNING UNION "
    "USING WHERE WINDOW".split()
)
_QUERIES = frozenset({"SELECT", "TABLE", "WITH"})
_FIRST = {
    "ALL": "ALL belongs to a whole SELECT; write the statement with sql()",
    "DISTINCT": "DISTINCT belongs to a whole SELECT; write the statement with sql()",
}
_ANYWHERE = {
    ";": "it contains a semicolon; remove it",
    ",": "it is several expressions, separated by commas; write a fragment for each",
}
_AS, _DOT, _STAR = Token("word", "AS"), Token("other", "."), Token("other", "*")
_VALUE_WORDS = frozenset(
    "CURRENT_CATALOG CURRENT_DATE CURRENT_ROLE CURRENT_SCHEMA CURRENT_TIME CURRENT_TIMESTAMP "
    "CURRENT_USER DEFAULT FALSE LOCALTIME LOCALTIMESTAMP NULL SESSION_USER SYSTEM_USER TRUE "
    "USER".split()
)
"""Keywords that are values: the server gives such a column a name of its own."""
_LONGEST_NAME = 63


def is_query(tokens: tuple[Token, ...]) -> bool:
    """Return True if the tokens are a query, which is one expression inside parentheses."""
    return tokens[:1] != () and tokens[0].kind == "word" and tokens[0].text in _QUERIES


def why_no_value(tokens: tuple[Token, ...]) -> str | None:
    """Return why the tokens are not one expression; None if they are, alone or in parentheses.

    :param tokens: the tokens outside brackets.
    """
    words = [token.text if token.kind in ("word", "other") else "" for token in tokens]
    if not words or words[-1] == ".":
        return "it is empty or incomplete"
    if is_query(tokens):
        return _ANYWHERE[";"] if ";" in words else None
    reasons = [_ANYWHERE[word] for word in words if word in _ANYWHERE]
    reasons += [_FIRST[word] for word in words[:1] if word in _FIRST]
    for index, word in enumerate(words):
        before = words[max(index - 3, 0) : index]
        if word in _ENDING and not _continues(word, before):
            reasons.append(f"{word} ends an expression; write the whole statement with sql()")
        if word == "AS" and before[-1:] != ["."]:
            reasons.append(
                "only a column of select() may have an alias, which is one word after AS"
            )
    return reasons[0] if reasons else None


def why_no_column(tokens: tuple[Token, ...]) -> str | None:
    """Return why the tokens are not one select column, with or without alias; None if they are."""
    if is_query(tokens):
        return "a query as a column needs parentheses; write (SELECT …)"
    named = tokens[-2:-1] == (_AS,) and tokens[-1].kind in ("word", "name")
    return why_no_value(tokens[:-2] if named else tokens)


def label(tokens: tuple[Token, ...]) -> str | None:
    """Return the column name that a select gives to the tokens.

    :return: ``*`` if they are several columns, None if the server chooses the name.
    """
    if tokens[-1:] == (_STAR,) and (len(tokens) == 1 or tokens[-2] == _DOT):
        return _STAR.text
    if tokens[-2:-1] != (_AS,) and not _is_path(tokens):
        return None
    name = tokens[-1]
    if name.kind == "name" and name.text.startswith('"'):
        text = name.text[1:-1].replace('""', '"')
    elif name.kind == "word" and name.text not in _VALUE_WORDS:
        text = name.text.lower()
    else:
        return None
    # How the server folds and truncates other names depends on its encoding.
    return text if text.isascii() and len(text) <= _LONGEST_NAME else None


def _is_path(tokens: tuple[Token, ...]) -> bool:
    """Return True if the tokens are a column name, with or without its table."""
    names, dots = tokens[::2], tokens[1::2]
    named = names != () and all(name.kind in ("word", "name") for name in names)
    return named and set(dots) <= {_DOT}


def _continues(word: str, before: list[str]) -> bool:
    """Return True if the expression continues after a keyword that usually ends one."""
    if before[-1:] == ["."]:
        return True  # after a dot it is the name of a column or field
    if word == "FROM":
        return before[-2:] == ["IS", "DISTINCT"] or before == ["IS", "NOT", "DISTINCT"]
    return word == "GROUP" and before[-1:] == ["WITHIN"]
