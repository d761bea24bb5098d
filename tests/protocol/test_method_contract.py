"""What every registered method has to keep: one row in the registry brings all of this with it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from rule_sets import rules
from world import World

from afuic.config import Config
from afuic.erase import METHODS, Ask, Plan, configured
from afuic.protocol import effects, events

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

    def test_the_others_are_never_stopped_unless_training_starts_over(self, name: str) -> None:
        world = World(rules(name, short(name)), "abc")
        world.train("b", 1, -1)
        fx = world.erase("r", "a")
        stopped = {e.client for e in fx if isinstance(e, effects.Cancel)} - {"a"}
        assert stopped == ({"b", "c"} if name in {"retrain", "knot"} else set())  # both without clusters
        assert all(world.state.task_of(client) for client in "bc")

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


def test_no_page_is_without_a_method() -> None:
    assert {p.stem for p in PAGES.glob("*.md")} == set(METHODS)


def short(name: str) -> dict[str, object]:
    """The method as it is, with a guard's window that a test can live through."""
    fields = METHODS[name].options.model_fields
    default = fields["guard"].default if "guard" in fields else None
    return {} if default is None else {"guard": default.model_copy(update={"versions": 3})}


def live(world: World, away: bool) -> None:
    """Time goes by: clients train, the server calibrates, the client unlearns unless it is away, timers fire, models are deleted."""
    for _ in range(12):
        for client in "abc":
            task = world.state.task_of(client)
            if task is not None and not (away and client == "a"):
                (world.train if task.kind == "train" else world.unlearn)(client, 0.5, 0.25)
        for job in [j for j in (world.state.heal, world.state.guard) if j is not None]:
            world.go(events.CalibrationDone, job.id, job.base)
        if world.phase("r") in {"scrubbing", "rebuilding"}:
            world.timer("r")
        if world.phase("r") == "purging":
            world.go(events.Purged, "r")
