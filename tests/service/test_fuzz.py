"""Schemathesis reads the API's own description and calls every address with what it allows and what it does not: no fault, no surprise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.process import running

pytestmark = pytest.mark.deployment
SCHEMATHESIS = Path(sys.executable).parent / "st"
OPTIONS = (
    "--max-examples",
    "10",
    "--seed",
    "1",
    "--continue-on-failure",
    "--suppress-health-check",
    "all",
    "--warnings",
    "off",
)


@pytest.mark.parametrize("who", ["operator", "hospital-1", "auditor"])
def test_every_address_answers_as_described(tmp_path, who):
    with running(tmp_path, requests_per_minute=1_000_000) as service:
        (tmp_path / "schemathesis.toml").write_text('[generation]\ndatabase = "none"\ndeterministic = true\n')
        token = f"Authorization: Bearer {service.secrets[who]}"
        command = [SCHEMATHESIS, "--config-file", tmp_path / "schemathesis.toml", "run", f"{service.url}/v1/openapi.json"]
        done = subprocess.run(
            [*command, *OPTIONS, "-H", token, "--tls-verify", tmp_path / "ca.pem"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert service.process.poll() is None
        log = service.log.read_text()
        assert "Traceback" not in log
        assert service.secrets[who] not in log
        assert service.driver.book.check() < 1e-4
