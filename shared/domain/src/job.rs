//! The job's life as a state machine. Every transition makes the next version of the record; the
//! ledger writes it only over the version it was made from, so a worker that was overtaken cannot
//! write, and learns of it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

use crate::{
    ActionId, ActorHash, AuditBy, AuditEntry, AuditEvent, Because, ClientRequestId, ContentHash, Decision, InvalidId,
    JobError, JobErrorCode, JobId, KeyId, PayloadHash, Provider, Rule, Sources, Terms, WorkspaceId,
    hash::{brief, hashed_uuid},
};

/// How many days the record of a job that has ended is kept.
const RECORD_DAYS: i64 = 30;
/// How many days a job's contents are kept after its end.
pub const CONTENTS_DAYS: i64 = 7;
/// A job that has waited this many hours gives up.
const GIVE_UP_AFTER_HOURS: i64 = 24;
/// No queue holds a message for longer: the longest delay of SQS.
pub const LONGEST_IN_QUEUE: SignedDuration = SignedDuration::from_mins(15);
/// How long before the end of a longer wait a sweep has to look at the job, to queue it in time.
const SWEPT_BEFORE: SignedDuration = SignedDuration::from_mins(3);

/// One side effect on record: who asked for what, how far it came, how it ended.
///
/// Its contents are not in here. They lie sealed beside it, under the same id.
///
/// Its JSON has short names, and hashes in base64url, so that it fits one unit of DynamoDB until the job ends. What version
/// 0.1.0 wrote, with the fields' own names and hashes in hex, reads back as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The job's id; nil in JSON without it, until it is derived.
    #[serde(default)]
    pub job_id: JobId,
    /// Whose job it is.
    #[serde(rename = "workspace", alias = "workspace_id")]
    pub workspace_id: WorkspaceId,
    /// Whom it acts for. An actor's id is often an address, so no record of a job holds it.
    #[serde(with = "brief")]
    pub actor: ActorHash,
    /// The API key that asked for it last; none without keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The actor who asked for it last: the one that the credential is bound to, or the credential itself.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "brief::option")]
    pub asked_by: Option<ActorHash>,
    /// The rules that were asked when this version was accepted, or is to be tried again, and said yes. The audit keeps them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_by: Vec<Rule>,
    /// Whose service carries it out.
    pub provider: Provider,
    /// Which action of the catalogue.
    pub action: ActionId,
    /// The caller's idempotency key.
    #[serde(rename = "request", alias = "client_request_id")]
    pub client_request_id: ClientRequestId,
    /// What the key stands for; another payload under it is refused.
    #[serde(rename = "payload", alias = "payload_hash", with = "brief")]
    pub payload_hash: PayloadHash,
    /// Whom it reaches with which content; none where it reaches nobody.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "content",
        alias = "content_hash",
        with = "brief::option"
    )]
    pub content_hash: Option<ContentHash>,
    /// A send ends after its draft. What was accepted so stays so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draft_only: bool,
    /// Sent, or written to the outbox.
    pub via: Via,
    /// The account that was connected when it was accepted, as a connection names it. No other account carries it out.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "brief::option")]
    pub account: Option<String>,
    /// How far it came.
    pub state: State,
    /// Counts versions of this record, from 1.
    pub revision: u64,
    /// Counts claims: a worker with an older fence has been overtaken.
    pub fence: u64,
    /// Who works on it, until when; none when nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// How often a worker took it up since it was accepted or retried.
    pub attempts: u32,
    /// How often in a row a worker that had taken it up was gone without a word.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub crashes: u32,
    /// How often in a row the provider was not reached.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Why it was held, or is; empty if nobody had to approve it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<Because>,
    /// What a person decided about it, if it was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// How each of its recipients came into the plan that held it, in their order; empty for an action that no plan held.
    #[serde(default, skip_serializing_if = "Sources::is_empty")]
    pub sources: Sources,
    /// The time that its caller asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<Timestamp>,
    /// When it was or will be free to go, if not from its acceptance or retry on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_at: Option<Timestamp>,
    /// Not to be taken up before this. A held job expires then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Why it is not to be taken up before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
    /// What the provider gave us to recognise the send by, from before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The result of a completed job, as far as anyone may read it at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The rest of it, sealed: the address that sent, and the provider's ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_result: Option<String>,
    /// Why it ended without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// What the provider said of that, sealed: it may repeat a part of the contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_provider_says: Option<String>,
    /// When it was accepted.
    #[serde(rename = "created", alias = "created_at")]
    pub created_at: Timestamp,
    /// When its caller last asked for another try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_at: Option<Timestamp>,
    /// When a worker first took it up.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "started", alias = "started_at")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "finished", alias = "finished_at")]
    pub finished_at: Option<Timestamp>,
    /// When this version was made.
    #[serde(rename = "touched", alias = "touched_at")]
    pub touched_at: Timestamp,
    /// The W3C `traceparent` of the request that accepted it, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "trace", alias = "traceparent")]
    pub traceparent: Option<String>,
    /// What this version is to be audited as; none when it is one of the steps between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<JobEvent>,
}

