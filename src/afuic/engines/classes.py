"""The project's own classes that a file or a message may hold: what ``store.codec`` may make of bytes, and nothing else."""

from __future__ import annotations

import sys
from functools import cache

from afuic import aggregate, config
from afuic.aggregate import server_optimizer
from afuic.erase import METHODS, augment, calibrate, carriers, judgement, ledger, method, rounds, scrub
from afuic.protocol import effects, events, requests, state


@cache
def core() -> tuple[type, ...]:
    """Those of the protocol's values, among them those of every method's file."""
    modules = (events, effects, requests, state, method, ledger, server_optimizer, aggregate.contribution, calibrate, carriers)
    files = {sys.modules[m.options.__module__] for m in METHODS.values()}
    found = {
        c
        for m in (*modules, *files, augment, judgement, rounds, scrub, config)
        for c in vars(m).values()
        if isinstance(c, type)
    }
    return tuple(sorted(found, key=lambda c: f"{c.__module__}.{c.__qualname__}"))
