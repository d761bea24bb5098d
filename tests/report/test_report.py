"""The report made from a handmade run: what it says, that it stands alone, that it is the same each time, and what it does with gaps."""

from __future__ import annotations

import html
import os
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample
from rich.console import Console

from afuic import report
from afuic.errors import StoreError
from afuic.evaluate.gaps import Judged
from afuic.evaluate.results import Results, load
from afuic.report import figures, journal, summary, tables, words
from afuic.report.measures import readable


def text_of(page: Path) -> str:
    """The page's words, without tags and style, spaces made plain."""
    body = re.sub(r"<style>.*?</style>|data:[^\"]*", "", page.read_text(encoding="utf-8"), flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\xa0", " "))


def changed(**changes: Any) -> Results:
    return Results.model_validate(sample.document() | changes)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = sample.write(tmp_path_factory.mktemp("run"), journal=sample.events())
    report.write(folder)
    return folder


def test_writes_a_page_and_three_figures(out: Path) -> None:
    assert {path.name for path in out.iterdir()} == {"results.json", "events.jsonl", "report.html", "figures"}
    assert {path.name for path in (out / "figures").iterdir()} == {"timeline.svg", "curves.svg", "hospitals.svg"}
    for path in (out / "figures").iterdir():
        assert ET.parse(path).getroot().tag.endswith("svg")  # noqa: S314 - our own file


def test_the_same_files_give_the_same_bytes(out: Path, tmp_path: Path) -> None:
    sample.write(tmp_path, journal=sample.events())
    report.write(tmp_path)
    for name in ("report.html", "figures/timeline.svg", "figures/curves.svg", "figures/hospitals.svg"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


class Outline(HTMLParser):
    """Collects every tag with its attributes and checks that each one opened is closed."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_no_network_or_script(out: Path) -> None:
    outline = Outline()
    outline.feed((out / "report.html").read_text(encoding="utf-8"))
    assert outline.open == []
    assert "script" not in {tag for tag, _ in outline.tags}
    links = [value for _, attributes in outline.tags for key, value in attributes.items() if key in {"src", "href"}]
    assert links
    assert all(link is not None and link.startswith(("data:image/svg+xml;base64,", "#")) for link in links)
    ids = {attributes["id"] for _, attributes in outline.tags if "id" in attributes}
    assert {link[1:] for link in links if link and link.startswith("#")} <= {name for name in ids if name}


def test_every_figure_has_an_alternative_text(out: Path) -> None:
    outline = Outline()
    outline.feed((out / "report.html").read_text(encoding="utf-8"))
    alts = [attributes["alt"] for tag, attributes in outline.tags if tag == "img"]
    assert len(alts) == 3
    assert all(alt and len(alt) > 60 for alt in alts)
    assert any(alt and "3 updates quarantined" in alt and "Releases at: 20.9" in alt for alt in alts)


def test_the_opening_says_what_was_asked_and_what_happened(out: Path) -> None:
    text = text_of(out / "report.html")
    # 1993 of 6 * 1993 = 11,958 images is 1/6 = 17 %; 1200 s are 20 minutes; 52 s of 810 s are 6.4 %.
    assert "hospital-0 asked, 20.0 min into the run, that all of its data be erased from the shared model." in text
    assert "It held 1,993 of the 11,958 training images (17%)." in text
    assert "996 of its images carried an artificial mark" in text
    assert "The hospital could not be reached at that moment." in text
    assert "A model was released 52 s after the request (6.4% of the time of retraining); no other hospital waited" in text
    assert "7 updates of theirs were lost" in text
    assert "It released no model: the deadline passed without an answer of hospital-0." in text
    assert "With fewer than 5 models the spread itself is a rough estimate." in text


def test_gaps_are_marked_in_words(out: Path) -> None:
    page = (out / "report.html").read_text(encoding="utf-8")
    # Forget accuracy .77 against .425 +- .012: (.77 - .425) / .012 = 28.75; three models allow 4.97 of them.
    assert re.search(r'class="notable"><span>77\.0%<small>z \+28\.8, apart, higher', page)
    assert re.search(r'"><span>43\.0%<small>z \+0\.4, not told apart', page)


def test_the_page_begins_with_a_verdict(out: Path, tmp_path: Path) -> None:
    said = "In this run afuic’s released model is not told apart from retrained models by any of 4 measures."
    text = text_of(out / "report.html")
    assert said in text
    assert text.index(said) < text.index("hospital-0 asked")
    values = sample.document()
    values["methods"]["afuic"]["phases"]["released"] |= {"forget_accuracy": 0.77, "asr_excess": -0.3, "accuracy": 0.5}
    assert summary.verdict(Results.model_validate(values)) == (
        "In this run afuic’s released model is told apart from retrained models by 3 of 4 measures: test accuracy (lower), forget accuracy "
        "(higher) and excess attack success (lower, which is better)."
    )
    sample.write(tmp_path)
    os.utime(tmp_path / "results.json", (0, 86400 * 365))
    report.write(tmp_path, "Klinikum <Nord>\u202e")
    assert "Klinikum <Nord>\\u202e · results of 1971-01-01" in text_of(tmp_path / "report.html")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"retrained": None}, "can be compared with no spread of retrained models: none was trained."),
        ({"methods": ["continue", "retrain"]}, "In this run nothing was erased"),
        ({"methods": ["ascent-oracle"]}, "ascent-oracle (oracle) released no model: the deadline passed"),
        (
            {"methods": ["continue", "afuic-paper"]},
            "afuic-paper’s released model is told apart from retrained models by 2 of 4 measures:",
        ),
    ],
)
def test_the_verdict_fits_what_was_run(changes: dict[str, Any], said: str) -> None:
    if "methods" in changes:
        changes = {"methods": {name: sample.document()["methods"][name] for name in changes["methods"]}}
    assert said in summary.verdict(changed(**changes))


def test_a_gap_of_half_a_point_is_no_alarm(tmp_path: Path) -> None:
    """With 0.1 points between three retrained models, z is −4; another such model would lie within half a point of them."""
    values = sample.document()
    for spreads in values["retrained"]["phases"].values():
        spreads["forget_accuracy"] = {"mean": 0.48, "sd": 0.001}
    values["retrained"]["curves"] = []
    values["methods"]["afuic"]["phases"]["final"]["forget_accuracy"] = 0.476
    cells = {row.label: row.cells[1] for row in tables.gaps(Results.model_validate(values), "final").rows}
    assert (cells["Forget accuracy"].words, cells["Forget accuracy"].notable) == ("z −4.0, not told apart", False)


@pytest.mark.parametrize("sizes", [True, False])
def test_where_retrained_models_agree_and_nothing_was_erased_that_is_said(sizes: bool) -> None:
    """Forget accuracy 100 % against 50 %, attack 100 % against 0 %, and no spread between the retrained models."""
    values = sample.document()
    agree = {"forget_accuracy": 0.5, "asr": 0.0, "asr_excess": 0.0, "accuracy": 0.8}
    for spreads in values["retrained"]["phases"].values():
        spreads |= {key: {"mean": mean, "sd": 0.0} for key, mean in agree.items()}
    values["retrained"]["curves"] = []
    if sizes:
        hospitals = dict.fromkeys(values["clients"], 4)
        values["sizes"] = {
            "test": [10, 10, 0],
            "forget": 12,
            "members": 6,
            "attacked": 10,
            "hospitals": hospitals,
            "curve": [20, 12, 10],
        }
    leaves = values["methods"]["continue"]
    leaves["phases"]["final"] |= {"forget_accuracy": 1.0, "asr": 1.0, "asr_excess": 1.0, "accuracy": 0.8}
    results = readable(Results.model_validate(values))
    cells = {row.label: row.cells[3] for row in tables.gaps(results, "final").rows}
    assert {label for label, cell in cells.items() if cell.notable} == {
        "Forget accuracy",
        "Attack success",
        "Excess attack success",
    }
    assert not cells["Test accuracy"].notable
    (entry,) = [entry for entry in summary.entries(results) if entry.name == "continue"]
    assert "Not erased: it releases no model of its own." in entry.sentences
    assert entry.sentences[-1].startswith("At the end the model is told apart from retrained models by 3 of 5 measures: ")


def test_a_better_value_is_never_set_in_colour() -> None:
    values = sample.document()
    values["methods"]["afuic"]["phases"]["final"] |= {"accuracy": 0.99, "ece": 0.0, "asr_excess": -0.5}
    values["retrained"]["phases"]["final"]["ece"] = {"mean": 0.05, "sd": 0.001}
    cells = {row.label: row.cells[1] for row in tables.gaps(Results.model_validate(values), "final").rows}
    for label in ("Test accuracy", "Calibration error", "Excess attack success"):
        assert cells[label].words.endswith(": better"), label
        assert not cells[label].notable


def test_what_has_no_value_says_why(tmp_path: Path) -> None:
    values = sample.document()
    for method in values["methods"].values():
        for phase in method["phases"].values():
            phase |= {"auroc": None, "mia_auc": None, "sensitivity": [None, 0.8, None]}
    report.write(sample.write(tmp_path, values))
    text = text_of(tmp_path / "report.html")
    assert "n/a the test set shows one class only" in text
    assert "n/a fewer than two unmarked images to erase" in text
    assert "The test set shows 1 of 3 classes, none of number 0 and 2 (counted from 0)" in text
    console = Console(width=200, file=StringIO(), record=True)
    console.print(report.table(Results.model_validate(values)))
    shown = " ".join(console.export_text().split())
    assert "n/a: membership attack: fewer than two unmarked images" in shown


def test_continue_is_not_erased_wherever_others_say_when_they_released(out: Path) -> None:
    results = load(out / "results.json")
    assert results.outcome("continue") == "not erased"
    assert (results.outcome("afuic"), results.outcome("ascent-oracle")) == ("released after 52 s", "never released")
    assert tables.outcome(results).rows[0].cells[2].words == "not erased"
    console = Console(width=160, file=StringIO(), record=True)
    console.print(report.table(results))
    assert "not erased" in console.export_text()


def test_oracles_are_marked_wherever_methods_are_named(out: Path) -> None:
    results = load(out / "results.json")
    assert "ascent-oracle (oracle)" in tables.outcome(results).columns
    assert "ascent-oracle (oracle)" in tables.gaps(results, "final").columns
    assert "ascent-oracle (oracle)" in [entry.name for entry in summary.entries(results)]


def test_what_would_mislead_is_left_out() -> None:
    values = sample.document()
    values["methods"]["continue"] |= {"erasure_latency_s": 0.0, "latency_to_retrain": 0.0}
    values["methods"]["retrain"]["gaps"] = {"final": {"accuracy": 0.0}}
    shown = readable(Results.model_validate(values))
    assert shown.methods["continue"].erasure_latency_s is None
    assert shown.methods["retrain"].gaps == {}
    assert shown.methods["afuic"] == Results.model_validate(values).methods["afuic"]


def test_settings_and_versions_are_on_the_page(out: Path) -> None:
    text = text_of(out / "report.html")
    for part in ("data.partition.alpha 0.5", "requests.0.client hospital-0", "torch 2.13.0+cpu", "sha256:0123456789abcdef"):
        assert part in text


def test_names_are_escaped(tmp_path: Path) -> None:
    report.write(sample.write(tmp_path, sample.document() | {"name": "<script>alert(1)</script>"}))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_without_events_there_is_no_timeline(tmp_path: Path) -> None:
    report.write(sample.write(tmp_path))
    assert "the run cannot be drawn" in text_of(tmp_path / "report.html")
    assert not (tmp_path / "figures" / "timeline.svg").exists()


def test_a_bare_run_without_trigger_retraining_or_release_has_a_report(tmp_path: Path) -> None:
    values = sample.document()
    none = {"asr": None, "asr_clean": None, "asr_excess": None}
    lone = sample.method("ascent-oracle")
    lone["curve"] = [{**point, "asr": None, "asr_excess": None} for point in lone["curve"]]
    lone["phases"] = {"before": lone["phases"]["before"] | none | {"js_to_retrain": None, "js_floor": None}}
    lone |= {"gaps": {}, "resurfacing": {"asr_excess_max": None, "forget_accuracy_max": None}}
    report.write(sample.write(tmp_path, values | {"methods": {"lone": lone}, "retrained": None, "commit": None}))
    text = text_of(tmp_path / "report.html")
    assert "nothing to say how much forgetting would be enough" in text
    assert "There is no retrained model" in text


def test_what_was_removed_or_moved_before_training_is_told(tmp_path: Path) -> None:
    dropped = {"train_repeated": 0, "train_moved_site": 47, "something_new": 3}
    report.write(sample.write(tmp_path, sample.document() | {"dropped": dropped}))
    text = text_of(tmp_path / "report.html")
    assert "47 training images count at another site than their own" in text
    assert "3 something_new" in text
    assert "byte for byte another training image" not in text


def test_a_curve_without_points_is_drawn_empty(tmp_path: Path) -> None:
    values = sample.document()
    values["methods"] = {name: method | {"curve": []} for name, method in values["methods"].items()}
    values["retrained"]["curves"] = [[]]
    assert report.write(sample.write(tmp_path, values)).exists()


def test_many_hospitals_and_requests_are_drawn(tmp_path: Path) -> None:
    values, lines = sample.document(), sample.events()
    values["clients"] |= {f"clinic-{index}": {"images": 5, "triggered": 0, "slowness": 1.0} for index in range(60)}
    values["requests"] *= 2
    lines.append(lines[-1] | {"event": "EraseRequested", "request": "r2", "t": 1500.0})
    assert report.write(sample.write(tmp_path, values, lines)).exists()


def test_a_broken_event_is_named_with_its_line(tmp_path: Path) -> None:
    sample.write(tmp_path, journal=sample.events())
    with (tmp_path / "events.jsonl").open("a") as stream:
        stream.write('{"arm": "afuic"\n')
    with pytest.raises(StoreError, match=f"line {len(sample.events()) + 1} is not an event"):
        report.write(tmp_path)


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    sample.write(tmp_path)
    (tmp_path / "figures").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"curves\.svg: cannot be written .*; free space or allow writing"):
        report.write(tmp_path)


def test_clients_with_unusable_updates_are_named(tmp_path: Path) -> None:
    update = {"t": 1.0, "event": "UpdateArrived", "outcome": "quarantined"}
    bad = update | {"arm": "prefix", "client": "b", "reason": "update of 'b': 'w' has NaN or infinite entries"}
    late = update | {"arm": "prefix", "client": "a", "reason": "its client is fenced by an erasure request"}
    other = bad | {"arm": "afuic", "client": "a", "reason": "update of 'a': parameter names differ"}
    sample.write(tmp_path, journal=[late | {"seq": 0}])
    assert report.unusable(tmp_path) is None
    sample.write(tmp_path, journal=[late | {"seq": 0}, bad | {"seq": 1}, bad | {"seq": 2}, other | {"seq": 3}])
    told = report.unusable(tmp_path)
    assert told is not None
    assert told.startswith("3 updates were unusable and quarantined (a 1, b 2), the first: update of 'b': 'w' has NaN")


def test_a_missing_result_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such results file"):
        report.write(tmp_path)


def test_timeline_prefers_afuic_and_falls_back_to_the_first_method() -> None:
    def lines(*arms: str) -> list[journal.Event]:
        return [journal.Event(arm=arm, seq=0, t=1.0, event="UpdateArrived") for arm in arms]

    found = journal.timeline(lines("prefix", "other", "afuic"), ["other", "afuic"])
    assert found is not None
    assert (found.arm, len(found.updates)) == ("afuic", 2)
    found = journal.timeline(lines("prefix", "other", "third"), ["other", "third"])
    assert found is not None
    assert (found.arm, len(found.updates)) == ("other", 2)
    assert journal.timeline([], ["afuic"]) is None


def test_timeline_shows_the_past_that_a_method_has_of_its_own() -> None:
    arms = ("prefix", "prefix", "prefix-knot", "prefix-knot", "prefix-knot", "knot", "other")
    events = [journal.Event(arm=arm, seq=i, t=float(i), event="UpdateArrived") for i, arm in enumerate(arms)]
    found = journal.timeline(events, ["knot", "other"])
    assert found is not None
    assert [event.arm for event in found.updates] == ["prefix-knot"] * 3 + ["knot"]
    found = journal.timeline(events, ["other", "knot"])
    assert found is not None
    assert [event.arm for event in found.updates] == ["prefix", "prefix", "other"]


def test_runs_are_aligned_where_all_of_them_are() -> None:
    a = np.array([0.0, 10.0, 20.0]), np.array([0.0, 1.0, 1.0])
    b = np.array([5.0, 15.0]), np.array([0.5, 0.7])
    times, values = figures.aligned([a, b])
    assert times.tolist() == [5.0, 10.0, 15.0]
    assert values[0] == pytest.approx([0.5, 1.0, 1.0])  # halfway from 0 to 1, then as measured
    assert values[1] == pytest.approx([0.5, 0.6, 0.7])  # halfway from .5 to .7 at 10


def test_the_terminal_table_has_a_row_for_each_method() -> None:
    console = Console(width=160, file=StringIO(), record=True)
    console.print(report.table(changed()))
    shown = console.export_text().replace("\xa0", " ")
    for part in (
        "afuic-paper",
        "never released",
        "52 s",
        "(6.4%)",
        "z +28.8 apart",
        "z: gap in units of the spread of 3 retrained",
    ):
        assert part in shown
    assert (
        report.table(changed(retrained=None)).caption
        == "there is no retrained model, so there is no z; ASR: attack success rate"
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (words.number(-0.0004), "0.000"),
        (words.number(-1.5, 1), "−1.5"),
        (words.number(None), "–"),
        (words.percent(0.774), "77.4%"),
        (words.signed(0.04), "0.0"),
        (words.signed(2.25), "+2.2"),
        (words.duration(5.25), "5.2\xa0s"),
        (words.duration(119.0), "119\xa0s"),
        (words.duration(810.0), "13.5\xa0min"),
        (words.duration(9000.0), "2.5\xa0h"),
        (words.size(999), "999\xa0B"),
        (words.size(4_300_000), "4.3\xa0MB"),
        (words.verdict(Judged(-4.0, False, "lower", False)), "not told apart"),
        (words.verdict(Judged(-4.0, True, "lower", False)), "apart, lower"),
        (words.verdict(Judged(-4.0, True, "lower", True)), "apart, lower: better"),
        (words.verdict(None), "not comparable"),
        (words.count(0, "update"), "no updates"),
        (words.count(1, "update"), "1 update"),
        (words.count(1200, "update"), "1,200 updates"),
        (words.listed(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_numbers_in_words(found: str, expected: str) -> None:
    assert found == expected
