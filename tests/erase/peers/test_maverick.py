"""Maverick: the sensitivity and one step on it by hand; noise over the whole image, and nobody but the target at work."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from rounds_driver import TARGET, drive, pictures, products, sends, values, vector, view_of

from afuic.erase.peers.local import Steps
from afuic.erase.peers.maverick import METHOD, SEARCH, Options, Smoothing, sensitivity
from afuic.erase.rounds import Site
from afuic.params import Params, add
from afuic.rng import torch_stream

ONE = Steps(steps=1, batch=4, lr=0.1, max_norm=100.0)
SITE = Site(
    forward=products,
    train=lambda start, images, steps, generator: start,
    initial=lambda generator: vector(0, 0),
    forget=pictures((1, 1)),
)


def test_the_sensitivity_by_hand() -> None:
    outputs, perturbed = torch.tensor([[1.0, 1.0], [0.0, 0.0]]), torch.tensor([[4.0, 5.0], [0.0, 1.0]])
    noise = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 2.0]]]])
    # ‖(3, 4)‖/1 = 5 and ‖(0, 1)‖/2 = ½; their mean
    assert float(sensitivity(outputs, perturbed, noise)) == 2.75


def test_one_step_by_hand() -> None:
    job = Smoothing(steps=ONE, samples=1, sigma_min=0.5, sigma_max=0.5)
    delta = job.run(SITE, vector(1, 1), (), torch_stream(0, "noise"))
    generator = torch_stream(0, "noise")
    torch.randperm(1, generator=generator)
    torch.rand((), generator=generator)
    noise = 0.5 * torch.randn(1, 1, 1, 2, generator=generator).flatten()
    # f(x) − f(x + δ) = −δ at w = (1, 1), x = (1, 1): the gradient of its norm over ‖δ‖ is −δ/‖δ‖²
    expected = 0.1 * noise / (noise @ noise)
    assert values(delta) == pytest.approx(expected.tolist(), rel=1e-4)


def test_the_noise_covers_the_whole_image() -> None:
    job = Smoothing(steps=ONE, samples=1, sigma_min=0.5, sigma_max=1.0)
    images = torch.zeros(400, 3, 28, 28)
    draws = [job._noise(images, torch_stream(seed, "sigma")) for seed in range(5)]
    for noise in draws:
        spread = noise.std(dim=0)
        # 400 draws a pixel: the deviation's own is about σ/28, so five of them leave a sixth
        assert spread.min() > 0.5 * 0.8
        assert spread.max() < 1.0 * 1.2
        assert spread.max() < 1.5 * spread.min()
    assert len({round(float(noise.std()), 3) for noise in draws}) == 5


def test_it_lowers_the_sensitivity() -> None:
    def squares(params: Params, images: torch.Tensor) -> torch.Tensor:
        return products(params, images).square()

    start = vector(1, 1)
    job = Smoothing(steps=Steps(steps=100, batch=4, lr=0.01), samples=8, sigma_min=1.0, sigma_max=1.0)
    model = add(start, job.run(replace(SITE, forward=squares), start, (), torch_stream(1)))
    # (1 + δ)² is 2 in the mean, 1 + 1²: the outputs, 1 at the start, rise to meet it
    assert min(values(model)) > 1.01
    image, noise = torch.ones(1, 1, 1, 2), torch.randn(2000, 1, 1, 2, generator=torch_stream(2))
    perturbed = squares(start, image + noise)
    before, after = (float(sensitivity(squares(m, image), perturbed, noise)) for m in (start, model))
    assert after < before


def test_only_the_target_works_and_its_model_is_released() -> None:
    options = Options(local=ONE, samples=2)
    run = drive(options, view_of(1, 1), {TARGET: SITE, "b": sends(9, 9), "c": sends(9, 9)})
    assert run.orders() == [[("a", Smoothing)]]
    assert run.rounds[0].orders[0].needed
    job = run.rounds[0].orders[0].job
    assert isinstance(job, Smoothing)
    assert (job.samples, job.sigma_min, job.sigma_max) == (2, options.sigma_min, options.sigma_max)
    change = job.run(SITE, vector(1, 1), (), torch_stream(0, "job", 0, TARGET))
    assert values(run.model) == [1 + d for d in values(change)]


def test_the_clock_is_charged_for_the_perturbed_images() -> None:
    assert Smoothing(steps=Steps(steps=10, batch=64), samples=3, sigma_min=0.5, sigma_max=1).passes(32, 0) == 640


def test_there_are_six_settings_to_search_the_first_the_defaults() -> None:
    assert len(SEARCH) == 6
    assert METHOD.configure(SEARCH[0]).options == Options()
    assert len({METHOD.configure(setting).options.model_dump_json() for setting in SEARCH}) == 6
