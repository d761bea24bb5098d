"""What goes over the wire and is no row of the store: what is asked, and the small answers. Validated here, on both sides."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from afuic.settings import NAME
from afuic.text import HIDDEN_CLASS, visible

SALTED = r"^sha256:[0-9a-f]{64}$"
KEY = r"^[!-~]{1,128}$"
REQUEST_ID = r"^[a-z0-9][a-z0-9-]{0,63}$"
MOST_PATIENTS = 100_000_000
MOST_VERSION = 2**53

Name = Annotated[str, StringConstraints(pattern=NAME)]
SEEN = rf"^[^{HIDDEN_CLASS}]*[^{HIDDEN_CLASS}\s][^{HIDDEN_CLASS}]*$"


def _says_something(text: str) -> str:
    if not (found := visible(text)):
        raise ValueError("says nothing")
    return found


Reason = Annotated[
    str, Field(min_length=1, max_length=500, json_schema_extra={"pattern": SEEN}), AfterValidator(_says_something)
]
"""Text that says something and hides nothing, in Unicode's composed form."""


def _whole(value: object) -> object:
    """JSON knows one kind of number: 3.0 is 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, Field(ge=1, le=MOST_PATIENTS), BeforeValidator(_whole)]


class Wire(BaseModel):
    """Strict: an unknown key or another type is refused, never converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _both_or_neither(schema: dict[str, Any]) -> None:
    """Say in the schema, too, that ``patients`` and ``salted`` come together: two alternatives, each whole."""
    every, pair = schema.pop("properties"), ("patients", "salted")
    given = every | {name: every[name]["anyOf"][0] for name in pair}
    absent = every | {name: {"type": "null"} for name in pair}
    needed, closed = schema.pop("required"), {"type": "object", "additionalProperties": False}
    schema["anyOf"] = [
        {"title": "Of patients", **closed, "properties": given, "required": [*needed, *pair]},
        {"title": "Of the whole hospital", **closed, "properties": absent, "required": needed},
    ]
    del schema["additionalProperties"]


class Ask(Wire):
    """An erasure: of the whole client, or of so many ``patients``, whose ids stay at the hospital; ``salted`` is their digest."""

    model_config = ConfigDict(json_schema_extra=_both_or_neither)

    client: Name
    reason: Reason
    patients: Count | None = None
    salted: str | None = Field(None, pattern=SALTED)

    @model_validator(mode="after")
    def _both(self) -> Ask:
        if (self.patients is None) != (self.salted is None):
            raise ValueError("patients and salted come together, or neither for the whole client")
        return self


class Problem(Wire):
    """Why not: one sentence that says what to do."""

    error: str


class Inbox(Wire):
    """What a hospital should know while it trains: tasks to stop, and whether it is being erased as a whole."""

    cancelled: tuple[str, ...]
    fenced: bool


class Health(Wire):
    """That the service answers, and nothing about the federation."""

    ok: bool
