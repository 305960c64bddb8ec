"""Plans, executes, polls and hears of the end, through the client that was generated from the running program's OpenAPI
document; what a webhook says is verified by the library of Standard Webhooks."""

import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import standardwebhooks
from orchestrator_client import Client
from orchestrator_client.api.actions import list_actions
from orchestrator_client.api.execute import execute
from orchestrator_client.api.jobs import get_job
from orchestrator_client.api.plan import plan2
from orchestrator_client.api.webhooks import add_webhook, list_deliveries
from orchestrator_client.models import DeliveryStatus, ExecuteBody, JobStatus, Plan2Request, ProblemBody, WebhookBody

PROMPT = "Send email to john@example.com saying thanks for the meeting"

heard = queue.Queue()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        heard.put((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


receiver = HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{receiver.server_port}/hook"

with Client(base_url=sys.argv[1]) as client:
    allowed = [action.id for action in list_actions.sync(client=client).data if action.allowed]
    assert "gmail.send" in allowed, allowed

    plan = plan2.sync(client=client, body=Plan2Request(prompt=PROMPT)).plan
    assert [action.action for action in plan.actions] == ["gmail.send"], plan

    webhook = add_webhook.sync(client=client, body=WebhookBody(url=url, events=["job.completed"]))
    # Without keys, a write has a body of JSON.
    rotated = client.get_httpx_client().post(f"/webhooks/{webhook.id}/rotate", json={}).raise_for_status().json()
    secrets = [webhook.secret, rotated["secret"]]

    accepted = execute.sync(client=client, body=ExecuteBody(plan_id=plan.plan_id))
    job = get_job.sync(accepted.job_ids[0], client=client, wait=20)
    assert job.status == JobStatus.COMPLETED, job

    headers, body = heard.get(timeout=10)
    for secret in secrets:
        event = standardwebhooks.Webhook(secret).verify(body, headers)
        assert event["type"] == "job.completed" and event["data"]["job_id"] == str(job.job_id), event
    for wrong in [("whsec_" + "A" * 43 + "=", headers), (secrets[0], headers | {"webhook-id": "another"})]:
        try:
            standardwebhooks.Webhook(wrong[0]).verify(body, wrong[1])
        except standardwebhooks.WebhookVerificationError:
            continue
        raise AssertionError("a webhook that is not ours is taken")
    deliveries = list_deliveries.sync(webhook.id, client=client).data
    assert [str(delivery.webhook_id) for delivery in deliveries] == [headers["webhook-id"]], deliveries
    assert deliveries[0].status in (DeliveryStatus.PENDING, DeliveryStatus.DELIVERED), deliveries

    # A refusal is typed too.
    refused = plan2.sync(client=client, body=Plan2Request(prompt=""))
    assert isinstance(refused, ProblemBody) and refused.code == "invalid-request", refused

print("the generated Python client: planned, executed, completed, and verified the webhook")
