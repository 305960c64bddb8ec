//! A job in a worker's hands, from the claim to its end.
//!
//! Every step is written before the next is taken, over the version that this worker wrote last;
//! when the ledger holds another one, this worker was overtaken and stops where it is.

use std::{sync::Arc, time::Duration};

use domain::{Address, CONTENTS_DAYS, Effect, Evidence, InvalidTransition, Job, JobError, JobErrorCode, Via};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use telemetry::record::{
    JobCount, Operation, ProviderOutcome, record_job, record_job_duration, record_provider_request,
};

use super::Worker;
use crate::{
    ProblemCode,
    accounts::{Connection, ConnectionError},
    jobs::seal_result,
    ports::{
        Access, Action, ActionSpec, Call, Comparison, Contents, Done, LedgerError, OutboxEntry, Place, ProviderError,
        Purpose, RenderContext, Rendered, Save, VaultError, Wording,
    },
    preview::content_sha256,
};

/// How often in a row a provider that cannot be reached is tried.
const TRIES: u32 = 6;
/// Time to write down what came of a call, beside the call's own time-out.
const MARGIN: SignedDuration = SignedDuration::from_secs(3);

/// Why a run stopped short of an end.
pub(super) enum Stop {
    /// Another worker has the job.
    Overtaken,
    /// The ledger does not answer; the lease ends by itself.
    Ledger(LedgerError),
    /// The job waits, and a message brings it back.
    Wait(Duration),
    /// The same, since the provider was not reached.
    TryAgain,
    /// The job ends in an error; or as unknown, if it may have been carried out.
    Fail(JobError),
    /// It may or may not have been carried out, and nothing can find out.
    Unknown,
}

/// Why a call to the provider has no result.
enum Failed {
    /// The provider said so, or did not answer.
    Provider(ProviderError),
    /// The call was not made.
    NotMade(Stop),
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

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
}

