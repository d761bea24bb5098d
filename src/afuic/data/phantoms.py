"""A synthetic data set that any small network learns within seconds, for tests and for trying afuic without a download."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from afuic.data.dataset import Bytes, Dataset, Ints, Strings
from afuic.rng import stream

_Floats = npt.NDArray[np.float64]


def phantom(
    seed: int,
    *,
    classes: int = 4,
    n: tuple[int, int, int] = (200, 60, 60),
    size: int = 28,
    channels: int = 1,
    sites: int = 0,
    patients: int = 0,
) -> Dataset:
    """Striped blobs whose stripes' direction is the class; ``n`` images for train, val and test.

    Position, phase and noise vary per image. ``sites`` > 0 names that many sites, each with its own brightness; ``patients`` > 0 names
    that many patients, each with one class, one site and one split, in proportion to ``n``. Same arguments, same bytes.
    """
    generator = stream(seed, "phantom")
    split = np.repeat(np.arange(3, dtype=np.uint8), n)
    patient = _patients(split, n, patients) if patients else np.arange(len(split))
    groups = int(patient.max(initial=-1)) + 1
    labels = _even(groups, classes, generator)[patient]
    site = _even(groups, sites, generator)[patient] if sites else None
    return Dataset(
        name="phantom",
        images=_draw(labels, site, classes, size, channels, generator),
        labels=labels,
        split=split,
        site=_named("site-{}", site),
        patient=_named("patient-{}", patient) if patients else None,
        class_names=tuple(f"stripes-{round(180 * k / classes)}" for k in range(classes)),
        licence="Apache-2.0",
        source="made by afuic",
    )


def _patients(split: Bytes, n: tuple[int, int, int], patients: int) -> Ints:
    """Patient numbers: each split's images dealt in turn to its share of the patients, at least one."""
    numbers = np.empty(len(split), dtype=np.int64)
    first = 0
    for code, images in enumerate(n):
        here = max(1, round(patients * images / sum(n)))
        numbers[split == code] = first + np.arange(images) % here
        first += here
    return numbers


def _even(groups: int, kinds: int, generator: np.random.Generator) -> Ints:
    return generator.permutation(np.arange(groups, dtype=np.int64) % kinds)


def _named(pattern: str, numbers: Ints | None) -> Strings | None:
    return None if numbers is None else np.array([pattern.format(k) for k in numbers], dtype=np.str_)


def _draw(labels: Ints, site: Ints | None, classes: int, size: int, channels: int, generator: np.random.Generator) -> Bytes:
    n = len(labels)
    centre = generator.uniform(-0.15, 0.15, (2, n, 1, 1))
    phase = generator.uniform(-0.4, 0.4, (n, 1, 1))
    stripes = _stripes(np.pi * labels[:, None, None] / classes, centre, phase, size)
    brightness = 0.0 if site is None else 12.0 * site[:, None, None, None]
    noise = generator.normal(0, 14, (n, size, size, channels))
    tint = 1.0 - 0.15 * np.arange(channels)
    return np.clip(100 + 75 * stripes[..., None] * tint + brightness + noise, 0, 255).astype(np.uint8)


def _stripes(angle: _Floats, centre: _Floats, phase: _Floats, size: int) -> _Floats:
    axis = np.linspace(-1, 1, size)
    y, x = axis[:, None] - centre[0], axis[None, :] - centre[1]
    wave = np.cos(7 * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    out: _Floats = wave * np.exp(-2 * (x * x + y * y))
    return out
