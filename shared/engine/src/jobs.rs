//! Looks jobs up, waits for their end, and lets a caller approve, reject, cancel, retry or resolve them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use domain::{
    ActionId, AuditEvent, Decision, Effect, InvalidTransition, Job, JobId, JobStatus, Outcome, Rule, Scope, WaitingFor,
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use telemetry::{labels::ApprovalOutcome, names::APPROVALS};

use crate::{
    Caller, Problem, ProblemCode,
    accounts::Accounts,
    approval::ApprovalRules,
    audit::Auditor,
    catalogue::Catalogue,
    gate::Gate,
    job_contents::JobSummary,
    job_store::{JobStore, count_enqueued},
    limits::RateLimiter,
    paging::Paging,
    ports::{Clock, JobFilter, JobList, Outbox, OutboxEntry, Position, Purpose, Save, Sealed, Vault},
};

/// The fields of a result that may be read at rest: no address, no id of the provider.
const OPEN_RESULTS: [&str; 5] = ["via", "content_sha256", "presumed", "outbox", "resolved"];

/// A page of jobs.
#[derive(Debug, Clone)]
pub struct JobPage {
    /// The jobs, newest first.
    pub jobs: Vec<Job>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}

/// Which jobs to list.
#[derive(Debug, Default)]
pub struct JobQuery {
    /// Only those with this status.
    pub status: Option<JobStatus>,
    /// Only those that wait for this.
    pub waiting_for: Option<WaitingFor>,
    /// Only those with all of these words in their title, recipients or action, or as an id.
    pub search: Option<String>,
    /// Only those behind this one.
    pub after: Option<Position>,
    /// How many at most.
    pub limit: usize,
}

/// How many jobs one request searches: the contents of each are opened.
const MOST_SEARCHED: usize = 200;
/// How many entries of the outbox are shown.
const OUTBOX: usize = 100;

/// The sealed parts of a job, opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// A completed job's result.
    pub result: Option<Value>,
    /// What the provider said of a job that it refused, for callers who may see contents.
    pub provider_says: Option<String>,
    /// A part does not open, and is left out.
    pub is_partial: bool,
}

/// Looks jobs up; approves, rejects, cancels, retries and resolves them.
///
/// A caller reaches the jobs of its workspace; of its actor alone, if it is bound to one; of its actions alone, if it is
/// narrowed to some.
pub struct JobService {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) jobs: Arc<JobStore>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) limiter: Arc<RateLimiter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) approval: Arc<ApprovalRules>,
    pub(crate) outbox: Arc<dyn Outbox>,
}

impl JobService {
    /// A job of the caller's. The first look of a request counts it.
    ///
    /// A job that is not the caller's is not found, like one that never was, and by the same looks into cache and
    /// ledger.
    async fn look(&self, caller: &Caller, id: JobId) -> Result<Job, Problem> {
        let limit = caller.ticket.take();
        let (cached, decision) = match self.jobs.cache.cached_job(&caller.workspace, id, limit.as_ref()).await {
            Ok((cached, decision)) => (cached, Ok(decision)),
            Err(error) => (None, Err(error)),
        };
        self.limiter.allowed(limit.as_ref(), decision)?;
        // A held job may have been decided while the cache did not answer, so the ledger tells.
        if cached.as_ref().is_some_and(|job| caller.knows(job) && !job.is_held()) {
            return own(caller, cached);
        }
        let job = self.stored(caller, id).await?;
        self.jobs.cache(std::slice::from_ref(&job)).await;
        Ok(job)
    }

    /// A job of the caller's, as the ledger has it.
    pub(crate) async fn stored(&self, caller: &Caller, id: JobId) -> Result<Job, Problem> {
        own(caller, self.jobs.ledger.job(&caller.workspace, id).await?)
    }

    /// A job of the caller's once it has ended, or after `patience`.
    pub async fn when_ended(&self, caller: &Caller, id: JobId, patience: Duration) -> Result<Job, Problem> {
        let until = self.clock.now() + patience;
        let mut pause = Duration::from_millis(25);
        loop {
            let job = self.look(caller, id).await?;
            let left = until.duration_since(self.clock.now());
            if job.state.has_ended() || !left.is_positive() {
                return Ok(job);
            }
            self.clock.sleep(pause.min(left.unsigned_abs())).await;
            // A held job is read from the ledger each time, and waits for a person.
            pause = (pause * 2).min(if job.is_held() { Duration::from_secs(1) } else { Duration::from_millis(400) });
        }
    }