impl Run<'_> {
    /// Works the job until it has ended, or waits.
    pub(super) async fn finish(&mut self) -> Result<(), Stop> {
        match self.run().await {
            Err(Stop::Wait(pause)) => self.wait(pause, Job::lease_released).await,
            Err(Stop::TryAgain) => self.wait(self.exponential(self.job.failures), Job::unreachable).await,
            Err(Stop::Fail(error)) => self.fail(error).await,
            Err(Stop::Unknown) => self.unknown().await,
            ended => ended,
        }
    }

    async fn run(&mut self) -> Result<(), Stop> {
        let action = self.action()?;
        // Whatever else is true now, only a person can tell what became of a call that cannot be repeated.
        if self.maybe_done && !action.spec().effect.is_repeatable(self.job.evidence.is_some()) {
            return Err(Stop::Unknown);
        }
        let call = self.call(&*action).await?;
        self.gates(&*call).await?;
        if self.job.via == Via::Sandbox {
            let known = self.worker.accounts.known(&self.job.workspace_id, self.job.provider).await;
            let known = known.map_err(|error| self.no_connection(&error))?;
            return self.write_to_outbox(&*call, known.address().cloned()).await;
        }
        let connection = self.worker.accounts.ready(&self.job.workspace_id, self.job.provider).await;
        match connection.map_err(|error| self.no_connection(&error))? {
            Connection::Live(access) if access.account == self.job.account => {
                self.carry_out(action.spec(), &*call, access).await
            }
            Connection::NeedsReauth(access) if access.account == self.job.account => {
                Err(self.needs_consent("The provider wants the consent of the account's owner again."))
            }
            Connection::Live(_) | Connection::NeedsReauth(_) => Err(Stop::Fail(failure(
                JobErrorCode::ConnectionRequired,
                "Another account is connected than the one that the job was accepted for.",
                true,
                "Ask for it as a new action of the account that is connected, or connect the other one and retry the job.",
            ))),
            Connection::Sandbox(_) | Connection::None => Err(Stop::Fail(failure(
                JobErrorCode::ConnectionRequired,
                "The provider is no longer connected.",
                true,
                &format!("{}, then retry the job.", self.worker.how_to_connect(self.job.provider)),
            ))),
        }
    }

    /// What it means for the job that there is no connection to be had.
    fn no_connection(&self, error: &ConnectionError) -> Stop {
        match error {
            ConnectionError::Ledger(error) => Stop::Ledger(error.clone()),
            ConnectionError::Unavailable(cause) => {
                tracing::warn!(job.id = %self.job.job_id, %cause, "the job waits for its account's token");
                Stop::Wait(self.backoff())
            }
            ConnectionError::DoesNotOpen => {
                tracing::error!(job.id = %self.job.job_id, "the connection's sealed text does not open");
                Stop::Fail(failure(
                    JobErrorCode::Internal,
                    "The connection cannot be read.",
                    true,
                    &format!("{} again, then retry the job.", self.worker.how_to_connect(self.job.provider)),
                ))
            }
        }
    }

    fn needs_consent(&self, message: &str) -> Stop {
        let remediation = format!("{} again, then retry the job.", self.worker.how_to_connect(self.job.provider));
        Stop::Fail(failure(JobErrorCode::ReauthRequired, message, true, &remediation))
    }

    /// The action of the catalogue.
    fn action(&self) -> Result<Arc<dyn Action>, Stop> {
        let action = self.worker.catalogue.find(self.job.action.as_str());
        action.cloned().ok_or_else(|| Self::unreadable("the catalogue has no such action"))
    }

    /// Our own fault, before anything was done.
    fn unreadable(why: &str) -> Stop {
        tracing::error!(why, "the job cannot be carried out");
        Stop::Fail(failure(
            JobErrorCode::Internal,
            "The job's contents cannot be read.",
            false,
            "Ask for the action again with a fresh client_request_id.",
        ))
    }

    /// Opens and parses the job's params.
    async fn call(&self, action: &dyn Action) -> Result<Box<dyn Call>, Stop> {
        let ours = Self::unreadable;
        let contents = self.contents.as_ref().ok_or_else(|| ours("no contents"))?;
        let place = Place::new(&self.job.workspace_id, Purpose::JobParams, &self.job.job_id);
        let text = self.worker.vault.open(&place, &contents.0).await;
        let text = match text {
            Ok(text) => text,
            Err(error @ VaultError::Unavailable(_)) => return Err(Stop::Ledger(LedgerError::new(error))),
            Err(error) => return Err(ours(&error.to_string())),
        };
        let params: Value = serde_json::from_slice(&text).map_err(|error| ours(&error.to_string()))?;
        action.parse(&params).map_err(|_| ours("its params are not valid any more"))
    }

    /// Allowlist, recipients and rollout, once more: a no is final, no answer is a wait.
    async fn gates(&self, call: &dyn Call) -> Result<(), Stop> {
        let Ok(permissions) = self.worker.gate.permissions_of(&self.job).await else {
            return Err(Stop::Wait(self.jittered(Duration::from_secs(30))));
        };
        if let Err(problem) = self.worker.gate.check(&permissions, &self.job.action, call) {
            let code = match problem.code {
                ProblemCode::RecipientNotAllowed => JobErrorCode::RecipientNotAllowed,
                _ => JobErrorCode::ActionNotAllowed,
            };
            let message = "The action is no longer allowed.";
            return Err(Stop::Fail(failure(code, message, true, "Have the operator allow it, then retry the job.")));
        }
        match self.worker.gate.settings.rollout_allows_now(self.job.provider, &self.job.actor).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Stop::Fail(failure(
                JobErrorCode::RolloutDenied,
                "The provider is not rolled out to this workspace and actor.",
                true,
                "Have the operator raise the rollout, then retry the job.",
            ))),
            Err(_) => Err(Stop::Wait(self.jittered(Duration::from_secs(30)))),
        }
    }

    async fn write_to_outbox(&mut self, call: &dyn Call, from: Option<Address>) -> Result<(), Stop> {
        let rendered = self.render(call, from.clone())?;
        let now = self.worker.clock.now();
        let recipients = call.addresses().into_iter().filter(|param| param.is_recipient);
        let recipients: Vec<String> = recipients.map(|param| param.address.to_string()).collect();
        let entry = json!({
            "provider": self.job.provider,
            "action": self.job.action,
            "from": from,
            "title": call.title(),
            "recipients": recipients,
            "params": call.params(),
            "content_type": rendered.content_type,
            "body": rendered.body,
        });
        let place = Place::new(&self.job.workspace_id, Purpose::Outbox, &self.job.job_id);
        let sealed = self.worker.vault.seal(&place, entry.to_string().as_bytes()).await;
        let sealed = sealed.map_err(|error| Stop::Ledger(LedgerError::new(error)))?;
        let entry = OutboxEntry {
            job_id: self.job.job_id,
            workspace: self.job.workspace_id.clone(),
            written_at: now,
            sealed,
            expires_at: now + SignedDuration::from_hours(24 * CONTENTS_DAYS),
        };
        // Once per job, so that a run that died after this line is repeated without a second entry.
        self.worker.outbox.put_outbox(&entry).await?;
        self.complete(call, from, json!({ "outbox": true })).await
    }

    /// The one place where the effect decides what a worker does.
    async fn carry_out(&mut self, spec: &ActionSpec, call: &dyn Call, mut access: Access) -> Result<(), Stop> {
        let rendered = self.render(call, access.address.clone())?;
        let result = match spec.effect {
            Effect::Read => return Err(Self::unreadable("a read has no job")),
            Effect::Draft => self.leave_draft(call, &rendered, &mut access).await?,
            Effect::Change => self.change(spec, call, &rendered, &mut access).await?,
            Effect::Send => self.send(spec, call, &rendered, &mut access).await?,
        };
        self.complete(call, access.address, result).await
    }

    /// Leaves a draft. If its answer is lost, another one is made: only the account's owner sees the first.
    async fn leave_draft(&mut self, call: &dyn Call, rendered: &Rendered, access: &mut Access) -> Result<Value, Stop> {
        let evidence = self.draft(call, rendered, access).await?;
        Ok(json!({ "draft_id": evidence.draft_id, "done": "Left among the drafts." }))
    }

    /// Makes a change under our id. After a lost answer the same call is made again, since it changes nothing more.
    async fn change(
        &mut self,
        spec: &ActionSpec,
        call: &dyn Call,
        rendered: &Rendered,
        access: &mut Access,
    ) -> Result<Value, Stop> {
        self.leave_time()?;
        self.write(self.job.sending(self.worker.clock.now())).await?;
        let refused = match self.ask(Operation::Change, access, |access| perform(call, rendered, access, None)).await {
            Ok(done) => return Ok(done.details),
            Err(Failed::Provider(ProviderError::AnswerLost(why))) => {
                tracing::warn!(why, "the answer to a change was lost");
                self.maybe_done = true;
                return Err(Stop::Wait(self.backoff()));
            }
            Err(Failed::Provider(ProviderError::Exists)) => {
                ProviderError::Rejected("something else exists under its id".to_owned())
            }
            // This call was refused, but an earlier one may have gone through.
            Err(Failed::Provider(refused @ ProviderError::Rejected(_))) if self.maybe_done => refused,
            Err(Failed::Provider(_)) if self.maybe_done => return Err(Stop::Wait(self.backoff())),
            Err(failed) => return Err(self.not_done(spec, failed).await),
        };
        match self.ask(Operation::Compare, access, |access| compare(call, rendered, access)).await {
            Ok(Comparison::Ours(done)) => {
                let mut result = done.details;
                result["presumed"] = json!(true);
                Ok(result)
            }
            Ok(Comparison::NotOurs) => {
                // Neither this call nor an earlier one did it.
                self.maybe_done = false;
                Err(self.not_done(spec, Failed::Provider(refused)).await)
            }
            Err(Failed::NotMade(stop @ (Stop::Ledger(_) | Stop::Overtaken))) => Err(stop),
            Err(_) => Err(Stop::Wait(self.backoff())),
        }
    }

    /// Sends: by a draft where the scopes allow it, so that a lost answer leaves no doubt; else in one request.
    async fn send(
        &mut self,
        spec: &ActionSpec,
        call: &dyn Call,
        rendered: &Rendered,
        access: &mut Access,
    ) -> Result<Value, Stop> {
        let draft_scopes = spec.scopes.draft;
        let provider = self.worker.catalogue.provider(spec.provider);
        let by_draft = !draft_scopes.is_empty() && provider.grants(&access.scopes, draft_scopes);
        if self.job.evidence.is_some() && !by_draft {
            if self.maybe_done {
                return Err(Stop::Unknown);
            }
            self.write(self.job.unprepared(self.worker.clock.now())).await?;
        }
        // A draft that a person deleted is made again, once.
        for last in [false, true] {
            let draft = if by_draft { Some(self.draft(call, rendered, access).await?) } else { None };
            self.leave_time()?;
            self.write(self.job.sending(self.worker.clock.now())).await?;
            let sent = self.ask(Operation::Send, access, |access| perform(call, rendered, access, draft.clone())).await;
            match sent {
                Ok(done) => return Ok(done.details),
                Err(Failed::Provider(ProviderError::DraftGone)) if self.maybe_done => {
                    let evidence = draft.expect("only a draft can be gone");
                    return Ok(json!({
                        "presumed": true,
                        "draft_id": evidence.draft_id,
                        "internet_message_id": evidence.internet_message_id,
                    }));
                }
                Err(Failed::Provider(ProviderError::DraftGone)) if !last => {
                    self.write(self.job.not_sent(self.worker.clock.now())).await?;
                    self.write(self.job.unprepared(self.worker.clock.now())).await?;
                }
                Err(Failed::Provider(ProviderError::AnswerLost(why))) => {
                    tracing::warn!(why, "the answer to a send was lost");
                    self.maybe_done = true;
                    // The same draft is sent again: if it is gone, it was sent.
                    return Err(if by_draft { Stop::Wait(self.backoff()) } else { Stop::Unknown });
                }
                Err(failed) => return Err(self.not_done(spec, failed).await),
            }
        }
        Err(self.after(spec.wording, &ProviderError::DraftGone))
    }

    /// Takes back the mark of a call that certainly did nothing, unless an earlier one may have; then says what the
    /// failure means for the job.
    async fn not_done(&mut self, spec: &ActionSpec, failed: Failed) -> Stop {
        if !self.maybe_done
            && let Err(stop) = self.write(self.job.not_sent(self.worker.clock.now())).await
        {
            return stop;
        }
        match failed {
            Failed::Provider(error) => self.after(spec.wording, &error),
            Failed::NotMade(stop) => stop,
        }
    }

    /// The job's draft, made unless it exists.
    async fn draft(&mut self, call: &dyn Call, rendered: &Rendered, access: &mut Access) -> Result<Evidence, Stop> {
        if let Some(evidence) = &self.job.evidence {
            return Ok(evidence.clone());
        }
        let evidence = match self.ask(Operation::Prepare, access, |access| prepare(call, rendered, access)).await {
            Ok(evidence) => evidence,
            Err(Failed::Provider(error)) => return Err(self.after(self.wording(), &error)),
            Err(Failed::NotMade(stop)) => return Err(stop),
        };
        self.write(self.job.prepared(evidence.clone(), self.worker.clock.now())).await?;
        Ok(evidence)
    }

    /// One request to the provider, or two if it refuses the first one's token, which does nothing. No request is begun
    /// that could not be written down in time: the mark or the token may have taken long.
    async fn ask<T, F>(
        &self,
        operation: Operation,
        access: &mut Access,
        request: impl Fn(Access) -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        for last in [false, true] {
            self.leave_time().map_err(Failed::NotMade)?;
            let answer = request(access.clone()).await;
            self.count(operation, answer.as_ref().err());
            match answer {
                Err(ProviderError::Unauthorized) if !last && self.refresh(access).await.map_err(Failed::NotMade)? => {}
                answer => return answer.map_err(Failed::Provider),
            }
        }
        Err(Failed::Provider(ProviderError::Unauthorized))
    }

    async fn refresh(&self, access: &mut Access) -> Result<bool, Stop> {
        let fresh = self.worker.accounts.refreshed(&self.job.workspace_id, self.job.provider, access).await;
        let fresh = fresh.map_err(|error| self.no_connection(&error))?;
        Ok(fresh.map(|fresh| *access = fresh).is_some())
    }

    /// What a call that certainly did nothing means for the job.
    fn after(&self, wording: Wording, error: &ProviderError) -> Stop {
        match error {
            ProviderError::RateLimited(after) => Stop::Wait(self.backoff().max(after.unwrap_or_default())),
            ProviderError::Unreachable(_) | ProviderError::DraftGone if self.job.failures + 1 < TRIES => Stop::TryAgain,
            ProviderError::Unreachable(_) | ProviderError::DraftGone => Stop::Fail(failure(
                JobErrorCode::ProviderUnavailable,
                "The provider could not be reached, or was failing, each time it was tried.",
                true,
                "Retry the job when the provider answers again.",
            )),
            ProviderError::Unauthorized => self.needs_consent("The provider does not accept the account's token."),
            ProviderError::Forbidden(why) => {
                self.needs_consent(&format!("The connection lacks a permission that the provider wants: {why}."))
            }
            ProviderError::Rejected(why) => Stop::Fail(failure(
                JobErrorCode::ProviderRejected,
                &format!("The provider refused {}: {why}.", wording.noun),
                false,
                "Change what the provider objects to, and ask for it as a new action.",
            )),
            ProviderError::AnswerLost(_) | ProviderError::Exists => Stop::Unknown,
        }
    }

    fn wording(&self) -> Wording {
        let action = self.worker.catalogue.find(self.job.action.as_str());
        action.map_or(Wording { noun: "it", ask_recipients: "", look: "Look at the provider" }, |action| {
            action.spec().wording
        })
    }

    fn render(&self, call: &dyn Call, from: Option<Address>) -> Result<Rendered, Stop> {
        let context =
            RenderContext { from, date: Some(self.worker.clock.now()), id: Some(self.job.job_id.to_string()) };
        call.render(&context).map_err(|error| {
            tracing::error!(%error, "the action cannot be rendered");
            Stop::Fail(failure(
                JobErrorCode::Internal,
                "The rendered text does not read back as what was asked for, so nothing was done.",
                false,
                "Change unusual characters, and ask for it as a new action.",
            ))
        })
    }

    /// A call that could not be written down before the lease ends is not begun; the next run gets a lease of its own.
    /// The pause keeps a job whose leases are always too short from running in a tight loop.
    fn leave_time(&self) -> Result<(), Stop> {
        let timeout = SignedDuration::try_from(self.worker.provider_timeout).unwrap_or(SignedDuration::MAX);
        let done_by = self.worker.clock.now().checked_add(timeout + MARGIN);
        if done_by.is_ok_and(|done_by| done_by <= self.until) { Ok(()) } else { Err(Stop::Wait(self.backoff())) }
    }

    async fn complete(&mut self, call: &dyn Call, from: Option<Address>, mut result: Value) -> Result<(), Stop> {
        let sha256 = content_sha256(call, from.as_ref()).ok();
        result["via"] = json!(self.job.via);
        result["from"] = json!(from.map(|from| from.addr_spec()));
        result["content_sha256"] = json!(sha256);
        let (open, sealed) = seal_result(&*self.worker.vault, &self.job, result).await;
        let next = self.job.completed(open, self.worker.clock.now()).map(|mut next| {
            next.sealed_result = sealed;
            next
        });
        self.end(next, JobCount::Completed).await
    }

    /// Ends the job in an error; as unknown, if it may have been carried out.
    pub(super) async fn fail(&mut self, error: JobError) -> Result<(), Stop> {
        if self.maybe_done {
            return self.unknown().await;
        }
        tracing::warn!(job.error = %error.code, "the job ended in an error");
        let next = self.job.failed(error, self.worker.clock.now());
        self.end(next, JobCount::Error).await
    }

    async fn unknown(&mut self) -> Result<(), Stop> {
        tracing::warn!("whether the action was carried out is unknown");
        let Wording { noun, look, .. } = self.wording();
        let error = failure(
            JobErrorCode::OutcomeUnknown,
            &format!("The request was begun and its answer was lost, so {noun} may or may not have gone out."),
            false,
            &format!("{look}, then resolve the job as sent or not_sent."),
        );
        let next = self.job.unknown(error, self.worker.clock.now());
        self.end(next, JobCount::Unknown).await
    }

    async fn wait(
        &mut self,
        pause: Duration,
        release: fn(&Job, Timestamp, Timestamp) -> Result<Job, InvalidTransition>,
    ) -> Result<(), Stop> {
        let now = self.worker.clock.now();
        let pause = pause.min(Duration::from_hours(24));
        let then = now + SignedDuration::try_from(pause).unwrap_or(SignedDuration::ZERO);
        if then > self.job.gives_up_at() {
            return self
                .fail(failure(
                    JobErrorCode::GaveUp,
                    "The job waited for 24 hours.",
                    true,
                    "Retry the job once what it waited for is there.",
                ))
                .await;
        }
        self.write(release(&self.job, then, now)).await?;
        self.worker.jobs.cache(std::slice::from_ref(&self.job)).await;
        self.worker.jobs.enqueue(std::slice::from_ref(&self.job), pause).await;
        Ok(())
    }

    async fn end(&mut self, next: Result<Job, InvalidTransition>, count: JobCount) -> Result<(), Stop> {
        self.write_hard(next).await?;
        let job = &self.job;
        let (provider, action) = (job.provider.as_str(), job.action.as_str());
        record_job(provider, action, count);
        record_job_duration(provider, action, job.duration().unwrap_or_default().unsigned_abs());
        tracing::info!(job.status = job.state.status().as_str(), "the job ended");
        self.worker.jobs.cache(std::slice::from_ref(job)).await;
        Ok(())
    }

    /// Writes the next version, or learns that this worker was overtaken.
    async fn write(&mut self, next: Result<Job, InvalidTransition>) -> Result<(), Stop> {
        let mut next = next.map_err(|invalid| {
            tracing::error!(%invalid, "a step was not allowed");
            Stop::Overtaken
        })?;
        loop {
            if self.worker.jobs.ledger.save(&next).await? == Save::Done {
                self.job = next;
                return Ok(());
            }
            // The sweeper may have touched a job that a worker was slow with. The job is still this
            // worker's as long as nobody has claimed it since.
            let now = self.worker.jobs.ledger.job(next.job_id).await?;
            match now {
                Some(now) if now.is_held_as(&self.job) && now.revision >= next.revision => {
                    next.revision = now.revision + 1;
                }
                _ => return Err(Stop::Overtaken),
            }
        }
    }

    /// The same for an end, which is worth several tries: what is not written down is not known.
    async fn write_hard(&mut self, next: Result<Job, InvalidTransition>) -> Result<(), Stop> {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.write(next.clone()).await {
                Err(Stop::Ledger(error)) if pause < Duration::from_secs(2) => {
                    tracing::warn!(%error, "the job's end is written again");
                    self.worker.clock.sleep(pause).await;
                    pause *= 2;
                }
                other => return other,
            }
        }
    }

    fn count(&self, operation: Operation, error: Option<&ProviderError>) {
        let outcome = match error {
            None => ProviderOutcome::Ok,
            Some(ProviderError::Rejected(_)) => ProviderOutcome::Rejected,
            Some(ProviderError::Unauthorized) => ProviderOutcome::Unauthorized,
            Some(ProviderError::Forbidden(_)) => ProviderOutcome::Forbidden,
            Some(ProviderError::RateLimited(_)) => ProviderOutcome::RateLimited,
            Some(ProviderError::Unreachable(_)) => ProviderOutcome::NotReached,
            Some(ProviderError::DraftGone) => ProviderOutcome::DraftGone,
            Some(ProviderError::Exists) => ProviderOutcome::Exists,
            Some(ProviderError::AnswerLost(_)) => ProviderOutcome::MaybeSent,
        };
        record_provider_request(self.job.provider.as_str(), operation, outcome);
    }

    /// The pause after this try, whatever it failed for.
    fn backoff(&self) -> Duration {
        self.exponential(self.job.attempts.saturating_sub(1))
    }

    /// 1, 2, 4 … 60 s, and as much again by chance at most half of it.
    fn exponential(&self, before: u32) -> Duration {
        let exponent = before.min(6);
        self.jittered(Duration::from_secs(1 << exponent).min(Duration::from_mins(1)))
    }

    fn jittered(&self, pause: Duration) -> Duration {
        pause.mul_f64(1.0 + self.worker.ids.fraction() / 2.0)
    }
}

pub(super) fn failure(code: JobErrorCode, message: &str, retriable: bool, remediation: &str) -> JobError {
    JobError { code, message: message.to_owned(), retriable, remediation: remediation.to_owned() }
}

async fn prepare(call: &dyn Call, rendered: &Rendered, access: Access) -> Result<Evidence, ProviderError> {
    call.prepare(rendered, &access).await
}

async fn perform(
    call: &dyn Call,
    rendered: &Rendered,
    access: Access,
    draft: Option<Evidence>,
) -> Result<Done, ProviderError> {
    call.perform(rendered, &access, draft.as_ref()).await
}

async fn compare(call: &dyn Call, rendered: &Rendered, access: Access) -> Result<Comparison, ProviderError> {
    call.compare(rendered, &access).await
}
