"""JSON from outside: what is refused before it is parsed, and that what honest programs write is read as they wrote it."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afuic.document import DEEPEST, parse_json
from afuic.errors import AfuicError, JsonError

REFUSED: dict[str, tuple[bytes | str, str]] = {
    "a megabyte of brackets": (b"[" * 1_000_000, "nested deeper than 64 levels"),
    "objects in objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested deeper than 64 levels"),
    "a level too deep": (b"[" * 65 + b"]" * 65, "nested deeper than 64 levels"),
    "UTF-16": ("[1]".encode("utf-16"), "not UTF-8"),
    "UTF-16 without its mark": ("[1]".encode("utf-16-le"), "not JSON"),
    "UTF-32": ("[1]".encode("utf-32-be"), "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf[1]", "a byte order mark"),
    "Latin-1": ('["é"]'.encode("latin-1"), "not UTF-8"),
    "a key twice": (b'{"a": {"b": 1, "b": 1}}', "a key twice in one object"),
    "a key twice, once escaped": (b'{"a": 1, "\\u0061": 2}', "a key twice in one object"),
    "NaN": (b'{"a": NaN}', "NaN"),
    "infinity": (b"[-Infinity]", "infinity"),
    "a large exponent": (b"[1e999]", "infinity"),
    "thousands of digits": (b"[" + b"9" * 5000 + b"]", "more than 64 digits"),
    "digits before a point": (b"9" * 400 + b".0", "more than 64 digits"),
    "half a surrogate pair": (b'["\\ud800"]', "surrogate"),
    "half a pair as it is": ('["\ud800"]', "not UTF-8"),
    "a text without end": (b'["' + b'\\"' * 500_000, "not JSON"),
    "quotes after backslashes": (b'\\"' * 500_000, "not JSON"),
    "nothing": (b"", "not JSON"),
    "too long": (b" " * 1001, "1001 bytes where at most 1000"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_with_a_reason_that_repeats_nothing(kind: str) -> None:
    content, why = REFUSED[kind]
    with pytest.raises(JsonError, match=why) as caught:
        parse_json(content, limit=1000 if kind == "too long" else 10_000_000)
    assert isinstance(caught.value, AfuicError)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 120


def test_the_deepest_and_the_longest_that_are_allowed_are_read() -> None:
    deep = b"[" * DEEPEST + b"]" * DEEPEST
    assert json.dumps(parse_json(deep)).encode() == deep
    assert parse_json(b"1" * 64, limit=64) == int("1" * 64)
    assert parse_json(b"[[1]]", depth=2) == [[1]]


def test_brackets_quotes_and_digits_in_texts_count_nothing() -> None:
    text = '[{\\"' * 1000 + "9" * 1000 + "\\"
    assert parse_json(json.dumps({text: [text]})) == {text: [text]}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**60), 10**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values, st.booleans())
def test_whatever_is_written_as_json_is_read_as_it_was(value: object, escaped: bool) -> None:
    found = parse_json(json.dumps(value, ensure_ascii=escaped))
    assert json.dumps(found) == json.dumps(value)


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:\\0123456789eE.-untflrasI', max_size=200))
def test_whatever_comes_is_read_or_refused(content: bytes | str) -> None:
    try:
        value = parse_json(content, depth=8)
    except JsonError:
        return
    assert not any(isinstance(v, float) and not math.isfinite(v) for v in [value])
    assert json.loads(json.dumps(value)) == value
