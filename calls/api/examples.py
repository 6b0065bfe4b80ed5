"""Programs for the API page, complete as they stand but for the key: tests run them."""

from calls.obd.parameters import parameter

_NUMBERS = parameter("voice.call", "numbers").example
_PLAY = parameter("voice.call", "play").example
KEY = "YOUR_API_KEY"
"""Stands for the key."""


def authentication(url: str) -> dict[str, str]:
    """Each way to present the key, in words, with a command."""
    ask = f'curl "{url}" -d "method=voice.status" -d "id=123456-1"'
    return {
        "The header x-api-key, which is best: headers seldom end up in logs": f'{ask} -H "x-api-key: {KEY}"',
        "HTTP Basic, with the key as user name or as password": f'{ask} -u "{KEY}:"',
        "The parameter api_key": f'{ask} -d "api_key={KEY}"',
    }


def curl(url: str) -> str:
    """Start calls from a shell."""
    return rf"""curl "{url}" \
  -H "x-api-key: {KEY}" \
  --data-urlencode "method=voice.call" \
  --data-urlencode "numbers={_NUMBERS}" \
  --data-urlencode "play={_PLAY}" \
  --data-urlencode "format=json"
"""


def python(url: str) -> str:
    """Start calls and ask what became of them, in Python with `requests`."""
    return f"""import uuid

import requests

URL = "{url}"
KEY = "{KEY}"


def ask(**parameters):
    # Asked again after a timeout, with the same Idempotency-Key, it still calls once.
    token = parameters.pop("token", None)
    headers = {{"x-api-key": KEY}} | ({{"Idempotency-Key": token}} if token else {{}})
    answer = requests.post(URL, headers=headers, data=parameters | {{"format": "json"}}, timeout=30).json()
    if answer["status"] != "200":
        raise RuntimeError(answer["message"])
    return answer


started = ask(method="voice.call", numbers="{_NUMBERS}", play="{_PLAY}", token=str(uuid.uuid4()))
for call in started["data"].values():
    print(call.get("id", "not called"), call["mobile"], call["status"])

print(ask(method="voice.groupstatus", groupid=started["groupid"])["summary"])
"""


def php(url: str) -> str:
    """Start calls in PHP with its curl extension."""
    return f"""<?php
$request = curl_init("{url}");
curl_setopt_array($request, [
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 30,
    CURLOPT_HTTPHEADER => ["x-api-key: {KEY}"],
    CURLOPT_POSTFIELDS => http_build_query([
        "method" => "voice.call",
        "numbers" => "{_NUMBERS}",
        "play" => "{_PLAY}",
        "format" => "json",
    ]),
]);
$body = curl_exec($request);
if ($body === false) {{
    exit(curl_error($request));
}}
$answer = json_decode($body, true);
if ($answer["status"] !== "200") {{
    exit($answer["message"]);
}}
foreach ($answer["data"] as $call) {{
    echo $call["id"] ?? "not called", " ", $call["mobile"], " ", $call["status"], "\\n";
}}
"""


VERIFY_PYTHON = '''import base64
import hmac
import time


def is_genuine(secret, headers, target):
    """headers: those of the callback; target: its path and query as they came, "/done?id=123456-1"."""
    timestamp = headers["webhook-timestamp"]
    if abs(time.time() - int(timestamp)) > 300:
        return False
    content = f"{headers['webhook-id']}.{timestamp}.{target}".encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = b"v1," + base64.b64encode(hmac.digest(key, content, "sha256"))
    return any(hmac.compare_digest(expected, given.encode()) for given in headers["webhook-signature"].split())
'''

VERIFY_PHP = """<?php
function is_genuine(string $secret): bool
{
    $timestamp = $_SERVER["HTTP_WEBHOOK_TIMESTAMP"];
    if (abs(time() - (int) $timestamp) > 300) {
        return false;
    }
    $content = $_SERVER["HTTP_WEBHOOK_ID"] . "." . $timestamp . "." . $_SERVER["REQUEST_URI"];
    $key = base64_decode(substr($secret, strlen("whsec_")));
    $expected = "v1," . base64_encode(hash_hmac("sha256", $content, $key, true));
    foreach (explode(" ", $_SERVER["HTTP_WEBHOOK_SIGNATURE"]) as $given) {
        if (hash_equals($expected, $given)) {
            return true;
        }
    }
    return false;
}
"""
