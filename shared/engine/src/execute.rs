//! Accepts actions: checks all of them, then writes all of them, and answers with their jobs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{
    ActorHash, ActorId, AuditEvent, ClientRequestId, Job, JobId, NewJob, PayloadHash, PlanId, Provider, Rule, Via,
    Violation, WorkspaceId, payload_hash,
};
use futures_util::future::join;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use telemetry::{
    TraceContext,
    record::{Idempotency, JobCount, record_idempotency, record_job},
};

use crate::{
    Caller, Problem, ProblemCode,
    accounts::{Accounts, Connection},
    audit::Auditor,
    catalogue::{Catalogue, MAX_ACTIONS, RequestedAction},
    gate::{Gate, Permissions},
    job_store::JobStore,
    limits::{RateLimiter, allowed},
    plan::PlanStore,
    ports::{
        ActionSpec, Call, ClaimResult, Claims, Clock, Contents, Insert, Jobs, KeyClaim, LedgerError, Place, Purpose,
        Vault,
    },
    recent::Recent,
};

/// How often an insert that met other requests with the same keys is tried again.
const ROUNDS: usize = 5;

/// A workspace with too many open jobs may ask again after this long: the life of a count.
const OPEN_JOBS_PAUSE: Duration = Duration::from_secs(15);

/// A request to carry actions out.
#[derive(Debug, Clone)]
pub struct ExecuteRequest {
    /// The actions.
    pub what: What,
    /// The workspace the request names, if it names one.
    pub workspace_id: Option<String>,
    /// The actor it names.
    pub actor_id: Option<ActorId>,
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
    /// The request's trace.
    pub trace: TraceContext,
    /// The caller named that trace; otherwise the execution of a plan joins the plan's.
    pub trace_given: bool,
}

/// The actions to carry out.
#[derive(Debug, Clone)]
pub enum What {
    /// Exactly those of the plan that was shown.
    Plan(PlanId),
    /// These.
    Actions(Vec<RequestedAction>),
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
    hash: PayloadHash,
    /// The rules that said yes to it.
    rules: Vec<Rule>,
}

/// Accepts actions as jobs.
pub struct Executor {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) jobs: Arc<JobStore>,
    pub(crate) claims: Arc<dyn Claims>,
    pub(crate) plans: Arc<PlanStore>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) limiter: Arc<RateLimiter>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Nothing is executed but a plan by its id.
    pub(crate) require_plan: bool,
    pub(crate) open_jobs: OpenJobs,
}

impl Executor {
    /// Accepts all actions of a request, or none. The jobs come in the order of the actions.
    pub async fn execute(&self, caller: &Caller, request: ExecuteRequest) -> Result<Vec<Accepted>, Problem> {
        let accepted = self.try_execute(caller, request).await;
        if let Err(problem) = &accepted {
            // Before the audit, so that refused requests cannot fill it.
            self.limiter.charge(&caller.ticket).await?;
            self.auditor.refusal(caller, AuditEvent::ExecuteRefused, problem).await;
        }
        accepted
    }

