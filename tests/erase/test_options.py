"""Which method may be combined with what, and how a wrong option is reported."""

from __future__ import annotations

from typing import Any

import pytest

from afuic.config import Aggregation, Config, Trigger
from afuic.erase import METHODS, Ask, check_options, configured
from afuic.errors import ConfigError

ASK = Ask(whole=True, reachable=True, calibration=True, elapsed_s=60.0)
ADAM = Config(aggregation=Aggregation(optimizer="adam"))


def test_removal_needs_a_linear_server_optimizer() -> None:
    with pytest.raises(ConfigError, match=r"aggregation\.optimizer: 'adam' is not linear.*use 'sgd'"):
        configured(ADAM, "afuic")


def test_a_method_that_removes_nothing_takes_any_optimizer() -> None:
    assert configured(ADAM, "continue").method is METHODS["continue"]


def test_an_unknown_method_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'magic' is not a method; there are afuic, "):
        configured(Config(), "magic")


@pytest.mark.parametrize("name", METHODS)
def test_an_unknown_option_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"options\.{name}\.nonsense: unknown key"):
        configured(Config(options={name: {"nonsense": 1}}), name)


def test_an_impossible_value_is_named_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"options\.afuic\.guard\.versions: .*got -1"):
        configured(Config(options={"afuic": {"guard": {"versions": -1}}}), "afuic")


PLANTED = Config().model_copy(update={"data": Config().data.model_copy(update={"trigger": Trigger(client="a")})})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("afuic", {"heal": {"invariance": 1.0}}),
        ("afuic", {"heal": {"augmented": True}, "guard": {"calibration": "none"}}),
        ("afuic", {"heal": "none", "guard": {"calibration": {"invariance": 1.0}}}),
        ("afuic-paper", {}),
        ("continue", {"lasting": {}}),
        ("fedosd", {"consistency": {}}),
        ("fedosd", {"lasting": {}}),
    ],
)
def test_an_oracle_needs_a_calibration_to_be_shown_the_trigger_in(name: str, options: dict[str, Any]) -> None:
    known = PLANTED.model_copy(update={"options": {name: options | {"oracle": True}}})
    assert configured(known, name).plan(ASK).oracle


@pytest.mark.parametrize(
    ("name", "options"), [("afuic", {}), ("continue", {}), ("fedosd", {"consistency": {"invariance": 0, "distil": 1}})]
)
def test_an_oracle_that_nothing_is_shown_in_is_refused(name: str, options: dict[str, Any]) -> None:
    known = PLANTED.model_copy(update={"options": {name: options | {"oracle": True}}})
    with pytest.raises(ConfigError, match=rf"options\.{name}\.oracle: is set but Φ is part of no calibration"):
        configured(known, name)


@pytest.mark.parametrize(
    ("name", "options", "needs"),
    [
        ("continue", {}, ""),
        ("retrain", {}, ""),
        ("not", {"consistency": {}, "lasting": {}}, ""),
        ("wu", {}, "history"),
        ("halimi", {}, "last_models"),
        ("afuic-paper", {}, "last_models"),
        ("knot", {}, "ledger"),
        ("afuic", {}, "ledger"),
        ("afuic", {"teacher": "average"}, "ledger average"),
        ("afuic", {"teacher": "ensemble"}, "ledger last_models"),
        ("afuic", {"teacher": "ensemble", "heal": "none"}, "ledger"),
        ("afuic", {"client": {}}, "ledger last_models"),
        ("afuic", {"patients": "scrub"}, "ledger last_models"),
    ],
)
def test_what_has_to_be_kept_for_a_method_follows_from_its_plans(name: str, options: dict[str, Any], needs: str) -> None:
    found = METHODS[name].configure(options).needs
    assert {key for key, needed in vars(found).items() if needed} == set(needs.split())


def test_all_tables_are_checked_even_of_methods_not_run() -> None:
    with pytest.raises(ConfigError, match=r"options\.magic: there is no such method"):
        check_options(Config(options={"magic": {}}))
    with pytest.raises(ConfigError, match=r"options\.retrain\.x"):
        check_options(Config(methods=("afuic",), options={"retrain": {"x": 1}}))
    check_options(Config())
