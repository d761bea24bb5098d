"""Numbers as people read them, so that page and terminal write every quantity the same way."""

from __future__ import annotations

from afuic.evaluate.gaps import Judged

MISSING = "–"
MINUS = "−"
SPACE = "\N{NO-BREAK SPACE}"
UNDEFINED = "n/a"
"""Of what was measured and has no value, as opposed to what was not measured."""
NOTABLE = 2.0
"""|z| up to which figures shade; what is told apart is decided in ``evaluate.gaps``."""


def number(value: float | None, digits: int = 3) -> str:
    """Fixed decimals with a true minus sign; a dash for None."""
    if value is None:
        return MISSING
    text = f"{value:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """A share as percent."""
    return MISSING if value is None else f"{number(100 * value, digits)}%"


def signed(value: float | None, digits: int = 1) -> str:
    """With a plus sign where positive."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 and float(f"{value:.{digits}f}") else text


def duration(seconds: float | None) -> str:
    """Virtual seconds as seconds, minutes or hours, whichever reads best."""
    if seconds is None:
        return MISSING
    if seconds < 120:
        return f"{number(seconds, 0 if seconds >= 10 or seconds == 0 else 1)}{SPACE}s"
    return f"{number(seconds / 60, 1)}{SPACE}min" if seconds < 7200 else f"{number(seconds / 3600, 1)}{SPACE}h"


def points(share: float) -> str:
    """A difference of shares in percentage points."""
    return f"{number(100 * share, 1)} points"


def size(count: int) -> str:
    """Bytes in decimal units."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f}{SPACE}{unit}"
    return f"{count}{SPACE}B"


def verdict(found: Judged | None) -> str:
    """What the test says of a gap: not told apart, apart and on which side, or not comparable."""
    if found is None:
        return "not comparable"
    if not found.apart:
        return "not told apart"
    return f"apart, {found.side}" + (": better" if found.better else "")


def count(amount: int, noun: str) -> str:
    """``3 updates``, ``1 update``, ``no updates``."""
    return f"{'no' if amount == 0 else f'{amount:,}'} {noun}{'' if amount == 1 else 's'}"


def listed(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
