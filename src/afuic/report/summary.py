"""The page's opening in plain words, made from the numbers and claiming no more than they say."""

from __future__ import annotations

from dataclasses import dataclass

from afuic.evaluate.gaps import FALSE_ALARMS, Judged, passes
from afuic.evaluate.results import CONTINUE, NOT_ERASED, AfterName, Method, PhaseName, Requested, Results
from afuic.report.measures import DESCRIPTIONS, MEASURES, Measure, gap, judge, label, reference, value
from afuic.report.words import count, duration, listed, percent, points, signed

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


def verdict(results: Results) -> str:
    """The run in one sentence: whether what our method, or the first that erases, released is told apart from retrained models."""
    others = [name for name in results.methods if name not in {CONTINUE, "retrain"}]
    if not others:
        return "In this run nothing was erased, since no method that erases was part of it."
    name = "afuic" if "afuic" in others else others[0]
    method = results.methods[name]
    if method.failed is not None:
        return f"In this run {label(name, method)} released no model: {method.failed.rstrip('.')}."
    return f"In this run {_apart(results, f'{label(name, method)}’s released model', method, 'released')}"


def _apart(results: Results, whose: str, method: Method, phase: AfterName) -> str:
    """Told apart by how many of how many measures, and by which."""
    judged = [(m, found) for m in MEASURES if (found := judge(results, method, phase, m.key)) is not None]
    if not judged:
        return f"{whose} can be compared with no spread of retrained models: {_lacking(results)}."
    apart = [_which(m, found) for m, found in judged if found.apart]
    if not apart:
        return f"{whose} is not told apart from retrained models by any of {count(len(judged), 'measure')}."
    by = f"{len(apart)} of {count(len(judged), 'measure')}"
    return f"{whose} is told apart from retrained models by {by}: {listed(apart)}."


def _which(measure: Measure, found: Judged) -> str:
    name = measure.label if measure.label.isupper() else measure.label[0].lower() + measure.label[1:]
    return f"{name} ({found.side}{', which is better' if found.better else ''})"


def _lacking(results: Results) -> str:
    runs = 0 if results.retrained is None else results.retrained.runs
    return (
        "none was trained" if runs == 0 else "one alone was trained" if runs == 1 else "none of its measures is known of them"
    )


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
    text += (
        "Told apart is what lies outside of where 95 of 100 further retrained models would lie, judging by how these "
        f"{runs} differ from each other (Student’s t), by how they swing within five minutes, and by how far so few test "
        "images err by chance. Of this project’s own retrained models, held out one at a time, it tells "
        f"{percent(FALSE_ALARMS)} apart. A z of at most 2 would be another test: a perfect model passes that in "
        f"{percent(passes(4))} of cases with 4 retrained models, in {percent(passes(5))} with 5, in {percent(passes(32))} "
        f"with 32, and here in {percent(passes(runs))}."
    )
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
        _release(name, method),
        *_healing(method),
        _usefulness(method),
        _forgetting(results, name, method),
        _mark(method),
    ]
    return [part for part in [*parts, *_tally(results, name, method)] if part]


def _oracle(method: Method) -> str:
    return (
        "It was shown the mark, which no real server knows; its numbers show what that leak is worth." if method.oracle else ""
    )


def _release(name: str, method: Method) -> str:
    if name == CONTINUE:
        return f"{NOT_ERASED.capitalize()}: it releases no model of its own."
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
    z = gap(results, method, "final", "forget_accuracy")
    apart = "" if z is None else f" (z {signed(z)})"
    return f"{text}; retrained models to {percent(retrained.mean)}{apart}."


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


def _tally(results: Results, name: str, method: Method) -> list[str]:
    if name == "retrain" or results.retrained is None:
        return []
    moments: tuple[tuple[AfterName, str], ...] = (("released", "At the release the model"), ("final", "At the end the model"))
    return [_apart(results, whose, method, phase) for phase, whose in moments if _told(method, phase)]
