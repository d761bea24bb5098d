"""The page on certificates names every field, and its program for those without afuic works."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from erased import FACTS, signed

from afuic.certify import form
from afuic.certify.canonical import canonical
from afuic.certify.keys import public_path
from afuic.certify.statement import statement

PAGE = (Path(__file__).parents[2] / "docs" / "deployment" / "certificate.md").read_text(encoding="utf-8")
PLAIN = {"_type", "name", "digest", "kind", "names", "predicateType", "version", "hospital", "numbers", "afuicParams"}
"""Fields that explain themselves where they stand."""


def fields(schema: Any) -> Iterator[str]:
    for part in [schema, *schema["$defs"].values()]:
        yield from part.get("properties", {})


def test_every_field_is_on_the_page() -> None:
    words = set(re.findall(r"\w+", PAGE))
    assert {name for name in fields(form.schema()) if name not in PLAIN} - words == set()


def test_its_program_verifies_without_afuic(key: Path, tmp_path: Path) -> None:
    program = re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert program
    made = signed(key)[0]
    (tmp_path / "c.json").write_text(made)
    command = [sys.executable, "-I", "-c", program.group(1), tmp_path / "c.json", public_path(key)]
    found = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert json.loads(found) == statement(FACTS)
    other = base64.b64encode(canonical(statement(replace(FACTS, quarantined=7)))).decode()
    (tmp_path / "c.json").write_text(json.dumps(json.loads(made) | {"payload": other}))
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