/// What happened to a job that the audit tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEvent {
    /// It was accepted.
    Accepted,
    /// A worker ended it.
    Ended,
    /// A caller took it back.
    Cancelled,
    /// A caller had it tried again.
    Retried,
    /// A caller said what became of it.
    Resolved,
    /// A person approved it.
    Approved,
    /// A person rejected it.
    Rejected,
}

/// How far a job came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted; nothing is done before a person approves it.
    Held,
    /// Free to go; nothing was done yet.
    Queued,
    /// A worker has taken it up; nothing has gone to the provider.
    Claimed,
    /// A draft is with the provider; [`Job::evidence`] names it.
    Prepared,
    /// The send was about to begin, and may have happened.
    Sending,
    /// It went.
    Completed,
    /// It certainly did not go.
    Failed,
    /// It may or may not have gone.
    Unknown,
}

/// The status of a job, as callers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = InvalidId, parse_err_fn = unknown_status)]
pub enum JobStatus {
    /// No worker has claimed it.
    Pending,
    /// A worker has claimed it.
    Running,
    /// It went.
    Completed,
    /// It ended with an error.
    Error,
}

impl JobStatus {
    /// The status's name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn unknown_status(_: &str) -> InvalidId {
    InvalidId("a status is pending, running, completed or error")
}

impl State {
    /// Whether the job has come to its end.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Unknown)
    }

    /// What the outside sees.
    pub const fn status(self) -> JobStatus {
        match self {
            Self::Held | Self::Queued => JobStatus::Pending,
            Self::Claimed | Self::Prepared | Self::Sending => JobStatus::Running,
            Self::Completed => JobStatus::Completed,
            Self::Failed | Self::Unknown => JobStatus::Error,
        }
    }
}

/// How a job is carried out. Fixed at acceptance: a job accepted for the outbox is never sent, even if an account is
/// connected later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Written to the outbox.
    Sandbox,
    /// Carried out by the provider.
    Live,
}

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum WaitingFor {
    /// A person approves it.
    Approval,
    /// Its time comes.
    Time,
    /// The provider's rate limit.
    RateLimit,
    /// The provider answers again.
    Provider,
    /// The account is connected again.
    Reauth,
    /// The store with the permissions and rollouts answers again.
    Gate,
}

/// A worker's hold on a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The claim's own random name.
    pub owner: Uuid,
    /// When others may take the job over.
    pub until: Timestamp,
}

/// What a provider gave us before the send, to recognise it by afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The draft's id with the provider.
    pub draft_id: String,
    /// The RFC 5322 Message-ID that the provider gave the draft, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internet_message_id: Option<String>,
}

/// The real outcome of a job whose outcome was unknown, as a person found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was sent.
    Sent,
    /// It was not.
    NotSent,
}

/// A transition that the job's state does not allow; says which state it is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the job is {state:?}, which does not allow this")]
pub struct InvalidTransition {
    /// The state that the job is in.
    pub state: State,
}

/// What a new job is made of.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Whose job it is.
    pub workspace_id: WorkspaceId,
    /// Whom it acts for.
    pub actor: ActorHash,
    /// The API key that asks for it; none without keys.
    pub key_id: Option<KeyId>,
    /// The actor who asks for it.
    pub asked_by: Option<ActorHash>,
    /// The rules that said yes.
    pub allowed_by: Vec<Rule>,
    /// Whose service carries it out.
    pub provider: Provider,
    /// Which action of the catalogue.
    pub action: ActionId,
    /// The caller's idempotency key.
    pub client_request_id: ClientRequestId,
    /// What the key stands for.
    pub payload_hash: PayloadHash,
    /// Whom it reaches with which content.
    pub content_hash: Option<ContentHash>,
    /// A send ends after its draft.
    pub draft_only: bool,
    /// Sent, or written to the outbox.
    pub via: Via,
    /// The account that is connected, as a connection names it.
    pub account: Option<String>,
    /// The time that its caller asks for.
    pub send_at: Option<Timestamp>,
    /// How each of its recipients came into the plan that held it.
    pub sources: Sources,
    /// The W3C `traceparent` of the request.
    pub traceparent: Option<String>,
}

