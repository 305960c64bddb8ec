//! Webhooks: what happened, the endpoints that want to know, and each delivery's life.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strum::{Display, EnumString, IntoStaticStr};
use uuid::Uuid;

use crate::{
    ActionId, ActorHash, Allowlist, DeliveryId, EndpointId, InvalidId, Job, Provider, State, WaitingFor, WorkspaceId,
    hashed_uuid, serde_text::serde_as_text,
};

/// The most endpoints of a workspace.
pub const MAX_ENDPOINTS: usize = 10;
/// For how long a delivery is tried.
const TRIED_FOR: SignedDuration = SignedDuration::from_hours(72);
/// Pauses after the first failures, in seconds; the last one stays.
const PAUSES: [i32; 7] = [10, 60, 300, 900, 3600, 3 * 3600, 6 * 3600];
/// How many days the record of a delivery that has ended is kept, as that of a job.
const RECORD_DAYS: i64 = 30;

/// What an endpoint is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString, IntoStaticStr)]
#[strum(parse_err_ty = InvalidId, parse_err_fn = unknown_event)]
pub enum WebhookEvent {
    /// A job waits for an approval.
    #[strum(serialize = "job.held")]
    JobHeld,
    /// A job was carried out.
    #[strum(serialize = "job.completed")]
    JobCompleted,
    /// A job ended, and certainly did nothing.
    #[strum(serialize = "job.failed")]
    JobFailed,
    /// A job ended, and nobody knows whether it was carried out.
    #[strum(serialize = "job.unknown")]
    JobUnknown,
    /// A connected account needs its owner's consent again.
    #[strum(serialize = "connection.reauth_required")]
    ReauthRequired,
    /// Somebody tests the endpoint. Nobody subscribes to it.
    #[strum(serialize = "webhook.test")]
    Test,
}

serde_as_text!(WebhookEvent);

impl WebhookEvent {
    /// The event's name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn unknown_event(_: &str) -> InvalidId {
    InvalidId("an event is one of job.held, job.completed, job.failed, job.unknown, connection.reauth_required")
}

/// Something happened that endpoints are told of: ids and codes, never contents.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Whose it is.
    pub workspace_id: WorkspaceId,
    /// What happened.
    pub event: WebhookEvent,
    /// When.
    pub at: Timestamp,
    /// Tells this event from all others; the same write always has the same.
    pub id: Uuid,
    /// For whom a job was; none of a connection.
    pub actor: Option<ActorHash>,
    /// The job's action.
    pub action: Option<ActionId>,
    /// The `data` of the body.
    pub data: Value,
}

impl Notice {
    /// What endpoints are told of this version of a job; none when it is one of the steps between.
    pub fn of_job(job: &Job) -> Option<Self> {
        job.event?;
        let event = match job.state {
            State::Completed => WebhookEvent::JobCompleted,
            State::Failed => WebhookEvent::JobFailed,
            State::Unknown => WebhookEvent::JobUnknown,
            _ if job.waiting_for == Some(WaitingFor::Approval) => WebhookEvent::JobHeld,
            _ => return None,
        };
        let data = json!({
            "workspace_id": job.workspace_id,
            "job_id": job.job_id,
            "client_request_id": job.client_request_id,
            "provider": job.provider,
            "action": job.action,
            "status": job.state.status(),
            "code": job.error.as_ref().map(|error| error.code),
        });
        Some(Self {
            workspace_id: job.workspace_id.clone(),
            event,
            at: job.touched_at,
            // Of one key there may be a later job, when the record of an earlier one has expired.
            id: hashed_uuid(format!("webhook\n{}\n{}\n{}", job.job_id, job.created_at, job.revision).as_bytes()),
            actor: Some(job.actor.clone()),
            action: Some(job.action.clone()),
            data,
        })
    }

    /// An account needs its owner's consent again, as the connection of this version says.
    pub fn of_connection(workspace: &WorkspaceId, provider: Provider, version: Uuid, now: Timestamp) -> Self {
        Self {
            workspace_id: workspace.clone(),
            event: WebhookEvent::ReauthRequired,
            at: now,
            id: hashed_uuid(format!("webhook\n{version}").as_bytes()),
            actor: None,
            action: None,
            data: json!({ "workspace_id": workspace, "provider": provider, "code": "reauth-required" }),
        }
    }

