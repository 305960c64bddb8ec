// A client of the AI Orchestrator, in one file without dependencies, for browsers, Deno, Bun and Node 18. Made by scripts/clients.py from the program's OpenAPI document.

/** The server refused a request (RFC 9457). */
export class ProblemError extends Error {
  constructor(readonly problem: ProblemBody) {
    super(`${problem.title} (${problem.code}): ${problem.detail ?? ''}`);
  }
}

/** A job that this request, or an earlier one with the same idempotency key, created. */
export interface AcceptedJob {
  client_request_id: string;
  job_id: string;
  replayed: boolean;
  status: JobStatus;
  waiting_for?: WaitingFor | null;
  waiting_until?: string | null;
}

/** The account of a provider. */
export interface Account {
  address?: string | null;
  mode: string;
  provider: string;
}

/** The catalogue, as this caller may use it. */
export interface ActionList {
  data: ActionView[];
  providers: ProviderView[];
}

/** One action. */
export interface ActionRequest {
  action: string;
  client_request_id?: string | null;
  params: GmailSendParams | GmailDraftParams | CalendarCreateEventParams | OutlookSendParams | OutlookDraftParams | OutlookCreateEventParams;
  provider?: string | null;
  recipients?: Record<string, unknown>[] | null;
  send_at?: string | null;
}

/** One action of the catalogue. */
export interface ActionView {
  address?: string | null;
  allowed: boolean;
  connected: boolean;
  description: string;
  effect: string;
  id: string;
  mode: string;
  noun: string;
  params_schema: Record<string, unknown>;
  provider: string;
  scopes: Scopes;
  title: string;
}

/** What lookups find in sandbox mode. */
export interface AddressBook {
  events: Event[];
  people: Person[];
}

/** An answer to a question of an earlier plan of the same prompt. */
export interface AnswerBody {
  id: string;
  value: AnswerValue;
}

export type AnswerValue = boolean | string;

/** What is approved. */
export interface ApproveBody {
  payload_sha256: string;
}

/** A page of the audit log, newest first. */
export interface AuditList {
  data: AuditView[];
  has_more: boolean;
  next_cursor?: string | null;
}

/** A request, the rules that decided, and the result */
export interface AuditView {
  action?: string | null;
  actor_sha256?: string | null;
  at: string;
  by: string;
  by_actor_sha256?: string | null;
  chain?: number | null;
  code?: string | null;
  content_sha256?: string | null;
  entry_id: string;
  event: string;
  hash?: string | null;
  job_id?: string | null;
  key_id?: string | null;
  plan_id?: string | null;
  previous_hash?: string | null;
  provider?: string | null;
  rules: string[];
  sequence?: number | null;
  sha256?: string | null;
  value?: string | null;
}

export type Because = 'agent' | 'derived' | 'all' | 'external';

/** The params of calendar.create_event. */
export interface CalendarCreateEventParams {
  title: string;
  start: string;
  end?: string | null;
  minutes?: number | null;
  time_zone: string;
  attendees?: string | string[] | null;
  location?: string | null;
  text?: string | null;
  notify?: 'all' | 'none' | null;
}

/** One answer to choose. */
export interface ChoiceOption {
  label: string;
  value: string;
}

/** One question of a plan. */
export interface Clarification {
  about?: string | null;
  field?: string | null;
  id: string;
  kind: ClarificationKind;
  options?: ChoiceOption[] | null;
  text: string;
}

export type ClarificationKind = 'address' | 'text' | 'confirm' | 'choice';

/** A workspace's connection with a provider. */
export interface ConnectionStatus {
  address?: string | null;
  can_connect: boolean;
  connected: boolean;
  directory: boolean;
  drafts: boolean;
  lookups: string[];
  mode: string;
  needs_reauth: boolean;
  problem?: JobError | null;
  provider: string;
  scopes: string[];
}

export type DeliveryFault = 'address_not_allowed' | 'no_connection' | 'timed_out' | 'broken' | 'redirect' | 'status' | 'gone' | 'unreadable' | 'endpoint_disabled';

/** A page of deliveries, newest first. */
export interface DeliveryList {
  data: DeliveryView[];
  has_more: boolean;
  next_cursor?: string | null;
}

export type DeliveryStatus = 'pending' | 'delivered' | 'failed';

/** One event on its way to one endpoint. */
export interface DeliveryView {
  attempts: number;
  created_at: string;
  event: string;
  finished_at?: string | null;
  last_code?: number | null;
  last_error?: DeliveryFault | null;
  next_attempt_at?: string | null;
  status: DeliveryStatus;
  webhook_id: string;
}

