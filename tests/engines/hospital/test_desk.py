"""Results are computed once and answered until they are received; what does not belong here is refused in a sentence."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from afuic.engines.hospital import outbox
from afuic.engines.hospital.desk import Desk
from afuic.engines.live.messages import Assignment
from afuic.erase.rounds import LocalTraining
from afuic.params import Params
from afuic.store.files import holding
from tests.engines.hospital.conftest import NAME, Clinic, order, train, unlearn, verify


def kept(clinic: Clinic) -> list[Path]:
    return sorted((clinic.site.state / "outbox").iterdir())


def test_the_same_task_is_answered_byte_for_byte_without_work(clinic: Clinic) -> None:
    message = clinic.message(train(clinic.model))
    first = clinic.desk.perform(*message)
    shown = len(clinic.shown)
    assert clinic.desk.perform(*message) == first
    assert Desk(clinic.site).perform(*message) == first
    assert len(clinic.shown) == shown > 0
    assert [path.stat().st_mode & 0o777 for path in kept(clinic)] == [0o600, 0o600]


def test_a_task_of_the_same_name_from_another_model_is_another_task(clinic: Clinic) -> None:
    first = clinic.ask(train(clinic.model)).delta
    other = {name: tensor + 0.01 for name, tensor in clinic.model.items()}
    second = clinic.ask(train(other)).delta
    assert first is not None
    assert second is not None
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_what_was_received_is_deleted(clinic: Clinic) -> None:
    clinic.ask(train(clinic.model))
    assert len(kept(clinic)) == 2
    clinic.ask(train(clinic.model, task=f"{NAME}/8"), received=(f"{NAME}/3", "never/done"))
    assert len(kept(clinic)) == 2
    clinic.ask(verify(clinic.model, 0, True), received=(f"{NAME}/8",))
    assert [path.suffix for path in kept(clinic)] == [".json", ".safetensors"]


def test_a_server_that_confirms_nothing_does_not_fill_the_disk(clinic: Clinic) -> None:
    for number in range(outbox.KEPT + 3):
        clinic.ask(verify(clinic.model, 0, True), received=()) if number == 0 else clinic.desk.outbox.keep(
            f"t/{number}", "basis", b"{}", b""
        )
    assert len(kept(clinic)) == 2 * outbox.KEPT


@pytest.mark.parametrize("damage", [
    lambda document, tensors: tensors.write_bytes(tensors.read_bytes()[:-1]),
    lambda document, tensors: tensors.unlink(),
    lambda document, tensors: document.write_bytes(document.read_bytes()[:40]),
    lambda document, tensors: document.write_text("[]"),
    lambda document, tensors: document.unlink(),
])  # fmt: skip
def test_a_damaged_result_is_computed_again(clinic: Clinic, damage: Callable[[Path, Path], None]) -> None:
    message = clinic.message(train(clinic.model))
    first = clinic.desk.perform(*message)
    damage(*kept(clinic))
    assert clinic.desk.perform(*message) == first


CRASH = """
    import os, signal, sys
    from pathlib import Path
    from afuic import settings
    from afuic.engines.hospital.desk import Desk
    from afuic.engines.hospital.outbox import Outbox

    class Dying(Outbox):
        def keep(self, *result):
            super().keep(*result)
            os.kill(os.getpid(), signal.SIGKILL)

    folder = Path(sys.argv[1])
    desk = Desk(settings.load(folder / "hospital.toml", settings.Site))
    desk.outbox = Dying(desk.outbox.folder)
    desk.perform((folder / "document").read_bytes(), (folder / "tensors").read_bytes())
