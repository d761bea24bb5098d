"""Hands the federation's run to a SuperLink: ``python -m afuic.engines.flower_submit FOLDER`` until a ServerApp serves.

Safe to repeat at any time: keys are registered once, runs that nobody serves any more are stopped, and a run that is served is left alone.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from afuic.document import parse_json
from afuic.engines import flower_commands as commands
from afuic.errors import AfuicError, EngineError, extra
from afuic.settings import SERVER_FILE, Server, load
from afuic.store.files import read_json, write_bytes, write_json
from afuic.text import log_to

PATIENCE_S, PAUSE_S, COMMAND_S = 180.0, 0.5, 120.0
TAKEN = "[code: 23]"
REGISTERED = "registered.json"

log = logging.getLogger("afuic.flower")


def submit(folder: Path, patience_s: float = PATIENCE_S) -> None:
    """Return when a ServerApp serves this federation; EngineError when none does after ``patience_s``."""
    settings = load(folder / SERVER_FILE, Server)
    if commands.serving(settings.store):
        return
    flower = Flower(folder)
    write_bytes(flower.home / "config.toml", commands.connection(folder, settings).encode())
    flower.register({h.name: h.node_key for h in settings.hospitals})
    flower.stop()
    run = flower.run()
    log.info("run %s submitted", run)
    flower.wait(run, settings.store, patience_s)


class Flower:
    """Flower's commands on a federation's SuperLink."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, commands.home(folder)

    def register(self, keys: dict[str, str]) -> None:
        """Let the SuperNodes that hold these keys in, and no others. What was registered is remembered, since Flower does not tell."""
        place = self.home / REGISTERED
        known = read_json(place) if place.exists() else {}
        there = {str(node["node-id"]) for node in self._rows("nodes", "supernode", "list") if node["status"] != "unregistered"}
        nodes = {key: node for key, node in known.items() if node in there}
        for key in set(nodes) - set(keys.values()):
            self._ask("supernode", "unregister", nodes.pop(key), commands.CONNECTION)
        for name, key in keys.items():
            if key not in nodes:
                nodes[key] = self._register(name, key)
                write_json(place, nodes)

    def stop(self) -> None:
        """End every run that is under way; one that ends by itself meanwhile cannot be stopped any more, and need not be."""
        for run in self._under_way():
            answer = self._answer("stop", run, commands.CONNECTION)
            if not answer.get("success") and run in self._under_way():
                raise EngineError(f"flwr stop: {_reason(answer)}")

    def _under_way(self) -> list[str]:
        return [row["run-id"] for row in self._rows("runs", "list") if not row["status"].startswith("finished")]

    def run(self) -> str:
        """Hand the app over; the run's id."""
        return str(self._ask("run", str(self.folder / "app"), commands.CONNECTION)["run-id"])

    def wait(self, run: str, store: Path, patience_s: float) -> None:
        """Until the ServerApp holds its lock."""
        until = time.monotonic() + patience_s
        while not commands.serving(store):
            status = self._status(run)
            if status.startswith("finished"):
                raise EngineError(f"run {run}: {status} before it served; 'flwr log {run}' and the SuperExec's log say why")
            if time.monotonic() > until:
                raise EngineError(f"run {run}: {status}, but no ServerApp after {patience_s:.0f} s; is the SuperExec running?")
            time.sleep(PAUSE_S)

    def _status(self, run: str) -> str:
        rows = [row for row in self._rows("runs", "list") if row["run-id"] == run]
        return str(rows[0]["status"]) if rows else "unknown to the SuperLink"

    def _register(self, name: str, key: str) -> str:
        place = self.home / "keys" / f"{name}.pub"
        write_bytes(place, f"{key}\n".encode())
        answer = self._answer("supernode", "register", str(place), commands.CONNECTION, "--name", name)
        if answer.get("success"):
            log.info("%s: key registered as node %s", name, answer["node-id"])
            return str(answer["node-id"])
        if TAKEN in str(answer.get("error-message")):
            return ""
        raise EngineError(f"{name}: the SuperLink does not register its key ({_reason(answer)})")

    def _rows(self, what: str, *arguments: str) -> Iterable[dict[str, Any]]:
        found: Iterable[dict[str, Any]] = self._ask(*arguments, commands.CONNECTION)[what]
        return found

    def _ask(self, *arguments: str) -> dict[str, Any]:
        answer = self._answer(*arguments)
        if not answer.get("success"):
            raise EngineError(f"flwr {arguments[0]}: {_reason(answer)}")
        return answer

    def _answer(self, *arguments: str) -> dict[str, Any]:
        environment = {**os.environ, **commands.submit(self.folder).env}
        argv = commands.command(*arguments)
        try:
            done = subprocess.run(argv, env=environment, capture_output=True, timeout=COMMAND_S, check=False)  # noqa: S603
            value = parse_json(done.stdout)
        except OSError as error:
            raise EngineError(f"{argv[0]}: cannot be run ({error.strerror}); {extra('deploy')}") from None
        except (ValueError, subprocess.TimeoutExpired):
            raise EngineError(f"flwr {arguments[0]}: no answer in JSON; is the SuperLink running?") from None
        if not isinstance(value, dict):
            raise EngineError(f"flwr {arguments[0]}: an answer that is no JSON object")
        return value


def _reason(answer: dict[str, Any]) -> str:
    return " ".join(str(answer.get("error-message", answer)).split())


def main(arguments: list[str]) -> int:
    """The program; its exit code."""
    log_to(sys.stderr)
    try:
        submit(Path(arguments[0]).resolve())
    except AfuicError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