    /// The caller's jobs, newest first.
    pub async fn list(&self, caller: &Caller, query: JobQuery) -> Result<JobPage, Problem> {
        let JobQuery { status, waiting_for, search, after, limit } = query;
        let words: Vec<String> =
            search.iter().flat_map(|search| search.split_whitespace()).map(str::to_lowercase).collect();
        // Jobs that wait for these are pending.
        let is_pending = matches!(waiting_for, Some(WaitingFor::Approval | WaitingFor::Time));
        let status = status.or(is_pending.then_some(JobStatus::Pending));
        let list = status.map_or(JobList::All, JobList::with);
        let is_asked = |job: &Job| {
            status.is_none_or(|status| job.state.status() == status)
                && waiting_for.is_none_or(|what| job.waiting_for == Some(what))
                && is_own(caller, job)
        };
        let mut paging = Paging::new(after, limit);
        if !words.is_empty() {
            paging = paging.looking_through(MOST_SEARCHED);
        }
        while let Some((after, limit)) = paging.next() {
            let filter = JobFilter { workspace: caller.workspace.clone(), list, after, limit };
            let jobs = self.jobs.ledger.list_jobs(&filter).await?;
            if words.is_empty() {
                paging.take(jobs, is_asked);
            } else {
                let asked: Vec<Job> = jobs.iter().filter(|job| is_asked(job)).cloned().collect();
                let found = self.with_words(caller, &asked, &words).await;
                paging.take(jobs, |job| found.contains(&job.job_id));
            }
        }
        let (jobs, next) = paging.finish();
        Ok(JobPage { jobs, next })
    }

    /// Those of these jobs that have all the words.
    async fn with_words(&self, caller: &Caller, jobs: &[Job], words: &[String]) -> HashSet<JobId> {
        let summaries = self.summaries(caller, jobs).await;
        let has_words = |job: &Job, summary: Option<&JobSummary>| {
            let about = summary.map_or_else(String::new, JobSummary::words);
            let text = format!("{about}{} {}", job.action, job.provider).to_lowercase();
            // An id only as a whole: its parts look like any number.
            let ids = [job.job_id.to_string(), job.client_request_id.to_string().to_lowercase()];
            words.iter().all(|word| text.contains(word) || ids.contains(word))
        };
        let found = jobs.iter().zip(&summaries).filter(|(job, summary)| has_words(job, summary.as_ref()));
        found.map(|(job, _)| job.job_id).collect()
    }

    /// A job's sealed parts, opened. A part that does not open is left out, and hides nothing else.
    pub async fn opened(&self, caller: &Caller, job: &Job) -> Result<Opened, Problem> {
        let mut opened = Opened { result: job.result.clone(), provider_says: None, is_partial: false };
        let (workspace, id) = (&job.workspace_id, job.job_id);
        if let (Some(sealed), Some(Value::Object(fields))) = (&job.sealed_result, &mut opened.result) {
            let sealed = Sealed(sealed.clone());
            let rest = self.vault.open_part::<Map<_, _>>(workspace, Purpose::JobResult, id, &sealed).await?;
            opened.is_partial |= rest.is_none();
            fields.extend(rest.unwrap_or_default());
        }
        if let Some(sealed) = &job.sealed_provider_says
            && caller.scopes.contains(&Scope::ActionsPreview)
        {
            let sealed = Sealed(sealed.clone());
            opened.provider_says = self.vault.open_part(workspace, Purpose::ProviderSays, id, &sealed).await?;
            opened.is_partial |= opened.provider_says.is_none();
        }
        Ok(opened)
    }

    /// What a job does to the world; none if the catalogue has its action no more.
    pub fn effect(&self, job: &Job) -> Option<Effect> {
        self.catalogue.find(job.action.as_str()).map(|action| action.spec().effect.of_job(job.draft_only))
    }

    /// Cancels a job that no worker has claimed.
    pub async fn cancel(&self, caller: &Caller, id: JobId) -> Result<Job, Problem> {
        let cancelled = self.change(caller, id, "only a pending job can be cancelled", Job::cancelled).await;
        let job = self.auditor.audited(caller, AuditEvent::CancelRefused, cancelled).await?;
        if !job.because.is_empty() && job.decision.is_none() {
            APPROVALS.count(&[ApprovalOutcome::Cancelled.into()]);
        }
        Ok(job)
    }

