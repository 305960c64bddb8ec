"""A client of the AI Orchestrator, in one file without dependencies, for Python 3.11.

Made by scripts/clients.py from the program's OpenAPI document."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Literal, NotRequired, TypedDict


class Problem(Exception):
    """The server refused a request (RFC 9457). `problem` has `code`, `detail`, `errors`, `retriable` and more."""

    def __init__(self, problem: dict[str, Any]):
        super().__init__(f"{problem.get('title')} ({problem.get('code')}): {problem.get('detail')}")
        self.problem = problem


class AcceptedJob(TypedDict):
    """A job that this request, or an earlier one with the same idempotency key, created."""

    client_request_id: str
    job_id: str
    replayed: bool
    status: JobStatus
    waiting_for: NotRequired[WaitingFor | None]
    waiting_until: NotRequired[str | None]


class Account(TypedDict):
    """The account of a provider."""

    address: NotRequired[str | None]
    mode: str
    provider: str


class ActionList(TypedDict):
    """The catalogue, as this caller may use it."""

    data: list[ActionView]
    providers: list[ProviderView]


class ActionRequest(TypedDict):
    """One action."""

    action: str
    client_request_id: NotRequired[str | None]
    params: GmailSendParams | GmailDraftParams | CalendarCreateEventParams | OutlookSendParams | OutlookDraftParams | OutlookCreateEventParams
    provider: NotRequired[str | None]
    recipients: NotRequired[list[dict[str, Any]] | None]
    send_at: NotRequired[str | None]


class ActionView(TypedDict):
    """One action of the catalogue."""

    address: NotRequired[str | None]
    allowed: bool
    connected: bool
    description: str
    effect: str
    id: str
    mode: str
    noun: str
    params_schema: dict[str, Any]
    provider: str
    scopes: Scopes
    title: str


class AddressBook(TypedDict):
    """What lookups find in sandbox mode."""

    events: list[Event]
    people: list[Person]


class AnswerBody(TypedDict):
    """An answer to a question of an earlier plan of the same prompt."""

    id: str
    value: AnswerValue


class ApproveBody(TypedDict):
    """What is approved."""

    payload_sha256: str


class AuditList(TypedDict):
    """A page of the audit log, newest first."""

    data: list[AuditView]
    has_more: bool
    next_cursor: NotRequired[str | None]


class AuditView(TypedDict):
    """A request, the rules that decided, and the result"""

    action: NotRequired[str | None]
    actor_sha256: NotRequired[str | None]
    at: str
    by: str
    by_actor_sha256: NotRequired[str | None]
    chain: NotRequired[int | None]
    code: NotRequired[str | None]
    content_sha256: NotRequired[str | None]
    entry_id: str
    event: str
    hash: NotRequired[str | None]
    job_id: NotRequired[str | None]
    key_id: NotRequired[str | None]
    plan_id: NotRequired[str | None]
    previous_hash: NotRequired[str | None]
    provider: NotRequired[str | None]
    rules: list[str]
    sequence: NotRequired[int | None]
    sha256: NotRequired[str | None]
    value: NotRequired[str | None]


class CalendarCreateEventParams(TypedDict):
    """The params of calendar.create_event."""

    title: str
    start: str
    end: NotRequired[str | None]
    minutes: NotRequired[int | None]
    time_zone: str
    attendees: NotRequired[str | list[str] | None]
    location: NotRequired[str | None]
    text: NotRequired[str | None]
    notify: NotRequired[Literal["all", "none", null]]


class ChoiceOption(TypedDict):
    """One answer to choose."""

    label: str
    value: str


class Clarification(TypedDict):
    """One question of a plan."""

    about: NotRequired[str | None]
    field: NotRequired[str | None]
    id: str
    kind: ClarificationKind
    options: NotRequired[list[ChoiceOption] | None]
    text: str


class ConnectionStatus(TypedDict):
    """A workspace's connection with a provider."""

    address: NotRequired[str | None]
    can_connect: bool
    connected: bool
    directory: bool
    drafts: bool
    lookups: list[str]
    mode: str
    needs_reauth: bool
    problem: NotRequired[JobError | None]
    provider: str
    scopes: list[str]


