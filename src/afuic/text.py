"""Text from outside: which characters it may hold, and how it is shown. One place, so that no entrance and no output forgets one.

A name, a reason or a log line with a bidirectional override or a C1 control can be read as something else than what it says.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, TextIO

ANOTHER = "another hospital"
"""Instead of a name that the reader may not learn."""
HIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
"""Unicode's general categories of characters that nobody sees: controls, format characters, line and paragraph separators, surrogates."""
BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")
"""Characters of other categories that nobody sees: fillers, blank patterns, variation selectors, and what Unicode has readers ignore."""
HIDDEN_CLASS = (
    r"\u0000-\u001f\u007f-\u009f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u115f-\u1160\u17b4-\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
)
"""The same for a class of a regular expression in a published schema, as far as every language writes it alike: the basic plane's."""


def unseen(char: str) -> bool:
    """Whether nobody sees this character, and it is no ordinary blank."""
    return unicodedata.category(char) in HIDDEN or BLANK.match(char) is not None


def hidden(text: str) -> str | None:
    """The first character of ``text`` that nobody sees, by code point, name and place (from 1); None where there is none."""
    for place, char in enumerate(text, 1):
        if unseen(char):
            name = unicodedata.name(char, "")
            return f"U+{ord(char):04X}{f' ({name})' if name else ''} at character {place}"
    return None


def normal(text: str) -> str:
    """Unicode's composed form (NFC) without blanks at both ends: two spellings of one text become one."""
    return unicodedata.normalize("NFC", text).strip()


def visible(text: str) -> str:
    """The text in its normal form; ValueError where it hides something."""
    if found := hidden(text):
        raise ValueError(f"holds {found}, which nobody sees")
    return normal(text)


def shown(text: str, keep: str = "") -> str:
    """The same text with every hidden character written as its escape (``\\u202e``), so that it says what it is and stays on one line.

    ``keep``: characters that stay as they are, such as the line ends of a whole document.
    """
    if text.isprintable() and text.isascii():
        return text
    return "".join(_escape(char) if unseen(char) and char not in keep else char for char in text)


def on_page(value: Any) -> Any:
    """What a page shows of a value: of a text nothing hidden, but for its line ends."""
    return shown(value, "\n\t") if isinstance(value, str) and not hasattr(value, "__html__") else value


class PlainLog(logging.Formatter):
    """A line for each record, whatever texts from outside are in it; a traceback's own lines stay below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(name)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        """The record's line."""
        return shown(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the base class's name
        """The traceback."""
        return shown(super().formatException(ei), "\n")


def log_to(stream: TextIO | None, logger: str = "", level: int = logging.INFO) -> None:
    """Let ``logger`` and what is below it write such lines."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainLog())
    found = logging.getLogger(logger)
    found.addHandler(handler)
    found.setLevel(level)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unnamed(text: str, names: Iterable[str], instead: str = ANOTHER) -> str:
    """``text`` with ``instead`` where one of ``names`` stands as a word, in capitals or not: for a reader who may not learn them."""
    words = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w-])(?:{words})(?![\w-])", lambda _: instead, text, flags=re.IGNORECASE) if words else text
