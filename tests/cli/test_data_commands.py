"""afuic data list, get and import, on files made here."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from afuic.data import catalogue, load, phantom


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
    assert f"use it with: afuic run --set data.name={out}" in text
    assert load(str(out)).images.shape[1:3] == (16, 16)


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
