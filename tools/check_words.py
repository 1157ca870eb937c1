# SPDX-License-Identifier: MIT
"""Report words that this project does not use, in prose and in names: ``make lint`` runs it.

Checks Markdown and SQL files, and the comments, strings and identifiers of Python files. The words,
and what to write instead, are in denied_words.toml. Exits with 1 if it finds any.

    python tools/check_words.py            # all files that git tracks
    python tools/check_words.py FILE...    # these files, as a pre-commit hook does
"""

from __future__ import annotations

import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_OWN = {"tools/denied_words.toml", "tests/tools/test_check_words.py"}
_LINK = re.compile(r"\]\([^)\s]*\)")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_STRINGS = {tokenize.COMMENT, tokenize.STRING}
if hasattr(tokenize, "FSTRING_MIDDLE"):  # Python 3.12 splits f-strings into tokens
    _STRINGS.add(tokenize.FSTRING_MIDDLE)


class Words:
    """The denied words, as one regular expression."""

    def __init__(self, words: dict[str, str], allowed: list[str]) -> None:
        self._words = words
        longest_first = sorted(words, key=len, reverse=True)
        denied = "|".join(_spaced(word) for word in longest_first)
        phrases = "|".join(map(_spaced, allowed)) or r"(?!)"
        # An allowed phrase is matched first, so the denied word within it is not found.
        self._pattern = re.compile(
            rf"(?<!\w)(?:{phrases})(?!\w)|\b(?P<word>{denied})\b", re.IGNORECASE
        )

    def find(self, text: str) -> Iterator[tuple[int, str, str]]:
        """Yield the line (counted from 0) of each denied word, the word, and what to write."""
        for match in self._pattern.finditer(text):
            if word := match["word"]:
                advice = self._words[" ".join(re.split(r"[\s#*]+", word.lower()))]
                yield text.count("\n", 0, match.start()), word, advice


def _spaced(phrase: str) -> str:
    # A phrase may be broken by the end of a line, in a comment as well.
    return r"[\s#*]+".join(map(re.escape, phrase.split()))


def pieces(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a file to check, each with its first line."""
    if path.suffix != ".py":
        # Not the addresses of links: a page keeps its name.
        yield 1, _LINK.sub("]()", path.read_text(encoding="utf-8"))
        return
    comments: list[tuple[int, str]] = []
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            line = token.start[0]
            if token.type == tokenize.COMMENT:
                # Comments of consecutive lines are one text.
                if comments and comments[-1][0] + comments[-1][1].count("\n") + 1 == line:
                    first, text = comments.pop()
                    comments.append((first, f"{text}\n{token.string}"))
                else:
                    comments.append((line, token.string))
            elif token.type in _STRINGS:
                yield line, token.string
            elif token.type == tokenize.NAME:
                yield line, _CAMEL.sub(" ", token.string.replace("_", " "))
    yield from comments


def tracked() -> list[str]:
    """Return the files that git tracks and this script can read."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.sql"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return listed.stdout.splitlines()


def main(names: list[str]) -> int:
    """Print each denied word with its place; return the exit code."""
    config = tomllib.loads((ROOT / "tools/denied_words.toml").read_text(encoding="utf-8"))
    words = Words(config["words"], config["allowed"])
    found = 0
    for name in names or tracked():
        relative = Path(name).resolve().relative_to(ROOT).as_posix() if names else name
        if relative in _OWN:
            continue
        for first, text in pieces(ROOT / relative):
            for line, word, advice in words.find(text):
                sys.stdout.write(f"{relative}:{first + line}: {word!r}: write {advice}\n")
                found += 1
    if found:
        sys.stdout.write(f"{found} denied words; see CONTRIBUTING.md, Prose\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