export type DisabledBecause = 'gone' | 'failing';

/** The result of disconnecting. */
export interface Ended {
  disconnected: boolean;
  provider: string;
  revoke_at?: string | null;
  revoked: boolean;
}

/** An event of the calendar. */
export interface Event {
  attendees: string[];
  end: string;
  start: string;
  title: string;
}

/** Actions to carry out, or the plan that holds them. */
export interface ExecuteBody {
  actions?: ActionRequest[] | null;
  actor_id?: string | null;
  plan_id?: string | null;
  send_at?: string | null;
  workspace_id?: string | null;
}

/** One job per action, in the order of the actions. */
export interface ExecuteResponse {
  job_ids: string[];
  jobs: AcceptedJob[];
}

/** What a code means. */
export interface Explained {
  code: string;
  explanation: string;
  of_a_job?: string | null;
  retriable?: boolean | null;
  status?: number | null;
  title: string;
}

export type FindKind = 'contact' | 'event' | 'free_time';

/** The params of gmail.draft. */
export interface GmailDraftParams {
  to: string | string[];
  cc?: string | string[] | null;
  bcc?: string | string[] | null;
  reply_to?: string | string[] | null;
  subject: string;
  text: string;
  html?: string | null;
  in_reply_to?: string | null;
  references?: string[] | null;
  thread_id?: string | null;
}

/** The params of gmail.send. */
export interface GmailSendParams {
  to: string | string[];
  cc?: string | string[] | null;
  bcc?: string | string[] | null;
  reply_to?: string | string[] | null;
  subject: string;
  text: string;
  html?: string | null;
  in_reply_to?: string | null;
  references?: string[] | null;
  thread_id?: string | null;
}

/** The state of the process. */
export interface Health {
  status: string;
}

/** What a job sent or will send. */
export interface JobContent {
  content_sha256?: string | null;
  content_type?: string | null;
  contents_erased_at?: string | null;
  from?: string | null;
  job_id: string;
  raw?: string | null;
  recipients: Recipient[];
  [field: string]: unknown;
}

/** Why a job ended without a result. */
export interface JobError {
  code: string;
  message: string;
  remediation: string;
  retriable: boolean;
}

/** Why a job ended without a result. */
export interface JobErrorView {
  code: string;
  message: string;
  remediation: string;
  retriable: boolean;
  provider_says?: string | null;
}

/** A page of jobs, newest first. */
export interface JobList {
  data: JobView[];
  has_more: boolean;
  next_cursor?: string | null;
}

export type JobStatus = 'pending' | 'running' | 'completed' | 'error';

/** What a job is about, in a line. */
export interface JobSummary {
  draft?: string | null;
  more: number;
  recipients: string[];
  title: string;
}

/** A job as a caller sees it. */
export interface JobView {
  action: string;
  attempts: number;
  because: Because[];
  client_request_id: string;
  contents_erased_at?: string | null;
  created_at: string;
  duration_ms?: number | null;
  effect?: string | null;
  error?: JobErrorView | null;
  finished_at?: string | null;
  job_id: string;
  payload_sha256: string;
  provider: string;
  result?: Record<string, unknown> | null;
  send_at?: string | null;
  started_at?: string | null;
  status: JobStatus;
  summary?: JobSummary | null;
  unreadable?: boolean;
  waiting_for?: WaitingFor | null;
  waiting_until?: string | null;
}

/** A lookup as the API's description has it */
export interface Lookup {
  at?: string | null;
  day?: string | null;
  find: FindKind;
  from?: string | null;
  id: string;
  minutes?: number | null;
  name?: string | null;
  title?: string | null;
  to?: string | null;
}

/** How a plan was made. */
export interface Meta {
  adjusted?: string[];
  duration: number;
  model: string;
  tokens_in: number;
  tokens_out: number;
}

export type OneOrMany = string | string[];

/** The newest entries of the sandbox, newest first. */
export interface Outbox {
  data: OutboxEntry[];
}

/** An action that sandbox mode recorded instead of carrying it out. */
export interface OutboxEntry {
  action: string;
  body: string;
  content_type: string;
  effect?: string | null;
  from?: string | null;
  job_id: string;
  params: Record<string, unknown>;
  provider: string;
  recipients: string[];
  subject?: string | null;
  title: string;
  to?: OneOrMany | null;
  unreadable?: boolean;
  written_at: string;
}

export type Outcome = 'sent' | 'not_sent';

