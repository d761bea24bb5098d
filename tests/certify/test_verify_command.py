"""afuic verify: what a person sees, offline, with a file and a public key."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from erased import BEFORE, DONE, FACTS, FORMAL, RELEASED, patients, signed
from typer.testing import CliRunner

from afuic.certify import envelope, words
from afuic.certify.facts import Facts
from afuic.certify.keys import load_public, make_key, public_path
from afuic.certify.statement import statement
from afuic.cli import app
from afuic.store.files import write_tensors


@pytest.fixture
def chain(key: Path, tmp_path: Path) -> list[Path]:
    """Three certificates as files."""
    paths = [tmp_path / f"certificate-{number}.json" for number in range(3)]
    for path, text in zip(paths, signed(key, 3), strict=True):
        path.write_text(text + "\n")
    return paths


def verify(*arguments: Any) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    return result.exit_code, result.output


def section(text: str, title: str) -> str:
    return next(part for part in text.split("\n\n") if part.startswith(title))


def test_a_certificate_that_holds_is_told_in_words(key: Path, chain: list[Path]) -> None:
    code, text = verify(chain[0], "--key", public_path(key))
    assert code == 0
    assert text.startswith(f"{chain[0]}: holds\n")
    checked = section(text, "What was checked")
    assert "signature: made with the key" in checked
    assert "model: not compared; give its file with --model" in checked
    assert "chain: the first of its federation" in checked
    assert "erase the whole of hospital-1" in section(text, "What it states")
    assert "backups" in section(text, "Copies out of reach")
    assert "tells the truth" in section(text, "What it does not prove")


def test_the_key_is_looked_for_where_the_server_keeps_it(key: Path, chain: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(key.parents[1])
    assert verify(chain[0])[0] == 0
    monkeypatch.chdir(key.parent)
    code, text = verify(chain[0])
    assert code == 2
    assert "server/certificate.pub: no such key file" in text


def test_the_model_is_compared(key: Path, chain: list[Path], tmp_path: Path) -> None:
    write_tensors(tmp_path / "released.safetensors", RELEASED)
    write_tensors(tmp_path / "before.safetensors", BEFORE)
    code, text = verify(chain[0], "--key", public_path(key), "--model", tmp_path / "released.safetensors")
    assert code == 0
    assert "is the released model, version 42" in text
    code, text = verify(chain[0], "--key", public_path(key), "--model", tmp_path / "before.safetensors")
    assert code == 1
    assert "is not the released model" in text
    assert "holds" not in text


def test_a_certificate_from_the_future_is_told(key: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(envelope.sign(statement(replace(FACTS, issued_at=4_070_908_800.0)), key))  # 2099-01-01
    code, text = verify(tmp_path / "c.json", "--key", public_path(key))
    assert (code, "clock: issued 2099-01-01T00:00:00Z" in text) == (0, True)


def test_the_chain_is_followed(key: Path, chain: list[Path]) -> None:
    with_key = ("--key", public_path(key))
    code, text = verify(chain[2], *with_key)
    assert code == 0
    assert "chain: not compared; give number 1 with --previous" in text
    code, text = verify(chain[2], *with_key, "--previous", chain[1])
    assert (code, "chain: number 2 follows number 1" in text) == (0, True)
    code, text = verify(chain[2], *with_key, "--previous", chain[0], "--previous", chain[1])
    assert (code, "chain: number 2 follows number 0 to 1" in text) == (0, True)
    code, text = verify(chain[2], *with_key, "--previous", chain[0])
    assert (code, "between number 0 and number 2 there is none: 1 missing" in text) == (1, True)
    code, text = verify(chain[1], *with_key, "--previous", chain[2])
    assert (code, "out of order" in text) == (1, True)


def test_a_predecessor_that_does_not_hold_is_named(key: Path, chain: list[Path], tmp_path: Path) -> None:
    make_key(tmp_path / "forger.key")
    chain[0].write_text(signed(tmp_path / "forger.key")[0])
    code, text = verify(chain[1], "--key", public_path(key), "--previous", chain[0])
    assert code == 1
    assert f"its predecessor {chain[0]} does not hold" in text


def test_what_does_not_hold_ends_with_1_and_a_sentence(key: Path, chain: list[Path], tmp_path: Path) -> None:
    other = make_key(tmp_path / "other.key")
    code, text = verify(chain[0], "--key", other)
    assert code == 1
    assert text.startswith(f"afuic: {chain[0]}: it was signed with another key")
    chain[0].write_bytes(b"\xff\xfe")
    assert verify(chain[0], "--key", other) == (1, f"afuic: {chain[0]}: it is no text\n")
    assert verify(chain[0], "--key", other, "--key", public_path(key))[0] == 1


def test_what_cannot_be_looked_at_ends_with_2(key: Path, tmp_path: Path) -> None:
    code, text = verify(tmp_path / "none.json", "--key", public_path(key))
    assert (code, "no such certificate file" in text) == (2, True)


BLOCKED = """
import sys

