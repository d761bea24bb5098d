"""The suites themselves. ``smoke``, ``paper``, ``relearn`` and ``calibration`` take every method from the registry; the others vary
something, and vary it for one method of each kind.

Long runs leave 1080 virtual seconds after the (last) request: 30 to 60 updates per client, as fast as the seed's clients are;
``resurfacing`` leaves 2400.
"""

from __future__ import annotations

from collections.abc import Mapping

from afuic.bench.suite import Case, Suite, Sweep, Variant
from afuic.bench.variants import REFERENCE
from afuic.erase import METHODS
from afuic.erase.consistency import ENDLESS
from afuic.errors import ConfigError
from afuic.evaluate.ulira import FULL

HAM10000 = "AFUIC_HAM10000_NPZ"
ASKED_S, AFTER_S, SOON_S, LONG_AFTER_S, NEVER_S = 1200.0, 1080.0, 240.0, 2400.0, 1e6
CLEAN = "data.trigger=none"
ORGANS = ("data.name=organamnist", "data.partition.clients=10", "data.partition.alpha=0.3")


def asked(*times_s: float, clients: tuple[str, ...] = (), after_s: float = AFTER_S) -> tuple[str, ...]:
    """Overrides for whole-client requests at these virtual seconds, by ``clients`` or hospital-0, hospital-1, …; ``after_s`` follow."""
    horizon = times_s[-1] + after_s
    names = clients or tuple(f"hospital-{k}" for k in range(len(times_s)))
    listed = ", ".join(f'{{client="{c}", at={t / horizon!r}}}' for c, t in zip(names, times_s, strict=True))
    return (f"clock.horizon_s={horizon!r}", f"requests=[{listed}]")


def plain(*methods: str) -> tuple[Variant, ...]:
    """These methods as they are."""
    return tuple(Variant(name, name) for name in methods)


def site(name: str) -> tuple[str, ...]:
    """Overrides for HAM10000 divided by its sites, one of which is erased; a lesion's id means the same at each of them."""
    return (
        f"data.name=${HAM10000}",
        "data.patient_scope=global",
        "data.partition.kind=site",
        f"requests.0.client={name}",
        f"data.trigger.client={name}",
    )


LONG = asked(ASKED_S)
BLOOD = Case("bloodmnist")
ORGAN = Case("organamnist", ORGANS)
CONSISTENCY_ALONE: Mapping[str, object] = {"teacher": False, "calibration": {"distil": 0.0, "invariance": 1.0, "turned": False}}
HAM = Case("ham10000", site("vidir_modern"), needs=HAM10000)

SHORT: Mapping[str, Mapping[str, object]] = {
    "wu": {"distil": {"schedule": {"steps": 40}}},
    "rapid": {"rounds": 4},
    "sifu": {"rounds": 4},
}
SMOKE = Suite(
    name="smoke",
    question="Does every method run from the request to the report? Phantoms, minutes; the numbers mean nothing.",
    base=(
        "data.name=phantom",
        "data.size=16",
        "data.calibration=60",
        "data.partition.kind=iid",
        "data.partition.clients=3",
        "data.partition.min_images=16",
        "training.steps=2",
        "training.batch=16",
        "clock.horizon_s=30.0",
        "clock.sample_s=0.004",
        "requests.0.at=0.5",
        "evaluation.every_s=5.0",
        "evaluation.images=60",
    ),
    variants=tuple(Variant(f"{m}, short" if m in SHORT else m, m, SHORT.get(m, {})) for m in METHODS if m != REFERENCE),
    cases=(
        Case("whole hospital"),
        Case("5 patients", (CLEAN, "requests.0.patients=5")),
        Case("target offline", ("requests.0.target_online=false",), references="whole hospital"),
    ),
    seeds=2,
    retrained=3,
)

PAPER = Suite(
    name="paper",
    question="Which methods leave a model that cannot be told from one retrained without the hospital, and what does each cost?",
    base=LONG,
    cases=(BLOOD, ORGAN, HAM),
)

