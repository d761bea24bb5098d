"""What decides the numbers of a task, as one digest: by it a folder refuses other settings, and a suite finds what another has run."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

from afuic.bench.task import Task
from afuic.erase import METHODS
from afuic.learning import devices

DATA = ("name", "calibration_from")
"""Options of [data] that name a data set or a file."""
DIGITS = 16


def fingerprint(task: Task) -> str:
    """The same for tasks with the same numbers, whatever suite, case and folder they belong to; data files by what is in them, options
    with every default written out.

    Other methods and references may join a suite later, so neither their list nor their number is part of it, but of a past what it has
    kept ready for them is; and so is the GPU, where networks compute on one, since its last bits are its own.
    """
    values = json.loads(task.config)
    needs = [METHODS[name].configure({}).needs for name in values["methods"]]
    ready = [any(n.history for n in needs), any(n.last_models for n in needs)] if task.past else []
    files = {key: _content(name) for key in DATA if (name := values["data"][key]) is not None}
    values |= {"data": values["data"] | files, "evaluation": values["evaluation"] | {"retrained": 0}}
    values |= {"name": "", "methods": []}
    options = METHODS[task.method].configure(json.loads(task.options).get(task.method, {})).options
    settings = [values, ready, options.model_dump(mode="json"), task.method, task.family, task.until, task.kind, task.witness]
    if (gpu := devices.gpu()) is not None:
        settings.append(gpu)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:DIGITS]


@functools.lru_cache(maxsize=64)
def _content(name: str) -> str:
    return hashlib.sha256(Path(name).read_bytes()).hexdigest() if Path(name).is_file() else name
