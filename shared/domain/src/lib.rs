//! The domain: plans, actions, addresses, mails, jobs and their state machine, permissions.
//!
//! Everything here is pure: no async, no I/O, no clock, no randomness. Parsed values are valid, so the rest of the
//! program never checks them again.

mod address;
mod approval;
mod attachment;
mod audit;
mod audit_chain;
mod clarification;
mod effect;
mod event;
mod grounding;
mod hash;
mod html;
mod ids;
mod job;
mod job_error;
mod key;
mod link;
mod lookup;
mod mail;
mod name;
mod permission;
mod placeholder;
mod plan;
mod provider;
mod quotation;
mod reader;
mod send_at;
mod serde_text;
mod unicode;
mod violation;
mod wall_time;
mod warning;
mod webhook;
mod when;

pub use address::{Address, InvalidAddress};
pub use approval::{Because, Decision, DerivedRecipients, RequireApproval, Terms};
pub use attachment::says_attached;
pub use audit::{AuditBy, AuditEntry, AuditEvent, Rule, audit_expires_at};
pub use audit_chain::{AuditHead, AuditLink, AuditVerdict, Tampered, Tampering};
pub use clarification::{
    AnswerValue, Answered, ChoiceOption, Clarification, ClarificationKind, Question, RequestHash, addresses,
};
pub use effect::Effect;
pub use event::{Event, EventTime, Notify};
pub use grounding::{Mention, disarmed, doubtful_addresses, in_ascii, mentions};
pub use hash::{ActorHash, ContentHash, PayloadHash, hashed_uuid, payload_hash, sha256, sha256_hex};
pub use html::{Html, asks_for_html, clean_html};
pub use ids::{
    ActionId, ActorId, ClientRequestId, DeliveryId, EndpointId, Intent, InvalidId, JobId, KeyId, KeyName, LookupId,
    PlanId, WorkspaceId,
};
pub use job::{
    CONTENTS_DAYS, Evidence, InvalidTransition, Job, JobEvent, JobStatus, LONGEST_IN_QUEUE, Lease, NewJob, Outcome,
    State, Via, WaitingFor,
};
pub use job_error::{JobError, JobErrorCode};
pub use key::{ApiKey, KeyRecord};
pub use link::{hosts, known_hosts, shown_host};
pub use lookup::{ClockTime, Find, FindKind, Lookup, Part, Reference};
pub use mail::{InvalidMessageId, Mail, MessageId, OneOrMany};
pub use name::{is_part_of_name, is_same_name, places_of_name};
pub use permission::{Allowlist, RecipientDomains, Scope, WorkspaceSettings, in_rollout};
pub use placeholder::placeholders;
pub use plan::{Plan, PlanStatus, PlannedAction, Recipient, Source, Sources};
pub use provider::Provider;
pub use quotation::quotations;
pub use send_at::SendAt;
pub use unicode::{QUOTATION_MARKS, deceives, is_hidden, reorders};
pub use violation::{Ask, Violation, pointer_token};
pub use wall_time::{InvalidWallTime, WallTime};
pub use warning::{Warning, WarningCode};
pub use webhook::{
    Delivery, DeliveryFault, DeliveryStatus, Disabled, DisabledBecause, Endpoint, MAX_ENDPOINTS, Notice, WebhookEvent,
};
pub use when::{Doubt, MAX_AHEAD, Moment, NamedTime, When, Why};
