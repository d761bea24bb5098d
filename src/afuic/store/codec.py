"""Any tree of the project's values as JSON for the structure and safetensors for the models, nothing executable: checkpoints and messages.

Models are shared by reference in memory (many tasks start from one version) and stay shared on disk. Only classes that the caller
names can come back, so a checkpoint from elsewhere cannot make anything else. A class is written with its module: methods may name theirs
alike.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from safetensors.torch import save as save_tensors

from afuic.errors import ParamsError, StoreError
from afuic.params import Params, check_like, nbytes
from afuic.store.files import HEADER_BYTES, load_tensors, read_json, read_tensors, write_json, write_tensors

FORMAT = "afuic-checkpoint/2"
HEADER_PART, HEADER_SPARE = 256, 4096
"""Bytes of a header: for each tensor beside its name, and for the whole."""
BROKEN = (AttributeError, KeyError, IndexError, TypeError, ValueError)


def save(path: Path, value: Any, extra: Mapping[str, Any] | None = None) -> None:
    """Write ``path``.json and the tensors it names. The JSON is written last: it alone makes a checkpoint valid.

    ``extra`` comes back beside the value; its ``count`` is in the name of the tensors' file.
    """
    models = _Gathered()
    tree = encode(value, models)
    tensors = _unused(path, int((extra or {}).get("count", 0)))
    write_tensors(tensors, models.tensors or {"empty": torch.zeros(1)})
    write_json(path.with_suffix(".json"), {"format": FORMAT, "tensors": tensors.name, "extra": extra or {}, "value": tree})
    for old in path.parent.glob(f"{path.name}-*.safetensors"):
        if old != tensors:
            old.unlink()


def load(path: Path, classes: Iterable[type]) -> tuple[Any, dict[str, Any]]:
    """The value and the extra of a checkpoint; StoreError when it is missing, broken or of another format."""
    document = read_json(path.with_suffix(".json"))
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise StoreError(f"{path.with_suffix('.json')}: not an {FORMAT} file")
    try:
        tensors = read_tensors(path.parent / Path(document["tensors"]).name)
        return decode(document["value"], _grouped(tensors).__getitem__, classes), document["extra"]
    except BROKEN as error:
        reason = " ".join(str(error).split())
        raise StoreError(
            f"{path.with_suffix('.json')}: broken checkpoint ({type(error).__name__}: {reason}); delete its arm's folder and resume"
        ) from None


def _unused(path: Path, count: int) -> Path:
    """A file that is not there, so that the tensors of the last checkpoint are whole until its JSON is replaced."""
    names = (f"{path.name}-{count}{f'.{again}' if again else ''}.safetensors" for again in itertools.count())
    return next(place for name in names if not (place := path.with_name(name)).exists())


def pack(value: Any) -> tuple[Any, bytes]:
    """A value as a JSON tree and the bytes of one safetensors file, for a message."""
    models = _Gathered()
    tree = encode(value, models)
    return tree, save_tensors({name: t.detach().contiguous() for name, t in models.tensors.items()}) if models.tensors else b""


def unpack(tree: Any, tensors: bytes, classes: Iterable[type]) -> Any:
    """The value of a message; StoreError when it is broken or holds a class that is not named."""
    try:
        return decode(tree, _grouped(_read(tensors)).__getitem__, classes)
    except BROKEN as error:
        raise StoreError(f"message: broken ({type(error).__name__}: {' '.join(str(error).split())})") from None


def tensor_bytes(params: Params) -> bytes:
    """One model as a safetensors file."""
    return save_tensors({name: t.detach().contiguous() for name, t in params.items()})


def largest(like: Params) -> int:
    """How many bytes a safetensors file of a model like this may have."""
    return nbytes(like) + largest_header(like)


def largest_header(like: Params) -> int:
    """How many of them its header may have; an escaped character of a name has twelve at most."""
    return HEADER_SPARE + sum(HEADER_PART + 12 * len(name) for name in like)


def read_like(content: bytes, like: Params) -> dict[str, torch.Tensor]:
    """One model from bytes of another's making; StoreError for no safetensors, ParamsError where it is not like ``like`` or not finite."""
    if len(content) > largest(like):
        raise ParamsError(f"message: {len(content)} bytes of tensors where at most {largest(like)} can be right")
    params = _read(content, largest_header(like))
    check_like(params, like, "message")
    return params


