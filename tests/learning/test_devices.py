"""On another device networks give what they give on the CPU, everything comes back, and what cannot be had is said at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from afuic.config import Training
from afuic.engines import origin
from afuic.errors import ConfigError, ModelError
from afuic.learning import devices
from afuic.learning.networks import Network
from afuic.learning.train import local_update
from afuic.params import digest
from afuic.rng import torch_stream
from tests import elsewhere

IMAGES = torch.rand(12, 3, 16, 16, generator=torch_stream(0, "images"))
LABELS = torch.arange(12) % 4
TRAINING = Training(steps=3, batch=8)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.VARIABLE, elsewhere.NAME)


def both(name: str, monkeypatch: pytest.MonkeyPatch, other: str = elsewhere.NAME) -> tuple[Network, Network]:
    """The network on the CPU and on the other device."""
    here = Network(name, 3, 16, 4)
    monkeypatch.setenv(devices.VARIABLE, other)
    return here, Network(name, 3, 16, 4)


@pytest.mark.parametrize("name", ["gn-small", "user_networks:positions"])
def test_what_a_network_gives_comes_back_with_the_same_bytes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = both(name, monkeypatch)
    assert {tensor.device.type for tensor in there.module.state_dict().values()} == {elsewhere.NAME}
    params = here.initial(torch_stream(0))
    assert digest(there.initial(torch_stream(0))) == digest(params)
    for run in ("logits", "forward", "features"):
        out = getattr(there, run)(params, IMAGES)
        assert out.device.type == "cpu"
        assert torch.equal(out, getattr(here, run)(params, IMAGES))
    delta = local_update(there, params, IMAGES, LABELS, TRAINING, torch_stream(1))
    expected = local_update(here, params, IMAGES, LABELS, TRAINING, torch_stream(1))
    torch.testing.assert_close(delta, expected, rtol=1e-5, atol=1e-7)


def test_gradients_reach_parameters_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = both("gn-small", monkeypatch)

    def gradient(network: Network) -> dict[str, Tensor]:
        leaf = {name: tensor.requires_grad_() for name, tensor in network.initial(torch_stream(0)).items()}
        loss = torch.nn.functional.cross_entropy(network.forward(leaf, IMAGES), LABELS)
        return dict(zip(leaf, torch.autograd.grad(loss, list(leaf.values())), strict=True))

    torch.testing.assert_close(gradient(there), gradient(here), rtol=1e-5, atol=1e-7)


@pytest.mark.usefixtures("there")
def test_dropout_there_depends_on_the_generator_alone() -> None:
    network = Network("user_networks:dropout", 3, 16, 4)
    params = network.initial(torch_stream(0))
    first = local_update(network, params, IMAGES, LABELS, TRAINING, torch_stream(1))
    elsewhere.STREAM.manual_seed(99)
    before = elsewhere.STREAM.get_state()
    assert digest(local_update(network, params, IMAGES, LABELS, TRAINING, torch_stream(1))) == digest(first)
    assert torch.equal(elsewhere.STREAM.get_state(), before)
    assert digest(local_update(network, params, IMAGES, LABELS, TRAINING, torch_stream(2))) != digest(first)


@pytest.mark.usefixtures("there")
def test_a_network_with_tensors_of_its_own_is_refused_there() -> None:
    with pytest.raises(
        ModelError, match=r"tensors on elsewhere and on cpu.*on elsewhere:0; make tensors on the device.*AFUIC_DEVICE=cpu"
    ):
        Network("user_networks:own_tensor", 3, 16, 4)


@pytest.mark.usefixtures("there")
def test_results_name_the_device() -> None:
    assert origin.machine()["gpu"] == "elsewhere:0"


def test_results_name_no_device_on_the_cpu() -> None:
    assert "gpu" not in origin.machine()


@pytest.mark.parametrize(
    ("said", "found"), [("cpu", "cpu"), ("cpu:0", "cpu"), ("elsewhere", "elsewhere:0"), ("elsewhere:0", "elsewhere:0")]
)
def test_a_device_that_is_named_is_used(said: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.VARIABLE, said)
    assert str(devices.device()) == found


@pytest.mark.parametrize("said", ["", "auto"])
@pytest.mark.parametrize(("gpu", "found"), [(True, "cuda:0"), (False, "cpu")])
def test_by_default_the_first_gpu_is_used_where_there_is_one(
    said: str, gpu: bool, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(devices.VARIABLE, said)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(gpu))
    for flags, name in ((torch.backends.cudnn, "allow_tf32"), (torch.backends.cudnn, "deterministic")):
        monkeypatch.setattr(flags, name, getattr(flags, name))
    assert str(devices.device()) == found
    if gpu:
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == (False, True)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("banana", "PyTorch knows no such device; use auto, cpu, cuda or cuda:1"),
        ("cuda:one", "PyTorch knows no such device"),
        ("meta", "PyTorch knows no such device"),
        ("elsewhere:1", "finds no such device on this machine"),
        ("cuda:99", "finds no such device on this machine; install a build of PyTorch for it and its driver, or use cpu"),
    ],
)
def test_what_cannot_be_had_is_refused(said: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.VARIABLE, said)
    with pytest.raises(ConfigError, match=f"^AFUIC_DEVICE={said}: .*{reason}"):
        devices.device()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_gpu_gives_the_numbers_of_the_cpu_but_for_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = both("gn-small", monkeypatch, "cuda")
    params = here.initial(torch_stream(0))
    torch.testing.assert_close(there.logits(params, IMAGES), here.logits(params, IMAGES), rtol=1e-4, atol=1e-5)
    delta = local_update(there, params, IMAGES, LABELS, TRAINING, torch_stream(1))
    expected = local_update(here, params, IMAGES, LABELS, TRAINING, torch_stream(1))
    torch.testing.assert_close(delta, expected, rtol=1e-3, atol=1e-5)
    assert digest(local_update(there, params, IMAGES, LABELS, TRAINING, torch_stream(1))) == digest(delta)
