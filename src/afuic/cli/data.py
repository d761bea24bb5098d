"""The commands about data sets: list, get, import."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afuic.cli.common import SETTINGS, PlainTable, complete_data, errors, output, say

if TYPE_CHECKING:
    from afuic.data import ImportReport

app = typer.Typer(help="List, fetch and import data sets.", **SETTINGS)


@app.command("list", epilog="Example: afuic data list")
def list_() -> None:
    """List the registered data sets: images, classes, licence, checksum, and whether they are in the cache."""
    from afuic.data import catalogue

    table = PlainTable("name", "train", "val", "test", "classes", "licence", "md5", "cached", "what it shows")
    for entry in catalogue():
        counts = (str(count) for count in (*entry.n, len(entry.classes)))
        table.add_row(entry.name, *counts, entry.licence, entry.md5, "yes" if entry.cached() else "", entry.description)
    output().print(table)


@app.command(epilog="Example: afuic data get bloodmnist organamnist")
def get(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Registered data sets.", autocompletion=complete_data)],
) -> None:
    """Fetch data sets into the cache and check their checksums; an intact copy is not fetched again."""
    for name, path in zip(names, fetched(names), strict=True):
        say(f"{name}: {path}")


def fetched(names: list[str]) -> list[Path]:
    """The verified files of registered sets, with a progress display on standard error."""
    from afuic import data
    from afuic.cli.display import transferring

    with transferring(errors()) as progress:
        return [data.fetch(name, progress=progress) for name in names]


@app.command("import", epilog="Example: afuic data import slides.csv --out slides.npz --size 64")
def import_(
    source: Annotated[
        Path, typer.Argument(help="A csv with columns image, label and optionally site, patient, split; or an npz.")
    ],
    out: Annotated[Path, typer.Option(help="The npz to write; its path is then the data.name of a run.")],
    name: Annotated[str | None, typer.Option(help="Name of the set.", show_default="the source's")] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the images, kept with the set.", show_default="the source's, or unknown")
    ] = None,
    size: Annotated[int, typer.Option(min=8, max=512, help="Side length of the images in pixels.")] = 28,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the division into train, val and test.")] = 0,
    val: Annotated[float, typer.Option(help="Share of the validation images.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the test images.")] = 0.2,
    patient_scope: Annotated[
        str | None,
        typer.Option(
            metavar="site|global",
            help="What a patient's id means at several sites: another person at each, or the same one.",
            show_default="what the source declares, or site",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Leave a column alone that looks like one that is read.", show_default="none"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the npz if it is there.")] = False,
) -> None:
    """Make a data set of your own images; a patient's images and duplicates never cross a split."""
    from afuic.data import import_manifest
    from afuic.identity import scope_of

    report = import_manifest(
        source,
        out,
        name=name,
        licence=licence,
        size=size,
        seed=seed,
        val=val,
        test=test,
        scope=scope_of(patient_scope),
        ignore=ignore or (),
        force=force,
    )
    say(*_told(report))


def _told(report: ImportReport) -> Iterator[str]:
    """What a person has to know of an import: what was made of the columns, and what was left out."""
    yield f"{report.name}: {', '.join(f'{split} {count}' for split, count in report.n.items())} images"
    yield f"classes: {', '.join(report.class_names)}"
    at = ", ".join(f"{site} {count}" for site, count in report.sites.items()) or "none named"
    yield f"sites: {at}; patients: {report.patients or 'none named'}; moved to another split: {report.moved}"
    if report.at_several_sites:
        yield _several(report)
    if report.nameless:
        yield f"images of unknown patients: {report.nameless}, each taken for a patient of its own"
    if report.untaught:
        yield f"classes without an image: {', '.join(report.untaught)}"
    if report.copies:
        where = f", {report.elsewhere} of them another site's" if report.elsewhere else ""
        yield f"{report.copies} images are byte for byte another's{where}; a run trains on each once"
    if report.flattened:
        yield f"{report.flattened} images were transparent in places; black was laid beneath them"
    if report.ignored:
        yield f"not read: {', '.join(name or '(no heading)' for name in report.ignored)}"
    for column in report.sides:
        yield f"{column} says train or test and was not used; head it split if it is the set's own division"
    yield f"wrote {report.path}{_how(report.run)}"


def _several(report: ImportReport) -> str:
    ids = f"{report.at_several_sites} patients' ids occur at several sites"
    if report.patient_scope == "global":
        return f"{ids} and are taken for one person each (patient scope global)"
    return f"{ids} and are taken for another person at each; --patient-scope global takes them for one"


def _how(settings: tuple[str, ...]) -> str:
    if not settings:
        return "; it has too few images to be divided among hospitals, or pictures that become one at the size of a run"
    return f"; use it with: afuic run {' '.join(f'--set {shlex.quote(text)}' for text in settings)}"
