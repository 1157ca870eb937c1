# SPDX-License-Identifier: MIT
"""`tools/check_words.py` finds denied words in prose and in names, and nowhere else."""

from __future__ import annotations

import pytest

from tools.check_words import Words, pieces

WORDS = Words(
    {"gone": "deleted", "is no": "is not a", "nobody": "no session"},
    ["is no longer", "gone fishing"],
)


def found(path):
    return [
        (first + line, word, advice)
        for first, text in pieces(path)
        for line, word, advice in WORDS.find(text)
    ]


@pytest.mark.parametrize(
    "text",
    ["the row is gone", "The row. Gone", "this is no row", "this is\n# no row", "if nobody waits"],
)
def test_denied_word_is_found_in_any_case_and_across_lines(text):
    assert len(list(WORDS.find(text))) == 1


@pytest.mark.parametrize("text", ["it is no longer there", "gone fishing", "undergone", "nobodys"])
def test_allowed_phrase_and_other_words_are_not_found(text):
    assert list(WORDS.find(text)) == []


def test_markdown_is_checked_line_by_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\nIt is gone.\nNobody [reads](docs/gone.md)\n")
    assert found(page) == [(3, "gone", "deleted"), (4, "Nobody", "no session")]


def test_python_is_checked_in_comments_strings_and_names(tmp_path):
    module = tmp_path / "module.py"
    module.write_text(
        '"""Docstring.\n\nOf what is gone."""\n'
        "all_gone = 1  # nobody\n"
        "class RowGone: ...\n"
        "# This is\n"
        "# no comment.\n"
        'text = f"gone {all_gone}"\n'
    )
    lines = sorted(line for line, _, _ in found(module))
    assert lines[:3] == [3, 4, 4]
    assert lines[3:5] == [5, 6]
    assert set(lines[5:]) == {8}
