"""A whole federation on one machine: its files, and a data set divided among the hospitals as the simulator would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from afuic.config import Config
from afuic.deploy import checks, dividing, files, planning
from afuic.deploy.layout import Layout
from afuic.deploy.planning import Plan
from afuic.settings import SERVER_FILE, Api, Engine, Images, Server, load


def create(folder: Path, config: Config, hospitals: tuple[str, ...], slowdown: Mapping[str, float]) -> Mapping[str, int]:
    """Write the folder with everybody's images in it, on ports that are free now. ConfigError where it is not empty.

    What is returned is what was removed or moved when the images were divided (``Federation.dropped``).
    """
    files.refuse_used(folder)
    agreed = planning.agreement(config, hospitals)
    federation = dividing.divided(agreed)
    plan = _plan(
        folder, agreed, dividing.images_of(federation), hospitals, slowdown, calibrated=len(federation.calibration) > 0
    )

    def images(built: Path) -> None:
        at = Layout(built)
        dividing.write_validation(federation, at.server / "validation.npz")
        if plan.calibration:
            dividing.write_calibration(federation, at.server / "calibration.npz")
        dividing.write_parts(federation, {name: at.hospital(name) / "data.npz" for name in hospitals})

    files.write_tree(folder, planning.tree(plan), images)
    return federation.dropped


def _plan(
    folder: Path, agreed: Config, images: Images, hospitals: tuple[str, ...], slowdown: Mapping[str, float], *, calibrated: bool
) -> Plan:
    engine, api = Engine(), Api()
    superlink, public, asked, *runtime = checks.free_ports(3 + len(hospitals), str(folder.resolve()))
    return Plan(
        federation=agreed,
        images=images,
        hospitals=hospitals,
        engine=engine.model_copy(update={"superlink_port": superlink, "public_port": public}),
        api=api.model_copy(update={"port": asked}),
        calibration=calibrated,
        validation=True,
        runtime_ports=dict(zip(hospitals, runtime, strict=True)),
        slowdown=slowdown,
        folders=str(folder.resolve()),
    )


def hospitals_of(folder: Path) -> tuple[str, ...]:
    """The hospitals of a federation that is there already."""
    return tuple(hospital.name for hospital in load(folder / SERVER_FILE, Server).hospitals)
