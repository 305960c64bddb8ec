//! Deliveries: one attempt for each message, and the sweep for those whose message was lost.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{
    AuditBy, AuditEntry, AuditEvent, Delivery, DeliveryFault, DeliveryId, DeliveryStatus, Disabled, DisabledBecause,
    EndpointId, LONGEST_IN_QUEUE, WebhookEvent, WorkspaceId,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use telemetry::{labels::WebhookOutcome, names::WEBHOOK_DELIVERIES};

use super::{Target, WebhookService};
use crate::{
    JobMessage, Problem, ProblemCode,
    ports::{LedgerError, Posting, Save, VaultError, WEBHOOK_TIMEOUT},
    recent::Recent,
};

/// Time to write down what came of an attempt, beside the attempt's own.
const MARGIN: Duration = Duration::from_secs(3);
/// How long to wait for a worker with enough time. A message that came back at once would keep one with too little busy.
const TIME_PAUSE: Duration = Duration::from_secs(1);
/// How long to wait for a ledger or vault that does not answer.
const STORE_PAUSE: Duration = Duration::from_secs(15);
/// At most this many deliveries in one sweep; the next sweep takes the rest.
const AT_ONCE: usize = 500;

impl WebhookService {
    /// Tries a delivery, and settles its message. The attempt ends before `deadline`.
    pub(crate) async fn deliver(
        &self,
        workspace: &WorkspaceId,
        id: DeliveryId,
        endpoint: EndpointId,
        deadline: Timestamp,
    ) -> Result<(), Later> {
        let now = self.clock.now();
        let until = now + WEBHOOK_TIMEOUT + MARGIN;
        if until > deadline {
            return Err(Later(TIME_PAUSE));
        }
        let _flight = self.flights.begin(endpoint, now, self.ids.fraction())?;
        let later = |_: LedgerError| Later(STORE_PAUSE);
        let Some((delivery, endpoints)) = self.ledger.delivery(workspace, id).await.map_err(later)? else {
            tracing::warn!("a message names a delivery that is not there");
            return Ok(());
        };
        let Some(claimed) = delivery.claimed(until, now) else { return wait_for(&delivery, now) };
        if !delivery.to.is_empty() {
            return self.ledger.spread_delivery(&delivery, now).await.map(drop).map_err(later);
        }
        let endpoint = endpoints.endpoints.iter().find(|known| known.endpoint_id == delivery.endpoint_id);
        let Some(endpoint) = endpoint.filter(|endpoint| endpoint.takes(delivery.event)) else {
            count(WebhookOutcome::Dropped);
            return self.save(&delivery.given_up(None, DeliveryFault::EndpointDisabled, now)).await.map_err(later);
        };
        let target = match self.open(workspace, endpoint).await {
            Err(VaultError::Unavailable(_)) => return Err(Later(STORE_PAUSE)),
            target => target,
        };
        if self.ledger.save_delivery(&claimed).await.map_err(later)? == Save::Stale {
            return Ok(());
        }
        let answer = match target {
            Ok(target) => self.post(&claimed, &target, now).await,
            Err(error) => {
                tracing::error!(%error, "an endpoint's sealed text does not open");
                Err(DeliveryFault::Unreadable)
            }
        };
        let done = self.settle(&claimed, answer, endpoint.disabled.is_some()).await;
        // If it cannot be written, the delivery is found again when its lease has ended, and sent once more.
        done.inspect_err(|error| tracing::error!(%error, "what came of a delivery was not written")).or(Ok(()))
    }

    async fn post(&self, delivery: &Delivery, target: &Target, now: Timestamp) -> Result<u16, DeliveryFault> {
        let previous = target.previous.iter().filter(|previous| previous.until > now).map(|previous| &previous.secret);
        let secrets: Vec<SecretString> = std::iter::once(&target.secret).chain(previous).cloned().collect();
        let (id, at, body) = (delivery.delivery_id, now, delivery.body.as_str());
        self.sender.post(&Posting { url: &target.url, id, at, body, secrets: &secrets }).await
    }

