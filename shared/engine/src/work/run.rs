//! A job in a worker's hands, from the claim to its end.
//!
//! Every step is written before the next is taken, over the version that this worker wrote last;
//! when the ledger holds another one, this worker was overtaken and stops where it is.

use std::time::Duration;

use domain::{
    Address, CONTENTS_DAYS, Effect, Evidence, InvalidTransition, Job, JobError, JobErrorCode, State, Via, WaitingFor,
    payload_hash,
};
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use telemetry::{
    labels::{JobCount, Operation, ProviderOutcome},
    names::{JOB_DURATION, JOBS, PROVIDER_REQUESTS},
};

use super::{Worker, words::provider_words};
use crate::{
    ProblemCode,
    accounts::{Connection, ConnectionError, cannot_be_read, client_refused, how_to_connect, reauth_required},
    job_store::account_of,
    jobs::seal_result,
    ports::{
        Access, Action, ActionSpec, Call, Comparison, Contents, Done, LedgerError, OutboxEntry, ProviderError, Purpose,
        Refusal, RenderContext, Rendered, Save, Sealed, VaultError, Wording,
    },
    preview::content_sha256,
};

/// How often in a row a provider that cannot be reached is tried.
const TRIES: u32 = 6;
/// Time to write down what came of a call, beside the call's own time-out.
const MARGIN: Duration = Duration::from_secs(3);

/// A shorter rate limit is over before the account's other jobs would hear of it.
const WORTH_A_HOLD: Duration = Duration::from_secs(2);

/// Why a run stopped short of an end.
pub(super) enum Stop {
    /// Another worker has the job.
    Overtaken,
    /// The ledger does not answer; the lease ends by itself.
    Ledger(LedgerError),
    /// The job waits, and a message brings it back. It waits for nothing but another worker where nothing is named.
    Wait(Duration, Option<WaitingFor>),
    /// The same, since the provider was not reached.
    TryAgain,
    /// The job ends in an error, with what the provider said; or as unknown, if it may have been carried out.
    Fail(JobError, Option<String>),
    /// It may or may not have been carried out, and nothing can find out.
    Unknown,
    /// The provider refused a call, or did not answer; [`Run::after`] says what that means for the job.
    Provider(ProviderError),
}

/// A call with an account that carries it out.
struct Live<'a> {
    call: &'a dyn Call,
    rendered: Rendered,
    access: Access,
    /// The draft to send.
    draft: Option<Evidence>,
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// A transition of [`Job`].
trait Step: FnOnce(&Job, Timestamp) -> Result<Job, InvalidTransition> {}
impl<T: FnOnce(&Job, Timestamp) -> Result<Job, InvalidTransition>> Step for T {}

/// A job in this worker's hands.
pub(super) struct Run<'a> {
    pub(super) worker: &'a Worker,
    /// The version that was written last.
    pub(super) job: Job,
    /// Its sealed params; none once they are erased.
    pub(super) contents: Option<Contents>,
    /// An earlier call may have carried it out.
    pub(super) maybe_done: bool,
    /// When the lease ends.
    pub(super) until: Timestamp,
    /// How long the provider wants no request for the account.
    pub(super) held: Duration,
}