class DeliveryList(TypedDict):
    """A page of deliveries, newest first."""

    data: list[DeliveryView]
    has_more: bool
    next_cursor: NotRequired[str | None]


class DeliveryView(TypedDict):
    """One event on its way to one endpoint."""

    attempts: int
    created_at: str
    event: str
    finished_at: NotRequired[str | None]
    last_code: NotRequired[int | None]
    last_error: NotRequired[DeliveryFault | None]
    next_attempt_at: NotRequired[str | None]
    status: DeliveryStatus
    webhook_id: str


class Ended(TypedDict):
    """The result of disconnecting."""

    disconnected: bool
    provider: str
    revoke_at: NotRequired[str | None]
    revoked: bool


class Event(TypedDict):
    """An event of the calendar."""

    attendees: list[str]
    end: str
    start: str
    title: str


class ExecuteBody(TypedDict):
    """Actions to carry out, or the plan that holds them."""

    actions: NotRequired[list[ActionRequest] | None]
    actor_id: NotRequired[str | None]
    plan_id: NotRequired[str | None]
    send_at: NotRequired[str | None]
    workspace_id: NotRequired[str | None]


class ExecuteResponse(TypedDict):
    """One job per action, in the order of the actions."""

    job_ids: list[str]
    jobs: list[AcceptedJob]


class Explained(TypedDict):
    """What a code means."""

    code: str
    explanation: str
    of_a_job: NotRequired[str | None]
    retriable: NotRequired[bool | None]
    status: NotRequired[int | None]
    title: str


class GmailDraftParams(TypedDict):
    """The params of gmail.draft."""

    to: str | list[str]
    cc: NotRequired[str | list[str] | None]
    bcc: NotRequired[str | list[str] | None]
    reply_to: NotRequired[str | list[str] | None]
    subject: str
    text: str
    html: NotRequired[str | None]
    in_reply_to: NotRequired[str | None]
    references: NotRequired[list[str] | None]
    thread_id: NotRequired[str | None]


class GmailSendParams(TypedDict):
    """The params of gmail.send."""

    to: str | list[str]
    cc: NotRequired[str | list[str] | None]
    bcc: NotRequired[str | list[str] | None]
    reply_to: NotRequired[str | list[str] | None]
    subject: str
    text: str
    html: NotRequired[str | None]
    in_reply_to: NotRequired[str | None]
    references: NotRequired[list[str] | None]
    thread_id: NotRequired[str | None]


class Health(TypedDict):
    """The state of the process."""

    status: str


JobContent = TypedDict(
    "JobContent",
    {
        "content_sha256": "NotRequired[str | None]",
        "content_type": "NotRequired[str | None]",
        "contents_erased_at": "NotRequired[str | None]",
        "from": "NotRequired[str | None]",
        "job_id": "str",
        "raw": "NotRequired[str | None]",
        "recipients": "list[Recipient]",
    },
)


class JobError(TypedDict):
    """Why a job ended without a result."""

    code: str
    message: str
    remediation: str
    retriable: bool


class JobErrorView(TypedDict):
    """Why a job ended without a result."""

    code: str
    message: str
    remediation: str
    retriable: bool
    provider_says: NotRequired[str | None]


class JobList(TypedDict):
    """A page of jobs, newest first."""

    data: list[JobView]
    has_more: bool
    next_cursor: NotRequired[str | None]


class JobSummary(TypedDict):
    """What a job is about, in a line."""

    draft: NotRequired[str | None]
    more: int
    recipients: list[str]
    title: str


class JobView(TypedDict):
    """A job as a caller sees it."""

    action: str
    attempts: int
    because: list[Because]
    client_request_id: str
    contents_erased_at: NotRequired[str | None]
    created_at: str
    duration_ms: NotRequired[int | None]
    effect: NotRequired[str | None]
    error: NotRequired[JobErrorView | None]
    finished_at: NotRequired[str | None]
    job_id: str
    payload_sha256: str
    provider: str
    result: NotRequired[dict[str, Any] | None]
    send_at: NotRequired[str | None]
    started_at: NotRequired[str | None]
    status: JobStatus
    summary: NotRequired[JobSummary | None]
    unreadable: NotRequired[bool]
    waiting_for: NotRequired[WaitingFor | None]
    waiting_until: NotRequired[str | None]


