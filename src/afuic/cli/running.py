"""The commands that make and read a run's folder: run, replay, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afuic.cli.common import Folder, Jobs, Overrides, PlainTable, Source, complete_method, errors, load, output, say, tell_gpu
from afuic.errors import ConfigError, RunInterrupted, StoreError

if TYPE_CHECKING:
    from afuic.config import Config


def run(
    config: Source = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.", show_default="runs/NAME-seedN")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of every random choice.", show_default="the configuration's")
    ] = None,
    set_: Overrides = None,
    jobs: Jobs = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, by its own recorded configuration.")
    ] = False,
) -> None:
    """Train, erase and measure: every method on the same data, seeds and virtual clock; write results and report."""
    overrides = tuple(set_ or ()) + (() if seed is None else (f"seed={seed}",))
    plan, folder, resume = planned(config, out, overrides, resume)
    try:
        _run(plan, folder, jobs, resume)
    except (RunInterrupted, KeyboardInterrupt):
        raise RunInterrupted(_how_to_go_on(folder)) from None


def _how_to_go_on(folder: Path) -> str:
    from afuic.engines.experiment import RECORD

    if not (folder / RECORD).exists():
        return "stopped before the run had begun; nothing was written"
    return f"stopped; `afuic run --resume --out {folder}` goes on"


def planned(source: str | None, out: Path | None, overrides: tuple[str, ...], resume: bool) -> tuple[Config, Path, bool]:
    """What to run, where, and whether there is anything to go on with.

    To resume a configuration that was never begun is to begin it. ConfigError when the folder's run had another configuration,
    StoreError when nothing says what to resume.
    """
    from afuic.engines.experiment import RECORD, recorded_config

    config = load(source, overrides)
    folder = out or Path("runs") / f"{config.name}-seed{config.seed}"
    if not resume:
        return config, folder, False
    if not (folder / RECORD).exists():
        if source is None:
            raise StoreError(f"{folder}: no run to resume; name its folder with --out")
        return config, folder, False
    kept = recorded_config(folder)
    if (source or overrides) and config != kept:
        why = _difference(kept, config)
        raise ConfigError(
            f"{folder}: its run has another configuration ({why}); resume it without one, or choose another --out"
        )
    return kept, folder, True


def _difference(kept: Config, given: Config) -> str:
    """The first setting in which two configurations differ."""
    a, b = _flat(kept.model_dump(mode="json")), _flat(given.model_dump(mode="json"))
    key = next(key for key in sorted(a | b) if a.get(key) != b.get(key))
    return f"{key} is {a.get(key)!r} there and {b.get(key)!r} here"


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        children = value
    elif isinstance(value, list):
        children = {str(i): child for i, child in enumerate(value)}
    else:
        return {path: value}
    return {key: leaf for name, child in children.items() for key, leaf in _flat(child, f"{path}.{name}".strip(".")).items()}


def _run(config: Config, folder: Path, jobs: int | None, resume: bool) -> None:
    from afuic import report as pages
    from afuic.cli.display import following
    from afuic.engines import experiment, pool
    from afuic.erase import check_options
    from afuic.evaluate.results import repairs

    check_options(config)
    _ensure_data(config)
    tell_gpu()
    with following(errors()) as progress:
        results = experiment.run(config, folder, jobs=jobs or pool.cores(), resume=resume, progress=progress)
    page = pages.write(folder)
    output().print(pages.table(results))
    for told in (*repairs(results.dropped), *results.warnings):
        say(f"afuic: {told}", err=True)
    if odd := pages.unusable(folder):
        say(f"afuic: {odd}", err=True)
    say(f"report: {page}")


def _ensure_data(config: Config) -> None:
    """Fetch what the run needs before its clock starts, where a person can see it."""
    from afuic.cli.data import fetched

    if names := absent(config):
        fetched(names)


def absent(config: Config) -> list[str]:
    """Registered data sets that the configuration needs and that are not on this machine."""
    from afuic.data import catalogue

    missing = {entry.name for entry in catalogue() if not entry.cached()}
    return [name for name in (config.data.name, config.data.calibration_from) if name in missing]


def replay(
    folder: Folder,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Only this method; may be given more than once.", show_default="all", autocompletion=complete_method),
    ] = None,
    jobs: Jobs = None,
) -> None:
    """Go through a run's recorded events again and compare the digest of the model they lead to."""
    from afuic.cli.display import following
    from afuic.engines import pool
    from afuic.engines.replay import replay as replayed

    with following(errors()) as progress:
        arms = replayed(folder, methods=tuple(method or ()), jobs=jobs or pool.cores(), progress=progress)
    table = PlainTable("arm", "events", "recorded", "replayed", "")
    for arm in arms:
        verdict = "same" if arm.same else arm.problem or "differs"
        table.add_row(arm.arm, str(arm.events), _short(arm.expected), _short(arm.digest), verdict)
    output().print(table)
    if not all(arm.same for arm in arms):
        raise StoreError(
            f"{folder}: the recorded events lead to another model than the one the run ended with{_elsewhere(folder)}"
        )


def _elsewhere(folder: Path) -> str:
    """What may explain it: the run was on another machine, whose last bits are its own."""
    from afuic.engines import origin
    from afuic.evaluate import results

    ran, here = results.load(folder / "results.json").machine, origin.machine()
    if all(ran.get(part) == here.get(part) for part in ("processor", "gpu")):
        return ""
    there, now = (f"{machine.get('gpu', machine['processor'])}" for machine in (ran, here))
    return f"; it ran on {there}, and the last bits that {now} computes may differ: replay it there"


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:16]


def report(
    folder: Folder,
    organisation: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose report it is, for the page's head.", show_default="none")
    ] = None,
) -> None:
    """Write a finished run's page and figures anew from its results."""
    from afuic import report as pages

    say(f"report: {pages.write(folder, organisation)}")