    async fn try_execute(&self, caller: &Caller, request: ExecuteRequest) -> Result<Vec<Accepted>, Problem> {
        caller.workspace_of(request.workspace_id.as_deref())?;
        let asked_actor = caller.actor_of(request.actor_id)?;
        let (actions, actor, planned_in) = match request.what {
            What::Actions(_) if self.require_plan => {
                let detail = "is required: only what was planned here is executed (REQUIRE_PLAN)";
                return Err(Problem::invalid("/plan_id", detail));
            }
            What::Actions(actions) => {
                let actor = asked_actor.ok_or_else(|| Problem::invalid("/actor_id", "is required with actions"))?;
                (actions, actor, None)
            }
            What::Plan(id) => self.plans.actions(caller, id, asked_actor).await?,
        };
        if actions.is_empty() || actions.len() > MAX_ACTIONS {
            return Err(Problem::invalid("/actions", format!("must hold 1 to {MAX_ACTIONS} actions")));
        }
        let mut trace = request.trace;
        if let Some(planned_in) = planned_in.filter(|_| !request.trace_given) {
            trace = planned_in;
            tracing::Span::current().record("trace.id", tracing::field::display(trace.id()));
        }
        let permissions = self.gate.permissions(caller).await?;
        let mut checked = self.check(&permissions, &actions, request.idempotency_key.as_deref())?;
        self.check_rollout(&actor, &mut checked).await?;
        let routes = self.check_connections(caller, &checked).await?;

        let now = self.clock.now();
        let mut jobs = Vec::with_capacity(checked.len());
        for action in &checked {
            let provider = action.spec.provider;
            let job = Job::accepted(
                NewJob {
                    workspace_id: caller.workspace.clone(),
                    actor: actor.clone(),
                    key_id: caller.key_id.clone(),
                    allowed_by: action.rules.clone(),
                    provider,
                    action: action.spec.action_id(),
                    client_request_id: action.key.clone(),
                    payload_hash: action.hash.clone(),
                    via: routes[&provider].0,
                    account: routes[&provider].1.clone(),
                    traceparent: Some(trace.to_string()),
                },
                now,
            );
            jobs.push((job, action.call.params()));
        }
        self.open_jobs.admit(caller, jobs.len(), now).await?;
        let accepted = self.accept(caller, jobs).await?;
        count(&accepted);
        Ok(accepted)
    }