impl Job {
    /// A job that was accepted just now.
    pub fn accepted(new: NewJob, now: Timestamp) -> Self {
        Self {
            job_id: JobId::of(&new.workspace_id, &new.client_request_id),
            workspace_id: new.workspace_id,
            actor: new.actor,
            key_id: new.key_id,
            asked_by: new.asked_by,
            allowed_by: new.allowed_by,
            provider: new.provider,
            action: new.action,
            client_request_id: new.client_request_id,
            payload_hash: new.payload_hash,
            content_hash: new.content_hash,
            draft_only: new.draft_only,
            via: new.via,
            account: new.account,
            state: State::Queued,
            revision: 1,
            fence: 0,
            lease: None,
            attempts: 0,
            crashes: 0,
            failures: 0,
            because: Vec::new(),
            decision: None,
            send_at: new.send_at,
            sources: new.sources,
            free_at: None,
            not_before: None,
            waiting_for: None,
            evidence: None,
            result: None,
            sealed_result: None,
            error: None,
            sealed_provider_says: None,
            created_at: now,
            retried_at: None,
            started_at: None,
            finished_at: None,
            touched_at: now,
            traceparent: new.traceparent,
            event: Some(JobEvent::Accepted),
        }
    }

    /// The same job on these terms: held, or to go later, or at once. For a job that was accepted just now.
    #[must_use]
    pub fn on(self, terms: Terms) -> Self {
        debug_assert!(self.state == State::Queued && self.lease.is_none(), "nobody has worked on it");
        let is_approved = self.decision.as_ref().is_some_and(|decision| decision.approved);
        let Terms { because, expires_at, not_before } = terms;
        let (state, not_before, waiting_for, free_at) = if because.is_empty() || is_approved {
            (State::Queued, not_before, not_before.map(|_| WaitingFor::Time), not_before)
        } else {
            (State::Held, Some(expires_at), Some(WaitingFor::Approval), None)
        };
        Self { state, because, free_at, not_before, waiting_for, ..self }
    }

    /// Whether a worker may take the job up now.
    pub fn is_claimable(&self, now: Timestamp) -> bool {
        self.is_free()
            && self.lease.as_ref().is_none_or(|lease| lease.until <= now)
            && self.not_before.is_none_or(|then| then <= now)
    }

    /// Takes the job up under a new fence. A job that came as far as `Prepared` or `Sending` stays
    /// there: what may have happened is not forgotten.
    pub fn claimed(&self, lease: Lease, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(self.is_claimable(now))?;
        Ok(Self {
            state: if self.state == State::Queued { State::Claimed } else { self.state },
            fence: self.fence + 1,
            crashes: self.crashes + u32::from(self.lease.is_some()),
            lease: Some(lease),
            attempts: self.attempts + 1,
            not_before: None,
            waiting_for: None,
            started_at: self.started_at.or(Some(now)),
            ..self.next(now)
        })
    }

    /// A draft is with the provider.
    pub fn prepared(&self, evidence: Evidence, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must_run()?;
        Ok(Self { state: State::Prepared, evidence: Some(evidence), ..self.next(now) })
    }

    /// The draft is gone, and it certainly did not go by our hand: begin again.
    ///
    /// A job that failed with a draft, and was retried, is `Claimed` and has one.
    pub fn unprepared(&self, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(matches!(self.state, State::Claimed | State::Prepared))?;
        Ok(Self { state: State::Claimed, evidence: None, ..self.next(now) })
    }

    /// The send begins.
    pub fn sending(&self, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must_run()?;
        Ok(Self { state: State::Sending, ..self.next(now) })
    }

    /// The send that began certainly did not happen: back to where it began.
    pub fn not_sent(&self, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(self.state == State::Sending)?;
        let state = if self.evidence.is_some() { State::Prepared } else { State::Claimed };
        Ok(Self { state, ..self.next(now) })
    }

    /// Nobody works on the job until `not_before`; a message will bring it back.
    pub fn lease_released(
        &self,
        not_before: Timestamp,
        waiting_for: Option<WaitingFor>,
        now: Timestamp,
    ) -> Result<Self, InvalidTransition> {
        Ok(Self { not_before: Some(not_before), waiting_for, crashes: 0, failures: 0, ..self.orphaned(now)? })
    }

