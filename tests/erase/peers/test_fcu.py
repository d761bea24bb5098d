"""FCU: the contrast and a step on it by hand, the fusion of spectra by hand and beside sums written out."""

from __future__ import annotations

import cmath
import math
from dataclasses import replace

import pytest
import torch
from rounds_driver import TARGET, drive, pictures, products, sends, values, vector, view_of

from afuic.erase.peers.fcu import METHOD, SEARCH, Options, Unlearning, contrast, fused
from afuic.erase.peers.local import Steps
from afuic.erase.rounds import LocalTraining, Site
from afuic.rng import torch_stream

ADAM = Steps(steps=1, batch=4, lr=0.1, optimizer="adam")


def site(features: bool = True) -> Site:
    """Two features (w₁x₁, w₂x₂) of the image (1, 1); the downgraded model is (1, −1)."""
    return Site(
        forward=products if not features else lambda params, images: torch.zeros(len(images), 2) * params["w"].sum(),
        train=lambda start, images, steps, generator: {"w": torch.zeros_like(start["w"])},
        initial=lambda generator: {"w": torch.tensor([[1.0, -1.0]])},
        forget=pictures((1, 1)),
        features=products if features else None,
    )


def test_the_contrast_by_hand() -> None:
    h, downgraded = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, -1.0]])
    # Cosines 1 with the original and 0 with the downgraded, both over ½: ln(1 + e^(2 − 0))
    assert float(contrast(h, h, downgraded)) == pytest.approx(math.log(1 + math.exp(2)))
    assert float(contrast(h, downgraded, h)) == pytest.approx(math.log(1 + math.exp(-2)))


@pytest.mark.parametrize("features", [True, False], ids=["features", "logits"])
def test_a_step_goes_towards_the_downgraded_model(features: bool) -> None:
    job = Unlearning(stages=1, steps=ADAM, ratio=0.5, low="original")
    delta = job.run(site(features), {"w": torch.tensor([[1.0, 1.0]])}, (), torch_stream(0))
    # At h = h₀ the cosine with h₀ is at its top; that with (1, −1) has the gradient (½, −½): Adam's first step is (0.1, −0.1).
    # A matrix of one row has no centre to be mixed, so nothing of it is the original's
    assert values(delta) == pytest.approx([0.1, -0.1], abs=1e-6)


def test_the_amplitudes_are_one_models_and_the_phases_the_others() -> None:
    original, unlearned = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    # The original's spectrum is 2 everywhere: phases 0. The unlearned one's is ±1: amplitudes 1. Together 1 everywhere
    out = fused({"w": unlearned}, {"w": original}, 1.0, "unlearned")["w"]
    assert out.flatten().tolist() == pytest.approx([1, 0, 0, 0], abs=1e-6)
    # The other way round: amplitudes 2 with the phases of the unlearned one
    out = fused({"w": unlearned}, {"w": original}, 1.0, "original")["w"]
    assert out.flatten().tolist() == pytest.approx([0, 2, 0, 0], abs=1e-6)


def test_without_a_centre_one_model_is_all_that_is_left() -> None:
    unlearned, original = ({"w": torch.randn(5, 6, generator=torch_stream(n)), "b": torch.full((3,), n * 1.0)} for n in (1, 2))
    for low, same in (("unlearned", original), ("original", unlearned)):
        out = fused(unlearned, original, 0.0, low)
        assert torch.allclose(out["w"], same["w"], atol=1e-6)
        assert out["b"].tolist() == [2, 2, 2]


@pytest.mark.parametrize("shape", [(4, 6), (3, 2, 3, 3), (2, 3, 5)])
def test_a_model_with_itself_is_itself(shape: tuple[int, ...]) -> None:
    model = {"w": torch.randn(shape, generator=torch_stream(3))}
    assert torch.allclose(fused(model, model, 0.7, "unlearned")["w"], model["w"], atol=1e-6)


def spectrum(matrix: torch.Tensor) -> list[list[complex]]:
    """The two-dimensional Fourier transform as its double sum."""
    rows, columns = matrix.shape
    return [
        [
            sum(
                float(matrix[i, j]) * cmath.exp(-2j * cmath.pi * (i * u / rows + j * v / columns))
                for i in range(rows)
                for j in range(columns)
            )
            for v in range(columns)
        ]
        for u in range(rows)
    ]