    fn check<'a>(
        &'a self,
        permissions: &Permissions,
        actions: &[RequestedAction],
        idempotency_key: Option<&str>,
    ) -> Result<Vec<Checked<'a>>, Problem> {
        let mut parsed = Vec::with_capacity(actions.len());
        let mut problems = Problems::default();
        for (place, action) in actions.iter().enumerate() {
            match self.catalogue.parse(action.provider.as_deref(), &action.action, &action.params) {
                Ok(found) => parsed.push(found),
                Err(problem) => problems.add(place, problem),
            }
        }
        problems.none()?;

        let mut checked = Vec::with_capacity(actions.len());
        for (place, ((spec, call), action)) in parsed.into_iter().zip(actions).enumerate() {
            let key = match (&action.client_request_id, idempotency_key) {
                (Some(key), _) => Ok(key.clone()),
                (None, Some(header)) => format!("{header}/{place}").parse().map_err(|_| {
                    Problem::invalid("", "the Idempotency-Key header must be 1 to 250 visible characters")
                }),
                (None, None) => {
                    let detail = "give the action a client_request_id, or the request an Idempotency-Key header";
                    Err(Problem::new(ProblemCode::IdempotencyKeyMissing, detail)
                        .with_errors(vec![Violation::new("/client_request_id", detail)]))
                }
            };
            match key {
                Ok(key) => {
                    let hash = payload_hash(spec.provider, &spec.action_id(), &call.params());
                    checked.push(Checked { spec, call, key, hash, rules: Vec::new() });
                }
                Err(problem) => problems.add(place, problem),
            }
        }
        problems.none()?;

        for (place, action) in checked.iter_mut().enumerate() {
            match self.gate.check(permissions, &action.spec.action_id(), &*action.call) {
                Ok(rules) => action.rules = rules,
                Err(problem) => problems.add(place, problem),
            }
        }
        problems.none()?;
        Ok(checked)
    }

    async fn check_rollout(&self, actor: &ActorHash, checked: &mut [Checked<'_>]) -> Result<(), Problem> {
        let mut decided: BTreeMap<Provider, (bool, u8)> = BTreeMap::new();
        let mut problems = Problems::default();
        for (place, action) in checked.iter_mut().enumerate() {
            let provider = action.spec.provider;
            let (allowed, percent) = match decided.get(&provider) {
                Some(decision) => *decision,
                None => self.gate.settings.rollout_allows(provider, actor).await?,
            };
            decided.insert(provider, (allowed, percent));
            action.rules.push(Rule::Rollout(percent));
            if !allowed {
                let detail = format!("{provider} is not rolled out to this workspace and actor yet");
                let errors = vec![Violation::new("/provider", detail.clone())];
                let problem = Problem::new(ProblemCode::RolloutDenied, detail).with_errors(errors);
                problems.add(place, problem.by_rule(Rule::Rollout(percent)));
            }
        }
        problems.none()
    }

    /// Where each provider's actions go, and for which account.
    async fn check_connections(
        &self,
        caller: &Caller,
        checked: &[Checked<'_>],
    ) -> Result<BTreeMap<Provider, (Via, Option<String>)>, Problem> {
        let mut routes = BTreeMap::new();
        let mut problems = Problems::default();
        for (place, action) in checked.iter().enumerate() {
            let provider = action.spec.provider;
            if routes.contains_key(&provider) {
                continue;
            }
            let (code, detail) = match self.accounts.known(&caller.workspace, provider).await? {
                Connection::Sandbox(_) => {
                    routes.insert(provider, (Via::Sandbox, None));
                    continue;
                }
                Connection::Live(access) => {
                    routes.insert(provider, (Via::Live, access.account));
                    continue;
                }
                Connection::NeedsReauth(_) => {
                    (ProblemCode::ReauthRequired, format!("{provider} wants the account's owner to consent again"))
                }
                Connection::None => {
                    (ProblemCode::ConnectionRequired, format!("{provider} is not connected; connect an account first"))
                }
            };
            let errors = vec![Violation::new("/provider", detail.clone())];
            let mut problem = Problem::new(code, detail).with_errors(errors);
            problem.connect = Some(provider);
            problems.add(place, problem);
        }
        problems.none()?;
        Ok(routes)
    }

    /// Writes all jobs that are new, finds those that are not, and refuses the whole when a key
    /// stands for something else.
    async fn accept(&self, caller: &Caller, jobs: Vec<(Job, Value)>) -> Result<Vec<Accepted>, Problem> {
        let ids: Vec<JobId> = jobs.iter().map(|(job, _)| job.job_id).collect();
        let mut unique: Vec<(Job, Contents)> = Vec::with_capacity(jobs.len());
        for (place, (job, params)) in jobs.into_iter().enumerate() {
            if let Some((known, _)) = unique.iter().find(|(known, _)| known.job_id == job.job_id) {
                same_payload(known, &job, place)?;
            } else {
                let place = Place::new(&job.workspace_id, Purpose::JobParams, &job.job_id);
                let sealed = self.vault.seal(&place, params.to_string().as_bytes()).await?;
                unique.push((job, Contents(sealed)));
            }
        }
        let settled = self.settle(caller, &unique).await?;
        Ok(ids
            .iter()
            .enumerate()
            .map(|(place, id)| {
                let first = !ids[..place].contains(id);
                let accepted = settled.iter().find(|accepted| accepted.job.job_id == *id);
                let accepted = accepted.expect("every id of the request was settled").clone();
                Accepted { replayed: accepted.replayed || !first, ..accepted }
            })
            .collect())
    }

    async fn settle(&self, caller: &Caller, jobs: &[(Job, Contents)]) -> Result<Vec<Accepted>, Problem> {
        let claims: Vec<KeyClaim> = jobs
            .iter()
            .map(|(job, _)| KeyClaim { job_id: job.job_id, payload_hash: job.payload_hash.clone() })
            .collect();
        // If the cache fails, assume the keys are known and ask the ledger.
        let claimed = self.claims.claim_keys(&claims, caller.ticket.take().as_ref()).await;
        let (all_new, decision) = match claimed {
            Ok((results, decision)) => (results.iter().all(|result| *result == ClaimResult::New), Ok(decision)),
            Err(error) => (false, Err(error)),
        };
        // A claim of a refused request makes no job: the next try asks the ledger.
        allowed(decision)?;
        let mut known: Vec<Option<Job>> = vec![None; jobs.len()];
        let mut look = !all_new;
        for _ in 0..ROUNDS {
            if look {
                let ids: Vec<JobId> = jobs.iter().map(|(job, _)| job.job_id).collect();
                known = self.jobs.ledger.jobs(&ids).await?;
                for (place, (known, (job, _))) in known.iter().zip(jobs).enumerate() {
                    if let Some(known) = known {
                        same_payload(known, job, place)?;
                    }
                }
            }
            let new: Vec<(Job, Contents)> =
                jobs.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(job, _)| job.clone()).collect();
            if new.is_empty() || self.jobs.ledger.insert_jobs(&new).await? == Insert::Done {
                let written: Vec<Job> = new.into_iter().map(|(job, _)| job).collect();
                // The cache keeps the later version, in case a worker is quicker.
                let enqueued = self.jobs.enqueue(&written, Duration::ZERO);
                join(self.jobs.cache(&written), enqueued).await;
                return Ok(jobs
                    .iter()
                    .zip(known)
                    .map(|((job, _), known)| match known {
                        Some(job) => Accepted { job, replayed: true },
                        None => Accepted { job: job.clone(), replayed: false },
                    })
                    .collect());
            }
            look = true;
        }
        Err(LedgerError::new("the same keys were inserted and expired over and over").into())
    }
}

