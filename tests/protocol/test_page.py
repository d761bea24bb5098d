"""docs/protocol.md says what the code says: its diagram is drawn from the table, its lists name every event and effect."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from afuic.protocol import effects, events
from afuic.protocol.requests import TABLE, TERMINAL

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


def diagram() -> str:
    """A mermaid state diagram of the transition table."""
    starts = ("waiting", "scrubbing", "healing", "rebuilding", "working", "superseded")
    lines = ["stateDiagram-v2", *(f"    [*] --> {name}" for name in starts)]
    for (before, trigger), after in TABLE.items():
        lines += [f"    {before.value} --> {name}: {trigger}" for name in sorted(p.value for p in after)]
    lines += [f"    {name} --> [*]" for name in sorted(p.value for p in TERMINAL)]
    return "\n".join(lines)


def test_the_diagram_is_the_table() -> None:
    drawn = re.search(r"```mermaid\n(.*?)\n?```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert drawn
    assert drawn.group(1) == diagram(), f"the table has changed; the diagram should be\n{diagram()}"


@pytest.mark.parametrize("kind", [*get_args(events.Event), *get_args(effects.Effect)], ids=lambda k: k.__name__)
def test_every_event_and_effect_is_explained(kind: type) -> None:
    assert f"| `{kind.__name__}` |" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted((PAGE.parent / "methods").glob("*.md")), ids=lambda p: p.stem)
def test_every_place_a_method_page_names_exists(page: Path) -> None:
    places = re.findall(r"`(src/[\w/]+\.py):(\w+)`", page.read_text(encoding="utf-8"))
    assert places
    for path, function in places:
        source = (PAGE.parents[1] / path).read_text(encoding="utf-8")
        assert re.search(rf"^\s*(def|class) {function}\b", source, re.MULTILINE), f"{page.name} names {path}:{function}"
