use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{ActionId, ActorHash, JobId, KeyId, PlanId, Provider, WorkspaceId};

/// How many days an entry is kept.
const KEPT_DAYS: i64 = 400;

/// One line of the audit: who asked for what, which rule decided, what came of it. Hashes, never contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The entry's id.
    pub entry_id: Uuid,
    /// Whose it is; none where it is about the whole deployment.
    pub workspace_id: Option<WorkspaceId>,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: AuditEvent,
    /// Who did it.
    pub by: AuditBy,
    /// The API key that it was done with, or to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// Whom it was done for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<ActorHash>,
    /// The rules that said yes; of what was refused, the one that said no.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// The code of the problem, or of the job's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whose service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Which action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionId>,
    /// Which job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Which plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<PlanId>,
    /// The SHA-256 of what was asked: of a job its payload hash, of a plan its prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The SHA-256 of what was sent, as in the job's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_sha256: Option<String>,
    /// What a setting was changed to: a percent, actions, scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl AuditEntry {
    /// An entry that says no more than this.
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
            rules: Vec::new(),
            code: None,
            provider: None,
            action: None,
            job_id: None,
            plan_id: None,
            sha256: None,
            content_sha256: None,
            value: None,
        }
    }

    /// When it is to be erased: 400 days after it happened.
    pub fn expires_at(&self) -> Timestamp {
        self.at.checked_add(SignedDuration::from_hours(24 * KEPT_DAYS)).unwrap_or(Timestamp::MAX)
    }
}

/// An id that the same parts always give: a version 8 UUID of their SHA-256. No part holds a line break.
pub(crate) fn entry_id(parts: &[&str]) -> Uuid {
    let digest = Sha256::digest(parts.join("\n").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

names! {
    /// What the audit tells of.
    AuditEvent {
        /// A prompt was planned.
        PlanMade = "plan.made",
        /// A rule refused a request to plan.
        PlanRefused = "plan.refused",
        /// A rule refused a request to execute.
        ExecuteRefused = "execute.refused",
        /// A job was accepted.
        JobAccepted = "job.accepted",
        /// It went.
        JobCompleted = "job.completed",
        /// It certainly did not go.
        JobFailed = "job.failed",
        /// It may or may not have gone.
        JobUnknown = "job.unknown",
        /// A caller took it back.
        JobCancelled = "job.cancelled",
        /// A caller had it tried again.
        JobRetried = "job.retried",
        /// A rule refused to have it tried again.
        RetryRefused = "job.retry-refused",
        /// A caller said what became of it.
        JobResolved = "job.resolved",
        /// An account was connected.
        ConnectionMade = "connection.made",
        /// An account was disconnected.
        ConnectionRemoved = "connection.removed",
        /// An API key was made.
        KeyCreated = "key.created",
        /// An API key was ended.
        KeyRevoked = "key.revoked",
        /// A share of a rollout was set.
        RolloutChanged = "rollout.changed",
        /// What a workspace may do was set.
        WorkspaceChanged = "workspace.changed",
    }
}

names! {
    /// Who did what the audit tells of.
    AuditBy {
        /// An API key.
        Key = "key",
        /// Somebody on this machine, without a key.
        Keyless = "keyless",
        /// A worker.
        Worker = "worker",
        /// The command line.
        CommandLine = "command-line",
    }
}

/// A rule that says whether something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Rule {
    /// The deployment's allowlist, `ALLOW_ACTIONS_DEFAULT`.
    Deployment,
    /// What the workspace may do.
    Workspace,
    /// What the API key may do, and whether it still is one.
    Key,
    /// The domains that mail may go to, `ALLOW_RECIPIENT_DOMAINS`.
    Recipients,
    /// The rollout gate, with the percent that it went by.
    Rollout(u8),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment => f.write_str("deployment"),
            Self::Workspace => f.write_str("workspace"),
            Self::Key => f.write_str("key"),
            Self::Recipients => f.write_str("recipients"),
            Self::Rollout(percent) => write!(f, "rollout {percent}"),
        }
    }
}

impl FromStr for Rule {
    type Err = crate::InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Deployment, Self::Workspace, Self::Key, Self::Recipients];
        let percent = || text.strip_prefix("rollout ")?.parse().ok().map(Self::Rollout);
        known.into_iter().find(|rule| rule.to_string() == text).or_else(percent).ok_or(crate::InvalidId("not a rule"))
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for Rule {
    type Error = crate::InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_and_lasts_400_days() {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let mut entry =
            AuditEntry::new(entry_id(&["a", "1"]), None, AuditEvent::RolloutChanged, AuditBy::CommandLine, at);
        entry.rules = vec![Rule::Deployment, Rule::Workspace, Rule::Key, Rule::Recipients, Rule::Rollout(25)];
        let text = serde_json::to_string(&entry).unwrap();
        assert!(text.contains(r#""rules":["deployment","workspace","key","recipients","rollout 25"]"#), "{text}");
        assert_eq!(serde_json::from_str::<AuditEntry>(&text).unwrap(), entry);
        assert_eq!(entry.expires_at(), Timestamp::from_second(1_800_000_000 + 400 * 86_400).unwrap());
        assert_ne!(entry_id(&["a", "1"]), entry_id(&["a", "2"]));
    }
}