    /// A test that somebody asked for.
    pub fn test(workspace: &WorkspaceId, id: Uuid, now: Timestamp) -> Self {
        Self {
            workspace_id: workspace.clone(),
            event: WebhookEvent::Test,
            at: now,
            id,
            actor: None,
            action: None,
            data: json!({ "workspace_id": workspace }),
        }
    }
}

/// An address that is told of a workspace's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub endpoint_id: EndpointId,
    /// What it is told of; of everything if nothing is named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub events: BTreeSet<WebhookEvent>,
    /// The one actor of whose jobs it hears: the one that the key which made it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<ActorHash>,
    /// The actions of whose jobs it hears, where the key which made it is narrowed to some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allowlist>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when, and why, nothing is delivered; none while it is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    /// Its URL and secrets, sealed.
    pub sealed: String,
}

/// Since when, and why, nothing is delivered to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub because: DisabledBecause,
}

/// Why nothing is delivered to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DisabledBecause {
    /// It answered 410.
    Gone,
    /// A delivery failed for three days.
    Failing,
}

impl Endpoint {
    /// `active` or `disabled`.
    pub const fn status(&self) -> &'static str {
        if self.disabled.is_some() { "disabled" } else { "active" }
    }

    /// Whether it is told of something.
    pub fn wants(&self, notice: &Notice) -> bool {
        self.disabled.is_none()
            && (self.events.is_empty() || self.events.contains(&notice.event))
            && self.actor.as_ref().is_none_or(|actor| notice.actor.as_ref() == Some(actor))
            && self.allow.as_ref().is_none_or(|allow| notice.action.as_ref().is_some_and(|action| allow.allows(action)))
    }

    /// Whether a delivery may still go to it: nothing ever goes to one that has answered 410, and only a test to one that
    /// was disabled since it fails.
    pub fn takes(&self, event: WebhookEvent) -> bool {
        match self.disabled {
            None => true,
            Some(Disabled { because, .. }) => because == DisabledBecause::Failing && event == WebhookEvent::Test,
        }
    }
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id, which is the same at every attempt.
    pub delivery_id: DeliveryId,
    /// Whose it is.
    pub workspace_id: WorkspaceId,
    /// Where it goes; nil if it stands for [`Delivery::to`].
    pub endpoint_id: EndpointId,
    /// The endpoints that still get a delivery of their own from this one. The deliveries of many jobs would not fit into
    /// one transaction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<EndpointId>,
    /// What happened.
    pub event: WebhookEvent,
    /// The exact body.
    pub body: String,
    /// How far it came.
    pub status: DeliveryStatus,
    /// How often it was begun.
    pub attempts: u32,
    /// The status of the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_code: Option<u16>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<DeliveryFault>,
    /// When it happened.
    pub created_at: Timestamp,
    /// Not to be tried before this.
    pub next_attempt_at: Timestamp,
    /// Until when somebody tries it; none when nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_until: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Counts versions of this record, from 1.
    pub revision: u64,
}

/// How far a delivery came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It will be tried, or tried again.
    Pending,
    /// The endpoint answered 2xx.
    Delivered,
    /// It will not be tried again.
    Failed,
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryFault {
    /// The host leads to an address that is not public.
    #[error("the host leads to an address that is not public")]
    AddressNotAllowed,
    /// No connection, or no TLS handshake.
    #[error("no connection")]
    NoConnection,
    /// No answer within 15 seconds.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// The answer was a redirect.
    #[error("the answer was a redirect")]
    Redirect,
    /// The answer was another status than 2xx.
    #[error("the answer was no success")]
    Status,
    /// The answer was 410.
    #[error("the endpoint is gone")]
    Gone,
    /// The endpoint's URL and secret cannot be opened.
    #[error("the endpoint's URL and secret cannot be opened")]
    Unreadable,
    /// The endpoint was disabled or removed before the delivery succeeded.
    #[error("the endpoint is disabled")]
    EndpointDisabled,
}

