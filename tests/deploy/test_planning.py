"""What ``afuic deploy init`` writes: settings that load and agree, keys that fit, texts that nginx and systemd take."""

from __future__ import annotations

import json
import shutil
import ssl
import stat
import subprocess
import tomllib
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key, load_ssh_public_key

from afuic.config import Aggregation, Config
from afuic.deploy import listing, nginx, pki, planning
from afuic.errors import ConfigError
from afuic.service import tokens
from afuic.settings import Access, Api, Engine, Images, Server, Site, agreed, load
from tests.deploy.conftest import NAMES

SECRETS = {
    "federation.toml",
    "ca/ca.key",
    "server/tls.key",
    "server/certificate.key",
    "server/superexec.secret",
    "server/tokens.json",
    "operator/token",
    "auditor/token",
    *(f"hospitals/{name}/{file}" for name in NAMES for file in ("node.key", "token", "superexec.secret")),
}


def test_server_and_hospitals_agree_and_nothing_of_the_plan_is_lost(made, plan):
    server = load(made / "federation.toml", Server)
    assert (server.federation, server.images, server.engine) == (plan.federation, plan.images, plan.engine)
    for name in NAMES:
        site = load(made / "hospitals" / name / "hospital.toml", Site)
        assert agreed(site.federation, site.images) == agreed(server.federation, server.images)
        assert (site.name, site.api, site.superlink) == (name, "https://fl.example.org:9444", "fl.example.org:9444")
        assert site.slowdown == (10.0 if name == "west" else 1.0)
        assert site.token.is_file()
        assert site.ca.is_file()


def test_secrets_are_for_their_owner_alone_and_are_all_named(made):
    found = {
        str(path.relative_to(made)) for path in made.rglob("*") if path.is_file() and stat.S_IMODE(path.stat().st_mode) == 0o600
    }
    assert found == SECRETS
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o700 for path in (made, *made.rglob("*")) if path.is_dir())
    told = (made / "README.txt").read_text()
    assert all(path in told for path in SECRETS if not path.startswith("hospitals"))


