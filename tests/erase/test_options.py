"""Which method may be combined with what, and how a wrong option is reported."""

from __future__ import annotations

import pytest

from afuic.config import Aggregation, Config
from afuic.erase import METHODS, check_options, configured
from afuic.errors import ConfigError

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


def test_all_tables_are_checked_even_of_methods_not_run() -> None:
    with pytest.raises(ConfigError, match=r"options\.magic: there is no such method"):
        check_options(Config(options={"magic": {}}))
    with pytest.raises(ConfigError, match=r"options\.retrain\.x"):
        check_options(Config(methods=("afuic",), options={"retrain": {"x": 1}}))
    check_options(Config())
