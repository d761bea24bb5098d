"""Which rows a suite has: every registered method, or those it names, each in the forms of calibration that are asked for."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from afuic.bench.suite import Case, Choice, Suite, Variant
from afuic.config import Section
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
        if not calibrations:
            yield Variant(name, name)
        yield from (f for f in (form(method, choice) for choice in calibrations) if f is not None)


def form(method: Method, choice: Choice) -> Variant | None:
    """The method as it is, with its calibration left out, trigger-blind, or shown the trigger; None when it admits no such form.

    A method admits calibration where its options have a ``Calibration`` that may be left out, and the oracle where they have ``oracle``.
    Healing ahead of a request is no calibration of what was released, so ``ahead`` is left as it is. Trigger-blind or shown the trigger,
    Φ is part of every calibration, for else there were nothing to show it in; "as it is" is a form only where it is none of these.
    """
    known, fields = _calibrations(method), method.options.model_fields
    if not known or (choice == "oracle" and "oracle" not in fields):
        return None
    if choice == "fixed":
        return _as_it_is(method)
    guard = fields[GUARD].default if GUARD in fields else None
    if choice == "none":
        options: dict[str, Any] = dict.fromkeys(known, "none")
        return _named(method, choice, options | ({} if guard is None else {GUARD: {"calibration": "none"}}))
    options = {name: _augmented(found) for name, found in known.items() if found is None or not found.augments}
    if guard is not None and guard.calibration is not None and not guard.calibration.augments:
        options[GUARD] = _set(guard) | {"calibration": _augmented(guard.calibration)}
    return _named(method, choice, options | ({"oracle": True} if choice == "oracle" else {}))


def _calibrations(method: Method) -> dict[str, Calibration | None]:
    """The calibrations that may be left out, as they are by default."""
    fields = {name: f for name, f in method.options.model_fields.items() if name != AHEAD and _optional_calibration(f)}
    return {name: f.get_default(call_default_factory=True) for name, f in fields.items()}


def _as_it_is(method: Method) -> Variant | None:
    others = [form(method, choice) for choice in ("none", "blind")]
    known = [method.configure(v.options).options for v in others if v is not None]
    return None if method.options() in known else Variant(method.name, method.name)


def _augmented(calibration: Calibration | None) -> dict[str, Any]:
    """Its options, with a part for Φ; of one that is not there by default its own."""
    return {} if calibration is None else _set(calibration) | {"invariance": 1.0}


def _set(section: Section) -> dict[str, Any]:
    return section.model_dump(mode="json", exclude_defaults=True)


def _named(method: Method, choice: Choice, options: dict[str, Any]) -> Variant:
    return Variant(f"{method.name}, {SHOWN[choice]}", method.name, options)


def _optional_calibration(field: FieldInfo) -> bool:
    kinds = get_args(field.annotation) if get_origin(field.annotation) in {Union, types.UnionType} else ()
    return type(None) in kinds and any(isinstance(kind, type) and issubclass(kind, Calibration) for kind in kinds)
