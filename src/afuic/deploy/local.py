"""A whole federation on one machine: its files, a data set divided among the hospitals, and every process under one supervisor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from afuic.config import Config
from afuic.deploy import checks, dividing, files, planning
from afuic.deploy.layout import Layout
from afuic.deploy.planning import RUNTIME_PORT, Plan
from afuic.errors import ConfigError
from afuic.settings import SERVER_FILE, Api, Engine, Server, load


def create(folder: Path, config: Config, hospitals: tuple[str, ...], slowdown: dict[str, float]) -> None:
    """Write the folder with everybody's images in it, on ports that are free now. ConfigError where it is not empty."""
    files.refuse_used(folder)
    agreed = planning.agreement(config, hospitals)
    federation = dividing.divided(agreed)
    found = plan(agreed, hospitals, folder.resolve(), slowdown, calibration=len(federation.calibration) > 0)
    made = replace(found, images=dividing.images_of(federation))

    def with_images(built: Path) -> None:
        at = Layout(built)
        dividing.write(
            federation,
            at.server / "calibration.npz" if made.calibration else None,
            {name: at.hospital(name) / "data.npz" for name in hospitals},
        )

    files.write_tree(folder, planning.tree(made), with_images)
