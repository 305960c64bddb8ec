//! The audit log.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};
use uuid::Uuid;

use crate::{
    ActionId, ActorHash, AuditLink, InvalidId, JobId, KeyId, PlanId, Provider, WorkspaceId, serde_text::serde_as_text,
};

/// Retention of an entry, in days.
const KEPT_DAYS: i64 = 400;

/// An entry of the audit log: who asked for what, which rule decided, and the result. It has hashes, never contents.
///
/// A ledger stores an entry with its [`AuditLink`], which makes it a part of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The entry's id.
    pub entry_id: Uuid,
    /// The workspace; none for an event of the whole deployment.
    pub workspace_id: Option<WorkspaceId>,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: AuditEvent,
    /// The author.
    pub by: AuditBy,
    /// The API key that was used, or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The actor whom it is for: that of the request or of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<ActorHash>,
    /// The actor who asked for it: the one that the credential is bound to, or the credential itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_actor: Option<ActorHash>,
    /// The rules that allowed it, or the rule that refused it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// The code of the problem or of the job's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// The action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionId>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// The plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<PlanId>,
    /// The SHA-256 of the request: the payload hash of a job, the hash of a plan's prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The SHA-256 of the sent content, as in the job's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_sha256: Option<String>,
    /// The new value of a setting: a percent, actions, scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its place in a chain; none in an entry from before there were chains.
    #[serde(flatten)]
    pub link: Option<AuditLink>,
}

impl AuditEntry {
    /// An entry without optional fields.
    pub const fn new(
        entry_id: Uuid,
        workspace_id: Option<WorkspaceId>,
        event: AuditEvent,
        by: AuditBy,
        at: Timestamp,
    ) -> Self {
        Self {
            entry_id,
            workspace_id,
            at,
            event,
            by,
            key_id: None,
            actor: None,
            by_actor: None,
            rules: Vec::new(),
            code: None,
            provider: None,
            action: None,
            job_id: None,
            plan_id: None,
            sha256: None,
            content_sha256: None,
            value: None,
            link: None,
        }
    }

    /// When the entry expires: 400 days after the event.
    pub fn expires_at(&self) -> Timestamp {
        audit_expires_at(self.at)
    }
}

/// When an entry about this time expires: 400 days later.
pub fn audit_expires_at(at: Timestamp) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(24 * KEPT_DAYS)).unwrap_or(Timestamp::MAX)
}

