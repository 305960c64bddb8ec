//! A job in a worker's hands, from the claim to its end.
//!
//! Every step is written before the next is taken, over the version that this worker wrote last;
//! when the ledger holds another one, this worker was overtaken and stops where it is.

use std::time::Duration;

use domain::{CONTENTS_DAYS, Evidence, InvalidTransition, Job, JobError, JobErrorCode, Via};
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
    labels,
    ports::{
        Access, Call, Contents, LedgerError, OutboxEntry, Purpose, Rendered, Save, SendError, Sent, Stamp, VaultError,
    },
    preview::content_sha256,
};

/// How often in a row a provider that cannot be reached is tried.
const TRIES: u32 = 6;
/// Time to write down what came of a send, beside the send's own time-out.
const MARGIN: SignedDuration = SignedDuration::from_secs(3);

/// Why a run stopped short of an end.
pub(super) enum Stop {
    /// Another worker has the job.
    Overtaken,
    /// The ledger does not answer; the lease ends by itself.
    Ledger(LedgerError),
    /// The job is to wait, and a message for then is sent.
    Wait(Duration),
    /// The same, since the provider was not reached.
    TryAgain,
    /// The job ends in an error; or as unknown, if it may have been sent.
    Fail(JobError),
    /// It may or may not have been sent, and nothing can find out.
    Unknown,
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// A job in this worker's hands.
pub(super) struct Run<'a> {
    pub(super) worker: &'a Worker,
    /// As it was written last.
    pub(super) job: Job,
    /// What it is to do, sealed; none when it is erased.
    pub(super) contents: Option<Contents>,
    /// It may have been sent by an earlier run.
    pub(super) maybe_sent: bool,
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
        // Sent without a draft, and the answer is lost: whatever else is true now, only a person can tell.
        if self.maybe_sent && self.job.evidence.is_none() {
            return Err(Stop::Unknown);
        }
        let call = self.call().await?;
        self.gates(&*call).await?;
        if self.job.via == Via::Sandbox {
            let known = self.worker.accounts.known(&self.job.workspace_id, self.job.provider).await;
            let known = known.map_err(|error| self.no_connection(&error))?;
            return self.write_to_outbox(&*call, known.address().cloned()).await;
        }
        let connection = self.worker.accounts.ready(&self.job.workspace_id, self.job.provider).await;
        match connection.map_err(|error| self.no_connection(&error))? {
            Connection::Live(access) if access.account == self.job.account => self.send(&*call, access).await,
            Connection::NeedsReauth(access) if access.account == self.job.account => {
                Err(self.needs_consent("The provider wants the consent of the account's owner again."))
            }
            Connection::Live(_) | Connection::NeedsReauth(_) => Err(Stop::Fail(failure(
                JobErrorCode::ConnectionRequired,
                "Another account is connected than the one that the job was accepted for.",
                true,
                "Send it as a new action from the account that is connected, or connect the other one and retry the job.",
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
                    &format!("{} anew, then retry the job.", self.worker.how_to_connect(self.job.provider)),
                ))
            }
        }
    }

    fn needs_consent(&self, message: &str) -> Stop {
        let remediation = format!("{} again, then retry the job.", self.worker.how_to_connect(self.job.provider));
        Stop::Fail(failure(JobErrorCode::ReauthRequired, message, true, &remediation))
    }

    /// Opens and parses what the job is to do.
    async fn call(&self) -> Result<Box<dyn Call>, Stop> {
        let ours = |why: &str| {
            tracing::error!(why, "the job cannot be carried out");
            Stop::Fail(failure(
                JobErrorCode::Internal,
                "The job's contents cannot be read.",
                false,
                "Send the action again with a fresh client_request_id.",
            ))
        };
        let contents = self.contents.as_ref().ok_or_else(|| ours("no contents"))?;
        let id = self.job.job_id.to_string();
        let text = self.worker.vault.open(&self.job.workspace_id, Purpose::JobParams, &id, &contents.0).await;
        let text = match text {
            Ok(text) => text,
            Err(VaultError::Unavailable(cause)) => return Err(Stop::Ledger(LedgerError::new(cause))),
            Err(error) => return Err(ours(&error.to_string())),
        };
        let params: Value = serde_json::from_slice(&text).map_err(|error| ours(&error.to_string()))?;
        let provider = self.job.provider.as_str();
        let parsed = self.worker.catalogue.parse(Some(provider), self.job.action.as_str(), &params);
        parsed.map(|(_, call)| call).map_err(|problem| ours(problem.code.as_str()))
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

    async fn write_to_outbox(&mut self, call: &dyn Call, from: Option<domain::Address>) -> Result<(), Stop> {
        let rendered = self.render(call, from.clone())?;
        let now = self.worker.clock.now();
        let mail = json!({
            "provider": self.job.provider,
            "action": self.job.action,
            "from": from,
            "params": call.params(),
            "content_type": rendered.content_type,
            "body": rendered.body,
        });
        let id = self.job.job_id.to_string();
        let sealed =
            self.worker.vault.seal(&self.job.workspace_id, Purpose::Outbox, &id, mail.to_string().as_bytes()).await;
        let sealed = sealed.map_err(|error| Stop::Ledger(LedgerError::new(error)))?;
        let entry = OutboxEntry {
            job_id: self.job.job_id,
            workspace: self.job.workspace_id.clone(),
            written_at: now,
            sealed,
            expires_at: now + SignedDuration::from_hours(24 * CONTENTS_DAYS),
        };
        // Once per job, so that a run that died after this line is repeated without a second mail.
        self.worker.outbox.put_outbox(&entry).await?;
        self.complete(call, from, json!({ "outbox": true })).await
    }

    async fn send(&mut self, call: &dyn Call, mut access: Access) -> Result<(), Stop> {
        let action = self.worker.catalogue.find(self.job.action.as_str());
        let scopes = action.expect("a parsed call is in the catalogue").about().scopes;
        let by_draft = access.grants(scopes.draft);
        if self.job.evidence.is_some() && !by_draft {
            if self.maybe_sent {
                return Err(Stop::Unknown);
            }
            self.write(self.job.unprepared(self.worker.clock.now())).await?;
        }
        let rendered = self.render(call, access.address.clone())?;
        // A draft that a person deleted is made anew, once.
        for anew in [true, false] {
            let draft = if by_draft { Some(self.draft(call, &rendered, &mut access).await?) } else { None };
            self.leave_time()?;
            self.write(self.job.sending(self.worker.clock.now())).await?;
            let delivered = match self.deliver(call, &rendered, &mut access, draft.as_ref()).await {
                Ok(delivered) => delivered,
                Err(stop) => {
                    self.take_back_mark().await?;
                    return Err(stop);
                }
            };
            match delivered {
                Ok(sent) => {
                    let mut result = sent.details;
                    if sent.presumed {
                        result["presumed"] = json!(true);
                    }
                    return self.complete(call, access.address, result).await;
                }
                Err(SendError::DraftGone) if self.maybe_sent => {
                    let evidence = draft.expect("only a draft can be gone");
                    let result = json!({
                        "presumed": true,
                        "draft_id": evidence.draft_id,
                        "internet_message_id": evidence.internet_message_id,
                    });
                    return self.complete(call, access.address, result).await;
                }
                Err(SendError::DraftGone) if anew => {
                    self.write(self.job.not_sent(self.worker.clock.now())).await?;
                    self.write(self.job.unprepared(self.worker.clock.now())).await?;
                }
                Err(SendError::MaybeSent(why)) => {
                    tracing::warn!(why, "the answer to a send was lost");
                    self.maybe_sent = true;
                    // The same draft is sent again: if it is gone, it went.
                    return Err(if by_draft { Stop::Wait(self.backoff()) } else { Stop::Unknown });
                }
                Err(error) => {
                    self.take_back_mark().await?;
                    return Err(self.after(&error));
                }
            }
        }
        Err(self.after(&SendError::DraftGone))
    }

    /// This run has certainly sent nothing; an earlier one may have.
    async fn take_back_mark(&mut self) -> Result<(), Stop> {
        if self.maybe_sent {
            return Ok(());
        }
        self.write(self.job.not_sent(self.worker.clock.now())).await
    }

    /// The job's draft, made if it is not there yet.
    async fn draft(&mut self, call: &dyn Call, rendered: &Rendered, access: &mut Access) -> Result<Evidence, Stop> {
        if let Some(evidence) = &self.job.evidence {
            return Ok(evidence.clone());
        }
        self.leave_time()?;
        let mut made = call.prepare(rendered, access).await;
        self.count(Operation::Prepare, made.as_ref().err());
        if made == Err(SendError::Unauthorized) && self.refresh(access).await? {
            self.leave_time()?;
            made = call.prepare(rendered, access).await;
            self.count(Operation::Prepare, made.as_ref().err());
        }
        let evidence = made.map_err(|error| self.after(&error))?;
        self.write(self.job.prepared(evidence.clone(), self.worker.clock.now())).await?;
        Ok(evidence)
    }

    /// One request to send, or two if the provider refuses the first one's token, which sends
    /// nothing. Stops where nothing was sent and no request can be begun.
    async fn deliver(
        &self,
        call: &dyn Call,
        rendered: &Rendered,
        access: &mut Access,
        draft: Option<&Evidence>,
    ) -> Result<Result<Sent, SendError>, Stop> {
        // Here and below: the mark or the token may have taken long.
        self.leave_time()?;
        let sent = call.send(rendered, access, draft).await;
        self.count(Operation::Send, sent.as_ref().err());
        if !matches!(sent, Err(SendError::Unauthorized)) || !self.refresh(access).await? {
            return Ok(sent);
        }
        self.leave_time()?;
        let sent = call.send(rendered, access, draft).await;
        self.count(Operation::Send, sent.as_ref().err());
        Ok(sent)
    }

    async fn refresh(&self, access: &mut Access) -> Result<bool, Stop> {
        let fresh = self.worker.accounts.refreshed(&self.job.workspace_id, self.job.provider, access).await;
        let fresh = fresh.map_err(|error| self.no_connection(&error))?;
        Ok(fresh.map(|fresh| *access = fresh).is_some())
    }

    /// What a request that certainly sent nothing means for the job.
    fn after(&self, error: &SendError) -> Stop {
        match error {
            SendError::RateLimited(after) => Stop::Wait(self.backoff().max(after.unwrap_or_default())),
            SendError::NotReached(_) | SendError::DraftGone if self.job.failures + 1 < TRIES => Stop::TryAgain,
            SendError::NotReached(_) | SendError::DraftGone => Stop::Fail(failure(
                JobErrorCode::ProviderUnavailable,
                "The provider could not be reached, or was failing, each time it was tried.",
                true,
                "Retry the job when the provider answers again.",
            )),
            SendError::Unauthorized => self.needs_consent("The provider does not take the account's token."),
            SendError::Forbidden(why) => {
                self.needs_consent(&format!("The connection lacks a permission that the provider wants: {why}."))
            }
            SendError::Rejected(why) => Stop::Fail(failure(
                JobErrorCode::ProviderRejected,
                &format!("The provider refused the mail: {why}."),
                false,
                "Change what the provider objects to, and send it as a new action.",
            )),
            SendError::MaybeSent(_) => Stop::Unknown,
        }
    }

    fn render(&self, call: &dyn Call, from: Option<domain::Address>) -> Result<Rendered, Stop> {
        let stamp = Stamp { from, date: Some(self.worker.clock.now()), id: Some(self.job.job_id.to_string()) };
        call.render(&stamp).map_err(|error| {
            tracing::error!(%error, "the mail cannot be rendered");
            Stop::Fail(failure(
                JobErrorCode::Internal,
                "The rendered mail does not read back as what was asked for, so it was not sent.",
                false,
                "Change the mail's unusual characters, and send it as a new action.",
            ))
        })
    }

    /// A send that could not be written down before the lease ends is not begun; the next run gets
    /// a lease of its own. The pause keeps leases that are always too short from turning in a circle.
    fn leave_time(&self) -> Result<(), Stop> {
        let timeout = SignedDuration::try_from(self.worker.provider_timeout).unwrap_or(SignedDuration::MAX);
        let done_by = self.worker.clock.now().checked_add(timeout + MARGIN);
        if done_by.is_ok_and(|done_by| done_by <= self.until) { Ok(()) } else { Err(Stop::Wait(self.backoff())) }
    }

    async fn complete(
        &mut self,
        call: &dyn Call,
        from: Option<domain::Address>,
        mut result: Value,
    ) -> Result<(), Stop> {
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

    /// Ends the job in an error; as unknown, if it may have been sent.
    pub(super) async fn fail(&mut self, error: JobError) -> Result<(), Stop> {
        if self.maybe_sent {
            return self.unknown().await;
        }
        tracing::warn!(job.error = %error.code, "the job ended in an error");
        let next = self.job.failed(error, self.worker.clock.now());
        self.end(next, JobCount::Error).await
    }

    async fn unknown(&mut self) -> Result<(), Stop> {
        tracing::warn!("whether the mail was sent is unknown");
        let next = self.job.unknown(self.worker.clock.now());
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
        let (provider, action) = (labels::provider(job.provider), labels::action(&job.action));
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

    fn count(&self, operation: Operation, error: Option<&SendError>) {
        let outcome = match error {
            None => ProviderOutcome::Ok,
            Some(SendError::Rejected(_)) => ProviderOutcome::Rejected,
            Some(SendError::Unauthorized) => ProviderOutcome::Unauthorized,
            Some(SendError::Forbidden(_)) => ProviderOutcome::Forbidden,
            Some(SendError::RateLimited(_)) => ProviderOutcome::RateLimited,
            Some(SendError::NotReached(_)) => ProviderOutcome::NotReached,
            Some(SendError::DraftGone) => ProviderOutcome::DraftGone,
            Some(SendError::MaybeSent(_)) => ProviderOutcome::MaybeSent,
        };
        record_provider_request(labels::provider(self.job.provider), operation, outcome);
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
