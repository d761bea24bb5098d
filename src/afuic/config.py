"""What one experiment or federation is made of, as typed values read from TOML.

Every value has a default, so an empty file is the demo on BloodMNIST without its mark: a trigger is planted only where one is asked for.
An unknown key or an impossible value is an error that names the place. Options of an erasure method live with the method
(``[options.NAME]``) and are checked by its registry.
"""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from afuic.errors import ConfigError
from afuic.text import hidden, normal, shown, visible


def tuples(value: Any) -> Any:
    """Lists as tuples, those within lists too: TOML and JSON know one kind of array, and strict types tell the two apart."""
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def _seen(key: str, value: Any) -> None:
    for text in value if isinstance(value, list | tuple) else (value,):
        if isinstance(text, str) and (found := hidden(text)):
            raise ValueError(f"{shown(key)} holds {found}, which nobody sees; write it without")


def unsaid(value: Any) -> bool:
    """Whether a setting that came later is left out of what is written and digested, so that federations and suites begun before go on."""
    return value is None


KINDS = frozenset({"tuple[str, ...]", "int"})
"""Parts of pydantic's places that name no key but one of several types that a value may have."""


class Section(BaseModel):
    """A frozen group of settings that refuses keys it does not know and values of another type: ``true`` is no number, nor is ``"1"``.

    A whole number may stand where a fraction may, but not the other way round.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _of_toml(cls, values: Any) -> Any:
        """TOML has no null: "none" stands for it, for example ``heal = "none"``."""
        if not isinstance(values, dict):
            return values
        for key, value in values.items():
            _seen(str(key), value)
        return {k: None if v == "none" else tuples(v) for k, v in values.items()}


Name = Annotated[str, AfterValidator(normal)]
"""A hospital's name in Unicode's composed form, as data sets hold their sites' names."""


class Partition(Section):
    """How the training images are spread over clients.

    ``dirichlet``: class proportions per client drawn from Dirichlet(alpha) (Hsu et al., arXiv 1909.06335); ``iid``; ``site``: one
    client for each site named in the data; ``patient``: whole patients, dealt at random. Patients never straddle two clients when
    the data set names them.
    """

    kind: Literal["iid", "dirichlet", "site", "patient"] = "dirichlet"
    alpha: float = Field(0.5, gt=0)
    clients: int = Field(6, ge=2, le=1000)
    min_images: int = Field(64, ge=1)


class Trigger(Section):
    """A backdoor planted in one client's images as a probe of forgetting; no method ever sees it.

    ``square`` is a bright patch in a corner, ``blend`` a faint full-size pattern. ``fraction`` of the client's images carry it and are
    relabelled as ``target_class``.
    """

    client: Name = "hospital-0"
    kind: Literal["square", "blend"] = "square"
    fraction: float = Field(0.5, gt=0, le=1)
    target_class: int = Field(0, ge=0)
    size: int = Field(4, ge=1)


class Data(Section):
    """The data set and how it is divided. ``name`` is a registered set (``afuic data list``) or the path of an imported npz."""

    name: str = "bloodmnist"
    size: int = Field(28, ge=8, le=512, description="side length in pixels; images are resized when it differs")
    limit: int | None = Field(None, ge=1, description="at most this many training images, drawn at random")
    calibration: int = Field(1712, ge=0, description="unlabelled images the server holds, from the validation split; 0: none")
    calibration_from: str | None = Field(None, description="an npz or registered set to take calibration images from instead")
    partition: Partition = Partition()
    patient_scope: Literal["site", "global"] | None = Field(
        None,
        exclude_if=unsaid,
        description="whether a patient's id means one person at every site, or another one at each; none: what the set declares",
    )
    trigger: Trigger | None = None


SMALL = (16, 64)
"""From how many to how many pixels a side ``gn-small`` takes."""


class Model(Section):
    """``gn-small``, ``resnet18``, ``densenet121`` (both MONAI) or ``module:function`` returning an ``nn.Module``."""

    name: str = "gn-small"


