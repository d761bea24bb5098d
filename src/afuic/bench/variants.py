"""Which rows a suite has: every registered method, or those it names, each in the forms of calibration that are asked for."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from afuic.bench.suite import Case, Choice, Suite, Variant
from afuic.erase import METHODS, Method
from afuic.erase.calibrate import Calibration
from afuic.errors import ConfigError

REFERENCE = "retrain"
AHEAD = "ahead"
GUARD = "guard"
SHOWN: dict[Choice, str] = {"none": "no calibration", "blind": "trigger-blind", "oracle": "oracle"}


def rows(suite: Suite, case: Case, methods: tuple[str, ...] | None = None) -> tuple[Variant, ...]:
    """The variants of a case in the order of its tables, at most of the ``methods`` named; retraining is the reference, never a row."""
    named = case.variants if case.variants is not None else suite.variants
    found = named if named is not None else tuple(_each(suite.calibrations))
    return tuple(v for v in found if methods is None or v.method in methods)


def known(methods: tuple[str, ...]) -> tuple[str, ...]:
    """The methods as given; ConfigError for one that is not registered."""
    for name in methods:
        if name not in METHODS:
            raise ConfigError(f"--methods: {name!r} is not a method; there are {', '.join(METHODS)}")
    return methods


def _each(calibrations: tuple[Choice, ...]) -> Iterator[Variant]:
    for name, method in METHODS.items():
        if name == REFERENCE:
            continue
        forms = [f for f in (form(method, choice) for choice in calibrations) if f is not None]
        if not calibrations:
            yield Variant(name, name)
        yield from forms


def form(method: Method, choice: Choice) -> Variant | None:
    """The method with its calibration left out, trigger-blind, or shown the trigger; None when it admits no such form.

    A method admits calibration where its options have a ``Calibration`` that may be left out, and the oracle where they have ``oracle``.
    Healing ahead of a request is no calibration of what was released, so ``ahead`` is left as it is.
    """
    fields = {name: f for name, f in method.options.model_fields.items() if name != AHEAD and _optional_calibration(f)}
    if not fields:
        return None
    if choice == "none":
        options: dict[str, Any] = dict.fromkeys(fields, "none")
        options |= {GUARD: {"calibration": "none"}} if GUARD in method.options.model_fields else {}
        return _named(method, choice, options)
    options = {name: {} for name, f in fields.items() if f.get_default(call_default_factory=True) is None}
    if choice == "oracle":
        if "oracle" not in method.options.model_fields:
            return None
        options["oracle"] = True
    return _named(method, choice, options)


def _named(method: Method, choice: Choice, options: dict[str, Any]) -> Variant:
    return Variant(f"{method.name}, {SHOWN[choice]}", method.name, options)


def _optional_calibration(field: FieldInfo) -> bool:
    kinds = get_args(field.annotation) if get_origin(field.annotation) in {Union, types.UnionType} else ()
    return type(None) in kinds and any(isinstance(kind, type) and issubclass(kind, Calibration) for kind in kinds)
