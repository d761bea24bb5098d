"""The commands about a running federation's models: which there are, and a copy of one with its lineage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from afuic.cli.common import SETTINGS, output, say
from afuic.cli.finding import Authority, Home, Server, TokenFile, client

app = typer.Typer(help="List and export the models of a running federation.", **SETTINGS)


@app.command("list", epilog="Example: afuic models list --kept")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many versions, the newest.")] = 20,
    kept: Annotated[bool, typer.Option("--kept", help="Only versions whose tensors are still there.")] = False,
    server: Server = None,
    token: TokenFile = None,
    ca: Authority = None,
    home: Home = None,
) -> None:
    """List versions of the model, newest first: what made each, who is in its sum, who taught the server's steps, its digest."""
    from afuic.cli import telling

    with client(server, token, ca, home) as connection:
        rows = connection.models(limit, kept)
    output().print(telling.versions(rows))


@app.command(epilog="Example: afuic models export 42 --out model-42.safetensors")
def export(
    version: Annotated[int, typer.Argument(min=0, metavar="VERSION", help="The version, as afuic models list shows it.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The safetensors file to write.")],
    server: Server = None,
    token: TokenFile = None,
    ca: Authority = None,
    home: Home = None,
) -> None:
    """Fetch a version's tensors as safetensors, its lineage in the file's metadata. What is exported, no purge can reach."""
    from afuic.cli import telling
    from afuic.store.exporting import export as write

    with client(server, token, ca, home) as connection:
        row = connection.model(version)
        write(connection.model_file(version), row, connection.network(), out)
    say(f"wrote {out}: version {row.version}, {row.digest}")
    say(f"contributors, in its sum: {telling.in_the_sum(row) or 'nobody'}")
    say(f"its server's steps were taught by: {telling.taught_by(row) or 'nobody'}")