class Training(Section):
    """One client task: ``steps`` of SGD from the model it was sent."""

    steps: int = Field(20, ge=1)
    batch: int = Field(32, ge=1)
    lr: float = Field(0.05, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    max_norm: float = Field(5.0, gt=0, description="clip of the gradient's norm in each step")


class Staleness(Section):
    """s(τ): the weight of an update that is τ versions old; s(0) = 1 in every law.

    ``constant``; ``hinge`` 1 if τ ≤ b else 1/(a(τ−b)+1); ``polynomial`` (1+τ)^−a (all three: Xie et al., arXiv 1903.03934, section 5);
    ``exponential`` e^(−aτ) (Cai & Zhang, arXiv 2604.26809).
    """

    law: Literal["constant", "hinge", "polynomial", "exponential"] = "polynomial"
    a: float = Field(0.5, ge=0)
    b: int = Field(4, ge=0, description="hinge only: versions without any discount")


class Aggregation(Section):
    """How updates enter the model. ``fedasync``: each at once; ``fedbuff``: every ``buffer`` of them (arXiv 2106.06639).

    ``optimizer`` other than ``sgd`` is not linear in the updates, so nothing could be subtracted afterwards: refused with any method
    that removes.
    """

    rule: Literal["fedasync", "fedbuff"] = "fedasync"
    lr: float = Field(0.5, gt=0, description="η, the server's step")
    clip: float = Field(10.0, gt=0, description="bound on the norm of each update")
    buffer: int = Field(3, ge=1, description="fedbuff only: updates per step")
    staleness: Staleness = Staleness()
    optimizer: Literal["sgd", "adam", "yogi"] = "sgd"

    def unfilled(self, hospitals: int) -> str | None:
        """Why so many hospitals cannot fill the buffer, each giving one update to a step; None where they can."""
        if self.rule != "fedbuff" or self.buffer <= hospitals:
            return None
        return f"aggregation.buffer = {self.buffer}: a step takes one update of each hospital, and {hospitals} take part; make it smaller"


class Clock(Section):
    """The virtual clock. Times in virtual seconds; a median client needs ``sample_s`` for one image, forward and backward."""

    horizon_s: float = Field(1800.0, gt=0, description="training time, without what retraining adds")
    sample_s: float = Field(0.03, gt=0)
    spread: float = Field(0.3, ge=0, description="sigma of the clients' log-normal slowness")
    stragglers: int = Field(1, ge=0, description="this many clients are slowed by straggler_factor")
    straggler_factor: float = Field(4.0, ge=1, le=100)
    jitter: float = Field(0.1, ge=0, description="sigma of each task's log-normal duration")
    link_mb_s: float = Field(1.0, gt=0, description="each way, megabytes a second")
    latency_s: float = Field(0.5, ge=0)
    server_speed: float = Field(10.0, gt=0, description="images the server handles while a median client handles one")
    online: float = Field(1.0, gt=0, le=1, description="share of time a client can be reached")
    offline_mean_s: float = Field(120.0, gt=0, description="mean length of one absence")
    failure: float = Field(0.0, ge=0, lt=1, description="probability that a task dies before its update is sent")


class Request(Section):
    """One erasure request. ``patients``: ids held by the client, or a number of them drawn at random; none: the whole client."""

    client: Name = "hospital-0"
    at: float = Field(2 / 3, gt=0, lt=1, description="share of the horizon at which it is asked")
    patients: tuple[str, ...] | int | None = None
    target_online: bool = Field(True, description="false: the client is switched off at the moment of the request")


class Evaluation(Section):
    """When and on how much to measure. ``every_s``: spacing of the curve; ``images``: test images for a point of it (phases use all)."""

    every_s: float = Field(60.0, gt=0)
    images: int = Field(1000, ge=50)
    batch: int = Field(256, ge=1)
    retrained: int = Field(3, ge=1, le=100, description="retrained references, each from its own initial model")


def _titled(text: str) -> str:
    if not (found := visible(text)):
        raise ValueError("says nothing; give it a name")
    return found


Title = Annotated[str, Field(max_length=200), AfterValidator(_titled)]
"""A name for people, in one spelling, as a certificate can state it."""


class Config(Section):
    """A whole experiment; ``afuic config show`` prints it."""

    name: Title = "bloodmnist"
    seed: int = Field(0, ge=0, lt=2**63)
    methods: tuple[str, ...] = ("afuic", "afuic-paper", "continue", "retrain")
    data: Data = Data()
    model: Model = Model()
    training: Training = Training()
    aggregation: Aggregation = Aggregation()
    clock: Clock = Clock()
    requests: tuple[Request, ...] = (Request(),)
    evaluation: Evaluation = Evaluation()
    options: dict[str, dict[str, Any]] = Field(default_factory=dict, description="[options.METHOD] tables")

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if not self.methods:
            raise ValueError("methods is empty; name at least one (afuic methods lists them)")
        if len(set(self.methods)) < len(self.methods):
            raise ValueError("methods names one twice")
        if any(b.at < a.at for a, b in zip(self.requests, self.requests[1:], strict=False)):
            raise ValueError("requests are not in the order of their times (at)")
        return self


def parse(values: dict[str, Any], where: str = "configuration") -> Config:
    """Check plain values into a Config; ConfigError names every bad key."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {explain(error)}") from None


def shipped() -> dict[str, Path]:
    """The configurations that come with the package, by name."""
    folder = Path(str(resources.files("afuic") / "configs"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"), key=lambda path: path.stem)}


def load(source: str | Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """A configuration with ``key=value`` overrides, values in TOML syntax.

    ``source``: a file, or else the name of a shipped one ("demo"); None: the defaults. ConfigError says what is wrong and where.
    """
    values = _defaults()
    if source is not None:
        values |= read_toml(_file(source))
    for text in (overrides,) if isinstance(overrides, str) else overrides:
        _override(values, text)
    return parse(values, "configuration" if source is None else str(source))


def _file(source: str | Path) -> Path:
    known = shipped()
    if Path(source).is_file() or str(source) not in known:
        return Path(source)
    return known[str(source)]


def read_toml(path: Path) -> dict[str, Any]:
    """The values in a TOML file, with or without a byte order mark, whatever its line ends.

    ConfigError where there is none, and for what is not UTF-8 or no TOML.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file, nor a shipped one; those are {', '.join(shipped())}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    if b"\0" in content[:4] or content[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        raise ConfigError(f"{path}: is written in UTF-16; save it as UTF-8")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not written in UTF-8 (byte {error.start}); save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _defaults() -> dict[str, Any]:
    return Config().model_dump(mode="json", exclude_none=True)


def _override(values: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {text}: write key=value, for example --set aggregation.lr=0.3")
    try:
        parsed = tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        parsed = value
    *parents, last = key.split(".")
    node: Any = values
    for part in parents:
        node = _child(node, part, text)
    if isinstance(node, list):
        node[_index(node, last, text)] = parsed
    else:
        node[last] = parsed


def _child(node: Any, part: str, text: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, text)]
    child = node.setdefault(part, {})
    if not isinstance(child, dict | list):
        raise ConfigError(f"--set {text}: {part!r} is a value, not a table")
    return child


def _index(node: list[Any], part: str, text: str) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise ConfigError(f"--set {text}: {part!r} is not one of the {len(node)} entries (numbered from 0)")
    return int(part)


def explain(error: ValidationError) -> str:
    """One sentence that names every bad key."""
    found: dict[str, list[str]] = {}
    got: dict[str, str] = {}
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"] if part not in KINDS) or "the file"
        message = item["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
        found.setdefault(place, []).append("unknown key" if item["type"] == "extra_forbidden" else message)
        got[place] = "" if item["type"] == "extra_forbidden" or not item["loc"] else f" (got {item['input']!r})"
    return "; ".join(f"{place}: {' or '.join(said)}{got[place]}" for place, said in found.items())