    async fn settle(
        &self,
        delivery: &Delivery,
        answer: Result<u16, DeliveryFault>,
        was_disabled: bool,
    ) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let (code, fault) = match answer {
            Ok(code @ 200..300) => {
                count(WebhookOutcome::Delivered);
                self.flights.answered(delivery.endpoint_id, now);
                self.save(&delivery.delivered(code, now)).await?;
                return if was_disabled { self.set_disabled(delivery, None).await } else { Ok(()) };
            }
            Ok(410) => {
                count(WebhookOutcome::Gone);
                // The endpoint first: what is on its way to it must not follow.
                self.set_disabled(delivery, Some(DisabledBecause::Gone)).await?;
                return self.save(&delivery.given_up(Some(410), DeliveryFault::Gone, now)).await;
            }
            Ok(code @ 300..400) => (Some(code), DeliveryFault::Redirect),
            Ok(code) => (Some(code), DeliveryFault::Status),
            Err(fault) => (None, fault),
        };
        count(match fault {
            DeliveryFault::TimedOut => WebhookOutcome::TimedOut,
            DeliveryFault::AddressNotAllowed => WebhookOutcome::Refused,
            _ => WebhookOutcome::Failed,
        });
        if fault == DeliveryFault::TimedOut {
            self.flights.hung(delivery.endpoint_id, now);
        }
        tracing::warn!(webhook.delivery = %delivery.delivery_id, webhook.attempts = delivery.attempts, webhook.code = code, %fault, "a webhook was not delivered");
        self.postpone(delivery, code, fault).await
    }

    /// Waits for the next attempt, or gives up and disables the endpoint.
    async fn postpone(&self, delivery: &Delivery, code: Option<u16>, fault: DeliveryFault) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let next = delivery.postponed(code, fault, self.ids.fraction(), now);
        if next.status == DeliveryStatus::Failed {
            count(WebhookOutcome::GaveUp);
            self.set_disabled(delivery, Some(DisabledBecause::Failing)).await?;
        }
        self.save(&next).await?;
        if let Err(Later(delay)) = wait_for(&next, now) {
            self.enqueue(std::iter::once((&next, delay))).await;
        }
        Ok(())
    }

    /// Notes that an endpoint is disabled, or no longer. It may have been removed meanwhile.
    async fn set_disabled(&self, delivery: &Delivery, because: Option<DisabledBecause>) -> Result<(), LedgerError> {
        let (workspace, id) = (&delivery.workspace_id, delivery.endpoint_id);
        let event = if because.is_some() { AuditEvent::WebhookDisabled } else { AuditEvent::WebhookEnabled };
        let entry = self.auditor.entry(Some(workspace.clone()), event, AuditBy::Worker);
        let entry = AuditEntry { value: Some(id.to_string()), ..entry };
        let disabled = because.map(|because| Disabled { at: entry.at, because });
        if because.is_some() {
            tracing::error!(webhook.endpoint = %id, "a webhook endpoint is disabled");
        }
        let changed = self.change(workspace, entry, |endpoints| {
            let is_it = |endpoint: &&mut domain::Endpoint| endpoint.endpoint_id == id;
            // One that is gone stays so.
            let there = endpoints.iter_mut().find(is_it).filter(|there| there.takes(WebhookEvent::Test));
            let there = there.ok_or_else(|| Problem::new(ProblemCode::NotFound, "it is not there any more"))?;
            there.disabled = disabled;
            Ok(())
        });
        match changed.await {
            Err(problem) if problem.code != ProblemCode::NotFound => Err(LedgerError::new(problem)),
            _ => Ok(()),
        }
    }

    /// Writes a version of a delivery. If another one is there, somebody else took it up.
    async fn save(&self, delivery: &Delivery) -> Result<(), LedgerError> {
        self.ledger.save_delivery(delivery).await.map(drop)
    }

    /// Has deliveries tried, each after a while. If the queue fails, the sweep finds them.
    async fn enqueue(&self, deliveries: impl Iterator<Item = (&Delivery, Duration)>) {
        let messages: Vec<_> = deliveries.map(|(delivery, delay)| JobMessage::of_delivery(delivery, delay)).collect();
        if let Err(error) = self.queue.send(&messages).await {
            tracing::warn!(%error, "messages of deliveries were not sent; the sweep will");
        }
    }

    /// Queues the deliveries that were due before this and that nobody has touched. Returns how many there were.
    pub(crate) async fn sweep(&self, before: Timestamp) -> Result<usize, LedgerError> {
        let now = self.clock.now();
        let mut released = Vec::new();
        for delivery in self.ledger.due_deliveries(before, AT_ONCE).await? {
            // Marked as touched, so that a queue that is merely long does not grow each minute.
            let next = delivery.released(now);
            if self.ledger.save_delivery(&next).await? == Save::Done {
                released.push(next);
            }
        }
        self.enqueue(released.iter().map(|delivery| (delivery, Duration::ZERO))).await;
        Ok(released.len())
    }

    /// For a process that is alone on its ledger, at its start: queues every open delivery, and those at once that the
    /// process before it was trying.
    pub(crate) async fn pick_up(&self) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let mut open = self.ledger.due_deliveries(Timestamp::MAX, usize::MAX).await?;
        for delivery in open.iter_mut().filter(|delivery| delivery.leased_until.is_some()) {
            *delivery = delivery.released(now);
            self.save(delivery).await?;
        }
        self.enqueue(open.iter().map(|delivery| (delivery, remaining(delivery, now)))).await;
        Ok(())
    }
}

