"""The signature: whatever is changed is refused, and others' software finds the same as ours."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from erased import FACTS, signed
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from afuic.certify import envelope
from afuic.certify.keys import PublicKey, load_private, load_public, make_key, public_path
from afuic.certify.statement import statement
from afuic.errors import CertificateError, ConfigError

FOLDER = Path(__file__).parent


@pytest.fixture
def made(key: Path) -> str:
    return signed(key)[0]


@pytest.fixture
def public(key: Path) -> PublicKey:
    return load_public(public_path(key))


def pae(kind: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding, from its specification."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def test_a_certificate_holds(made: str, public: PublicKey) -> None:
    assert envelope.verify(made, public).document() == statement(FACTS)


def test_the_same_facts_give_the_same_certificate(key: Path) -> None:
    assert signed(key) == signed(key)


def test_securesystemslib_agrees(made: str, public: PublicKey, key: Path, tmp_path: Path) -> None:
    ours = Envelope.from_dict(json.loads(made))
    assert list(ours.verify([SSlibKey.from_crypto(public.key, public.keyid)], 1)) == [public.keyid]
    other = load_public(make_key(tmp_path / "other.key"))
    with pytest.raises(VerificationError):
        ours.verify([SSlibKey.from_crypto(other.key, public.keyid)], 1)


def test_openssl_names_the_key_alike(public: PublicKey, key: Path) -> None:
    command = ["openssl", "pkey", "-pubin", "-in", public_path(key), "-outform", "DER"]
    found = subprocess.run(command, capture_output=True, check=True).stdout
    assert hashlib.sha256(found).hexdigest() == public.keyid


def test_cryptography_agrees_by_hand(made: str, key: Path) -> None:
    values = json.loads(made)
    payload, sig = base64.b64decode(values["payload"]), base64.b64decode(values["signatures"][0]["sig"])
    public = load_pem_public_key(public_path(key).read_bytes())
    public.verify(sig, pae("application/vnd.in-toto+json", payload))  # type: ignore[call-arg, union-attr, arg-type]
    with pytest.raises(InvalidSignature):
        public.verify(sig, pae("application/vnd.in-toto+json", payload + b" "))  # type: ignore[call-arg, union-attr, arg-type]
    assert json.loads(payload) == statement(FACTS)


def test_openssl_agrees(made: str, key: Path, tmp_path: Path) -> None:
    values = json.loads(made)
    (tmp_path / "pae").write_bytes(pae(values["payloadType"], base64.b64decode(values["payload"])))
    (tmp_path / "sig").write_bytes(base64.b64decode(values["signatures"][0]["sig"]))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public_path(key), "-rawin", "-in", "pae", "-sigfile", "sig"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, PublicKey]:
    key = tmp_path_factory.mktemp("fixed") / "certificate.key"
    public = load_public(make_key(key))
    return signed(key)[0], public


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_character_changed_is_refused(fixed: tuple[str, PublicKey], data: st.DataObject) -> None:
    made, public = fixed
    at = data.draw(st.integers(0, len(made) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != made[at]))
    with pytest.raises(CertificateError):
        envelope.verify(made[:at] + other + made[at + 1 :], public)


@pytest.mark.parametrize("what", ["payload", "sig", "keyid"])
def test_every_character_of_its_head_and_signature_counts(fixed: tuple[str, PublicKey], what: str) -> None:
    """All positions, also the last ones of base64, whose spare bits another spelling could use."""
    made, public = fixed
    values = json.loads(made)
    text = values["payload"] if what == "payload" else values["signatures"][0][what]
    start = made.index(text)
    positions = range(len(text)) if what != "payload" else [*range(40), *range(len(text) - 40, len(text))]
    for at in (start + i for i in positions):
        changed = made[:at] + ("B" if made[at] == "A" else "A") + made[at + 1 :]
        with pytest.raises(CertificateError):
            envelope.verify(changed, public)


def verifies(content: bytes, public: PublicKey) -> bool:
    try:
        envelope.verify(content.decode(), public)
    except (CertificateError, UnicodeDecodeError):
        return False
    return True


@pytest.mark.slow
def test_every_bit_counts(fixed: tuple[str, PublicKey]) -> None:
    """Whichever bit of the file is turned over, and whichever byte is missing or there twice."""
    made, public = fixed
    content = made.encode()
    assert verifies(content, public)
    for at, byte in enumerate(content):
        assert not any(verifies(content[:at] + bytes([byte ^ 1 << bit]) + content[at + 1 :], public) for bit in range(8)), at
        assert not verifies(content[:at] + content[at + 1 :], public), at
        assert not verifies(content[:at] + bytes([byte, byte]) + content[at + 1 :], public), at


def test_another_key_is_named(made: str, tmp_path: Path) -> None:
    other = load_public(make_key(tmp_path / "other.key"))
    with pytest.raises(CertificateError, match="another key"):
        envelope.verify(made, other)


def test_any_of_several_keys_will_do(made: str, public: PublicKey, tmp_path: Path) -> None:
    other = load_public(make_key(tmp_path / "other.key"))
    assert envelope.verify(made, [other, public]).predicate.place.number == 0


def test_a_changed_payload_says_so(made: str, public: PublicKey) -> None:
    values = json.loads(made)
    payload = base64.b64decode(values["payload"]).replace(b"hospital-1", b"hospital-9")
    with pytest.raises(CertificateError, match="was changed"):
        envelope.verify(json.dumps(values | {"payload": base64.b64encode(payload).decode()}), public)


NOTHING_SIGNED = '{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}'


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "nothing", "[" * 100_000, '{"payload": 1}', NOTHING_SIGNED], ids=range(8)
)
def test_anything_else_is_no_envelope(text: str, public: PublicKey) -> None:
    with pytest.raises(CertificateError, match="not a DSSE envelope"):
        envelope.verify(text, public)


def test_a_second_payload_is_refused(made: str, public: PublicKey) -> None:
    with pytest.raises(CertificateError, match="not a DSSE envelope"):
        envelope.verify('{"payload":"AAAA",' + made[1:], public)
    with pytest.raises(CertificateError, match="not a DSSE envelope"):
        envelope.verify(made[:-1] + ',"more":1}', public)


def test_spaces_do_not_count(made: str, public: PublicKey) -> None:
    spread = json.dumps(json.loads(made), indent=4) + "\n"
    assert envelope.verify(spread, public) == envelope.verify(made, public)
    assert envelope.digest(spread) == envelope.digest(made)


def test_the_digest_is_that_of_the_file(made: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(made)
    found = subprocess.run(["sha256sum", tmp_path / "c.json"], capture_output=True, check=True, text=True).stdout
    assert envelope.digest(made) == "sha256:" + found.split()[0]


# -- keys -------------------------------------------------------------------------------------------------------------


def test_a_private_key_is_its_owners_alone(key: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    assert public_path(key).stat().st_mode & 0o777 == 0o644
    assert b"PRIVATE" not in public_path(key).read_bytes()


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_key(tmp_path / "open.key")
    finally:
        os.umask(before)
    assert (tmp_path / "open.key").stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_overwritten(key: Path) -> None:
    content = key.read_bytes()
    with pytest.raises(ConfigError, match="a key already"):
        make_key(key)
    assert key.read_bytes() == content


def test_a_key_that_others_may_read_is_refused(key: Path) -> None:
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_private(key)


def test_a_file_that_is_no_key_is_named(tmp_path: Path, key: Path) -> None:
    (tmp_path / "no.key").write_text("no key")
    (tmp_path / "no.key").chmod(0o600)
    with pytest.raises(ConfigError, match=r"no\.key: not an unencrypted private key"):
        load_private(tmp_path / "no.key")
    with pytest.raises(ConfigError, match=r"no\.key: not a public key"):
        load_public(tmp_path / "no.key")
    with pytest.raises(ConfigError, match="not a public key"):
        load_public(key)
    with pytest.raises(ConfigError, match="no such key"):
        load_public(tmp_path / "gone.pub")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", "x.key"], cwd=tmp_path, check=True)
    subprocess.run(["openssl", "pkey", "-in", "x.key", "-pubout", "-out", "x.pub"], cwd=tmp_path, check=True)
    (tmp_path / "x.key").chmod(0o600)
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        load_private(tmp_path / "x.key")
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        load_public(tmp_path / "x.pub")
