"""What is said about a released model in numbers: a hospital's scores, which there are and in which ranges, and the server's judgement.

Scores come from whoever was erased. The hospital keeps to them, the server lets nothing else in, the store keeps and a certificate states
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from afuic.errors import ScoresError
from afuic.text import shown

MOST_IMAGES = 10**9
FLOOR = 0.02
"""Added to both shares of a judgement, so that a few images more or less are no jump."""
JUMP = 4.0
"""So many times as often as before an answer may change under a probe; ordinary erasures: up to 3.1 (decision 0029)."""
AGAINST = -0.6
"""A cosine below this, of what was subtracted to what stays, is said; ordinary pairs of hospitals: down to -0.48 (decision 0029)."""

Share = Annotated[float, Field(ge=0, le=1)]


@with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, json_schema_extra={"minProperties": 1}))
class Measured(TypedDict, total=False):
    """Numbers of one model on the hospital's own images; each may be missing."""

    forget_loss: Annotated[float, Field(ge=0, description="mean loss on the erased images, nats")]
    forget_accuracy: Annotated[Share, Field(description="accuracy on the erased images")]
    membership_auc: Annotated[Share, Field(description="membership attack on the loss, AUC (0.5: it can tell nothing)")]
    forget_images: Annotated[int, Field(ge=1, le=MOST_IMAGES, description="erased images scored")]
    held_out_images: Annotated[
        int, Field(ge=0, le=MOST_IMAGES, description="held-out images that the attack compared them with")
    ]


@dataclass(frozen=True)
class Judgement:
    """How far the released model is from the one before, on the server's own images: ``divergence`` KL(before ‖ released) in nats, and the
    ``probe`` whose effect grew most: for what share of the images it changed the answer ``before`` and does ``after``.
    """

    divergence: float
    probe: str
    before: float
    after: float

    @property
    def growth(self) -> float:
        """How many times as often the probe changes an answer."""
        return (self.after + FLOOR) / (self.before + FLOOR)

    @property
    def jump(self) -> bool:
        """Whether no ordinary erasure does that."""
        return self.growth > JUMP


MEANING: Mapping[str, str] = {
    name: field["description"] for name, field in TypeAdapter(Measured).json_schema()["properties"].items()
}
"""Each number in words."""

_ADAPTER = TypeAdapter(Measured)


def measured(value: Any) -> Measured:
    """``value`` as scores; ScoresError where a name is unknown, or a number missing, not finite or out of its range."""
    try:
        found = _ADAPTER.validate_python(value)
    except (ValidationError, OverflowError) as error:
        raise ScoresError(_fault(error)) from None
    if not found:
        raise ScoresError("scores: there are none")
    if "membership_auc" in found and found.get("held_out_images") == 0:
        raise ScoresError("scores: membership_auc: no held-out image was there to attack with")
    return found


def _fault(error: ValidationError | OverflowError) -> str:
    if isinstance(error, OverflowError):
        return "scores: a number is too large"
    item = error.errors(include_input=False, include_url=False)[0]
    name = shown(str(item["loc"][0]))[:40] if item["loc"] else ""
    if item["type"] == "extra_forbidden":
        return f"scores: {name} is unknown; there are {', '.join(MEANING)}"
    return f"scores: {name or 'all'}: {item['msg']}"
