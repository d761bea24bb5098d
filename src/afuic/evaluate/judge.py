"""The only holder of the test set, the forget set and the trigger, so that no method can look at what it is scored on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from afuic.errors import DataError, ParamsError
from afuic.evaluate.arrays import Ints, correct
from afuic.evaluate.forgetting import attack, forget
from afuic.evaluate.membership import population_auc
from afuic.evaluate.utility import per_client, sensitivity, utility
from afuic.params import Params

Probs = npt.NDArray[np.float64]
NO_ATTACK: dict[str, float | None] = {"asr": None, "asr_clean": None, "asr_excess": None}


class Sample:
    """Test and forget images in one tensor (test, stamped test, forget): a measurement is one pass through the model.

    ``stamped`` are the test images of other classes than the target, with the trigger; their clean counterparts are among the
    test images already and are not passed again.
    """

    def __init__(
        self,
        test: tuple[Tensor, Tensor],
        forgotten: tuple[Tensor, Tensor],
        stamp: Callable[[Tensor], Tensor] | None,
        target_class: int | None,
    ) -> None:
        images, labels = test
        self.target_class = target_class
        self.labels: Ints = labels.numpy()
        self.forget_labels: Ints = forgotten[1].numpy()
        others = torch.zeros_like(labels, dtype=torch.bool) if stamp is None or target_class is None else labels != target_class
        self.others: npt.NDArray[np.bool_] = others.numpy()
        stamped = stamp(images[others]) if stamp is not None and bool(others.any()) else images[:0]
        self.images = torch.cat([images, stamped, forgotten[0]])

    @property
    def forgotten(self) -> Tensor:
        """The forget images alone."""
        return self.images[len(self.labels) + int(self.others.sum()) :]

    def split(self, probs: Probs) -> tuple[Probs, Probs, Probs]:
        """Probabilities of the test, the stamped and the forget images."""
        test, stamped = len(self.labels), int(self.others.sum())
        return probs[:test], probs[test : test + stamped], probs[test + stamped :]

    def attack(self, clean: Probs, stamped: Probs) -> dict[str, float | None]:
        """The attack's measures, all None without a trigger or without an image of another class."""
        if self.target_class is None or not self.others.any():
            return dict(NO_ATTACK)
        return attack(stamped, clean[self.others], self.labels[self.others], self.target_class)


