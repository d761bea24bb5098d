"""What every registered method has to keep: one row in the registry brings all of this with it."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from rule_sets import rules
from world import World

from afuic.config import Config
from afuic.engines.arm import classes
from afuic.erase import METHODS, Ask, Plan, configured
from afuic.protocol import effects, events
from afuic.store import codec

PAGES = Path(__file__).parents[2] / "docs" / "methods"
EITHER = (True, False)
ASKS = [Ask(*switches, elapsed_s=60.0) for switches in product(EITHER, repeat=3)]


@pytest.mark.parametrize("name", METHODS)
class TestContract:
    """Of a method, by its name."""

    @pytest.mark.parametrize("ask", ASKS, ids=lambda a: f"{'whole' if a.whole else 'patients'}-{a.reachable}-{a.calibration}")
    def test_it_plans_for_every_request(self, name: str, ask: Ask) -> None:
        plan = configured(Config(), name).plan(ask)
        assert isinstance(plan, Plan)
        assert plan == configured(Config(), name).plan(ask)
        assert ask.calibration or (plan.heal is None and plan.guard.calibration is None)
        assert not plan.scrub_first or plan.scrub is not None
        assert plan.procedure is None or (plan.merge == "replace" and plan.scrub is None)
        assert not plan.remove or METHODS[name].removes

    @pytest.mark.parametrize("away", EITHER, ids=["away", "here"])
    @pytest.mark.parametrize("patients", [None, 2], ids=["whole", "patients"])
    @pytest.mark.parametrize("calibration", EITHER, ids=["images", "no-images"])
    @pytest.mark.parametrize("buffer", [0, 2], ids=["fedasync", "fedbuff"])
    def test_every_request_ends(self, name: str, away: bool, patients: int | None, calibration: bool, buffer: int) -> None:
        world = World(rules(name, short(name), buffer=buffer, calibration=calibration), "abc")
        for client in "abcabc":
            world.train(client, 1, -1)
        if away:
            world.go(events.ClientLeft, "a")
        world.erase("r", "a", patients)
        live(world, away)
        assert world.phase("r") == ("failed" if away and METHODS[name].needs_target else "completed")
        assert world.state.heal is None

    def test_whole_clients_stay_out(self, name: str) -> None:
        world = World(rules(name, short(name)), "abc")
        world.erase("r", "a")
        live(world, away=False)
        assert world.state.clients["a"].erased
        assert world.state.task_of("a") is None
        assert {e.client for e in world.every(effects.Applied)[-6:]} == {"b", "c"}

    def test_the_others_are_never_stopped_unless_training_starts_over_or_pauses(self, name: str) -> None:
        world = World(rules(name, short(name)), "abc")
        for client in "abcabcabc":
            world.train(client, 1, -1)
        fx = world.erase("r", "a")
        stopped = {e.client for e in fx if isinstance(e, effects.Cancel)} - {"a"}
        # a method that pauses may still have its model at once
        assert stopped == ({"b", "c"} if name in {"retrain", "knot"} else set()) or (
            METHODS[name].pauses and stopped == {"b", "c"}
        )
        if METHODS[name].pauses:
            live(world, away=False)
        assert all(world.state.task_of(client) for client in "bc")

    @pytest.mark.parametrize("patients", [None, 2], ids=["whole", "patients"])
    def test_what_it_works_with_can_be_checkpointed(self, name: str, patients: int | None, tmp_path: Path) -> None:
        world = World(rules(name, short(name)), "abc")
        for client in "abcabc":
            world.train(client, 1, -1)
        world.erase("r", "a", patients)
        for _ in range(12):
            codec.save(tmp_path / "checkpoint", (world.state, world.effects))
            (state, handed), _ = codec.load(tmp_path / "checkpoint", classes())
            assert {k: r.plan for k, r in state.requests.items()} == {k: r.plan for k, r in world.state.requests.items()}
            assert [_job(e) for e in handed] == [_job(e) for e in world.effects]
            if world.phase("r") != "working":
                return
            world.state = state
            one_order(world)

    def test_its_settings_to_be_searched_can_be_set(self, name: str) -> None:
        search = getattr(sys.modules[METHODS[name].options.__module__], "SEARCH", None)
        assert (search is not None) == (METHODS[name].options.__module__.startswith("afuic.erase.peers."))
        settings = [METHODS[name].configure(values).options for values in search or ({},)]
        assert settings[0] == METHODS[name].options()
        assert len({repr(s) for s in settings}) == (len(search) if search else 1)
        assert len(settings) == (2 if name == "knot" else 6 if search else 1)

    def test_it_says_what_it_is(self, name: str) -> None:
        method = METHODS[name]
        assert method.name == name
        assert method.source
        assert method.summary.endswith(".")
        assert method.configure({}).options == method.options()

    def test_it_has_a_page(self, name: str) -> None:
        page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {name}")
        for heading in ("## From equation to code", "## Options", "## Known deviations"):
            assert heading in page
        missing = [option for option in METHODS[name].options.model_fields if f"`{option}" not in page]
        assert not missing, f"docs/methods/{name}.md does not explain {missing}"


@pytest.mark.parametrize("patients", [None, 2], ids=["whole", "patients"])
@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if "lasting" in method.options.model_fields])
def test_a_calibrated_method_is_calibrated_before_its_release_and_ever_after(
    name: str, patients: int | None, tmp_path: Path
) -> None:
    parts = {part: {} for part in ("consistency", "lasting") if part in METHODS[name].options.model_fields}
    world = World(rules(name, parts), "abc")
    for client in "abcabc":
        world.train(client, 1, -1)
    world.erase("r", "a", patients)
    while world.phase("r") == "working":
        one_order(world)
    if "consistency" in parts:
        assert (world.phase("r"), world.state.paused, world.record("r").released_t) == ("healing", True, None)
    codec.save(tmp_path / "checkpoint", world.state)
    state, _ = codec.load(tmp_path / "checkpoint", classes())
    assert state.requests["r"].plan == world.record("r").plan
    live(world, away=False)
    assert world.phase("r") == "guarding"
    jobs = [(e.purpose, e.teachers) for e in world.every(effects.Calibrate)]
    assert jobs[: len(parts)] == ([("heal", ()), ("guard", ())] if "consistency" in parts else [("guard", ())])
    assert set(jobs[1:]) == {("guard", ())}


def test_no_page_is_without_a_method() -> None:
    assert {p.stem for p in PAGES.glob("*.md")} == set(METHODS)


def short(name: str) -> dict[str, object]:
    """The method as it is, with a guard's window that a test can live through."""
    fields = METHODS[name].options.model_fields
    default = fields["guard"].default if "guard" in fields else None
    return {} if default is None else {"guard": default.model_copy(update={"versions": 3})}


def one_order(world: World) -> None:
    """Whoever is first answers its order."""
    task = next(t for t in world.state.tasks.values() if t.kind == "order")
    world.answer(task.client, 0.5, 0.25)


def _job(effect: Any) -> Any:
    return (type(effect), getattr(effect, "job", None), getattr(effect, "spec", None))


def live(world: World, away: bool) -> None:
    """Time goes by: clients train, answer and unlearn unless they are away, the server works, timers fire, models are deleted."""
    begun = world.t
    for _ in range(12):
        world.t = max(world.t, begun + 10_000) if world.phase("r") == "working" and world.record("r").work.until else world.t
        while world.phase("r") == "working" and any(t.kind == "order" for t in world.state.tasks.values()):
            one_order(world)
        for client in "abc":
            task = world.state.task_of(client)
            if task is not None and not (away and client == "a"):
                (world.train if task.kind == "train" else world.unlearn)(client, 0.5, 0.25)
        for job in [j for j in (world.state.heal, world.state.guard) if j is not None]:
            world.go(events.CalibrationDone, job.id, job.base)
        if world.phase("r") in {"scrubbing", "rebuilding", "working"}:
            world.timer("r")
        if world.phase("r") == "purging":
            world.go(events.Purged, "r")
