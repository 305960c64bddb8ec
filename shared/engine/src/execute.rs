//! Accepts actions: checks all of them, then writes all of them, and answers with their jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::Duration,
};

use domain::{
    ActorHash, ActorId, AuditEvent, ClientRequestId, Job, JobId, MAX_AHEAD, NewJob, PlanId, Provider, Rule, SendAt,
    Sources, Via, WorkspaceId, payload_hash,
};
use futures_util::future::join;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use telemetry::{TraceContext, labels::Idempotency, names::IDEMPOTENCY};

use crate::{
    Caller, Problem, ProblemCode,
    accounts::{Accounts, Connection},
    approval::ApprovalRules,
    audit::Auditor,
    catalogue::{Catalogue, MAX_ACTIONS, RequestedAction},
    gate::{Gate, Permissions},
    job_contents::JobSummary,
    job_store::{JobStore, count_enqueued},
    limits::RateLimiter,
    plan::PlanStore,
    ports::{ActionSpec, Call, Claims, Clock, Contents, Insert, LedgerError, Purpose, Vault},
    recent::Recent,
    warnings::content_hash,
};

/// How often an insert that met other requests with the same keys is tried again.
const ROUNDS: usize = 5;

/// How long ago the time may be that a request names: its clock may differ from ours, and the request takes a while.
const EARLIEST_SEND_AT: SignedDuration = SignedDuration::from_mins(1);

/// A workspace with too many open jobs may ask again after this long: the life of a count.
pub(crate) const OPEN_JOBS_PAUSE: Duration = Duration::from_secs(15);

/// Actions to carry out, or the plan that holds them.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = ExecuteBody))]
#[serde(deny_unknown_fields)]
pub struct ExecuteRequest {
    /// 1 to 10 actions, from a plan or from the client.
    pub actions: Option<Vec<RequestedAction>>,
    /// The plan to carry out exactly as it was shown, instead of actions.
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<uuid::Uuid>))]
    pub plan_id: Option<PlanId>,
    /// The credential's workspace; optional.
    pub workspace_id: Option<String>,
    /// The actor to act for; required with actions.
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>, example = "user@example.com"))]
    pub actor_id: Option<ActorId>,
    /// When to carry out all actions: RFC 3339 with an offset, at most 90 days ahead. It counts for each action instead of
    /// the action's own time.
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>, format = DateTime))]
    pub send_at: Option<SendAt>,
    /// The `Idempotency-Key` header.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
    /// The request's trace.
    #[serde(skip)]
    pub trace: Option<TraceContext>,
    /// The caller named that trace; otherwise the execution of a plan joins the plan's.
    #[serde(skip)]
    pub trace_given: bool,
}

/// A job that was accepted, now or before.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The job as it is now.
    pub job: Job,
    /// It was accepted by an earlier request.
    pub replayed: bool,
}

/// An action that passed every check of its own.
struct Checked<'a> {
    spec: &'a ActionSpec,
    call: Box<dyn Call>,
    key: ClientRequestId,
    /// The rules that said yes to it.
    rules: Vec<Rule>,
}

/// When the actions of a request are to be carried out.
#[derive(Clone, Copy)]
struct Times {
    /// The request's own time, which counts instead of its actions'.
    of_all: Option<SendAt>,
    now: Timestamp,
}

impl Times {
    /// The time of each action, if it has one.
    fn of(self, actions: &[RequestedAction]) -> Result<Vec<Option<Timestamp>>, Problem> {
        let times = actions.iter().map(|action| self.of_all.or(action.send_at).map(|SendAt(then)| then));
        let times: Vec<_> = times.collect();
        match times.iter().position(|then| then.is_some_and(|then| then > self.now + MAX_AHEAD)) {
            Some(place) => Err(Problem::invalid(&self.pointer(place), "must be at most 90 days ahead")),
            None => Ok(times),
        }
    }

