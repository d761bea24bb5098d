"""afuic data list, get and import, on files made here."""

from __future__ import annotations

import csv
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from afuic.cli.running import planned
from afuic.data import catalogue, load, phantom
from afuic.engines.laboratory import prepare


@pytest.fixture
def manifest(tmp_path):
    """A csv of 120 phantom images of two classes from two sites and 30 patients."""
    made = phantom(1, classes=2, n=(80, 20, 20), sites=2, patients=30)
    with (tmp_path / "slides.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "site", "patient"])
        for i, image in enumerate(made.images):
            Image.fromarray(np.squeeze(image)).save(tmp_path / f"{i}.png")
            writer.writerow([f"{i}.png", f"class-{made.labels[i]}", made.site[i], made.patient[i]])
    return tmp_path / "slides.csv"


def test_list_tells_every_set(afuic_cli):
    code, text = afuic_cli("data", "list")
    assert code == 0
    assert all(entry.name in text and entry.licence in text for entry in catalogue())


def test_import_writes_what_load_reads(afuic_cli, manifest, tmp_path):
    out = tmp_path / "slides.npz"
    code, text = afuic_cli("data", "import", manifest, "--out", out, "--size", 16, "--name", "mine")
    assert code == 0
    assert text.startswith("mine: train ")
    assert (
        f"use it with: afuic run --set name=slides --set data.name={out} --set data.size=16 --set data.partition.kind=site"
        in text
    )
    assert load(str(out)).images.shape[1:3] == (16, 16)


def test_the_command_that_import_prints_can_be_planned_as_printed(afuic_cli, manifest, tmp_path):
    out = tmp_path / "my slides.npz"
    code, text = afuic_cli("data", "import", manifest, "--out", out, "--size", 16)
    assert code == 0
    (printed,) = re.findall(r"use it with: (afuic run .*)", text)
    _, _, *words = shlex.split(printed)
    config, _, _ = planned(None, None, tuple(words[1::2]), resume=False)
    assert set(words[0::2]) == {"--set"}
    assert (config.data.size, config.data.name, config.data.trigger) == (16, str(out), None)
    assert config.name == "my slides"
    lab = prepare(config)
    assert set(lab.federation.clients) == {"site-0", "site-1"}


def test_import_says_what_it_made_of_the_columns(afuic_cli, tmp_path):
    arrays = {"images": np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8), "labels": np.arange(60) % 2}
    arrays |= {"site": np.array(["north", "south"] * 30), "patient": np.arange(60) // 4, "age": np.arange(60)}
    arrays |= {"usage": np.array(["train", "test"] * 30), "class_names": np.array(["a", "b", "c"])}
    arrays["patient"] = np.where(arrays["patient"] == 3, "None", arrays["patient"].astype(str))
    np.savez(tmp_path / "in.npz", **arrays)
    code, text = afuic_cli("data", "import", tmp_path / "in.npz", "--out", tmp_path / "out.npz")
    assert code == 0
    for line in (
        "sites: north 30, south 30; patients: 28; moved to another split: 0",
        "14 patients' ids occur at several sites and are taken for another person at each; --patient-scope global takes them for one",
        "images of unknown patients: 4, each taken for a patient of its own",
        "classes without an image: c",
        "not read: age, usage",
        "usage says train or test and was not used; head it split if it is the set's own division",
    ):
        assert line in text.splitlines()
    code, text = afuic_cli("data", "import", tmp_path / "in.npz", "--out", tmp_path / "out.npz")
    assert (code, "--force" in text) == (2, True)
    code, text = afuic_cli(
        "data",
        "import",
        tmp_path / "in.npz",
        "--out",
        tmp_path / "out.npz",
        "--force",
        "--patient-scope",
        "global",
        "--ignore",
        "age",
    )
    assert code == 0
    assert "14 patients' ids occur at several sites and are taken for one person each (patient scope global)" in text
    assert load(str(tmp_path / "out.npz")).patient_scope == "global"
    code, text = afuic_cli("data", "import", tmp_path / "in.npz", "--out", tmp_path / "x.npz", "--patient-scope", "all")
    assert (code, "write site or global" in text) == (2, True)


def test_import_names_the_missing_file(afuic_cli, manifest, tmp_path):
    (tmp_path / "5.png").unlink()
    code, text = afuic_cli("data", "import", manifest, "--out", tmp_path / "x.npz")
    assert code == 2
    assert "5.png" in text
    assert text.count("\n") == 1
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize(("name", "why"), [("bloodmnits", "did you mean 'bloodmnist'?"), ("phantom", "nothing to download")])
def test_get_refuses_in_one_sentence(afuic_cli, name, why):
    code, text = afuic_cli("data", "get", name)
    assert code == 2
    assert why in text
