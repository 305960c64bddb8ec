"""Deploys the whole stack on loopback and tests it. Started by scripts/stack-test."""

import argparse
import contextlib
import http.server
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import zlib
from functools import partial

import boto3
from botocore.exceptions import ClientError

import local
import operations
from guided import press_enter_at_every_question
from own_cache import OwnCache
from processes import Failed, until
from rights import TLS, Doors, rights_of
from servers import PLAIN, REGION, Servers, architecture

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the ledger's packed records refer to.
PACKED = ROOT / "shared/adapters/src/aws/records/dictionary.txt"
# As samconfig.toml names it.
STACK = "ai-orchestrator"
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


def without_settings(**variables):
    """This machine's environment without its AWS settings, for SAM."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return environment | {"AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0"} | variables


def sam(*arguments, output, **variables):
    environment = without_settings(**variables)
    with output.open("wb") as log:
        done = subprocess.run(["sam", *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log)
    if done.returncode:
        raise Failed(f"sam {arguments[0]} failed")


class Deployed:
    """The deployed stack, as its callers and its operator see it."""

    def __init__(self, port, programs, folder):
        self.port, self.programs, self.folder = port, programs, folder
        self.keys = {}
        self.doors = Doors(port)
        self.operator = operations.Operator(folder / "operator", lambda: without_settings(**self.environment))
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def aws(self, service, tls=True):
        client = boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        if tls:
            client.meta.events.register("before-send", lambda request, **_: request.headers.update(TLS))
        return client

    def deploy_guided(self):
        """Deploys as a person does who has set nothing and presses Enter at every question."""
        folder = self.folder / "guided"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "samconfig.toml").write_text((ROOT / "samconfig.toml").read_text())
        (folder / ".aws-sam").symlink_to(ROOT / ".aws-sam")
        environment = without_settings(**self.environment, TERM="dumb", COLUMNS="200")
        command = ["sam", "deploy", "--guided"]
        questions = press_enter_at_every_question(command, folder, environment, self.folder / "guided.log")
        self.operator.ran.add(" ".join(command))
        self.look()
        return [question.removeprefix("Parameter ").split(" [")[0] for question in questions if question.startswith("Parameter ")]

    def deploy(self, **parameters):
        # SAM takes no empty value without quotes.
        overrides = [f"{name}={value}" if value else f'{name}=""' for name, value in parameters.items()]
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
        self.look()

    def look(self):
        """Looks at what was deployed, and corrects where MiniStack differs from AWS."""
        described = self.aws("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        resources = self.aws("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        self.resources = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
        # It stores a numeric parameter as text and then cannot compare it.
        for source, most in (("WorkerSource", 5), ("DeadLettersSource", 2)):
            self.aws("lambda").update_event_source_mapping(UUID=self.resources[source], ScalingConfig={"MaximumConcurrency": most})
        # On AWS, sqs:SendMessage also allows batches. MiniStack wants a separate permission.
        iam = self.aws("iam")
        for logical, role in self.resources.items():
            if not logical.endswith("FunctionRole"):
                continue
            names = iam.list_role_policies(RoleName=role)["PolicyNames"]
            documents = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
            function = logical.removesuffix("FunctionRole")
            self.doors.rights[function] = rights_of(documents)
            self.use_door(function)
            for name, document in zip(names, documents, strict=True):
                for statement in document["Statement"]:
                    actions = statement["Action"]
                    actions = [actions] if isinstance(actions, str) else actions
                    if "sqs:SendMessage" in actions:
                        statement["Action"] = [*actions, "sqs:SendMessageBatch"]
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))

    def use_door(self, function):
        """Lets a function call AWS through its own door."""
        functions, name = self.aws("lambda"), self.resources[f"{function}Function"]
        variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        services = ("DYNAMODB", "SQS", "KMS", "SECRETS_MANAGER")
        variables |= {f"AWS_ENDPOINT_URL_{service}": self.doors.url(function) for service in services}
        # Its certificate is of the test's own authority.
        variables["SSL_CERT_FILE"] = str(self.redis.authority)
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})

    def put_secrets(self, **values):
        for output, value in values.items():
            # With the last line break of a file that was made with an editor.
            self.aws("secretsmanager").put_secret_value(SecretId=self.outputs[output], SecretString=f"{value}\n")

    def run(self, heading, containing="", **variables):
        """Runs commands of docs/OPERATIONS.md."""
        printed = self.operator.run(heading, containing, **variables)
        if "sam deploy" in "".join(
            block for under, block in operations.blocks(operations.TEXT) if under == heading and containing in block
        ):
            self.look()
        return printed

    def admin(self, **event):
        """An operator's command."""
        return json.loads(self.operator.shell(f"admin {shlex.quote(json.dumps(event))}\n"))

    def table(self):
        return self.outputs["TableName"]

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