    /// Whether a new job would come too late.
    fn is_late(self, job: &Job) -> bool {
        job.send_at.is_some_and(|then| then < self.now - EARLIEST_SEND_AT)
    }

    /// Where the request names the time of the action in this place.
    fn pointer(self, place: usize) -> String {
        if self.of_all.is_some() { "/send_at".to_owned() } else { format!("/actions/{place}/send_at") }
    }
}

/// Accepts actions as jobs.
pub struct Executor {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) jobs: Arc<JobStore>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) limiter: Arc<RateLimiter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) max_open_jobs: usize,
    pub(crate) require_plan: bool,
    pub(crate) approval: Arc<ApprovalRules>,
    pub(crate) claims: Arc<dyn Claims>,
    pub(crate) plans: Arc<PlanStore>,
    /// The counts of open jobs that were read last, with the jobs accepted since.
    pub(crate) open_jobs: Recent<WorkspaceId, usize>,
}

impl Executor {
    /// Accepts all actions of a request, or none. The jobs come in the order of the actions.
    pub async fn execute(&self, caller: &Caller, request: ExecuteRequest) -> Result<Vec<Accepted>, Problem> {
        let accepted = self.try_execute(caller, request).await;
        self.auditor.audited(caller, AuditEvent::ExecuteRefused, accepted).await
    }

    async fn try_execute(&self, caller: &Caller, request: ExecuteRequest) -> Result<Vec<Accepted>, Problem> {
        caller.workspace_of(request.workspace_id.as_deref())?;
        let asked_actor = caller.actor_of(request.actor_id)?;
        let (actions, actor, draft_only, planned_in) = match (request.plan_id, request.actions) {
            (Some(_), Some(_)) => return Err(Problem::invalid("/plan_id", "give plan_id or actions, not both")),
            (None, None) => return Err(Problem::invalid("/actions", "is required, unless plan_id is given")),
            (None, Some(_)) if self.require_plan => {
                let detail = "is required: only what was planned here is executed (REQUIRE_PLAN)";
                return Err(Problem::invalid("/plan_id", detail));
            }
            (None, Some(actions)) => {
                let actor = asked_actor.ok_or_else(|| Problem::invalid("/actor_id", "is required with actions"))?;
                (actions, actor, false, None)
            }
            (Some(plan), None) => self.plans.actions(caller, plan, asked_actor).await?,
        };
        if actions.is_empty() || actions.len() > MAX_ACTIONS {
            return Err(Problem::invalid("/actions", format!("must hold 1 to {MAX_ACTIONS} actions")));
        }
        let mut trace = request.trace;
        if let Some(planned_in) = planned_in.filter(|_| !request.trace_given) {
            trace = Some(planned_in);
            tracing::Span::current().record("trace.id", tracing::field::display(planned_in.id()));
        }
        let now = self.clock.now();
        let times = Times { of_all: request.send_at, now };
        let send_at = times.of(&actions)?;
        // What was shown as a draft stays one, whoever executes the plan.
        let permissions = self.gate.permissions(caller).await?.and_draft_only(draft_only);
        let draft_only = permissions.is_draft_only();
        let checked = self.check(&permissions, &actions, request.idempotency_key.as_deref())?;
        let rollouts = self.check_rollout(&actor, &checked).await?;
        let routes = self.check_connections(caller, &checked, draft_only).await?;

        let sources: Vec<Sources> = actions.into_iter().map(|action| action.sources).collect();
        if sources.iter().any(Sources::is_derived) {
            self.approval.may_derive(caller)?;
        }
        let accepted = checked.into_iter().zip(rollouts).zip(routes).zip(send_at).zip(sources).enumerate();
        let jobs = accepted.map(|(place, ((((mut action, rollout), (via, account)), send_at), sources))| {
            // A list shows the newest job first. The first of a request is the newest by a microsecond, the unit of
            // places in a list, so that a list has them in the request's order.
            let accepted_at = now - SignedDuration::from_micros(i64::try_from(place).unwrap_or_default());
            action.rules.push(rollout);
            let params = action.call.params();
            let new = NewJob {
                workspace_id: caller.workspace.clone(),
                actor: actor.clone(),
                key_id: caller.key_id.clone(),
                asked_by: Some(caller.default_actor.clone()),
                allowed_by: action.rules,
                provider: action.spec.provider,
                action: action.spec.action_id(),
                client_request_id: action.key,
                content_hash: content_hash(action.spec.effect.of_job(draft_only), &*action.call, &params),
                draft_only,
                payload_hash: payload_hash(action.spec.provider, &action.spec.action_id(), &params),
                via,
                account,
                send_at,
                sources,
                traceparent: trace.map(|trace| trace.to_string()),
            };
            let job = Job::accepted(new, accepted_at);
            let terms = self.approval.terms(caller, &job, &*action.call, now);
            let job = job.on(terms);
            let summary = (job.job_id, JobSummary::of(&*action.call));
            ((job, params), summary)
        });
        let (jobs, summaries): (Vec<_>, Vec<_>) = jobs.unzip();
        self.admit(caller, jobs.len(), now).await?;
        let accepted = self.accept(caller, jobs, times).await?;
        for (id, summary) in summaries {
            self.jobs.summaries.remember(id, summary, now);
        }
        count(&accepted);
        Ok(accepted)
    }

