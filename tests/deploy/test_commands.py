"""``afuic deploy`` as a person uses it, without starting servers."""

from __future__ import annotations

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