/// The event of an audit entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr)]
pub enum AuditEvent {
    /// A plan was made.
    #[strum(serialize = "plan.made")]
    PlanMade,
    /// A rule refused a plan request.
    #[strum(serialize = "plan.refused")]
    PlanRefused,
    /// An account was read for a plan's lookups.
    #[strum(serialize = "account.read")]
    AccountRead,
    /// A rule refused an execute request.
    #[strum(serialize = "execute.refused")]
    ExecuteRefused,
    /// A request was refused for its credential or the credential's scopes.
    #[strum(serialize = "request.refused")]
    RequestRefused,
    /// A job was accepted.
    #[strum(serialize = "job.accepted")]
    JobAccepted,
    /// A job completed.
    #[strum(serialize = "job.completed")]
    JobCompleted,
    /// A job failed, without any effect.
    #[strum(serialize = "job.failed")]
    JobFailed,
    /// A job ended with an unknown outcome.
    #[strum(serialize = "job.unknown")]
    JobUnknown,
    /// A rule refused to cancel a job.
    #[strum(serialize = "job.cancel-refused")]
    CancelRefused,
    /// A caller cancelled a job.
    #[strum(serialize = "job.cancelled")]
    JobCancelled,
    /// A caller retried a job.
    #[strum(serialize = "job.retried")]
    JobRetried,
    /// A rule refused a retry.
    #[strum(serialize = "job.retry-refused")]
    RetryRefused,
    /// A rule refused to resolve an unknown outcome.
    #[strum(serialize = "job.resolve-refused")]
    ResolveRefused,
    /// A caller resolved an unknown outcome.
    #[strum(serialize = "job.resolved")]
    JobResolved,
    /// A person approved a held job.
    #[strum(serialize = "job.approved")]
    JobApproved,
    /// A person rejected a held job.
    #[strum(serialize = "job.rejected")]
    JobRejected,
    /// A rule refused to approve or reject a held job.
    #[strum(serialize = "job.decide-refused")]
    DecideRefused,
    /// An account was connected.
    #[strum(serialize = "connection.made")]
    ConnectionMade,
    /// An account was disconnected.
    #[strum(serialize = "connection.removed")]
    ConnectionRemoved,
    /// A webhook endpoint was added.
    #[strum(serialize = "webhook.added")]
    WebhookAdded,
    /// A webhook endpoint was removed.
    #[strum(serialize = "webhook.removed")]
    WebhookRemoved,
    /// The secret of a webhook endpoint was replaced.
    #[strum(serialize = "webhook.rotated")]
    WebhookRotated,
    /// A webhook endpoint answered 410 or failed for three days, so nothing is delivered to it.
    #[strum(serialize = "webhook.disabled")]
    WebhookDisabled,
    /// A test reached a webhook endpoint that had been disabled, so it gets events again.
    #[strum(serialize = "webhook.enabled")]
    WebhookEnabled,
    /// An API key was created.
    #[strum(serialize = "key.created")]
    KeyCreated,
    /// An API key was revoked.
    #[strum(serialize = "key.revoked")]
    KeyRevoked,
    /// The percent of a rollout was set.
    #[strum(serialize = "rollout.changed")]
    RolloutChanged,
    /// The settings of a workspace were changed.
    #[strum(serialize = "workspace.changed")]
    WorkspaceChanged,
}

impl AuditEvent {
    /// Whether a person decided about a held job.
    pub const fn is_decision(self) -> bool {
        matches!(self, Self::JobApproved | Self::JobRejected)
    }
}

/// The author of an audited event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum AuditBy {
    /// An API key.
    Key,
    /// A request without an API key: in keyless mode, or by an access token, whose actor the entry names.
    Keyless,
    /// A worker.
    Worker,
    /// The command line.
    CommandLine,
}

serde_as_text!(AuditEvent, AuditBy, Rule);

/// A rule that allows or refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display)]
#[strum(serialize_all = "snake_case")]
pub enum Rule {
    /// The deployment's allowlist, `ALLOW_ACTIONS_DEFAULT`.
    Deployment,
    /// The actions of the workspace.
    Workspace,
    /// The actions of the API key, and whether the key is valid.
    Key,
    /// The domains that may receive mail, `ALLOW_RECIPIENT_DOMAINS`.
    Recipients,
    /// Another person than the one who asked has to approve, `SECOND_PERSON`.
    SecondPerson,
    /// The rollout gate, with its percent at the time.
    #[strum(to_string = "rollout {0}")]
    Rollout(u8),
}

impl FromStr for Rule {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Deployment, Self::Workspace, Self::Key, Self::Recipients, Self::SecondPerson];
        let percent = || text.strip_prefix("rollout ")?.parse().ok().map(Self::Rollout);
        known.into_iter().find(|rule| rule.to_string() == text).or_else(percent).ok_or(InvalidId("not a rule"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_and_lasts_400_days() {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let mut entry = AuditEntry::new(Uuid::nil(), None, AuditEvent::RolloutChanged, AuditBy::CommandLine, at);
        entry.rules =
            vec![Rule::Deployment, Rule::Workspace, Rule::Key, Rule::Recipients, Rule::SecondPerson, Rule::Rollout(25)];
        let text = serde_json::to_string(&entry).unwrap();
        assert!(
            text.contains(r#""rules":["deployment","workspace","key","recipients","second_person","rollout 25"]"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<AuditEntry>(&text).unwrap(), entry);
        assert_eq!(entry.expires_at(), Timestamp::from_second(1_800_000_000 + 400 * 86_400).unwrap());
    }
}