    /// The same, since the provider was not reached.
    pub fn unreachable(&self, not_before: Timestamp, now: Timestamp) -> Result<Self, InvalidTransition> {
        let failures = self.failures + 1;
        Ok(Self { failures, ..self.lease_released(not_before, Some(WaitingFor::Provider), now)? })
    }

    /// What the job waited for is there: a worker may take it up now.
    pub fn woken(&self, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(self.is_free() && self.not_before.is_some())?;
        Ok(Self { not_before: None, waiting_for: None, ..self.next(now) })
    }

    /// The worker that had taken it up is gone: anybody may take it over now.
    pub fn orphaned(&self, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(self.is_free())?;
        // A draft or a possible send is kept in mind; else the job is as good as new.
        let state = if self.state == State::Claimed { State::Queued } else { self.state };
        let crashes = self.crashes + u32::from(self.lease.is_some());
        Ok(Self { state, crashes, lease: None, not_before: None, waiting_for: None, ..self.next(now) })
    }

    /// It went.
    pub fn completed(&self, result: Value, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must_run()?;
        Ok(Self { result: Some(result), ..self.ended(State::Completed, now) })
    }

    /// It certainly did not go.
    pub fn failed(&self, error: JobError, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(!self.state.has_ended())?;
        Ok(Self { error: Some(error), ..self.ended(State::Failed, now) })
    }

    /// It may or may not have been carried out; the error says so in the action's words.
    pub fn unknown(&self, error: JobError, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(self.state == State::Sending)?;
        Ok(Self { error: Some(error), ..self.ended(State::Unknown, now) })
    }

    /// A person approves or rejects a held job, before it expires. An approved one goes no earlier than `not_before`.
    pub fn decided(&self, decision: Decision, not_before: Option<Timestamp>) -> Result<Self, InvalidTransition> {
        let now = decision.at;
        self.must(self.state == State::Held && self.not_before.is_some_and(|expires| now < expires))?;
        if decision.approved {
            return Ok(Self {
                event: Some(JobEvent::Approved),
                state: State::Queued,
                decision: Some(decision),
                not_before,
                waiting_for: not_before.map(|_| WaitingFor::Time),
                free_at: Some(not_before.unwrap_or(now)),
                ..self.next(now)
            });
        }
        let error = JobError {
            code: JobErrorCode::ApprovalRejected,
            message: "A person rejected the job, so nothing was done.".to_owned(),
            retriable: true,
            remediation: "Change what was asked for, or retry the job to have it decided again.".to_owned(),
        };
        let ended = self.ended(State::Failed, now);
        Ok(Self { event: Some(JobEvent::Rejected), decision: Some(decision), error: Some(error), ..ended })
    }

    /// Nobody decided about a held job in time.
    pub fn expired(&self, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(self.is_held() && self.not_before.is_none_or(|expires| expires <= now))?;
        let error = JobError {
            code: JobErrorCode::ApprovalExpired,
            message: "Nobody approved the job in time, so nothing was done.".to_owned(),
            retriable: true,
            remediation: "Retry the job to have it held again.".to_owned(),
        };
        Ok(Self { error: Some(error), ..self.ended(State::Failed, now) })
    }

    /// Whether it waits for a person's approval.
    pub fn is_held(&self) -> bool {
        self.state == State::Held
    }

    /// The caller takes it back before anybody works on it.
    pub fn cancelled(&self, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(self.state.status() == JobStatus::Pending)?;
        let error = JobError {
            code: JobErrorCode::Cancelled,
            message: "The job was cancelled before it was carried out.".to_owned(),
            retriable: true,
            remediation: "Retry the job if it should be carried out after all.".to_owned(),
        };
        Ok(Self { event: Some(JobEvent::Cancelled), error: Some(error), ..self.ended(State::Failed, now) })
    }

    /// The caller asks for another try of a job that certainly sent nothing. An approval is good for it, unless the job
    /// was cancelled since.
    pub fn retried(&self, terms: Terms, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(self.state == State::Failed)?;
        let was_cancelled = self.error.as_ref().is_some_and(|error| error.code == JobErrorCode::Cancelled);
        let retried = Self {
            event: Some(JobEvent::Retried),
            state: State::Queued,
            decision: self.decision.clone().filter(|decision| decision.approved && !was_cancelled),
            attempts: 0,
            crashes: 0,
            failures: 0,
            error: None,
            sealed_provider_says: None,
            retried_at: Some(now),
            started_at: None,
            finished_at: None,
            ..self.next(now)
        };
        Ok(retried.on(terms))
    }