impl Delivery {
    /// The delivery of something to an endpoint, due at once.
    pub fn new(notice: &Notice, endpoint: EndpointId) -> Self {
        let Notice { workspace_id, event, at, id, data, .. } = notice;
        Self {
            delivery_id: delivery_id(*id, endpoint),
            workspace_id: workspace_id.clone(),
            endpoint_id: endpoint,
            to: Vec::new(),
            event: *event,
            body: json!({ "type": event, "timestamp": at, "data": data }).to_string(),
            status: DeliveryStatus::Pending,
            attempts: 0,
            last_code: None,
            fault: None,
            created_at: *at,
            next_attempt_at: *at,
            leased_until: None,
            finished_at: None,
            revision: 1,
        }
    }

    /// The deliveries of something to several endpoints, in one.
    pub fn to_all(notice: &Notice, to: Vec<EndpointId>) -> Self {
        Self { to, ..Self::new(notice, EndpointId(Uuid::nil())) }
    }

    /// The delivery to each of its endpoints, and itself, done with.
    pub fn spread(&self, now: Timestamp) -> (Vec<Self>, Self) {
        let one = |endpoint: &EndpointId| Self {
            delivery_id: delivery_id(self.delivery_id.0, *endpoint),
            endpoint_id: *endpoint,
            to: Vec::new(),
            revision: 1,
            ..self.clone()
        };
        let done = Self { status: DeliveryStatus::Delivered, finished_at: Some(now), ..self.next() };
        (self.to.iter().map(one).collect(), done)
    }

    /// Begins an attempt under a lease; none if it has ended, waits, or somebody tries it.
    pub fn claimed(&self, until: Timestamp, now: Timestamp) -> Option<Self> {
        let due = self.due_at().filter(|due| *due <= now);
        due.map(|_| Self { attempts: self.attempts + 1, leased_until: Some(until), ..self.next() })
    }

    /// The endpoint took it.
    #[must_use]
    pub fn delivered(&self, code: u16, now: Timestamp) -> Self {
        let (status, last_code) = (DeliveryStatus::Delivered, Some(code));
        Self { status, last_code, fault: None, finished_at: Some(now), ..self.next() }
    }

    /// The attempt failed: it is tried again after a pause, longer by the fraction `jitter` of its half, or for the last
    /// time at the end of the three days; then no more.
    #[must_use]
    pub fn postponed(&self, code: Option<u16>, fault: DeliveryFault, jitter: f64, now: Timestamp) -> Self {
        let end = self.created_at + TRIED_FOR;
        if now >= end {
            return self.given_up(code, fault, now);
        }
        let tried = usize::try_from(self.attempts.saturating_sub(1)).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
        let pause = SignedDuration::from_secs_f64(f64::from(PAUSES[tried]) * (1.0 + jitter / 2.0));
        let next_attempt_at = end.min(now + pause);
        Self { last_code: code, fault: Some(fault), next_attempt_at, ..self.next() }
    }

    /// It is not tried again.
    #[must_use]
    pub fn given_up(&self, code: Option<u16>, fault: DeliveryFault, now: Timestamp) -> Self {
        let status = DeliveryStatus::Failed;
        Self { status, last_code: code.or(self.last_code), fault: Some(fault), finished_at: Some(now), ..self.next() }
    }

    /// Whoever tried it is gone, or its message is: it is due now.
    #[must_use]
    pub fn released(&self, now: Timestamp) -> Self {
        Self { next_attempt_at: now, ..self.next() }
    }

    /// When somebody has to look at it; none when it has ended.
    pub fn due_at(&self) -> Option<Timestamp> {
        let due = self.leased_until.map_or(self.next_attempt_at, |lease| lease.max(self.next_attempt_at));
        (self.status == DeliveryStatus::Pending).then_some(due)
    }

    /// When the record ends.
    pub fn record_expires_at(&self) -> Option<Timestamp> {
        self.finished_at.map(|ended| ended + SignedDuration::from_hours(24 * RECORD_DAYS))
    }

    fn next(&self) -> Self {
        Self { revision: self.revision + 1, leased_until: None, ..self.clone() }
    }
}

