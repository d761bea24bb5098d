"""``afuic deploy`` as a person uses it, without starting servers."""

from __future__ import annotations

import numpy
import pytest

from afuic.data.dataset import TRAIN, Dataset
from afuic.data.npz import write_dataset
from afuic.settings import Server, Site, load
from tests.cli.conftest import afuic_cli

__all__ = ["afuic_cli"]


def test_init_writes_a_federation_and_says_what_to_copy_where(afuic_cli, tmp_path):
    folder = tmp_path / "federation"
    code, text = afuic_cli(
        "deploy", "init", folder, "--hospitals", "north,south", "--public-host", "fl.example.org", "--set", "seed=3"
    )
    assert code == 0
    assert "nowhere            ca/ca.key" in text
    server = load(folder / "federation.toml", Server)
    assert [hospital.name for hospital in server.hospitals] == ["north", "south"]
    assert server.federation.seed == 3
    assert server.images.class_names[0] == "basophil"
    assert load(folder / "hospitals/south/hospital.toml", Site).superlink == "fl.example.org:9443"
    code, text = afuic_cli("deploy", "init", folder, "--hospitals", "north,south")
    assert code == 2
    assert "keys are never overwritten" in text


def test_a_wrong_word_writes_nothing(afuic_cli, tmp_path):
    for wrong in (
        ("--hospitals", "north"),
        ("--hospitals", "a,b", "--data", "nosuch"),
        ("--hospitals", "a,b", "--set", "training.steps=0"),
        ("--hospitals", "a,b", "--public-port", "0"),
        ("--hospitals", "none,b"),
        ("--hospitals", "a,b", "--public-host", "https://fl.example.org"),
        ("--hospitals", "a,b", "--public-host", "fl.example.org:9443"),
        ("--hospitals", "a,b", "--public-host", "münchen.de"),
        ("--hospitals", "a,b", "--public-host", "a b;c"),
        ("--hospitals", "a,b", "--public-host", ""),
        ("--hospitals", "a,b", "--data", "chestmnist"),
        ("--hospitals", "a,b", "--set", "options.afuic.nosuch=1"),
        ("--hospitals", "a,b", "--set", "options.nosuch.steps=1"),
        ("--hospitals", "a,b", "--set", "methods=['nosuch']"),
        ("--hospitals", "a,b", "--set", "model.name=nosuch"),
    ):
        code, _ = afuic_cli("deploy", "init", tmp_path / "federation", *wrong)
        assert code == 2
    code, text = afuic_cli("deploy", "local", tmp_path / "federation", "--data", "phantom", "--slow", "hospital-7=2")
    assert code == 2
    assert "--slow" in text
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_federation_cannot_be_served_joined_or_stopped(afuic_cli, tmp_path):
    for command in ("serve", "join", "stop"):
        code, text = afuic_cli("deploy", command, tmp_path)
        assert code == 2
        assert "neither a federation's folder nor a hospital's" in text


def test_a_server_without_its_calibration_images_is_told_so_before_it_starts(afuic_cli, tmp_path):
    folder = tmp_path / "federation"
    afuic_cli("deploy", "init", folder, "--hospitals", "2", "--data", "phantom")
    code, text = afuic_cli("deploy", "serve", folder)
    assert code == 2
    assert "calibration.npz: no such file" in text
    code, text = afuic_cli("deploy", "join", folder / "hospitals" / "hospital-0")
    assert code == 2
    assert "data.npz: no such file" in text
    for given in (("--data", "phantom"), ("--hospitals", "5")):
        code, text = afuic_cli("deploy", "local", folder, *given)
        assert code == 2
        assert "goes on with its own settings" in text


def hospital(afuic_cli, tmp_path, **images):
    """A hospital's folder with so many images; what they look like may be other than agreed."""
    folder = tmp_path / "federation"
    code, text = afuic_cli("deploy", "init", folder, "--hospitals", "2", "--data", "phantom")
    assert code == 0, text
    home = folder / "hospitals" / "hospital-0"
    site = load(home / "hospital.toml", Site)
    given = {
        "size": site.images.size,
        "channels": site.images.channels,
        "names": site.images.class_names,
        "count": 100,
    } | images
    shape = (given["count"], given["size"], given["size"], given["channels"])
    dataset = Dataset(
        name="mine",
        images=numpy.random.default_rng(0).integers(0, 256, shape, dtype=numpy.uint8),
        labels=numpy.arange(given["count"]) % len(given["names"]),
        split=numpy.full(given["count"], TRAIN, dtype=numpy.uint8),
        site=None,
        patient=None,
        class_names=given["names"],
        licence="",
        source="",
    )
    write_dataset(dataset, home / "data.npz")
    return home


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ({"size": 32}, "import them again with --size 28"),
        ({"channels": 3}, "the federation's 28 × 28 × 1"),
        ({"names": ("cat", "dog")}, "the federation has no class 'cat'"),
        ({"count": 5}, "5 images to train on, and the federation wants"),
    ],
)
def test_images_that_do_not_fit_are_refused_before_anything_starts(afuic_cli, tmp_path, images, why):
    home = hospital(afuic_cli, tmp_path, **images)
    code, text = afuic_cli("deploy", "join", home)
    assert code == 2
    assert why in text
    assert not list((home / "logs").iterdir())


@pytest.mark.parametrize("secret", ["node.key", "token", "superexec.secret", "state", "."])
def test_a_hospital_whose_secrets_others_may_read_is_told_what_to_do(afuic_cli, tmp_path, secret):
    home = hospital(afuic_cli, tmp_path)
    path = (home / secret).resolve()
    path.chmod(path.stat().st_mode | 0o044)
    code, text = afuic_cli("deploy", "join", home)
    assert code == 2
    assert (
        f"others may read this {'folder' if path.is_dir() else 'secret'}; run chmod {700 if path.is_dir() else 600} {path}"
        in text
    )


@pytest.mark.parametrize(
    "secret",
    ["server/tls.key", "server/certificate.key", "server/tokens.json", "server/superexec.secret", "ca/ca.key", "server", "."],
)
def test_a_server_whose_secrets_others_may_read_is_told_what_to_do(afuic_cli, tmp_path, secret):
    folder = tmp_path / "federation"
    afuic_cli("deploy", "init", folder, "--hospitals", "2", "--data", "phantom")
    path = (folder / secret).resolve()
    path.chmod(path.stat().st_mode | 0o004)
    code, text = afuic_cli("deploy", "serve", folder)
    assert code == 2
    assert f"run chmod {700 if path.is_dir() else 600} {path}" in text


def test_settings_with_a_database_s_password_are_for_their_owner_alone(afuic_cli, tmp_path):
    folder = tmp_path / "federation"
    afuic_cli("deploy", "init", folder, "--hospitals", "2", "--data", "phantom")
    place = folder / "federation.toml"
    place.chmod(0o644)
    load(place, Server)
    text = place.read_text()
    assert 'database = "none"' in text
    place.write_text(text.replace('database = "none"', 'database = "postgresql+psycopg://me:secret@localhost/afuic"'))
    code, said = afuic_cli("deploy", "serve", folder)
    assert code == 2
    assert f"run chmod 600 {place}" in said
    assert "secret@" not in said


def test_status_says_when_nothing_runs(afuic_cli, tmp_path):
    folder = tmp_path / "federation"
    afuic_cli("deploy", "init", folder, "--hospitals", "2", "--data", "phantom")
    code, text = afuic_cli("deploy", "status", folder)
    assert code == 2
    assert "nothing runs here" in text
