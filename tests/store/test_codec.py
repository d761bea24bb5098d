"""Checkpoints: what goes in comes out, sharing included, and nothing comes out that the caller did not name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afuic.config import Training
from afuic.errors import StoreError
from afuic.params import Params
from afuic.protocol import initial
from afuic.store import codec


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Leaf:
    model: Params | None
    colour: Colour = Colour.RED


@dataclass
class Tree:
    leaves: tuple[Leaf, ...] = ()
    named: dict[Any, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)


CLASSES = (Colour, Leaf, Tree, Training)


def label(kind: type) -> str:
    return f"{kind.__module__}.{kind.__name__}"


def model(value: float) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2, 3), value), "bias": torch.tensor([value, -value])}


def round_trip(path: Path, value: Any) -> Any:
    codec.save(path / "checkpoint", value)
    return codec.load(path / "checkpoint", CLASSES)[0]


def test_every_kind_of_value_comes_back(tmp_path: Path) -> None:
    tree = Tree(
        leaves=(Leaf(model(1.5), Colour.BLUE), Leaf(None)),
        named={("a@0", "b@1"): [1, 2.5, None, True, "text"], Colour.RED: {}, 3: ()},
        training=Training(steps=7, lr=0.25),
    )
    back = round_trip(tmp_path, tree)
    assert torch.equal(back.leaves[0].model["weight"], torch.full((2, 3), 1.5))
    assert (back.leaves[0].colour, back.leaves[1]) == (Colour.BLUE, Leaf(None))
    assert (back.named, back.training) == (tree.named, tree.training)


def test_classes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    other = type("Leaf", (Leaf,), {"__module__": "elsewhere"})
    codec.save(tmp_path / "checkpoint", [Leaf(None), other(None)])
    back, _ = codec.load(tmp_path / "checkpoint", (*CLASSES, other))
    assert [type(leaf) for leaf in back] == [Leaf, other]


def test_tensors_keep_their_bits_and_types(tmp_path: Path) -> None:
    odd = {"nan": torch.tensor([float("nan"), -0.0, 1e-45]), "whole": torch.arange(3), "scalar": torch.tensor(2.0).double()}
    back = round_trip(tmp_path, odd)
    for name, tensor in odd.items():
        assert (back[name].dtype, back[name].shape) == (tensor.dtype, tensor.shape)
        assert back[name].numpy().tobytes() == tensor.numpy().tobytes()


def test_a_view_is_stored_as_what_it_shows(tmp_path: Path) -> None:
    table = torch.arange(6.0).view(2, 3)
    assert round_trip(tmp_path, {"t": table.T})["t"].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]


def test_a_shared_model_stays_shared_and_is_written_once(tmp_path: Path) -> None:
    one = model(1.0)
    back = round_trip(tmp_path, [Leaf(one), Leaf(one), Leaf(model(1.0))])
    assert back[0].model is back[1].model
    assert back[0].model is not back[2].model
    (file,) = tmp_path.glob("*.safetensors")
    # two models of 8 float32 each: 2 * 8 * 4 = 64 bytes of numbers
    header = int.from_bytes(file.read_bytes()[:8], "little")
    assert file.stat().st_size - 8 - header == 64


def test_models_that_share_some_of_their_tensors_are_both_written(tmp_path: Path) -> None:
    one = model(1.0)
    back = round_trip(tmp_path, [Leaf(one), Leaf({**one, "bias": -one["bias"]}), Leaf({"row": one["weight"][0]})])
    assert torch.equal(back[1].model["weight"], one["weight"])
    assert back[1].model["bias"].tolist() == [-1.0, 1.0]
    assert back[2].model["row"].tolist() == [1.0, 1.0, 1.0]


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5)
keys = st.text(max_size=3) | st.integers() | st.tuples(st.text(max_size=2), st.sampled_from(Colour))
trees = st.recursive(
    scalars | st.sampled_from(Colour),
    lambda part: st.lists(part, max_size=3) | st.lists(part, max_size=3).map(tuple) | st.dictionaries(keys, part, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=trees)
def test_any_tree_comes_back(value: Any, tmp_path: Path) -> None:
    back = round_trip(tmp_path, value)
    assert (back, type(back)) == (value, type(value))


def test_the_next_checkpoint_replaces_the_last(tmp_path: Path) -> None:
    for count in (3, 8):
        codec.save(tmp_path / "checkpoint", model(float(count)), {"count": count})
    value, extra = codec.load(tmp_path / "checkpoint", ())
    assert (value["bias"].tolist(), extra) == ([8.0, -8.0], {"count": 8})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-8.safetensors", "checkpoint.json"]


def test_a_class_that_was_not_named_is_refused(tmp_path: Path) -> None:
    codec.save(tmp_path / "checkpoint", Tree(leaves=(Leaf(None),)))
    with pytest.raises(StoreError, match=r"broken checkpoint \(KeyError: '.*Leaf'\)"):
        codec.load(tmp_path / "checkpoint", (Tree, Training, Colour))


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("$enum", [label(Colour), "red"]), ("$model", [label(Training), {}]), ("$", "Path"), ("$", "__import__"), ("$", "eval")],
)
def test_no_other_name_makes_anything(tmp_path: Path, kind: str, missing: Any) -> None:
    codec.save(tmp_path / "checkpoint", 0)
    _edit(tmp_path, lambda document: document | {"value": {kind: missing, "fields": {}}})
    with pytest.raises(StoreError, match="broken checkpoint"):
        codec.load(tmp_path / "checkpoint", ())


def _edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    file = folder / "checkpoint.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"format": "afuic-checkpoint/0"}, r"checkpoint\.json: not an afuic-checkpoint/2 file"),
        (lambda d: [d], r"checkpoint\.json: not an afuic-checkpoint/2 file"),
        (lambda d: d | {"value": {"$params": "7"}}, r"broken checkpoint \(KeyError: '7'\)"),
        (lambda d: {k: v for k, v in d.items() if k != "tensors"}, r"broken checkpoint \(KeyError: 'tensors'\)"),
        (lambda d: {k: v for k, v in d.items() if k != "extra"}, r"broken checkpoint \(KeyError: 'extra'\)"),
        (lambda d: d | {"value": {"$": label(Leaf), "fields": []}}, r"broken checkpoint \(AttributeError"),
        (lambda d: d | {"value": {"$enum": [label(Colour)]}}, r"broken checkpoint \(IndexError"),
        (lambda d: d | {"value": {"$enum": [label(Colour), "green"]}}, "broken checkpoint .*green"),
        (lambda d: d | {"value": {"$": label(Leaf), "fields": {"shape": 1}}}, "broken checkpoint .*shape"),
        (lambda d: d | {"value": {"$model": [label(Training), {"steps": 0}]}}, "broken checkpoint .*steps"),
        (lambda d: d | {"tensors": "../../elsewhere.safetensors"}, r"elsewhere\.safetensors: not a readable safetensors file"),
    ],
)
def test_a_broken_checkpoint_is_named(tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    codec.save(tmp_path / "checkpoint", model(1.0))
    _edit(tmp_path, change)
    with pytest.raises(StoreError, match=message):
        codec.load(tmp_path / "checkpoint", CLASSES)


def test_tensors_are_read_from_the_checkpoints_folder_only(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    codec.save(tmp_path / "outside", model(2.0))
    codec.save(inner / "checkpoint", model(1.0))
    _edit(inner, lambda document: document | {"tensors": "../outside-0.safetensors"})
    with pytest.raises(StoreError, match=r"inner/outside-0\.safetensors"):
        codec.load(inner / "checkpoint", CLASSES)


def test_missing_or_cut_off_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"checkpoint\.json: no such file"):
        codec.load(tmp_path / "checkpoint", CLASSES)
    codec.save(tmp_path / "checkpoint", model(1.0))
    tensors = tmp_path / "checkpoint-0.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"checkpoint-0\.safetensors: not a readable safetensors file"):
        codec.load(tmp_path / "checkpoint", CLASSES)
    tensors.unlink()
    with pytest.raises(StoreError, match=r"checkpoint-0\.safetensors: not a readable"):
        codec.load(tmp_path / "checkpoint", CLASSES)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec.save(tmp_path / "checkpoint", model(1.0), {"count": 1})
    before = sorted((p.name, p.read_bytes()) for p in tmp_path.iterdir())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        codec.save(tmp_path / "checkpoint", model(2.0), {"count": 2})
    assert sorted((p.name, p.read_bytes()) for p in tmp_path.iterdir()) == before


def test_a_disk_that_fills_up_between_the_two_files_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec.save(tmp_path / "checkpoint", model(1.0), {"count": 1})

    def full(path: Path, value: Any) -> None:
        raise OSError(28, "No space left on device", str(path), value and None)

    monkeypatch.setattr(codec, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        codec.save(tmp_path / "checkpoint", model(2.0), {"count": 2})
    value, extra = codec.load(tmp_path / "checkpoint", CLASSES)
    assert (value["bias"].tolist(), extra) == ([1.0, -1.0], {"count": 1})


def test_a_stop_between_the_two_files_leaves_the_last_checkpoint_of_the_same_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = model(1.0), model(2.0)
    codec.save(tmp_path / "checkpoint", [one, two])

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(codec, "write_json", stopped)
        with pytest.raises(KeyboardInterrupt):
            codec.save(tmp_path / "checkpoint", [two, one])
    value, _ = codec.load(tmp_path / "checkpoint", ())
    assert [m["bias"].tolist() for m in value] == [[1.0, -1.0], [2.0, -2.0]]
    codec.save(tmp_path / "checkpoint", [two, one])
    value, _ = codec.load(tmp_path / "checkpoint", ())
    assert [m["bias"].tolist() for m in value] == [[2.0, -2.0], [1.0, -1.0]]
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_a_state_of_the_protocol_comes_back(tmp_path: Path) -> None:
    from afuic.engines.arm import classes

    codec.save(tmp_path / "checkpoint", initial(model(3.0)))
    state, _ = codec.load(tmp_path / "checkpoint", classes())
    assert state.model is state.ledger.origin
    assert torch.equal(state.model["bias"], torch.tensor([3.0, -3.0]))
