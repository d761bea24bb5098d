"""Cases of pictures, configurations and simulations: each behaves as its README says. See ``test_cases`` for where they lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from afuic import report
from afuic.cli import app
from afuic.config import load as load_config
from afuic.data import load, pictures
from afuic.evaluate import results
from tests.cases.test_cases import CASES, Check, imported, refused


def upright(case: Path, out: Path) -> None:
    """Every picture is as tall and as wide as those that were never turned, and the tagged ones are not as they were stored."""
    code, said = imported(case, out)
    assert code == 0, said
    plain = [pictures.read(path).pixels.shape for path in case.glob("*.jpg")]
    assert len(set(plain)) == 1
    assert not np.array_equal(load(str(out)).images, load(str(case / "o.npz")).images)


def on_black(case: Path, out: Path) -> None:
    """What was transparent is black, and the import says for how many images."""
    code, said = imported(case, out)
    assert code == 0, said
    assert "40 images were transparent in places; black was laid beneath them" in said
    assert (load(str(out)).images[:, 0, 0] == 0).all()


def read_all_the_same(case: Path, _: Path) -> None:
    """The file that Notepad saved is the shipped configuration."""
    assert load_config(case / "c.toml") == load_config("demo-phantom")


def damaged(case: Path, out: Path) -> None:
    """One sentence each that names the file."""
    for path in sorted(case.glob("*.*")):
        if path.suffix in {".avif", ".dds"}:
            manifest = out.parent / "m.csv"
            manifest.write_text(f"image,label\n{path},a\n{path},b\n")
            result = CliRunner().invoke(app, ["data", "import", str(manifest), "--out", str(out)])
            assert result.exit_code == 2, result.output
            assert f"{path.name}: not a readable image" in result.output
            assert result.output.count("\n") == 1


def run(case: Path, out: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["run", str(case / "c.toml"), "--out", str(out), "--jobs", "1"])
    return result.exit_code, result.output


def not_begun(*words: str) -> Callable[[Path, Path], None]:
    """A check that the run is refused in one sentence that holds these words, and writes nothing."""

    def check(case: Path, out: Path) -> None:
        code, said = run(case, out)
        assert code == 2, said
        assert all(word in said for word in words), said
        assert not out.exists()

    return check


def others_are_written(case: Path, out: Path) -> None:
    """The results are there, the retrained model is marked, and page and terminal say so."""
    code, said = run(case, out)
    assert code == 0, said
    found = results.load(out / "results.json")
    assert found.retrained is not None
    assert "diverged" in found.retrained.failed["retrain/0"]
    assert found.retrained.runs == 0
    assert "none remains, so there are no gaps" in said
    assert "none remains, so there are no gaps" in report.write(out).read_text(encoding="utf-8")


SHORT = (
    "data.partition.min_images=1", "data.calibration=4", "training.steps=2", "training.batch=8", "clock.horizon_s=30.0",
    "evaluation.every_s=10.0", "evaluation.retrained=2", 'methods=["afuic", "retrain"]', "name=x",
)  # fmt: skip


def undefined(case: Path, out: Path) -> None:
    """What one class cannot say has no value in the results, and page and terminal say so with the reason."""
    code, said = imported(case, out)
    assert code == 0, said
    name = sorted(np.load(out)["site"].tolist())[0]
    settings = (*SHORT, f"data.name={out}", "data.partition.kind=site", f"requests.0.client={name}")
    options = [word for setting in settings for word in ("--set", setting)]
    folder = out.parent / "run"
    result = CliRunner().invoke(app, ["run", "--out", str(folder), "--jobs", "1", *options])
    assert result.exit_code == 0, result.output
    found = results.load(folder / "results.json")
    assert {phase.auroc for method in found.methods.values() for phase in method.phases.values()} == {None}
    assert found.retrained is not None
    assert "auroc" not in found.retrained.phases["final"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "n/a<small>the test set shows one class only" in page
    assert "and AUROC needs two" in page
    assert "n/a" in result.output


RIGHT: dict[str, Check] = {
    "part-test-one-class": undefined,
    "cfg-bom": read_all_the_same,
    "exif-orientation": upright,
    "fuzz": damaged,
    "png16-rgb": refused("0.png: has 16 bits a sample (PNG)"),
    "rgba-transparent": on_black,
    "sim-batch-huge": not_begun("training.batch = 100000", "the largest hospital has 67"),
    "sim-diverged-reference": others_are_written,
    "sim-fedbuff-buffer-bigger": not_begun("aggregation.buffer = 50", "and 1 take part"),
    "tiff16-rgb": refused("0.tif: has 16 bits a sample (TIFF)"),
}


@pytest.mark.skipif(not CASES.is_dir(), reason=f"there are no cases at {CASES}; set AFUIC_CASES to their folder")
@pytest.mark.parametrize("name", RIGHT)
def test_case(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    case = CASES / name
    if not case.is_dir():
        pytest.skip(f"{case} is not there")
    RIGHT[name](case, tmp_path / "out.npz")