def _read(content: bytes, header: int = HEADER_BYTES) -> dict[str, torch.Tensor]:
    try:
        return load_tensors(content, header) if content else {}
    except StoreError as error:
        raise StoreError(f"message: not safetensors ({error})") from None


def encode(value: Any, model: Callable[[Params], str]) -> Any:  # noqa: PLR0911 - one return a kind of value
    """A value as JSON; ``model`` takes each model in it and returns the name under which it can be found again."""
    if is_params(value):
        return {"$params": model(value)}
    if isinstance(value, Enum):
        return {"$enum": [_label(type(value)), value.value]}
    if isinstance(value, BaseModel):
        return {"$model": [_label(type(value)), value.model_dump(mode="json")]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: encode(getattr(value, f.name), model) for f in dataclasses.fields(value)}
        return {"$": _label(type(value)), "fields": fields}
    if isinstance(value, Mapping):
        return {"$map": [[encode(k, model), encode(v, model)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [encode(v, model) for v in value]}
    return [encode(v, model) for v in value] if isinstance(value, list) else value


def decode(tree: Any, model: Callable[[str], Params], classes: Iterable[type]) -> Any:
    """The value that ``encode`` made this of; ``model`` finds a model by its name. KeyError for a class not in ``classes``.

    A class may name in ``FORMER`` what it was called when files that are still there were written.
    """
    known = {name: c for c in classes for name in (_label(c), *getattr(c, "FORMER", ()))}
    return _Decoder(known, model).decode(tree)


def is_params(value: Any) -> bool:
    """Whether a value is a model: a non-empty mapping to tensors."""
    return isinstance(value, Mapping) and bool(value) and all(isinstance(t, torch.Tensor) for t in value.values())


def _label(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class _Gathered:
    """Models of one file, each once, under numbers."""

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self.seen: dict[int, tuple[str, Params]] = {}
        self.places: set[int] = set()

    def __call__(self, value: Params) -> str:
        if id(value) not in self.seen:
            name = str(len(self.seen))
            self.seen[id(value)] = (name, value)
            self.tensors.update({f"{name}/{key}": self._own(tensor) for key, tensor in value.items()})
        return self.seen[id(value)][0]

    def _own(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor, copied where another model that is written holds the same memory: a file of tensors cannot share."""
        place = tensor.untyped_storage().data_ptr()
        if place in self.places:
            return tensor.detach().clone()
        self.places.add(place)
        return tensor


def _grouped(tensors: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    models: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition("/")
        models.setdefault(number, {})[key] = tensor
    return models


class _Decoder:
    def __init__(self, classes: Mapping[str, type], model: Callable[[str], Params]) -> None:
        self.classes, self.model = classes, model

    def decode(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [self.decode(v) for v in tree]
        if not isinstance(tree, dict):
            return tree
        if "$params" in tree:
            return self.model(tree["$params"])
        if "$tuple" in tree:
            return tuple(self.decode(v) for v in tree["$tuple"])
        if "$map" in tree:
            return {self.decode(k): self.decode(v) for k, v in tree["$map"]}
        return self._object(tree)

    def _object(self, tree: dict[str, Any]) -> Any:
        if "$enum" in tree:
            return self.classes[tree["$enum"][0]](tree["$enum"][1])
        if "$model" in tree:
            return self.classes[tree["$model"][0]](**tree["$model"][1])
        return self.classes[tree["$"]](**{k: self.decode(v) for k, v in tree["fields"].items()})
