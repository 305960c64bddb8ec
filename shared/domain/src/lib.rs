//! The domain: plans, actions, addresses, mails, jobs and their state machine, permissions.
//!
//! Everything here is pure: no async, no I/O, no clock, no randomness. Parsed values are valid, so the rest of the
//! program never checks them again.

mod action;
mod address;
mod approval;
mod attachment;
mod audit;
mod audit_chain;
mod clarification;
mod effect;
mod grounding;
mod hash;
mod html;
mod ids;
mod job;
mod job_error;
mod key;
mod link;
mod mail;
mod permission;
mod placeholder;
mod plan;
mod quotation;
mod send_at;
mod serde_text;
mod unicode;
mod violation;
mod warning;
mod webhook;
mod when;

pub use action::{Provider, Via};
pub use address::{Address, InvalidAddress};
pub use approval::{Because, Decision, RequireApproval, Terms};
pub use attachment::says_attached;
pub use audit::{AuditBy, AuditEntry, AuditEvent, Rule, audit_expires_at};
pub use audit_chain::{AuditHead, AuditLink, AuditVerdict, Tampered, Tampering};
pub use clarification::{
    AnswerValue, Answered, ChoiceOption, Clarification, ClarificationKind, Question, RequestHash, addresses,
};
pub use effect::Effect;
pub use grounding::{Mention, disarmed, doubtful_addresses, in_ascii, mentions};
pub use hash::{ActorHash, ContentHash, PayloadHash, hashed_uuid, payload_hash, sha256, sha256_hex};
pub use html::{Html, asks_for_html, clean_html};
pub use ids::{
    ActionId, ActorId, ClientRequestId, DeliveryId, EndpointId, Intent, InvalidId, JobId, KeyId, KeyName, PlanId,
    WorkspaceId,
};
pub use job::{
    CONTENTS_DAYS, Evidence, InvalidTransition, Job, JobEvent, JobStatus, LONGEST_IN_QUEUE, Lease, NewJob, Outcome,
    State, WaitingFor,
};
pub use job_error::{JobError, JobErrorCode};
pub use key::{ApiKey, KeyRecord};
pub use link::{hosts, known_hosts, shown_host};
pub use mail::{Mail, OneOrMany};
pub use permission::{Allowlist, RecipientDomains, Scope, WorkspaceSettings, in_rollout};
pub use placeholder::placeholders;
pub use plan::{Plan, PlannedAction};
pub use quotation::quotations;
pub use send_at::SendAt;
pub use unicode::{QUOTATION_MARKS, is_hidden, reorders};
pub use violation::{Ask, Violation, pointer_token};
pub use warning::{Warning, WarningCode};
pub use webhook::{
    Delivery, DeliveryFault, DeliveryStatus, Disabled, DisabledBecause, Endpoint, MAX_ENDPOINTS, Notice, WebhookEvent,
};
pub use when::{Doubt, MAX_AHEAD, Moment, NamedTime, When, Why};
