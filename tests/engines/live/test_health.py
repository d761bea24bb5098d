"""A hospital whose tasks fail is seen to fail, and why; how the model fares is measured beside the loop."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from afuic.engines.live import building
from afuic.engines.live.calibrating import Process
from afuic.engines.live.health import EVERY, Checkup, Finding, Probe, Yardstick
from afuic.engines.live.messages import Answer, pack_answer
from afuic.engines.live.transport import Reply
from afuic.errors import ConfigError, DataError
from afuic.params import Params
from afuic.protocol import State, initial
from afuic.settings import Images
from afuic.store.rows import ClientRow
from tests.engines.live.conftest import Live, Make

BAD = "hospital-1"
MODEL: Params = {"w": torch.zeros(2, 2)}
SURE: Params = {"w": torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(3.0)]])}
IMAGES, NONE = torch.eye(2), (torch.empty(0, 2), torch.empty(0, dtype=torch.int64))


def predict(params: Params, images: torch.Tensor) -> torch.Tensor:
    return images @ params["w"]


def row(found: Live, name: str = BAD) -> ClientRow:
    return next(client for client in found.book.status().clients if client.name == name)


def refusing(reply: Reply) -> Reply:
    """The hospital's images are of another size, which its desk says in its own words, with something hidden in them."""
    if reply.client != BAD:
        return reply
    return replace(
        reply, document=pack_answer(Answer(reply.task, failed="images are 64\u202e × 64" + "!" * 1000))[0], tensors=b""
    )


def test_a_hospital_whose_tasks_fail_is_failing_and_says_why(live: Make) -> None:
    found = live(spoil=refusing)
    found.turns(1)
    found.until(lambda: row(found).failures >= 3)
    seen = row(found)
    assert (seen.state, seen.online, seen.last_at) == ("failing", True, None)
    assert seen.failure is not None
    assert seen.failure.startswith("images are 64\\u202e × 64!")
    assert len(seen.failure) <= 500
    assert seen.failed_at == pytest.approx(found.hands.wall, abs=10.0)
    assert row(found, "hospital-0").state == "online"
    assert row(found, "hospital-0").failures == 0
    found.driver.transport.spoil = lambda reply: reply  # type: ignore[attr-defined]
    found.until(lambda: row(found).failures == 0)
    assert row(found).state == "online"
    assert row(found).last_at is not None
    assert row(found).failure == seen.failure  # the last there was


def test_what_is_held_is_a_failure_of_its_hospital(live: Make) -> None:
    found = live(spoil=lambda reply: replace(reply, document=b"[" * 10_000) if reply.client == BAD else reply)
    found.turns(1)
    found.until(lambda: row(found).failures >= 1)
    assert row(found).failure == "message: nested deeper than 64 levels"
    found.turns(1)
    assert row(found).applied == 0


def test_one_that_left_while_it_failed_is_away(live: Make) -> None:
    found = live(spoil=refusing)
    found.turns(1)
    found.until(lambda: row(found).state == "failing")
    found.driver.transport.gone = lambda client: client == BAD  # type: ignore[attr-defined]
    found.until(lambda: not row(found).online)
    assert row(found).state == "away"


def test_loss_accuracy_and_change_are_those_computed_by_hand() -> None:
    stick = Yardstick(predict, IMAGES, (IMAGES, torch.tensor([0, 0])))
    first = stick.measure(Probe(0, MODEL, None))
    assert first == Finding(0.0, 0, pytest.approx(math.log(2)), 1.0, None)
    # one image's class has p = 3/4, the other's 1/4: the loss is -(ln 3/4 + ln 1/4)/2
    second = stick.measure(Probe(10, SURE, MODEL))
    assert second.loss == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)
    # KL((1/2, 1/2) ‖ (3/4, 1/4)) = -ln 2 - (ln 3/4 + ln 1/4)/2
    assert second.change == pytest.approx(-math.log(2) - (math.log(0.75) + math.log(0.25)) / 2)


