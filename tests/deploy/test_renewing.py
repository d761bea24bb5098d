"""``afuic deploy renew``: what is new works, what it replaces counts no more, everything else is as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from afuic.cli import app
from afuic.service import tokens
from afuic.settings import SERVER_FILE, Server, load


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "federation"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def changed(folder: Path, *arguments: str) -> tuple[int, str, set[str]]:
    """Exit code, what was printed, and the files whose content is another."""
    before = contents(folder)
    result = CliRunner().invoke(app, ["deploy", "renew", str(folder), *arguments])
    after = contents(folder)
    assert before.keys() == after.keys()
    return result.exit_code, result.output, {path for path in after if after[path] != before[path]}


def test_a_new_certificate_is_believed_under_the_old_root(folder: Path) -> None:
    code, said, files = changed(folder, "--tls")
    assert (code, files) == (0, {"server/tls.pem", "server/tls.key"})
    assert "take both to the server" in said
    root = x509.load_pem_x509_certificate((folder / "ca" / "ca.pem").read_bytes())
    found = x509.load_pem_x509_certificate((folder / "server" / "tls.pem").read_bytes())
    found.verify_directly_issued_by(root)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "fl.example.org" in names.get_values_for_type(x509.DNSName)
    assert (folder / "server" / "tls.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("name", "place"), [("operator", "operator"), ("south", "hospitals/south")])
def test_a_new_token_stands_for_the_same_and_the_old_one_for_nobody(folder: Path, name: str, place: str) -> None:
    kept = folder / "server" / "tokens.json"
    old = (folder / place / "token").read_text().strip()
    owner = tokens.recognise(tokens.read(kept), old)
    code, said, files = changed(folder, "--token", name)
    assert (code, files) == (0, {f"{place}/token", "server/tokens.json"})
    new = (folder / place / "token").read_text().strip()
    assert new not in said
    assert owner is not None
    assert tokens.recognise(tokens.read(kept), new) == owner
    assert tokens.recognise(tokens.read(kept), old) is None
    assert (folder / place / "token").stat().st_mode & 0o777 == 0o600


def test_a_new_node_key_takes_the_place_of_the_old_one_in_the_settings(folder: Path) -> None:
    path = folder / SERVER_FILE
    path.write_text("# mine\n" + path.read_text())
    old = {h.name: h.node_key for h in load(path, Server).hospitals}
    code, _, files = changed(folder, "--node", "west")
    home = folder / "hospitals" / "west"
    assert (code, files) == (0, {SERVER_FILE, "hospitals/west/node.key", "hospitals/west/node.pub"})
    now = {h.name: h.node_key for h in load(path, Server).hospitals}
    assert now == old | {"west": (home / "node.pub").read_text().strip()}
    assert now["west"] != old["west"]
    assert path.read_text().startswith("# mine\n")


def test_several_are_renewed_at_once_and_each_of_them_counts(folder: Path) -> None:
    settings, kept = folder / SERVER_FILE, folder / "server" / "tokens.json"
    code, said, files = changed(folder, "--token", "north", "--token", "operator", "--node", "north", "--node", "west", "--tls")
    assert (code, len(said.splitlines())) == (0, 5)
    assert {"server/tls.pem", "hospitals/north/token", "operator/token", "hospitals/west/node.pub"} <= files
    for place in ("hospitals/north", "operator"):
        assert tokens.recognise(tokens.read(kept), (folder / place / "token").read_text().strip()) is not None
    for hospital in load(settings, Server).hospitals:
        assert hospital.node_key == (folder / "hospitals" / hospital.name / "node.pub").read_text().strip()


@pytest.mark.parametrize("name", ["ca.key", "ca.pem"])
def test_a_broken_authority_is_named_and_nothing_is_changed(folder: Path, name: str) -> None:
    (folder / "ca" / name).write_text("-----BEGIN nothing-----")
    code, said, files = changed(folder, "--tls")
    assert (code, files) == (2, set())
    assert f"ca/{name}: not a" in " ".join(said.split())


def test_what_cannot_be_renewed_is_named_and_nothing_is_changed(folder: Path) -> None:
    (folder / "ca" / "ca.key").rename(folder / "elsewhere")
    for arguments, says in (
        ((), "say what is to be new"),
        (("--tls",), "ca.key: cannot be read (No such file or directory); put back"),
        (("--token", "east"), "no such token in"),
        (("--node", "east"), "there are north, south, west"),
        (("--token", "north", "--node", "west", "--node", "east"), "--node east: no such hospital"),
        (("--token", "operator", "--tls"), "ca.key: cannot be read"),
    ):
        code, said, files = changed(folder, *arguments)
        assert (code, files) == (2, set())
        assert says in " ".join(said.split())


def test_nginx_s_settings_are_written_as_this_version_writes_them(folder: Path) -> None:
    place = folder / "nginx.conf"
    now = place.read_text()
    place.write_text("what an earlier version wrote")
    code, said, files = changed(folder, "--nginx")
    assert (code, files) == (0, {"nginx.conf"})
    assert "start its unit again" in said
    assert place.read_text() == now
