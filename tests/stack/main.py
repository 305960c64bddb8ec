"""Deploys the whole stack on loopback and tests it. Started by scripts/stack-test."""

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from functools import partial

import boto3

from processes import Failed, until
from servers import PLAIN, REGION, Servers, architecture

ROOT = pathlib.Path(__file__).resolve().parents[2]
STACK = "orchestrator-on-loopback"
MODEL_KEY = "sk-on-loopback"
# The OAuth client that the fakes accept.
CLIENT_ID = "fakes-client"
CLIENT_SECRET = "fakes-client-secret"
OWNER = "owner@contoso.com"
WORKSPACE = "acme"


def check(is_so, what, *seen):
    if not is_so:
        raise Failed(": ".join([what, *(json.dumps(value, default=str) for value in seen)]))
    print(f"  {what}")


def sam(*arguments, output, **variables):
    """Runs SAM without the machine's AWS settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0"} | variables
    with output.open("wb") as log:
        done = subprocess.run(["sam", *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log)
    if done.returncode:
        raise Failed(f"sam {arguments[0]} failed")


class Deployed:
    """The deployed stack, as its callers and its operator see it."""

    def __init__(self, port, programs, folder):
        self.port, self.programs, self.folder = port, programs, folder
        self.keys = {}
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def aws(self, service):
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def deploy(self, **parameters):
        overrides = [f"{name}={value}" for name, value in parameters.items()]
        sam(
            "deploy",
            "--stack-name",
            STACK,
            "--region",
            REGION,
            "--no-confirm-changeset",
            "--no-progressbar",
            "--no-fail-on-empty-changeset",
            "--parameter-overrides",
            *overrides,
            output=self.folder / "deploy.log",
            **self.environment,
        )
        described = self.aws("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        resources = self.aws("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        self.resources = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}

    def work_around_ministack(self):
        """Corrects where MiniStack differs from AWS."""
        # It stores a numeric parameter as text and then cannot compare it.
        for source, most in (("WorkerSource", 10), ("DeadLettersSource", 2)):
            self.aws("lambda").update_event_source_mapping(UUID=self.resources[source], ScalingConfig={"MaximumConcurrency": most})
        # On AWS, sqs:SendMessage also allows batches. MiniStack wants a separate permission.
        iam = self.aws("iam")
        for logical, role in self.resources.items():
            if not logical.endswith("FunctionRole"):
                continue
            for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
                for statement in document["Statement"]:
                    actions = statement["Action"]
                    actions = [actions] if isinstance(actions, str) else actions
                    if "sqs:SendMessage" in actions:
                        statement["Action"] = [*actions, "sqs:SendMessageBatch"]
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))

    def orchestrator(self, *arguments, table=None):
        """Runs the command line on the deployed ledger, as an operator would."""
        environment = (
            PLAIN
            | self.environment
            | {
                "LEDGER_TABLE": table or self.outputs["TableName"],
                "ORCHESTRATOR_DATA": str(self.folder / "data"),
            }
        )
        done = subprocess.run([self.programs / "orchestrator", *arguments], env=environment, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Failed(f"orchestrator {arguments[0]} failed: {done.stderr}")
        return done.stdout.strip()

    def ask(self, method, path, body=None, key=None, headers=None):
        """Sends a request to the API; returns status, headers and body."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        request.add_header("Host", f"{self.outputs['ApiId']}.execute-api.localhost:{self.port}")
        if key:
            request.add_header("Authorization", f"Bearer {self.keys[key]}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            answer = urllib.request.build_opener(NoRedirect).open(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        text = answer.read().decode()
        try:
            return answer.status, answer.headers, json.loads(text)
        except ValueError:
            return answer.status, answer.headers, text

    def expect(self, status, method, path, body=None, key=None, **options):
        seen, headers, answer = self.ask(method, path, body, key, **options)
        check(seen == status, f"{method} {path.split('?')[0]} answers {status}", seen, answer)
        if status >= 400:
            check(headers["Content-Type"] == "application/problem+json", "  as a problem", headers["Content-Type"])
        return answer

    def log_lines(self):
        logs = self.aws("logs")
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=self.outputs["LogGroup"])
        return [event["message"] for page in pages for event in page["events"]]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Returns redirects instead of following them."""

    def redirect_request(self, *_):
        return None


def fake(url, method="GET", body=None):
    request = urllib.request.Request(url, method=method, headers={"Content-Type": "application/json"})
    if body is not None:
        request.data = json.dumps(body).encode()
    text = urllib.request.urlopen(request, timeout=10).read()
    return json.loads(text) if text else None


def same_table(stack):
    """The template and `orchestrator create-table` make the same table."""
    stack.orchestrator("create-table", table="made-by-hand")

    def shape(name):
        table = stack.aws("dynamodb").describe_table(TableName=name)["Table"]
        indexes = {index["IndexName"]: [index["KeySchema"], index["Projection"]] for index in table["GlobalSecondaryIndexes"]}
        return {
            "keys": table["KeySchema"],
            "attributes": sorted((entry["AttributeName"], entry["AttributeType"]) for entry in table["AttributeDefinitions"]),
            "indexes": indexes,
            "billing": table["BillingModeSummary"]["BillingMode"],
        }

    deployed, by_hand = shape(stack.outputs["TableName"]), shape("made-by-hand")
    # MiniStack ignores the template's expiry, so it is read from the template itself.
    template = stack.aws("cloudformation").get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
    deployed["expiry"] = template["Resources"]["Table"]["Properties"]["TimeToLiveSpecification"]["AttributeName"]
    expiry = stack.aws("dynamodb").describe_time_to_live(TableName="made-by-hand")["TimeToLiveDescription"]
    by_hand["expiry"] = expiry["AttributeName"]
    check(deployed == by_hand, "the template's table equals that of `orchestrator create-table`", deployed, by_hand)


def make_keys(stack):
    for name, scopes in (
        ("app", "actions:preview,actions:execute,connections:write"),
        ("prometheus", "metrics:read"),
        ("auditor", "audit:read"),
    ):
        stack.keys[name] = stack.orchestrator("keys", "create", "--workspace", WORKSPACE, "--scopes", scopes)
    check(all(key.startswith("orc_") for key in stack.keys.values()), "the first keys are in the deployed table")


def open_routes(stack):
    for path in (
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/problems/unauthenticated",
        "/dev/action-runner.html",
    ):
        stack.expect(200, "GET", path)
    docs = stack.expect(200, "GET", "/docs")
    for asset in set(re.findall(r'"(/assets/[^"]+)"', docs)):
        stack.expect(200, "GET", asset)
    stack.expect(307, "GET", "/")
    stack.expect(404, "GET", "/nothing/here")
    for method, path in (("POST", "/ai/plan2"), ("POST", "/ai/execute"), ("GET", "/ai/jobs"), ("GET", "/metrics")):
        stack.expect(401, method, path, body={} if method == "POST" else None)


def deliveries(fakes):
    return fake(f"{fakes}/_fakes/deliveries")


def connect(stack, fakes):
    """A person connects an account at the provider's page and returns."""
    # Short enough that the worker must refresh the token.
    fake(f"{fakes}/_fakes/consents", "POST", {"address": OWNER, "expires_in_s": 1})
    before = stack.expect(200, "GET", "/oauth/google/status", key="app")
    check(before["can_connect"] and not before["connected"], "no account is connected yet, and connecting is possible", before)
    stack.expect(401, "POST", "/oauth/google/start", {})
    stack.expect(403, "POST", "/oauth/google/start", {}, "prometheus")
    status, headers, started = stack.ask("POST", "/oauth/google/start", {}, "app")
    check(status == 200, "connecting starts", status, started)
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    check(
        cookie.startswith("__Host-orchestrator-google=")
        and {"Secure", "HttpOnly", "Path=/"} <= set(attributes)
        and not any(attribute.startswith("Domain") for attribute in attributes),
        "its cookie is bound to this host",
        attributes,
    )
    location = redirect(started["authorization_url"])
    callback = f"{stack.outputs['ApiUrl']}/oauth/google/callback?"
    check(location.startswith(callback), "the provider redirects the browser to the API", location.split("?")[0])
    path = urllib.parse.urlsplit(location)._replace(scheme="", netloc="").geturl()
    status, headers, page = stack.ask("GET", path, headers={"Accept": "text/html"})
    check(status == 400 and OWNER not in str(page), "without the cookie nothing is connected", status)
    status, headers, page = stack.ask("GET", path, headers={"Accept": "text/html", "Cookie": cookie})
    check(status == 200 and OWNER in page, "with it, the account is connected", status, page)
    check("Max-Age=0" in headers["Set-Cookie"], "the cookie is deleted")
    status, _, _ = stack.ask("GET", path, headers={"Accept": "text/html", "Cookie": cookie})
    check(status == 400, "the callback works only once", status)
    now = stack.expect(200, "GET", "/oauth/google/status", key="app")
    check((now["mode"], now["address"]) == ("live", OWNER), "mails are sent from it", now)
    fake(f"{fakes}/_fakes/consents", "POST", {"address": OWNER})


