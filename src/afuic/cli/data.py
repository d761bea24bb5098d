"""The commands about data sets: list, get, import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from afuic.cli.common import SETTINGS, PlainTable, complete_data, errors, output, say

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
) -> None:
    """Make a data set of your own images; a patient's images and duplicates never cross a split."""
    from afuic.data import import_manifest

    report = import_manifest(source, out, name=name, licence=licence, size=size, seed=seed, val=val, test=test)
    sites = ", ".join(f"{site} {count}" for site, count in report.sites.items()) or "none named"
    say(f"{report.name}: {', '.join(f'{split} {count}' for split, count in report.n.items())} images")
    say(f"classes: {', '.join(report.class_names)}")
    say(f"sites: {sites}; patients: {report.patients or 'none named'}; moved to another split: {report.moved}")
    if report.flattened:
        say(f"{report.flattened} images were transparent in places; black was laid beneath them")
    say(f"wrote {report.path}; use it with: afuic run --set data.name={report.path}")