def questions(asked):
    """`sam deploy --guided` asks little, and what is needed most comes first."""
    check(0 < len(asked) <= 12, "it asks for at most twelve parameters", asked)
    template = (ROOT / "infra" / "template.yaml").read_text()
    parameters = template.split("\nParameters:\n")[1].split("\nConditions:\n")[0]
    stated = re.findall(r"^  (\w+):\n", parameters, re.MULTILINE)
    described = re.findall(r"^    Description: \S", parameters, re.MULTILINE)
    check(asked == stated and len(described) == len(stated), "all of them, each with a description", stated)


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
    """The operator makes keys by invoking a function, and a lost answer does no harm."""
    lost, made = (json.loads(stack.run("The first key", "keys create")) for _ in range(2))
    stack.keys["lost"], stack.keys["app"] = (answer["result"]["key"] for answer in (lost, made))
    check(stack.keys["lost"].split("_")[1] in made["notes"][1], "the first key is made again after its answer was lost", made["notes"])
    stack.expect(401, "GET", "/actions", key="lost")
    shown = stack.run("The first key", "curl", KEY=stack.keys["app"])
    check('{"status":"ok"}' in shown and "gmail.send" in shown, "the key opens the API", shown)
    stack.run("Connect Prometheus")
    stack.keys["prometheus"] = (stack.operator.folder / "orchestrator.key").read_text().strip()
    for name, scopes, agent in (
        ("auditor", ["audit:read"], False),
        ("hooks", ["webhooks:write"], False),
        ("agent", ["actions:execute"], True),
        ("mcp", ["actions:preview", "actions:execute"], False),
        ("approver", ["actions:preview", "actions:approve"], False),
    ):
        stack.keys[name] = stack.admin(command="keys create", workspace=WORKSPACE, scopes=scopes, agent=agent)["result"]["key"]
    check(all(key.startswith("orc_") for key in stack.keys.values()), "the first keys are in the deployed table")
    rows = stack.admin(command="keys list")["result"]
    check([row["revoked_at"] is None for row in rows] == [False] + [True] * 7, "the list has each key", rows)


def operators_commands(stack):
    """Everything else that an operator asks."""
    stack.run("Roll a provider out")
    rows = stack.admin(command="rollout get")["result"]
    check({"provider": "google", "percent": 25, "source": "ledger"} in rows, "the rollout is set", rows)
    stack.admin(command="rollout set", provider="google", percent=100)
    allowed = stack.admin(command="workspaces allow", workspace="initech", actions=["gmail.send"])
    check(allowed["result"] == {"allow": "gmail.send"}, "a workspace is narrowed", allowed)
    wrong = stack.admin(command="keys create", workspace="Acme", scopes=["all"])
    check(not wrong["ok"] and wrong["error"]["code"] == "invalid-request", "a mistake is told", wrong)
    whole = stack.admin(command="audit verify")
    check(whole["ok"] and len(whole["result"]) > 3, "the audit is whole", whole)
    (head,) = (row["head"] for row in whole["result"] if row["workspace"] == WORKSPACE)
    answers = stack.run("Verify the audit", head=head).replace("}{", "}\n{").splitlines()
    check([json.loads(answer)["ok"] for answer in answers] == [True, True], "also against a head", answers)


def secrets(stack):
    """Secrets have no value until the operator gives them one, as the document says."""
    status, _, answer = stack.ask("GET", "/readyz")
    said = " ".join(answer["failing"])
    check(status == 503 and "OpenAiSecret" in said and "has no value yet" in said, "/readyz names a secret without a value", answer)
    # Both clients, so that both secrets are there.
    stack.deploy(GoogleClientId=CLIENT_ID, MicrosoftClientId="another client")
    files = {"openai-key.txt": MODEL_KEY, "google-client-secret.txt": CLIENT_SECRET, "microsoft-client-secret.txt": "another secret"}
    for name, value in (files | {"redis-url.txt": "rediss://:password@redis.example.com"}).items():
        (stack.operator.folder / name).write_text(f"{value}\n")
    stack.run("Deploy", "put-secret-value")
    arn = stack.run("Your own Redis")
    check(arn.startswith("arn:aws:secretsmanager:"), "a secret with the URL of one's own Redis is made", arn)
    stack.run("Deploy", "service-quotas")
    stack.run("Configure")
    status, _, answer = stack.ask("GET", "/readyz")
    said = " ".join(answer["failing"])
    check(status == 503 and "has no value" not in said and "cache" in said, "all have a value now, but no cache is there", answer)


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
    stack.expect(200, "GET", "/ai/jobs?status=error", key="app")
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

    written, allowed, slots = stack.redis.is_used()
    check(written and allowed, "the counts are in the cache's slots, and it refused the functions nothing", slots)


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


