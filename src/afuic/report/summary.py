"""The page's opening in plain words, made from the numbers and claiming no more than they say."""

from __future__ import annotations

from dataclasses import dataclass

from afuic.evaluate.results import Method, PhaseName, Requested, Results
from afuic.report.measures import DESCRIPTIONS, MEASURES, gap, label, reference, value
from afuic.report.words import NOTABLE, count, duration, listed, percent, points

MOMENTS: tuple[tuple[PhaseName, str], ...] = (
    ("before", "before the request"),
    ("released", "at the release"),
    ("final", "at the end"),
)
FEW = 5
"""Fewer retrained models than this make a poor estimate of their spread."""


@dataclass(frozen=True)
class Entry:
    """One method: its name, what it does, and sentences on what it achieved."""

    name: str
    description: str
    sentences: tuple[str, ...]


def asked(results: Results) -> list[str]:
    """What was asked, by whom, and how much data it concerned."""
    if not results.requests:
        return ["No erasure was asked for in this run."]
    return [_request(results, request) for request in results.requests]


def yardstick(results: Results) -> str:
    """How the results are to be read: against retraining, and with how much certainty."""
    if results.retrained is None:
        return "No model was retrained without the data, so there is nothing to say how much forgetting would be enough."
    runs = results.retrained.runs
    text = (
        "The yardstick is a model trained again from nothing without the data. It need not be wrong on the erased images, since what "
        f"all hospitals have in common it knows too. Here {count(runs, 'such model')} {'was' if runs == 1 else 'were'} trained. "
    )
    if runs == 1:
        return text + "One model has no spread: gaps cannot be put in proportion to chance."
    text += f"“Within” means no further from their mean than {NOTABLE:.0f} times their own spread, “outside” means further."
    return text + (f" With fewer than {FEW} models the spread itself is a rough estimate." if runs < FEW else "")


def entries(results: Results) -> list[Entry]:
    """One entry for each method, in the order of the run."""
    return [
        Entry(label(name, method), DESCRIPTIONS.get(name, f"from {method.source}"), tuple(_sentences(results, name, method)))
        for name, method in results.methods.items()
    ]


def _request(results: Results, request: Requested) -> str:
    whom = "all of its data" if request.patients is None else f"the data of {count(request.patients, 'patient')}"
    text = f"{request.client} asked, {duration(request.t)} into the run, that {whom} be erased from the shared model. "
    client = results.clients.get(request.client)
    everyone = sum(held.images for held in results.clients.values())
    if client is not None and everyone:
        text += f"It held {client.images:,} of the {everyone:,} training images ({percent(client.images / everyone, 0)}). "
        if client.triggered:
            text += (
                f"As a probe of forgetting, {client.triggered:,} of its images carried an artificial mark and a false label: a model "
                "that still reacts to the mark still knows these images. "
            )
    return text + ("" if request.target_online else "The hospital could not be reached at that moment.")


def _sentences(results: Results, name: str, method: Method) -> list[str]:
    parts = [
        _oracle(method),
        _release(method),
        *_healing(method),
        _usefulness(method),
        _forgetting(results, name, method),
        _mark(method),
    ]
    return [part for part in [*parts, _tally(name, method)] if part]


def _oracle(method: Method) -> str:
    return (
        "It was shown the mark, which no real server knows; its numbers show what that leak is worth." if method.oracle else ""
    )


def _release(method: Method) -> str:
    if method.failed is not None:
        return f"It released no model: {method.failed.rstrip('.')}."
    if method.erasure_latency_s is None:
        return "It releases no model of its own."
    share = method.latency_to_retrain
    text = f"A model was released {duration(method.erasure_latency_s)} after the request"
    text += f" ({percent(share)} of the time of retraining)" if share is not None and abs(share - 1) > 1e-9 else ""
    return f"{text}; {_disturbance(method)}."


def _healing(method: Method) -> list[str]:
    return [
        f"For {h.request} the server healed in {count(h.steps, 'step')}, then stopped by itself: on calibration images it had held out, "
        f"the divergence from the model before removal had fallen from {h.gap_before:.2f} to {h.gap_after:.2f} nats."
        for h in method.healing
        if h.gap_before is not None and h.gap_after is not None
    ]


def _disturbance(method: Method) -> str:
    waited = f"the other hospitals waited {duration(method.stall_client_s)}, added up"
    lost = f"{count(method.updates_lost, 'update')} of theirs {'was' if method.updates_lost == 1 else 'were'} lost"
    return f"{waited if method.stall_client_s else 'no other hospital waited'}, and {lost}"


def _usefulness(method: Method) -> str:
    known = [f"{percent(value(method, phase, 'accuracy'))} {words}" for phase, words in MOMENTS if _told(method, phase)]
    return f"Test accuracy: {listed(known)}." if known else ""


def _told(method: Method, phase: PhaseName) -> bool:
    return phase in method.phases and (phase != "released" or method.erasure_latency_s is not None)


def _forgetting(results: Results, name: str, method: Method) -> str:
    found = value(method, "final", "forget_accuracy")
    if found is None:
        return ""
    text = f"At the end it gives the label they were held with to {percent(found)} of the images to erase"
    retrained = reference(results, "final", "forget_accuracy")
    if name == "retrain" or retrained is None:
        return f"{text}."
    z = gap(method, "final", "forget_accuracy")
    apart = "" if z is None else f", a gap of {abs(z):.1f} times their spread"
    return f"{text}; retrained models to {percent(retrained[0])}{apart}."


def _mark(method: Method) -> str:
    before, final = value(method, "before", "asr_excess"), value(method, "final", "asr_excess")
    if before is None or final is None:
        return ""
    text = (
        "How much more often marked test images get the false label than unmarked ones: "
        f"{points(before)} before the request, {points(final)} at the end"
    )
    highest = method.resurfacing.asr_excess_max
    if highest is None or method.erasure_latency_s is None:
        return f"{text}."
    return f"{text}, at most {points(max(highest, final))} at any measurement after the release."


def _tally(name: str, method: Method) -> str:
    known = [z for z in (gap(method, "final", measure.key) for measure in MEASURES) if z is not None]
    if name == "retrain" or not known:
        return ""
    inside = sum(abs(z) <= NOTABLE for z in known)
    return (
        f"At the end {inside} of the {len(known)} measures that can be compared are within {NOTABLE:.0f} spreads of retraining."
    )
