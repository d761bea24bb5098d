"""How influence leaves: the methods and the parts they are made of. The registry lists every method, one line each."""

from __future__ import annotations

from collections.abc import Mapping

from afuic.config import Config
from afuic.erase import afuic, afuic_paper, leave, retrain
from afuic.erase.method import Ask, Configured, Method, Plan
from afuic.erase.peers import fcu, federaser, fedosd, fedrecovery, halimi, knot, lethe, maverick, not_, puf, rapid, sifu, wu
from afuic.errors import ConfigError

__all__ = ["METHODS", "Ask", "Configured", "Method", "Plan", "check_options", "configured"]

METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        afuic.METHOD,
        afuic_paper.METHOD,
        leave.METHOD,
        retrain.METHOD,
        fcu.METHOD,
        federaser.METHOD,
        fedosd.METHOD,
        fedrecovery.METHOD,
        halimi.METHOD,
        knot.METHOD,
        lethe.METHOD,
        maverick.METHOD,
        not_.METHOD,
        puf.METHOD,
        rapid.METHOD,
        sifu.METHOD,
        wu.METHOD,
    )
}


def configured(config: Config, name: str) -> Configured:
    """The method ``name`` with its options from the configuration; ConfigError if it is unknown or cannot be used."""
    if name not in METHODS:
        raise ConfigError(f"methods: {name!r} is not a method; there are {', '.join(METHODS)}")
    method = METHODS[name]
    kind = config.aggregation.optimizer
    if method.removes and kind != "sgd":
        raise ConfigError(
            f"aggregation.optimizer: {kind!r} is not linear in the updates, so {name!r} cannot remove a client's part; use 'sgd'"
        )
    found = method.configure(config.options.get(name, {}))
    if getattr(found.options, "oracle", False):
        _check_oracle(config, found)
    return found


def _check_oracle(config: Config, found: Configured) -> None:
    place = f"options.{found.method.name}"
    if config.data.trigger is None:
        raise ConfigError(f"{place}.oracle: is set but no trigger is planted; plant one (data.trigger) or unset it")
    if not found.augments:
        raise ConfigError(f"{place}.oracle: is set but Φ is part of no calibration; give one an invariance above 0 or unset it")


def check_options(config: Config) -> None:
    """Check every method named and every [options.NAME] table; ConfigError names what is wrong."""
    for name in config.methods:
        configured(config, name)
    for name in config.options:
        if name not in METHODS:
            raise ConfigError(f"options.{name}: there is no such method; there are {', '.join(METHODS)}")
        METHODS[name].configure(config.options[name])
