"""Networks: sizes, determinism, what a user may bring, and every refusal."""

from __future__ import annotations

import sys

import pytest
import torch

from afuic.errors import ModelError
from afuic.learning import vetting
from afuic.learning.architectures import BUILT_IN
from afuic.learning.networks import Network
from afuic.params import digest
from afuic.rng import torch_stream

SIDE = {"gn-small": 28, "resnet18": 64, "densenet121": 64}


@pytest.fixture(scope="module", params=sorted(BUILT_IN))
def built_in(request: pytest.FixtureRequest) -> Network:
    return Network(request.param, 3, SIDE[request.param], 5)


def test_a_built_in_network_fits_the_ledger(built_in: Network) -> None:
    vetting.vet(built_in.name, built_in._fresh, 3, built_in.size, 5)
    assert dict(built_in.module.named_buffers()) == {}


def test_initial_parameters_depend_on_the_generator_alone(built_in: Network) -> None:
    first = built_in.initial(torch_stream(0, "initial"))
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = built_in.initial(torch_stream(0, "initial"))
    assert torch.equal(before, torch.get_rng_state())
    assert digest(first) == digest(again)
    assert digest(first) != digest(built_in.initial(torch_stream(0, "other")))
    assert not any(tensor.requires_grad for tensor in first.values())


def test_gn_small_has_the_measured_architecture() -> None:
    params = Network("gn-small", 3, 28, 8).initial(torch_stream(0))
    # convolutions 3·16·9+16 = 448, 16·32·9+32 = 4640, 32·64·9+64 = 18496; norms 2·(16+32+64) = 224
    # sides 28 → 14 → 7 → 4, so the head has 64·4·4·8+8 = 8200; together 32008
    assert sum(tensor.numel() for tensor in params.values()) == 32008


@pytest.mark.parametrize("size", [16, 17, 28, 63, 64])
def test_gn_small_takes_every_size_from_16_to_64(size: int) -> None:
    network = Network("gn-small", 1, size, 3)
    assert network.logits(network.initial(torch_stream(0)), torch.rand(2, 1, size, size)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "size", "advice"),
    [
        ("gn-small", 15, "16 to 64"),
        ("gn-small", 65, "16 to 64"),
        ("resnet18", 28, "at least 64"),
        ("densenet121", 63, "at least 64"),
    ],
)
def test_other_sizes_are_refused_with_a_size_that_works(name: str, size: int, advice: str) -> None:
    with pytest.raises(ModelError, match=advice):
        Network(name, 3, size, 2)


def test_missing_monai_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(ModelError, match=r"pip install '\.\[monai\]'"):
        Network("resnet18", 3, 64, 2)


def test_logits_are_the_same_in_any_batch_size_and_without_gradient() -> None:
    network = Network("gn-small", 3, 16, 4)
    params, images = network.initial(torch_stream(0)), torch.rand(7, 3, 16, 16, generator=torch_stream(1))
    whole = network.logits(params, images)
    torch.testing.assert_close(network.logits(params, images, batch=3), whole)
    assert not whole.requires_grad
    assert network.logits(params, images[:0]).shape == (0, 4)


def test_forward_is_differentiable_in_the_parameters() -> None:
    network = Network("user_networks:linear", 1, 2, 2)
    params = {name: tensor.requires_grad_() for name, tensor in network.initial(torch_stream(0)).items()}
    images = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]], [[[0.5, 0.0], [0.0, 1.0]]]])
    network.forward(params, images).sum().backward()
    # d(sum of logits)/d(weight[k, j]) = x1[j] + x2[j] = 1+0.5, 2+0, 3+0, 4+1; each bias counts once an image: 2
    assert params["1.weight"].grad.tolist() == [[1.5, 2.0, 3.0, 5.0]] * 2
    assert params["1.bias"].grad.tolist() == [2.0, 2.0]


def test_features_are_what_the_head_is_given(built_in: Network) -> None:
    params, images = (
        built_in.initial(torch_stream(0)),
        torch.rand(2, 3, built_in.size, built_in.size, generator=torch_stream(1)),
    )
    features = built_in.features(params, images)
    weight, bias = list(params.values())[-2:]
    torch.testing.assert_close(features @ weight.T + bias, built_in.forward(params, images))
    assert not built_in.head._forward_pre_hooks


