//! The engine's ports, with a point before and after every call that a job meets.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{Address, ContentHash, Evidence, Job, JobId, Provider, State, Violation, WorkspaceId};
use engine::{
    Parts,
    catalogue::Catalogue,
    ports::{
        Access, Action, ActionSpec, CacheError, Call, Claims, Comparison, Contents, Decision, Done, Held, Insert,
        JobCache, JobFilter, Jobs, LedgerError, ParamAddress, ProviderError, Queue, QueueError, QueuedMessage,
        RateLimit, ReceivedMessage, RenderContext, RenderError, Rendered, RolloutCache, Save, Upkeep,
    },
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{Side, Traps};

/// Sets the traps in these parts.
pub fn wrap(parts: &mut Parts, traps: &Arc<Traps>) {
    parts.ledger.jobs = trapped(&parts.ledger.jobs, traps);
    parts.ledger.upkeep = trapped(&parts.ledger.upkeep, traps);
    parts.cache.claims = trapped(&parts.cache.claims, traps);
    parts.cache.jobs = trapped(&parts.cache.jobs, traps);
    parts.cache.rollouts = trapped(&parts.cache.rollouts, traps);
    parts.queue = trapped(&parts.queue, traps);
    let actions = parts.catalogue.iter().map(|action| -> Arc<dyn Action> { trapped(action, traps) });
    parts.catalogue = Catalogue::new(parts.catalogue.providers().to_vec(), actions.collect());
}

fn trapped<T: ?Sized>(port: &Arc<T>, traps: &Arc<Traps>) -> Arc<Trapped<Arc<T>>> {
    Arc::new(Trapped { inner: Arc::clone(port), traps: Arc::clone(traps) })
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
impl Jobs for Trapped<Arc<dyn Jobs>> {
    async fn insert_jobs(&self, jobs: &[(Job, Contents)]) -> Result<Insert, LedgerError> {
        self.around("ledger.insert_jobs", self.inner.insert_jobs(jobs)).await
    }

    async fn jobs(&self, workspace: &WorkspaceId, ids: &[JobId]) -> Result<Vec<Option<Job>>, LedgerError> {
        self.around("ledger.jobs", self.inner.jobs(workspace, ids)).await
    }

    async fn save(&self, job: &Job) -> Result<Save, LedgerError> {
        let call = match job.state {
            State::Held => "ledger.save.held",
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

    async fn contents_of(&self, ids: &[JobId]) -> Result<Vec<Option<Contents>>, LedgerError> {
        self.around("ledger.contents", self.inner.contents_of(ids)).await
    }

    async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        self.inner.list_jobs(filter).await
    }

    async fn overdue_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError> {
        self.around("ledger.overdue_jobs", self.inner.overdue_jobs(before, limit)).await
    }

    async fn open_jobs(&self, workspace: &WorkspaceId, at_most: usize) -> Result<usize, LedgerError> {
        self.inner.open_jobs(workspace, at_most).await
    }

    async fn held(&self, at_most: usize) -> Result<Held, LedgerError> {
        self.inner.held(at_most).await
    }

    async fn oldest_unclaimed(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.inner.oldest_unclaimed().await
    }

    async fn last_with_content(
        &self,
        workspace: &WorkspaceId,
        content: &ContentHash,
        now: Timestamp,
    ) -> Result<Option<Job>, LedgerError> {
        self.inner.last_with_content(workspace, content, now).await
    }

    async fn void_leases(&self, now: Timestamp) -> Result<u64, LedgerError> {
        self.inner.void_leases(now).await
    }
}

#[async_trait]
impl Upkeep for Trapped<Arc<dyn Upkeep>> {
    async fn erase_expired(&self, now: Timestamp) -> Result<(), LedgerError> {
        self.around("ledger.erase_expired", self.inner.erase_expired(now)).await
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.inner.ping().await
    }
}

#[async_trait]
impl Claims for Trapped<Arc<dyn Claims>> {
    async fn claim_keys(&self, jobs: &[JobId], limit: Option<&RateLimit>) -> Result<(Vec<bool>, Decision), CacheError> {
        self.around("cache.claim_keys", self.inner.claim_keys(jobs, limit)).await
    }
}

#[async_trait]
impl JobCache for Trapped<Arc<dyn JobCache>> {
    async fn put_jobs(&self, jobs: &[Job]) -> Result<(), CacheError> {
        self.around("cache.put_jobs", self.inner.put_jobs(jobs)).await
    }

    async fn put_claimed(&self, job: &Job, account: &str) -> Result<Duration, CacheError> {
        self.around("cache.put_jobs", self.inner.put_claimed(job, account)).await
    }

    async fn cached_job(
        &self,
        workspace: &WorkspaceId,
        id: JobId,
        limit: Option<&RateLimit>,
    ) -> Result<(Option<Job>, Decision), CacheError> {
        self.inner.cached_job(workspace, id, limit).await
    }
}

#[async_trait]
impl RolloutCache for Trapped<Arc<dyn RolloutCache>> {
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, CacheError> {
        self.around("cache.rollout_percent", self.inner.rollout_percent(provider)).await
    }

    async fn put_rollout_percent(&self, provider: Provider, percent: u8) -> Result<(), CacheError> {
        self.inner.put_rollout_percent(provider, percent).await
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

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
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
    fn spec(&self) -> &ActionSpec {
        self.inner.spec()
    }

    fn params_schema(&self) -> &Value {
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

    fn addresses(&self) -> Vec<ParamAddress<'_>> {
        self.inner.addresses()
    }

    fn map_addresses(&self, change: &mut dyn FnMut(Address) -> Address) -> Option<Box<dyn Call>> {
        let inner = self.inner.map_addresses(change)?;
        Some(Box::new(Trapped { inner, traps: Arc::clone(&self.traps) }))
    }

    fn title(&self) -> String {
        self.inner.title()
    }

    fn render(&self, stamp: &RenderContext) -> Result<Rendered, RenderError> {
        self.inner.render(stamp)
    }

    async fn prepare(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, ProviderError> {
        self.around("call.prepare", self.inner.prepare(rendered, access)).await
    }

    async fn perform(
        &self,
        rendered: &Rendered,
        access: &Access,
        draft: Option<&Evidence>,
    ) -> Result<Done, ProviderError> {
        self.around("call.send", self.inner.perform(rendered, access, draft)).await
    }

    async fn compare(&self, rendered: &Rendered, access: &Access) -> Result<Comparison, ProviderError> {
        self.around("call.compare", self.inner.compare(rendered, access)).await
    }
}