    /// A person says what became of an unknown outcome.
    pub fn resolved(&self, outcome: Outcome, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(self.state == State::Unknown)?;
        let (state, result, error) = match outcome {
            Outcome::Sent => (State::Completed, Some(serde_json::json!({ "resolved": "sent" })), None),
            Outcome::NotSent => {
                let error = JobError {
                    code: JobErrorCode::NotSent,
                    message: "A person found that it was not carried out.".to_owned(),
                    retriable: true,
                    remediation: "Retry the job to carry it out.".to_owned(),
                };
                (State::Failed, None, Some(error))
            }
        };
        Ok(Self { event: Some(JobEvent::Resolved), result, error, ..self.ended(state, now) })
    }

    /// The same job, whose send ends after its draft from now on: it reaches nobody.
    #[must_use]
    pub fn made_draft_only(self) -> Self {
        Self { draft_only: true, content_hash: None, ..self }
    }

    /// When a job that only waits gives up; a retry starts the 24 hours again.
    pub fn gives_up_at(&self) -> Timestamp {
        self.started_at.unwrap_or(self.created_at) + SignedDuration::from_hours(GIVE_UP_AFTER_HOURS)
    }

    /// Until when it waits, where that is known. Nobody knows when an account is connected again, but the job waits no
    /// longer than until it gives up.
    pub fn waiting_until(&self) -> Option<Timestamp> {
        match self.waiting_for? {
            WaitingFor::Reauth => Some(self.gives_up_at()),
            _ => self.not_before,
        }
    }

    /// When the record, and with it its idempotency key, ends: 30 days after the last change of a job that has
    /// ended. An open job does not end by itself, however long nobody looked at it.
    pub fn record_expires_at(&self) -> Option<Timestamp> {
        self.state.has_ended().then(|| after_days(self.touched_at, RECORD_DAYS))
    }

    /// When its contents are erased: 7 days after it ended.
    pub fn contents_expire_at(&self) -> Option<Timestamp> {
        self.finished_at.filter(|_| self.state.has_ended()).map(|ended| after_days(ended, CONTENTS_DAYS))
    }

    /// Until when the same content to the same people is a duplicate: a day after it went out, or may have. None if it
    /// certainly did not, or has not ended.
    pub fn may_repeat_until(&self) -> Option<Timestamp> {
        let may_be_out = matches!(self.state, State::Completed | State::Unknown) && self.content_hash.is_some();
        self.finished_at.filter(|_| may_be_out).map(|ended| after_days(ended, 1))
    }

