"""A model from its file, ready for use: what a run or a federation leaves behind is for somebody's own program.

Tensors alone classify nothing. The file names the network that they belong to, its images and its classes. Only code that comes with afuic
is built from that name, since a file from elsewhere must not choose what is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from afuic.data.dataset import Bytes
from afuic.data.images import match_channels, resize, to_tensor
from afuic.errors import DataError, ModelError, ParamsError
from afuic.learning.architectures import BUILT_IN
from afuic.learning.devices import CPU
from afuic.learning.networks import Network
from afuic.params import check_like
from afuic.settings import Architecture
from afuic.store.exporting import read_model


@dataclass(frozen=True, eq=False)
class Classifier:
    """``module``: the network in eval mode on the CPU, float32 [n, channels, size, size] in [−1, 1] to logits [n, classes]."""

    module: nn.Module
    channels: int
    size: int
    class_names: tuple[str, ...]

    @torch.no_grad()
    def probabilities(self, images: Bytes) -> npt.NDArray[np.float64]:
        """The probability of each class, [n, classes], for images uint8 [n, h, w] or [n, h, w, c], c 1 or 3, of any size.

        They are resized and brought to the network's channels as in training; DataError for anything else.
        """
        planes = images[..., None] if images.ndim == 3 else images
        if planes.dtype != np.uint8 or planes.ndim != 4 or planes.shape[3] not in {1, 3}:
            raise DataError(
                f"images are {images.dtype} {list(images.shape)}; give uint8 [n, h, w] or [n, h, w, c] with 1 or 3 channels"
            )
        inputs = to_tensor(match_channels(resize(planes, self.size), self.channels))
        found: npt.NDArray[np.float64] = torch.softmax(self.module(inputs).double(), 1).numpy()
        return found


def load_model(path: str | Path, network: str | None = None) -> Classifier:
    """The model that a run wrote into ``models/``, or ``afuic models export`` into a file.

    ``network``: the name of your own network (``module:function``), which is imported and called; a file that names one is refused
    without it. Raises StoreError for a file that is neither, ModelError for a network that cannot be built, ParamsError for one of other
    parameters.
    """
    tensors, known = read_model(Path(path))
    module = Network(_name(path, known, network), known.channels, known.size, len(known.class_names)).module.to(CPU)
    parameters = dict(module.named_parameters())
    try:
        check_like(tensors, parameters, str(path))
    except ParamsError as error:
        raise ParamsError(f"{error}; its network is {known.model}") from None
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
    return Classifier(module.eval(), known.channels, known.size, known.class_names)


def _name(path: str | Path, known: Architecture, given: str | None) -> str:
    if given is None and known.model not in BUILT_IN:
        raise ModelError(
            f"{path}: its network is {known.model!r}, code of your own; if you trust it, give network={known.model!r}"
        )
    return given or known.model