/** The params of outlook.create_event. */
export interface OutlookCreateEventParams {
  title: string;
  start: string;
  end?: string | null;
  minutes?: number | null;
  time_zone: string;
  attendees?: string | string[] | null;
  location?: string | null;
  text?: string | null;
  notify?: 'all' | 'none' | null;
}

/** The params of outlook.draft. */
export interface OutlookDraftParams {
  to: string | string[];
  cc?: string | string[] | null;
  bcc?: string | string[] | null;
  reply_to?: string | string[] | null;
  subject: string;
  text: string;
  html?: string | null;
  in_reply_to?: string | null;
  references?: string[] | null;
}

/** The params of outlook.send. */
export interface OutlookSendParams {
  to: string | string[];
  cc?: string | string[] | null;
  bcc?: string | string[] | null;
  reply_to?: string | string[] | null;
  subject: string;
  text: string;
  html?: string | null;
  in_reply_to?: string | null;
  references?: string[] | null;
}

/** Somebody of the address book. */
export interface Person {
  address: string;
  name: string;
  source: string;
}

/** One place in the request that is wrong. */
export interface Place {
  detail: string;
  pointer: string;
}

/** A plan */
export interface Plan {
  actions: PlannedAction[];
  clarifications?: Clarification[];
  confidence: number;
  draft_only?: boolean;
  intent: string;
  lookups?: Lookup[];
  notes?: string | null;
  plan_id: string;
  questions: string[];
  status?: PlanStatus;
  warnings?: Warning[];
}

/** A sentence to plan. */
export interface Plan2Request {
  actor_id?: string | null;
  answers?: AnswerBody[];
  context?: string | null;
  prompt: string;
  timezone?: string | null;
  workspace_id?: string | null;
}

/** A plan, and how it was made. */
export interface Plan2Response {
  accounts: Account[];
  meta: Meta;
  plan: Plan;
}

export type PlanStatus = 'ready' | 'unresolved';

/** One action of a plan, as execute accepts it. */
export interface PlannedAction {
  action: string;
  client_request_id: string;
  params: GmailSendParams | GmailDraftParams | CalendarCreateEventParams | OutlookSendParams | OutlookDraftParams | OutlookCreateEventParams;
  provider: string;
  recipients?: Recipient[];
  send_at?: string | null;
}

/** One action to show. */
export interface PreviewBody {
  action: string;
  client_request_id?: string | null;
  params: GmailSendParams | GmailDraftParams | CalendarCreateEventParams | OutlookSendParams | OutlookDraftParams | OutlookCreateEventParams;
  plan_id?: string | null;
  provider?: string | null;
  recipients?: Record<string, unknown>[] | null;
  send_at?: string | null;
}

/** The action as it would go out. */
export interface PreviewResponse {
  because: Because[];
  body: string;
  content_type: string;
  draft_only: boolean;
  from?: string | null;
  send_at?: string | null;
  sha256: string;
  warnings: Warning[];
}

/** The body of every error, `application/problem+json`. */
export interface ProblemBody {
  code: string;
  connect_url?: string | null;
  correlation_id: string;
  detail?: string | null;
  errors?: Place[];
  failing?: string[];
  retriable: boolean;
  retry_after_ms?: number | null;
  status: number;
  title: string;
  type: string;
}

/** Every code. */
export interface ProblemList {
  data: Explained[];
}

/** A provider. */
export interface ProviderView {
  account: string;
  id: string;
  name: string;
  revoke_page: string;
}

/** Somebody whom an action reaches. */
export interface Recipient {
  address: string;
  external: boolean;
  lookup?: string | null;
  source?: Source | null;
}

/** What is rejected. */
export interface RejectBody {
  payload_sha256?: string | null;
}

/** What a person found out. */
export interface ResolveBody {
  outcome: Outcome;
}

/** Answers to the plan's questions. */
export interface ResolvePlanBody {
  answers?: AnswerBody[];
}

/** The OAuth scopes that an action needs. */
export interface Scopes {
  draft: string[];
  send: string[];
}

export type Source = 'prompt' | 'answer' | 'contact' | 'directory' | 'event';

/** Options of a new connection. */
export interface StartBody {
  actions?: string[] | null;
  directory?: boolean;
  drafts?: boolean;
  lookups?: string[];
  replace?: boolean;
}

/** Where to continue. */
export interface Started {
  authorization_url: string;
  scopes: string[];
}

export type WaitingFor = 'approval' | 'time' | 'rate-limit' | 'provider' | 'reauth' | 'gate';

/** What a person should know about a plan or a preview before it is carried out. */
export interface Warning {
  code: WarningCode;
  field?: string | null;
  text: string;
}

