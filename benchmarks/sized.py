"""Networks of a wanted size for benchmarks/deployment.py, which asks what sending a model costs: hardly any work for many bytes."""

from __future__ import annotations

from torch import nn

BYTES = 4


def megabyte(channels: int, size: int, classes: int) -> nn.Module:
    """1 MB of parameters."""
    return _two_layers(1_000_000, channels * size**2, classes)


def large(channels: int, size: int, classes: int) -> nn.Module:
    """45 MB of parameters, as many as a ResNet-18 has."""
    return _two_layers(45_000_000, channels * size**2, classes)


def _two_layers(wanted: int, inputs: int, classes: int) -> nn.Module:
    hidden = wanted // (BYTES * (inputs + classes + 1))
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))
