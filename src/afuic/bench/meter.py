"""How much of an arm's CPU time is training, unlearning, calibration and evaluation, so that what is left is the protocol's own cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from afuic.engines.laboratory import Laboratory
from afuic.rng import PathPart


class Metered:
    """A laboratory whose workers and judge are timed. ``seconds``: CPU seconds spent in them so far."""

    def __init__(self, lab: Laboratory) -> None:
        self.seconds = 0.0
        self._lab = lab

    def laboratory(self) -> Laboratory:
        """The laboratory to use instead."""
        return cast(Laboratory, _Laboratory(replace(self._lab, judge=self._timed(self._lab.judge)), self._timed))

    def _timed(self, owner: Any) -> Any:
        return _Timed(owner, self._call)

    def _call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        before = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            self.seconds += time.process_time() - before


class _Laboratory:
    """Everything of a laboratory, with workers that are timed."""

    def __init__(self, lab: Laboratory, timed: Callable[[Any], Any]) -> None:
        self._lab, self._timed = lab, timed

    def worker(self, family: tuple[PathPart, ...] = ()) -> Any:
        return self._timed(self._lab.worker(family))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lab, name)


class _Timed:
    """Everything of an object; what can be called is timed."""

    def __init__(self, owner: Any, call: Callable[..., Any]) -> None:
        self._owner, self._call = owner, call

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._owner, name)
        return (lambda *a, **k: self._call(found, *a, **k)) if callable(found) else found