"""


def test_a_crash_between_keeping_and_answering_loses_nothing(clinic: Clinic, tmp_path: Path) -> None:
    import tomli_w

    site, message = clinic.site, clinic.message(train(clinic.model))
    (tmp_path / "hospital.toml").write_text(tomli_w.dumps(_toml(site.model_dump(mode="json"))))
    (tmp_path / "document").write_bytes(message[0])
    (tmp_path / "tensors").write_bytes(message[1])
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(CRASH), str(tmp_path)], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    answer = clinic.read(clinic.desk.perform(*message))
    expected = clinic.lab.worker().train(train(clinic.model))
    assert clinic.shown == []
    assert answer.delta is not None
    assert all(torch.equal(answer.delta[name], expected[name]) for name in expected)


def _toml(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _toml(part) for key, part in value.items() if part is not None}
    return [_toml(part) for part in value] if isinstance(value, list) else value


def test_a_result_that_cannot_be_kept_is_answered(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afuic.store.files.os.fsync", _full)
    assert clinic.ask(train(clinic.model)).delta is not None
    assert kept(clinic) == []


def _full(handle: int) -> None:
    raise OSError(28, "No space left on device")


def test_one_desk_works_at_a_time(clinic: Clinic) -> None:
    with holding(clinic.site.state / "outbox"):
        assert "another process of the hospital is at work" in str(clinic.ask(train(clinic.model)).failed)
    assert clinic.ask(train(clinic.model)).delta is not None


def test_other_settings_are_refused(clinic: Clinic) -> None:
    answer = clinic.ask(train(clinic.model), agreed="sha256:" + "0" * 64)
    assert answer.task == f"{NAME}/3"
    assert "the settings of 'hospital-0' differ from the server's" in str(answer.failed)
    assert clinic.shown == []


def _one_less(model: Params) -> Params:
    return dict(list(model.items())[1:])


def _nan(model: Params) -> Params:
    first = next(iter(model))
    return {**model, first: model[first] * float("nan")}


def _job(model: Params) -> Assignment:
    return replace(order(model), job="steal")  # type: ignore[arg-type]


WRONG: dict[str, tuple[Callable[[Params], Assignment], str]] = {
    "another's": (lambda m: replace(train(m), client="hospital-1"), "is for 'hospital-1' and came to 'hospital-0'"),
    "the server's": (lambda m: replace(order(m), client=""), "is for ''"),
    "no name": (lambda m: train(m, task=""), "not short texts"),
    "a long name": (lambda m: train(m, task="x" * 201), "not short texts"),
    "a number for a name": (lambda m: train(m, task=3), "not short texts"),  # type: ignore[arg-type]
    "a negative epoch": (lambda m: train(m, -1), "whole number from 0"),
    "a true epoch": (lambda m: train(m, True), "whole number from 0"),
    "half a number": (lambda m: train(m, 0, 0.5), "whole number from 0"),  # type: ignore[arg-type]
    "a lone client": (lambda m: replace(unlearn(m, 0, True), clients=1), "a number of clients from 2"),
    "no job": (_job, "lacks a job"),
    "neither whole nor not": (lambda m: replace(verify(m), whole=None), "whether all is to be erased"),  # type: ignore[arg-type]
    "models in a list": (lambda m: replace(order(m), models=[m]), "not a tuple"),  # type: ignore[arg-type]
    "no model": (lambda m: replace(train(m), base="model"), "a model is missing"),  # type: ignore[arg-type]
    "half a model": (lambda m: train(_one_less(m)), "parameter names differ"),
    "not a number": (lambda m: train(_nan(m)), "NaN or infinite"),
    "a wrong model sent along": (lambda m: replace(order(m), models=(_one_less(m),)), "parameter names differ"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_task_with_something_wrong_in_it_is_refused(clinic: Clinic, kind: str) -> None:
    make, reason = WRONG[kind]
    work = make(clinic.model)
    answer = clinic.ask(work)
    assert answer.delta is answer.numbers is None
    assert reason in str(answer.failed)
    assert clinic.shown == []


@pytest.mark.parametrize(("changes", "reason"), [
    ({"withdrawn": ("sha256:abc",)}, "not salted digests"),
    ({"withdrawn": ["sha256:" + "0" * 64]}, "not salted digests"),
    ({"withdrawn": ("sha256:" + "0" * 64,)}, "not on record here"),
    ({"received": "all"}, "not a list of names"),
    ({"received": (1,)}, "not a list of names"),
    ({"assignment": 5}, "it holds a int"),
    ({"assignment": LocalTraining()}, "it holds a LocalTraining"),
])  # fmt: skip
def test_a_message_with_something_wrong_in_it_is_refused(clinic: Clinic, changes: dict[str, Any], reason: str) -> None:
    assert reason in str(clinic.ask(train(clinic.model), **changes).failed)
    assert clinic.shown == []


def _cut(document: bytes, tensors: bytes) -> tuple[bytes, bytes]:
    return document, tensors[: len(tensors) // 2]


BROKEN: dict[str, Callable[[bytes, bytes], tuple[bytes, bytes]]] = {
    "nothing": lambda d, t: (b"", b""),
    "not JSON": lambda d, t: (d[:-5], t),
    "not text": lambda d, t: (b"\xff\xfe" + d, t),
    "deep": lambda d, t: (b'{"format": "afuic-task/1", "value": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", t),
    "UTF-16": lambda d, t: (d.decode().encode("utf-16"), t),
    "a key twice": lambda d, t: (d[:-1] + b', "format": "afuic-task/1"}', t),
    "a deep header": lambda d, t: (d, (60_000).to_bytes(8, "little") + b"[" * 60_000),
    "another format": lambda d, t: (d.replace(b"afuic-task/1", b"afuic-task/9"), t),
    "another class": lambda d, t: (d.replace(b"effects.Train", b"effects.Purge"), t),
    "a foreign class": lambda d, t: (d.replace(b"afuic.protocol.effects.Train", b"os.system"), t),
    "a field too many": lambda d, t: (d.replace(b'"epoch"', b'"apoch"'), t),
    "no tensors": lambda d, t: (d, b""),
    "cut tensors": _cut,
    "other tensors": lambda d, t: (d, b"\x10\0\0\0\0\0\0\0" + b"x" * 64),
    "ten gigabytes declared": lambda d, t: (d, (10**10).to_bytes(8, "little") + t[8:]),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_message_is_refused_in_a_sentence(clinic: Clinic, kind: str) -> None:
    answer = clinic.read(clinic.desk.perform(*BROKEN[kind](*clinic.message(train(clinic.model)))))
    assert answer.delta is None
    assert str(answer.failed).startswith("the message is not a task: ")
    assert "\n" not in str(answer.failed)
    assert clinic.shown == []


def test_a_refusal_names_the_task_where_the_message_does(clinic: Clinic) -> None:
    document, tensors = clinic.message(train(clinic.model))
    assert clinic.read(clinic.desk.perform(document, b"")).task == f"{NAME}/3"
    assert clinic.read(clinic.desk.perform(b"{}", tensors)).task == ""


def test_no_patients_id_is_answered_or_logged(clinic: Clinic, caplog: pytest.LogCaptureFixture) -> None:
    from afuic.data.npz import read_dataset, write_dataset

    caplog.set_level(logging.DEBUG)
    digests = clinic.withdraw(0)
    replies = [clinic.desk.perform(*clinic.message(work, withdrawn=digests)) for work in _all(clinic.model)]
    replies.append(clinic.desk.perform(*clinic.message(train(clinic.model))))
    dataset = read_dataset(clinic.site.data)
    split = dataset.split.copy()
    split[0] = 1  # one patient in two splits: the error names the patient
    write_dataset(dataclasses.replace(dataset, split=split), clinic.site.data)
    replies.append(clinic.desk.perform(*clinic.message(train(clinic.model, 1, task="other"), withdrawn=digests)))
    assert "cannot be read" in str(clinic.read(replies[-1]).failed)
    assert "patients are in more than one split, first" in caplog.text
    said = "".join(document.decode() for document, _ in replies) + caplog.text
    assert not [i for i in set(clinic.lab.federation.clients[NAME].patients) if i in said]
    assert str(clinic.site.data.parent) not in "".join(document.decode() for document, _ in replies)


def _all(model: Params) -> tuple[Assignment, ...]:
    return train(model, 1), unlearn(model), order(model), verify(model)


def test_an_unforeseen_error_says_where_and_no_more(
    clinic: Clinic, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hook(module: object, inputs: object) -> None:
        raise RuntimeError(f"out of memory over {clinic.group(0)[0]}")

    clinic.desk.network.module.register_forward_pre_hook(hook)
    answer = clinic.ask(train(clinic.model))
    assert answer.failed == "RuntimeError at the hospital; its own log says more"
    assert "RuntimeError in test_desk.py, line" in caplog.text
    assert clinic.group(0)[0] not in caplog.text


def test_a_new_file_of_images_is_read(clinic: Clinic) -> None:
    clinic.ask(train(clinic.model))
    clinic.site.data.unlink()
    assert "cannot be read" in str(clinic.ask(train(clinic.model, task="next")).failed)


def test_messages_of_the_worlds_json_are_what_they_seem(clinic: Clinic) -> None:
    document, _ = clinic.desk.perform(*clinic.message(train(clinic.model)))
    assert json.loads(document) == {"format": "afuic-reply/1", "task": f"{NAME}/3", "numbers": None, "failed": None}
