"""What to do with carriers: updates of others that were trained from a model that still contained the erased data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from afuic.config import Section
from afuic.erase.direction import without_return
from afuic.params import Params, scale


class Carriers(Section):
    """``keep`` as they are; ``damp`` by ``factor``; ``project`` out what points back along C_c; ``drop`` (counted as lost)."""

    policy: Literal["keep", "damp", "project", "drop"] = Field(
        "keep", description="what becomes of updates trained from a model that held the erased data"
    )
    factor: float = Field(0.5, ge=0, le=1, description="damp only: what they are multiplied by")


def admit(carriers: Carriers, update: Params, directions: Iterable[Params]) -> Params | None:
    """The update as it may enter, or None when it may not. ``directions`` are the erased contributions still held."""
    if carriers.policy == "drop":
        return None
    if carriers.policy == "damp":
        return scale(update, carriers.factor)
    return without_return(update, directions) if carriers.policy == "project" else update