fn delivery_id(of: Uuid, endpoint: EndpointId) -> DeliveryId {
    DeliveryId(hashed_uuid(format!("{of}\n{endpoint}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn delivery() -> Delivery {
        let notice = Notice::test(&"acme".parse().unwrap(), Uuid::from_u128(7), at(0));
        Delivery::new(&notice, EndpointId(Uuid::from_u128(8)))
    }

    #[test]
    fn a_delivery_is_tried_by_one_at_a_time_and_again_after_its_lease() {
        let claimed = delivery().claimed(at(20), at(0)).unwrap();
        assert_eq!((claimed.attempts, claimed.claimed(at(39), at(19))), (1, None));
        assert_eq!(claimed.claimed(at(40), at(20)).unwrap().attempts, 2);
        assert!(claimed.released(at(1)).claimed(at(21), at(1)).is_some());
        assert_eq!(claimed.delivered(204, at(1)).claimed(at(21), at(99)), None);
    }

    #[test]
    fn retries_begin_within_30_seconds_and_end_after_three_days() {
        for jitter in [0.0, 0.999] {
            let (mut now, mut delivery, mut pauses) = (at(0), delivery(), Vec::new());
            while let Some(due) = delivery.due_at() {
                pauses.push(due.duration_since(now).as_secs());
                now = due;
                let claimed = delivery.claimed(now + SignedDuration::from_secs(20), now).unwrap();
                delivery = claimed.postponed(Some(500), DeliveryFault::Status, jitter, now);
            }
            assert!(pauses[0] == 0 && (1..=30).contains(&pauses[1]), "{pauses:?}");
            assert!(pauses[1..pauses.len() - 1].is_sorted(), "{pauses:?}");
            assert_eq!((now, delivery.status, delivery.last_code), (at(72 * 3600), DeliveryStatus::Failed, Some(500)));
            assert!((12..=30).contains(&delivery.attempts), "{}", delivery.attempts);
        }
    }

    #[test]
    fn an_endpoint_hears_of_what_it_asked_for_and_its_key_may_see() {
        let actor = |name: &str| ActorHash::of(&"acme".parse().unwrap(), &name.parse().unwrap());
        let endpoint = Endpoint {
            endpoint_id: EndpointId(Uuid::nil()),
            events: BTreeSet::new(),
            actor: None,
            allow: None,
            created_at: at(0),
            disabled: None,
            sealed: String::new(),
        };
        let job = Notice {
            event: WebhookEvent::JobFailed,
            actor: Some(actor("ana@example.com")),
            action: Some("gmail.send".parse().unwrap()),
            ..Notice::test(&"acme".parse().unwrap(), Uuid::nil(), at(0))
        };
        let connection = Notice::of_connection(&"acme".parse().unwrap(), Provider::Google, Uuid::nil(), at(0));
        let with = |change: fn(&mut Endpoint)| {
            let mut endpoint = endpoint.clone();
            change(&mut endpoint);
            (endpoint.wants(&job), endpoint.wants(&connection))
        };
        assert_eq!(with(|_| {}), (true, true));
        assert_eq!(with(|endpoint| endpoint.events = [WebhookEvent::JobFailed].into()), (true, false));
        assert_eq!(with(|endpoint| endpoint.events = [WebhookEvent::JobCompleted].into()), (false, false));
        assert_eq!(with(|endpoint| endpoint.events = [WebhookEvent::ReauthRequired].into()), (false, true));
        assert_eq!(with(|endpoint| endpoint.allow = Some(Allowlist::default())), (false, false));
        let narrowed = |name: &str| Endpoint { actor: Some(actor(name)), ..endpoint.clone() };
        assert!(narrowed("ana@example.com").wants(&job) && !narrowed("bob@example.com").wants(&job));
        assert!(!narrowed("ana@example.com").wants(&connection));
        for because in [DisabledBecause::Gone, DisabledBecause::Failing] {
            let disabled = Endpoint { disabled: Some(Disabled { at: at(0), because }), ..endpoint.clone() };
            assert!(!disabled.wants(&job) && !disabled.takes(WebhookEvent::JobFailed));
            assert_eq!(disabled.takes(WebhookEvent::Test), because == DisabledBecause::Failing);
        }
    }

    #[test]
    fn events_have_their_names_and_unknown_ones_are_refused() {
        for name in ["job.held", "job.completed", "job.failed", "job.unknown", "connection.reauth_required"] {
            assert_eq!(name.parse::<WebhookEvent>().unwrap().as_str(), name);
        }
        for wrong in ["", "job", "job.*", "JOB.HELD", "job.completed ", "job_completed", "job.deleted"] {
            assert!(wrong.parse::<WebhookEvent>().is_err(), "{wrong}");
        }
    }
}
