"""`make collection`: run the specification's collection, unchanged, with Postman's own runner against a portal.

Needs Node: npx gets newman. Only the collection's variables are set; its two status requests ask about a call that is
made before.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests

from calls.obd.replies import parse
from tests.browser.portal import ROOT, running_portal

SPECIFICATION = Path(__file__).with_name("api") / "obd-api.postman_collection.json"
NEWMAN = ["npx", "--yes", "newman@6.2.2"]


def main() -> int:
    """Return newman's exit status."""
    with running_portal(DEFAULT_REGION="IN") as portal:
        make_key = [sys.executable, "manage.py", "createapikey", "admin", "--label", "newman"]
        made = subprocess.run(make_key, cwd=ROOT, env=portal.environment, check=True, capture_output=True, text=True)
        variables = {
            "base_url": f"{portal.url}/api",
            "version": "v1",
            "api_key": made.stdout.strip(),
            "voice.call": "voice.call",
            "phone_number": "8123456789",
            "soundfile": "1.sound",
        }
        call = {"method": "voice.call", "format": "json", "numbers": "8123456789", "play": "1.sound"}
        headers = {"x-api-key": variables["api_key"]}
        answer = requests.post(f"{portal.url}/api/v1/", data=call, headers=headers, timeout=30).json()
        variables["id"] = answer["data"]["0"]["id"]
        options = [option for name, value in variables.items() for option in ("--env-var", f"{name}={value}")]
        with tempfile.NamedTemporaryFile(suffix=".json") as report:
            options += ["--reporters", "cli,json", "--reporter-json-export", report.name]
            done = subprocess.run([*NEWMAN, "run", str(SPECIFICATION), *options], check=False)
            return done.returncode or _unreadable(json.load(report))


def _unreadable(report: dict[str, Any]) -> int:
    """How many answers are not what the collection asks for: newman itself takes an error for a success."""
    wrong = 0
    for execution in report["run"]["executions"]:
        response = execution["response"]
        reply = parse(bytes(response["stream"]["data"]))
        good = response["code"] == 200 and reply.ok and reply.rows
        print(f"{execution['item']['name']}: {'good' if good else reply}")
        wrong += not good
    return wrong


if __name__ == "__main__":
    sys.exit(main())
