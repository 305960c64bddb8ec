"""Runs the commands of docs/OPERATIONS.md, "On this machine", as they stand, and sends requests to the functions in their
containers. Needs Docker, and in it the image that `sam local` would pull."""

import json
import urllib.error
import urllib.request

import operations
from processes import Failed, Process, request, until

API = "http://127.0.0.1:3000"
# The program and the functions are built already, and no registry is asked for the image.
SHORTCUTS = """
cargo() { "$PROGRAMS/orchestrator" "${@:5}"; }
sam() { [ "$1" = build ] || command sam "$@" --skip-pull-image; }
"""


def run(folder, environment):
    (block,) = (block for heading, block in operations.blocks(operations.TEXT) if heading == "On this machine")
    environment = environment | {"PATH": f"{operations.HERE}:{environment['PATH']}"}
    commands = Process(folder, "sam-local", ["bash", "-euo", "pipefail", "-c", SHORTCUTS + block], environment, operations.ROOT)
    try:
        key = commands.says(r"^(orc_\w+)")
        until("the API answers", lambda: request("GET", f"{API}/healthz")[0] == 200, 120)
        one_mail(key)
    finally:
        commands.stop()


def ask(status, method, path, key=None, body=None):
    asked = urllib.request.Request(f"{API}{path}", body and json.dumps(body).encode(), method=method)
    headers = {"Authorization": f"Bearer {key}" if key else None, "Content-Type": body and "application/json"}
    asked.headers.update({name: value for name, value in headers.items() if value})
    try:
        answer = urllib.request.urlopen(asked, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    text = answer.read().decode()
    if answer.status != status:
        raise Failed(f"{method} {path} answers {answer.status}: {text}")
    print(f"  {method} {path.split('?')[0]} answers {status}")
    return json.loads(text) if text.startswith("{") else text


def one_mail(key):
    for path in ("/readyz", "/docs", "/openapi.json", "/dev/action-runner.html"):
        ask(200, "GET", path)
    ask(401, "GET", "/actions")
    prompt = {"prompt": "Send email to john@example.com saying thanks for the meeting"}
    plan = ask(200, "POST", "/ai/plan2", key, prompt)["plan"]
    (job_id,) = ask(202, "POST", "/ai/execute", key, {"plan_id": plan["plan_id"]})["job_ids"]

    def has_ended():
        job = ask(200, "GET", f"/ai/jobs/{job_id}?wait=5", key)
        return job if job["status"] in ("completed", "error") else None

    job = until("the job ends", has_ended)
    outbox = ask(200, "GET", "/dev/outbox", key)["data"]
    if job["status"] != "completed" or len(outbox) != 1:
        raise Failed(f"the mail is not in the outbox: {job} {outbox}")
