"""Who is whom, what is sent when, and which replies count: the mail between server and hospitals, without any network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from afuic.engines import flower_post as post
from afuic.engines.flower_post import Content, Parcel, Post
from afuic.engines.live.transport import Reply
from afuic.errors import ConfigError

KEYS = {name: ec.generate_private_key(ec.SECP384R1()) for name in ("a", "b", "stranger")}


def pem(name: str) -> bytes:
    return KEYS[name].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def line(name: str) -> str:
    return KEYS[name].public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@pytest.fixture
def mail() -> Post:
    mail = Post(post.public_keys({name: line(name) for name in ("a", "b")}))
    mail.online([(1, pem("a")), (2, pem("b"))])
    return mail


def out(mail: Post, now: float = 0.0) -> Parcel:
    """Send the one parcel that is due, as message "m-" + its task."""
    (parcel,) = mail.outgoing(now)
    mail.sent(parcel, f"m-{parcel.task}")
    return parcel


def answer(parcel: Parcel, by: str, document: bytes = b"done", tensors: bytes = b"delta") -> Content:
    return Content(parcel.task, document, tensors, post.prove(KEYS[by], parcel.challenge, parcel.task, document, tensors))


def test_a_node_is_known_by_its_key_and_nothing_else(mail: Post, caplog: pytest.LogCaptureFixture) -> None:
    mail.online([(7, pem("b")), (8, pem("stranger")), (9, b"no key")])
    assert mail.nodes == {"b": 7}
    assert mail.present(0.0) == {"b"}
    assert [record.getMessage().split()[1] for record in caplog.records] == ["8", "9"]


def test_a_stranger_is_named_once(mail: Post, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        mail.online([(8, pem("stranger"))])
    assert len(caplog.records) == 1


def test_one_message_at_a_time_to_a_node(mail: Post) -> None:
    mail.post("a", "a/1", b"d", b"t")
    mail.post("a", "a/2", b"d", b"t")
    first = out(mail)
    assert (first.client, first.node, first.task) == ("a", 1, "a/1")
    assert mail.outgoing(0.0) == []
    assert mail.replied("m-a/1", answer(first, "a")) == Reply("a/1", "a", b"done", b"delta")
    assert out(mail).task == "a/2"


def test_a_task_under_way_is_not_sent_again(mail: Post) -> None:
    mail.post("a", "a/1", b"d", b"t")
    first = out(mail)
    mail.post("a", "a/1", b"d", b"t")
    mail.replied("m-a/1", answer(first, "a"))
    assert mail.outgoing(0.0) == []


def test_who_is_away_waits(mail: Post) -> None:
    mail.post("a", "a/1", b"d", b"t")
    mail.online([(2, pem("b"))])
    assert mail.outgoing(0.0) == []
    mail.online([(5, pem("a"))])
    assert out(mail).node == 5


@pytest.mark.parametrize(
    "forge",
    [
        lambda parcel: answer(parcel, "b"),
        lambda parcel: replace(answer(parcel, "a"), document=b"another"),
        lambda parcel: replace(answer(parcel, "a"), tensors=b"another"),
        lambda parcel: replace(answer(parcel, "a"), task="a/2"),
        lambda parcel: answer(replace(parcel, challenge=b"of another message"), "a"),
        lambda parcel: replace(answer(parcel, "a"), signature=b""),
        lambda parcel: None,
    ],
)
def test_a_reply_that_is_not_signed_for_this_message_fails(mail: Post, forge) -> None:  # type: ignore[no-untyped-def]
    mail.post("a", "a/1", b"d", b"t")
    parcel = out(mail)
    assert mail.replied("m-a/1", forge(parcel)) == Reply("a/1", "a", failure=post.UNSIGNED)


def test_parts_cannot_be_shifted_from_one_to_the_next(mail: Post) -> None:
    signature = post.prove(KEYS["a"], b"c", "t", b"12", b"3")
    assert post.proved(KEYS["a"].public_key(), b"c", Content("t", b"12", b"3", signature))
    assert not post.proved(KEYS["a"].public_key(), b"c", Content("t", b"1", b"23", signature))


def test_a_reply_comes_once(mail: Post) -> None:
    mail.post("a", "a/1", b"d", b"t")
    parcel = out(mail)
    assert mail.replied("m-a/1", answer(parcel, "a")) is not None
    assert mail.replied("m-a/1", answer(parcel, "a")) is None
    assert mail.replied("m-never-sent", answer(parcel, "a")) is None


def test_what_is_forgotten_is_not_sent_and_a_late_reply_is_passed_on(mail: Post) -> None:
    mail.post("a", "a/1", b"d", b"t")
    parcel = out(mail)
    mail.post("a", "a/2", b"d", b"t")
    mail.forget("a", "a/1")
    mail.forget("a", "a/2")
    assert mail.outgoing(0.0) == []
    assert mail.replied("m-a/1", answer(parcel, "a")) == Reply("a/1", "a", b"done", b"delta")
    assert mail.outgoing(0.0) == []


def test_the_failure_of_what_is_forgotten_interests_nobody(mail: Post) -> None:
    for end in (
        lambda parcel: mail.failed("m-a/1", "died", 0.0, rest=False),
        lambda parcel: mail.replied("m-a/1", answer(parcel, "b")),
    ):
        mail.post("a", "a/1", b"d", b"t")
        parcel = out(mail)
        mail.forget("a", "a/1")
        assert end(parcel) is None


def test_a_forgotten_task_can_be_asked_for_again(mail: Post) -> None:
    mail.post("a", "a/1", b"d", b"t")
    parcel = out(mail)
    mail.forget("a", "a/1")
    mail.post("a", "a/1", b"d", b"t")
    assert mail.outgoing(0.0) == []
    assert mail.replied("m-a/1", answer(parcel, "a")) is not None
    assert out(mail).task == "a/1"


def test_a_node_that_cannot_be_reached_is_left_alone_longer_each_time(mail: Post) -> None:
    now, waited = 0.0, []
    for _ in range(8):
        mail.post("a", "a/1", b"d", b"t")
        parcel = out(mail, now)
        assert mail.failed("m-a/1", post.UNAVAILABLE, now, rest=True) == Reply(parcel.task, "a", failure=post.UNAVAILABLE)
        wait = next(w for w in range(61) if "a" in mail.present(now + w))
        waited.append(wait)
        now += wait
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60]
    mail.post("a", "a/1", b"d", b"t")
    mail.replied("m-a/1", answer(out(mail, now), "a"))
    assert "a" in mail.present(now)


def test_what_the_superlink_does_not_take_is_a_failure(mail: Post) -> None:
    mail.post("a", "a/1", b"d", b"t")
    (parcel,) = mail.outgoing(0.0)
    assert mail.refused(parcel, "full", 0.0) == Reply("a/1", "a", failure="full")
    assert mail.under_way() == []
    assert mail.present(0.0) == {"b"}


def test_keys_are_elliptic_and_in_openssh_s_form(tmp_path: Path) -> None:
    other = ed25519.Ed25519PrivateKey.generate()
    wrong = other.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    for bad in (wrong, "nonsense", ""):
        with pytest.raises(ConfigError, match="a: node_key"):
            post.public_keys({"a": bad})
    place = tmp_path / "node.key"
    place.touch(0o600)
    place.write_bytes(KEYS["a"].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    assert post.private_key(place).public_key().public_numbers() == KEYS["a"].public_key().public_numbers()
    place.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    for path in (place, tmp_path / "missing"):
        with pytest.raises(ConfigError, match="private key"):
            post.private_key(path)
