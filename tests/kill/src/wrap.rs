//! The engine's ports, with a point before and after every call that a job meets.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    Address, AuditEntry, Evidence, Job, JobId, KeyId, KeyRecord, PlanId, Provider, State, Violation, WorkspaceId,
    WorkspaceSettings,
};
use engine::{
    Engine,
    catalogue::Catalogue,
    ports::{
        About, Access, Action, AuditFilter, Cache, CacheError, Call, Consent, Contents, Delivery, FirstSight, Insert,
        JobFilter, KeyClaim, Ledger, LedgerError, OutboxEntry, Passage, Queue, QueueError, QueuedMessage, RenderError,
        Rendered, Save, SendError, Sent, Stamp, StoredConnection, StoredPlan, Toll,
    },
};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::{Side, Traps};

/// Sets the traps in this engine.
pub fn wrap(engine: &mut Engine, traps: &Arc<Traps>) {
    engine.ledger = Arc::new(Trapped { inner: Arc::clone(&engine.ledger), traps: Arc::clone(traps) });
    engine.cache = Arc::new(Trapped { inner: Arc::clone(&engine.cache), traps: Arc::clone(traps) });
    engine.queue = Arc::new(Trapped { inner: Arc::clone(&engine.queue), traps: Arc::clone(traps) });
    let actions = engine.catalogue.iter().map(|action| {
        let trapped = Trapped { inner: Arc::clone(action), traps: Arc::clone(traps) };
        Arc::new(trapped) as Arc<dyn Action>
    });
    engine.catalogue = Catalogue::new(actions.collect());
}

/// A port, or what comes out of one, with traps.
struct Trapped<T> {
    inner: T,
    traps: Arc<Traps>,
}

impl<T> Trapped<T> {
    async fn around<A>(&self, call: &str, made: impl Future<Output = A>) -> A {
        self.traps.pass(call, Side::Before);
        let answer = made.await;
        self.traps.pass(call, Side::After);
        answer
    }
}

#[async_trait]
impl Ledger for Trapped<Arc<dyn Ledger>> {
    async fn insert_jobs(&self, jobs: &[(Job, Contents)]) -> Result<Insert, LedgerError> {
        self.around("ledger.insert_jobs", self.inner.insert_jobs(jobs)).await
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, LedgerError> {
        self.around("ledger.jobs", self.inner.jobs(ids)).await
    }

    async fn save(&self, job: &Job) -> Result<Save, LedgerError> {
        let call = match job.state {
            State::Queued => "ledger.save.queued",
            State::Claimed => "ledger.save.claimed",
            State::Prepared => "ledger.save.prepared",
            State::Sending => "ledger.save.sending",
            State::Completed => "ledger.save.completed",
            State::Failed => "ledger.save.failed",
            State::Unknown => "ledger.save.unknown",
        };
        self.around(call, self.inner.save(job)).await
    }

    async fn contents(&self, id: JobId) -> Result<Option<Contents>, LedgerError> {
        self.around("ledger.contents", self.inner.contents(id)).await
    }

    async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        self.inner.list_jobs(filter).await
    }

    async fn overdue_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError> {
        self.around("ledger.overdue_jobs", self.inner.overdue_jobs(before, limit)).await
    }

    async fn oldest_unclaimed(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.inner.oldest_unclaimed().await
    }

    async fn void_leases(&self, now: Timestamp) -> Result<u64, LedgerError> {
        self.inner.void_leases(now).await
    }

    async fn put_plan(&self, plan: &StoredPlan, audit: &AuditEntry) -> Result<(), LedgerError> {
        self.inner.put_plan(plan, audit).await
    }

    async fn plan(
        &self,
        workspace: &WorkspaceId,
        id: PlanId,
        now: Timestamp,
    ) -> Result<Option<StoredPlan>, LedgerError> {
        self.inner.plan(workspace, id, now).await
    }

    async fn put_outbox(&self, entry: &OutboxEntry) -> Result<(), LedgerError> {
        self.inner.put_outbox(entry).await
    }

    async fn outbox(&self, workspace: &WorkspaceId, limit: usize) -> Result<Vec<OutboxEntry>, LedgerError> {
        self.inner.outbox(workspace, limit).await
    }

    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, LedgerError> {
        self.inner.rollout_percent(provider).await
    }

    async fn set_rollout_percent(
        &self,
        provider: Provider,
        percent: u8,
        audit: &AuditEntry,
    ) -> Result<(), LedgerError> {
        self.inner.set_rollout_percent(provider, percent, audit).await
    }

    async fn workspace(&self, id: &WorkspaceId) -> Result<Option<WorkspaceSettings>, LedgerError> {
        self.inner.workspace(id).await
    }

    async fn put_workspace(
        &self,
        id: &WorkspaceId,
        settings: &WorkspaceSettings,
        audit: &AuditEntry,
    ) -> Result<(), LedgerError> {
        self.inner.put_workspace(id, settings, audit).await
    }

    async fn put_audit(&self, entry: &AuditEntry) -> Result<(), LedgerError> {
        self.inner.put_audit(entry).await
    }

    async fn list_audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, LedgerError> {
        self.inner.list_audit(filter).await
    }

    async fn open_jobs(&self, workspace: &WorkspaceId, at_most: usize) -> Result<usize, LedgerError> {
        self.inner.open_jobs(workspace, at_most).await
    }