Lookup = TypedDict(
    "Lookup",
    {
        "at": "NotRequired[str | None]",
        "day": "NotRequired[str | None]",
        "find": "FindKind",
        "from": "NotRequired[str | None]",
        "id": "str",
        "minutes": "NotRequired[int | None]",
        "name": "NotRequired[str | None]",
        "title": "NotRequired[str | None]",
        "to": "NotRequired[str | None]",
    },
)


class Meta(TypedDict):
    """How a plan was made."""

    adjusted: NotRequired[list[str]]
    duration: float
    model: str
    tokens_in: int
    tokens_out: int


class Outbox(TypedDict):
    """The newest entries of the sandbox, newest first."""

    data: list[OutboxEntry]


OutboxEntry = TypedDict(
    "OutboxEntry",
    {
        "action": "str",
        "body": "str",
        "content_type": "str",
        "effect": "NotRequired[str | None]",
        "from": "NotRequired[str | None]",
        "job_id": "str",
        "params": "dict[str, Any]",
        "provider": "str",
        "recipients": "list[str]",
        "subject": "NotRequired[str | None]",
        "title": "str",
        "to": "NotRequired[OneOrMany | None]",
        "unreadable": "NotRequired[bool]",
        "written_at": "str",
    },
)


class OutlookCreateEventParams(TypedDict):
    """The params of outlook.create_event."""

    title: str
    start: str
    end: NotRequired[str | None]
    minutes: NotRequired[int | None]
    time_zone: str
    attendees: NotRequired[str | list[str] | None]
    location: NotRequired[str | None]
    text: NotRequired[str | None]
    notify: NotRequired[Literal["all", "none", null]]


class OutlookDraftParams(TypedDict):
    """The params of outlook.draft."""

    to: str | list[str]
    cc: NotRequired[str | list[str] | None]
    bcc: NotRequired[str | list[str] | None]
    reply_to: NotRequired[str | list[str] | None]
    subject: str
    text: str
    html: NotRequired[str | None]
    in_reply_to: NotRequired[str | None]
    references: NotRequired[list[str] | None]


class OutlookSendParams(TypedDict):
    """The params of outlook.send."""

    to: str | list[str]
    cc: NotRequired[str | list[str] | None]
    bcc: NotRequired[str | list[str] | None]
    reply_to: NotRequired[str | list[str] | None]
    subject: str
    text: str
    html: NotRequired[str | None]
    in_reply_to: NotRequired[str | None]
    references: NotRequired[list[str] | None]


class Person(TypedDict):
    """Somebody of the address book."""

    address: str
    name: str
    source: str


class Place(TypedDict):
    """One place in the request that is wrong."""

    detail: str
    pointer: str


class Plan(TypedDict):
    """A plan"""

    actions: list[PlannedAction]
    clarifications: NotRequired[list[Clarification]]
    confidence: float
    draft_only: NotRequired[bool]
    intent: str
    lookups: NotRequired[list[Lookup]]
    notes: NotRequired[str | None]
    plan_id: str
    questions: list[str]
    status: NotRequired[PlanStatus]
    warnings: NotRequired[list[Warning]]


class Plan2Request(TypedDict):
    """A sentence to plan."""

    actor_id: NotRequired[str | None]
    answers: NotRequired[list[AnswerBody]]
    context: NotRequired[str | None]
    prompt: str
    timezone: NotRequired[str | None]
    workspace_id: NotRequired[str | None]


class Plan2Response(TypedDict):
    """A plan, and how it was made."""

    accounts: list[Account]
    meta: Meta
    plan: Plan


class PlannedAction(TypedDict):
    """One action of a plan, as execute accepts it."""

    action: str
    client_request_id: str
    params: GmailSendParams | GmailDraftParams | CalendarCreateEventParams | OutlookSendParams | OutlookDraftParams | OutlookCreateEventParams
    provider: str
    recipients: NotRequired[list[Recipient]]
    send_at: NotRequired[str | None]