export type WarningCode = 'not-delivered' | 'not-allowed' | 'not-connected' | 'needs-reauth' | 'foreign-link' | 'html-differs' | 'hidden-characters' | 'placeholder' | 'missing-attachment' | 'duplicate' | 'external' | 'draft-only';

/** A new webhook endpoint. */
export interface WebhookBody {
  events?: string[];
  url: string;
}

/** The webhook endpoints, oldest first. */
export interface WebhookList {
  data: WebhookView[];
}

/** A webhook endpoint. */
export interface WebhookView {
  created_at: string;
  disabled_at?: string | null;
  disabled_because?: DisabledBecause | null;
  events: string[];
  id: string;
  status: string;
  url?: string | null;
}

/** A webhook endpoint with its secret. */
export interface WebhookWithSecret {
  created_at: string;
  disabled_at?: string | null;
  disabled_because?: DisabledBecause | null;
  events: string[];
  id: string;
  status: string;
  url?: string | null;
  secret: string;
}

/** What a credential may do. */
export interface Whoami {
  actions?: string[] | null;
  actor_sha256?: string | null;
  agent: boolean;
  draft_only: boolean;
  expires_at?: string | null;
  key_id?: string | null;
  key_name?: string | null;
  scopes: string[];
  workspace_id: string;
}

type Query = Record<string, string | number | boolean | null | undefined>;

/** The API at `url`, with an API key where the server wants one. Without an answer, send the same request again: nothing is done twice. */
export class Orchestrator {
  constructor(
    private readonly url = 'http://127.0.0.1:8787',
    private readonly key?: string,
  ) {}

  private async call<T>(method: string, path: string, query: Query = {}, body: unknown = {}, more: Query = {}): Promise<T> {
    const given = (all: Query) => Object.entries(all).flatMap(([name, value]) => (value == null ? [] : [[name, String(value)]]));
    const search = new URLSearchParams(given(query)).toString();
    const headers = Object.fromEntries(given({ authorization: this.key && `Bearer ${this.key}`, ...more }));
    const init: RequestInit = { method, headers };
    if (method === 'POST') {
      headers['content-type'] = 'application/json';
      init.body = JSON.stringify(body);
    }
    const answer = await fetch(this.url + path + (search && `?${search}`), init);
    const text = await answer.text();
    if (answer.ok) return (text ? JSON.parse(text) : undefined) as T;
    if (!answer.headers.get('content-type')?.includes('json')) throw new Error(`${path}: ${answer.status}`);
    throw new ProblemError(JSON.parse(text) as ProblemBody);
  }

  /** Lists the catalogue, and what the caller may run. */
  listActions(): Promise<ActionList> {
    return this.call('GET', '/actions');
  }

  /** Renders one action with the code that carries it out. */
  previewAction(body: PreviewBody): Promise<PreviewResponse> {
    return this.call('POST', '/actions/preview', {}, body);
  }

  /** Accepts all actions, or none. */
  execute(body: ExecuteBody, idempotencyKey?: string | null): Promise<ExecuteResponse> {
    return this.call('POST', '/ai/execute', {}, body, { 'idempotency-key': idempotencyKey });
  }

  /** Lists the workspace's jobs, the newest request first, and the jobs of one request in its order. */
  listJobs(query: { status?: 'pending' | 'running' | 'completed' | 'error' | null; waiting_for?: 'approval' | 'time' | 'rate-limit' | 'provider' | 'reauth' | 'gate' | null; search?: string | null; cursor?: string | null; limit?: number | null } = {}): Promise<JobList> {
    return this.call('GET', '/ai/jobs', query);
  }

  /** Shows one job */
  getJob(job_id: string, query: { wait?: number | null } = {}): Promise<JobView> {
    return this.call('GET', `/ai/jobs/${encodeURIComponent(job_id)}`, query);
  }

  /** Approves a held job, which then goes at its time. */
  approveJob(job_id: string, body: ApproveBody): Promise<JobView> {
    return this.call('POST', `/ai/jobs/${encodeURIComponent(job_id)}/approve`, {}, body);
  }

  /** Cancels a pending job. */
  cancelJob(job_id: string): Promise<JobView> {
    return this.call('POST', `/ai/jobs/${encodeURIComponent(job_id)}/cancel`);
  }

  /** Shows what a job sent or will send. */
  jobContent(job_id: string): Promise<JobContent> {
    return this.call('GET', `/ai/jobs/${encodeURIComponent(job_id)}/content`);
  }

  /** Rejects a held job, which ends in an error. */
  rejectJob(job_id: string, body: RejectBody | null = null): Promise<JobView> {
    return this.call('POST', `/ai/jobs/${encodeURIComponent(job_id)}/reject`, {}, body);
  }