def slow(unlearned: torch.Tensor, original: torch.Tensor, ratio: float) -> list[list[float]]:
    """The fusion with all sums written out. Frequency u of n counts as low if, shifted to (u + n // 2) mod n, it is in the centre."""
    rows, columns = original.shape

    def centre(u: int, side: int) -> bool:
        half, middle = math.floor(side * ratio / 2), side // 2
        return middle - half <= (u + middle) % side < middle + half

    inner, outer = spectrum(unlearned), spectrum(original)
    mixed = [
        [
            (abs(inner[u][v]) if centre(u, rows) and centre(v, columns) else abs(outer[u][v]))
            * cmath.exp(1j * cmath.phase(outer[u][v]))
            for v in range(columns)
        ]
        for u in range(rows)
    ]
    return [
        [
            sum(
                mixed[u][v] * cmath.exp(2j * cmath.pi * (i * u / rows + j * v / columns))
                for u in range(rows)
                for v in range(columns)
            ).real
            / (rows * columns)
            for j in range(columns)
        ]
        for i in range(rows)
    ]


@pytest.mark.parametrize("ratio", [0.5, 0.7, 1.0])
def test_the_fusion_is_that_of_the_sums_written_out(ratio: float) -> None:
    unlearned, original = (torch.randn(4, 5, generator=torch_stream(n)) for n in (4, 5))
    out = fused({"w": unlearned}, {"w": original}, ratio, "unlearned")["w"]
    assert torch.allclose(out, torch.tensor(slow(unlearned, original, ratio)), atol=1e-5)
    assert not torch.allclose(out, original, atol=1e-3)


def test_a_kernel_is_laid_out_with_inputs_and_rows_down_and_columns_and_outputs_across() -> None:
    unlearned, original = (torch.randn(3, 2, 2, 2, generator=torch_stream(n)) for n in (6, 7))
    out = fused({"w": unlearned}, {"w": original}, 0.7, "unlearned")["w"]
    flat = [
        torch.tensor([[float(w[o, i, r, c]) for c in range(2) for o in range(3)] for i in range(2) for r in range(2)])
        for w in (unlearned, original)
    ]
    expected = slow(flat[0], flat[1], 0.7)
    got = [[float(out[o, i, r, c]) for c in range(2) for o in range(3)] for i in range(2) for r in range(2)]
    assert torch.allclose(torch.tensor(got), torch.tensor(expected), atol=1e-5)


def test_the_others_recover_from_the_targets_model() -> None:
    sites = {TARGET: site(), "b": sends(1, 0), "c": sends(0, 1)}
    options = Options(stages=1, local=ADAM, ratio=0.5, low="original", recover_rounds=2)
    run = drive(options, replace(view_of(1, 1), model={"w": torch.tensor([[1.0, 1.0]])}), sites)
    # (1.1, 0.9) and twice the mean of (1, 0) and (0, 1)
    assert values(run.model) == pytest.approx([2.1, 1.9], abs=1e-6)
    recovery = [("b", LocalTraining), ("c", LocalTraining)]
    assert run.orders() == [[("a", Unlearning)], recovery, recovery]
    assert run.rounds[0].orders[0].needed


def test_nothing_to_forget_leaves_the_model_as_it_is() -> None:
    job = Unlearning(stages=2, steps=ADAM, ratio=0.5, low="unlearned")
    assert values(job.run(sends(1, 0), vector(1, 2), (), torch_stream(0))) == [0, 0]


def test_the_clock_is_charged_for_two_more_forward_passes() -> None:
    job = Unlearning(stages=10, steps=Steps(steps=10, batch=64), ratio=0.7, low="unlearned")
    assert job.passes(1000, 0) == pytest.approx(6400 * 5 / 3)


def test_there_are_six_settings_to_search_the_first_the_defaults() -> None:
    assert len(SEARCH) == 6
    assert METHOD.configure(SEARCH[0]).options == Options()
    assert len({METHOD.configure(setting).options.model_dump_json() for setting in SEARCH}) == 6