    /// Since when its contents are erased; none while they are kept.
    pub fn contents_erased_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.contents_expire_at().filter(|then| *then <= now)
    }

    /// Whether a queue can hold a message from `now` until the job may be taken up.
    pub fn fits_queue(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|then| then.duration_since(now) <= LONGEST_IN_QUEUE)
    }

    /// Whether this version's message was sent. Else its wait is too long for a queue, and a sweep sends it shortly before
    /// the end.
    pub fn is_queued(&self) -> bool {
        self.fits_queue(self.touched_at)
    }

    /// Since when somebody should be looking at the job: its last change, or the end of its wait if that is later, or some
    /// time before if no queue can hold its message.
    pub fn due_at(&self) -> Timestamp {
        match self.not_before {
            Some(then) if !self.is_queued() => then - SWEPT_BEFORE,
            Some(then) => then.max(self.touched_at),
            None => self.touched_at,
        }
    }

    /// No later than [`Job::due_at`], and the same through all steps of a try: the end of its wait, else the time when it
    /// was accepted, or is to be tried again.
    pub fn due_from(&self) -> Timestamp {
        self.not_before.unwrap_or(self.retried_at.unwrap_or(self.created_at)).min(self.due_at())
    }

    /// Since when it waits for its first worker, or for the first after a retry, which may be a time to come; none when one
    /// has claimed it, or it is held, or it has ended.
    pub fn waits_since(&self) -> Option<Timestamp> {
        let unclaimed = self.state == State::Queued && self.started_at.is_none();
        unclaimed.then(|| self.free_at.or(self.retried_at).unwrap_or(self.created_at))
    }

    /// Since when a person has been asked to approve it; none if it is not held.
    pub fn held_since(&self) -> Option<Timestamp> {
        self.is_held().then(|| self.retried_at.unwrap_or(self.created_at))
    }

    /// Whether this version is in the same hands, and came as far, as an earlier one.
    pub fn is_held_as(&self, earlier: &Self) -> bool {
        (self.state, self.fence, &self.lease) == (earlier.state, earlier.fence, &earlier.lease)
    }

    /// The sweeper has sent the job's message again.
    pub fn nudged(&self, now: Timestamp) -> Result<Self, InvalidTransition> {
        self.must(!self.state.has_ended())?;
        Ok(self.next(now))
    }

    /// What the audit is told of this version: the ledger writes it in the same transaction. The same version
    /// always gives the same entry.
    pub fn audit(&self) -> Option<AuditEntry> {
        let event = match (self.event?, self.state) {
            (JobEvent::Accepted, _) => AuditEvent::JobAccepted,
            (JobEvent::Cancelled, _) => AuditEvent::JobCancelled,
            (JobEvent::Retried, _) => AuditEvent::JobRetried,
            (JobEvent::Resolved, _) => AuditEvent::JobResolved,
            (JobEvent::Approved, _) => AuditEvent::JobApproved,
            (JobEvent::Rejected, _) => AuditEvent::JobRejected,
            (JobEvent::Ended, State::Completed) => AuditEvent::JobCompleted,
            (JobEvent::Ended, State::Unknown) => AuditEvent::JobUnknown,
            (JobEvent::Ended, _) => AuditEvent::JobFailed,
        };
        let decision = self.decision.as_ref().filter(|_| event.is_decision());
        let (key_id, by_actor) = match decision {
            Some(decision) => (&decision.key_id, Some(&decision.by)),
            None => (&self.key_id, self.asked_by.as_ref()),
        };
        let by = match key_id {
            _ if self.event == Some(JobEvent::Ended) => AuditBy::Worker,
            Some(_) => AuditBy::Key,
            None => AuditBy::Keyless,
        };
        let was_checked = matches!(event, AuditEvent::JobAccepted | AuditEvent::JobRetried);
        let content = self.result.as_ref().and_then(|result| result["content_sha256"].as_str());
        // Of one key there may be a later job, when the record of an earlier one has expired.
        let id = hashed_uuid(format!("{}\n{}\n{}", self.job_id, self.created_at, self.revision).as_bytes());
        Some(AuditEntry {
            key_id: key_id.clone(),
            actor: Some(self.actor.clone()),
            by_actor: by_actor.cloned().filter(|_| by != AuditBy::Worker),
            rules: if was_checked { self.allowed_by.clone() } else { Vec::new() },
            code: self.error.as_ref().map(|error| error.code.to_string()),
            provider: Some(self.provider),
            action: Some(self.action.clone()),
            job_id: Some(self.job_id),
            sha256: Some(self.payload_hash.as_str().to_owned()),
            content_sha256: content.map(ToOwned::to_owned),
            value: self.told(was_checked),
            ..AuditEntry::new(id, Some(self.workspace_id.clone()), event, by, self.touched_at)
        })
    }

    /// What the audit is told beside the rules: that it is held, and why, and that it ends after its draft.
    fn told(&self, was_checked: bool) -> Option<String> {
        let names: Vec<&str> = self.because.iter().map(|reason| reason.as_str()).collect();
        let held = (was_checked && self.is_held()).then(|| format!("held: {}", names.join(", ")));
        let told: Vec<String> = held.into_iter().chain(self.draft_only.then(|| "draft-only".to_owned())).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// How long the work took, from the first claim to the end.
    pub fn duration(&self) -> Option<SignedDuration> {
        Some(self.finished_at?.duration_since(self.started_at?))
    }

    /// Whether it is open, and nobody has to approve it first.
    fn is_free(&self) -> bool {
        !self.state.has_ended() && !self.is_held()
    }

    fn must(&self, allowed: bool) -> Result<(), InvalidTransition> {
        if allowed { Ok(()) } else { Err(InvalidTransition { state: self.state }) }
    }

    fn must_run(&self) -> Result<(), InvalidTransition> {
        self.must(self.state.status() == JobStatus::Running)
    }

    fn next(&self, now: Timestamp) -> Self {
        Self { revision: self.revision + 1, touched_at: now, event: None, allowed_by: Vec::new(), ..self.clone() }
    }

    fn ended(&self, state: State, now: Timestamp) -> Self {
        Self {
            event: Some(JobEvent::Ended),
            state,
            lease: None,
            not_before: None,
            waiting_for: None,
            sealed_provider_says: None,
            finished_at: Some(now),
            ..self.next(now)
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn after_days(time: Timestamp, days: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