    async fn erase_expired(&self, now: Timestamp) -> Result<(), LedgerError> {
        self.around("ledger.erase_expired", self.inner.erase_expired(now)).await
    }

    async fn put_key(&self, key: &KeyRecord) -> Result<bool, LedgerError> {
        self.inner.put_key(key).await
    }

    async fn key(&self, id: &KeyId) -> Result<Option<KeyRecord>, LedgerError> {
        self.inner.key(id).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, LedgerError> {
        self.inner.keys().await
    }

    async fn revoke_key(&self, id: &KeyId, now: Timestamp) -> Result<bool, LedgerError> {
        self.inner.revoke_key(id, now).await
    }

    async fn connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
    ) -> Result<Option<StoredConnection>, LedgerError> {
        self.inner.connection(workspace, provider).await
    }

    async fn put_connection(&self, connection: &StoredConnection, over: Option<Uuid>) -> Result<Save, LedgerError> {
        self.inner.put_connection(connection, over).await
    }

    async fn delete_connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        version: Uuid,
    ) -> Result<Save, LedgerError> {
        self.inner.delete_connection(workspace, provider, version).await
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.inner.ping().await
    }
}

#[async_trait]
impl Cache for Trapped<Arc<dyn Cache>> {
    async fn claim_keys(
        &self,
        claims: &[KeyClaim],
        toll: Option<&Toll>,
    ) -> Result<(Vec<FirstSight>, Passage), CacheError> {
        self.around("cache.claim_keys", self.inner.claim_keys(claims, toll)).await
    }

    async fn count(&self, toll: &Toll) -> Result<Passage, CacheError> {
        self.inner.count(toll).await
    }

    async fn put_jobs(&self, jobs: &[Job]) -> Result<(), CacheError> {
        self.around("cache.put_jobs", self.inner.put_jobs(jobs)).await
    }

    async fn job(&self, id: JobId, toll: Option<&Toll>) -> Result<(Option<Job>, Passage), CacheError> {
        self.inner.job(id, toll).await
    }

    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, CacheError> {
        self.around("cache.rollout_percent", self.inner.rollout_percent(provider)).await
    }

    async fn put_rollout_percent(&self, provider: Provider, percent: u8) -> Result<(), CacheError> {
        self.inner.put_rollout_percent(provider, percent).await
    }

    async fn put_consent(&self, id: &str, consent: &Consent) -> Result<(), CacheError> {
        self.inner.put_consent(id, consent).await
    }

    async fn take_consent(&self, id: &str) -> Result<Option<Consent>, CacheError> {
        self.inner.take_consent(id).await
    }

    async fn lock(&self, name: &str, owner: Uuid, at_most: Duration) -> Result<bool, CacheError> {
        self.inner.lock(name, owner, at_most).await
    }

    async fn unlock(&self, name: &str, owner: Uuid) -> Result<(), CacheError> {
        self.inner.unlock(name, owner).await
    }

    async fn ping(&self) -> Result<(), CacheError> {
        self.inner.ping().await
    }
}

#[async_trait]
impl Queue for Trapped<Arc<dyn Queue>> {
    async fn send(&self, messages: &[QueuedMessage]) -> Result<(), QueueError> {
        if messages.is_empty() {
            return self.inner.send(messages).await;
        }
        self.around("queue.send", self.inner.send(messages)).await
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.traps.pass("queue.receive", Side::Before);
        let deliveries = self.inner.receive(max, wait).await?;
        if !deliveries.is_empty() {
            self.traps.pass("queue.receive", Side::After);
        }
        Ok(deliveries)
    }

    async fn acknowledge(&self, receipt: &str) -> Result<(), QueueError> {
        self.around("queue.acknowledge", self.inner.acknowledge(receipt)).await
    }

    async fn depth(&self) -> Result<u64, QueueError> {
        self.inner.depth().await
    }
}

impl Action for Trapped<Arc<dyn Action>> {
    fn about(&self) -> &About {
        self.inner.about()
    }

    fn params_schema(&self) -> Value {
        self.inner.params_schema()
    }

    fn parse(&self, params: &Value) -> Result<Box<dyn Call>, Vec<Violation>> {
        let inner = self.inner.parse(params)?;
        Ok(Box::new(Trapped { inner, traps: Arc::clone(&self.traps) }))
    }
}

#[async_trait]
impl Call for Trapped<Box<dyn Call>> {
    fn params(&self) -> Value {
        self.inner.params()
    }

    fn addresses(&self) -> Vec<(String, &Address)> {
        self.inner.addresses()
    }

    fn map_addresses(&self, change: &mut dyn FnMut(Address) -> Address) -> Box<dyn Call> {
        Box::new(Trapped { inner: self.inner.map_addresses(change), traps: Arc::clone(&self.traps) })
    }

    fn render(&self, stamp: &Stamp) -> Result<Rendered, RenderError> {
        self.inner.render(stamp)
    }

    async fn prepare(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, SendError> {
        self.around("call.prepare", self.inner.prepare(rendered, access)).await
    }

    async fn send(&self, rendered: &Rendered, access: &Access, draft: Option<&Evidence>) -> Result<Sent, SendError> {
        self.around("call.send", self.inner.send(rendered, access, draft)).await
    }
}
