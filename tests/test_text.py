"""Hidden characters are found where text comes in and escaped where it goes out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from afuic import text


@pytest.mark.parametrize(
    ("given_text", "escaped"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\x9bb", "a\\x9bb"),  # C1: a terminal reads it as the start of a command
        ("abc\u202edef", "abc\\u202edef"),
        ("two\u2028lines", "two\\u2028lines"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("filler\u3164", "filler\\u3164"),
        ("blank\u2800", "blank\\u2800"),
        ("variant\ufe0f", "variant\\ufe0f"),
        ("joiner\u034f", "joiner\\u034f"),
        ("half\ud800", "half\\ud800"),
        ("Zoë\nBÄR", "Zoë\\x0aBÄR"),
    ],
)
def test_what_nobody_sees_is_found_and_escaped(given_text: str, escaped: str) -> None:
    assert text.hidden(given_text)
    assert text.shown(given_text) == escaped


def test_the_place_and_the_name_are_told() -> None:
    assert text.hidden("ab\u202e") == "U+202E (RIGHT-TO-LEFT OVERRIDE) at character 3"
    assert text.hidden("\x07") == "U+0007 at character 1"


def test_ordinary_text_is_left_alone() -> None:
    for line in ("hospital-3", "Zoë Müller", "東京 病院", "مستشفى", "a b"):
        assert text.hidden(line) is None
        assert text.shown(line) == line


def test_two_spellings_become_one() -> None:
    assert text.normal(" Zoe\u0308 ") == text.normal("Zoë") == "Zoë"


@given(st.text(st.characters()))
def test_nothing_hidden_is_left(line: str) -> None:
    assert text.hidden(text.shown(line)) is None
    assert len(text.shown(line).splitlines()) <= 1
    assert not any(map(text.unseen, text.shown(line)))


def test_a_name_that_a_reader_may_not_learn_is_left_out() -> None:
    names = ("hospital-1", "hospital-12", "ucl")
    said = text.unnamed("'hospital-12' and hospital-1/9 but not hospital-123, ucl or nucl", names, "another")
    assert said == "'another' and another/9 but not hospital-123, another or nucl"
    assert text.unnamed("HOSPITAL-12 too", names, "another") == "another too"
    assert text.unnamed("as it is", (), "another") == "as it is"


def test_the_class_for_schemas_is_the_same() -> None:
    found = re.compile(f"[{text.HIDDEN_CLASS}]")
    for code in (*range(0xD800), *range(0xE000, 0x10000)):
        assert (found.match(chr(code)) is not None) == text.unseen(chr(code)), hex(code)
    assert not found.search("Zoë Müller 東京 مستشفى \U0001f600")


def test_a_page_shows_what_is_hidden_and_leaves_its_own_markup() -> None:
    page = Environment(autoescape=True, finalize=text.on_page).from_string("{{ a }}|{{ b|safe }}|{{ c }}")
    assert page.render(a="<b>\u202e\n", b="<svg/>", c=3) == "&lt;b&gt;\\u202e\n|<svg/>|3"
