"""Values from TOML: each of its own type or refused, whatever program saved the file."""

from __future__ import annotations

import codecs
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

import afuic
from afuic import config, settings
from afuic.config import Section, shipped
from afuic.errors import ConfigError
from afuic.evaluate.results import Record
from afuic.text import hidden

DEMO = shipped()["demo-phantom"]


def models() -> Iterator[type[BaseModel]]:
    """Every group of settings and every part of results in the package."""
    for module in pkgutil.walk_packages(afuic.__path__, "afuic."):
        if not any(part in module.name for part in ("migrations", "__main__")):
            import_module(module.name)
    waiting: list[type[BaseModel]] = [Section, Record]
    while waiting:
        found = waiting.pop().__subclasses__()
        yield from found
        waiting += found


def leaves(annotation: Any) -> set[Any]:
    """The types that an annotation is made of."""
    inner = get_args(annotation)
    return {annotation} if not inner or isinstance(annotation, str) else set().union(*map(leaves, inner))


def wrong(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        kinds = leaves(field.annotation)
        if kinds & {int, float} and not kinds & {bool, str, Any}:
            yield from ((name, value) for value in (True, "1", "1.0", float("nan"), float("inf")))
        if int in kinds and not kinds & {float, str}:
            yield from ((name, value) for value in (1.0, 1.5))
        if bool in kinds:
            yield from ((name, value) for value in (1, 0, "true", "no"))
        if str in kinds and not kinds & {int, float, Any}:
            yield from ((name, value) for value in (1, True))


def test_no_setting_and_no_result_takes_a_value_of_another_type() -> None:
    tried = 0
    for model in models():
        for name, value in wrong(model):
            with pytest.raises(ValidationError) as caught:
                model.model_validate({name: value})
            assert any(item["loc"][:1] == (name,) for item in caught.value.errors()), (model, name, value)
            tried += 1
    assert tried > 500


@pytest.mark.parametrize(
    "text",
    ["seed=true", "seed=1.0", 'seed="1"', "training.batch=true", "training.steps=2.5", "clock.horizon_s=true", "training.lr=nan",
     "training.lr=inf", 'training.lr="0.1"', "requests.0.patients=true", "requests.0.patients=1.5", "requests.0.target_online=1",
     "name=1", "model.name=true", "methods=[1]", "data.limit=false"],
)  # fmt: skip
def test_an_override_of_another_type_is_refused_by_its_place(text: str) -> None:
    with pytest.raises(ConfigError, match=text.partition("=")[0].split(".")[0]):
        config.load(DEMO, (text,))


def test_a_whole_number_stands_for_a_fraction_and_lists_for_tuples() -> None:
    loaded = config.load(DEMO, ("clock.horizon_s=60", 'requests.0.patients=["a", "b"]', "data.limit=none"))
    assert loaded.clock.horizon_s == 60.0
    assert type(loaded.clock.horizon_s) is float
    assert loaded.requests[0].patients == ("a", "b")
    assert loaded.data.limit is None


def test_a_number_that_no_float_holds_is_refused() -> None:
    with pytest.raises(ConfigError, match="horizon_s"):
        config.load(DEMO, (f"clock.horizon_s=1{'0' * 400}",))


ENCODINGS = {
    "plain": lambda text: text.encode(),
    "Notepad": lambda text: codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode(),
    "byte order mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "line ends of Windows": lambda text: text.replace("\n", "\r\n").encode(),
}
OTHERS = {
    "UTF-16 with a mark": ("utf-16", "UTF-16"),
    "UTF-16": ("utf-16-le", "UTF-16"),
    "UTF-16, big end first": ("utf-16-be", "UTF-16"),
    "Latin-1": ("latin-1", "not written in UTF-8"),
}


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("form", ENCODINGS)
def test_a_file_is_read_whatever_program_saved_it(form: str, tmp_path: Path) -> None:
    path = written(tmp_path, ENCODINGS[form](DEMO.read_text(encoding="utf-8")))
    assert config.load(path) == config.load(DEMO)
    access = written(tmp_path, ENCODINGS[form]('api = "https://fl.example.org"\ntoken = "mein Schlüssel"\n'))
    assert settings.load(access, settings.Access).token == tmp_path / "mein Schlüssel"


@pytest.mark.parametrize("form", OTHERS)
def test_another_encoding_is_refused_by_its_name(form: str, tmp_path: Path) -> None:
    encoding, said = OTHERS[form]
    path = written(tmp_path, 'name = "Zürich"\n'.encode(encoding))
    for load in (
        config.load,
        lambda file: settings.load(file, settings.Access),
        lambda file: settings.load(file, settings.Server),
    ):
        with pytest.raises(ConfigError, match=f"c.toml: .*{said}.*; save it as UTF-8"):
            load(path)


def test_depth_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        config.load(written(tmp_path, b"a = " + b"[" * 100_000))


class TestSources:
    def test_a_shipped_name_a_text_and_a_path_name_one_configuration(self, tmp_path: Path) -> None:
        path = written(tmp_path, DEMO.read_bytes())
        assert config.load("demo-phantom") == config.load(DEMO) == config.load(str(path)) == config.load(path)

    def test_overrides_come_as_any_sequence_or_as_one_text(self) -> None:
        assert config.load("demo", ["seed=3"]) == config.load("demo", "seed=3") == config.load("demo", ("seed=3",))

    @pytest.mark.parametrize("source", ["no-such", Path("no-such"), "no/such.toml"])
    def test_a_missing_one_is_one_sentence_that_names_the_shipped(self, source: Any) -> None:
        with pytest.raises(ConfigError, match=r"no.such.*: no such configuration file, .* demo, demo-phantom"):
            config.load(source)

    def test_a_folder_is_no_configuration(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            config.load(tmp_path)


class TestTrigger:
    def test_none_is_planted_unless_asked_for(self, tmp_path: Path) -> None:
        assert config.load().data.trigger is None
        assert config.load(None, ("data.name=slides.npz", "data.partition.kind=site")).data.trigger is None
        assert config.load(written(tmp_path, b"seed = 1")).data.trigger is None

    def test_one_word_asks_for_it_and_one_takes_it_out(self) -> None:
        assert config.load(None, ("data.trigger.client=north",)).data.trigger == config.Trigger(client="north")
        assert config.load("demo").data.trigger == config.Trigger()
        assert config.load("demo", ("data.trigger=none",)).data.trigger is None


@pytest.mark.parametrize("name", ["a\u202eb", "a\x9bb", "zero\u200bwidth", "two\nlines"])
def test_a_setting_hides_nothing(name: str) -> None:
    with pytest.raises(ConfigError, match=r"holds U\+") as error:
        config.parse({"name": name})
    assert hidden(str(error.value)) is None
    with pytest.raises(ConfigError, match=r"methods holds U\+"):
        config.parse({"methods": ["afuic", name]})


def test_a_name_is_one_that_a_certificate_can_state() -> None:
    assert config.parse({"name": " Zoe\u0308 "}).name == "Zo\u00eb"
    for name in ("", "  ", "x" * 201):
        with pytest.raises(ConfigError, match="name"):
            config.parse({"name": name})
