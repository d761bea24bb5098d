"""One piece of a suite's work: an arm to run, or a further measure to take of one.

A task carries its whole configuration, so that a process needs nothing else, and leaves ``result.json`` in its folder as the last thing
it does: what has one is never done again.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from pathlib import Path

from afuic.config import Config
from afuic.engines.arm import Arm
from afuic.engines.laboratory import Laboratory, prepare

ARMS = "arms"
RESULT = "result.json"


@dataclass(frozen=True)
class Task(Arm):
    """``kind``: what to do, a key of ``working.KINDS``. ``folder`` (CASE/SEED) and ``local`` say where; ``after``: the past that it
    branches from or looks at; ``sources``: the arms whose models are looked at; ``config`` and ``options`` as JSON; ``witness``: measured
    on the forget set and the test set alone, as shadow models are.
    """

    kind: str = "arm"
    folder: str = ""
    local: str = ""
    config: str = ""
    options: str = "{}"
    sources: tuple[str, ...] = ()
    witness: bool = False

    @property
    def past(self) -> bool:
        """Whether rows branch from it."""
        return self.kind == "arm" and super().past

    @property
    def waits(self) -> tuple[str, ...]:
        """The tasks whose results it needs."""
        return (*super().waits, *self.sources)

    def at(self, root: Path) -> Path:
        """Its own folder below the folder of all arms."""
        return root / self.folder / self.local

    def done(self, root: Path) -> bool:
        """Whether it needs not be done again."""
        return (self.at(root) / RESULT).exists()

    def laboratory(self) -> Laboratory:
        """The laboratory of its case and seed, built once per process, with the task's own options. A past keeps ready what any method
        of the case needs, every other arm what its own does.
        """
        lab = _laboratory(self.config)
        methods = lab.config.methods if self.past else (self.method,)
        return replace(lab, config=lab.config.model_copy(update={"options": json.loads(self.options), "methods": methods}))


@functools.lru_cache(maxsize=2)
def _laboratory(text: str) -> Laboratory:
    return prepare(Config.model_validate_json(text))
