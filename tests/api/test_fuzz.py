"""Requests made by schemathesis from the OpenAPI description: the API does what the description says.

A few in the test suite; `make fuzz` sends more than 5,000, with every boundary of every parameter.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.browser.portal import ROOT, running_portal

EXAMPLES = int(os.environ.get("OBD_FUZZ", "0"))
"""Random requests to each operation, besides those at the boundaries; 0: only a few."""


def test_nothing_is_found(tmp_path: Path) -> None:
    phases = (
        ["--max-examples", str(EXAMPLES)]
        if EXAMPLES
        else ["--max-examples", "25", "--phases", "examples,fuzzing", "--generation-deterministic"]
    )
    with running_portal(DEFAULT_REGION="IN", WEB_PROCESSES="1") as portal:
        make_key = [sys.executable, "manage.py", "createapikey", "admin", "--label", "Fuzzing", "--rate", "1000000"]
        key = subprocess.run(make_key, cwd=ROOT, env=portal.environment, check=True, capture_output=True, text=True)
        command = [str(Path(sys.executable).with_name("schemathesis"))]
        command += ["--no-color", "--config-file", str(ROOT / "tests/api/schemathesis.toml")]
        command += ["run", f"{portal.url}/api/v1/openapi.json", "--header", f"x-api-key: {key.stdout.strip()}"]
        command += ["--continue-on-failure", *phases]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    said = "\n".join(line.rstrip()[:2000] for line in done.stdout.splitlines() if line.strip())
    assert done.returncode == 0, said + done.stderr
    generated = re.search(r"(\d+) generated", said)
    assert generated, said
    assert int(generated[1]) >= (5_000 if EXAMPLES else 50), said