def test_features_are_differentiable_in_the_parameters() -> None:
    network = Network("user_networks:positions", 1, 2, 2)
    params = {name: tensor.requires_grad_() for name, tensor in network.initial(torch_stream(0)).items()}
    network.features(params, torch.ones(1, 1, 2, 2)).sum().backward()
    # The features are W·h + b with h = ReLU(W·(x + positions) + b): each bias counts 1, and through h where it is above 0
    weight, bias = params["mix.weight"].detach(), params["mix.bias"].detach()
    active = (weight @ (1 + torch.linspace(0, 1, 4)) + bias > 0).float()
    torch.testing.assert_close(params["mix.bias"].grad, 1 + weight.sum(0) * active)
    assert params["head.weight"].grad is None


def test_a_network_without_a_linear_layer_has_no_features() -> None:
    network = Network("user_networks:convolution", 1, 4, 2)
    assert network.head is None
    with pytest.raises(ModelError, match="has no linear layer whose input could stand for its features"):
        network.features(network.initial(torch_stream(0)), torch.ones(1, 1, 4, 4))


def test_forward_runs_on_the_parameters_given_and_not_on_the_last_ones() -> None:
    network = Network("user_networks:dropout", 1, 4, 2)
    one, two = network.initial(torch_stream(1)), network.initial(torch_stream(2))
    images = torch.rand(3, 1, 4, 4, generator=torch_stream(0))
    first = network.logits(one, images)
    assert not torch.equal(first, network.logits(two, images))
    assert torch.equal(first, network.logits(one, images))


def test_constant_buffers_and_tied_parameters_are_allowed() -> None:
    network = Network("user_networks:positions", 1, 4, 2)
    params = network.initial(torch_stream(0))
    assert sorted(params) == ["head.bias", "head.weight", "mix.bias", "mix.weight"]
    images = torch.ones(1, 1, 4, 4)
    hidden = torch.relu(params["mix.weight"] @ (images.flatten() + torch.linspace(0, 1, 16)) + params["mix.bias"])
    again = params["mix.weight"] @ hidden + params["mix.bias"]
    expected = params["head.weight"] @ again + params["head.bias"]
    torch.testing.assert_close(network.logits(params, images)[0], expected)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("batch_norm", r"buffer '0\.num_batches_tracked' changes in training .* GroupNorm"),
        ("batch_statistics", "depends on the others in its batch; use GroupNorm"),
        ("counter", "buffer 'steps' changes in training"),
        ("memory", "a training forward changed its eval output"),
        ("hidden", "equal parameters give different outputs"),
        ("random_buffer", "a buffer differs from build to build"),
        ("numpy_weights", "two builds from one torch seed differ"),
        ("dropout_in_eval", "two eval forwards on the same images differ"),
        ("not_finite", "NaN or infinite"),
        ("not_a_tensor", "forward returned tuple"),
        ("auxiliary", "forward returned tuple"),
        ("detached", "backward failed"),
        ("frozen", r"parameter '1\.bias' is frozen"),
        ("lazy", r"'1\.weight' is lazy"),
        ("double", r"'1\.weight' is torch\.float64; use torch\.float32"),
        ("elsewhere", "on device meta"),
        ("empty", "has no parameters"),
        ("too_many", r"output is \(4, 3\) torch\.float32; return float32 logits \(4, 2\)"),
        ("wrong_size", r"forward on \(4, 1, 8, 8\) float32 failed with RuntimeError"),
        ("cached", "returned the same module twice"),
        ("not_a_module", "returned str; return a torch.nn.Module"),
        ("crashes", "failed with ValueError: no such width"),
        ("other_signature", "failed with TypeError"),
        ("constant", "not callable"),
        ("absent", "cannot be imported .* PYTHONPATH"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_what_breaks_the_ledger_is_refused_with_the_reason(function: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        Network(f"user_networks:{function}", 1, 8, 2)


@pytest.mark.parametrize("name", ["resnet", "module:", ":function", ""])
def test_an_unknown_name_lists_the_choices(name: str) -> None:
    with pytest.raises(ModelError, match="gn-small, resnet18, densenet121 or write module:function"):
        Network(name, 3, 28, 2)


def test_a_module_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot be imported"):
        Network("no_such_module:build", 3, 28, 2)


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("gn-small", "10.weight"),
        ("user_networks:positions", "head.weight"),
        ("user_networks:convolution", None),
        ("user_networks:scaled", None),
    ],
)
def test_the_heads_weight_is_named_where_it_has_a_row_for_each_class(name: str, weight: str | None) -> None:
    assert Network(name, 3, 16, 4).head_weight == weight
