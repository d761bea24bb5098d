"""``afuic verify``: checks a certificate with the public key alone, and says what it states and what it does not prove."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afuic.cli.common import needs_deploy, say
from afuic.errors import CertificateError, ConfigError

if TYPE_CHECKING:
    from afuic.certify import form
    from afuic.certify.keys import PublicKey

REFUSED = 1


def verify(
    certificate: Annotated[Path, typer.Argument(metavar="CERT", help="The certificate, as 'afuic certificate' wrote it.")],
    key: Annotated[
        list[Path] | None,
        typer.Option(
            help="The server's public key; may be given more than once, where it was changed.",
            show_default="server/certificate.pub",
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="A safetensors file that should be the released model.", show_default="not compared")
    ] = None,
    previous: Annotated[
        list[Path] | None,
        typer.Option(help="The certificate before; may be given more than once, oldest first.", show_default="not compared"),
    ] = None,
) -> None:
    """Check a certificate of erasure, offline, with the server's public key alone; exit code 1 when it does not hold."""
    keys = key or [Path("server/certificate.pub")]
    try:
        with needs_deploy("verify certificates", "verify"):
            checked, statement = _checked(certificate, keys, model, previous or [])
    except CertificateError as error:
        say(f"afuic: {certificate}: {error}", err=True)
        raise typer.Exit(REFUSED) from None
    say(*_page(certificate, checked, statement))


def _checked(path: Path, keys: list[Path], model: Path | None, previous: list[Path]) -> tuple[list[str], form.Statement]:
    from afuic.certify import envelope
    from afuic.certify.keys import load_public

    known, text = [load_public(key) for key in keys], _read(path)
    statement = envelope.verify(text, known)
    signed = f"signature: made with the key {envelope.key_id(text)[:16]}… ({', '.join(map(str, keys))})"
    form = f"form: {statement.predicate_type}; what it says agrees with itself, and the ledger's root with its entries"
    return [signed, form, *_ahead(statement), _compared(statement, model), _followed(statement, previous, known)], statement


def _ahead(statement: form.Statement) -> Iterator[str]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if (issued := statement.predicate.times.issued) > now:
        yield f"clock: issued {issued}, which this machine's clock has yet to come to ({now}); one of the two is wrong"


def _compared(statement: form.Statement, model: Path | None) -> str:
    if model is None:
        return "model: not compared; give its file with --model"
    from afuic.params import digest
    from afuic.store.files import read_tensors

    released = statement.predicate.models.after
    if (found := digest(read_tensors(model))) != released.digest:
        raise CertificateError(f"{model} is not the released model: its digest is {found}, certified is {released.digest}")
    return f"model: {model} is the released model, version {released.version}"


def _followed(statement: form.Statement, previous: list[Path], keys: list[PublicKey]) -> str:
    from afuic.certify import chain, envelope

    place = statement.predicate.place
    if not previous:
        first = place.number == 0
        return (
            "chain: the first of its federation"
            if first
            else f"chain: not compared; give number {place.number - 1} with --previous"
        )
    places = []
    for path in previous:
        text = _read(path)
        try:
            places.append((envelope.verify(text, keys).predicate.place, envelope.digest(text)))
        except CertificateError as error:
            raise CertificateError(f"its predecessor {path} does not hold: {error}") from None
    successors = [*(known for known, _ in places[1:]), place]
    problems = [
        p for after, (before, digest) in zip(successors, places, strict=True) for p in chain.follows(after, before, digest)
    ]
    if problems:
        raise CertificateError("the chain is broken: " + "; ".join(problems))
    return f"chain: number {place.number} follows number {places[0][0].number}" + (
        f" to {places[-1][0].number}" if places[1:] else ""
    )


def _read(path: Path) -> str:
    from afuic.certify.envelope import LARGEST

    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such certificate file") from None
    if len(content) > LARGEST:
        raise CertificateError("it is larger than any certificate")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise CertificateError("it is no text") from None


def _page(path: Path, checked: list[str], statement: form.Statement) -> Iterator[str]:
    from afuic.certify import words

    yield f"{path}: holds"
    yield from _section("What was checked", checked)
    yield from _section("What it states, on the word of whoever holds the key", words.states(statement))
    yield from _section("Copies out of reach", words.unreachable(statement))
    yield from _section("What it does not prove", words.does_not_prove(statement))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("", title)
    yield from (f"  - {line}" for line in lines)
