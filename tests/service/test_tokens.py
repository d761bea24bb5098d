"""Tokens: only digests are kept, nobody is guessed, a removed one is refused at once."""

from __future__ import annotations

import json
import stat

import pytest

from afuic.errors import ConfigError
from afuic.service import tokens
from afuic.service.tokens import Caller, Keyring


@pytest.fixture
def made():
    return tokens.issue("ward", "hospital", "hospital-1")


def test_a_token_is_long_and_only_its_salted_digest_is_kept(made):
    secret, entry = made
    assert len(secret) == 43  # 32 bytes, 6 bits a letter
    assert secret not in entry.model_dump_json()
    assert tokens.issue("ward", "hospital", "hospital-1")[1].salt != entry.salt


def test_it_stands_for_its_hospital(made):
    secret, entry = made
    caller = tokens.recognise([tokens.issue("other", "auditor")[1], entry], secret)
    assert caller == Caller("ward", "hospital", "hospital-1")
    assert caller.who == "hospital:hospital-1"
    assert Caller("alice", "operator").who == "operator:alice"


@pytest.mark.parametrize(
    "change", [lambda s: s[:-1], lambda s: s + "A", lambda s: s.swapcase(), lambda s: "", lambda s: "ä" * 500]
)
def test_anything_else_stands_for_nobody(made, change):
    secret, entry = made
    assert tokens.recognise([entry], change(secret)) is None


def test_every_entry_is_compared_in_constant_time(made, monkeypatch):
    secret, entry = made
    compared = []
    real = tokens.hmac.compare_digest
    monkeypatch.setattr(tokens.hmac, "compare_digest", lambda a, b: compared.append(b) or real(a, b))
    others = [tokens.issue(f"other-{i}", "auditor")[1] for i in range(3)]
    assert tokens.recognise([entry, *others], secret) is not None
    assert len(compared) == 4


def test_the_file_is_for_its_owner_alone(made, tmp_path):
    tokens.write(tmp_path / "tokens.json", [made[1]])
    assert stat.S_IMODE((tmp_path / "tokens.json").stat().st_mode) == 0o600
    assert tokens.read(tmp_path / "tokens.json") == (made[1],)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not a list of tokens"),
        ('[{"name": "a", "role": "king", "salt": "", "digest": "secret-in-the-wrong-place"}]', "0.digest, 0.role, 0.salt"),
    ],
)
def test_a_broken_file_is_named_without_its_content(tmp_path, content, says):
    path = tmp_path / "tokens.json"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(ConfigError, match=says) as error:
        tokens.read(path)
    assert "secret-in-the-wrong-place" not in str(error.value)


def test_a_hospitals_token_names_a_hospital_and_no_other_does(made, tmp_path):
    entry = json.loads(made[1].model_dump_json())
    for change in ({"hospital": None}, {"role": "operator"}):
        (tmp_path / "tokens.json").touch(0o600)
        (tmp_path / "tokens.json").write_text(json.dumps([entry | change]))
        with pytest.raises(ConfigError):
            tokens.read(tmp_path / "tokens.json")


def test_two_of_one_name_and_no_file_are_refused(made, tmp_path):
    tokens.write(tmp_path / "tokens.json", [made[1], made[1]])
    with pytest.raises(ConfigError, match="same name"):
        tokens.read(tmp_path / "tokens.json")
    with pytest.raises(ConfigError, match="No such file"):
        tokens.read(tmp_path / "other.json")


def test_a_token_that_is_taken_out_is_refused_at_once(made, tmp_path):
    path = tmp_path / "tokens.json"
    tokens.write(path, [made[1]])
    ring = Keyring(path)
    assert ring.caller(made[0]) is not None
    tokens.write(path, [tokens.issue("new", "auditor")[1]])
    assert ring.caller(made[0]) is None
    path.write_text("broken")
    with pytest.raises(ConfigError):
        ring.caller(made[0])
    tokens.write(path, [made[1]])
    assert ring.caller(made[0]) is not None