def no_queue_without_tls(stack):
    for queue in ("QueueUrl", "DeadLetterQueueUrl"):
        try:
            stack.aws("sqs", tls=False).send_message(QueueUrl=stack.outputs[queue], MessageBody="x")
        except ClientError as error:
            check(error.response["Error"]["Code"] == "AccessDenied", f"{queue} takes nothing without TLS", error)
        else:
            raise Failed(f"{queue} takes messages without TLS")


def dead_letters(stack):
    """A foreign message is dropped; one of a later version stays."""
    sqs, queue = stack.aws("sqs"), stack.outputs["DeadLetterQueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="nothing of ours")
    sqs.send_message(QueueUrl=queue, MessageBody='{"version":"2"}')

    until("the dead letters are settled", lambda: in_queue(stack, queue) == [0, 1])
    print("  a foreign dead letter is dropped, and one of a later version stays")


def consent(stack, fakes):
    fake(f"{fakes}/_fakes/consents", "POST", {"address": OWNER})
    _, headers, started = stack.ask("POST", "/oauth/google/start", {}, "app")
    path = urllib.parse.urlsplit(redirect(started["authorization_url"]))._replace(scheme="", netloc="").geturl()
    status, _, page = stack.ask("GET", path, headers={"Accept": "text/html", "Cookie": headers["Set-Cookie"].split(";")[0]})
    check(status == 200, "an account is connected", status, page)


def mails(*names, text=None):
    """A request for mails of these subjects."""
    actions = [
        {"action": "gmail.send", "client_request_id": name, "params": {"to": "john@example.com", "subject": name, "text": text or name}}
        for name in names
    ]
    return {"actor_id": "ana", "actions": actions}


def accept(stack, *names, text=None, key="app"):
    """Accepts mails of these subjects; returns their jobs."""
    return stack.expect(202, "POST", "/ai/execute", mails(*names, text=text), key)["job_ids"]


@contextlib.contextmanager
def paused(stack):
    """Meanwhile no worker runs; what is in the queue is gone, as a lost message."""
    functions, queue = stack.aws("lambda"), stack.outputs["QueueUrl"]

    def switch(enabled):
        functions.update_event_source_mapping(UUID=stack.resources["WorkerSource"], Enabled=enabled)

        def state():
            return functions.get_event_source_mapping(UUID=stack.resources["WorkerSource"])["State"]

        until(f"the source is {enabled}", lambda: state() == ("Enabled" if enabled else "Disabled"))

    switch(False)
    yield lambda: stack.aws("sqs").purge_queue(QueueUrl=queue)
    switch(True)


def change(stack, job_id, due_at=None, **fields):
    """Changes a job's record behind the program's back."""
    table, key = stack.aws("dynamodb"), {"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "JOB"}}
    item = table.get_item(TableName=stack.table(), Key=key, ConsistentRead=True)["Item"]
    body = item["body"].get("S") or zlib.decompressobj(-15, zdict=PACKED.read_bytes()).decompress(item["body"]["B"])
    item["body"] = {"S": json.dumps(json.loads(body) | fields)}
    if due_at is not None:
        item["due_at"] = item["due"] = {"N": str(due_at)}
    table.put_item(TableName=stack.table(), Item=item)


def overdue(stack, fakes):
    """The sweep finds lost messages, however many there are."""
    consent(stack, fakes)
    for count in (0, 1, 2, 5):
        with paused(stack) as purge:
            jobs = accept(stack, *(f"overdue {n} of {count}" for n in range(count))) if count else []
            purge()
            for job_id in jobs:
                change(stack, job_id, due_at=1, touched="2026-01-01T00:00:00Z")
            sweep(stack)
            queued = in_queue(stack, stack.outputs["QueueUrl"])
            check(queued == [count, 0], f"of {count} overdue jobs it queues each", queued)
        check(all(ended(stack, job_id)["status"] == "completed" for job_id in jobs), "which are carried out")


def never_claimed(stack):
    """A message that was only delivered to workers that were throttled is put back."""
    for waiting in ({}, {"retried_at": "2026-01-01T00:00:00Z"}):
        with paused(stack) as purge:
            (job_id,) = accept(stack, f"never claimed {waiting}")
            purge()
            change(stack, job_id, **waiting)
            dead_letter(stack, job_id)
            until("the message is put back", partial(is_in_queue, stack, 1))
        job = ended(stack, job_id)
        check(job["status"] == "completed", "a job that no worker had is put back, and carried out", job)


def is_in_queue(stack, count):
    return in_queue(stack, stack.outputs["QueueUrl"]) == [count, 0]


def dead_letter(stack, job_id):
    message = json.dumps({"version": "1", "job_id": job_id, "workspace_id": WORKSPACE})
    stack.aws("sqs").send_message(QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageBody=message)


def given_up(stack):
    """A job that workers had is settled; a person then decides."""
    with paused(stack) as purge:
        crashed, unknown, cancelled, old = accept(stack, "crashed", "unknown", "cancelled", "old")
        purge()
        change(stack, crashed, state="claimed", attempts=5, fence=5, crashes=5)
        change(stack, unknown, state="sending", attempts=1, fence=1)
        change(stack, old, crashes=10)
        for job_id in (crashed, unknown, old):
            dead_letter(stack, job_id)
        for job_id, code in ((crashed, "internal"), (unknown, "outcome-unknown"), (old, "internal")):
            job = ended(stack, job_id)
            check(job["status"] == "error" and job["error"]["code"] == code, f"a job that workers had ends as {code}", job)
        stack.expect(200, "POST", f"/ai/jobs/{cancelled}/cancel", {}, "app")
        stack.expect(200, "POST", f"/ai/jobs/{unknown}/resolve", {"outcome": "sent"}, "app")
        stack.expect(200, "POST", f"/ai/jobs/{crashed}/retry", {}, "app")
        stack.expect(200, "GET", f"/ai/jobs/{crashed}/content", key="app")
    job = ended(stack, crashed)
    check(job["status"] == "completed", "a retry carries it out", job)


def woken(stack, fakes):
    """Connecting an account queues the jobs that wait for it, however many there are."""
    for count in (1, 2):
        with paused(stack) as purge:
            jobs = accept(stack, *(f"waits {n} of {count}" for n in range(count)))
            purge()
            for job_id in jobs:
                change(stack, job_id, waiting_for="reauth", not_before="2030-01-01T00:00:00Z")
            consent(stack, fakes)
            check(is_in_queue(stack, count), f"{count} waiting jobs are queued", in_queue(stack, stack.outputs["QueueUrl"]))
            # A plan compares with all jobs that are under way.
            stack.expect(200, "POST", "/ai/plan2", {"prompt": f"Write to john@example.com: waits {count}"}, "app")
        check(all(ended(stack, job_id)["status"] == "completed" for job_id in jobs), "and carried out")


HEARD = []


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes webhooks at /good, and wants none at /gone."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        HEARD.append((self.path, body["type"], body["data"].get("job_id")))
        self.send_response(410 if self.path == "/gone" else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


def make_due(stack, deliveries):
    table = stack.aws("dynamodb")
    for delivery in deliveries:
        key = {"pk": {"S": f"DELIVERY#{delivery}"}, "sk": {"S": "DELIVERY"}}
        due = {"UpdateExpression": "SET due_at = :past, due = :past", "ExpressionAttributeValues": {":past": {"N": "1"}}}
        table.update_item(TableName=stack.table(), Key=key, **due)


def webhooks(stack):
    """The end of a job reaches an endpoint, from whichever function ends it, and however its message was lost."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    good, gone = (stack.expect(201, "POST", "/webhooks", {"url": f"{url}{path}"}, "hooks")["id"] for path in ("/good", "/gone"))
    stack.expect(200, "POST", f"/webhooks/{good}/rotate", {}, "hooks")
    stack.expect(202, "POST", f"/webhooks/{gone}/test", {}, "hooks")

    def statuses():
        return [endpoint["status"] for endpoint in stack.expect(200, "GET", "/webhooks", key="hooks")["data"]]

    def delivered():
        listed = stack.expect(200, "GET", f"/webhooks/{good}/deliveries", key="hooks")["data"]
        return all(delivery["status"] == "delivered" for delivery in listed)

    until("an endpoint that is gone is disabled", lambda: statuses() == ["active", "disabled"])
    stack.expect(200, "GET", f"/webhooks/{gone}/deliveries", key="hooks")
    for count in (1, 2):
        with paused(stack) as purge:
            tests = [stack.expect(202, "POST", f"/webhooks/{good}/test", {}, "hooks")["webhook_id"] for _ in range(count)]
            purge()
            make_due(stack, tests)
            sweep(stack)
            queued = in_queue(stack, stack.outputs["QueueUrl"])
            check(queued == [count, 0], f"of {count} overdue deliveries it queues each", queued)
        until("they are delivered", delivered)
    stack.expect(204, "DELETE", f"/webhooks/{gone}", key="hooks")
    operators_webhooks(stack, f"{url}/good", good)


def operators_webhooks(stack, url, good):
    """The operator sees, tests and removes endpoints without a key of the workspace, and without the right to open them."""
    other = stack.expect(201, "POST", "/webhooks", {"url": url}, "hooks")["id"]
    told = len(HEARD)
    sent = stack.admin(command="webhooks test", workspace=WORKSPACE, id=other)
    check(sent["ok"], "the operator sends a test", sent)
    until("it arrives", lambda: ("/good", "webhook.test", None) in HEARD[told:])
    rows = stack.admin(command="webhooks list", workspace=WORKSPACE)["result"]
    check([(row["id"], row["status"]) for row in rows] == [(good, "active"), (other, "active")], "and lists the endpoints", rows)
    removed = stack.admin(command="webhooks remove", workspace=WORKSPACE, id=other)
    check(removed["ok"], "and removes one", removed)
    unknown = stack.admin(command="webhooks test", workspace=WORKSPACE, id=other)
    check(unknown["error"]["code"] == "not-found", "which is then unknown", unknown)


def held(stack):
    """What an agent asks for waits for a person, who is told of it."""
    (job_id,) = accept(stack, "asked for by an agent", key="agent")
    until("the endpoint is told of a held job", lambda: ("/good", "job.held", job_id) in HEARD)
    held = stack.expect(200, "GET", "/ai/jobs?waiting_for=approval", key="approver")["data"]
    check([job["job_id"] for job in held] == [job_id], "it is the one that waits for approval", held)
    stack.expect(200, "POST", f"/ai/jobs/{job_id}/approve", {"payload_sha256": held[0]["payload_sha256"]}, "approver")
    check(ended(stack, job_id)["status"] == "completed", "an approved job is carried out")


def tool(stack, name, **arguments):
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    result = stack.expect(200, "POST", "/mcp", message, "mcp")["result"]
    check(not result["isError"], f"{name} answers an agent", result)
    return result["structuredContent"]


def agents(stack):
    """What comes over MCP waits for a person, and goes out once."""
    stack.expect(401, "POST", "/mcp", {})
    for method in ("GET", "DELETE"):
        stack.expect(405, method, "/mcp", key="mcp")
    about = stack.expect(200, "GET", "/.well-known/oauth-protected-resource")
    check(about["resource"] == f"{stack.outputs['ApiUrl']}/mcp", "it says what protects the MCP server", about)
    listed = stack.expect(200, "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, "mcp")["result"]["tools"]
    check(len(listed) == 6, "it has six tools")
    check(tool(stack, "list_connections")["google"]["mode"] == "live", "it tells of the account")
    plan_id = tool(stack, "plan", prompt="Write to john@example.com that an agent asks")["plan"]["plan_id"]
    jobs = [tool(stack, "execute_plan", plan_id=plan_id) for _ in range(2)]
    (job_id,) = jobs[0]["job_ids"]
    check(jobs[1]["job_ids"] == [job_id] and jobs[0]["waiting_for"] == "approval", "a plan is one job, which is held", jobs)
    listed = tool(stack, "list_jobs", waiting_for="approval")["data"]
    check([job["job_id"] for job in listed] == [job_id], "it is in the list", listed)
    check(len(tool(stack, "list_jobs")["data"]) > 1, "the others are there, too")
    payload = tool(stack, "get_job", job_id=job_id)["payload_sha256"]
    stack.expect(200, "POST", f"/ai/jobs/{job_id}/approve", {"payload_sha256": payload}, "approver")
    check(ended(stack, job_id)["status"] == "completed", "after the approval it is carried out")
    plan_id = tool(stack, "plan", prompt="Write to john@example.com that nothing goes out")["plan"]["plan_id"]
    (job_id,) = tool(stack, "execute_plan", plan_id=plan_id)["job_ids"]
    check(tool(stack, "cancel_job", job_id=job_id)["error"]["code"] == "cancelled", "an agent cancels its own")


def all_told(stack):
    """Each job that ended since then was told of."""
    jobs = stack.expect(200, "GET", "/ai/jobs?limit=100", key="app")["data"]
    (good,) = stack.expect(200, "GET", "/webhooks", key="hooks")["data"]
    ended = {job["job_id"] for job in jobs if job["finished_at"] and job["finished_at"] > good["created_at"]}

    def told():
        return {job for path, _, job in HEARD if path == "/good"}

    check(len(ended) > 5, "jobs have ended in the worker, for a caller and as dead letters", ended)
    listed = stack.expect(200, "GET", f"/webhooks/{good['id']}/deliveries?limit=100", key="hooks")["data"]
    # Their messages were purged with those of jobs.
    make_due(stack, [delivery["webhook_id"] for delivery in listed if delivery["status"] == "pending"])
    sweep(stack)
    until("the end of each job was told", lambda: ended <= told())


def long_texts(stack):
    """Records that one item of the table cannot hold."""
    prompt = "Write to john@example.com that we meet at noon. " + "And so on. " * 13_000
    plan = stack.expect(200, "POST", "/ai/plan2", {"prompt": prompt}, "app")["plan"]
    action = {"action": "gmail.send", "params": plan["actions"][0]["params"], "plan_id": plan["plan_id"]}
    stack.expect(200, "POST", "/actions/preview", action, "app")
    (job_id,) = stack.expect(202, "POST", "/ai/execute", {"plan_id": plan["plan_id"]}, "app")["job_ids"]
    check(ended(stack, job_id)["status"] == "completed", "a long plan is carried out")
    # Twice as long in JSON.
    text = '"' * 200_000
    (job_id,) = accept(stack, "a long mail", text=text)
    check(ended(stack, job_id)["status"] == "completed", "a long mail is carried out")
    content = stack.expect(200, "GET", f"/ai/jobs/{job_id}/content", key="app")
    check(content["text"] == text, "and can be read")


def seldom(stack):
    """What a function does when nothing is at hand, when it is asked again, or when a job has to wait."""
    several = ["replayed 1", "replayed 2"]
    check(accept(stack, *several) == accept(stack, *several), "two actions again are the same two jobs")
    check(len(stack.expect(200, "GET", "/ai/jobs?limit=5", key="app")["data"]) == 5, "a list has as many jobs as it may")
    stack.keys["globex"] = stack.admin(command="keys create", workspace="globex", scopes=["audit:read"])["result"]["key"]
    entries = stack.expect(200, "GET", "/audit", key="globex")["data"]
    check(len(entries) == 1, "an audit may have one entry", entries)
    with paused(stack):
        ready, waiting = accept(stack, "ready", "waiting")
        # No longer than a queue can hold a message.
        change(stack, waiting, not_before=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600)))
        # A new process, and nothing in the cache.
        stack.use_door("Worker")
        stack.redis.flush()
    check(ended(stack, ready)["status"] == "completed", "a worker finds what the cache has lost")
    until("the message of the job that waits is sent again for later", lambda: delayed(stack) == 1)
    began = time.monotonic()
    job = stack.expect(200, "GET", f"/ai/jobs/{waiting}?wait=20", key="app")
    waited = time.monotonic() - began
    check(job["status"] == "pending" and 4 < waited < 10, "a poll waits for five seconds at most", job, waited)
    stack.expect(200, "POST", f"/ai/jobs/{waiting}/cancel", {}, "app")


def preflights(stack):
    """API Gateway answers browsers, for the origins that are named."""
    for origin, known in (("https://app.example.com", True), ("https://example.com", False), ("https://nobody.invalid", False)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        status, headers, _ = stack.ask("OPTIONS", "/ai/plan2", headers=asked)
        allowed = headers["Access-Control-Allow-Origin"]
        check((allowed == origin) == known, f"{origin} is {'' if known else 'not '}allowed", status, allowed)


def delayed(stack):
    names = ["ApproximateNumberOfMessagesDelayed"]
    attributes = stack.aws("sqs").get_queue_attributes(QueueUrl=stack.outputs["QueueUrl"], AttributeNames=names)["Attributes"]
    return int(attributes[names[0]])


def rights(stack):
    """Each function's policy allows what its code calls, and nothing else."""
    check(not stack.doors.refused, "no function lacked a right", stack.doors.refused)
    check(not stack.doors.spare(), "no function has a right that it does not use", stack.doors.spare())
    puts = {(function, key) for function, rights in stack.doors.rights.items() for action, _, key in rights if action == "dynamodb:PutItem"}
    operators = {entry for entry in puts if entry[1].split("#")[0] in ("KEY", "WORKSPACE", "ROLLOUT", "*")}
    operators = {entry for entry in operators if entry[0] != "Admin"}
    check(not operators, "nobody but the operator makes keys, settings and rollouts", operators)


def runbooks(stack):
    """The runbooks work as they stand."""
    for path in ("/ai/jobs/00000000-0000-8000-8000-000000000000?wait=20", "/ai/jobs"):
        correlation_id = stack.ask("GET", path, key="app")[1]["x-correlation-id"]
        found = stack.run("Watch", correlation_id=correlation_id)
        check(correlation_id in found, "the log search finds a request by its correlation id", found)
    filling(stack)
    for heading in ("Upgrade", "Roll back"):
        stack.run(heading, "sam deploy", previous="the version before")
        (job_id,) = accept(stack, f"after {heading}")
        check(ended(stack, job_id)["status"] == "completed", f"jobs are carried out after {heading}")
    stack.run("Dead letters")
    source = stack.aws("lambda").get_event_source_mapping(UUID=stack.outputs["DeadLettersSource"])
    check(source["State"] == "Enabled", "dead letters are moved back, and their source is on again", source["State"])
    before = stack.table()
    restored(stack)
    check(before in stack.aws("dynamodb").list_tables()["TableNames"], "the table before is still there")
    (job_id,) = accept(stack, "after the restore")
    check(ended(stack, job_id)["status"] == "completed", "jobs are accepted and carried out again")
    table = stack.aws("dynamodb").describe_table(TableName="restored")["Table"]
    check(table["DeletionProtectionEnabled"], "it is protected")
    stack.aws("dynamodb").update_table(TableName="restored", DeletionProtectionEnabled=False)


def restored(stack):
    """A backup serves; nothing is accepted that it would not have, and nothing that was open in it goes out by itself."""

    def jobs():
        return stack.expect(200, "GET", "/ai/jobs?limit=100", key="app")["data"]

    functions, source = stack.aws("lambda"), stack.resources["WorkerSource"]
    functions.update_event_source_mapping(UUID=source, Enabled=False)
    until("no worker runs", lambda: functions.get_event_source_mapping(UUID=source)["State"] == "Disabled")
    (open_job,) = accept(stack, "open at the restore")
    before = jobs()
    stack.run("Restore", "put-function-concurrency")
    for method, path, body in (("POST", "/ai/execute", mails("too late")), ("GET", "/ai/jobs", None)):
        status = stack.ask(method, path, body, key="app")[0]
        check(status == 429 or status >= 500, f"{method} {path} is stopped", status)
    stack.run("Restore", "restore-table", restored="restored")
    check(stack.table() == "restored", "the restored table is the stack's", stack.outputs)
    status = stack.ask("GET", "/ai/jobs", key="app")[0]
    check(status == 429 or status >= 500, "nothing starts by itself", status)
    stack.run("An earlier state")
    stack.run("Restore", "delete-function-concurrency")
    refused = stack.expect(403, "POST", "/ai/execute", mails("not yet"), key="app")
    check(refused["code"] == "rollout-denied", "both providers are closed", refused)
    job = ended(stack, open_job)
    check(job["error"]["code"] == "rollout-denied", "what was open ends unsent", job)
    after = {job["job_id"]: job for job in jobs()} | {open_job: before[0]}
    check([after[job["job_id"]] for job in before] == before, "the jobs are as they were", len(before))
    for provider in ("google", "microsoft"):
        stack.admin(command="rollout set", provider=provider, percent=100)
    until("functions know it", lambda: stack.ask("POST", "/ai/execute", mails("open again"), key="app")[0] == 202)


def filling(stack):
    """An index that is missing, or that DynamoDB still fills, is told; nothing fails for it."""
    age = "ai_queue_oldest_age_seconds "
    table = stack.aws("dynamodb")
    table.update_table(TableName=stack.table(), GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "open_jobs"}}])
    text = stack.expect(200, "GET", "/metrics", key="prometheus")
    check(not any(line.startswith(age) for line in text.splitlines()), "without its index, the oldest job's age is left out")
    until("a log line says so", lambda: any("the index open_jobs is missing" in line for line in stack.log_lines()))
    (job_id,) = accept(stack, "without an index")
    check(ended(stack, job_id)["status"] == "completed", "jobs are carried out meanwhile")
    states = stack.run("Upgrade", "update-table")
    check("open_jobs" in states and "ACTIVE" in states, "the index is added", states)
    until("the age is back", lambda: age in stack.ask("GET", "/metrics", key="prometheus")[2])