def test_without_images_and_where_it_is_not_finite_nothing_is_said() -> None:
    assert Yardstick(predict, IMAGES[:0], NONE).measure(Probe(3, SURE, MODEL)) == Finding(0.0, 3)
    huge: Params = {"w": torch.tensor([[3e38, -3e38], [0.0, 0.0]])}
    assert Yardstick(predict, 10 * IMAGES, NONE).measure(Probe(3, huge, MODEL)).change is None


def test_every_tenth_version_is_measured_and_one_at_a_time() -> None:
    def at(version: int) -> State:
        return replace(initial(MODEL), version=version)

    checkup = Checkup(None)
    (first,) = checkup.due(at(0))
    assert checkup.due(at(50)) == [first]
    checkup.over()
    assert checkup.due(at(EVERY - 1)) == []
    (second,) = checkup.due(at(EVERY + 3))
    assert (second.version, second.before) == (EVERY + 3, MODEL)
    assert Checkup(7).due(at(7 + EVERY))[0].before is None
    assert Checkup(7).due(at(8)) == []


def test_the_store_keeps_the_series_and_status_shows_its_end(live: Make, tmp_path: Path) -> None:
    found = live(settings={"validation": labelled(tmp_path)})
    found.until(lambda: len(found.book.measures()) >= 3)
    rows = found.book.status().measures
    assert [r.version for r in rows] == sorted(r.version for r in found.book.measures())
    assert all(later.version - earlier.version >= EVERY for earlier, later in itertools.pairwise(rows))
    assert all(r.loss is not None and r.loss > 0 and r.accuracy is not None for r in rows)
    assert rows[0].change is None
    assert all(r.change is not None and r.change >= 0 for r in rows[1:])
    found.stop()
    found.start()
    assert found.book.status().measures == rows


def labelled(folder: Path, **arrays: np.ndarray) -> Path:  # type: ignore[type-arg]
    path = folder / "validation.npz"
    images = np.random.default_rng(0).integers(0, 255, (20, 28, 28, 1), dtype=np.uint8)
    np.savez(path, **({"images": images, "labels": np.zeros(20, dtype=np.int64)} | arrays))
    return path


def test_the_process_measures_too(live: Make, tmp_path: Path) -> None:
    found = live(settings={"validation": labelled(tmp_path)})
    process = Process(found.trial.settings)
    model = found.trial.worker.initial()
    try:
        ended: list[object] = []
        while not ended:
            ended = list(process.turn([Probe(4, model, model)], 1.5))
    finally:
        process.close()
    (result,) = ended
    assert isinstance(result, Finding)
    assert (result.t, result.version, result.change) == (1.5, 4, pytest.approx(0.0, abs=1e-6))
    assert result.loss is not None


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (np.zeros(19, dtype=np.int64), "do not fit"),
        (np.zeros(20), "do not fit"),
        (np.full(20, 9), "labels go from 9 to 9"),
        (np.full(20, -1), "labels go from -1 to -1"),
    ],
)
def test_labels_that_do_not_fit_are_told_at_the_start(tmp_path: Path, labels: np.ndarray, why: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(DataError, match=why):
        building.validation(labelled(tmp_path, labels=labels), Images(channels=1, class_names=("a", "b")))
    with pytest.raises(ConfigError, match="no such file"):
        building.validation(tmp_path / "none.npz", Images(channels=1, class_names=("a", "b")))
    assert len(building.validation(None, Images(channels=1, class_names=("a", "b")))[0]) == 0


def test_status_tells_it_in_words(live: Make, tmp_path: Path) -> None:
    from afuic.cli import telling

    found = live(settings={"validation": labelled(tmp_path)}, spoil=refusing)
    found.turns(1)
    found.until(lambda: row(found).failures >= 3 and len(found.book.measures()) >= 2)
    lines = telling.overview(found.book.status())
    (told,) = (line for line in lines if line.startswith(f"{BAD}: "))
    assert "tasks in a row failed, the last failure 20" in told
    assert "images are 64\\u202e × 64" in told
    assert sum("loss on the server's validation images" in line and "(version" in line for line in lines) == 1
    assert sum("change on the calibration images" in line for line in lines) == 1
    table = telling.clients(found.book.status())
    assert list(table.columns[1].cells) == ["online", "failing", "online"]