class Judge:
    """Measures models. ``logits(params, images)`` gives [n, classes] and batches by itself.

    Images are float [n, channels, height, width], labels int64 [n]; ``test_client`` [n] indexes ``client_names``;
    ``forget_triggered`` [n] marks forget images that carry the trigger. The forget set is scored as it was held, flipped labels
    included. ``stamp`` puts the trigger on a batch; without it, or without ``target_class``, attack measures are None.
    ``generator`` draws, once, the at most ``curve_images`` test and forget images of a curve's point. DataError when a set
    is empty.
    """

    def __init__(
        self,
        logits: Callable[[Params, Tensor], Tensor],
        *,
        test_images: Tensor,
        test_labels: Tensor,
        test_client: Tensor,
        client_names: Sequence[str],
        forget_images: Tensor,
        forget_labels: Tensor,
        forget_triggered: Tensor,
        stamp: Callable[[Tensor], Tensor] | None,
        target_class: int | None,
        curve_images: int,
        generator: np.random.Generator,
    ) -> None:
        if not len(test_labels) or not len(forget_labels):
            raise DataError("judge: the test set or the forget set is empty; give at least one image of each")
        self._logits = logits
        self._client: Ints = test_client.numpy()
        self._names = tuple(client_names)
        self._members: npt.NDArray[np.bool_] = ~forget_triggered.numpy().astype(bool)
        some, few = (_subset(len(labels), curve_images, generator) for labels in (test_labels, forget_labels))
        test, forgotten = (test_images, test_labels), (forget_images, forget_labels)
        self._full = Sample(test, forgotten, stamp, target_class)
        self._few = Sample(_take(test, some), _take(forgotten, few), stamp, target_class)

    def point(self, params: Params) -> dict[str, float | None]:
        """A point of the curve, cheap: accuracy, forget accuracy and loss, ASR and its excess, on the fixed subset."""
        test, stamped, forgotten = self._few.split(self._predict(params, self._few.images))
        success = self._few.attack(test, stamped)
        return {
            "accuracy": float(correct(test, self._few.labels).mean()),
            **forget(forgotten, self._few.forget_labels),
            "asr": success["asr"],
            "asr_excess": success["asr_excess"],
        }

    def phase(self, params: Params) -> dict[str, Any]:
        """Every measure on the full sets, as in a phase of results.json but for time, version and distances.

        Members of the membership attack are the forget images without trigger, non-members the test images.
        """
        return self.phase_and_probs(params)[0]

    def phase_and_probs(self, params: Params) -> tuple[dict[str, Any], Probs]:
        """``phase`` and ``probs`` from one pass through the model."""
        full = self._full
        test, stamped, forgotten = full.split(self._predict(params, full.images))
        return {
            **utility(test, full.labels),
            **forget(forgotten, full.forget_labels),
            **full.attack(test, stamped),
            "mia_auc": population_auc(forgotten[self._members], full.forget_labels[self._members], test, full.labels),
            "sensitivity": sensitivity(test, full.labels, test.shape[1]),
            "hospitals": per_client(test, full.labels, self._client, self._names),
        }, test

    def sizes(self) -> dict[str, Any]:
        """How many images each measure rests on, as ``evaluate.results.Sizes``."""
        full, few = self._full, self._few
        own = np.bincount(self._client, minlength=len(self._names))
        return {
            "test": np.bincount(full.labels).tolist(),
            "forget": len(full.forget_labels),
            "members": int(self._members.sum()),
            "attacked": int(full.others.sum()),
            "hospitals": {name: int(own[index]) for index, name in enumerate(self._names)},
            "curve": (len(few.labels), len(few.forget_labels), int(few.others.sum())),
        }

    def probs(self, params: Params) -> Probs:
        """Test-set probabilities [n, classes], for distances to retrained models."""
        return self._predict(params, self._full.images[: len(self._full.labels)])

    def forget_probs(self, params: Params) -> Probs:
        """Forget-set probabilities [n, classes], for U-LiRA; in the order of ``forget_labels`` and ``members``."""
        return self._predict(params, self._full.forgotten)

    @property
    def forget_labels(self) -> Ints:
        """Labels [n] of the forget set as it was held."""
        return self._full.forget_labels

    @property
    def test_labels(self) -> Ints:
        """Labels [n] of the test set, in the order of ``probs``."""
        return self._full.labels

    @property
    def members(self) -> npt.NDArray[np.bool_]:
        """Which images of the forget set [n] a membership attack is about: those without trigger."""
        return self._members

    def forget_accuracy(self, params: Params) -> float:
        """Forget accuracy on the curve's fixed subset, in one small pass: what relearning is measured with."""
        return float(correct(self._predict(params, self._few.forgotten), self._few.forget_labels).mean())

    def _predict(self, params: Params, images: Tensor) -> Probs:
        with torch.no_grad():
            logits = self._logits(params, images)
        if not bool(torch.isfinite(logits).all()):
            raise ParamsError("judge: the model's outputs are NaN or infinite, nothing to measure; lower the learning rate")
        return np.asarray(torch.softmax(logits.double(), dim=1).cpu().numpy())


def _subset(size: int, most: int, generator: np.random.Generator) -> Tensor:
    chosen = generator.choice(size, most, replace=False) if size > most else np.arange(size)
    return torch.from_numpy(np.sort(chosen))


def _take(pair: tuple[Tensor, Tensor], chosen: Tensor) -> tuple[Tensor, Tensor]:
    return pair[0][chosen], pair[1][chosen]