    fn check<'a>(
        &'a self,
        permissions: &Permissions,
        actions: &[RequestedAction],
        idempotency_key: Option<&str>,
    ) -> Result<Vec<Checked<'a>>, Problem> {
        let parse = |action: &RequestedAction| {
            let parsed = self.catalogue.parse(action.provider.as_deref(), &action.action, &action.params);
            parsed.map(|(action, call)| (action.spec(), call))
        };
        let calls = all(actions.iter().map(parse))?;
        let keys = all(actions.iter().enumerate().map(|(place, action)| {
            match (&action.client_request_id, idempotency_key) {
                (Some(key), _) => Ok(key.clone()),
                (None, Some(header)) => format!("{header}/{place}").parse().map_err(|_| {
                    Problem::invalid("", "the Idempotency-Key header must be 1 to 250 visible characters")
                }),
                (None, None) => {
                    let detail = "give the action a client_request_id, or the request an Idempotency-Key header";
                    Err(Problem::at(ProblemCode::IdempotencyKeyMissing, "/client_request_id", detail))
                }
            }
        }))?;
        let rules = all(calls.iter().map(|(spec, call)| self.gate.check(permissions, spec, &**call)))?;
        let checked = calls.into_iter().zip(keys).zip(rules);
        Ok(checked.map(|(((spec, call), key), rules)| Checked { spec, call, key, rules }).collect())
    }

    async fn check_rollout(&self, actor: &ActorHash, checked: &[Checked<'_>]) -> Result<Vec<Rule>, Problem> {
        let mut decided: BTreeMap<Provider, (bool, u8)> = BTreeMap::new();
        for provider in providers(checked) {
            decided.insert(provider, self.gate.settings.rollout_allows(provider, actor).await?);
        }
        all(checked.iter().map(|action| {
            let provider = action.spec.provider;
            let (allowed, percent) = decided[&provider];
            if allowed {
                return Ok(Rule::Rollout(percent));
            }
            let detail = format!("{provider} is not rolled out to this workspace and actor yet");
            Err(Problem::at(ProblemCode::RolloutDenied, "/provider", detail).by_rule(Rule::Rollout(percent)))
        }))
    }

    /// Where each action goes, and for which account.
    async fn check_connections(
        &self,
        caller: &Caller,
        checked: &[Checked<'_>],
        draft_only: bool,
    ) -> Result<Vec<(Via, Option<String>)>, Problem> {
        let mut known: BTreeMap<Provider, Connection> = BTreeMap::new();
        for provider in providers(checked) {
            known.insert(provider, self.accounts.known(&caller.workspace, provider).await?);
        }
        all(checked.iter().map(|action| {
            let provider = action.spec.provider;
            let spec = self.catalogue.provider(provider);
            if let Some(problem) = action.spec.lacks_draft_scope(spec, &known[&provider], draft_only) {
                return Err(problem);
            }
            let name = self.catalogue.provider(provider).name;
            let (code, detail) = match &known[&provider] {
                Connection::Sandbox(_) => return Ok((Via::Sandbox, None)),
                Connection::Live(access) => return Ok((Via::Live, access.account.clone())),
                Connection::NeedsReauth(_) => {
                    (ProblemCode::ReauthRequired, format!("{name} requires the account's owner to consent again"))
                }
                Connection::None => {
                    (ProblemCode::ConnectionRequired, format!("{name} is not connected; connect an account first"))
                }
            };
            Err(Problem { connect: Some(provider), ..Problem::at(code, "/provider", detail) })
        }))
    }

    /// Refuses jobs that would be too many at once. It need not be exact: the count is up to 15 s old.
    async fn admit(&self, caller: &Caller, more: usize, now: Timestamp) -> Result<(), Problem> {
        if !caller.is_limited() {
            return Ok(());
        }
        let (workspace, most) = (&caller.workspace, self.max_open_jobs);
        let open = self.open_jobs.recall_or(workspace, now, self.jobs.ledger.open_jobs(workspace, most)).await?;
        if open + more > most {
            let detail = format!("{open} jobs of this workspace have not ended yet, and {most} may be open at once");
            let problem = Problem::new(ProblemCode::RateLimited, detail);
            return Err(Problem { retry_after: Some(OPEN_JOBS_PAUSE), ..problem });
        }
        self.open_jobs.change(workspace, |open| *open += more);
        Ok(())
    }

    /// Writes all jobs that are new, finds those that are not, and refuses the whole when a key
    /// stands for something else.
    async fn accept(&self, caller: &Caller, jobs: Vec<(Job, Value)>, times: Times) -> Result<Vec<Accepted>, Problem> {
        let ids: Vec<JobId> = jobs.iter().map(|(job, _)| job.job_id).collect();
        let mut unique: Vec<(Job, Contents)> = Vec::with_capacity(jobs.len());
        for (place, (job, params)) in jobs.into_iter().enumerate() {
            if let Some((known, _)) = unique.iter().find(|(known, _)| known.job_id == job.job_id) {
                same_request(caller, known, &job, place)?;
            } else {
                let (workspace, id) = (&job.workspace_id, job.job_id);
                let sealed = self.vault.seal_json(workspace, Purpose::JobParams, id, &params).await?;
                unique.push((job, Contents(sealed)));
            }
        }
        let settled = self.settle(caller, &ids, unique, times).await?;
        if settled.len() == ids.len() {
            return Ok(settled);
        }
        let accepted = ids.iter().enumerate().map(|(place, id)| {
            let accepted = settled.iter().find(|accepted| accepted.job.job_id == *id);
            let Accepted { job, replayed } = accepted.expect("every id of the request was settled").clone();
            Accepted { job, replayed: replayed || ids[..place].contains(id) }
        });
        Ok(accepted.collect())
    }

    /// Accepts jobs of different keys. `places` names the key of each action of the request.
    async fn settle(
        &self,
        caller: &Caller,
        places: &[JobId],
        mut jobs: Vec<(Job, Contents)>,
        times: Times,
    ) -> Result<Vec<Accepted>, Problem> {
        let ids: Vec<JobId> = jobs.iter().map(|(job, _)| job.job_id).collect();
        // If the cache fails, assume the keys are known and ask the ledger.
        let limit = caller.ticket.take();
        let claimed = self.claims.claim_keys(&ids, limit.as_ref()).await;
        let (all_new, decision) = match claimed {
            Ok((new, decision)) => (!new.contains(&false), Ok(decision)),
            Err(error) => (false, Err(error)),
        };
        // A claim of a refused request makes no job: the next try asks the ledger.
        self.limiter.allowed(limit.as_ref(), decision)?;
        let place = |job: &Job| places.iter().position(|id| *id == job.job_id).unwrap_or_default();
        let mut settled: Vec<Accepted> = Vec::with_capacity(jobs.len());
        // A request that is repeated after its time has come gets its jobs, and makes none.
        let mut look = !all_new || jobs.iter().any(|(job, _)| times.is_late(job));
        for _ in 0..ROUNDS {
            if look {
                let ids: Vec<JobId> = jobs.iter().map(|(job, _)| job.job_id).collect();
                let known = self.jobs.ledger.jobs(&caller.workspace, &ids).await?;
                let mut new = Vec::with_capacity(jobs.len());
                for ((job, params), known) in jobs.into_iter().zip(known) {
                    if let Some(known) = known {
                        same_request(caller, &known, &job, place(&job))?;
                        settled.push(Accepted { job: known, replayed: true });
                    } else {
                        new.push((job, params));
                    }
                }
                jobs = new;
            }
            if let Some((late, _)) = jobs.iter().find(|(job, _)| times.is_late(job)) {
                let pointer = times.pointer(place(late));
                return Err(Problem::invalid(&pointer, "must not be more than a minute ago"));
            }
            if jobs.is_empty() || self.jobs.ledger.insert_jobs(&jobs).await? == Insert::Done {
                let written: Vec<Job> = jobs.into_iter().map(|(job, _)| job).collect();
                // The cache keeps the later version, in case a worker is quicker.
                let enqueued = self.jobs.enqueue(&written, times.now);
                join(self.jobs.cache(&written), enqueued).await;
                settled.extend(written.into_iter().map(|job| Accepted { job, replayed: false }));
                settled.sort_by_key(|accepted| place(&accepted.job));
                return Ok(settled);
            }
            look = true;
        }
        Err(LedgerError::new("the same keys were inserted and expired over and over").into())
    }
}

fn count(accepted: &[Accepted]) {
    for accepted in accepted {
        if accepted.replayed {
            IDEMPOTENCY.count(&[Idempotency::Replayed.into()]);
        } else {
            IDEMPOTENCY.count(&[Idempotency::New.into()]);
            let job = &accepted.job;
            tracing::info!(job.id = %job.job_id, "a job was accepted");
            count_enqueued(job);
        }
    }
}

/// Refuses a known job with another payload or time, and another actor's job where the caller is bound to one. The refusal
/// says nothing more of that job.
fn same_request(caller: &Caller, known: &Job, job: &Job, place: usize) -> Result<(), Problem> {
    if caller.knows(known) && known.payload_hash == job.payload_hash && known.send_at == job.send_at {
        return Ok(());
    }
    IDEMPOTENCY.count(&[Idempotency::Conflict.into()]);
    let detail = "this client_request_id was used for another action or time; take a fresh one";
    let pointer = format!("/actions/{place}/client_request_id");
    Err(Problem::at(ProblemCode::IdempotencyKeyReused, pointer, detail))
}

/// The providers of these actions, each once.
fn providers(checked: &[Checked<'_>]) -> BTreeSet<Provider> {
    checked.iter().map(|action| action.spec.provider).collect()
}

/// All results of a check of every action; or its problem, which has the code of the first and the places of all.
fn all<T>(checks: impl Iterator<Item = Result<T, Problem>>) -> Result<Vec<T>, Problem> {
    let (mut passed, mut problem) = (Vec::new(), None::<Problem>);
    for (place, check) in checks.enumerate() {
        match check {
            Ok(value) => passed.push(value),
            Err(Problem { code, .. }) if problem.as_ref().is_some_and(|first| first.code != code) => {}
            Err(mut next) => {
                let places = mem::take(&mut next.errors).into_iter();
                let places = places.map(|error| error.under(&format!("/actions/{place}")));
                problem.get_or_insert(next).errors.extend(places);
            }
        }
    }
    problem.map_or(Ok(passed), Err)
}