class PreviewBody(TypedDict):
    """One action to show."""

    action: str
    client_request_id: NotRequired[str | None]
    params: GmailSendParams | GmailDraftParams | CalendarCreateEventParams | OutlookSendParams | OutlookDraftParams | OutlookCreateEventParams
    plan_id: NotRequired[str | None]
    provider: NotRequired[str | None]
    recipients: NotRequired[list[dict[str, Any]] | None]
    send_at: NotRequired[str | None]


PreviewResponse = TypedDict(
    "PreviewResponse",
    {
        "because": "list[Because]",
        "body": "str",
        "content_type": "str",
        "draft_only": "bool",
        "from": "NotRequired[str | None]",
        "send_at": "NotRequired[str | None]",
        "sha256": "str",
        "warnings": "list[Warning]",
    },
)


class ProblemBody(TypedDict):
    """The body of every error, `application/problem+json`."""

    code: str
    connect_url: NotRequired[str | None]
    correlation_id: str
    detail: NotRequired[str | None]
    errors: NotRequired[list[Place]]
    failing: NotRequired[list[str]]
    retriable: bool
    retry_after_ms: NotRequired[int | None]
    status: int
    title: str
    type: str


class ProblemList(TypedDict):
    """Every code."""

    data: list[Explained]


class ProviderView(TypedDict):
    """A provider."""

    account: str
    id: str
    name: str
    revoke_page: str


class Recipient(TypedDict):
    """Somebody whom an action reaches."""

    address: str
    external: bool
    lookup: NotRequired[str | None]
    source: NotRequired[Source | None]


class RejectBody(TypedDict):
    """What is rejected."""

    payload_sha256: NotRequired[str | None]


class ResolveBody(TypedDict):
    """What a person found out."""

    outcome: Outcome


class ResolvePlanBody(TypedDict):
    """Answers to the plan's questions."""

    answers: NotRequired[list[AnswerBody]]


class Scopes(TypedDict):
    """The OAuth scopes that an action needs."""

    draft: list[str]
    send: list[str]


class StartBody(TypedDict):
    """Options of a new connection."""

    actions: NotRequired[list[str] | None]
    directory: NotRequired[bool]
    drafts: NotRequired[bool]
    lookups: NotRequired[list[str]]
    replace: NotRequired[bool]


class Started(TypedDict):
    """Where to continue."""

    authorization_url: str
    scopes: list[str]


class Warning(TypedDict):
    """What a person should know about a plan or a preview before it is carried out."""

    code: WarningCode
    field: NotRequired[str | None]
    text: str


class WebhookBody(TypedDict):
    """A new webhook endpoint."""

    events: NotRequired[list[str]]
    url: str


class WebhookList(TypedDict):
    """The webhook endpoints, oldest first."""

    data: list[WebhookView]


class WebhookView(TypedDict):
    """A webhook endpoint."""

    created_at: str
    disabled_at: NotRequired[str | None]
    disabled_because: NotRequired[DisabledBecause | None]
    events: list[str]
    id: str
    status: str
    url: NotRequired[str | None]


class WebhookWithSecret(TypedDict):
    """A webhook endpoint with its secret."""

    created_at: str
    disabled_at: NotRequired[str | None]
    disabled_because: NotRequired[DisabledBecause | None]
    events: list[str]
    id: str
    status: str
    url: NotRequired[str | None]
    secret: str


class Whoami(TypedDict):
    """What a credential may do."""

    actions: NotRequired[list[str] | None]
    actor_sha256: NotRequired[str | None]
    agent: bool
    draft_only: bool
    expires_at: NotRequired[str | None]
    key_id: NotRequired[str | None]
    key_name: NotRequired[str | None]
    scopes: list[str]
    workspace_id: str