    /// Retries a job that certainly sent nothing.
    pub async fn retry(&self, caller: &Caller, id: JobId) -> Result<Job, Problem> {
        let job = self.try_retry(caller, id).await;
        let job = self.auditor.audited(caller, AuditEvent::RetryRefused, job).await?;
        self.jobs.enqueue(std::slice::from_ref(&job), job.touched_at).await;
        Ok(job)
    }

    /// Approves or rejects a held job whose payload has this hash, so that what is decided is what was shown.
    pub async fn decide(
        &self,
        caller: &Caller,
        id: JobId,
        approved: bool,
        payload_sha256: Option<&str>,
    ) -> Result<Job, Problem> {
        let decided = self.try_decide(caller, id, approved, payload_sha256).await;
        let job = self.auditor.audited(caller, AuditEvent::DecideRefused, decided).await?;
        let outcome = if approved { ApprovalOutcome::Approved } else { ApprovalOutcome::Rejected };
        APPROVALS.count(&[outcome.into()]);
        self.jobs.cache(std::slice::from_ref(&job)).await;
        if approved {
            count_enqueued(&job);
            self.jobs.enqueue(std::slice::from_ref(&job), job.touched_at).await;
        }
        Ok(job)
    }

    async fn try_decide(
        &self,
        caller: &Caller,
        id: JobId,
        approved: bool,
        payload_sha256: Option<&str>,
    ) -> Result<Job, Problem> {
        loop {
            let known = self.jobs.ledger.job(&caller.workspace, id).await?;
            // Whoever decides has seen the held jobs of the workspace, and may know that another was quicker.
            let known = known.filter(|job| caller.knows(job) || !job.because.is_empty());
            let job = known.ok_or_else(job_not_found)?;
            if !caller.covers(&job.action) {
                return Err(not_allowed(&job.action, Rule::Key));
            }
            let now = self.clock.now();
            let decision =
                Decision { approved, key_id: caller.key_id.clone(), by: caller.default_actor.clone(), at: now };
            let next = job.decided(decision, self.approval.not_before(&job, now)).map_err(|_| not_held(&job))?;
            if payload_sha256.is_some_and(|hash| hash != job.payload_hash.as_str()) {
                let detail = "payload_sha256 is not the job's: look at the job again, and decide about what it shows";
                return Err(Problem::at(ProblemCode::ApprovalMismatch, "/payload_sha256", detail));
            }
            if approved {
                self.approval.may_approve(caller, &job)?;
            }
            if self.jobs.ledger.save(&next).await? == Save::Done {
                return Ok(next);
            }
        }
    }

    /// A retry needs the permission to run the action. The worker checks the recipients, which it can open.
    async fn try_retry(&self, caller: &Caller, id: JobId) -> Result<Job, Problem> {
        let says = "only a job that ended in a retriable error, with its contents still kept, can be retried";
        let known = self.stored(caller, id).await?;
        let retriable = known.error.as_ref().is_some_and(|error| error.retriable);
        let contents = self.jobs.ledger.contents(id).await?.filter(|_| retriable);
        let contents = contents.ok_or_else(|| Problem::new(ProblemCode::JobNotRetriable, says))?;
        let permissions = self.gate.permissions(caller).await?;
        let rules = permissions.can_execute(&known.action).map_err(|rule| not_allowed(&known.action, rule))?;
        let call = self.call(&known, &contents).await?;
        let retried = |job: &Job, now| {
            let terms = self.approval.terms(caller, job, &*call, now);
            let job = Job { allowed_by: rules.clone(), ..job.retried(terms, now)? };
            Ok(if permissions.is_draft_only() { job.made_draft_only() } else { job })
        };
        self.change(caller, id, says, retried).await
    }

    /// Records the outcome that a person found out.
    pub async fn resolve(&self, caller: &Caller, id: JobId, outcome: Outcome) -> Result<Job, Problem> {
        let says = "only a job whose outcome is unknown can be resolved";
        let resolved = self.change(caller, id, says, |job, now| job.resolved(outcome, now)).await;
        self.auditor.audited(caller, AuditEvent::ResolveRefused, resolved).await
    }

