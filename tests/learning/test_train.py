"""Local training: equal to a plain loop, decided by its generator alone, stoppable, and strict about its data."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from afuic.config import Training
from afuic.errors import DataError, ParamsError, TaskStopped
from afuic.learning.networks import Network
from afuic.learning.train import batches, local_update
from afuic.params import digest
from afuic.rng import torch_stream

PLAIN = Training(steps=1, batch=8, lr=0.1, momentum=0.0, weight_decay=0.0, max_norm=100.0)


def phantoms(n: int, size: int = 16, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Noise with a brightness that tells the class."""
    generator = torch_stream(0, "phantoms")
    labels = torch.arange(n) % classes
    return torch.rand(n, 3, size, size, generator=generator) + labels.view(-1, 1, 1, 1) / classes, labels


def plain_loop(network: Network, params: dict[str, Tensor], images: Tensor, labels: Tensor, training: Training, generator):
    """The same task in textbook PyTorch: shuffled epochs end to end, torch.optim.SGD, clip_grad_norm_."""
    module = network._fresh(0).train()
    module.load_state_dict(params)
    optimizer = torch.optim.SGD(
        module.parameters(), training.lr, momentum=training.momentum, weight_decay=training.weight_decay, foreach=False
    )
    torch.randint(2**62, (), generator=generator)
    queue: list[int] = []
    for _ in range(training.steps):
        while len(queue) < min(training.batch, len(images)):
            queue += torch.randperm(len(images), generator=generator).tolist()
        taken, queue = queue[: training.batch], queue[training.batch :]
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(images[taken]), labels[taken]).backward()
        nn.utils.clip_grad_norm_(module.parameters(), training.max_norm)
        optimizer.step()
    return {name: parameter.detach() - params[name] for name, parameter in module.named_parameters()}


@pytest.mark.parametrize(
    "training",
    [
        Training(steps=7, batch=8),
        Training(steps=7, batch=8, momentum=0.0, weight_decay=0.1, lr=0.01),
        Training(steps=7, batch=8, max_norm=0.05),
        Training(steps=3, batch=20),
    ],
    ids=["defaults", "decay", "clipped", "one whole batch"],
)
def test_local_update_equals_the_plain_loop(training: Training) -> None:
    network = Network("gn-small", 3, 16, 4)
    params, (images, labels) = network.initial(torch_stream(0, "initial")), phantoms(20)
    delta = local_update(network, params, images, labels, training, torch_stream(0, "train"))
    expected = plain_loop(network, params, images, labels, training, torch_stream(0, "train"))
    assert delta.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(delta[name], tensor, rtol=1e-4, atol=1e-6)


def one_image() -> tuple[Network, dict[str, Tensor], Tensor, Tensor]:
    """A linear network of zeros on one image of ones: p = (1/2, 1/2), label 0, so dL/dlogits = (−1/2, 1/2)."""
    network = Network("user_networks:linear", 1, 2, 2)
    params = {"1.weight": torch.zeros(2, 4), "1.bias": torch.zeros(2)}
    return network, params, torch.ones(1, 1, 2, 2), torch.tensor([0])


def test_one_step_by_hand() -> None:
    delta = local_update(*one_image(), PLAIN, torch_stream(0))
    # −lr · dL/dlogits · x = −0.1 · (−1/2, 1/2) · 1 = (0.05, −0.05), weights and biases alike
    assert delta["1.bias"].tolist() == pytest.approx([0.05, -0.05])
    assert delta["1.weight"].flatten().tolist() == pytest.approx([0.05] * 4 + [-0.05] * 4)


def test_the_gradient_is_clipped_by_hand() -> None:
    delta = local_update(*one_image(), PLAIN.model_copy(update={"max_norm": 0.5}), torch_stream(0))
    # the gradient's norm is √(10 · 1/4) = √2.5; clipped to 0.5 and times lr 0.1 each entry is 0.05 · 0.5/√2.5
    assert delta["1.bias"].tolist() == pytest.approx([0.05 * 0.5 / 2.5**0.5, -0.05 * 0.5 / 2.5**0.5], rel=1e-5)


def test_weight_decay_by_hand() -> None:
    network, _, images, labels = one_image()
    params = {"1.weight": torch.ones(2, 4), "1.bias": torch.ones(2)}
    delta = local_update(network, params, images, labels, PLAIN.model_copy(update={"weight_decay": 0.2}), torch_stream(0))
    # equal rows again give p = (1/2, 1/2): 0.05 and −0.05 as before, less lr · decay · 1 = 0.02
    assert delta["1.bias"].tolist() == pytest.approx([0.03, -0.07])


@pytest.mark.parametrize("name", ["gn-small", "user_networks:dropout"])
def test_the_result_depends_on_the_generator_alone(name: str) -> None:
    network, (images, labels) = Network(name, 3, 16, 4), phantoms(20)
    params, training = network.initial(torch_stream(0, "initial")), Training(steps=3, batch=8)
    before = digest(params)
    first = local_update(network, params, images, labels, training, torch_stream(0, "train"))
    local_update(network, network.initial(torch_stream(5)), images, labels, training, torch_stream(6))
    torch.manual_seed(99)
    state = torch.get_rng_state()
    again = local_update(network, params, images, labels, training, torch_stream(0, "train"))
    assert digest(first) == digest(again)
    assert torch.equal(state, torch.get_rng_state())
    assert digest(params) == before
    assert digest(first) != digest(local_update(network, params, images, labels, training, torch_stream(0, "other")))


