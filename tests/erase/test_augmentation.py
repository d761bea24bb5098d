"""Φ keeps what an image is, depends on its generator alone, and is nothing at strength zero."""

from __future__ import annotations

import pytest
import torch
from linear import images

from afuic.erase.augment import Augmentation, medical
from afuic.rng import torch_stream

NOTHING = Augmentation(shift=0, intensity=0, blur=0, occlusion=0, flip=False)


@pytest.mark.parametrize("shape", [(5, 3, 28, 28), (5, 1, 8, 8), (1, 3, 9, 9)])
def test_shape_and_range_are_kept(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape, generator=torch_stream(0)) * 2 - 1
    for seed in range(20):
        y = medical(Augmentation(shift=0.5, intensity=1, blur=1, occlusion=0.75))(x, torch_stream(seed))
        assert y.shape == x.shape
        assert y.abs().max() <= 1


def test_the_generator_decides() -> None:
    x, phi = images(0, side=28), medical(Augmentation())
    assert torch.equal(phi(x, torch_stream(3)), phi(x, torch_stream(3)))
    assert not torch.equal(phi(x, torch_stream(3)), phi(x, torch_stream(4)))


def test_at_zero_strengths_it_is_the_identity() -> None:
    x = images(0, side=28)
    assert torch.equal(medical(NOTHING)(x, torch_stream(0)), x)


def test_the_input_is_left_alone() -> None:
    x = images(0, side=28)
    before = x.clone()
    medical(Augmentation(occlusion=0.75, blur=1))(x, torch_stream(0))
    assert torch.equal(x, before)


def test_a_flip_mirrors_whole_images() -> None:
    x = images(0, side=4)
    y = medical(NOTHING.model_copy(update={"flip": True}))(x, torch_stream(0))
    kinds = {
        ("kept" if torch.equal(a, b) else "mirrored" if torch.equal(a, b.flip(-1)) else "?") for a, b in zip(x, y, strict=True)
    }
    assert kinds == {"kept", "mirrored"}


def test_a_blur_keeps_a_flat_image_and_averages_a_dot() -> None:
    blur = medical(NOTHING.model_copy(update={"blur": 1.0}))
    flat, dot = torch.full((1, 1, 8, 8), 0.5), torch.zeros(1, 1, 8, 8)
    dot[0, 0, 4, 4] = 0.9
    assert torch.allclose(blur(flat, torch_stream(0)), flat)
    # 0.9 spread over 3·3 pixels is 0.1 each
    assert torch.allclose(blur(dot, torch_stream(0))[0, 0, 3:6, 3:6], torch.full((3, 3), 0.1))


def test_an_occlusion_is_grey_and_no_larger_than_asked() -> None:
    x = images(0, side=28)
    for seed in range(10):
        y = medical(NOTHING.model_copy(update={"occlusion": 0.25}))(x, torch_stream(seed))
        changed = (y != x).any(1)
        assert changed[0].sum() <= (28 * 0.25) ** 2
        if changed[0].any():
            assert torch.allclose(y[0, 0][changed[0]], x[0].mean())


def test_a_shift_moves_and_repeats_the_edge() -> None:
    x = torch.linspace(-1, 1, 10).expand(1, 1, 10, 10)
    for seed in range(10):
        y = medical(NOTHING.model_copy(update={"shift": 0.2}))(x, torch_stream(seed))
        assert (y.diff(dim=-1) >= -1e-6).all()
        assert abs(float(y.mean() - x.mean())) <= 2 * 2 / 9 + 1e-6