ABSENT = sys.argv[1].split(",")

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.argv = ["afuic", *sys.argv[2:]]
from afuic.cli import main
main()
"""
DEPLOY = "flwr,grpc,sqlalchemy,alembic,psycopg,fastapi,starlette,uvicorn,securesystemslib"


def without(absent: str, *arguments: Any) -> tuple[int, str]:
    """The command in a process of its own, where these packages are not installed."""
    command = [sys.executable, "-c", BLOCKED, absent, *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"AFUIC_DEBUG": ""})
    return found.returncode, found.stdout + found.stderr


def test_verifying_needs_cryptography_and_what_the_base_package_has(key: Path, chain: list[Path], tmp_path: Path) -> None:
    with_key = (chain[1], "--key", public_path(key), "--previous", chain[0])
    code, text = without(f"{DEPLOY},httpx,torch,numpy", "verify", *with_key)
    assert (code, f"{chain[1]}: holds" in text) == (0, True), text
    write_tensors(tmp_path / "released.safetensors", RELEASED)
    code, text = without(f"{DEPLOY},httpx", "verify", *with_key, "--model", tmp_path / "released.safetensors")
    assert (code, "is the released model, version 42" in text) == (0, True), text


def test_without_cryptography_it_says_what_to_install(key: Path, chain: list[Path]) -> None:
    code, text = without("cryptography", "verify", chain[0], "--key", public_path(key))
    assert code == 2
    assert "cryptography: not installed" in text
    assert "[verify]'" in text


def test_asking_a_server_needs_httpx_alone(tmp_path: Path) -> None:
    (tmp_path / "token").touch(0o600)
    (tmp_path / "token").write_text("t" * 43)
    where = ("--server", "http://127.0.0.1:9", "--token", tmp_path / "token")
    for command in (["requests"], ["status"], ["erase", "--client", "a", "--reason", "leaves"], ["certificate", "r-1"]):
        code, text = without(f"{DEPLOY},cryptography", *command, *where)
        assert (code, "nobody answers" in text) == (2, True), text
    code, text = without(f"{DEPLOY},httpx", "requests", *where)
    assert (code, "[client]'" in text) == (2, True), text


CASES: dict[str, tuple[Facts, str]] = {
    "patients": (patients(FACTS), "erase 3 patients of hospital-1 (salted digest sha256:"),
    "patient": (replace(patients(FACTS), request=replace(patients(FACTS).request, patients=1)), "erase 1 patient of"),  # type: ignore[type-var]
    "away": (replace(FACTS, verification=None), "empirical: no scores from the hospital"),
    "scores": (FACTS, "erased images scored: 240"),
    "formal": (
        FORMAL,
        "epsilon 1 and delta 0.01, only if there are losses with a positive semi-definite",
    ),
    "none": (FACTS, "formal: none"),
    "clock": (replace(FACTS, fenced_at=FACTS.fenced_at - 3600), "out of order"),
    "notes": (replace(FACTS, done=replace(DONE, notes=("not healed: no memory",))), "procedural: not healed: no memory"),
}


@pytest.mark.parametrize("name", CASES)
def test_every_case_has_its_words(name: str, key: Path) -> None:
    facts, said = CASES[name]
    found = envelope.verify(envelope.sign(statement(facts), key), load_public(public_path(key)))
    assert said in "\n".join(words.states(found))
