"""The progress display: what is left, how many lines, and that it draws."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from afuic.cli.display import Remaining, _duration, benching, following, transferring
from afuic.engines.arm import Progress


def at(arm: str, t: float, *, version: int = 0, note: str = "", state: str = "running") -> Progress:
    """An arm of 100 virtual seconds at ``t``."""
    return Progress(arm, t, 100.0, version, note, state)


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None, legacy_windows=False)


def text(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def test_remaining_is_what_is_left_over_the_speed_seen():
    now = [50.0]
    left = Remaining(lambda: now[0])
    left.update(at("a", 0))
    left.update(at("b", 0, state="waiting"))
    now[0] = 60.0
    left.update(at("a", 40))
    # 40 virtual seconds in 10 real ones; 60 + 100 are left: 160 / 4 = 40
    assert left.seconds() == pytest.approx(40.0)
    assert (left.t, left.t_end) == (40, 200)
    assert str(left) == "about 40 s left"


def test_what_was_done_before_a_resume_is_not_speed():
    now = [0.0]
    left = Remaining(lambda: now[0])
    left.update(at("a", 80))
    now[0] = 5.0
    left.update(at("a", 90))
    # 10 virtual seconds in 5 real ones; 10 are left: 5
    assert left.seconds() == pytest.approx(5.0)


def test_nothing_is_claimed_before_anything_was_seen():
    left = Remaining(lambda: 0.0)
    assert str(left) == "estimating what is left"
    left.update(at("a", 0))
    assert left.seconds() is None


def test_an_arm_that_is_done_has_nothing_left():
    left = Remaining(lambda: 0.0)
    left.update(at("a", 0))
    left.update(at("a", 97, state="done"))
    assert left.seconds() == 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (59.6, "1 min 00 s"), (80, "1 min 20 s"), (3720, "1 h 02 min"), (-1, "0 s")]
)
def test_durations(seconds, words):
    assert _duration(seconds) == words


def test_plain_lines_are_at_most_one_for_each_tenth():
    out = console(terminal=False)
    with following(out) as progress:
        progress(at("afuic", 0, state="waiting"))
        for t in range(101):
            progress(at("afuic", t, version=t, note="training [3/6]"))
        progress(at("afuic", 100, version=100, state="done"))
    lines = text(out).splitlines()
    assert len(lines) == 11
    assert lines[4].startswith("afuic: 40 %, t = 40 of 100 s, version 40, training [3/6]; about ")


def test_bars_are_drawn_for_each_arm_and_all():
    out = console(terminal=True)
    with following(out) as progress:
        progress(at("afuic", 30, version=7, note="healing [1/2]"))
        progress(at("retrain-0", 0, state="waiting"))
        progress(at("afuic", 100, state="done"))
    last = text(out)
    for word in ("afuic", "retrain-0", "all", "100/100 s", "waiting", "about 0 s left", "done"):
        assert word in last


def test_transfers_are_one_line_each_without_a_terminal():
    out = console(terminal=False)
    with transferring(out) as progress:
        for done in range(5):
            progress("https://example.org/x.npz", done, 5)
        progress("a wheel", 0, None)
    assert text(out) == "https://example.org/x.npz\na wheel\n"


def test_transfers_have_a_bar_on_a_terminal():
    out = console(terminal=True)
    with transferring(out) as progress:
        progress("x.npz", 1_000_000, None)
        progress("x.npz", 2_000_000, 4_000_000)
    assert "2.0/4.0 MB" in text(out)


@pytest.mark.parametrize(
    ("width", "name"), [(80, "…images of organamnist/4/afuic "), (140, "2000 calibration images of organamnist/4/afuic ")]
)
def test_a_suite_shows_which_arm_and_what_is_left_on_any_terminal(width, name):
    shown = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None, legacy_windows=False)
    with benching(shown) as progress:
        progress(Progress("2000 calibration images of organamnist/4/afuic", 12000.0, 13000.0, 9, "healing", "running"), Left())
    assert f"{name}" in text(shown)
    assert "12000/13000 s healing" in text(shown)
    assert "about 1 min 05 s left" in text(shown)


def test_an_arm_whose_end_is_not_known_claims_none():
    shown = console(terminal=True)
    with benching(shown) as progress:
        progress(Progress("x/0/a", 0.0, 0.0, 0, "beginning", "running"), Left())
        progress(Progress("x/0/b", 440.0, 440.0, 9, "request-0 working", "running"), Left())
    assert "0/0 s" not in text(shown)
    assert "440 s request-0 working" in text(shown)
    assert "440/440" not in text(shown)


class Left:
    """Two of three arms are done, 65 s are left."""

    done, all = 2, 3

    def seconds(self) -> float:
        return 65.0


@pytest.mark.parametrize("terminal", [True, False])
def test_a_suite_shows_what_runs_and_what_is_left(terminal):
    shown = console(terminal)
    with benching(shown) as progress:
        progress(at("x/0/a", 50, note="training"), Left())
        progress(at("x/0/b", 10, note="request-0 healing"), Left())
        progress(at("x/0/a", 100, note="done", state="done"), Left())
    if terminal:
        assert "2/3" in text(shown)
        assert "request-0 healing" in text(shown)
        assert "about 1 min 05 s left" in text(shown)
    else:
        assert text(shown) == "2 of 3: x/0/a: done; about 1 min 05 s left\n"