impl Run<'_> {
    /// Works the job until it has ended, or waits.
    pub(super) async fn finish(&mut self) -> Result<(), Stop> {
        let ended = match self.run().await {
            Err(Stop::Provider(error)) => Err(self.after(error)),
            ended => ended,
        };
        match ended {
            Err(Stop::Wait(pause, what)) => {
                self.wait(pause, |job, then, now| job.lease_released(then, what, now)).await
            }
            Err(Stop::TryAgain) => self.wait(self.exponential(self.job.failures), Job::unreachable).await,
            Err(Stop::Fail(error, says)) => self.fail(error, says).await,
            Err(Stop::Unknown) => self.unknown().await,
            ended => ended,
        }
    }

    async fn run(&mut self) -> Result<(), Stop> {
        let action = self.worker.catalogue.find(self.job.action.as_str());
        let action = action.ok_or_else(|| Self::unreadable("the catalogue has no such action"))?.clone();
        // Whatever else is true now, only a person can tell what became of a call that cannot be repeated.
        if self.maybe_done && !action.spec().effect.is_repeatable(self.job.evidence.is_some()) {
            return Err(Stop::Unknown);
        }
        let call = self.call(&*action).await?;
        if self.gates(action.spec(), &*call).await? {
            // Written down with the next step.
            self.job = self.job.clone().made_draft_only();
        }
        // It may have been sent before sends ended after their drafts, and is not sent again to find out.
        if self.maybe_done && self.job.draft_only && action.spec().effect == Effect::Send {
            return Err(Stop::Unknown);
        }
        if self.job.via == Via::Sandbox {
            let known = self.worker.accounts.known(&self.job.workspace_id, self.job.provider).await;
            let known = known.map_err(|error| self.no_connection(&error))?;
            return self.write_to_outbox(action.spec(), &*call, known.address().cloned()).await;
        }
        let connection = self.worker.accounts.ready(&self.job.workspace_id, self.job.provider).await;
        match connection.map_err(|error| self.no_connection(&error))? {
            Connection::Live(access) if access.account == self.job.account => {
                // A person who asks for another try gets it.
                let is_asked_for = self.job.retried_at.is_some() && self.job.attempts == 1;
                if !self.held.is_zero() && !is_asked_for {
                    let pause = self.held + self.jittered(Duration::from_secs(1));
                    return Err(Stop::Wait(pause, Some(WaitingFor::RateLimit)));
                }
                self.carry_out(action.spec(), &*call, access).await
            }
            Connection::NeedsReauth(access) if access.account == self.job.account => {
                Err(self.reconnect(reauth_required(self.job.provider, &self.worker.public_url), None))
            }
            Connection::Live(_) | Connection::NeedsReauth(_) => {
                let message = "Another account is connected than the one that the job was accepted for.";
                let remediation = "Ask for it as a new action of the account that is connected, \
                                   or connect the other one and retry the job.";
                Err(self.reconnect(failure(JobErrorCode::ConnectionRequired, message, true, remediation), None))
            }
            Connection::Sandbox(_) | Connection::None => {
                let how = how_to_connect(self.job.provider, &self.worker.public_url);
                let (message, remediation) =
                    ("The provider is no longer connected.", format!("{how}, then retry the job."));
                Err(self.reconnect(failure(JobErrorCode::ConnectionRequired, message, true, &remediation), None))
            }
        }
    }

    /// What it means for the job that there is no connection to be had.
    fn no_connection(&self, error: &ConnectionError) -> Stop {
        match error {
            ConnectionError::Ledger(error) => Stop::Ledger(error.clone()),
            ConnectionError::Unavailable(cause) | ConnectionError::Vault(VaultError::Unavailable(cause)) => {
                tracing::warn!(job.id = %self.job.job_id, %cause, "the job waits for its account's token");
                self.wait_for(WaitingFor::Provider)
            }
            ConnectionError::Setup(_) if self.can_settle() => self.wait_for(WaitingFor::Provider),
            ConnectionError::Setup(code) => Stop::Fail(client_refused(self.job.provider, code), None),
            ConnectionError::Vault(_) => {
                tracing::error!(job.id = %self.job.job_id, "the connection's sealed text does not open");
                self.reconnect(cannot_be_read(self.job.provider, &self.worker.public_url), None)
            }
        }
    }

    /// The job ends until the account is connected again. One whose draft is known waits for it, and then sends that
    /// draft; so does one that may have been carried out, which the account can tell.
    fn reconnect(&self, error: JobError, says: Option<String>) -> Stop {
        if self.can_settle() { self.wait_for(WaitingFor::Reauth) } else { Stop::Fail(error, says) }
    }

    /// The job ends until somebody mends the account or the setup; one that may have been carried out waits for that.
    fn mend(&self, error: JobError, says: Option<String>) -> Stop {
        if self.maybe_done { self.wait_for(WaitingFor::Provider) } else { Stop::Fail(error, says) }
    }

    /// Whether the provider will tell what became of the job, once it answers for its account.
    fn can_settle(&self) -> bool {
        self.maybe_done || self.job.evidence.is_some()
    }

    fn wait_for(&self, what: WaitingFor) -> Stop {
        Stop::Wait(self.backoff(), Some(what))
    }

    /// Our own fault, before anything was done.
    fn unreadable(why: &str) -> Stop {
        tracing::error!(why, "the job cannot be carried out");
        let remediation = "Ask for the action again with a fresh client_request_id.";
        Stop::Fail(failure(JobErrorCode::Internal, "The job's contents cannot be read.", false, remediation), None)
    }

    /// What would go out is not what was accepted, or approved.
    fn changed() -> Stop {
        tracing::error!("the job's contents have another hash than the job");
        let message = "The job's contents were changed after it was accepted, so nothing was done.";
        let remediation = "Tell the operator, and ask for the action again with a fresh client_request_id.";
        Stop::Fail(failure(JobErrorCode::PayloadChanged, message, false, remediation), None)
    }

    /// Opens and parses the job's params.
    async fn call(&self, action: &dyn Action) -> Result<Box<dyn Call>, Stop> {
        let ours = Self::unreadable;
        let contents = self.contents.as_ref().ok_or_else(|| ours("no contents"))?;
        let (workspace, id) = (&self.job.workspace_id, self.job.job_id);
        let params = self.worker.vault.open_json::<Value>(workspace, Purpose::JobParams, id, &contents.0).await;
        let params = params.map_err(|error| match error {
            VaultError::Unavailable(_) => Stop::Ledger(LedgerError::new(error)),
            _ => ours(&error.to_string()),
        })?;
        if payload_hash(self.job.provider, &self.job.action, &params) != self.job.payload_hash {
            return Err(Self::changed());
        }
        action.parse(&params).map_err(|_| ours("its params are not valid any more"))
    }

    /// Allowlist, recipients and rollout, once more: a no is final, no answer is a wait. Gives whether a send ends after
    /// its draft, which may be since the job was accepted.
    async fn gates(&self, spec: &ActionSpec, call: &dyn Call) -> Result<bool, Stop> {
        let no_answer = || Stop::Wait(self.jittered(Duration::from_secs(30)), Some(WaitingFor::Gate));
        let permissions = self.worker.gate.permissions_of(&self.job).await.map_err(|_| no_answer())?;
        if let Err(problem) = self.worker.gate.check(&permissions, spec, call) {
            let code = match problem.code {
                ProblemCode::RecipientNotAllowed => JobErrorCode::RecipientNotAllowed,
                _ => JobErrorCode::ActionNotAllowed,
            };
            let message = "The action is no longer allowed.";
            let remediation = "Have the operator allow it, then retry the job.";
            return Err(Stop::Fail(failure(code, message, true, remediation), None));
        }
        let rolled_out = self.worker.gate.settings.rollout_allows_now(self.job.provider, &self.job.actor).await;
        if rolled_out.ok_or_else(no_answer)? {
            return Ok(permissions.is_draft_only());
        }
        let message = "The provider is not rolled out to this workspace and actor.";
        let remediation = "Have the operator raise the rollout, then retry the job.";
        Err(Stop::Fail(failure(JobErrorCode::RolloutDenied, message, true, remediation), None))
    }

    async fn write_to_outbox(&mut self, spec: &ActionSpec, call: &dyn Call, from: Option<Address>) -> Result<(), Stop> {
        let effect = spec.effect.of_job(self.job.draft_only);
        let rendered = self.render(call, from.clone())?;
        let now = self.worker.clock.now();
        let recipients: Vec<String> = call.recipients().iter().map(|param| param.address.to_string()).collect();
        let entry = json!({
            "provider": self.job.provider,
            "action": self.job.action,
            "effect": effect,
            "from": from,
            "title": call.title(),
            "recipients": recipients,
            "params": call.params(),
            "content_type": rendered.content_type,
            "body": rendered.body,
        });
        let (workspace, id) = (&self.job.workspace_id, self.job.job_id);
        let sealed = self.worker.vault.seal_json(workspace, Purpose::Outbox, id, &entry).await;
        let sealed = sealed.map_err(|error| Stop::Ledger(LedgerError::new(error)))?;
        let entry = OutboxEntry {
            job_id: id,
            workspace: workspace.clone(),
            written_at: now,
            sealed,
            expires_at: now + SignedDuration::from_hours(24 * CONTENTS_DAYS),
        };
        // Once per job, so that a run that died after this line is repeated without a second entry.
        self.worker.outbox.put_outbox(&entry).await?;
        let mut result = if effect == Effect::Draft { left_as_draft(&id.to_string()) } else { json!({}) };
        result["outbox"] = json!(true);
        self.complete(call, from, result).await
    }

    /// The one place where the effect decides what a worker does.
    async fn carry_out(&mut self, spec: &ActionSpec, call: &dyn Call, access: Access) -> Result<(), Stop> {
        let rendered = self.render(call, access.address.clone())?;
        let mut live = Live { call, rendered, access, draft: None };
        let result = match spec.effect.of_job(self.job.draft_only) {
            Effect::Read => return Err(Self::unreadable("a read has no job")),
            // If its answer is lost, another one is made: only the account's owner sees the first.
            Effect::Draft => {
                let provider = self.worker.catalogue.provider(spec.provider);
                if self.job.evidence.is_none() && !spec.can_leave_draft(provider, &live.access) {
                    let message = "The account is connected without the permission for drafts.".to_owned();
                    let error = reauth_required(self.job.provider, &self.worker.public_url);
                    return Err(self.reconnect(JobError { message, ..error }, None));
                }
                left_as_draft(&self.draft(&mut live).await?.draft_id)
            }
            Effect::Change => self.change(&mut live).await?,
            Effect::Send => self.send(spec, &mut live).await?,
        };
        self.complete(call, live.access.address, result).await
    }

    /// Makes a change under our id. After a lost answer the provider is asked what it holds, and if that is nothing, the
    /// same call is made again: it changes nothing more, even if the first one is still on its way.
    async fn change(&mut self, live: &mut Live<'_>) -> Result<Value, Stop> {
        if self.maybe_done
            && let Some(result) = self.compare(live).await?
        {
            return Ok(result);
        }
        match self.perform(Operation::Change, live).await {
            Ok(done) => Ok(done.details),
            Err(Stop::Provider(ProviderError::AnswerLost(_))) => Err(self.wait_for(WaitingFor::Provider)),
            Err(Stop::Provider(refused @ (ProviderError::Exists | ProviderError::Rejected(_))))
                if self.maybe_done || refused == ProviderError::Exists =>
            {
                if let Some(result) = self.compare(live).await? {
                    return Ok(result);
                }
                // Neither this call nor an earlier one did it.
                self.maybe_done = false;
                let refused = match refused {
                    ProviderError::Exists => ProviderError::Rejected("something else exists under its id".into()),
                    refused => refused,
                };
                Err(self.not_done(Stop::Provider(refused)).await)
            }
            // This call was refused, but an earlier one may still take effect.
            Err(Stop::Provider(error)) if self.maybe_done => Err(self.wait_for(waits_for(&error))),
            Err(stop) => Err(self.not_done(stop).await),
        }
    }

    /// What an earlier call came to, if the provider holds its work.
    async fn compare(&mut self, live: &mut Live<'_>) -> Result<Option<Value>, Stop> {
        match self.ask(Operation::Compare, live, |live| live.call.compare(&live.rendered, &live.access)).await {
            Ok(Comparison::Ours(done)) => {
                let mut result = done.details;
                result["presumed"] = json!(true);
                Ok(Some(result))
            }
            Ok(Comparison::NotOurs) => Ok(None),
            Err(stop @ (Stop::Ledger(_) | Stop::Overtaken | Stop::Wait(..))) => Err(stop),
            Err(Stop::Provider(error)) => Err(self.wait_for(waits_for(&error))),
            Err(_) => Err(self.wait_for(WaitingFor::Provider)),
        }
    }

    /// Sends: by a draft where the scopes allow it, so that a lost answer leaves no doubt; else in one request.
    async fn send(&mut self, spec: &ActionSpec, live: &mut Live<'_>) -> Result<Value, Stop> {
        let by_draft = spec.drafts_with(self.worker.catalogue.provider(spec.provider), &live.access);
        if self.job.evidence.is_some() && !by_draft {
            return Err(self.wait_for(WaitingFor::Reauth));
        }
        let mut made_again = false;
        loop {
            live.draft = if by_draft { Some(self.draft(live).await?) } else { None };
            match (self.perform(Operation::Send, live).await, &live.draft) {
                (Ok(done), _) => return Ok(done.details),
                (Err(Stop::Provider(ProviderError::DraftGone)), Some(evidence)) if self.maybe_done => {
                    return Ok(json!({
                        "presumed": true,
                        "draft_id": evidence.draft_id,
                        "internet_message_id": evidence.internet_message_id,
                    }));
                }
                // A draft that a person deleted is made again, once.
                (Err(Stop::Provider(ProviderError::DraftGone)), _) if !made_again => {
                    made_again = true;
                    self.write(Job::not_sent).await?;
                    self.write(Job::unprepared).await?;
                }
                // The same draft is sent again: if it is gone, it was sent.
                (Err(Stop::Provider(ProviderError::AnswerLost(_))), draft) => {
                    return Err(if draft.is_some() { self.wait_for(WaitingFor::Provider) } else { Stop::Unknown });
                }
                (Err(stop), _) => return Err(self.not_done(stop).await),
            }
        }
    }

    /// Records that the call is about to begin, and makes it.
    async fn perform(&mut self, operation: Operation, live: &mut Live<'_>) -> Result<Done, Stop> {
        self.leave_time()?;
        self.write(Job::sending).await?;
        let done = self
            .ask(operation, live, |live| live.call.perform(&live.rendered, &live.access, live.draft.as_ref()))
            .await;
        if let Err(Stop::Provider(ProviderError::AnswerLost(why))) = &done {
            tracing::warn!(why, "the answer to a call was lost");
            self.maybe_done = true;
        }
        done
    }

    /// Takes back the mark of a call that certainly did nothing, unless an earlier one may have.
    async fn not_done(&mut self, stop: Stop) -> Stop {
        if self.maybe_done || self.job.state != State::Sending {
            return stop;
        }
        self.write(Job::not_sent).await.err().unwrap_or(stop)
    }

    /// The job's draft, made unless it exists.
    async fn draft(&mut self, live: &mut Live<'_>) -> Result<Evidence, Stop> {
        if let Some(evidence) = &self.job.evidence {
            return Ok(evidence.clone());
        }
        let evidence =
            self.ask(Operation::Prepare, live, |live| live.call.prepare(&live.rendered, &live.access)).await?;
        self.write(|job, now| job.prepared(evidence.clone(), now)).await?;
        Ok(evidence)
    }

    /// One request to the provider, or two if it refuses the first one's token, which does nothing. No request is begun
    /// that could not be written down in time: the mark or the token may have taken long.
    async fn ask<T>(
        &self,
        operation: Operation,
        live: &mut Live<'_>,
        request: for<'b> fn(&'b Live<'_>) -> BoxFuture<'b, Result<T, ProviderError>>,
    ) -> Result<T, Stop> {
        let mut refreshed = false;
        loop {
            self.leave_time()?;
            let answer = request(live).await;
            self.count(operation, answer.as_ref().err());
            match answer {
                Err(ProviderError::Unauthorized) if !refreshed && self.refresh(&mut live.access).await? => {
                    refreshed = true;
                }
                Err(ProviderError::RateLimited(after)) => {
                    // The account's other jobs wait too. If the cache cannot be written, each learns it by itself.
                    let pause = after.unwrap_or_else(|| self.backoff());
                    if pause >= WORTH_A_HOLD {
                        let _ = self.worker.rate_limits.hold(&account_of(&self.job), pause).await;
                    }
                    return Err(Stop::Provider(ProviderError::RateLimited(after)));
                }
                answer => return answer.map_err(|error| Stop::Provider(readable(error, &live.access))),
            }
        }
    }

    async fn refresh(&self, access: &mut Access) -> Result<bool, Stop> {
        let fresh = self.worker.accounts.refreshed(&self.job.workspace_id, self.job.provider, access).await;
        let fresh = fresh.map_err(|error| self.no_connection(&error))?;
        Ok(fresh.map(|fresh| *access = fresh).is_some())
    }

    /// What a call that certainly did nothing means for the job.
    fn after(&self, error: ProviderError) -> Stop {
        let reauth = || reauth_required(self.job.provider, &self.worker.public_url);
        match error {
            ProviderError::RateLimited(after) => {
                Stop::Wait(self.backoff().max(after.unwrap_or_default()), Some(WaitingFor::RateLimit))
            }
            ProviderError::Busy(_) => self.wait_for(WaitingFor::Provider),
            ProviderError::Unreachable(_) | ProviderError::DraftGone if self.job.failures + 1 < TRIES => Stop::TryAgain,
            ProviderError::Unreachable(_) | ProviderError::DraftGone => {
                let message = "The provider could not be reached, or was failing, each time it was tried.";
                let remediation = "Retry the job when the provider answers again.";
                Stop::Fail(failure(JobErrorCode::ProviderUnavailable, message, true, remediation), None)
            }
            ProviderError::Unauthorized => {
                let message = "The provider does not accept the account's token.".to_owned();
                self.reconnect(JobError { message, ..reauth() }, None)
            }
            ProviderError::Forbidden(Refusal { label, says }) => {
                let message = format!("The connection lacks a permission that the provider wants: {label}.");
                self.reconnect(JobError { message, ..reauth() }, says)
            }
            ProviderError::Rejected(Refusal { label, says }) => {
                let message = format!("The provider refused {}: {label}.", self.wording().noun);
                let remediation = "Change what the provider objects to, and ask for it as a new action.";
                Stop::Fail(failure(JobErrorCode::ProviderRejected, &message, false, remediation), says)
            }
            ProviderError::Account(Refusal { label, says }) => {
                let message = format!("The provider refuses the account as it is: {label}.");
                let remediation = "Have the account's owner or administrator fix it: it may be suspended or full, or \
                                   lack a licence, the service, or the right to act as this address. Then retry the job.";
                self.mend(failure(JobErrorCode::AccountProblem, &message, true, remediation), says)
            }
            ProviderError::Setup(Refusal { label, says }) => {
                tracing::error!(provider.refusal = label, "the provider refuses this deployment's setup");
                let message = format!("The provider refuses this deployment's setup: {label}.");
                let remediation = "Have the operator enable the provider's API for the OAuth client, or have the \
                                   organisation's administrator allow it. Then retry the job.";
                self.mend(failure(JobErrorCode::SetupProblem, &message, true, remediation), says)
            }
            ProviderError::AnswerLost(_) | ProviderError::Exists => Stop::Unknown,
        }
    }

    fn wording(&self) -> Wording {
        let action = self.worker.catalogue.find(self.job.action.as_str());
        action
            .map_or(Wording { noun: "it", ask_recipients: "", ask_text: "", look: "Look at the provider" }, |action| {
                action.spec().wording
            })
    }

    fn render(&self, call: &dyn Call, from: Option<Address>) -> Result<Rendered, Stop> {
        let context =
            RenderContext { from, date: Some(self.worker.clock.now()), id: Some(self.job.job_id.to_string()) };
        call.render(&context).map_err(|error| {
            tracing::error!(%error, "the action cannot be rendered");
            let message = "The rendered text does not read back as what was asked for, so nothing was done.";
            let remediation = "Change unusual characters, and ask for it as a new action.";
            Stop::Fail(failure(JobErrorCode::Internal, message, false, remediation), None)
        })
    }

    /// A call that could not be written down before the lease ends is not begun; the next run gets a lease of its own.
    /// The pause keeps a job whose leases are always too short from running in a tight loop.
    fn leave_time(&self) -> Result<(), Stop> {
        let done_by = self.worker.clock.now().checked_add(self.worker.provider_timeout + MARGIN);
        if done_by.is_ok_and(|done_by| done_by <= self.until) { Ok(()) } else { Err(Stop::Wait(self.backoff(), None)) }
    }

    async fn complete(&mut self, call: &dyn Call, from: Option<Address>, mut result: Value) -> Result<(), Stop> {
        let sha256 = content_sha256(call, from.as_ref()).ok();
        result["via"] = json!(self.job.via);
        result["from"] = json!(from.map(|from| from.addr_spec()));
        result["content_sha256"] = json!(sha256);
        let (open, sealed_result) = seal_result(&*self.worker.vault, &self.job, result).await;
        self.end(JobCount::Completed, |job, now| Ok(Job { sealed_result, ..job.completed(open, now)? })).await
    }

    /// Ends the job in an error; as unknown, if it may have been carried out. If what the provider said cannot be sealed
    /// now, it is left out.
    pub(super) async fn fail(&mut self, error: JobError, says: Option<String>) -> Result<(), Stop> {
        if self.maybe_done {
            return self.unknown().await;
        }
        tracing::warn!(job.error = %error.code, "the job ended in an error");
        let mut sealed_provider_says = None;
        if let Some(says) = says {
            let (vault, job) = (&self.worker.vault, &self.job);
            let sealed = vault.seal_json(&job.workspace_id, Purpose::ProviderSays, job.job_id, &says).await;
            sealed_provider_says = sealed.ok().map(|Sealed(text)| text);
        }
        self.end(JobCount::Error, |job, now| Ok(Job { sealed_provider_says, ..job.failed(error, now)? })).await
    }

    async fn unknown(&mut self) -> Result<(), Stop> {
        tracing::warn!("whether the action was carried out is unknown");
        let Wording { noun, look, .. } = self.wording();
        let error = failure(
            JobErrorCode::OutcomeUnknown,
            &format!("The request was sent, but its answer was lost, so {noun} may or may not have gone out."),
            false,
            &format!("{look}, then resolve the job: say whether it was sent."),
        );
        self.end(JobCount::Unknown, |job, now| job.unknown(error, now)).await
    }

    async fn wait(
        &mut self,
        pause: Duration,
        release: impl FnOnce(&Job, Timestamp, Timestamp) -> Result<Job, InvalidTransition>,
    ) -> Result<(), Stop> {
        let (now, gives_up_at) = (self.worker.clock.now(), self.job.gives_up_at());
        let left = gives_up_at.duration_since(now);
        if !left.is_positive() {
            let remediation = "Retry the job once what it waited for is there.";
            let error = failure(JobErrorCode::GaveUp, "The job waited for 24 hours.", true, remediation);
            return self.fail(error, None).await;
        }
        // The last try is at the end of the day.
        let pause = pause.min(left.unsigned_abs());
        let then = now + pause;
        self.write(|job, now| release(job, then, now)).await?;
        self.worker.jobs.cache(std::slice::from_ref(&self.job)).await;
        self.worker.jobs.enqueue(std::slice::from_ref(&self.job), now).await;
        Ok(())
    }

    /// Writes the end, which is worth several tries: what is not written down is not known.
    async fn end(&mut self, count: JobCount, step: impl Step) -> Result<(), Stop> {
        let next = self.next(step)?;
        let mut pause = Duration::from_millis(50);
        while let Err(why) = self.save(next.clone()).await {
            match why {
                Stop::Ledger(error) if pause < Duration::from_secs(2) => {
                    tracing::warn!(%error, "the job's end is written again");
                    self.worker.clock.sleep(pause).await;
                    pause *= 2;
                }
                why => return Err(why),
            }
        }
        let job = &self.job;
        let (provider, action) = (job.provider.as_str(), job.action.as_str());
        JOBS.count(&[provider, action, count.into()]);
        JOB_DURATION.observe(&[provider, action], job.duration().unwrap_or_default().unsigned_abs());
        tracing::info!(job.status = job.state.status().as_str(), "the job ended");
        self.worker.jobs.cache(std::slice::from_ref(job)).await;
        Ok(())
    }

    /// Writes the next version, or learns that this worker was overtaken.
    async fn write(&mut self, step: impl Step) -> Result<(), Stop> {
        self.save(self.next(step)?).await
    }

    fn next(&self, step: impl Step) -> Result<Job, Stop> {
        step(&self.job, self.worker.clock.now()).map_err(|invalid| {
            tracing::error!(%invalid, "a step was not allowed");
            Stop::Overtaken
        })
    }

    async fn save(&mut self, mut next: Job) -> Result<(), Stop> {
        loop {
            if self.worker.jobs.ledger.save(&next).await? == Save::Done {
                self.job = next;
                return Ok(());
            }
            // The sweeper may have touched a job that a worker was slow with. The job is still this
            // worker's as long as nobody has claimed it since.
            match self.worker.jobs.ledger.job(&next.workspace_id, next.job_id).await? {
                Some(now) if now.is_held_as(&self.job) && now.revision >= next.revision => {
                    next.revision = now.revision + 1;
                }
                _ => return Err(Stop::Overtaken),
            }
        }
    }

    fn count(&self, operation: Operation, error: Option<&ProviderError>) {
        let outcome = match error {
            None => ProviderOutcome::Ok,
            Some(ProviderError::Rejected(_)) => ProviderOutcome::Rejected,
            Some(ProviderError::Account(_)) => ProviderOutcome::AccountProblem,
            Some(ProviderError::Setup(_)) => ProviderOutcome::SetupProblem,
            Some(ProviderError::Unauthorized) => ProviderOutcome::Unauthorized,
            Some(ProviderError::Forbidden(_)) => ProviderOutcome::Forbidden,
            Some(ProviderError::RateLimited(_) | ProviderError::Busy(_)) => ProviderOutcome::RateLimited,
            Some(ProviderError::Unreachable(_)) => ProviderOutcome::NotReached,
            Some(ProviderError::DraftGone) => ProviderOutcome::DraftGone,
            Some(ProviderError::Exists) => ProviderOutcome::Exists,
            Some(ProviderError::AnswerLost(_)) => ProviderOutcome::MaybeSent,
        };
        PROVIDER_REQUESTS.count(&[self.job.provider.as_str(), operation.into(), outcome.into()]);
    }

    /// The pause after this try, whatever it failed for.
    fn backoff(&self) -> Duration {
        self.exponential(self.job.attempts.saturating_sub(1))
    }

    /// 1, 2, 4 … 60 s, plus up to half of that by chance.
    fn exponential(&self, before: u32) -> Duration {
        let exponent = before.min(6);
        self.jittered(Duration::from_secs(1 << exponent).min(Duration::from_mins(1)))
    }

    fn jittered(&self, pause: Duration) -> Duration {
        pause.mul_f64(1.0 + self.worker.ids.fraction() / 2.0)
    }
}

