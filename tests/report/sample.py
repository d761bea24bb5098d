"""A handmade run, in the form of the files that a report is made from: five methods, one of them failed, one an oracle."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from afuic.config import Config

HOSPITALS = [f"hospital-{index}" for index in range(6)]
ASKED, END = 1200.0, 2400.0
# name: (release, excess ASR at release and end, forget accuracy at release and end, accuracy at release and end)
STORY: dict[str, tuple[float | None, tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "afuic": (1252.0, (0.006, -0.004), (0.41, 0.43), (0.774, 0.805)),
    "afuic-paper": (1231.0, (0.001, 0.84), (0.31, 0.77), (0.77, 0.81)),
    "continue": (None, (0.93, 0.78), (0.90, 0.85), (0.816, 0.82)),
    "retrain": (2010.0, (0.01, 0.008), (0.42, 0.425), (0.78, 0.80)),
    "ascent-oracle": (None, (0.93, 0.93), (0.9, 0.9), (0.816, 0.816)),
}
BEFORE = (0.93, 0.90, 0.816)
RETRAINED = {"accuracy": (0.80, 0.006), "forget_accuracy": (0.425, 0.012), "asr_excess": (0.008, 0.007), "ece": (0.05, 0.01)}


def point(t: float, asr: float | None, forget: float, accuracy: float) -> dict[str, Any]:
    excess = None if asr is None else round(asr, 4)
    return {
        "t": t,
        "version": int(t / 4),
        "accuracy": round(accuracy, 4),
        "forget_accuracy": round(forget, 4),
        "forget_loss": round(2 * (1 - forget), 4),
        "asr": None if excess is None else round(excess + 0.02, 4),
        "asr_excess": excess,
    }


def phase(t: float, asr: float, forget: float, accuracy: float) -> dict[str, Any]:
    return point(t, asr, forget, accuracy) | {
        "balanced_accuracy": round(accuracy - 0.03, 4),
        "auroc": 0.96,
        "ece": 0.061,
        "asr_clean": 0.02,
        "mia_auc": round(0.5 + 0.1 * asr**2, 4),
        "js_to_retrain": 0.034,
        "js_floor": 0.021,
        "sensitivity": [0.9, 0.8, None],
        "hospitals": {name: round(accuracy + 0.03 * math.sin(index), 4) for index, name in enumerate(HOSPITALS[:-1])}
        | {HOSPITALS[-1]: None},
    }


def curve(
    release: float, after: tuple[float, float], forget: tuple[float, float], accuracy: tuple[float, float]
) -> list[dict[str, Any]]:
    points = []
    for step in range(41):
        t = 60.0 * step
        wobble = 0.012 * math.sin(7.0 * step)
        if t < release:
            grown = 1 - math.exp(-t / 250)
            points.append(point(t, 0.93 * grown, 0.15 + 0.75 * grown, 0.12 + 0.70 * grown + wobble))
        else:
            share = 1 - math.exp(-(t - release) / 250)
            values = [a + (b - a) * share for a, b in (after, forget, accuracy)]
            points.append(point(t, values[0] + wobble / 3, values[1] + wobble, values[2] + wobble))
    return points


def gaps(measured: dict[str, Any]) -> dict[str, float]:
    return {name: round((measured[name] - mean) / sd, 3) for name, (mean, sd) in RETRAINED.items()}


def method(name: str) -> dict[str, Any]:
    release, asr, forget, accuracy = STORY[name]
    failed = "the deadline passed without an answer of hospital-0" if name == "ascent-oracle" else None
    at = release or ASKED
    phases = {"before": phase(ASKED, *BEFORE), "final": phase(END, asr[1], forget[1], accuracy[1])}
    if failed is None:
        phases["released"] = phase(at, asr[0], forget[0], accuracy[0])
    points = curve(at, asr, forget, accuracy)
    return {
        "source": "Cai & Zhang, arXiv 2604.26809" if name == "afuic-paper" else "afuic",
        "oracle": name == "ascent-oracle",
        "erasure_latency_s": None if release is None else release - ASKED,
        "latency_to_retrain": None if release is None else round((release - ASKED) / 810, 4),
        "stall_client_s": 4050.0 if name == "retrain" else 0.0,
        "updates_lost": {"afuic-paper": 7, "retrain": 300}.get(name, 0),
        "updates_quarantined": 2,
        "bytes_moved": 1_250_000,
        "bytes_stored": 4_300_000,
        "server_s": 52.0,
        "needs_target": name == "afuic-paper",
        "failed": failed,
        "digest": "sha256:" + "0123456789abcdef" * 4,
        "events": 2345,
        "phases": phases,
        "gaps": {} if name == "retrain" else {w: gaps(phases[w]) for w in ("released", "final") if w in phases},
        "resurfacing": {
            "asr_excess_max": max(p["asr_excess"] for p in points if p["t"] >= at),
            "forget_accuracy_max": max(p["forget_accuracy"] for p in points if p["t"] >= at),
        },
        "updates_after_release_per_client": 51.2,
        "curve": points,
    }


def document() -> dict[str, Any]:
    runs = [curve(2010.0, (0.01, 0.008 + d), (0.42, 0.425 + d), (0.78, 0.80 + d)) for d in (-0.012, 0.0, 0.012)]
    after = {"asr_excess_max": 0.02, "forget_accuracy_max": 0.44}
    spreads = {name: {"mean": mean, "sd": sd} for name, (mean, sd) in RETRAINED.items()}
    return {
        "schema": "afuic-results/1",
        "name": "bloodmnist",
        "seed": 0,
        "commit": "cbeaf32" + "0" * 33,
        "versions": {"afuic": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu"},
        "machine": {"system": "Linux x86_64", "cores": 2},
        "config": Config().model_dump(mode="json"),
        "requests": [{"id": "r1", "client": HOSPITALS[0], "patients": None, "t": ASKED, "target_online": False}],
        "clients": {
            name: {"images": 1993, "triggered": 996 if name == HOSPITALS[0] else 0, "slowness": 1.0 + index / 4}
            for index, name in enumerate(HOSPITALS)
        },
        "methods": {name: method(name) for name in STORY},
        "retrained": {
            "runs": 3,
            "phases": {"released": spreads, "final": spreads},
            "resurfacing": [after] * 3,
            "curves": [r[21:] for r in runs],
        },
    }


def events() -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for index, name in enumerate(HOSPITALS):
        for step in range(1, int(END / (18 + 9 * index))):
            t = step * (18.0 + 9 * index) + 3 * math.sin(step)
            late = name == HOSPITALS[0] and t > ASKED
            outcome = "quarantined" if late else "applied"
            if not late or t < ASKED + 60:
                stale = None if late else int(index * 2.2 + step % 3)
                lines.append({"t": t, "event": "UpdateArrived", "client": name, "staleness": stale, "outcome": outcome})
    lines.append({"t": ASKED, "event": "EraseRequested", "request": "r1", "client": HOSPITALS[0]})
    lines.append({"t": 1252.0, "event": "Released", "request": "r1", "version": 313})
    lines.sort(key=lambda line: line["t"])
    return [{"arm": "prefix" if line["t"] < ASKED else "afuic", "seq": seq} | line for seq, line in enumerate(lines)]


def write(out: Path, results: dict[str, Any] | None = None, journal: list[dict[str, Any]] | None = None) -> Path:
    (out / "results.json").write_text(json.dumps(results or document()), encoding="utf-8")
    if journal is not None:
        (out / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in journal), encoding="utf-8")
    return out
