"""Interrupted and killed runs as a person meets them: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import pytest

from afuic.deploy.kernel import as_new
from afuic.engines.pool import _interrupts_held

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds child processes through /proc")
SETTINGS = ("clock.horizon_s=60", "evaluation.retrained=1", 'methods=["continue", "retrain"]')


def test_ctrl_c_while_the_workers_start_ends_all_in_one_sentence(tmp_path: Path) -> None:
    with _begun(tmp_path / "run", lambda pid: len(_workers(pid)) == 2) as run:
        workers = _workers(run.pid)
        os.killpg(run.pid, signal.SIGINT)
        _, said = run.communicate()
    assert run.returncode == 130
    assert said.splitlines()[-1] == f"afuic: stopped; `afuic run --resume --out {tmp_path / 'run'}` goes on"
    assert "Traceback" not in said
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_a_killed_worker_is_told_in_one_sentence(tmp_path: Path) -> None:
    with _begun(tmp_path / "run", lambda pid: len(_workers(pid)) == 2) as run:
        os.kill(_workers(run.pid)[0], signal.SIGKILL)
        _, said = run.communicate()
    assert run.returncode == 2
    assert "afuic: the process that ran 'prefix' died (exit code -9" in said
    assert "Traceback" not in said


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with _begun(tmp_path / "run", lambda pid: sum(_ignores_ctrl_c(worker) for worker in _workers(pid)) == 2) as run:
        run.kill()
        _, said = run.communicate()  # returns when the last process that holds standard error has ended
    assert "Traceback" not in said


def test_ctrl_c_that_is_ignored_stays_ignored_while_the_workers_start() -> None:
    """As in a job that a shell has put into the background: the terminal's Ctrl-C is not meant for it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _begun(out: Path, ready: Callable[[int], bool]) -> Iterator[subprocess.Popen[str]]:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-m", "afuic.cli", "run", "demo-phantom", "--jobs", "2", "--out", str(out), *settings]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, start_new_session=True, preexec_fn=as_new) as run:  # noqa: PLW1509
        while run.poll() is None and not ready(run.pid):
            sleep(0.02)
        yield run


def _workers(pid: int) -> list[int]:
    """The processes that work for ``pid``, by their command lines."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _ignores_ctrl_c(pid: int) -> bool:
    """Whether a worker has come as far as its loop: before that, Python itself complains of a parent that ends in mid-sentence."""
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = next(line for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(ignored.split()[1], 16) & 1 << signal.SIGINT - 1)
