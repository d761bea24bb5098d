"""Text from outside: which characters it may hold, and how it is shown. One place, so that no entrance and no output forgets one.

A name, a reason or a log line with a bidirectional override or a C1 control can be read as something else than what it says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

ANOTHER = "another hospital"
"""Instead of a name that the reader may not learn."""
HIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
"""Unicode's general categories of characters that nobody sees: controls, format characters, line and paragraph separators, surrogates."""


def hidden(text: str) -> str | None:
    """The first character of ``text`` that nobody sees, by code point, name and place (from 1); None where there is none."""
    for place, char in enumerate(text, 1):
        if unicodedata.category(char) in HIDDEN:
            name = unicodedata.name(char, "")
            return f"U+{ord(char):04X}{f' ({name})' if name else ''} at character {place}"
    return None


def normal(text: str) -> str:
    """Unicode's composed form (NFC) without blanks at both ends: two spellings of one text become one."""
    return unicodedata.normalize("NFC", text).strip()


def shown(text: str) -> str:
    """The same text with every hidden character written as its escape (``\\u202e``), so that it says what it is and stays on one line."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(_escape(char) if unicodedata.category(char) in HIDDEN else char for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unnamed(text: str, names: Iterable[str], instead: str = ANOTHER) -> str:
    """``text`` with ``instead`` where one of ``names`` stands as a word of its own: for a reader who may not learn them."""
    words = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w-])(?:{words})(?![\w-])", lambda _: instead, text) if words else text