  /** Records the real outcome of a job whose outcome is unknown. */
  resolveJob(job_id: string, body: ResolveBody): Promise<JobView> {
    return this.call('POST', `/ai/jobs/${encodeURIComponent(job_id)}/resolve`, {}, body);
  }

  /** Tries a job again whose error shows that nothing was sent. */
  retryJob(job_id: string): Promise<JobView> {
    return this.call('POST', `/ai/jobs/${encodeURIComponent(job_id)}/retry`);
  }

  /** Turns a sentence into a plan. */
  plan2(body: Plan2Request): Promise<Plan2Response> {
    return this.call('POST', '/ai/plan2', {}, body);
  }

  /** Shows a plan again, for 15 minutes. */
  getPlan(plan_id: string): Promise<Plan2Response> {
    return this.call('GET', `/ai/plans/${encodeURIComponent(plan_id)}`);
  }

  /** Looks up in the account what a plan refers to, and answers with a new plan that shows it. */
  resolvePlan(plan_id: string, body: ResolvePlanBody): Promise<Plan2Response> {
    return this.call('POST', `/ai/plans/${encodeURIComponent(plan_id)}/resolve`, {}, body);
  }

  /** Lists the workspace's requests of the last 400 days, with the rules that decided */
  listAudit(query: { cursor?: string | null; limit?: number | null } = {}): Promise<AuditList> {
    return this.call('GET', '/audit', query);
  }

  /** Shows the made-up address book and calendar of sandbox mode, in which lookups find people and events. */
  showAddressBook(query: { timezone?: string | null } = {}): Promise<AddressBook> {
    return this.call('GET', '/dev/address-book', query);
  }

  /** Lists the actions that sandbox mode recorded instead of carrying them out. */
  listOutbox(): Promise<Outbox> {
    return this.call('GET', '/dev/outbox');
  }

  /** Tells that the process runs. */
  healthz(): Promise<Health> {
    return this.call('GET', '/healthz');
  }

  /** Disconnects an account */
  disconnectAccount(provider: string): Promise<Ended> {
    return this.call('DELETE', `/oauth/${encodeURIComponent(provider)}`);
  }

  /** Starts to connect an account to the caller's workspace. */
  beginConnecting(provider: string, body: StartBody): Promise<Started> {
    return this.call('POST', `/oauth/${encodeURIComponent(provider)}/start`, {}, body);
  }

  /** Shows whether a provider is connected, and with which account. */
  connectionStatus(provider: string): Promise<ConnectionStatus> {
    return this.call('GET', `/oauth/${encodeURIComponent(provider)}/status`);
  }

  /** Lists every code that a problem or a job's error can have. */
  listProblems(): Promise<ProblemList> {
    return this.call('GET', '/problems');
  }

  /** Explains the code of a problem or of a job's error. */
  explainProblem(code: string): Promise<Explained> {
    return this.call('GET', `/problems/${encodeURIComponent(code)}`);
  }

  /** Checks that the stores answer, and that every stored secret has a value. */
  readyz(): Promise<Health> {
    return this.call('GET', '/readyz');
  }

  /** Lists the workspace's webhook endpoints. */
  listWebhooks(): Promise<WebhookList> {
    return this.call('GET', '/webhooks');
  }

  /** Adds a webhook endpoint. */
  addWebhook(body: WebhookBody): Promise<WebhookWithSecret> {
    return this.call('POST', '/webhooks', {}, body);
  }

  /** Removes a webhook endpoint. */
  removeWebhook(id: string): Promise<void> {
    return this.call('DELETE', `/webhooks/${encodeURIComponent(id)}`);
  }

  /** Lists the deliveries to an endpoint */
  listDeliveries(id: string, query: { cursor?: string | null; limit?: number | null } = {}): Promise<DeliveryList> {
    return this.call('GET', `/webhooks/${encodeURIComponent(id)}/deliveries`, query);
  }

  /** Replaces an endpoint's secret. */
  rotateWebhook(id: string): Promise<WebhookWithSecret> {
    return this.call('POST', `/webhooks/${encodeURIComponent(id)}/rotate`);
  }

  /** Sends an event `webhook.test` to an endpoint, as any other */
  testWebhook(id: string): Promise<DeliveryView> {
    return this.call('POST', `/webhooks/${encodeURIComponent(id)}/test`);
  }

  /** Tells the workspace and the scopes of the caller's credential. */
  whoami(): Promise<Whoami> {
    return this.call('GET', '/whoami');
  }
}
