"""A model in a file becomes a classifier again, whoever wrote the file; a file that is something else is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

import afuic
from afuic.config import parse
from afuic.data import load as load_data
from afuic.engines import experiment
from afuic.engines.laboratory import prepare
from afuic.errors import DataError, ModelError, ParamsError, StoreError
from afuic.evaluate.results import Results
from afuic.params import digest
from afuic.settings import Architecture
from afuic.store.exporting import LINEAGE, export
from afuic.store.rows import VersionRow
from tests.engines.conftest import SMALL, small

Finished = tuple[Path, Results]


def model(finished: Finished) -> Path:
    return finished[0] / "models" / "afuic.safetensors"


def test_a_runs_model_answers_as_it_did_in_the_run(finished: Finished) -> None:
    found = afuic.load_model(str(model(finished)))
    lab = prepare(small())
    assert found.class_names == lab.federation.class_names
    assert (found.channels, found.size, found.module.training) == (1, 28, False)
    test = lab.federation.test
    with torch.no_grad():
        logits = found.module(test.images)
    assert torch.equal(logits, lab.network.logits(load_file(model(finished)), test.images))
    accuracy = float((logits.argmax(1) == test.labels).double().mean())
    assert accuracy == pytest.approx(finished[1].methods["afuic"].phases["final"].accuracy)


def test_images_go_in_as_bytes_of_any_size_and_channels(finished: Finished) -> None:
    found, dataset = afuic.load_model(model(finished)), load_data("phantom")
    images = dataset.images[:5]
    wanted = found.probabilities(images)
    assert wanted.shape == (5, 4)
    assert np.allclose(wanted.sum(1), 1)
    assert np.allclose(found.probabilities(images[..., 0]), wanted, atol=1e-5)
    assert np.allclose(found.probabilities(np.repeat(images, 3, axis=3)), wanted, atol=1e-5)
    assert found.probabilities(np.kron(images, np.ones((1, 2, 2, 1), dtype=np.uint8))).shape == (5, 4)
    for bad in (images / 255, images[0, 0], np.repeat(images, 4, axis=3)):
        with pytest.raises(DataError, match="give uint8"):
            found.probabilities(bad)


def test_the_same_run_writes_the_same_bytes(finished: Finished, tmp_path: Path) -> None:
    experiment.run(small(), tmp_path / "again")
    for path in (finished[0] / "models").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / "models" / path.name).read_bytes()
        assert len(afuic.load_model(path).class_names) == 4


def test_an_exported_model(finished: Finished, tmp_path: Path) -> None:
    tensors = load_file(model(finished))
    row = VersionRow(7, 5, 1.0, 2.0, digest(tensors), ("a@0",), (), "update", True)
    network = Architecture(model="gn-small", channels=1, size=28, class_names=("w", "x", "y", "z"))
    export(save(tensors), row, network, tmp_path / "out.safetensors")
    found = afuic.load_model(tmp_path / "out.safetensors")
    assert found.class_names == ("w", "x", "y", "z")
    assert all(torch.equal(p, tensors[name]) for name, p in found.module.named_parameters())
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata[LINEAGE])["contributors"] == ["a@0"]
    assert list(metadata) == [LINEAGE]


def edited(finished: Finished, path: Path, change: Callable[[dict[str, object]], object]) -> Path:
    tensors = load_file(model(finished))
    with safe_open(model(finished), "pt") as file:
        lineage = json.loads(file.metadata()[LINEAGE])
    change(lineage)
    save_file(tensors, path, {LINEAGE: json.dumps(lineage)})
    return path


class TestRefused:
    def test_a_file_that_names_no_network(self, finished: Finished, tmp_path: Path) -> None:
        save_file(load_file(model(finished)), tmp_path / "bare.safetensors")
        with pytest.raises(StoreError, match="does not say what network"):
            afuic.load_model(tmp_path / "bare.safetensors")

    @pytest.mark.parametrize(
        "network", [None, 1, {}, {"model": "gn-small", "channels": True, "size": 28, "class_names": ["a", "b"]}]
    )
    def test_a_file_that_names_an_odd_one(self, network: object, finished: Finished, tmp_path: Path) -> None:
        path = edited(finished, tmp_path / "odd.safetensors", lambda lineage: lineage.update(network=network))
        with pytest.raises(StoreError, match="does not say what network"):
            afuic.load_model(path)

    def test_a_file_with_other_tensors_than_it_was_written_with(self, finished: Finished, tmp_path: Path) -> None:
        path = edited(finished, tmp_path / "other.safetensors", lambda lineage: lineage.update(digest="sha256:00"))
        with pytest.raises(StoreError, match="not those it was written with"):
            afuic.load_model(path)

    def test_tensors_of_another_network(self, finished: Finished, tmp_path: Path) -> None:
        path = edited(finished, tmp_path / "o.safetensors", lambda lineage: lineage["network"].update(channels=3))  # type: ignore[attr-defined]
        with pytest.raises(ParamsError, match=r"o\.safetensors: .* the model has .*; its network is gn-small"):
            afuic.load_model(path)

    @pytest.mark.parametrize("content", [b"", b"no model", b"\x80\x04\x95pickle"])
    def test_what_is_no_safetensors(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "m").write_bytes(content)
        with pytest.raises(StoreError, match="not a readable safetensors file"):
            afuic.load_model(tmp_path / "m")
        with pytest.raises(StoreError, match="not a readable safetensors file"):
            afuic.load_model(tmp_path / "absent")


def test_code_that_a_file_names_is_run_only_when_its_name_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mynets.py").write_text(
        "from torch import nn\n\n\ndef build(channels, size, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = parse({**SMALL, "model": {"name": "mynets:build"}, "methods": ["continue"]})
    experiment.run(own, tmp_path / "run")
    path = tmp_path / "run" / "models" / "continue.safetensors"
    with pytest.raises(ModelError, match=r"its network is 'mynets:build', code of your own; if you trust it, give network="):
        afuic.load_model(path)
    assert afuic.load_model(path, network="mynets:build").probabilities(np.zeros((1, 28, 28), dtype=np.uint8)).shape == (1, 4)
