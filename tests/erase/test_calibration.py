"""Healing and guarding on a linear model, against derivatives taken by hand."""

from __future__ import annotations

import math

import pytest
import torch
from linear import forward, images, model

from afuic.erase.augment import Augmentation, medical
from afuic.erase.calibrate import Calibration, _objective, calibrate, divergence
from afuic.params import digest, norm, sub
from afuic.rng import torch_stream


def identity(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return x


def negative(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return -x


def run(spec: Calibration, teachers: tuple[dict[str, torch.Tensor], ...], seed: int = 0) -> dict[str, torch.Tensor]:
    return calibrate(
        forward, model(1), teachers, images(0), spec, medical(Augmentation()), torch_stream(seed, "calibrate")
    ).model


def kl(teacher: dict[str, torch.Tensor], student: dict[str, torch.Tensor]) -> float:
    return float(divergence(forward(teacher, images(0)).softmax(1), forward(student, images(0))))


def test_divergence_of_two_coins() -> None:
    # KL([1/2, 1/2] ‖ [1/4, 3/4]) = ½·ln 2 + ½·ln(2/3) = ½·ln(4/3); the second image agrees: the mean is half of it
    target = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    logits = torch.tensor([[0.25, 0.75], [0.25, 0.75]]).log()
    assert float(divergence(target, logits)) == pytest.approx(math.log(4 / 3) / 4)


@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_teacher_is_approached(augmented: bool, optimizer: str) -> None:
    teacher, spec = model(2), Calibration(steps=60, batch=16, lr=0.05, gain=None, optimizer=optimizer, augmented=augmented)
    assert kl(teacher, run(spec, (teacher,))) < 0.5 * kl(teacher, model(1))


def test_teachers_are_averaged_in_probability() -> None:
    spec = Calibration(steps=400, batch=40, lr=0.05, gain=None)
    teachers = (model(2), model(3))
    out = forward(run(spec, teachers), images(0)).softmax(1)
    mean = sum(forward(t, images(0)).softmax(1) for t in teachers) / 2
    single = forward(model(2), images(0)).softmax(1)
    assert (out - mean).abs().mean() < 0.5 * (out - single).abs().mean()


def test_the_student_its_teacher_and_the_images_are_left_alone() -> None:
    teacher, student, data = model(2), model(1), images(0)
    before = digest(teacher), digest(student), data.clone()
    calibrate(forward, student, (teacher,), data, Calibration(steps=3), identity, torch_stream(0))
    assert (digest(teacher), digest(student)) == before[:2]
    assert torch.equal(data, before[2])


def test_the_generator_decides_everything() -> None:
    spec = Calibration(steps=5, batch=8, invariance=0.5, augmented=True)
    assert digest(run(spec, (model(2),))) == digest(run(spec, (model(2),)))
    assert digest(run(spec, (model(2),))) != digest(run(spec, (model(2),), seed=1))


def test_without_teacher_and_invariance_nothing_is_learned() -> None:
    assert norm(sub(run(Calibration(steps=3), ()), model(1))) == 0


def test_consistency_under_the_identity_proves_nothing() -> None:
    spec = Calibration(steps=5, batch=40, distil=0.0, invariance=1.0, optimizer="sgd", lr=0.1)
    out = calibrate(forward, model(1), (), images(0), spec, identity, torch_stream(0)).model
    assert norm(sub(out, model(1))) < 1e-5


def test_the_first_argument_of_the_invariance_has_no_gradient() -> None:
    leaf = {k: v.requires_grad_() for k, v in model(1).items()}
    x = images(0, count=4)
    spec = Calibration(distil=0.0, invariance=2.0)
    _objective(forward, leaf, x, None, spec, negative, torch_stream(0)).backward()  # type: ignore[no-untyped-call]
    # d/dlogits KL(p ‖ softmax z) = softmax z − p with p held fixed; z = W·(−x) + b, so
    # dL/dW = 2/n·Σ (q − p)·(−x)ᵀ and dL/db = 2/n·Σ (q − p)
    with torch.no_grad():
        p, q = forward(leaf, x).softmax(1), forward(leaf, -x).softmax(1)
        by_hand_w = 2 / 4 * (q - p).T @ (-x.flatten(1))
        by_hand_b = 2 / 4 * (q - p).sum(0)
    assert torch.allclose(leaf["w"].grad, by_hand_w, atol=1e-6)
    assert torch.allclose(leaf["b"].grad, by_hand_b, atol=1e-6)
    free = {k: v.detach().requires_grad_() for k, v in leaf.items()}
    anchor = forward(free, x).softmax(1)
    (2 * divergence(anchor, forward(free, -x))).backward()  # type: ignore[no-untyped-call]
    assert not torch.allclose(free["w"].grad, by_hand_w, atol=1e-3)


def test_distillation_has_the_gradient_of_a_cross_entropy() -> None:
    leaf, x = {k: v.requires_grad_() for k, v in model(1).items()}, images(0, count=4)
    target = forward(model(2), x).softmax(1)
    _objective(forward, leaf, x, target, Calibration(distil=3.0), identity, torch_stream(0)).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        by_hand = 3 / 4 * (forward(leaf, x).softmax(1) - target).T @ x.flatten(1)
    assert torch.allclose(leaf["w"].grad, by_hand, atol=1e-6)


def test_few_images_are_enough() -> None:
    out = calibrate(forward, model(1), (model(2),), images(0, count=1), Calibration(steps=3), identity, torch_stream(0))
    assert out.model.keys() == {"w", "b"}
    assert (out.steps, out.gap) == (3, None)


def test_the_cost_in_passes() -> None:
    # forward and backward 1, the teacher's forward a third, the augmented student's own pass 1
    # 10 steps of 4 images: 40 passes; a teacher's forward of each of the 12 images once: 12 / 3; under Φ anew in each step: 40 / 3
    plain = Calibration(steps=10, batch=4, distil=1, invariance=0, gain=None, turned=False)
    assert plain.passes(12, 1, 10) == pytest.approx(40 + 12 / 3)
    assert plain.passes(12, 5, 10) == pytest.approx(40 + 5 * 12 / 3)
    assert plain.passes(1000, 1, 10) == pytest.approx(40 + 40 / 3)
    assert plain.passes(2, 1, 10) == pytest.approx(20 + 2 / 3)
    assert plain.model_copy(update={"augmented": True}).passes(12, 1, 10) == pytest.approx(40 + 40 / 3)
    assert plain.model_copy(update={"distil": 0, "invariance": 1}).passes(12, 1, 10) == 80
    # turned, 3 images have 24 views, of which 20 are used by 5 steps of 4: the teacher sees each of these
    turned = plain.model_copy(update={"turned": True})
    assert turned.passes(3, 1, 5) == pytest.approx(20 + 20 / 3)
    assert turned.passes(3, 1, 10) == pytest.approx(40 + 24 / 3)


def test_the_cost_of_looking_at_the_gap() -> None:
    # 200 images: 25 held out. 100 steps of 4, the teacher's forward of all 200 once, a look at the start and after 50 and 100 steps
    spec = Calibration(steps=500, batch=4, gain=0.05, check=50, turned=False)
    assert spec.held_out(200) == 25
    assert spec.passes(200, 1, 100) == pytest.approx(400 + (175 + 25 + 3 * 25) / 3)


@pytest.mark.parametrize(("count", "held"), [(31, 0), (32, 16), (200, 25), (856, 107), (5000, 128)])
def test_an_eighth_is_held_out_within_limits(count: int, held: int) -> None:
    assert Calibration().held_out(count) == held
    assert Calibration(gain=None).held_out(count) == 0
    assert Calibration(distil=0).held_out(count) == 0


def test_it_stops_when_a_stretch_no_longer_helps() -> None:
    data, spec = images(0, count=64), Calibration(steps=5000, batch=16, lr=0.05, check=20, gain=0.05, enough=0.001)
    done = calibrate(forward, model(1), (model(2),), data, spec, identity, torch_stream(0))
    assert done.gap is not None
    before, after = done.gap
    assert 40 <= done.steps < 5000
    assert done.steps % 20 == 0
    assert after < 0.5 * before
    held = data[: spec.held_out(64)]
    assert after == pytest.approx(float(divergence(forward(model(2), held).softmax(1), forward(done.model, held))), rel=1e-5)
    sooner = spec.model_copy(update={"gain": 0.4})
    assert calibrate(forward, model(1), (model(2),), data, sooner, identity, torch_stream(0)).steps < done.steps


def test_the_more_is_missing_the_longer_it_heals() -> None:
    teacher, spec, data = model(2), Calibration(lr=0.05, check=10), images(0, count=64)
    steps = []
    for distance in (0.0, 0.1, 1.0, 4.0):
        student = {name: tensor + distance * (model(1)[name] - tensor) for name, tensor in teacher.items()}
        steps.append(calibrate(forward, student, (teacher,), data, spec, identity, torch_stream(0)).steps)
    assert steps[0] == 0
    assert steps == sorted(steps)
    assert steps[-1] > steps[1]


def test_the_images_held_out_teach_nothing() -> None:
    data, spec = images(0, count=64), Calibration(steps=20, check=20)
    other = torch.cat([images(5, count=64)[:16], data[16:]])
    first, second = (calibrate(forward, model(1), (model(2),), x, spec, identity, torch_stream(0)) for x in (data, other))
    assert digest(first.model) == digest(second.model)
    assert first.gap != second.gap


def test_classes_left_out_are_not_imitated_and_the_others_are() -> None:
    teacher, spec = model(2), Calibration(steps=400, batch=40, lr=0.05, gain=None)
    student = calibrate(
        forward, model(1), (teacher,), images(0), spec, medical(Augmentation()), torch_stream(0, "calibrate"), (1,)
    ).model
    out, taught = (forward(m, images(0)).softmax(1) for m in (student, teacher))
    assert taught[:, 1].mean() > 0.1
    assert out[:, 1].mean() < 0.02
    taught[:, 1] = 0
    assert (out - taught / taught.sum(1, keepdim=True)).abs().mean() < 0.05


@pytest.mark.parametrize("seed", range(12))
def test_the_gap_of_a_model_to_itself_is_not_below_zero(seed: int) -> None:
    teacher = model(seed)
    done = calibrate(
        forward, teacher, (teacher,), images(seed, 200), Calibration(), medical(Augmentation()), torch_stream(seed)
    )
    assert done.gap is not None
    assert min(done.gap) >= 0
