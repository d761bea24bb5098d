"""A run whose every number is fixed: when a digest changes, results change, and the changelog has to say so."""

from __future__ import annotations

import pytest
import torch
from rule_sets import rules
from world import World

from afuic.params import add, digest
from afuic.protocol import Rules, effects, events
from afuic.rng import stream, torch_stream

SHAPES = {"conv": (4, 1, 3, 3), "head": (3, 4)}


def noise(*path: str | int) -> dict[str, torch.Tensor]:
    """A model of 64ths, from the seed 2026 and a path; whole numbers are drawn alike on every processor."""
    g = torch_stream(2026, *path)
    return {name: torch.randint(-64, 65, shape, generator=g) / 64 for name, shape in SHAPES.items()}


def run(law: Rules) -> World:
    """Sixty events: four hospitals, one erased whole, patients of another, calibrations in between."""
    world = World(law, "abcd", noise("origin"))
    order = stream(2026, "order")
    for turn in range(60):
        if turn in (20, 30):
            world.erase(f"r{turn}", "a" if turn == 20 else "b", None if turn == 20 else 2)
        busy = [t for t in world.state.tasks.values() if t.kind == "train"]
        task = busy[int(order.integers(len(busy)))]
        world.go(events.UpdateArrived, task.id, task.client, noise("update", task.client, task.id))
        if turn % 5 == 4:
            _finish(world)
    return world


def _finish(world: World) -> None:
    for job in [j for j in (world.state.heal, world.state.guard) if j is not None]:
        world.go(events.CalibrationDone, job.id, add(job.base, noise("calibrate", job.id), 0.05))
    for task in [t for t in world.state.tasks.values() if t.kind == "scrub"]:
        world.go(events.ScrubArrived, task.id, task.client, noise("scrub", task.id))


def ledger_digest(world: World) -> str:
    """One digest over the model and every account of the ledger."""
    ledger = world.state.ledger
    parts = {"θ": world.state.model, **ledger.clients, **{"+".join(k): s for k, s in ledger.server.items()}}
    return digest({f"{part}/{name}": tensor for part, p in parts.items() for name, tensor in p.items()})[:23]


BOTH = {"patients": "both", "carriers": {"policy": "project"}, "guard": {"versions": 6, "project": True, "calibration": {}}}
GOLDEN: dict[str, tuple[Rules, str]] = {
    "afuic": (rules("afuic"), "sha256:7a9f3e424b07cbbb"),
    "afuic-remove": (rules("afuic", {"server_steps": "remove"}), "sha256:11268863e0dff7f1"),
    "afuic-both": (rules("afuic", BOTH), "sha256:7bad2de349799176"),
    "afuic-buffered": (rules("afuic", buffer=3), "sha256:605c7748ffbb7af1"),
    "afuic-paper": (rules("afuic-paper"), "sha256:257ea8bbece90a6c"),
    "continue": (rules("continue"), "sha256:aeae2352e4778bea"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_ledger_is_what_it_was(name: str) -> None:
    law, expected = GOLDEN[name]
    world = run(law)
    assert all(r.released_version is not None for r in world.state.requests.values())
    assert ledger_digest(world) == expected
    assert ledger_digest(run(law)) == expected


def test_the_golden_run_has_events_of_every_kind() -> None:
    kinds = {type(e) for e in run(GOLDEN["afuic-both"][0]).effects}
    assert {effects.Applied, effects.Unlearn, effects.Calibrate, effects.Released, effects.Purge} <= kinds
