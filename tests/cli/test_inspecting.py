"""The commands that only tell: config and methods, and the shipped configurations."""

from __future__ import annotations

import json
import tomllib

import jsonschema
import pytest

from afuic.cli.common import load
from afuic.cli.inspecting import options
from afuic.config import Config, Trigger, parse, shipped
from afuic.erase import METHODS


def test_the_demo_spells_out_the_defaults_and_plants_a_trigger_that_they_do_not():
    defaults = Config()
    assert load(None) == defaults
    assert defaults.data.trigger is None
    assert load("demo") == defaults.model_copy(update={"data": defaults.data.model_copy(update={"trigger": Trigger()})})


@pytest.mark.parametrize("name", ["demo", "demo-phantom"])
def test_shipped_configurations_are_fine(afuic_cli, name):
    assert name in shipped()
    code, text = afuic_cli("config", "check", name)
    assert code == 0
    assert text.startswith(f"{name}: fine; data ")


@pytest.mark.parametrize("name", ["demo", "demo-phantom"])
def test_what_show_prints_is_the_same_configuration(afuic_cli, tmp_path, name):
    code, text = afuic_cli("config", "show", name, "--set", "training.lr=0.02")
    file = tmp_path / "shown.toml"
    file.write_text(text)
    assert code == 0
    assert load(str(file)) == load(name, ("training.lr=0.02",))


def test_a_file_goes_before_a_shipped_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text("seed = 7")
    assert load("demo").seed == 7


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere.toml",), "nowhere.toml: no such configuration file, nor a shipped one; those are demo, demo-phantom"),
        (("demo", "--set", "trainign.lr=1"), "trainign: unknown key"),
        (("demo", "--set", "training.lr=-1"), "training.lr: Input should be greater than 0 (got -1)"),
        (("demo", "--set", "training.lr"), "--set training.lr: write key=value"),
        (("demo", "--set", 'methods=["afuic", "magic"]'), "methods: 'magic' is not a method; there are afuic, afuic-paper"),
        (("demo", "--set", "options.afuic.spell=1"), "options.afuic.spell: unknown key"),
        (("demo", "--set", 'aggregation.optimizer="adam"'), "aggregation.optimizer: 'adam' is not linear in the updates"),
        (("demo-phantom", "--set", "data.name=nosuch"), "nosuch"),
        (("demo-phantom", "--set", "data.name=nosuch.npz"), "nosuch.npz: no such file"),
        (("demo-phantom", "--set", "model.name=nosuch"), "model 'nosuch': unknown"),
        (("demo-phantom", "--set", "requests.0.client=hospital-99"), "hospital-99"),
        (("demo-phantom", "--set", "data.name=chestmnist"), "chestmnist: an image can have several labels"),
    ],
)
def test_check_refuses_in_one_sentence(afuic_cli, arguments, sentence):
    code, text = afuic_cli("config", "check", *arguments)
    assert code == 2
    assert text.startswith("afuic: ")
    assert sentence in text
    assert text.count("\n") == 1


def test_check_says_what_it_could_not_look_at(afuic_cli, tmp_path, monkeypatch):
    monkeypatch.setenv("AFUIC_DATA", str(tmp_path))
    code, text = afuic_cli("config", "check", "demo")
    assert code == 0
    assert "not looked at" in text
    assert "`afuic data get bloodmnist`" in text


def test_the_schema_admits_the_shipped_configurations(afuic_cli):
    schema = json.loads(afuic_cli("config", "schema")[1])
    for path in shipped().values():
        jsonschema.validate(tomllib.loads(path.read_text(encoding="utf-8")), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"trainign": {}}, schema)


def test_methods_lists_all_with_their_sources(afuic_cli):
    code, text = afuic_cli("methods")
    assert code == 0
    assert all(method.name in text and method.source in text for method in METHODS.values())


@pytest.mark.parametrize("name", list(METHODS))
def test_each_methods_options_are_told_and_can_be_set(afuic_cli, name):
    code, text = afuic_cli("methods", name)
    assert code == 0
    for key, default, *_ in options(METHODS[name].options()):
        assert key in text
        if default != "null":
            tables: dict[str, object] = {key.split(".")[-1]: json.loads(default)}
            for part in reversed(key.split(".")[:-1]):
                tables = {part: tables}
            METHODS[name].configure(parse({"options": {name: tables}}).options[name])


def test_an_unknown_method_is_named(afuic_cli):
    assert afuic_cli("methods", "magic") == (
        2,
        f"afuic: magic: no such method; there are {', '.join(METHODS)}\n",
    )


def test_bounds_and_choices_are_told():
    rows = {key: values for key, _, values, _ in options(METHODS["afuic"].options())}
    assert rows["teacher"] == "snapshot, average, ensemble"
    assert rows["guard.server_step"] == "number > 0, ≤ 1"
