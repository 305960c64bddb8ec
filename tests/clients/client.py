"""Plans, executes and polls through the client that was generated from the running program's OpenAPI document."""

import sys

from orchestrator_client import Client
from orchestrator_client.api.actions import list_actions
from orchestrator_client.api.execute import execute
from orchestrator_client.api.jobs import get_job
from orchestrator_client.api.plan import plan2
from orchestrator_client.models import ExecuteBody, JobStatus, Plan2Request, ProblemBody

PROMPT = "Send email to john@example.com saying thanks for the meeting"

with Client(base_url=sys.argv[1]) as client:
    allowed = [action.id for action in list_actions.sync(client=client).data if action.allowed]
    assert "gmail.send" in allowed, allowed

    plan = plan2.sync(client=client, body=Plan2Request(prompt=PROMPT)).plan
    assert [action.action for action in plan.actions] == ["gmail.send"], plan

    accepted = execute.sync(client=client, body=ExecuteBody(plan_id=plan.plan_id))
    job = get_job.sync(accepted.job_ids[0], client=client, wait=20)
    assert job.status == JobStatus.COMPLETED, job

    # A refusal is typed too.
    refused = plan2.sync(client=client, body=Plan2Request(prompt=""))
    assert isinstance(refused, ProblemBody) and refused.code == "invalid-request", refused

print("the generated Python client: planned, executed, completed")
