"""The supervisor with real processes: they come back, they end, and whatever is killed, nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afuic.deploy import kernel, running
from afuic.deploy.kernel import Family
from afuic.deploy.supervisor import sweep
from afuic.errors import StoreError
from tests.deploy.guarding import place

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="orphans are told by /proc")
PATIENCE_S = 1800.0
SLEEPS = [sys.executable, "-S", "-c", "import time; time.sleep(1000)"]
STUBBORN = [sys.executable, "-S", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)"]
FORKS = [
    sys.executable,
    "-S",
    "-c",
    "import os, signal, time\n"
    "for k in range(2):\n"
    "    if os.fork() == 0:\n"
    "        signal.signal(15, signal.SIG_IGN)\n"
    "        if k: os.setsid()\n"
    "        time.sleep(1000)\n"
    "time.sleep(1000)\n",
]
THREADS = 1 << 31 | 1 << 32
"""Signals 32 and 33 are the C library's own: no program can set them through it, and one that ignores them hands that down."""
WIPES = ["/bin/sh", "-c", "env -i sleep 1000 & exec env -i sleep 1000"]
"""Its children have lost their environment, as nginx's have."""


def wait(for_what: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not for_what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


class Guarded:
    """A guardian with its programs; ``alive``: all of them and all that they started, but not guardian and supervisor."""

    def __init__(self, folder: Path) -> None:
        self.place = place(folder)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, by: tuple[str, ...] = (sys.executable,), stuck_s: float = 60.0, **programs: object) -> None:
        listed = {name: (given if isinstance(given, dict) else {"argv": given}) for name, given in programs.items()}
        code = [*by, "-m", "tests.deploy.guarding", str(self.place.folder), json.dumps(listed), str(stuck_s)]
        with (self.place.folder / "echo").open("wb") as echo:
            self.process = subprocess.Popen(code, cwd=Path(__file__).parents[2], stdout=echo, stderr=echo)
        wait(lambda: running.running(self.place) is not None or self.process.poll() is not None)

    def stages(self) -> dict[str, str]:
        return {name: life["stage"] for name, life in running.read_status(self.place).items()}

    def life(self, name: str) -> dict[str, object]:
        return running.read_status(self.place).get(name, {"starts": 0, "pid": None})

    def family(self) -> list[int]:
        path = self.place.run / "sessions.json"
        noted = json.loads(path.read_text())["sessions"] if path.exists() else {}
        return Family(self.place.mark, sessions={int(pid): born for pid, born in noted.items()}).members()

    def supervisor(self) -> int:
        guardian = running.running(self.place)
        children = Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split()
        return int(children[0])


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    it = Guarded(tmp_path)
    yield it
    if it.process is not None:
        running.stop(it.place)
        it.process.wait()
    assert Family(it.place.mark).members() == []


def test_processes_start_in_the_order_of_their_dependences(guarded, tmp_path):
    ready = tmp_path / "ready"
    guarded.start(first={"argv": SLEEPS, "ready": str(ready)}, second={"argv": SLEEPS, "depends": ["first"]})
    wait(lambda: guarded.stages().get("first") == "starting")
    time.sleep(1)
    assert guarded.stages()["second"] == "waiting"
    ready.touch()
    wait(lambda: guarded.stages() == {"first": "ready", "second": "ready"})


def test_what_an_earlier_supervisor_told_is_forgotten(guarded):
    """Its failures are not this one's; an earlier afuic told less."""
    told = guarded.place.run / "processes.json"
    told.parent.mkdir(parents=True, exist_ok=True)
    before = {"stage": "failed", "pid": None, "since": 0.0, "due": 0.0, "failures": 5, "starts": 5, "last_exit": 1}
    told.write_text(json.dumps({"old": before}))
    assert running.read_status(guarded.place)["old"] == before | {"why": ""}
    guarded.start(first=SLEEPS)
    assert "old" not in running.read_status(guarded.place)
    wait(lambda: guarded.stages() == {"first": "ready"})


DEAF = """
import os, signal, sys
for number in (1, 2, 13, 15, 17): signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, {2, 15, 17})
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Starts a program as nohup in a background shell that blocks signals would, with SIGHUP, SIGINT, SIGPIPE, SIGTERM and SIGCHLD ignored."""