def test_node_keys_belong_to_the_hospitals_that_the_server_knows(made):
    for hospital in load(made / "federation.toml", Server).hospitals:
        folder = made / "hospitals" / hospital.name
        private = load_ssh_private_key((folder / "node.key").read_bytes(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        public = load_ssh_public_key(hospital.node_key.encode())
        assert public.public_numbers() == private.public_key().public_numbers()
        assert (folder / "node.pub").read_text().strip() == hospital.node_key


def test_tokens_stand_for_whom_they_are_given_to(made):
    kept = tokens.read(made / "server" / "tokens.json")
    for name in NAMES:
        caller = tokens.recognise(kept, (made / "hospitals" / name / "token").read_text().strip())
        assert (caller.role, caller.hospital) == ("hospital", name)
    for role in planning.ASKING:
        access = load(made / role / "client.toml", Access)
        assert tokens.recognise(kept, access.token.read_text().strip()).role == role
    texts = "".join(path.read_text(errors="replace") for path in made.rglob("*") if path.is_file() and path.name != "token")
    assert not [t for path in made.rglob("token") if (t := path.read_text().strip()) in texts]


def test_the_server_proves_itself_to_whoever_trusts_the_authority(made):
    root = x509.load_pem_x509_certificate((made / "ca/ca.pem").read_bytes())
    leaf = x509.load_pem_x509_certificate((made / "server/tls.pem").read_bytes())
    leaf.verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["fl.example.org", "localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert leaf.not_valid_after_utc < root.not_valid_after_utc
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made / "server/tls.pem", made / "server/tls.key")
    ssl.create_default_context(cafile=str(made / "ca/ca.pem"))
    assert isinstance(load_pem_private_key((made / "server/certificate.key").read_bytes(), None), ed25519.Ed25519PrivateKey)


def test_handshake_needs_the_right_authority_and_the_right_name(tmp_path):
    root, other = pki.authority("one"), pki.authority("two")
    issued = pki.server(root, ("10.1.2.3",))
    (tmp_path / "pem").write_bytes(issued.certificate)
    (tmp_path / "key").write_bytes(issued.key)
    assert _handshake(tmp_path, root, "10.1.2.3") == "fine"
    assert "Hostname mismatch" in _handshake(tmp_path, root, "example.org")
    assert "certificate verify failed" in _handshake(tmp_path, other, "10.1.2.3")


def _handshake(folder, root, name):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "pem", folder / "key")
    client = ssl.create_default_context(cadata=root.certificate.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    wires = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(*wires, server_hostname=name), server.wrap_bio(*reversed(wires), server_side=True)
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                return str(error)
    return "fine"


def test_a_certificate_is_valid_from_a_little_before_now():
    now = datetime(2026, 11, 24, tzinfo=UTC)
    leaf = x509.load_pem_x509_certificate(pki.server(pki.authority("x", now), ("h",), now).certificate)
    assert leaf.not_valid_before_utc == now - timedelta(minutes=5)
    assert leaf.not_valid_after_utc == now - timedelta(minutes=5) + timedelta(days=pki.SERVER_DAYS)


def test_nginx_takes_its_settings(made):
    done = subprocess.run([*listing.nginx(made), "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_nginx_lets_only_the_fleet_and_the_api_through():
    text = nginx.configuration(Engine(public_host="fl.example.org"), Api())
    assert text.count("proxy_pass") == 3
    assert "location ~ ^/v1/fleet/[a-z-]+$ {" in text
    assert "listen 9443 ssl " in text
    assert "listen 127.0.0.1:9443 ssl " in nginx.configuration(Engine(), Api())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(made, tmp_path):
    for unit in (made / "systemd/afuic-server.service", made / "hospitals/north/systemd/afuic-hospital.service"):
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace("/opt/afuic/bin/afuic", "/bin/true"))
        done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
        assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


def test_compose_files_and_app_parse(made):
    server = yaml.safe_load((made / "compose.yaml").read_text())["services"]["server"]
    assert server["command"] == ["afuic", "deploy", "serve", "/federation"]
    assert server["ports"] == ["9444:9444"]
    hospital = yaml.safe_load((made / "hospitals/south/compose.yaml").read_text())["services"]["hospital"]
    assert hospital["command"] == ["afuic", "deploy", "join", "/federation"]
    assert "ports" not in hospital
    project = tomllib.loads((made / "app/pyproject.toml").read_text())
    assert project["project"]["license"] == {"file": "LICENSE"}
    compile((made / "app/afuic_federation/__init__.py").read_text(), "app", "exec")


def test_two_federations_share_no_secret(plan):
    one, two = planning.tree(plan), planning.tree(plan)
    assert not [path for path, file in one.items() if file is not None and file.secret and file == two[path]]


def test_what_only_an_experiment_has_is_left_out():
    config = planning.agreement(Config(), ("a", "b"))
    assert (config.methods, config.requests, config.data.trigger, config.data.partition.clients) == (("afuic",), (), None, 2)
    one = planning.agreement(Config(methods=("retrain",)), ("a", "b"))
    assert one.methods == ("retrain",)


def test_names_of_hospitals():
    assert planning.names("3") == ("hospital-0", "hospital-1", "hospital-2")
    assert planning.names("north, south") == ("north", "south")
    for bad in ("1", "north", "a,a", "North,south", "operator,north", "a/b,c", "-a,b", ""):
        with pytest.raises(ConfigError, match="--hospitals"):
            planning.names(bad)


def test_slow_hospitals():
    assert planning.slowed(("b=10", "a=1.5"), ("a", "b")) == {"b": 10.0, "a": 1.5}
    for bad in ("c=2", "a", "a=0.5", "a=ten", "a=", "a=2000"):
        with pytest.raises(ConfigError, match="--slow"):
            planning.slowed((bad,), ("a", "b"))


def test_secrets_do_not_show_in_what_python_prints():
    from afuic.deploy import keys

    root, pair = pki.authority("x"), keys.node()
    assert "PRIVATE" not in repr(root) + repr(pair)


def test_kept_tokens_hold_no_token(made):
    entries = json.loads((made / "server/tokens.json").read_text())
    assert {entry["name"] for entry in entries} == {*NAMES, *planning.ASKING}
    assert {frozenset(entry) for entry in entries} == {
        frozenset({"name", "role", "salt", "digest"}),
        frozenset({"name", "role", "hospital", "salt", "digest"}),
    }


def test_a_buffer_that_the_hospitals_cannot_fill_is_refused(made, tmp_path):
    with pytest.raises(ConfigError, match=r"aggregation\.buffer = 3: .* and 2 take part"):
        planning.agreement(Config(aggregation=Aggregation(rule="fedbuff", buffer=3)), ("a", "b"))
    text = (made / "federation.toml").read_text()
    assert text.count('rule = "fedasync"') == 1
    bad = tmp_path / "federation.toml"
    bad.write_text(text.replace('rule = "fedasync"', 'rule = "fedbuff"').replace("buffer = 3", "buffer = 30"))
    with pytest.raises(ConfigError, match=r"federation\.aggregation\.buffer = 30: .* and \d take part; make it smaller"):
        load(bad, Server)


def test_a_federation_that_is_there_keeps_its_agreement():
    """The digest that afuic had for these settings before it knew ``patient_scope``: stores and hospitals hold it."""
    images = Images(channels=3, size=28, class_names=("benign", "malignant"))
    same = "sha256:510944f6fccda10da505351a2da497f7ac234e86c6052765adb06550b3dd0ef0"
    agreement = planning.agreement(Config(), ("a", "b"))
    assert agreed(agreement, images) == same
    scoped = agreement.model_copy(update={"data": agreement.data.model_copy(update={"patient_scope": "global"})})
    assert agreed(scoped, images) != same