RESURFACING = Suite(
    name="resurfacing",
    question="Does what was erased come back in more than twice as much training after the request as `paper` has?",
    base=asked(ASKED_S, after_s=LONG_AFTER_S),
    variants=(
        *plain("continue", "afuic"),
        Variant("afuic, guard that lasts", "afuic", {"guard": {"versions": ENDLESS}}),
        Variant("afuic, consistency that lasts", "afuic", {"guard": {"versions": ENDLESS, **CONSISTENCY_ALONE}}),
        *plain("afuic-paper", "wu", "fedosd"),
    ),
    cases=(BLOOD, ORGAN, HAM),
    seeds=3,
)

STRAGGLERS = Suite(
    name="stragglers",
    question="What do a slow client's delays do to the time until the release, and to those who wait?",
    base=asked(ASKED_S, after_s=SOON_S),
    variants=plain("afuic", "afuic-paper", "wu", "federaser", "fedosd", "rapid"),
    cases=tuple(
        Case(f"slowest {factor}x", ("clock.stragglers=1", f"clock.straggler_factor={factor}"), x=factor)
        for factor in (1, 2, 5, 10, 20)
    ),
    seeds=3,
    retrained=3,
    sweep=Sweep("slowest client's time for a task over its own without being slowed", ("latency_s", "stall_client_s")),
)

STALENESS = Suite(
    name="staleness",
    question="What is lost when the release comes many versions after the snapshot it was made from, by overwriting and by adding?",
    base=LONG,
    variants=(*plain("afuic", "wu"), Variant("afuic-paper, without deadline", "afuic-paper", {"deadline_s": NEVER_S})),
    cases=tuple(
        Case(
            f"server {speed:g}x",
            (f"clock.server_speed={speed}",),
            references=None if i == 0 else "server 10x",
            past=i > 0,
            x=speed,
        )
        for i, speed in enumerate((10.0, 100.0, 3.0, 1.5, 0.8, 0.4))
    ),
    seeds=3,
    retrained=3,
    sweep=Sweep("versions between the request and the release", ("updates_lost", "latency_s"), by="staleness"),
)

PATIENTS = Suite(
    name="patients",
    question="And when not a hospital but 1, 10 or 100 of its patients are to be forgotten?",
    base=LONG,
    variants=(
        *plain("afuic"),
        Variant("afuic, scrubbed at the hospital", "afuic", {"patients": "scrub"}),
        *plain("afuic-paper", "wu", "fedosd"),
    ),
    cases=(
        *(Case(f"bloodmnist, {n} patients", (CLEAN, f"requests.0.patients={n}"), x=n) for n in (1, 10, 100)),
        *(
            Case(f"ham10000, {n} patients", (*site("vidir_modern"), CLEAN, f"requests.0.patients={n}"), needs=HAM10000, x=n)
            for n in (1, 10, 100)
        ),
    ),
    seeds=3,
    extras=("ulira",),
)

ULIRA = Suite(
    name="ulira",
    question="Can an attacker with 32 shadow models of each kind tell a released model from retrained ones, image by image?",
    base=LONG,
    variants=plain("afuic", "wu", "fedosd"),
    cases=(Case("bloodmnist, 100 patients", (CLEAN, "requests.0.patients=100")), BLOOD),
    seeds=1,
    retrained=FULL,
    extras=("ulira",),
)

REQUESTS = Suite(
    name="requests",
    question="Does it hold for requests that come together, in a row, in a guard window, from the largest, from the only one of a class?",
    base=LONG,
    variants=plain("afuic", "afuic-paper", "wu", "fedosd", "sifu"),
    cases=(
        Case("two at once", asked(1200, 1200)),
        Case("five in a row", ("data.partition.clients=10", *asked(1200, 1320, 1440, 1560, 1680))),
        Case("in the guard's window", asked(1200, 1290)),
        Case("the largest hospital", prepare="largest"),
        Case("the only holder of a class", ("data.partition.kind=site",), prepare="only-holder"),
        Case("target offline", ("requests.0.target_online=false",)),
    ),
    seeds=3,
)

