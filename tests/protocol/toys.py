"""A method that works in rounds and whose arithmetic can be done in the head: every answer is added to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rule_sets import HEAL, rules

from afuic.config import Section
from afuic.erase.calibrate import Calibration
from afuic.erase.method import Ask, Configured, Guard, Guarding, Method, Plan
from afuic.erase.rounds import SERVER, LocalTraining, Order, Procedure, Round, View
from afuic.params import Params, add, total
from afuic.protocol import Rules


@dataclass(frozen=True)
class Memory:
    """What the toy remembers."""

    model: Params
    rounds: int


class Toy(Procedure):
    """``rounds`` rounds of everybody who stays; with ``target`` the one to be erased has to answer in the first, with ``server`` the server
    answers in each.
    """

    rounds: int = 1
    target: bool = False
    server: bool = False

    def begin(self, view: View) -> Round:
        """The first round; no rounds: the model as it is."""
        return self._round(view, Memory(view.model, 0), self.target)

    def proceed(self, view: View, memory: Memory, answers: Mapping[str, Params]) -> Round:
        """Add the answers."""
        model = add(memory.model, total((answers[name] for name in sorted(answers)), view.model))
        return self._round(view, Memory(model, memory.rounds + 1), False)

    def _round(self, view: View, memory: Memory, target: bool) -> Round:
        if memory.rounds == self.rounds:
            return Round(memory.model)
        others = [Order(name, memory.model, LocalTraining()) for name in view.clients if not (target and name == view.target)]
        first = [Order(view.target, memory.model, LocalTraining(), (view.origin,), needed=True)] if target else []
        server = [Order(SERVER, memory.model, LocalTraining())] if self.server else []
        return Round(memory.model, (*first, *others, *server), memory)


class Options(Section):
    """How a request is carried out; ``patients`` says whether those for patients work in rounds as well."""

    procedure: Toy = Toy()
    heal: bool = False
    guard: int = 0
    deadline_s: float = 3.0
    fallback: bool = False
    patients: bool = True


def plan(options: Options, ask: Ask) -> Plan:
    """The toy, or removal where that is the fallback or the form for patients."""
    removal = Plan(merge="rebase", remove=True, heal=Calibration(**HEAL))
    if not (ask.whole or options.patients):
        return removal
    return Plan(
        merge="replace",
        procedure=options.procedure,
        heal=Calibration(**HEAL) if options.heal else None,
        deadline_s=options.deadline_s,
        fallback=removal if options.fallback else None,
        guard=Guard(versions=options.guard, calibration=Guarding(**HEAL) if options.guard else None),
    )


METHOD = Method("toy", "tests", "Adds answers.", False, False, Options, plan, history=True, pauses=True)


def toy(*, buffer: int = 0, history: bool = True, **options: Any) -> Rules:
    """Rules under the toy; ``options`` of the method, those of the procedure by name as well."""
    own = {k: options.pop(k) for k in ("rounds", "target", "server") if k in options}
    base = rules("continue", buffer=buffer)
    method = Configured(METHOD, Options(procedure=Toy(**own), **options))
    return Rules(base.aggregation, method, True, average=True, last_models=True, history=history)


TOYS: dict[str, Rules] = {
    "toy": toy(),
    "toy-two-rounds-buffered": toy(rounds=2, buffer=4),
    "toy-target": toy(rounds=2, target=True),
    "toy-target-fallback": toy(target=True, fallback=True, guard=2),
    "toy-healed-guarded": toy(rounds=2, heal=True, guard=3, history=False),
    "toy-server": toy(rounds=2, server=True, guard=3),
    "toy-mixed": toy(rounds=2, patients=False, buffer=2),
    "toy-mixed-target": toy(target=True, patients=False, heal=True),
    "toy-at-once": toy(rounds=0, guard=2),
    "toy-at-once-healed": toy(rounds=0, heal=True),
}
