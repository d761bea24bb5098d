"""Replies that cannot be right: each is held under its own reason, before or instead of becoming an event."""

from __future__ import annotations

import json
import struct

import pytest
import torch

from afuic.engines.live.gate import REASON, Gate, Held, plain
from afuic.engines.live.messages import REPLY_BYTES, Answer, pack_answer
from afuic.engines.live.open import Open, take_up
from afuic.engines.live.transport import Reply
from afuic.erase.scrub import Scrub
from afuic.params import Params
from afuic.protocol import State, initial
from afuic.protocol.effects import Applied, Train, Unlearn
from afuic.protocol.events import UpdateArrived
from afuic.protocol.requests import Phase, Record
from afuic.settings import Gate as Limits

MODEL: Params = {"w": torch.zeros(2, 2)}
IMAGES = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def predict(params: Params, images: torch.Tensor) -> torch.Tensor:
    """A linear classifier of two classes."""
    return images @ params["w"]


GATE = Gate(Limits(), predict, IMAGES)


def reply(answer: Answer, task: str = "a/0") -> Reply:
    return Reply(task, "a", *pack_answer(answer))


def reason(found: Answer | Held) -> str:
    assert isinstance(found, Held)
    return found.reason


def test_an_update_like_the_model_passes() -> None:
    found = GATE.read(reply(Answer("a/0", {"w": torch.ones(2, 2)})), MODEL)
    assert isinstance(found, Answer)
    assert found.delta is not None
    assert torch.equal(found.delta["w"], torch.ones(2, 2))


@pytest.mark.parametrize(
    ("delta", "why"),
    [
        ({"w": torch.zeros(3, 2)}, "'w' is (3, 2) torch.float32, the model has (2, 2)"),
        ({"w": torch.zeros(2, 2, dtype=torch.float64)}, "float64"),
        ({"v": torch.zeros(2, 2)}, "parameter names differ"),
        ({"w": torch.tensor([[float("nan"), 0.0], [0.0, 0.0]])}, "NaN or infinite"),
    ],
)
def test_a_wrong_shape_type_name_or_nan_is_held(delta: Params, why: str) -> None:
    assert why in reason(GATE.read(reply(Answer("a/0", delta)), MODEL))


def test_ten_gigabytes_that_a_header_declares_are_never_allocated() -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2_500_000_000], "data_offsets": [0, 10_000_000_000]}}).encode()
    tensors = struct.pack("<Q", len(header)) + header + bytes(16)
    document, _ = pack_answer(Answer("a/0", MODEL))
    assert "not safetensors" in reason(GATE.read(Reply("a/0", "a", document, tensors), MODEL))


def test_more_bytes_than_any_model_has_are_not_even_parsed() -> None:
    document, _ = pack_answer(Answer("a/0", MODEL))
    assert "bytes of tensors" in reason(GATE.read(Reply("a/0", "a", document, bytes(100_000)), MODEL))


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"\x80\x04pickle", "not UTF-8"),
        (b"[]", "not in the format"),
        (b" " * (REPLY_BYTES + 1), "a document of"),
        (pack_answer(Answer("b/7", MODEL))[0], "says that it answers b/7"),
    ],
)
def test_a_document_that_is_none_or_answers_another_task_is_held(document: bytes, why: str) -> None:
    assert why in reason(GATE.read(Reply("a/0", "a", document, pack_answer(Answer("a/0", MODEL))[1]), MODEL))


def test_the_bound_is_a_multiple_of_the_usual_norm_once_there_is_one() -> None:
    assert GATE.bound(None, MODEL) == 1000.0  # gate.first_norm
    assert GATE.bound(3.0, MODEL) == 60.0


def test_where_training_has_settled_a_tenth_of_the_models_norm_is_still_let_in() -> None:
    model = {"w": torch.full((2, 2), 5.0)}  # norm 10
    assert GATE.bound(0.001, model) == 1.0


def test_a_million_times_the_usual_norm_is_held_and_twice_is_not() -> None:
    task = Train("a/0", "a", MODEL, 0, 0)
    usual = 1.0
    assert GATE.objection(task, {"w": torch.full((2, 2), 1.0)}, usual, initial(MODEL)) is None  # norm 2
    held = GATE.objection(task, {"w": torch.full((2, 2), 1e6)}, usual, initial(MODEL))
    assert held is not None
    assert held.reason == "norm 2e+06 is above the bound of 20 that the usual norms give (gate.norm_factor 20)"
    assert held.digest is not None
    assert held.norm == 2e6


def unlearning(size: float, bound: float) -> tuple[Unlearn, State]:
    """An unlearning task of a client that contributed a norm of ``size``, of which its result may have ``bound`` times."""
    from afuic.erase.method import Plan

    spec = Scrub(bound=bound)
    plan = Plan(merge="rebase", scrub=spec, scrub_first=True)
    record = Record("r", "a", 1, None, 0.0, Phase.SCRUBBING, plan, (), 0, 0, size=size)
    state = initial(MODEL)
    return Unlearn("a/1", "r", "a", MODEL, None, 2, False, 1, spec), State(**{**vars(state), "requests": {"r": record}})


def test_an_unlearning_result_that_wrecks_the_calibration_set_is_held() -> None:
    task, state = unlearning(size=20.0, bound=1.0)
    wreck = {"w": torch.tensor([[8.0, 0.0], [0.0, -8.0]])}
    held = GATE.objection(task, wreck, 1.0, state)
    # both images go to one class with p = 1/(1+e^-8); KL((1/2, 1/2) ‖ (p, 1-p)) = -ln 2 - (ln p + ln(1-p))/2 = 3.31
    assert held is not None
    assert "by 3.31 nats, more than 1" in held.reason


def test_what_the_protocol_would_shrink_is_judged_as_shrunk() -> None:
    task, state = unlearning(size=1.0, bound=1.0)
    wreck = {"w": torch.tensor([[8.0, 0.0], [0.0, -8.0]])}  # norm 11.3, let in with norm 1: 0.06 nats
    assert GATE.objection(task, wreck, 1.0, state) is None


def test_texts_from_outside_are_made_fit_for_a_record() -> None:
    assert plain("a\nb\x00\x1b[31m\u202e c") == "a b\\x00\\x1b[31m\\u202e c"
    assert len(plain("x" * 10_000)) == REASON


def test_the_usual_norm_is_the_largest_median_there_has_been() -> None:
    """Or nobody's update would enter any more after an erasure, once training had settled to nothing."""
    state, open_ = initial(MODEL), Open()
    usual = []
    for number, size in enumerate((5.0, 3.0, 4.0, 2.0, 0.0, 0.01, *(0.01,) * 60)):
        event = UpdateArrived(float(number), f"a/{number}", "a", {"w": torch.tensor([[size, 0.0], [0.0, 0.0]])})
        open_ = take_up(open_, event, (Applied(f"a/{number}", "a", 0, False),), state, 1.0)
        usual.append(open_.usual)
    assert usual[:5] == [None] * 5  # four, of which one says nothing
    assert usual[5:] == [3.0] * 61  # of 5, 3, 4, 2 and 0.01, and less ever after
    assert GATE.bound(open_.usual, MODEL) == 60.0
