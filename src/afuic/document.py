"""JSON from outside: one place that says what is JSON here, so that no entrance takes what another refuses.

A reply, a certificate, a call of the API and a file are all bytes of somebody else's making. How long, how deep and how large they are is
bounded before they are parsed: a parser that fails in the middle has already used what there is of stack and memory.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from typing import Any, NoReturn

from afuic.errors import JsonError

LONGEST = 1 << 28
DEEPEST = 64
DIGITS = 64
"""Bounds where a caller gives none: bytes, levels of objects and lists, digits of a number in a row."""

_TEXT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_LONG = re.compile(rf"[0-9]{{{DIGITS + 1}}}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_STEP = {"[": 1, "{": 1, "]": -1, "}": -1}
_BRACKETS = re.compile(r"[^][{}]+")


def parse_json(content: bytes | str, *, limit: int = LONGEST, depth: int = DEEPEST) -> Any:
    """The value in ``content``: UTF-8 of at most ``limit`` bytes, at most ``depth`` levels deep.

    JsonError says what it is instead: too long, too deep, no UTF-8, a byte order mark, a key twice in one object, NaN or infinity (or a
    number too large to be finite), a number of more than 64 digits, half of a surrogate pair, or no JSON at all. It repeats nothing of it.
    """
    text = _text(content, limit)
    _check(_TEXT.sub("", text), depth)
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_float=_finite, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise JsonError(f"not JSON ({error.msg} at line {error.lineno}, column {error.colno})") from None
    if _SURROGATE.search(text):
        _check_pairs(value)
    return value


def _text(content: bytes | str, limit: int) -> str:
    if len(content) > limit:
        raise JsonError(f"{len(content)} bytes where at most {limit} can be right")
    try:
        text = (content.encode() if isinstance(content, str) else content).decode()
    except UnicodeError:
        raise JsonError("not UTF-8") from None
    if text.startswith("\ufeff"):
        raise JsonError("begins with a byte order mark; write plain UTF-8")
    return text


def _check(bare: str, depth: int) -> None:
    """``bare``: the document without its texts, in which brackets and digits are only what they mean."""
    if any(level > depth for level in accumulate(map(_STEP.__getitem__, _BRACKETS.sub("", bare)))):
        raise JsonError(f"nested deeper than {depth} levels")
    if _LONG.search(bare):
        raise JsonError(f"a number of more than {DIGITS} digits")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise JsonError("a key twice in one object")
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _refuse(_: str) -> NoReturn:
    raise JsonError("NaN, infinity, or a number too large to be finite")


def _check_pairs(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise JsonError("half of a surrogate pair") from None
