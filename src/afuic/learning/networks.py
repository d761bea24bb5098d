"""One reusable module per process and the means to run it on given parameters, so that models travel as plain ``Params``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from afuic.errors import ModelError
from afuic.learning import architectures
from afuic.learning.devices import CPU, device
from afuic.learning.seeding import seeded
from afuic.learning.vetting import check_device, vet
from afuic.params import Params


class Network:
    """A classifier of [n, channels, size, size] float32 images into ``classes``, run on whatever parameters are given.

    ``name``: ``gn-small`` (16 to 64 pixels), ``resnet18``, ``densenet121`` (MONAI, from 64 pixels) or ``module:function``,
    which is called with ``channels=, size=, classes=`` and refused by ModelError where it breaks the contribution ledger (see
    ``vetting``). Tied parameters count once, under their first name. ``module`` is scratch space: its parameters are whatever
    was trained last, it rests in eval mode, and it is not safe for use by several threads at once. It lies on ``device`` (see
    ``devices``); all that is given and returned, on the CPU.
    """

    def __init__(self, name: str, channels: int, size: int, classes: int) -> None:
        self.name, self.channels, self.size, self.classes = name, channels, size, classes
        built_in = architectures.BUILT_IN.get(name)
        self._build = built_in or architectures.users(name)
        if built_in is None:
            vet(name, self._fresh, channels, size, classes)
        self.device = device()
        self.module = self._fresh(0).to(self.device)
        if self.device != CPU:
            check_device(name, self.module, channels, size, self.device)
        self._places = _places(self.module)
        linear = [module for module in self.module.modules() if isinstance(module, nn.Linear)]
        self.head = linear[-1] if linear else None
        self.head_weight = self._head_weight()

    def _head_weight(self) -> str | None:
        """The name of the head's weight, where it has a row for each class."""
        if self.head is None or self.head.out_features != self.classes:
            return None
        return next((name for name, parameter in self.module.named_parameters() if parameter is self.head.weight), None)

    def _fresh(self, seed: int) -> nn.Module:
        with seeded(seed):
            return self._build(self.channels, self.size, self.classes).eval()

    def initial(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Fresh parameters, a pure function of the generator's state."""
        module = self._fresh(int(torch.randint(2**62, (), generator=generator)))
        return {name: parameter.detach() for name, parameter in module.named_parameters()}

    def forward(self, params: Params, images: Tensor) -> Tensor:
        """Logits [n, classes] in eval mode, differentiable in ``params``."""
        there = self._there(params)
        placed = {place: there[name] for place, name in self._places.items()}
        out = torch.func.functional_call(self.module, placed, (images.to(self.device),), tie_weights=False)
        return out.to(CPU)  # type: ignore[no-any-return]

    def features(self, params: Params, images: Tensor) -> Tensor:
        """The input [n, d] of ``head``, the last linear layer, in eval mode, differentiable in ``params``. ModelError: there is none."""
        if self.head is None:
            raise ModelError(f"model {self.name}: has no linear layer whose input could stand for its features")
        seen: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].flatten(1)))
        try:
            self.forward(params, images)
        finally:
            hook.remove()
        return seen[-1].to(CPU)

    @torch.no_grad()
    def logits(self, params: Params, images: Tensor, batch: int = 256) -> Tensor:
        """Logits [n, classes] in eval mode without gradient, ``batch`` images at a time."""
        if not len(images):
            return torch.empty(0, self.classes)
        there = self._there(params)
        return torch.cat([self.forward(there, part) for part in torch.split(images, batch)])

    def _there(self, params: Params) -> dict[str, Tensor]:
        return {name: tensor.to(self.device) for name, tensor in params.items()}


def _places(module: nn.Module) -> dict[str, str]:
    """Every place of a parameter in the module, with the name that the parameter goes by: tied ones have several places.

    PyTorch's own tying would visit a module of two names twice and leave what it was lent in place of the parameters.
    """
    name = {id(parameter): key for key, parameter in module.named_parameters()}
    return {
        f"{path}.{key}" if path else key: name[id(parameter)]
        for path, part in module.named_modules()
        for key, parameter in part.named_parameters(recurse=False, remove_duplicate=False)
    }
