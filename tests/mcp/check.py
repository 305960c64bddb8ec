"""The official Python client, the inspector and signed tokens against the running program: a plan is executed, held, approved
and completed, and one mail goes out. Started by scripts/mcp-test."""

import asyncio
import base64
import contextlib
import hmac
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

PROGRAM, FAKES, INSPECTOR = sys.argv[1:]
PROMPT = "Send email to john@example.com saying thanks for the meeting"
TOOLS = ["plan", "execute_plan", "get_job", "list_jobs", "cancel_job", "list_connections"]


def check(is_so, what, *seen):
    if not is_so:
        raise SystemExit(": ".join([f"mcp: {what}", *(repr(value) for value in seen)]))
    print(f"  {what}")


def plain(folder, **variables):
    return {"PATH": os.environ["PATH"], "ORCHESTRATOR_DATA": folder, "PORT": "0", "RUST_LOG": "warn", **variables}


@contextlib.contextmanager
def serving(command, says, environment):
    """A program, once it prints its address, which follows this text."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            for line in process.stdout:
                if line.startswith(says):
                    break
            else:
                log.seek(0)
                raise SystemExit(f"mcp: {command[0]} did not start: {log.read().decode()}")
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield line.removeprefix(says).strip()
        finally:
            process.terminate()
            process.wait()


def ask(method, url, body=None, token=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, json.loads(answer.read() or "null")


def approve(url, job):
    status, answer = ask("POST", f"{url}/ai/jobs/{job['job_id']}/approve", {"payload_sha256": job["payload_sha256"]})
    check(status == 200, "a person approves the job", answer)


async def one_mail(client, url, sent):
    """From the sentence to the mail, by a client."""
    listed = await client.list_tools()
    check([tool.name for tool in listed.tools] == TOOLS, "it lists the tools")
    planned = await client.call_tool("plan", {"prompt": PROMPT})
    plan = {"plan_id": planned.structured_content["plan"]["plan_id"]}
    executed = [(await client.call_tool("execute_plan", plan)).structured_content for _ in range(2)]
    (job_id,) = executed[0]["job_ids"]
    check(executed[1]["job_ids"] == [job_id] and executed[0]["waiting_for"] == "approval", "a plan is one held job", executed)
    job = (await client.call_tool("get_job", {"job_id": job_id})).structured_content
    before = sent()
    approve(url, job)
    job = (await client.call_tool("get_job", {"job_id": job_id, "wait": 20})).structured_content
    check(job["status"] == "completed" and sent() == before + 1, "it is completed, and one mail has gone out", job)
    wrong = await client.call_tool("execute_plan", {"actions": []})
    check(wrong.is_error and wrong.structured_content["code"] == "invalid-request", "raw actions are refused", wrong)
    for name, arguments in (("list_jobs", {"limit": 1}), ("list_connections", {})):
        check(not (await client.call_tool(name, arguments)).is_error, f"{name} answers")
    check((await client.call_tool("cancel_job", {"job_id": job_id})).is_error, "what is done cannot be cancelled")


async def python_client(url, sent):
    for mode in ("legacy", "auto"):
        print(f"the Python client, {mode}")
        async with Client(f"{url}/mcp", mode=mode) as client:
            await one_mail(client, url, sent)
    print("the Python client, over standard input and output")
    server = StdioServerParameters(command=PROGRAM, args=["mcp"], env={"ORCHESTRATOR_URL": url})
    async with Client(server) as client:
        await one_mail(client, url, sent)


def inspector(url, sent):
    print("the inspector")

    def tool(name, **arguments):
        given = [part for pair in arguments.items() for part in ("--tool-arg", "=".join(pair))]
        command = ["node", INSPECTOR, f"{url}/mcp", "--transport", "http", "--method", "tools/call", "--tool-name", name, *given]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        check(done.returncode == 0, f"it calls {name}", done.stderr)
        return json.loads(done.stdout)["structuredContent"]

    plan_id = tool("plan", prompt=PROMPT)["plan"]["plan_id"]
    (job_id,) = tool("execute_plan", plan_id=plan_id)["job_ids"]
    before = sent()
    approve(url, tool("get_job", job_id=job_id))
    job = tool("get_job", job_id=job_id, wait="20")
    check(job["status"] == "completed" and sent() == before + 1, "the job is completed, and one mail has gone out", job)


class Issuer(http.server.BaseHTTPRequestHandler):
    """Publishes two keys, by OpenID Connect Discovery."""

    rsa = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
    curve = ECKey.generate_key("P-256", {"kid": "curve", "use": "sig"})
    url = None

    def do_GET(self):
        keys = {"keys": [key.as_dict(private=False) for key in (Issuer.rsa, Issuer.curve)]}
        found = {"issuer": Issuer.url, "jwks_uri": f"{Issuer.url}/keys"}
        body = json.dumps(keys if self.path == "/keys" else found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def tokens(folder):
    """What another library has signed is a credential if it should be, and else is not."""
    print("tokens")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Issuer.url = f"http://127.0.0.1:{server.server_port}"
    now = int(time.time())
    good = {"iss": Issuer.url, "sub": "ana", "aud": "api", "exp": now + 300, "scope": "actions:preview actions:execute"}

    def signed(key, algorithm, kid, **change):
        claims = {name: value for name, value in (good | change).items() if value is not None}
        header = {"alg": algorithm} | ({"kid": kid} if kid else {})
        return jwt.encode(header, claims, key, algorithms=[algorithm])

    stranger = RSAKey.generate_key(2048, {"kid": "rsa"})

    def parts(header):
        return [base64url(json.dumps(value).encode()) for value in (header, good)]

    # A server that takes the header's word for the kind of key takes the published one for the secret of an HMAC.
    confused = parts({"alg": "HS256", "kid": "rsa"})
    mac = hmac.new(Issuer.rsa.as_pem(private=False), ".".join(confused).encode(), "sha256").digest()
    bad = {
        "alg none": ".".join([*parts({"alg": "none"}), ""]),
        "HS256 by the public key": ".".join([*confused, base64url(mac)]),
        "a stranger's key": signed(stranger, "RS256", "rsa"),
        "another algorithm": signed(Issuer.rsa, "PS256", "rsa"),
        "an unknown key": signed(Issuer.rsa, "RS256", "other"),
        "no key": signed(Issuer.rsa, "RS256", None),
        "another issuer": signed(Issuer.rsa, "RS256", "rsa", iss="https://accounts.example.com"),
        "another audience": signed(Issuer.rsa, "RS256", "rsa", aud="other"),
        "expired": signed(Issuer.rsa, "RS256", "rsa", exp=now - 30),
        "without an end": signed(Issuer.rsa, "RS256", "rsa", exp=None),
        "not yet valid": signed(Issuer.curve, "ES256", "curve", nbf=now + 300),
        "nobody's": signed(Issuer.curve, "ES256", "curve", sub=None),
    }
    environment = plain(folder, OIDC_ISSUER=Issuer.url, OIDC_WORKSPACE="acme", OIDC_AUDIENCE="api")
    with serving([PROGRAM], "AI Orchestrator is listening on ", environment) as url:
        for what, token in bad.items():
            statuses = [ask("GET", f"{url}{path}", token=token)[0] for path in ("/ai/jobs", "/actions")]
            statuses.append(ask("POST", f"{url}/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, token)[0])
            check(statuses == [401] * 3, f"{what} is refused", statuses)
        for key, algorithm, kid in ((Issuer.rsa, "RS256", "rsa"), (Issuer.curve, "ES256", "curve")):
            token = signed(key, algorithm, kid)
            check(ask("GET", f"{url}/ai/jobs", token=token)[0] == 200, f"{algorithm} is good")
            sender = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"})
            async with sender, Client(streamable_http_client(f"{url}/mcp", http_client=sender)) as client:
                planned = await client.call_tool("plan", {"prompt": PROMPT})
                check(not planned.is_error, "and the Python client plans with it", planned)
    server.shutdown()


async def main():
    fakes = [FAKES, "--port", "0"]
    with tempfile.TemporaryDirectory() as folder, serving(fakes, "", plain(folder)) as provider:
        token = {"token": "t-google", "provider": "google", "scopes": ["https://www.googleapis.com/auth/gmail.send"]}
        ask("POST", f"{provider}/_fakes/tokens", token)
        live = plain(f"{folder}/data", GMAIL_BASE_URL=provider, GOOGLE_ACCESS_TOKEN="t-google")

        def sent():
            return ask("GET", f"{provider}/_fakes/deliveries")[1]["total"]

        with serving([PROGRAM], "AI Orchestrator is listening on ", live) as url:
            await python_client(url, sent)
            inspector(url, sent)
        await tokens(f"{folder}/tokens")


asyncio.run(main())