def moved(stack, fakes, job_id, parameters):
    """A stack that was deleted is deployed again, with the table and the key that it left."""
    old = stack.expect(200, "GET", f"/ai/jobs/{job_id}", key="app")
    table = stack.table()
    stack.run("Move")
    stack.deploy(**parameters)
    check(stack.table() == table, "the new stack serves from the table that the old one left", stack.outputs)
    stack.put_secrets(**stack.secrets)
    stack.expect(401, "GET", f"/ai/jobs/{job_id}")
    check(stack.expect(200, "GET", f"/ai/jobs/{job_id}", key="app") == old, "an old job is as it was", old)
    stack.expect(200, "GET", f"/ai/jobs/{job_id}/content", key="app")
    status = stack.expect(200, "GET", "/oauth/google/status", key="app")
    check(status["connected"] and status["address"] == OWNER, "the account is still connected", status)
    (new,) = accept(stack, "after the move")
    check(ended(stack, new)["status"] == "completed", "and sends mails", new)


def torn_down(stack):
    """Nothing is left if the operator wants nothing to be left."""
    table, key = stack.table(), stack.outputs["KeyArn"]
    stack.run("Tear down")
    check(table not in stack.aws("dynamodb").list_tables()["TableNames"], "the table is deleted")
    state = stack.aws("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    check(state == "PendingDeletion", "and the key will be", state)


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
    if arguments.sam_local:
        print("sam local")
        local.run(folder, without_settings(PROGRAMS=str(programs)))
        return
    if not arguments.no_build:
        print("sam build")
        sam("build", "--parameter-overrides", f"Architecture={architecture()}", output=folder / "build.log")
    if arguments.build_only:
        return
    fakes, model = servers.fakes(programs / "fakes", MODEL_KEY)
    stack = Deployed(servers.ministack(), programs, folder)
    stack.redis = OwnCache(servers)

    print("sam deploy --guided")
    asked = stack.deploy_guided()
    questions(asked)
    secrets(stack)
    print("sam deploy")
    parameters = {
        "Architecture": architecture(),
        "AllowActions": "gmail.send,outlook.send",
        "GoogleClientId": CLIENT_ID,
        "MicrosoftClientId": "",
        "Settings": settings(fakes, model),
    }
    stack.deploy(**parameters)
    # MiniStack makes no cache, so its secret gets the address of another one.
    stack.secrets = {"OpenAiSecret": MODEL_KEY, "GoogleSecret": CLIENT_SECRET, "RedisSecret": stack.redis.url}
    stack.put_secrets(**stack.secrets)

    try:
        checks(stack, fakes, parameters)
    finally:
        (folder / "functions.log").write_text("\n".join(line.rstrip() for line in stack.log_lines()))
    torn_down(stack)
    left, unknown = stack.operator.left()
    check(not left, "every command of docs/OPERATIONS.md was run, or is left out for a reason", left)
    check(not unknown, "every command that is left out is in docs/OPERATIONS.md", unknown)


def settings(fakes, model):
    given = {
        "AI_MAX_OUTPUT_TOKENS": 200_000,
        "AI_MAX_TOKENS_PER_MIN": 100_000_000,
        "LIMIT_PROMPT_BYTES": 1_000_000,
        "LIMIT_REQUESTS_PER_KEY": 1000,
        "FLAGS_GOOGLE_ROLLOUT_PERCENT": 100,
        "OPENAI_BASE_URL": model,
        "GMAIL_BASE_URL": fakes,
        "GRAPH_BASE_URL": f"{fakes}/v1.0",
        "ALLOW_ORIGINS": "https://app.example.com,https://other.example.com",
        "ENABLE_DEV_UI": "true",
        "WEBHOOK_ALLOW_HOSTS": "127.0.0.1",
        "TableDeletionProtection": "false",
        "MemorySize": 256,
        "GOOGLE_AUTH_URL": f"{fakes}/oauth/google/auth",
        "GOOGLE_TOKEN_URL": f"{fakes}/oauth/google/token",
        "GOOGLE_REVOKE_URL": f"{fakes}/oauth/google/revoke",
    }
    return ";".join(f"{name}={value}" for name, value in given.items())


def checks(stack, fakes, parameters):
    print("the ledger")
    same_table(stack)
    make_keys(stack)
    print("the API")
    open_routes(stack)
    preflights(stack)
    print("an account")
    connect(stack, fakes)
    print("a mail")
    request, job_id = one_mail(stack, fakes)
    no_second_mail(stack, fakes, request, job_id)
    every_right(stack, job_id)
    metrics(stack)
    operators_commands(stack)
    disconnect(stack, fakes)
    audit(stack)
    print("behind the API")
    no_queue_without_tls(stack)
    dead_letters(stack)
    webhooks(stack)
    overdue(stack, fakes)
    never_claimed(stack)
    given_up(stack)
    woken(stack, fakes)
    held(stack)
    agents(stack)
    all_told(stack)
    long_texts(stack)
    seldom(stack)
    rights(stack)
    runbooks(stack)
    log_lines(stack)
    print("another stack")
    moved(stack, fakes, job_id, parameters)


def main():
    parser = argparse.ArgumentParser(prog="scripts/stack-test")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--build-only", action="store_true", help="stop after `sam build`")
    only.add_argument("--sam-local", action="store_true", help="instead, run what is built in containers, with `sam local`")
    only.add_argument("--no-build", action="store_true", help="use what `sam build` built before")
    parser.add_argument("--logs", type=pathlib.Path, help="the folder for the logs")
    arguments = parser.parse_args()
    began = time.monotonic()
    operations.self_test()

    def time_out(*_):
        raise Failed("timed out")

    signal.signal(signal.SIGALRM, time_out)
    signal.signal(signal.SIGTERM, time_out)
    signal.alarm(480 if arguments.no_build else 3600)
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
    works = "the functions work in containers" if arguments.sam_local else "the whole stack works on loopback"
    what = "the functions are built" if arguments.build_only else works
    print(f"{what} ({time.monotonic() - began:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