/// The result of a job that ends with a draft.
fn left_as_draft(draft_id: &str) -> Value {
    json!({ "draft_id": draft_id, "done": "Left among the drafts." })
}

/// What a job waits for that is tried again after this error.
const fn waits_for(error: &ProviderError) -> WaitingFor {
    match error {
        ProviderError::RateLimited(_) => WaitingFor::RateLimit,
        ProviderError::Unauthorized | ProviderError::Forbidden(_) => WaitingFor::Reauth,
        _ => WaitingFor::Provider,
    }
}

/// The same error with the provider's words as people may read them.
fn readable(error: ProviderError, access: &Access) -> ProviderError {
    let clean = |refusal: Refusal| {
        let says = refusal.says.and_then(|says| provider_words(&says, access.token.expose_secret()));
        Refusal { says, ..refusal }
    };
    match error {
        ProviderError::Rejected(refusal) => ProviderError::Rejected(clean(refusal)),
        ProviderError::Account(refusal) => ProviderError::Account(clean(refusal)),
        ProviderError::Setup(refusal) => ProviderError::Setup(clean(refusal)),
        ProviderError::Forbidden(refusal) => ProviderError::Forbidden(clean(refusal)),
        error => error,
    }
}

pub(super) fn failure(code: JobErrorCode, message: &str, retriable: bool, remediation: &str) -> JobError {
    JobError { code, message: message.to_owned(), retriable, remediation: remediation.to_owned() }
}