/// The message comes again after this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Later(pub(crate) Duration);

/// A delivery that cannot be tried now: one that waits comes again when it is due, unless that is left to the sweep.
fn wait_for(delivery: &Delivery, now: Timestamp) -> Result<(), Later> {
    let waits = delivery.status == DeliveryStatus::Pending && delivery.leased_until.is_none();
    let rest = remaining(delivery, now);
    // A longer wait needs no message: the sweep finds the delivery.
    if waits && rest <= LONGEST_IN_QUEUE.unsigned_abs() { Err(Later(rest)) } else { Ok(()) }
}

fn remaining(delivery: &Delivery, now: Timestamp) -> Duration {
    let rest = delivery.due_at().map(|due| due.duration_since(now)).unwrap_or_default();
    rest.try_into().unwrap_or_default()
}

fn count(outcome: WebhookOutcome) {
    WEBHOOK_DELIVERIES.count(&[outcome.into()]);
}

/// The attempts under way in this process: few at once for an endpoint, so that no receiver keeps others waiting.
pub(crate) struct Flights {
    under_way: Mutex<HashMap<EndpointId, usize>>,
    /// The endpoints that did not answer in time.
    hung: Recent<EndpointId, ()>,
}

/// How many attempts run at once in this process, and of one endpoint, and of one that did not answer in time.
const MOST: usize = 64;
const OF_ONE: usize = 2;
const OF_HUNG: usize = 1;
/// How long an endpoint counts as one that does not answer.
const HUNG_FOR: SignedDuration = SignedDuration::from_mins(1);

impl Default for Flights {
    fn default() -> Self {
        Self { under_way: Mutex::default(), hung: Recent::good_for(HUNG_FOR) }
    }
}

impl Flights {
    /// Begins an attempt, which lasts until the flight is dropped; or tells when to come again.
    fn begin(&self, endpoint: EndpointId, now: Timestamp, jitter: f64) -> Result<Flight<'_>, Later> {
        let hung = self.hung.recall(&endpoint, now).is_some();
        let (most, pause) = if hung { (OF_HUNG, Duration::from_secs(15)) } else { (OF_ONE, Duration::from_secs(1)) };
        let mut under_way = self.under_way();
        if under_way.values().sum::<usize>() >= MOST || under_way.get(&endpoint).is_some_and(|count| *count >= most) {
            return Err(Later(pause.mul_f64(1.0 + jitter)));
        }
        *under_way.entry(endpoint).or_default() += 1;
        Ok(Flight { flights: self, endpoint })
    }

    fn hung(&self, endpoint: EndpointId, now: Timestamp) {
        self.hung.remember(endpoint, (), now);
    }

    fn answered(&self, endpoint: EndpointId, now: Timestamp) {
        self.hung.take(&endpoint, now);
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<EndpointId, usize>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt under way.
struct Flight<'a> {
    flights: &'a Flights,
    endpoint: EndpointId,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way();
        if let Some(count) = under_way.get_mut(&self.endpoint) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.endpoint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_receiver_that_hangs_holds_no_more_than_its_share() {
        let (flights, now) = (Flights::default(), Timestamp::UNIX_EPOCH);
        let [slow, other] = [1, 2].map(|id| EndpointId(Uuid::from_u128(id)));
        let first = flights.begin(slow, now, 0.0).ok().unwrap();
        let second = flights.begin(slow, now, 0.0).ok().unwrap();
        assert_eq!(flights.begin(slow, now, 0.5).err(), Some(Later(Duration::from_millis(1500))));
        assert!(flights.begin(other, now, 0.0).is_ok());
        drop((first, second));
        flights.hung(slow, now);
        let _only = flights.begin(slow, now, 0.0).ok().unwrap();
        assert_eq!(flights.begin(slow, now, 0.0).err(), Some(Later(Duration::from_secs(15))));
        flights.answered(slow, now);
        assert!(flights.begin(slow, now, 0.0).is_ok());
        let many: Vec<_> = (10..90).map(|id| flights.begin(EndpointId(Uuid::from_u128(id)), now, 0.0).ok()).collect();
        assert_eq!(many.iter().flatten().count(), MOST - 1, "with the one that is under way");
    }
}
