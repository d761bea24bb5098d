"""The command line: parse, configure, call. No number is made here, and torch is imported only by commands that need it."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

import afuic
from afuic.cli import asking, bench, data, deploying, inspecting, models, running, verifying
from afuic.cli.common import SETTINGS, say
from afuic.cli.guard import Guarded

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Guarded,
    pretty_exceptions_enable=False,
    epilog="Example: afuic run demo-phantom (offline, seconds), afuic run demo (blood cells, minutes)",
    **SETTINGS,
)
app.command(epilog="Example: afuic run demo --seed 1 --set data.partition.alpha=0.1 --out runs/uneven")(running.run)
app.command(epilog="Example: afuic replay runs/bloodmnist-seed0 --method afuic")(running.replay)
app.command(epilog="Example: afuic report runs/bloodmnist-seed0")(running.report)
app.command(epilog="Example: afuic methods afuic")(inspecting.methods)
app.command(epilog='Example: afuic erase --client hospital-3 --reason "left the study"')(asking.erase)
app.command(epilog="Example: afuic requests r-5f2c81d0a4be --watch")(asking.requests)
app.command(epilog="Example: afuic status --home federation/operator")(asking.status)
app.command(epilog="Example: afuic certificate r-5f2c81d0a4be --out certificate.json")(asking.certificate)
app.command(epilog="Example: afuic audit --export audit.jsonl --home federation/operator")(asking.audit)
app.add_typer(models.app, name="models")
app.command(epilog="Example: afuic verify certificate-3.json --key server/certificate.pub --model model-42.safetensors")(
    verifying.verify
)
app.add_typer(deploying.app, name="deploy")
app.add_typer(bench.app, name="bench")
app.add_typer(data.app, name="data")
app.add_typer(inspecting.app, name="config")


def _version(asked: bool) -> None:
    if asked:
        say(f"afuic {afuic.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Asynchronous federated unlearning with invariance calibration for medical imaging."""


def main() -> None:
    """The ``afuic`` command. What the terminal's encoding does not have is shown as ``?``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app()