    /// The caller's outbox, newest first, opened; none where an entry does not open.
    pub async fn outbox(&self, caller: &Caller) -> Result<Vec<(OutboxEntry, Option<Value>)>, Problem> {
        let mut paging = Paging::new(None, OUTBOX);
        while let Some((after, limit)) = paging.next() {
            let entries = self.outbox.outbox(&caller.workspace, after, limit).await?;
            let is_limited = caller.bound_actor.is_some() || caller.allow.is_some();
            let mut own = HashSet::new();
            if is_limited {
                let ids: Vec<JobId> = entries.iter().map(|entry| entry.job_id).collect();
                let jobs = self.jobs.ledger.jobs(&caller.workspace, &ids).await?;
                own.extend(jobs.iter().flatten().filter(|job| is_own(caller, job)).map(|job| job.job_id));
            }
            paging.take(entries, |entry| !is_limited || own.contains(&entry.job_id));
        }
        let mut opened = Vec::new();
        for entry in paging.finish().0 {
            let id = entry.job_id;
            let recorded = self.vault.open_part(&caller.workspace, Purpose::Outbox, id, &entry.sealed).await?;
            opened.push((entry, recorded));
        }
        Ok(opened)
    }

    /// Writes a transition that a caller asked for, over whatever version is there now.
    async fn change(
        &self,
        caller: &Caller,
        id: JobId,
        says: &str,
        transition: impl Fn(&Job, Timestamp) -> Result<Job, InvalidTransition>,
    ) -> Result<Job, Problem> {
        loop {
            let job = self.stored(caller, id).await?;
            let mut next = transition(&job, self.clock.now()).map_err(|invalid| {
                let status = invalid.state.status().as_str();
                Problem::new(ProblemCode::JobNotRetriable, format!("the job is {status}: {says}"))
            })?;
            next.key_id.clone_from(&caller.key_id);
            next.asked_by = Some(caller.default_actor.clone());
            // Each round means that another process made progress, which ends with the job.
            if self.jobs.ledger.save(&next).await? == Save::Done {
                self.jobs.cache(std::slice::from_ref(&next)).await;
                return Ok(next);
            }
        }
    }
}

/// A job that the caller reaches. One that it does not know of is not found, like one that never was.
fn own(caller: &Caller, job: Option<Job>) -> Result<Job, Problem> {
    let job = job.filter(|job| caller.knows(job)).ok_or_else(job_not_found)?;
    if caller.covers(&job.action) { Ok(job) } else { Err(not_allowed(&job.action, Rule::Key)) }
}

fn job_not_found() -> Problem {
    Problem::new(ProblemCode::JobNotFound, "there is no such job in this workspace")
}

fn not_held(job: &Job) -> Problem {
    let detail = match &job.decision {
        Some(decision) if decision.approved => "the job was approved already",
        Some(_) => "the job was rejected already",
        None if job.is_held() => "nobody decided about the job in time",
        None => "the job does not wait for an approval",
    };
    Problem::new(ProblemCode::NotHeld, detail)
}

fn is_own(caller: &Caller, job: &Job) -> bool {
    caller.knows(job) && caller.covers(&job.action)
}

pub(crate) fn not_allowed(action: &ActionId, rule: Rule) -> Problem {
    let detail = match rule {
        Rule::Key => format!("{action} is not among the actions of this API key"),
        _ => format!("{action} is not allowed here"),
    };
    Problem::new(ProblemCode::ActionNotAllowed, detail).by_rule(rule)
}

/// Takes a result apart: the part that may be read at rest, and the rest, sealed. If nothing can be sealed now, the
/// rest is left out, since the job is done all the same.
pub(crate) async fn seal_result(vault: &dyn Vault, job: &Job, result: Value) -> (Value, Option<String>) {
    let Value::Object(fields) = result else { return (result, None) };
    let (open, rest): (Map<_, _>, Map<_, _>) =
        fields.into_iter().partition(|(name, _)| OPEN_RESULTS.contains(&name.as_str()));
    let sealed = vault.seal_json(&job.workspace_id, Purpose::JobResult, job.job_id, &rest).await.inspect_err(|error| {
        tracing::warn!(%error, job.id = %job.job_id, "the sending address and the provider's ids are not recorded");
    });
    (Value::Object(open), sealed.ok().map(|Sealed(text)| text))
}
