# SPDX-License-Identifier: MIT
"""Which SQL is one expression, and so may stand where a builder has a place for one.

Not every place has brackets around it: a column of a select may have a name. So what can end an
expression is refused. These words are reserved: no column or function is called so without quotes
(PostgreSQL documentation, "SQL Key Words").
"""

from __future__ import annotations

from batchq.language.lexing import Token

_ENDING = frozenset(
    "DO EXCEPT FETCH FOR FROM GROUP HAVING INTERSECT INTO LIMIT OFFSET ON ORDER RETURNING UNION "
    "USING WHERE WINDOW".split()
)
_QUERIES = frozenset({"SELECT", "TABLE", "WITH"})
_FIRST = {
    "ALL": "ALL is said of a whole SELECT: write that with sql()",
    "DISTINCT": "DISTINCT is said of a whole SELECT: write that with sql()",
}
_ANYWHERE = {
    ";": "a semicolon ends it",
    ",": "it is several, with commas between: write a fragment for each",
}
_AS, _DOT, _STAR = Token("word", "AS"), Token("other", "."), Token("other", "*")
_MADE_UP = frozenset(
    "CURRENT_CATALOG CURRENT_DATE CURRENT_ROLE CURRENT_SCHEMA CURRENT_TIME CURRENT_TIMESTAMP "
    "CURRENT_USER DEFAULT FALSE LOCALTIME LOCALTIMESTAMP NULL SESSION_USER SYSTEM_USER TRUE "
    "USER".split()
)
"""Words that are values, and are called otherwise."""
_LONGEST_NAME = 63


def is_query(tokens: tuple[Token, ...]) -> bool:
    """Whether these tokens are a query, which is one expression when it stands in brackets."""
    return tokens[:1] != () and tokens[0].kind == "word" and tokens[0].text in _QUERIES


def why_no_value(tokens: tuple[Token, ...]) -> str | None:
    """Say why these tokens are not one expression; None when they are, or would be in brackets.

    :param tokens: those that stand in no brackets.
    """
    words = [token.text if token.kind in ("word", "other") else "" for token in tokens]
    if not words or words[-1] == ".":
        return "it is empty, or ends in the middle"
    if is_query(tokens):
        return _ANYWHERE[";"] if ";" in words else None
    reasons = [_ANYWHERE[word] for word in words if word in _ANYWHERE]
    reasons += [_FIRST[word] for word in words[:1] if word in _FIRST]
    for index, word in enumerate(words):
        before = words[max(index - 3, 0) : index]
        if word in _ENDING and not _goes_on(word, before):
            reasons.append(f"{word} ends it: write the whole statement with sql()")
        if word == "AS" and before[-1:] != ["."]:
            reasons.append("only a column of select() has a name, which is one word after AS")
    return reasons[0] if reasons else None


def why_no_column(tokens: tuple[Token, ...]) -> str | None:
    """Say why these tokens are not one column of a select, with its name or without."""
    if is_query(tokens):
        return "a query that is a column stands in brackets: (SELECT …)"
    named = tokens[-2:-1] == (_AS,) and tokens[-1].kind in ("word", "name")
    return why_no_value(tokens[:-2] if named else tokens)


def label(tokens: tuple[Token, ...]) -> str | None:
    """The name that a select gives to these tokens as a column: ``*`` for several, None for one
    that the server makes up."""
    if tokens[-1:] == (_STAR,) and (len(tokens) == 1 or tokens[-2] == _DOT):
        return _STAR.text
    if tokens[-2:-1] != (_AS,) and not _is_path(tokens):
        return None
    name = tokens[-1]
    if name.kind == "name" and name.text.startswith('"'):
        text = name.text[1:-1].replace('""', '"')
    elif name.kind == "word" and name.text not in _MADE_UP:
        text = name.text.lower()
    else:
        return None
    # The server folds and cuts other names in ways that hang on its encoding.
    return text if text.isascii() and len(text) <= _LONGEST_NAME else None


def _is_path(tokens: tuple[Token, ...]) -> bool:
    """Whether it is a column, with its table before it or without."""
    names, dots = tokens[::2], tokens[1::2]
    named = names != () and all(one.kind in ("word", "name") for one in names)
    return named and set(dots) <= {_DOT}


def _goes_on(word: str, before: list[str]) -> bool:
    """Whether the expression goes on after a word that may end one."""
    if before[-1:] == ["."]:
        return True  # the name of a column or field
    if word == "FROM":
        return before[-2:] == ["IS", "DISTINCT"] or before == ["IS", "NOT", "DISTINCT"]
    return word == "GROUP" and before[-1:] == ["WITHIN"]