CALIBRATION = Suite(
    name="calibration",
    question="How much of each method's result comes from calibration, and how much from a calibration that was shown the trigger?",
    base=LONG,
    cases=(BLOOD, ORGAN),
    calibrations=("fixed", "none", "blind", "oracle"),
    seeds=3,
)


def _images(n: int) -> Case:
    return Case(f"{n} calibration images", (f"data.calibration={n}",), plain("afuic"), "as it is", past=True, x=n)


def _guard(name: str, **guard: object) -> Variant:
    return Variant(name, "afuic", {"guard": guard})


def _carriers(policy: str) -> Variant:
    return Variant(f"carriers: {policy}", "afuic", {"carriers": {"policy": policy}})


NO_GUARD = {"versions": 0, "calibration": "none"}
PARTS = (
    *plain("afuic"),
    Variant("removal alone", "afuic", {"heal": "none", "guard": NO_GUARD}),
    Variant("removal and guard", "afuic", {"heal": "none"}),
    _guard("no guard", **NO_GUARD),
    _guard("guard: consistency alone", **CONSISTENCY_ALONE),
    _guard("guard: projection", project=True),
    _guard("guard: half steps", server_step=0.5),
    Variant("healing with consistency", "afuic", {"heal": {"invariance": 1.0}}),
    Variant("healing as they are", "afuic", {"heal": {"turned": False}, "guard": {"calibration": {"turned": False}}}),
    Variant("healed ahead", "afuic", {"ahead": {"steps": 100, "gain": "none", "lr": 0.002}, "heal": {"steps": 50}}),
    Variant("refined at the client", "afuic", {"client": {}}),
    _carriers("damp"),
    _carriers("project"),
    _carriers("drop"),
)

ABLATIONS = Suite(
    name="ablations",
    question="Which parts of afuic does the result rest on, and how many calibration images, of which origin?",
    base=LONG,
    variants=PARTS,
    cases=(
        Case("as it is", x=1712),
        *(_images(n) for n in (0, 50, 200, 500, 1000)),
        Case(
            "2000 calibration images of organamnist",
            ("data.calibration=2000", "data.calibration_from=organamnist"),
            plain("afuic"),
            "as it is",
            past=True,
        ),
    ),
    seeds=3,
    sweep=Sweep("calibration images", ("z released accuracy", "z released forget_accuracy", "latency_s")),
)

SCALE = Suite(
    name="scale",
    question="What do 5 to 200 clients need for erasure, in bytes and in seconds?",
    base=(
        "data.calibration=64",
        "data.partition.kind=iid",
        "data.partition.min_images=1",
        "training.steps=2",
        "training.batch=8",
        "evaluation.images=50",
        "clock.horizon_s=240.0",
    ),
    variants=plain("afuic", "afuic-paper", "federaser", "knot"),
    cases=tuple(Case(f"{n} clients", (f"data.partition.clients={n}",), x=n) for n in (5, 20, 50, 100, 200)),
    seeds=1,
    retrained=3,
    sweep=Sweep("clients", ("bytes_stored", "own_s", "latency_s")),
)

RELEARN = Suite(
    name="relearn",
    question="When the erased data return, does the model take as long to learn them as one that never saw them?",
    base=LONG,
    cases=(BLOOD, ORGAN),
    seeds=3,
    extras=("relearn",),
)

SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        SMOKE,
        PAPER,
        RESURFACING,
        STRAGGLERS,
        STALENESS,
        PATIENTS,
        ULIRA,
        REQUESTS,
        RELEARN,
        CALIBRATION,
        ABLATIONS,
        SCALE,
    )
}


def named(name: str) -> Suite:
    """The suite of that name; ConfigError lists those that there are."""
    if name not in SUITES:
        raise ConfigError(f"{name}: no such suite; there are {', '.join(SUITES)}")
    return SUITES[name]