def test_a_result_outlives_the_next_task() -> None:
    network, params, images, labels = one_image()
    first = local_update(network, params, images, labels, PLAIN, torch_stream(0))
    kept = digest(first)
    local_update(network, params, images, 1 - labels, PLAIN, torch_stream(0))
    assert digest(first) == kept


def test_dropout_is_on_in_training_and_off_afterwards() -> None:
    network, (images, labels) = Network("user_networks:dropout", 3, 16, 4), phantoms(20)
    without = Network("user_networks:linear", 3, 16, 4)
    params = network.initial(torch_stream(0))
    delta = local_update(network, params, images, labels, PLAIN, torch_stream(1))
    same = {"1.weight": params["2.weight"], "1.bias": params["2.bias"]}
    other = local_update(without, same, images, labels, PLAIN, torch_stream(1))
    assert not torch.allclose(delta["2.weight"], other["1.weight"])
    assert torch.equal(network.logits(params, images), network.logits(params, images))


@pytest.mark.parametrize("name", ["user_networks:positions", "user_networks:shared"])
def test_tied_parameters_train_as_one(name: str) -> None:
    network, (images, labels) = Network(name, 3, 16, 4), phantoms(8)
    params = network.initial(torch_stream(0))
    delta = local_update(network, params, images, labels, PLAIN, torch_stream(1))
    assert delta.keys() == params.keys()
    assert all(tensor.any() for tensor in delta.values())


@pytest.mark.parametrize("name", ["gn-small", "user_networks:positions", "user_networks:shared"])
def test_training_is_the_same_after_an_evaluation(name: str) -> None:
    network, (images, labels) = Network(name, 3, 16, 4), phantoms(8)
    params = network.initial(torch_stream(0))
    first = local_update(network, params, images, labels, PLAIN, torch_stream(1))
    logits = network.logits(params, images)
    network.features(params, images)
    assert digest(local_update(network, params, images, labels, PLAIN, torch_stream(1))) == digest(first)
    assert torch.equal(network.logits(params, images), logits)
    moved = {name: tensor + 1 for name, tensor in params.items()}
    module = network._fresh(0)
    module.load_state_dict(moved, strict=False)
    assert torch.equal(network.logits(moved, images), module(images))


def test_training_learns_the_phantoms() -> None:
    network, (images, labels) = Network("gn-small", 3, 16, 4), phantoms(64)
    params = network.initial(torch_stream(0))
    delta = local_update(network, params, images, labels, Training(steps=60, lr=0.02), torch_stream(1))
    trained = {name: params[name] + delta[name] for name in params}
    accuracy = (network.logits(trained, images).argmax(1) == labels).double().mean()
    assert accuracy > 0.9


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_monai_networks_take_a_step(name: str) -> None:
    network, (images, labels) = Network(name, 3, 64, 4), phantoms(2, 64)
    params = network.initial(torch_stream(0))
    delta = local_update(network, params, images, labels, Training(steps=1, batch=2), torch_stream(1))
    assert delta.keys() == params.keys()
    assert all(torch.isfinite(tensor).all() for tensor in delta.values())
    assert all(delta[key].any() for key in params if key.endswith("weight"))


def test_batches_are_shuffled_epochs_end_to_end() -> None:
    drawn = torch.cat(list(batches(5, 2, 5, torch_stream(0)))).tolist()
    assert sorted(drawn[:5]) == sorted(drawn[5:]) == [0, 1, 2, 3, 4]
    assert [len(index) for index in batches(5, 2, 4, torch_stream(0))] == [2, 2, 2, 2]
    assert [sorted(index.tolist()) for index in batches(3, 8, 2, torch_stream(0))] == [[0, 1, 2]] * 2


def test_stop_is_asked_before_each_step_and_ends_the_task() -> None:
    answers = iter([False, False, True])
    network, params, images, labels = one_image()
    before = network.logits(params, images)
    with pytest.raises(TaskStopped, match="nothing of it is kept"):
        local_update(network, params, images, labels, Training(steps=9), torch_stream(0), lambda: next(answers))
    assert next(answers, None) is None
    assert not network.module.training
    assert torch.equal(network.logits(params, images), before)


IMAGES, LABELS = phantoms(4)


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        (IMAGES[:0], LABELS[:0], "no images"),
        (IMAGES.double(), LABELS, "float64"),
        (IMAGES[:, :1], LABELS, r"float32 \[n, 3, 16, 16\]"),
        (IMAGES[:, :, :8], LABELS, r"float32 \[n, 3, 16, 16\]"),
        (IMAGES[0], LABELS, r"float32 \[n, 3, 16, 16\]"),
        (IMAGES, LABELS[:3], r"int64 \[4\]"),
        (IMAGES, LABELS.float(), r"int64 \[4\]"),
        (IMAGES, LABELS + 1, "outside 0 to 3"),
        (IMAGES, LABELS - 1, "outside 0 to 3"),
    ],
)
def test_data_that_do_not_fit_are_refused(images: Tensor, labels: Tensor, reason: str) -> None:
    network = Network("gn-small", 3, 16, 4)
    with pytest.raises(DataError, match=reason):
        local_update(network, network.initial(torch_stream(0)), images, labels, PLAIN, torch_stream(0))


def test_parameters_of_another_network_are_refused() -> None:
    network, params, images, labels = one_image()
    with pytest.raises(ParamsError, match="model to train"):
        local_update(network, {"weight": params["1.weight"]}, images, labels, PLAIN, torch_stream(0))