def test_programs_and_supervisor_hear_signals_whatever_they_were_started_from(guarded, tmp_path):
    status = tmp_path / "status"
    heard = ["/bin/sh", "-c", f"cat /proc/self/status > {status}; exec sleep 1000"]
    guarded.start(by=(sys.executable, "-c", DEAF), heard=heard)
    wait(lambda: guarded.stages() == {"heard": "ready"} and status.exists() and "SigCgt" in status.read_text())
    masks = dict(line.split(":\t") for line in status.read_text().splitlines() if line.startswith("Sig"))
    assert (int(masks["SigIgn"], 16) & ~THREADS, int(masks["SigBlk"], 16)) == (0, 0)
    own = dict(
        line.split(":\t") for line in Path(f"/proc/{guarded.process.pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert int(own["SigIgn"], 16) & 1 << signal.SIGHUP - 1, "what nohup asked of the guardian itself stays"
    guarded.process.send_signal(signal.SIGTERM)
    assert guarded.process.wait() == 0
    assert guarded.family() == []


def test_what_ends_is_started_again_and_what_it_left_behind_ends_with_it(guarded):
    guarded.start(forks=FORKS, other=SLEEPS)
    wait(lambda: guarded.stages() == {"forks": "ready", "other": "ready"} and len(guarded.family()) == 4)
    before = guarded.family()
    os.kill(guarded.life("forks")["pid"], signal.SIGKILL)
    wait(lambda: guarded.life("forks")["starts"] == 2 and guarded.stages()["forks"] == "ready" and len(guarded.family()) == 4)
    assert set(before) & set(guarded.family()) == {guarded.life("other")["pid"]}


def test_a_crash_loop_is_slowed_down(guarded):
    guarded.start(crashes=[sys.executable, "-S", "-c", "print('why'); raise SystemExit(3)"], lacking=["/nowhere/program"])
    wait(lambda: guarded.life("crashes")["starts"] == 3)
    life = guarded.life("crashes")
    assert life["failures"] >= 2
    assert life["last_exit"] == 3
    assert (guarded.place.log / "crashes.log").read_text().startswith("why\n")
    assert "again in 2 s" in (guarded.place.log / "supervisor.log").read_text()
    assert "cannot be started" in (guarded.place.log / "lacking.log").read_text()


def test_what_was_handed_over_is_handed_over_again_when_it_is_gone(guarded, tmp_path):
    gone = tmp_path / "gone"
    guarded.start(run={"argv": ["/bin/true"], "alive": str(gone)})
    wait(lambda: guarded.life("run")["starts"] >= 2)
    gone.touch()
    wait(lambda: guarded.stages()["run"] == "done")
    assert guarded.life("run")["last_exit"] == 0


def test_what_runs_without_doing_its_work_is_started_again(guarded, tmp_path):
    """It lives on, as a SuperNode does that has given up."""
    beats = tmp_path / "beats"
    gives_up = ["/bin/sh", "-c", f"for k in 1 2 3 4 5 6 7 8; do touch {beats}; sleep 0.2; done; exec sleep 1000"]
    guarded.start(gives_up={"argv": gives_up, "beats": str(beats)}, other={"argv": SLEEPS, "depends": ["gives_up"]})
    wait(lambda: guarded.stages() == {"gives_up": "ready", "other": "ready"})
    first = guarded.life("gives_up")["pid"]
    wait(lambda: guarded.stages()["gives_up"] == "silent")
    wait(lambda: guarded.life("gives_up")["starts"] >= 2 and guarded.stages()["gives_up"] == "ready")
    assert not Path(f"/proc/{first}").exists()
    assert guarded.life("other")["starts"] == 1
    assert "has not done its work" in (guarded.place.log / "supervisor.log").read_text()


def test_what_depends_on_silence_is_not_blamed_for_it(guarded, tmp_path):
    quiet = {"argv": SLEEPS, "beats": str(tmp_path / "never")}
    guarded.start(below=quiet, above={"argv": SLEEPS, "beats": str(tmp_path / "neither"), "depends": ["below"]})
    wait(lambda: guarded.life("below")["starts"] >= 3)
    assert guarded.life("above")["starts"] < guarded.life("below")["starts"]


def test_an_end_for_good_ends_everything_and_says_why(guarded, tmp_path):
    why = tmp_path / "why"
    refused = ["/bin/sh", "-c", f"echo the server says no > {why}; sleep 0.5; exit 77"]
    guarded.start(refused={"argv": refused, "final": 77, "why": str(why)}, other=SLEEPS)
    assert guarded.process.wait(PATIENCE_S) == 77
    assert guarded.family() == []
    assert "refused: failed, exit 77" in (tmp_path / "echo").read_text()
    assert "the server says no" in (tmp_path / "echo").read_text()


def test_a_supervisor_that_stands_still_is_ended_with_all_it_started(guarded):
    guarded.start(stuck_s=5.0, sleeps=SLEEPS)
    wait(lambda: guarded.stages() == {"sleeps": "ready"})
    family = guarded.family()
    os.kill(guarded.supervisor(), signal.SIGSTOP)
    assert guarded.process.wait(PATIENCE_S) != 0
    assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]


def test_what_others_depend_on_is_ended_last(guarded, tmp_path):
    """A hospital's SuperNode takes its leave of the server while that still runs."""
    said, up = tmp_path / "said", tmp_path / "up"
    leaves = f"trap 'echo $0 >> {said}; exit' TERM; echo $0 >> {up}; while :; do sleep 0.05; done"
    argv = ["/bin/sh", "-c", leaves]
    guarded.start(below={"argv": [*argv, "below"]}, above={"argv": [*argv, "above"], "depends": ["below"]})
    wait(lambda: up.exists() and len(up.read_text().split()) == 2)
    guarded.process.send_signal(signal.SIGTERM)
    guarded.process.wait(PATIENCE_S)
    assert said.read_text().split() == ["above", "below"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stopping_ends_what_ignores_it(guarded, how):
    guarded.start(stubborn=STUBBORN, forks=FORKS, wipes=WIPES)
    wait(lambda: len(guarded.family()) == 6)
    family = guarded.family()
    guarded.process.send_signal(how)
    assert guarded.process.wait(PATIENCE_S) == 0
    assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]
    assert running.running(guarded.place) is None


@pytest.mark.parametrize("who", ["guardian", "supervisor"])
def test_whichever_of_the_two_is_killed_nothing_is_left(guarded, who):
    guarded.start(stubborn=STUBBORN, forks=FORKS, wipes=WIPES)
    wait(lambda: len(guarded.family()) == 6)
    family = guarded.family()
    supervisor = guarded.supervisor()
    os.kill(running.running(guarded.place) if who == "guardian" else supervisor, signal.SIGKILL)
    guarded.process.wait(PATIENCE_S)
    wait(lambda: not [pid for pid in (*family, supervisor) if Path(f"/proc/{pid}").exists()])


def test_what_outlives_both_is_ended_by_the_next_start_or_stop(guarded):
    guarded.start(stubborn=STUBBORN, forks=FORKS, wipes=WIPES)
    wait(lambda: len(guarded.family()) == 6)
    family, supervisor = guarded.family(), guarded.supervisor()
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(running.running(guarded.place), signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    guarded.process.wait(PATIENCE_S)
    left = [pid for pid in family if Path(f"/proc/{pid}").exists()]
    assert left, "the test has nothing to show"
    assert sweep(guarded.place.run, guarded.place.mark, 0.5)
    wait(lambda: not [pid for pid in family if Path(f"/proc/{pid}").exists()])


def test_two_supervisors_of_one_folder_are_one_too_many(guarded):
    guarded.start(sleeps=SLEEPS)
    with pytest.raises(StoreError, match="runs already"):
        running.guard(guarded.place, ())


def test_stop_finds_nothing_to_stop(tmp_path):
    assert running.stop(place(tmp_path)) == 0


def test_a_guardian_that_is_dead_but_not_asked_after_does_not_run(tmp_path):
    """Where nobody reaps, as in a container without an init, its number stays; the next start is not refused for it."""
    where = place(tmp_path)
    where.run.mkdir()
    child = subprocess.Popen(["sleep", "60"])
    (where.run / running.PID).write_text(json.dumps({"pid": child.pid, "born": kernel.born(child.pid)}))
    assert running.running(where) == child.pid
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert running.running(where) is None
    child.wait()
