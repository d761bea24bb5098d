"""What a suite is: federations, requests and methods as plain data, so that an experiment is read in one place and run by one engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Choice = Literal["fixed", "none", "blind", "oracle"]
"""A form of a method: as it is, or with calibration left out, trigger-blind or shown the trigger."""


@dataclass(frozen=True)
class Variant:
    """One row of a table: a method with options. ``name`` is its method's where no options are set."""

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The options as JSON, for folders and comparisons; the same options give the same text."""
        return json.dumps(dict(self.options), sort_keys=True)


@dataclass(frozen=True)
class Case:
    """A federation and what is asked of it.

    ``overrides``: of the configuration, after the suite's. ``variants``: its rows; none: the suite's. ``references``: the case whose
    retrained models are this one's too, since it differs in nothing that they could see; ``past`` (with it): that case's shared past is
    this one's too. ``prepare``: the name of what has to be found out from the data first. ``needs``: an environment variable that names a
    file, without which the case is skipped. ``x``: where it lies on the suite's sweep.
    """

    name: str
    overrides: tuple[str, ...] = ()
    variants: tuple[Variant, ...] | None = None
    references: str | None = None
    past: bool = False
    prepare: str | None = None
    needs: str | None = None
    x: float | None = None


@dataclass(frozen=True)
class Sweep:
    """What a suite varies. ``by``: the cases' own ``x``, or a measured cost; ``costs``: what is drawn against it, costs, or gaps as
    "z PHASE MEASURE".
    """

    label: str
    costs: tuple[str, ...]
    by: str = "x"


@dataclass(frozen=True)
class Suite:
    """``question`` is what its tables answer. ``base``: overrides for all cases; ``variants``: rows of all cases, none: every registered
    method; ``calibrations``: the forms of calibration that every method with one is run in, none: as it is; ``seeds`` and ``retrained``:
    seeds, and retrained references for each; ``extras``: measures beyond those of a run (``bench/extras.py``).
    """

    name: str
    question: str
    cases: tuple[Case, ...]
    base: tuple[str, ...] = ()
    variants: tuple[Variant, ...] | None = None
    calibrations: tuple[Choice, ...] = ()
    seeds: int = 5
    retrained: int = 5
    sweep: Sweep | None = None
    extras: tuple[str, ...] = ()

    def case(self, name: str) -> Case:
        """The case of that name; KeyError when there is none."""
        return next(case for case in self.cases if case.name == name)
