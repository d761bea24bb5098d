"""What a hospital says about a released model: numbers on its own images, before it deletes those that were to be erased."""

from __future__ import annotations

import numpy as np

from afuic.erase.rounds import Images
from afuic.evaluate.forgetting import forget as forgetting
from afuic.evaluate.membership import population_auc
from afuic.learning.networks import Network
from afuic.params import Params
from afuic.scores import Measured, measured


def scores(network: Network, model: Params, forget: Images, held_out: Images) -> Measured:
    """``forget_loss`` (nats), ``forget_accuracy`` and, where it is defined, ``membership_auc`` of the loss; with how many images.

    Each is to be compared with a model that never saw the images, not with 0: see the page on measures. ScoresError where the model
    gives none that are finite.
    """
    probabilities, labels = _probabilities(network, model, forget), forget[1].numpy()
    numbers: dict[str, float] = forgetting(probabilities, labels)
    numbers |= {"forget_images": len(labels), "held_out_images": len(held_out[1])}
    if len(held_out[1]):
        others = _probabilities(network, model, held_out)
        found = population_auc(probabilities, labels, others, held_out[1].numpy())
        numbers |= {} if found is None else {"membership_auc": found}
    return measured(numbers)


def _probabilities(network: Network, model: Params, images: Images) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return network.logits(model, images[0]).softmax(dim=1).numpy()
