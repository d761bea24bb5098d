"""What no honest server writes is refused, although it is well-formed and its signature holds."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from erased import ALONE, DONE, FACTS, FORMAL, hashed, patients
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from afuic.certify import envelope, form
from afuic.certify.canonical import canonical
from afuic.certify.facts import Facts, _gap
from afuic.certify.keys import PublicKey, load_private, load_public, public_path
from afuic.certify.limits import ALWAYS, COPIES, RESTS_ON, SEED
from afuic.certify.statement import statement
from afuic.cli import app
from afuic.erase import METHODS
from afuic.errors import CertificateError
from afuic.text import hidden

Forger = Callable[[dict[str, Any]], None]
HEALED = FACTS
UNHEALED = replace(FACTS, done=replace(DONE, healing=None, judgement=None))
NOTHING = replace(FACTS, method="continue", done=replace(DONE, how="nothing", steps_removed=False, **ALONE))
OVERWRITTEN = replace(FACTS, method="fcu", done=replace(DONE, how="overwritten", steps_removed=False, median=None, cosine=None))
LATER = replace(FACTS, number=7, previous=hashed(33))


def sign(made: Any, private: Ed25519PrivateKey) -> str:
    """Whatever it is, signed as a server would."""
    payload = made if isinstance(made, bytes) else canonical(made)
    signature = {"keyid": PublicKey(private.public_key()).keyid, "sig": text(private.sign(envelope._signed(payload)))}
    return canonical({"payload": text(payload), "payloadType": envelope.PAYLOAD, "signatures": [signature]}).decode()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def put(path: str, value: Any) -> Forger:
    """Set a field of the predicate; ``a.b.0`` goes down."""

    def change(made: dict[str, Any]) -> None:
        *way, last = path.split(".")
        node: Any = made["predicate"]
        for step in way:
            node = node[int(step) if isinstance(node, list) else step]
        node[int(last) if isinstance(node, list) else last] = value

    return change


def drop(path: str, what: str) -> Forger:
    """Take the sentences with ``what`` out of a list of the predicate."""

    def change(made: dict[str, Any]) -> None:
        found = made["predicate"][path]
        kept = [line for line in found if what not in line]
        assert len(kept) < len(found)
        made["predicate"][path] = kept

    return change


def more(path: str, value: Any) -> Forger:
    def change(made: dict[str, Any]) -> None:
        node: Any = made["predicate"]
        for step in path.split("."):
            node = node[step]
        node.append(value)

    return change


def both(*changes: Forger) -> Forger:
    def change(made: dict[str, Any]) -> None:
        for one in changes:
            one(made)

    return change


def books(*entries: tuple[str, list[str], int]) -> Forger:
    """Another ledger, with its root."""

    def change(made: dict[str, Any]) -> None:
        ledger = made["predicate"]["ledger"]
        found = [
            form.Entry(kind=kind, names=form.Named(own=tuple(own), others=others), digest=hashed(n))  # type: ignore[arg-type]
            for n, (kind, own, others) in enumerate(entries)
        ]
        ledger["entries"] = [entry.model_dump(mode="json", by_alias=True) for entry in found]
        ledger["root"] = form.root_of(found)

    return change


REMOVAL, PURGE, MEASURED = "evidence.procedural.removal", "evidence.procedural.purge", "evidence.empirical"
OPEN = "all that it leaves open"
FORGED: dict[str, tuple[Facts, Forger, str]] = {
    # a removal that was none
    "nobody was erased": (FACTS, put(f"{REMOVAL}.contributors", []), "contributors"),
    "an epoch is missing": (FACTS, put(f"{REMOVAL}.contributors", ["hospital-1@1"]), "contributors so far"),
    "an epoch twice": (FACTS, put(f"{REMOVAL}.contributors", ["hospital-1@0", "hospital-1@0"]), "contributors so far"),
    "epochs out of order": (FACTS, put(f"{REMOVAL}.contributors", ["hospital-1@1", "hospital-1@0"]), "contributors so far"),
    "somebody else was erased": (FACTS, put(f"{REMOVAL}.contributors", ["hospital-3@0"]), "another hospital is named"),
    "no contributor at all": (FACTS, put(f"{REMOVAL}.contributors", ["hospital-1"]), "pattern"),
    "an epoch of 3,000 digits": (FACTS, put(f"{REMOVAL}.contributors", ["hospital-1@" + "9" * 3000]), "pattern"),
    "nothing is called subtracted": (NOTHING, put(f"{REMOVAL}.how", "subtracted"), "never does"),
    "subtracted is called overwritten": (FACTS, put(f"{REMOVAL}.how", "overwritten"), "never does"),
    "another word for it": (FACTS, put(f"{REMOVAL}.how", "obliterated"), "how"),
    "it is still in the ledger": (
        FACTS,
        books(("origin", [], 0), ("contributor", ["hospital-1@0"], 0), ("contributor", [], 1), ("server", ["hospital-1@0"], 1)),
        "still in the sum",
    ),
    "it is still in the model": (FACTS, put("models.after.contributors.own", ["hospital-1@0"]), "still in the sum"),
    "a whole hospital unlearned": (FACTS, put(f"{REMOVAL}.how", "unlearned at the hospital"), "does not unlearn"),
    "steps removed by a method that removes nothing": (NOTHING, put(f"{REMOVAL}.serverSteps", "removed"), "cannot have been"),
    "steps kept and not told": (FACTS, put(f"{REMOVAL}.serverSteps", "kept"), OPEN),
    "a negative norm": (FACTS, put(f"{REMOVAL}.norm", -1.0), "norm"),
    "the teacher is not told": (FACTS, put(f"{REMOVAL}.throughTeacher", []), "those whom the teacher"),
    "a teacher too many": (FACTS, put(f"{REMOVAL}.throughTeacher", ["hospital-1@0", "hospital-1@1"]), "those whom the teacher"),
    "a negative loss": (FACTS, put(f"{REMOVAL}.updatesLost", -1), "updatesLost"),
    "an epoch was left in the sum": (
        FACTS,
        both(
            put("models.after.contributors.own", ["hospital-1@1"]),
            books(
                ("origin", [], 0), ("contributor", ["hospital-1@1"], 0), ("contributor", [], 1), ("server", ["hospital-1@0"], 1)
            ),
        ),
        "one of its contributors was not",
    ),
    "an epoch was left before": (
        FACTS,
        put("models.before.contributors.own", ["hospital-1@0", "hospital-1@5"]),
        "one of its contributors was not",
    ),
    "an epoch taught": (FACTS, put("models.before.taughtBy.own", ["hospital-1@5"]), "one of its contributors was not"),
    "nothing was there to subtract": (FACTS, put("models.before.contributors.own", []), "nothing of the hospital"),
    "set beside what stays, and nothing subtracted": (OVERWRITTEN, put(f"{REMOVAL}.othersMedian", 2.0), "go together"),
    "both, and nothing subtracted": (
        OVERWRITTEN,
        both(put(f"{REMOVAL}.othersMedian", 2.0), put(f"{REMOVAL}.leastCosine", 0.0)),
        "nothing was subtracted",
    ),
    "no median": (FACTS, put(f"{REMOVAL}.othersMedian", None), "go together"),
    "set beside nobody": (
        FACTS,
        both(put(f"{REMOVAL}.othersMedian", None), put(f"{REMOVAL}.leastCosine", None)),
        "not set beside",
    ),
    # the models
    "nothing changed": (FACTS, put("models.before.digest", FACTS.after.digest), "the model is the same"),
    "released before it was asked": (FACTS, put("models.before.version", 99), "does not follow"),
    "the subject is another": (FACTS, lambda made: made["subject"][0]["digest"].update(afuicParams="0" * 64), "subject"),
    "the subject is of another federation": (FACTS, lambda made: made["subject"][0].update(name="ears/model/42"), "subject"),
    "the subject is another version": (FACTS, lambda made: made["subject"][0].update(name="eyes/model/43"), "subject"),
    "a version of 3,000 digits": (FACTS, put("models.after.version", 10**60), "version"),
    "a version that rounds": (FACTS, put("models.after.version", 2**53 + 1), "version"),
    "contributors not sorted": (
        FACTS,
        put("models.before.contributors.own", ["hospital-1@1", "hospital-1@0"]),
        "not sorted",
    ),
    "another hospital is named": (FACTS, put("models.before.contributors.own", ["hospital-2@0"]), "another hospital"),
    # the ledger
    "no origin": (FACTS, books(("contributor", [], 1), ("server", ["hospital-1@0"], 1)), "one origin"),
    "two origins": (FACTS, books(("origin", [], 0), ("origin", [], 0), ("contributor", [], 1)), "one origin"),
    "an origin with a name": (
        FACTS,
        books(("origin", ["hospital-1@0"], 0), ("contributor", [], 1), ("server", ["hospital-1@0"], 1)),
        "more names",
    ),
    "a contributor of nobody": (
        FACTS,
        books(("origin", [], 0), ("contributor", [], 0), ("server", ["hospital-1@0"], 1)),
        "names",
    ),
    "a contributor of two": (FACTS, books(("origin", [], 0), ("contributor", [], 2), ("server", ["hospital-1@0"], 1)), "names"),
    "entries out of order": (
        FACTS,
        books(("origin", [], 0), ("server", ["hospital-1@0"], 1), ("contributor", [], 1)),
        "one origin",
    ),
    "a contributor too many": (
        FACTS,
        books(("origin", [], 0), ("contributor", [], 1), ("contributor", [], 1), ("server", ["hospital-1@0"], 1)),
        "other contributors",
    ),
    "a teacher is missing": (FACTS, books(("origin", [], 0), ("contributor", [], 1), ("server", [], 1)), "other teachers"),
    "an old ledger": (FACTS, put("ledger.version", 41), "older"),
    "another root": (FACTS, put("ledger.root", hashed(1)), "root"),
    "the same step twice": (
        FACTS,
        books(("origin", [], 0), ("contributor", [], 1), ("server", ["hospital-1@0"], 1), ("server", ["hospital-1@0"], 1)),
        "twice",
    ),
    "steps of nobody twice": (
        FACTS,
        books(("origin", [], 0), ("contributor", [], 1), ("server", [], 0), ("server", [], 0), ("server", ["hospital-1@0"], 1)),
        "twice",
    ),
    # times
    "a day that is none": (FACTS, put("times.asked", "2026-02-30T10:00:00Z"), "no such moment"),
    "a month that is none": (FACTS, put("times.issued", "2026-13-01T10:00:00Z"), "no such moment"),
    "an hour that is none": (FACTS, put("times.purged", "2026-09-21T25:00:00Z"), "no such moment"),
    "a year long ago": (FACTS, put("times.asked", "0001-01-01T00:00:00Z"), "pattern"),
    "a year far ahead": (FACTS, put("times.issued", "9999-12-31T23:59:59Z"), "pattern"),
    "another zone": (FACTS, put("times.asked", "2026-09-21T14:13:20+02:00"), "pattern"),
    "digits of another script": (FACTS, put("times.asked", "2026-09-21T14:13:2\u0660Z"), "no such moment|pattern"),
    "issued first, and not told": (FACTS, put("times.issued", "2026-09-20T00:00:00Z"), OPEN),
    "purged before the release, and not told": (FACTS, put("times.purged", "2026-09-21T14:13:30Z"), OPEN),
    "scored before the release, and not told": (FACTS, put("times.verified", "2026-09-21T14:13:30Z"), OPEN),
    "an order called odd": (
        FACTS,
        more("doesNotProve", "When it happened: the times are out of order, so the server's clock was set meanwhile."),
        OPEN,
    ),
    # the scope and the request
    "patients without a digest": (patients(FACTS), put("request.scope.salted", None), "salted digest"),
    "a digest without patients": (FACTS, put("request.scope.salted", hashed(7)), "salted digest"),
    "patients called whole": (patients(FACTS), put("request.scope.whole", True), "salted digest"),
    "no patient": (patients(FACTS), put("request.scope.patients", 0), "patients"),
    "a crowd": (patients(FACTS), put("request.scope.patients", 10**18), "patients"),
    "patients made a whole": (
        patients(FACTS),
        both(put("request.scope.whole", True), put("request.scope.patients", None), put("request.scope.salted", None)),
        OPEN,
    ),
    "another hospital's scope": (FACTS, put("request.scope.hospital", "hospital-9"), "asked for another|is named"),
    "another hospital asked": (FACTS, put("request.askedBy", "hospital:hospital-9"), "asked for another"),
    "an auditor asked": (FACTS, put("request.askedBy", "auditor:a"), "askedBy"),
    "a person asked": (FACTS, put("request.askedBy", "Mrs Example"), "askedBy"),
    "it covers itself": (FACTS, put("request.covers", ["r-7f3a"]), "its own"),
    "patients cover a request": (patients(FACTS), put("request.covers", ["r-12"]), "covers no other"),
    "it covers one twice": (FACTS, put("request.covers", ["r-12", "r-12"]), "twice"),
    "covers not sorted": (FACTS, put("request.covers", ["r-13", "r-12"]), "not sorted"),
    "a name from right to left": (FACTS, put("request.id", "r-\u202e1"), "pattern"),
    "a hospital's name of another form": (FACTS, put("request.scope.hospital", "Hospital 1"), "pattern"),
    # the place
    "the first has a previous one": (FACTS, put("place.previous", hashed(3)), "no previous one"),
    "a later one has none": (LATER, put("place.previous", None), "no previous one"),
    "no record": (FACTS, put("place.record.links", 0), "shorter than"),
    "a record shorter than its certificates": (LATER, put("place.record.links", 7), "shorter than"),
    "a negative number": (FACTS, put("place.number", -1), "number"),
    "a number that is no whole one": (FACTS, put("place.number", 0.5), "number"),
    "a number as a truth": (FACTS, put("place.number", False), "canonical"),
    "a number as a text": (FACTS, put("place.number", "0"), "canonical"),
    "a federation from right to left": (FACTS, put("place.federation", "ey\u202ees"), "holds U\\+202E"),
    "a federation in two spellings": (FACTS, put("place.federation", "Zoe\u0308"), "composed form"),
    "a federation with blanks": (FACTS, put("place.federation", " eyes "), "blanks"),
    "a federation without a name": (FACTS, put("place.federation", ""), "federation"),
    "a federation of a page": (FACTS, put("place.federation", "e" * 201), "federation"),
    # what it leaves open
    "no sentence at all": (FACTS, put("doesNotProve", []), "doesNotProve"),
    "the operator always tells the truth": (FACTS, drop("doesNotProve", "tells the truth"), OPEN),
    "healing gave nothing back": (HEALED, drop("doesNotProve", "gave nothing back"), OPEN),
    "attacks find nothing": (FACTS, drop("doesNotProve", "no attack"), OPEN),
    "another sentence": (FACTS, put("doesNotProve.0", "That the moon is made of cheese."), OPEN),
    "one more sentence": (FACTS, more("doesNotProve", "That anybody should doubt this."), OPEN),
    "sentences in another order": (FACTS, lambda made: made["predicate"]["doesNotProve"].reverse(), OPEN),
    "healing is hidden": (HEALED, both(put(f"{MEASURED}.healing", "none"), put(f"{MEASURED}.release", "none")), OPEN),
    "healing is invented": (UNHEALED, put(f"{MEASURED}.healing", {"steps": 1, "gapBefore": 1.0, "gapAfter": 0.5}), OPEN),
    "backups are forgotten": (FACTS, drop("unreachable", "backups"), "not all named"),
    "images are forgotten": (FACTS, drop("unreachable", "the images"), "not all named"),
    "no copy is out of reach": (FACTS, put("unreachable", []), "not all named"),
    "a copy is named twice": (FACTS, put("unreachable", [COPIES[0], *COPIES]), "not all named"),
    "copies in another order": (FACTS, put("unreachable", list(reversed(COPIES))), "not all named"),
    # the purge
    "the released model was deleted": (FACTS, put(f"{PURGE}.removed", [FACTS.after.digest]), "itself was deleted"),
    "one was deleted twice": (FACTS, put(f"{PURGE}.removed", [hashed(8), hashed(8)]), "named twice"),
    "digests not sorted": (FACTS, put(f"{PURGE}.removed", [hashed(9), hashed(8)]), "not sorted"),
    "bytes of nothing": (FACTS, put(f"{PURGE}.removed", []), "bytes"),
    "nothing in bytes": (FACTS, put(f"{PURGE}.removedBytes", 0), "bytes"),
    "bytes without end": (FACTS, put(f"{PURGE}.removedBytes", 10**30), "removedBytes"),
    "the scan found one": (FACTS, put(f"{PURGE}.foundByScan", 1), "foundByScan"),
    "a digest of another kind": (FACTS, put(f"{PURGE}.removed", ["md5:" + "0" * 32]), "pattern"),
    # measures
    "scores without a time": (FACTS, put("times.verified", None), "go together"),
    "a time without scores": (FACTS, put(f"{MEASURED}.scores", "none"), "go together"),
    "another hospital's scores": (FACTS, put(f"{MEASURED}.scores.hospital", "hospital-2"), "another hospital's"),
    "no number in the scores": (FACTS, put(f"{MEASURED}.scores.numbers", {}), "there are none"),
    "a score of another name": (FACTS, put(f"{MEASURED}.scores.numbers.proof", 1.0), "proof"),
    "an accuracy above 1": (FACTS, put(f"{MEASURED}.scores.numbers.forget_accuracy", 1.5), "forget_accuracy"),
    "a negative loss on the images": (FACTS, put(f"{MEASURED}.scores.numbers.forget_loss", -0.5), "forget_loss"),
    "an attack without images": (FACTS, put(f"{MEASURED}.scores.numbers.held_out_images", 0), "no held-out image"),
    "half an image": (FACTS, put(f"{MEASURED}.scores.numbers.forget_images", 0.5), "forget_images"),
    "no step and another gap": (FACTS, put(f"{MEASURED}.healing.steps", 0), "no step"),
    "a negative gap": (FACTS, put(f"{MEASURED}.healing.gapAfter", -1.0), "gapAfter"),
    "judged, and nothing calibrated": (
        UNHEALED,
        lambda made: made["predicate"]["evidence"]["empirical"].update(
            release=statement(FACTS)["predicate"]["evidence"]["empirical"]["release"]
        ),
        "nothing was calibrated",
    ),
    # the method and the proof
    "an unknown method": (FACTS, put("method.name", "magic"), "never does"),
    "another assumption": (FORMAL, put("evidence.formal.restsOn", ["nothing", SEED]), "hides what it rests on"),
    "a truth for a number": (FORMAL, put("method.options.epsilon", True), "other numbers"),
    "a proof without noise": (
        FORMAL,
        both(put("evidence.formal.sigma", 0.0), put("method.options.sigma", 0.0)),
        "sigma",
    ),
    "a proof from a method that has none": (
        FACTS,
        lambda made: made["predicate"]["evidence"].update(formal=statement(FORMAL)["predicate"]["evidence"]["formal"]),
        "no formal",
    ),
    "a better epsilon": (FORMAL, put("evidence.formal.epsilon", 0.1), "other numbers"),
    "no epsilon": (FORMAL, put("evidence.formal.epsilon", 0.0), "epsilon"),
    "nothing that it rests on": (FORMAL, put("evidence.formal.restsOn", []), "restsOn"),
    "the seed is hidden": (FORMAL, put("evidence.formal.restsOn", list(RESTS_ON["sifu"][:-1])), "hides what it rests on"),
    "the assumptions are hidden": (FORMAL, put("evidence.formal.restsOn", [SEED]), "hides what it rests on"),
    "a proof withdrawn in silence": (FORMAL, put("evidence.formal", "none"), OPEN),
    "a method with a promise for a name": (FACTS, put("method.name", "perfect erasure, by law"), "pattern"),
    "a source that hides": (FACTS, put("method.source", "this\u200b project"), "holds U\\+200B"),
    "an option that hides": (FACTS, put("method.options.client", "\u202e"), "holds U\\+202E"),
    "an option's name that hides": (FACTS, put("method.options.\u2028", 1), "holds U\\+2028"),
    "an option without end": (FACTS, put("method.options.client", 10**60), "no option can be|cannot be|number"),
    "other software": (FACTS, put("software.name", "afuic-pro"), "name"),
    "software of 3,000 digits": (FACTS, put("software.version", "1." + "0" * 3000), "pattern"),
    "software with a word": (FACTS, put("software.version", "certified"), "pattern"),
    # notes and what is no field
    "a note that hides": (FACTS, more("evidence.procedural.notes", "all\u009b2Jgone"), "holds U\\+009B"),
    "an empty note": (FACTS, more("evidence.procedural.notes", ""), "notes"),
    "a note of a book": (FACTS, more("evidence.procedural.notes", "x" * 2001), "notes"),
    "a field too many": (FACTS, put("seal", "gold"), "seal"),
    "a field of another spelling": (FACTS, put("place.Number", 0), "Number"),
    "a field is missing": (FACTS, lambda made: made["predicate"]["place"].pop("agreed"), "agreed"),
    "negative late results": (FACTS, put("evidence.procedural.fence.quarantined", -1), "quarantined"),
    "another statement": (FACTS, lambda made: made.update({"_type": "https://in-toto.io/Statement/v0.1"}), "_type"),
    "two subjects": (FACTS, lambda made: made["subject"].append(copy.deepcopy(made["subject"][0])), "subject"),
}


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.mark.parametrize("facts", [FACTS, FORMAL, NOTHING, OVERWRITTEN, UNHEALED, LATER, patients(FACTS)])
def test_the_honest_ones_hold(facts: Facts, private: Ed25519PrivateKey) -> None:
    made = statement(facts)
    assert envelope.verify(sign(made, private), PublicKey(private.public_key())).document() == made


@pytest.mark.parametrize("name", FORGED)
def test_a_forgery_is_refused_in_a_sentence(name: str, private: Ed25519PrivateKey) -> None:
    facts, forge, why = FORGED[name]
    made = copy.deepcopy(statement(facts))
    forge(made)
    assert canonical(made) != canonical(statement(facts))
    with pytest.raises(CertificateError, match=why) as error:
        envelope.verify(sign(made, private), PublicKey(private.public_key()))
    sentence = str(error.value)
    assert hidden(sentence) is None
    assert len(sentence) < 1000


SPELLED: dict[str, tuple[bytes, bytes]] = {
    "spaces": (b'"place":{', b'"place": {'),
    "a key twice": (b'"place":{', b'"place":{"number":0,'),
    "a float for a count": (b'"number":0', b'"number":0.0'),
    "an exponent": (b'"version":42', b'"version":42e0'),
    "a plus": (b'"gapAfter":0.0625', b'"gapAfter":6.25e-2'),
    "an escape": (b'"eyes"', b'"\\u0065yes"'),
    "not a number": (b'"gapAfter":0.0625', b'"gapAfter":NaN'),
    "infinity": (b'"gapBefore":0.75', b'"gapBefore":1e999'),
    "many digits": (b'"version":42', b'"version":' + b"4" * 3000),
    "a comment": (b'"place":{', b'"place":/**/{'),
    "utf-8": (b'"eyes"', '"ëyes"'.encode()),
}


@pytest.mark.parametrize("name", SPELLED)
def test_another_spelling_of_the_same_is_refused(name: str, private: Ed25519PrivateKey) -> None:
    before, after = SPELLED[name]
    payload = canonical(statement(FACTS))
    assert before in payload
    with pytest.raises(CertificateError):
        envelope.verify(sign(payload.replace(before, after, 1), private), PublicKey(private.public_key()))


def test_the_command_refuses_it_too(key: Path, tmp_path: Path) -> None:
    made = copy.deepcopy(statement(FACTS))
    made["predicate"]["doesNotProve"] = list(ALWAYS)
    (tmp_path / "c.json").write_text(sign(made, load_private(key)))
    result = CliRunner().invoke(app, ["verify", str(tmp_path / "c.json"), "--key", str(public_path(key))])
    assert (result.exit_code, OPEN in result.output) == (1, True)


def test_an_odd_order_of_times_is_told(key: Path) -> None:
    facts = replace(FACTS, purge=replace(FACTS.purge, scanned_at=FACTS.request.asked_at - 60))  # type: ignore[type-var]
    found = envelope.verify(envelope.sign(statement(facts), key), load_public(public_path(key)))
    assert found.predicate.does_not_prove[-1].startswith("When it happened")


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=5), parts, max_size=3),
    max_leaves=5,
)


def ways(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(way for key, part in parts for way in ways(part, (*path, key)))]


WAYS = ways(statement(FACTS))[1:]


@settings(max_examples=300, deadline=None)
@given(way=st.sampled_from(WAYS), value=VALUES)
def test_whatever_is_put_anywhere_is_refused_or_verifies_whole(way: tuple[Any, ...], value: Any) -> None:
    private = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
    made = copy.deepcopy(statement(FACTS))
    node: Any = made
    for step in way[:-1]:
        node = node[step]
    node[way[-1]] = value
    document = canonical(made)
    try:
        found = envelope.verify(sign(document, private), PublicKey(private.public_key())).document()
        said = ""
    except CertificateError as error:
        found, said = None, str(error)
    assert hidden(said) is None
    assert found is None or canonical(found) == document


def test_every_method_has_its_ways() -> None:
    from afuic.certify.agreement import WAYS as KNOWN

    assert set(KNOWN) == set(METHODS)


def test_what_a_proof_rests_on_is_what_its_method_says() -> None:
    from afuic.erase.peers.sifu import RESTS_ON as SAID

    assert {"sifu": (*(part.strip() for part in SAID.split(";")), SEED)} == RESTS_ON


ANY = st.one_of(st.text(max_size=40), st.text("\u202e\x9b\u2028\x00\ud800\u0308 e", max_size=2500))
GAPS = st.one_of(st.none(), st.floats(), st.just(-1e-9))


@settings(max_examples=80, deadline=None)
@given(notes=st.lists(ANY, max_size=3), places=st.lists(ANY, max_size=3), source=ANY, option=ANY, gaps=st.tuples(GAPS, GAPS))
def test_no_text_and_no_number_from_outside_prevents_a_certificate(
    notes: list[str], places: list[str], source: str, option: str, gaps: tuple[float | None, float | None]
) -> None:
    done = replace(DONE, notes=tuple(notes), healing=(7, _gap(gaps[0]), _gap(gaps[1])))
    purge = replace(FACTS.purge, unreachable=tuple(places))  # type: ignore[type-var]
    made = statement(replace(FACTS, done=done, purge=purge, source=source, options={"a": option, "b": [option, {option: 1.5}]}))
    private = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
    assert envelope.verify(sign(made, private), PublicKey(private.public_key())).document() == made