/// Keeps a workspace from having too many jobs open.
pub(crate) struct OpenJobs {
    jobs: Arc<dyn Jobs>,
    most: usize,
    /// The counts that were read last, with the jobs accepted since.
    counts: Recent<WorkspaceId, usize>,
}

impl OpenJobs {
    pub(crate) fn new(jobs: Arc<dyn Jobs>, most: usize) -> Self {
        let good_for = SignedDuration::try_from(OPEN_JOBS_PAUSE).unwrap_or_default();
        Self { jobs, most, counts: Recent::good_for(good_for) }
    }

    /// Refuses jobs that would be too many at once. It need not be exact: the count is up to 15 s old.
    async fn admit(&self, caller: &Caller, more: usize, now: Timestamp) -> Result<(), Problem> {
        if caller.key_id.is_none() {
            return Ok(());
        }
        let most = self.most;
        let open = if let Some(open) = self.counts.recall(&caller.workspace, now) {
            open
        } else {
            let open = self.jobs.open_jobs(&caller.workspace, most).await?;
            self.counts.remember(caller.workspace.clone(), open, now);
            open
        };
        if open + more > most {
            let detail = format!("{open} jobs of this workspace have not ended yet, and {most} may be open at once");
            let problem = Problem::new(ProblemCode::RateLimited, detail);
            return Err(problem.with_retry_after(Some(OPEN_JOBS_PAUSE)));
        }
        self.counts.change(&caller.workspace, |open| *open += more);
        Ok(())
    }
}

fn count(accepted: &[Accepted]) {
    for accepted in accepted {
        if accepted.replayed {
            record_idempotency(Idempotency::Replayed);
        } else {
            record_idempotency(Idempotency::New);
            tracing::info!(job.id = %accepted.job.job_id, "a job was accepted");
            let job = &accepted.job;
            record_job(job.provider.as_str(), job.action.as_str(), JobCount::Enqueued);
        }
    }
}

fn same_payload(known: &Job, job: &Job, place: usize) -> Result<(), Problem> {
    if known.payload_hash == job.payload_hash {
        return Ok(());
    }
    record_idempotency(Idempotency::Conflict);
    let detail = "this client_request_id was used for another action; take a fresh one";
    let pointer = format!("/actions/{place}/client_request_id");
    Err(Problem::new(ProblemCode::IdempotencyKeyReused, detail).with_errors(vec![Violation::new(pointer, detail)]))
}

/// Merges the problems of several actions: the code of the first, the places of all.
#[derive(Default)]
struct Problems(Option<Problem>);

impl Problems {
    fn add(&mut self, place: usize, problem: Problem) {
        let places = problem.errors.iter().map(|error| error.clone().under(&format!("/actions/{place}")));
        match &mut self.0 {
            Some(first) if first.code == problem.code => first.errors.extend(places),
            Some(_) => {}
            None => self.0 = Some(Problem { errors: places.collect(), ..problem }),
        }
    }

    fn none(&mut self) -> Result<(), Problem> {
        self.0.take().map_or(Ok(()), Err)
    }
}
