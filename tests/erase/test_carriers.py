"""What is taken out of an update, and what is not."""

from __future__ import annotations

import pytest
import torch

from afuic.erase.carriers import Carriers, admit
from afuic.erase.direction import without_return


def vector(*numbers: float) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor(numbers, dtype=torch.float32)}


@pytest.mark.parametrize(
    ("step", "direction", "expected"),
    [
        # ⟨[3, 4], [2, 0]⟩/⟨[2, 0], [2, 0]⟩ = 6/4; [3, 4] − 1.5·[2, 0] = [0, 4]
        ((3.0, 4.0), (2.0, 0.0), [0.0, 4.0]),
        ((-3.0, 4.0), (2.0, 0.0), [-3.0, 4.0]),  # moving away stays
        ((0.0, 4.0), (2.0, 0.0), [0.0, 4.0]),  # moving across stays
        ((3.0, 4.0), (0.0, 0.0), [3.0, 4.0]),  # nothing was contributed
        # ⟨[1, 3], [1, 1]⟩/2 = 2; [1, 3] − 2·[1, 1] = [−1, 1]
        ((1.0, 3.0), (1.0, 1.0), [-1.0, 1.0]),
    ],
)
def test_movement_back_is_taken_out(step: tuple[float, ...], direction: tuple[float, ...], expected: list[float]) -> None:
    assert without_return(vector(*step), [vector(*direction)])["w"].tolist() == pytest.approx(expected)


def test_directions_one_after_the_other() -> None:
    # along [1, 0]: [2, 3] → [0, 3]; along [1, 1]: 3/2, so [0, 3] − 1.5·[1, 1] = [−1.5, 1.5]
    out = without_return(vector(2, 3), [vector(1, 0), vector(1, 1)])
    assert out["w"].tolist() == [-1.5, 1.5]


def test_policies() -> None:
    update, directions = vector(3, 4), [vector(2, 0)]
    assert admit(Carriers(policy="keep"), update, directions) == update
    assert admit(Carriers(policy="damp", factor=0.25), update, directions)["w"].tolist() == [0.75, 1.0]  # type: ignore[index]
    assert admit(Carriers(policy="project"), update, directions)["w"].tolist() == [0.0, 4.0]  # type: ignore[index]
    assert admit(Carriers(policy="drop"), update, directions) is None
