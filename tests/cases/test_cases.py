"""Inputs that once became other data in silence, or failed with a traceback: each behaves as its README says.

The folder lies beside the repository and is not part of it (AFUIC_CASES names another place). Each kind has tests of its own elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from afuic.cli import app
from afuic.config import Data, Partition
from afuic.data import federate, load
from afuic.errors import DataError

CASES = Path(os.environ.get("AFUIC_CASES", Path(__file__).parents[3] / "shared" / "cases"))
ELSEWHERE = frozenset(
    {
        "cfg-bom", "exif-orientation", "fuzz", "part-test-one-class", "png16-rgb", "rgba-transparent", "sim-batch-huge",
        "sim-diverged-reference", "sim-fedbuff-buffer-bigger", "tiff16-rgb",
    }
)  # fmt: skip
"""Cases that other tests of this folder run."""

Check = Callable[[Path, Path], None]


def imported(case: Path, out: Path) -> tuple[int, str]:
    """The exit code of ``afuic data import`` and all it said."""
    source = next(path for path in (case / "s.npz", case / "m.csv") if path.is_file())
    result = CliRunner().invoke(app, ["data", "import", str(source), "--out", str(out)])
    return result.exit_code, result.output


def refused(*words: str) -> Check:
    """A check that the import ends with code 2 and one sentence that holds these words, and writes nothing."""

    def check(case: Path, out: Path) -> None:
        code, said = imported(case, out)
        assert code == 2, said
        assert said.count("\n") == 1
        assert all(word in said for word in words), said
        assert not out.exists()

    return check


def one_picture_two_patients(case: Path, out: Path) -> None:
    """Refused, and so is a set that was imported before it was."""
    refused("5 images are byte for byte the same", "different patients", "'p0'", "'p10'")(case, out)
    config = Data(partition=Partition(kind="site", min_images=1), calibration=0)
    with pytest.raises(DataError, match="training images are another patient's as well"):
        federate(load(str(case / "o.npz")), config, 0)


def numbers_of_three_hospitals(case: Path, out: Path) -> None:
    """36 patients, whose images stay with their hospital, and the import says so."""
    code, said = imported(case, out)
    assert code == 0
    assert "patients: 36;" in said
    assert "12 patients' ids occur at several sites and are taken for another person at each" in said
    dataset = load(str(out))
    assert dataset.site is not None
    federation = federate(dataset, Data(partition=Partition(kind="site", min_images=1), calibration=5), 0)
    assert federation.dropped["train_moved_site"] == federation.dropped["test_moved_site"] == 0
    for name, client in federation.clients.items():
        assert len(client) == int(((dataset.site == name) & (dataset.split == 0)).sum())
        assert set(client.patients) <= {str(number) for number in range(1, 13)}


def two_codes(case: Path, out: Path) -> None:
    """Two classes, named by their codes."""
    assert imported(case, out)[0] == 0
    dataset = load(str(out))
    assert dataset.class_names == ("10011", "20345")
    assert set(dataset.labels.tolist()) == {0, 1}


def forty_unknown(case: Path, out: Path) -> None:
    """Ten patients; the other images' patients are unknown."""
    code, said = imported(case, out)
    assert code == 0
    assert "images of unknown patients: 40" in said
    found = load(str(out)).patient
    assert found is not None
    assert np.unique(found).tolist() == ["", *(f"p{k}" for k in range(10))]


RIGHT: dict[str, Check] = {
    "copy-under-two-patients": one_picture_two_patients,
    "csv-duplicate-header": refused("2 columns are headed 'label'"),
    "csv-open-quote-in-other-column": refused("a quote is opened on line 12", "line 42"),
    "header-Patient": refused("column 'Patient' is not read but looks like 'patient'"),
    "header-Split": refused("column 'Split' is not read but looks like 'split'"),
    "label-missing-NA": refused("10 of 80 labels are blank or unknown", "line 9", "'#N/A'"),
    "labels-case": refused("labels are written in more than one way", "'Benign'", "'benign'"),
    "local-patient-ids-3-sites": numbers_of_three_hospitals,
    "npz-classnames-dup": refused("1 classes have a name twice, first 'a'"),
    "npz-labels-icd": two_codes,
    "patient-007-vs-7": refused("10 patients are written in more than one way", "'0'", "'000'"),
    "patient-missing-None": forty_unknown,
    "patient-nfc-nfd": refused("10 patients are written in more than one way", "'Mu\\u0308ller-0'"),
    "site-missing-nan": refused("20 of 80 sites are blank or unknown", "'nan'"),
}


@pytest.mark.skipif(not CASES.is_dir(), reason=f"there are no cases at {CASES}; set AFUIC_CASES to their folder")
@pytest.mark.parametrize("name", RIGHT)
def test_case(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    case = CASES / name
    if not case.is_dir():
        pytest.skip(f"{case} is not there")
    RIGHT[name](case, tmp_path / "out.npz")


@pytest.mark.skipif(not CASES.is_dir(), reason=f"there are no cases at {CASES}; set AFUIC_CASES to their folder")
def test_every_case_has_a_check() -> None:
    assert {path.name for path in CASES.iterdir() if path.is_dir()} <= RIGHT.keys() | ELSEWHERE