def redirect(url):
    try:
        answer = urllib.request.build_opener(NoRedirect).open(url, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    check(answer.status == 302, "the provider accepts the authorization request", answer.status)
    return answer.headers["Location"]


def one_mail(stack, fakes):
    """A sentence becomes one mail through model, queue and worker."""
    plan = stack.expect(200, "POST", "/ai/plan2", {"prompt": "Write to john@example.com that we meet at noon"}, "app")
    check(len(plan["plan"]["actions"]) == 1 and plan["meta"]["model"] == "gpt-4o-mini", "the model planned a mail", plan)
    check(plan["accounts"] == [{"provider": "google", "mode": "live", "address": OWNER}], "from the account", plan)
    question(stack)
    request = {"plan_id": plan["plan"]["plan_id"]}
    accepted = stack.expect(202, "POST", "/ai/execute", request, "app")
    job_id = accepted["job_ids"][0]
    job = ended(stack, job_id)
    check(job["status"] == "completed", "SQS delivered the job to the worker, which completed it", job)
    check(job["result"]["from"] == OWNER, "from the account", job)
    seen = deliveries(fakes)
    check(seen["total"] == 1, "exactly one mail was delivered", seen)
    check(seen["operations"].count("google.token") == 2, "with a token that the worker refreshed", seen["operations"])
    return request, job_id


def question(stack):
    """A question is kept in the table until it is answered."""
    prompt = {"prompt": "If it rains, write to john@example.com that we meet indoors"}
    asked = stack.expect(200, "POST", "/ai/plan2", prompt, "app")["plan"]
    check(not asked["actions"] and len(asked["clarifications"]) == 1, "a condition is asked about", asked)
    answers = [{"id": asked["clarifications"][0]["id"], "value": True}]
    told = stack.expect(200, "POST", "/ai/plan2", {**prompt, "answers": answers}, "app")["plan"]
    check(len(told["actions"]) == 1 and not told["questions"], "and planned after the answer", told)


def no_second_mail(stack, fakes, request, job_id):
    """Repeats never send a second mail."""
    again = stack.expect(202, "POST", "/ai/execute", request, "app")
    check(again["job_ids"] == [job_id] and again["jobs"][0]["replayed"], "executing the same plan again returns the same job", again)
    sqs, queue = stack.aws("sqs"), stack.outputs["QueueUrl"]
    message = json.dumps({"version": "1", "job_id": job_id, "workspace_id": WORKSPACE})
    for _ in range(2):
        sqs.send_message(QueueUrl=queue, MessageBody=message)
    sweep(stack)
    until("the queue is empty", lambda: in_queue(stack, queue) == [0, 0])
    seen = deliveries(fakes)
    sent = [operation for operation in seen["operations"] if operation.startswith("gmail.")]
    check(seen["total"] == 1 and len(sent) == 1, "its message twice more, and a sweep: nothing is sent again", seen)


def in_queue(stack, queue):
    """Counts the messages that wait and those that a function holds."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = stack.aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return [int(attributes[name]) for name in names]


def disconnect(stack, fakes):
    ended = stack.expect(200, "DELETE", "/oauth/google", key="app")
    check(ended["disconnected"] and ended["revoked"], "the account is disconnected and its grant revoked", ended)
    check("google.revoke" in deliveries(fakes)["operations"], "the provider revoked the tokens")


def ended(stack, job_id):
    def look():
        status, _, job = stack.ask("GET", f"/ai/jobs/{job_id}?wait=5", key="app")
        if status != 200:
            raise Failed(f"GET /ai/jobs/{{job_id}} answers {status}: {job}")
        return job if job["status"] in ("completed", "error") else None

    return until("the job ends", look, 90)


def every_right(stack, job_id):
    """Each function has the permissions its routes need: none answers 5xx."""
    action = {"action": "gmail.send", "params": {"to": "john@example.com", "subject": "s", "text": "t"}}
    stack.expect(200, "GET", "/actions", key="app")
    stack.expect(200, "POST", "/actions/preview", action, "app")
    stack.expect(200, "GET", "/ai/jobs?status=completed", key="app")
    stack.expect(200, "GET", "/ai/jobs?limit=5", key="app")
    for what, body in (("cancel", {}), ("retry", {}), ("resolve", {"outcome": "sent"})):
        stack.expect(409, "POST", f"/ai/jobs/{job_id}/{what}", body, "app")
    outbox = stack.expect(200, "GET", "/dev/outbox", key="app")["data"]
    check(outbox == [], "the outbox is empty, since the mail was really sent", outbox)


def metrics(stack):
    stack.expect(403, "GET", "/metrics", key="app")
    text = stack.expect(200, "GET", "/metrics", key="prometheus")
    check("# TYPE ai_jobs_total counter" in text, "the metrics are in Prometheus's format")
    # A function flushes its counts after it has answered.
    for line in (
        'ai_jobs_total{provider="google",action="gmail.send",status="completed"} 1',
        'ai_provider_requests_total{provider="google",operation="send",outcome="ok"} 1',
        "ai_queue_unreadable_messages_total 0",
    ):
        until(f"{line} is among the metrics", partial(has_metric, stack, line))
        print(f"  {line}")


def has_metric(stack, line):
    return line in stack.ask("GET", "/metrics", key="prometheus")[2].splitlines()


def audit(stack):
    """The audit has each event once."""
    stack.expect(403, "GET", "/audit", key="app")
    events = [entry["event"] for entry in stack.expect(200, "GET", "/audit?limit=100", key="auditor")["data"]]
    plans = ["plan.made"] * 3
    expected = ["connection.made", *plans, "job.accepted", "job.completed", "connection.removed"]
    check([event for event in reversed(events) if event in expected] == expected, "the audit has every event once, in order", events)


def sweep(stack):
    answer = stack.aws("lambda").invoke(FunctionName=stack.resources["SweepFunction"], Payload=b"{}")
    check("FunctionError" not in answer, "the sweep runs", answer["Payload"].read().decode())


def dead_letters(stack):
    """A foreign message is dropped; one of a later version stays."""
    sqs, queue = stack.aws("sqs"), stack.outputs["DeadLetterQueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="nothing of ours")
    sqs.send_message(QueueUrl=queue, MessageBody='{"version":"2"}')

    until("the dead letters are settled", lambda: in_queue(stack, queue) == [0, 1])
    print("  a foreign dead letter is dropped, and one of a later version stays")


def log_lines(stack):
    """Each log line has a level and a timestamp, and holds no secret."""
    lines = [line for line in stack.log_lines() if line.strip() and not line.startswith(("START ", "END ", "REPORT ", "INIT_START "))]
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            raise Failed(f"a log line is not JSON: {line}") from None
        if entry.get("type", "").startswith("platform."):
            continue
        if not ("level" in entry and "timestamp" in entry):
            raise Failed(f"a log line lacks level or timestamp: {line}")
    check(not any("AccessDenied" in line for line in lines), "no function lacked a permission")
    check(lines, "log lines are JSON with level and timestamp")
    keys = [key.rsplit("_", 1)[1] for key in stack.keys.values()]
    secrets = [MODEL_KEY, CLIENT_SECRET, "fake-access", "fake-refresh", OWNER, "john@example.com", *keys]
    check(not any(secret in line for secret in secrets for line in lines), "no secret and no address is in them")


def run(arguments, folder, servers):
    programs = pathlib.Path(os.environ["PROGRAMS"]).resolve()
    if not arguments.no_build:
        print("sam build")
        sam("build", "--parameter-overrides", f"Architecture={architecture()}", output=folder / "build.log")
    if arguments.build_only:
        return
    redis = servers.redis()
    fakes, model = servers.fakes(programs / "fakes", MODEL_KEY)
    stack = Deployed(servers.ministack(), programs, folder)

    print("sam deploy")
    stack.deploy(
        Architecture=architecture(),
        RedisUrl=redis,
        AllowActions="gmail.send,outlook.send",
        GoogleRolloutPercent=100,
        OpenAiBaseUrl=model,
        GmailBaseUrl=fakes,
        GraphBaseUrl=f"{fakes}/v1.0",
        EnableDevUi="true",
        TableDeletionProtection="false",
        GoogleClientId=CLIENT_ID,
        GoogleAuthUrl=f"{fakes}/oauth/google/auth",
        GoogleTokenUrl=f"{fakes}/oauth/google/token",
        GoogleRevokeUrl=f"{fakes}/oauth/google/revoke",
    )
    stack.work_around_ministack()
    for name, value in (("OpenAiSecret", MODEL_KEY), ("GoogleSecret", CLIENT_SECRET)):
        stack.aws("secretsmanager").put_secret_value(SecretId=stack.outputs[name], SecretString=value)

    try:
        checks(stack, fakes)
    finally:
        (folder / "functions.log").write_text("\n".join(line.rstrip() for line in stack.log_lines()))


def checks(stack, fakes):
    print("the ledger")
    same_table(stack)
    make_keys(stack)
    print("the API")
    open_routes(stack)
    print("an account")
    connect(stack, fakes)
    print("a mail")
    request, job_id = one_mail(stack, fakes)
    no_second_mail(stack, fakes, request, job_id)
    every_right(stack, job_id)
    metrics(stack)
    disconnect(stack, fakes)
    audit(stack)
    print("behind the API")
    dead_letters(stack)
    log_lines(stack)


def main():
    parser = argparse.ArgumentParser(prog="scripts/stack-test")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--build-only", action="store_true", help="stop after `sam build`")
    only.add_argument("--no-build", action="store_true", help="use what `sam build` built before")
    parser.add_argument("--logs", type=pathlib.Path, help="the folder for the logs")
    arguments = parser.parse_args()
    began = time.monotonic()

    def time_out(*_):
        raise Failed("timed out")

    signal.signal(signal.SIGALRM, time_out)
    signal.signal(signal.SIGTERM, time_out)
    signal.alarm(300 if arguments.no_build else 3600)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = arguments.logs.resolve() if arguments.logs else pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        servers = Servers(folder)
        try:
            run(arguments, folder, servers)
        except Exception as error:
            if not isinstance(error, Failed):
                traceback.print_exc()
            print(f"stack-test: {error}", file=sys.stderr)
            for log in sorted(folder.glob("*.log")):
                lines = log.read_text(errors="replace").splitlines()
                print(f"---- the end of {log.name}", *lines[-40:], sep="\n", file=sys.stderr)
            return 1
        finally:
            servers.stop()
    what = "the functions are built" if arguments.build_only else "the whole stack works on loopback"
    print(f"{what} ({time.monotonic() - began:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