AnswerValue = bool | str
Because = Literal["agent", "derived", "all", "external"]
ClarificationKind = Literal["address", "text", "confirm", "choice"]
DeliveryFault = Literal["address_not_allowed", "no_connection", "timed_out", "broken", "redirect", "status", "gone", "unreadable", "endpoint_disabled"]
DeliveryStatus = Literal["pending", "delivered", "failed"]
DisabledBecause = Literal["gone", "failing"]
FindKind = Literal["contact", "event", "free_time"]
JobStatus = Literal["pending", "running", "completed", "error"]
OneOrMany = str | list[str]
Outcome = Literal["sent", "not_sent"]
PlanStatus = Literal["ready", "unresolved"]
Source = Literal["prompt", "answer", "contact", "directory", "event"]
WaitingFor = Literal["approval", "time", "rate-limit", "provider", "reauth", "gate"]
WarningCode = Literal["not-delivered", "not-allowed", "not-connected", "needs-reauth", "foreign-link", "html-differs", "hidden-characters", "placeholder", "missing-attachment", "duplicate", "external", "draft-only"]


class Orchestrator:
    """The API at `url`, with an API key where the server wants one. `timeout` is in seconds.

    Without an answer, send the same request again: nothing is done twice."""

    def __init__(self, url: str = "http://127.0.0.1:8787", key: str | None = None, timeout: float = 40):
        self._url, self._key, self._timeout = url.rstrip("/"), key, timeout

    def _call(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None, **headers: str | None) -> Any:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        url = self._url + path + ("?" + urllib.parse.urlencode(given) if given else "")
        request = urllib.request.Request(url, method=method)
        if method == "POST":
            request.data = json.dumps({} if body is None else body).encode()
            request.add_header("Content-Type", "application/json")
        for name, value in {"authorization": self._key and f"Bearer {self._key}", **headers}.items():
            if value is not None:
                request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            if "json" not in (error.headers.get("Content-Type") or ""):
                raise
            raise Problem(json.load(error)) from None
        return json.loads(text) if text else None

    def list_actions(self) -> ActionList:
        """Lists the catalogue, and what the caller may run."""
        return self._call("GET", "/actions")

    def preview_action(self, body: PreviewBody) -> PreviewResponse:
        """Renders one action with the code that carries it out."""
        return self._call("POST", "/actions/preview", body=body)

    def execute(self, body: ExecuteBody, *, idempotency_key: str | None = None) -> ExecuteResponse:
        """Accepts all actions, or none."""
        return self._call("POST", "/ai/execute", body=body, idempotency_key=idempotency_key)

    def list_jobs(self, *, status: Literal["pending", "running", "completed", "error"] | None = None, waiting_for: Literal["approval", "time", "rate-limit", "provider", "reauth", "gate"] | None = None, search: str | None = None, cursor: str | None = None, limit: int | None = None) -> JobList:
        """Lists the workspace's jobs, the newest request first, and the jobs of one request in its order."""
        return self._call("GET", "/ai/jobs", {"status": status, "waiting_for": waiting_for, "search": search, "cursor": cursor, "limit": limit})

    def get_job(self, job_id: str, *, wait: int | None = None) -> JobView:
        """Shows one job"""
        return self._call("GET", f"/ai/jobs/{urllib.parse.quote(job_id, safe='')}", {"wait": wait})

    def approve_job(self, job_id: str, body: ApproveBody) -> JobView:
        """Approves a held job, which then goes at its time."""
        return self._call("POST", f"/ai/jobs/{urllib.parse.quote(job_id, safe='')}/approve", body=body)

    def cancel_job(self, job_id: str) -> JobView:
        """Cancels a pending job."""
        return self._call("POST", f"/ai/jobs/{urllib.parse.quote(job_id, safe='')}/cancel")

    def job_content(self, job_id: str) -> JobContent:
        """Shows what a job sent or will send."""
        return self._call("GET", f"/ai/jobs/{urllib.parse.quote(job_id, safe='')}/content")

    def reject_job(self, job_id: str, body: RejectBody | None = None) -> JobView:
        """Rejects a held job, which ends in an error."""
        return self._call("POST", f"/ai/jobs/{urllib.parse.quote(job_id, safe='')}/reject", body=body)

    def resolve_job(self, job_id: str, body: ResolveBody) -> JobView:
        """Records the real outcome of a job whose outcome is unknown."""
        return self._call("POST", f"/ai/jobs/{urllib.parse.quote(job_id, safe='')}/resolve", body=body)

    def retry_job(self, job_id: str) -> JobView:
        """Tries a job again whose error shows that nothing was sent."""
        return self._call("POST", f"/ai/jobs/{urllib.parse.quote(job_id, safe='')}/retry")

    def plan2(self, body: Plan2Request) -> Plan2Response:
        """Turns a sentence into a plan."""
        return self._call("POST", "/ai/plan2", body=body)

    def get_plan(self, plan_id: str) -> Plan2Response:
        """Shows a plan again, for 15 minutes."""
        return self._call("GET", f"/ai/plans/{urllib.parse.quote(plan_id, safe='')}")

    def resolve_plan(self, plan_id: str, body: ResolvePlanBody) -> Plan2Response:
        """Looks up in the account what a plan refers to, and answers with a new plan that shows it."""
        return self._call("POST", f"/ai/plans/{urllib.parse.quote(plan_id, safe='')}/resolve", body=body)

    def list_audit(self, *, cursor: str | None = None, limit: int | None = None) -> AuditList:
        """Lists the workspace's requests of the last 400 days, with the rules that decided"""
        return self._call("GET", "/audit", {"cursor": cursor, "limit": limit})

    def show_address_book(self, *, timezone: str | None = None) -> AddressBook:
        """Shows the made-up address book and calendar of sandbox mode, in which lookups find people and events."""
        return self._call("GET", "/dev/address-book", {"timezone": timezone})

    def list_outbox(self) -> Outbox:
        """Lists the actions that sandbox mode recorded instead of carrying them out."""
        return self._call("GET", "/dev/outbox")

    def healthz(self) -> Health:
        """Tells that the process runs."""
        return self._call("GET", "/healthz")

    def disconnect_account(self, provider: str) -> Ended:
        """Disconnects an account"""
        return self._call("DELETE", f"/oauth/{urllib.parse.quote(provider, safe='')}")

    def begin_connecting(self, provider: str, body: StartBody) -> Started:
        """Starts to connect an account to the caller's workspace."""
        return self._call("POST", f"/oauth/{urllib.parse.quote(provider, safe='')}/start", body=body)

    def connection_status(self, provider: str) -> ConnectionStatus:
        """Shows whether a provider is connected, and with which account."""
        return self._call("GET", f"/oauth/{urllib.parse.quote(provider, safe='')}/status")

    def list_problems(self) -> ProblemList:
        """Lists every code that a problem or a job's error can have."""
        return self._call("GET", "/problems")

    def explain_problem(self, code: str) -> Explained:
        """Explains the code of a problem or of a job's error."""
        return self._call("GET", f"/problems/{urllib.parse.quote(code, safe='')}")

    def readyz(self) -> Health:
        """Checks that the stores answer, and that every stored secret has a value."""
        return self._call("GET", "/readyz")

    def list_webhooks(self) -> WebhookList:
        """Lists the workspace's webhook endpoints."""
        return self._call("GET", "/webhooks")

    def add_webhook(self, body: WebhookBody) -> WebhookWithSecret:
        """Adds a webhook endpoint."""
        return self._call("POST", "/webhooks", body=body)

    def remove_webhook(self, id: str) -> None:
        """Removes a webhook endpoint."""
        return self._call("DELETE", f"/webhooks/{urllib.parse.quote(id, safe='')}")

    def list_deliveries(self, id: str, *, cursor: str | None = None, limit: int | None = None) -> DeliveryList:
        """Lists the deliveries to an endpoint"""
        return self._call("GET", f"/webhooks/{urllib.parse.quote(id, safe='')}/deliveries", {"cursor": cursor, "limit": limit})

    def rotate_webhook(self, id: str) -> WebhookWithSecret:
        """Replaces an endpoint's secret."""
        return self._call("POST", f"/webhooks/{urllib.parse.quote(id, safe='')}/rotate")

    def test_webhook(self, id: str) -> DeliveryView:
        """Sends an event `webhook.test` to an endpoint, as any other"""
        return self._call("POST", f"/webhooks/{urllib.parse.quote(id, safe='')}/test")

    def whoami(self) -> Whoami:
        """Tells the workspace and the scopes of the caller's credential."""
        return self._call("GET", "/whoami")
