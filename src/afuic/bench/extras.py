"""Measures beyond those of a run: each says what work it takes and what it found, so that a suite only has to name it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from afuic.bench import relearn, ulira
from afuic.bench.suite import Variant
from afuic.bench.task import Task


@dataclass(frozen=True)
class Extra:
    """``tasks(plan, variants)``: what has to be done; ``of(place, row)``: its values for a row, by measure; ``reference(place, names)``:
    the same for the retrained models, one value each, by measure; none where they are its yardstick already.
    """

    tasks: Callable[[Any, Sequence[Variant]], Iterator[Task]]
    of: Callable[[Any, str], dict[str, float | None]]
    reference: Callable[[Any, Sequence[str]], dict[str, list[float | None]]]


EXTRAS: Mapping[str, Extra] = {
    "relearn": Extra(relearn.tasks, relearn.of, relearn.reference),
    "ulira": Extra(ulira.tasks, ulira.of, ulira.reference),
}
