//! The ledger in a DynamoDB table.

mod calls;
mod items;
mod table;

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, types::TransactWriteItem};
use calls::{Condition, Search, Written};
use domain::{AuditEntry, Job, JobId, JobStatus, KeyId, KeyRecord, PlanId, Provider, WorkspaceId, WorkspaceSettings};
use engine::ports::{
    Audit, AuditFilter, Clock, Connections, Contents, Ids, Insert, JobFilter, Jobs, Keys, LedgerError, Outbox,
    OutboxEntry, Plans, Save, Sealed, Settings, StoredConnection, StoredPlan, Upkeep,
};
use futures_util::future::try_join_all;
use items::{AUDIT, CONNECTION, CONTENTS, Item, JOB, KEY, OUTBOX, PLAN, ROLLOUT, SHARDS, WORKSPACE};
use jiff::Timestamp;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::Sdk;

/// The smallest page of a list. Records that have expired or moved are skipped, so a page may give fewer.
const LEAST_PAGE: usize = 20;
/// The largest page: one BatchGetItem reads as many records.
const MOST_PAGE: usize = 100;

/// The ledger in one DynamoDB table.
///
/// # The table
///
/// | item | pk | sk | attributes |
/// | --- | --- | --- | --- |
/// | job | `JOB#<job id>` | `JOB` | `body` (the job as JSON), `revision`; `list_pk` = `W#<workspace>`, `list_sk` = `<created_at, 20 digits>#<job id>`, `status_pk` = `W#<workspace>#<status>`; while open `open_pk` = `OPEN#<0 to 15>`, `due_at`; until it is claimed `waits_pk` = `WAITS#<0 to 15>`, `waits_since` |
/// | its sealed params | `JOB#<job id>` | `CONTENTS` | `sealed`, `parts` |
/// | a mail in the outbox | `JOB#<job id>` | `OUTBOX` | `sealed`, `parts`, `written_at`; `list_pk` = `W#<workspace>#OUTBOX`, `list_sk` as above |
/// | plan | `PLAN#<plan id>` | `PLAN` | `sealed`, `parts`, `workspace` |
/// | what is too long for an item | as the first | `<sk>#1` to `#9` | `sealed` |
/// | API key | `KEY#<key id>` | `KEY` | `body` (what is kept of it, as JSON); `list_pk` = `KEYS`, `list_sk` = `<created_at, 20 digits>#<key id>` |
/// | connected account | `CONNECTION#<workspace>#<provider>` | `CONNECTION` | `body` (the record as JSON, its tokens and address sealed), `version` |
/// | what is set for a workspace | `WORKSPACE#<workspace>` | `WORKSPACE` | `body` (as JSON) |
/// | entry of the audit | `AUDIT#<entry id>` | `AUDIT` | `body` (as JSON); `list_pk` = `W#<workspace>#AUDIT`, or `AUDIT` if it is of no workspace, `list_sk` = `<at, 20 digits>#<entry id>` |
/// | share of a rollout | `ROLLOUT#<provider>` | `ROLLOUT` | `percent` |
///
/// Times are microseconds since 1970. A record that expires has `expires_micros`, which reads and conditions use, and
/// `expires_at` in seconds, the table's TTL attribute: DynamoDB deletes late, even by days. An open job has neither. A
/// sealed text over 380,000 characters is split into several items, which one transaction writes.
///
/// | index (keys only) | keys | for |
/// | --- | --- | --- |
/// | `by_workspace` | `list_pk`, `list_sk` | a workspace's jobs; its outbox; its audit; all API keys. A change of a job does not touch it |
/// | `by_status` | `status_pk`, `list_sk` | its jobs of one status |
/// | `open_jobs` | `open_pk`, `due_at` | overdue jobs; holds open ones only, over 16 partitions by the hash in their id |
/// | `waiting_jobs` | `waits_pk`, `waits_since` | how long the oldest job waits that no worker has claimed |
///
/// An index lags by some milliseconds. That is harmless: it only names records, which are read consistently from the
/// table and skipped if they no longer fit. A record that the index does not name yet appears a moment later, and in the
/// next sweep.
///
/// # Calls
///
/// | what | calls |
/// | --- | --- |
/// | insert of up to 10 jobs (33 are possible), with the audit's entries | 1 TransactWriteItems |
/// | save | 1 PutItem; when the job ends 1 TransactWriteItems, as its contents' end is set too. 1 more when it is retried, when its contents lie in several items, and when they are gone |
/// | jobs | 1 GetItem, or 1 BatchGetItem for every 100 |
/// | contents, a job with its contents, plan | 1 Query for every MB |
/// | list of jobs, outbox, audit | 1 Query and 1 BatchGetItem for every 100 |
/// | overdue jobs | 16 Queries at once, then 1 BatchGetItem for every 100 |
/// | oldest unclaimed job | 16 Queries of one entry, at once |
/// | open jobs of a workspace | 2 Queries at once that count |
/// | plan and outbox entry written, rollout, settings of a workspace, connection, ping | 1 |
///
/// A call that conflicts with another transaction is tried six times, with growing pauses.
pub struct DynamoLedger {
    sdk: Arc<Sdk>,
    table: String,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    client: OnceCell<Client>,
}

impl DynamoLedger {
    /// The ledger in this table.
    pub fn new(sdk: Arc<Sdk>, table: impl Into<String>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { sdk, table: table.into(), clock, ids, client: OnceCell::new() }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| async { Client::new(self.sdk.config().await) }).await
    }

    /// Reads the jobs of these keys, in order; none for an expired job.
    async fn jobs_of(&self, keys: &[Item]) -> Result<Vec<Option<Job>>, LedgerError> {
        let ids = keys.iter().map(items::job_id).collect::<Result<Vec<JobId>, _>>()?;
        self.jobs(&ids).await
    }

    /// Writes a version of a job, and the new expiry of its contents.
    async fn save_with_contents(&self, job: &Job, item: Item) -> Result<Save, LedgerError> {
        let condition = Condition::version_before(job.revision, self.clock.now());
        let mut parts = 1;
        // Twice, as the first try tells how many parts the contents have.
        for _ in 0..2 {
            let mut actions: Vec<TransactWriteItem> = vec![self.put(item.clone(), Some(&condition))?];
            for part in 0..parts {
                actions.push(self.set_end(job, part, parts, job.contents_expire_at())?);
            }
            if let Some(entry) = job.audit() {
                actions.push(self.put(items::audit_item(&entry)?, None)?);
            }
            let reasons = match self.transact(&actions).await? {
                Written::Done => return Ok(Save::Done),
                Written::Refused(reasons) => reasons,
            };
            if let Some(Some(there)) = reasons.first() {
                return Ok(self.repeated(&item, there));
            }
            match reasons.get(1) {
                Some(Some(first)) if items::is_alive(first, self.clock.now()) && items::parts(first) > parts => {
                    parts = items::parts(first);
                }
                _ => break,
            }
        }
        // The contents have expired, so only the job is written.
        let mut actions = vec![self.put(item.clone(), Some(&condition))?];
        if let Some(entry) = job.audit() {
            actions.push(self.put(items::audit_item(&entry)?, None)?);
        }
        match self.transact(&actions).await? {
            Written::Done => Ok(Save::Done),
            Written::Refused(reasons) => {
                let there = reasons.into_iter().next().flatten().unwrap_or_default();
                Ok(self.repeated(&item, &there))
            }
        }
    }

    /// Writes items with an entry of the audit, all or none.
    async fn write_audited(&self, parts: Vec<Item>, audit: &AuditEntry) -> Result<(), LedgerError> {
        self.write([parts, vec![items::audit_item(audit)?]].concat(), None).await
    }

    /// The outcome of a refused save. The same version exists if an earlier write succeeded and only its answer was lost.
    fn repeated(&self, ours: &Item, there: &Item) -> Save {
        let same = ours.get("body") == there.get("body") && items::is_alive(there, self.clock.now());
        if same { Save::Done } else { Save::Stale }
    }

    /// Entries of the index of open jobs that were due before this time, the longest overdue first.
    async fn open_keys(&self, shard: u8, before: i64, limit: usize) -> Result<Vec<Item>, LedgerError> {
        let search = Search::open_before(shard, before);
        let mut keys = Vec::new();
        let mut start = None;
        loop {
            let (page, next) = self.page(&search, limit - keys.len(), start).await?;
            keys.extend(page);
            if keys.len() >= limit || next.is_none() {
                return Ok(keys);
            }
            start = next;
        }
    }

    async fn outbox_entry(&self, workspace: &WorkspaceId, first: Item) -> Result<Option<OutboxEntry>, LedgerError> {
        let job_id = items::job_id(&first)?;
        let written_at = items::time(&first, "written_at")?;
        let expires_at = items::time(&first, "expires_micros")?;
        let sealed = if items::parts(&first) == 1 {
            items::join(&[first])?
        } else {
            let Some((_, sealed)) = self.sealed(&items::job_pk(job_id), OUTBOX).await? else { return Ok(None) };
            sealed
        };
        Ok(Some(OutboxEntry { job_id, workspace: workspace.clone(), written_at, sealed, expires_at }))
    }

    /// A sealed text with its first item, if it has not expired.
    async fn sealed(&self, pk: &str, sk: &str) -> Result<Option<(Item, Sealed)>, LedgerError> {
        self.whole(self.parts(pk, sk, &items::part_sk(sk, items::LAST_PART)).await?, sk)
    }

    /// The sealed text that begins with the first of these items, with that item, if it has not expired.
    fn whole(&self, mut parts: Vec<Item>, sk: &str) -> Result<Option<(Item, Sealed)>, LedgerError> {
        let Some(first) = parts.first().filter(|first| first.get("sk") == Some(&items::text(sk))) else {
            return Ok(None);
        };
        // DynamoDB deletes the parts of an expired record one by one.
        if !items::is_alive(first, self.clock.now()) {
            return Ok(None);
        }
        let count = items::parts(first);
        // There may be more, left by a longer text that has expired.
        if parts.len() < count {
            return Err(LedgerError::permanent("a part of a sealed text is missing"));
        }
        parts.truncate(count);
        let sealed = items::join(&parts)?;
        Ok(Some((parts.swap_remove(0), sealed)))
    }
}

#[async_trait]
impl Jobs for DynamoLedger {
    async fn insert_jobs(&self, jobs: &[(Job, Contents)]) -> Result<Insert, LedgerError> {
        let ids: HashSet<JobId> = jobs.iter().map(|(job, _)| job.job_id).collect();
        if ids.len() < jobs.len() {
            return Ok(Insert::Taken);
        }
        if jobs.is_empty() {
            return Ok(Insert::Done);
        }
        let free = Condition::free(self.clock.now());
        let mut actions = Vec::with_capacity(2 * jobs.len());
        for (job, contents) in jobs {
            actions.push(self.put(items::job_item(job)?, Some(&free))?);
            let key = items::key(&items::job_pk(job.job_id), CONTENTS);
            // Anything that an expired job left has expired too.
            for part in items::sealed_items(key, &contents.0, job.contents_expire_at())? {
                actions.push(self.put(part, None)?);
            }
            if let Some(entry) = job.audit() {
                actions.push(self.put(items::audit_item(&entry)?, None)?);
            }
        }
        match self.transact(&actions).await? {
            Written::Done => Ok(Insert::Done),
            Written::Refused(_) => Ok(Insert::Taken),
        }
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, LedgerError> {
        let keys: HashSet<String> = ids.iter().copied().map(items::job_pk).collect();
        let found = self.get(keys, JOB).await?;
        let now = self.clock.now();
        ids.iter()
            .map(|id| {
                let item = found.get(&items::job_pk(*id)).filter(|item| items::is_alive(item, now));
                item.map(items::read_job).transpose()
            })
            .collect()
    }

    async fn save(&self, job: &Job) -> Result<Save, LedgerError> {
        let item = items::job_item(job)?;
        if job.state.has_ended() {
            return self.save_with_contents(job, item).await;
        }
        let Some(there) = self.put_item(item.clone(), Some(&Condition::open_before(job.revision))).await? else {
            return Ok(Save::Done);
        };
        let before = items::integer(&there, "revision").is_some_and(|there| there == before(job.revision));
        if before && items::is_alive(&there, self.clock.now()) {
            // The version before had ended: the job is tried again, and keeps its contents for it.
            return self.save_with_contents(job, item).await;
        }
        Ok(self.repeated(&item, &there))
    }

    async fn contents(&self, id: JobId) -> Result<Option<Contents>, LedgerError> {
        let found = self.sealed(&items::job_pk(id), CONTENTS).await?;
        Ok(found.map(|(_, sealed)| Contents(sealed)))
    }

    /// They lie side by side, so that one query reads both.
    async fn job_with_contents(&self, id: JobId) -> Result<Option<(Job, Option<Contents>)>, LedgerError> {
        let mut found = self.parts(&items::job_pk(id), CONTENTS, JOB).await?;
        let Some(item) = found.pop_if(|last| last.get("sk") == Some(&items::text(JOB))) else { return Ok(None) };
        if !items::is_alive(&item, self.clock.now()) {
            return Ok(None);
        }
        let contents = self.whole(found, CONTENTS)?.map(|(_, sealed)| Contents(sealed));
        Ok(Some((items::read_job(&item)?, contents)))
    }

    async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        let after = filter.after.map(|last| items::place(last.created_at, last.job_id.0));
        let search = match filter.status {
            None => Search::list(items::jobs_list(&filter.workspace), after),
            Some(status) => Search::of_status(items::status_list(&filter.workspace, status), after),
        };
        let mut listed = Vec::new();
        let mut start = None;
        while listed.len() < filter.limit {
            let size = (filter.limit - listed.len()).clamp(LEAST_PAGE, MOST_PAGE);
            let (keys, next) = self.page(&search, size, start).await?;
            let jobs = self.jobs_of(&keys).await?;
            // A job whose status or place has changed since the index was written belongs to another list.
            listed.extend(keys.iter().zip(jobs).filter_map(|(key, job)| {
                job.filter(|job| {
                    filter.status.is_none_or(|status| job.state.status() == status)
                        && key.get("list_sk") == Some(&items::text(items::place(job.created_at, job.job_id.0)))
                })
            }));
            start = next;
            if start.is_none() {
                break;
            }
        }
        listed.truncate(filter.limit);
        Ok(listed)
    }

    async fn overdue_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let before = before.as_microsecond();
        let shards = try_join_all((0..SHARDS).map(|shard| self.open_keys(shard, before, limit))).await?;
        let mut keys: Vec<Item> = shards.into_iter().flatten().collect();
        keys.sort_by_key(|key| items::integer(key, "due_at"));
        keys.truncate(limit);
        let mut jobs: Vec<Job> = self.jobs_of(&keys).await?.into_iter().flatten().collect();
        // Some may have ended or been touched since the index was written.
        jobs.retain(|job| !job.state.has_ended() && job.due_at().as_microsecond() < before);
        jobs.sort_by_key(|job| (job.due_at(), job.job_id));
        Ok(jobs)
    }

    async fn open_jobs(&self, workspace: &WorkspaceId, at_most: usize) -> Result<usize, LedgerError> {
        let counts = [JobStatus::Pending, JobStatus::Running].map(|status| {
            let search = Search::of_status(items::status_list(workspace, status), None);
            async move { self.count(&search, at_most).await }
        });
        Ok(try_join_all(counts).await?.into_iter().sum::<usize>().min(at_most))
    }

    async fn oldest_unclaimed(&self) -> Result<Option<Timestamp>, LedgerError> {
        let first = async |shard| {
            let (keys, _) = self.page(&Search::waiting(shard), 1, None).await?;
            keys.first().map(|key| items::time(key, "waits_since")).transpose()
        };
        Ok(try_join_all((0..SHARDS).map(first)).await?.into_iter().flatten().min())
    }

    /// Ends none: other workers share this ledger, and leases expire.
    async fn void_leases(&self, _: Timestamp) -> Result<u64, LedgerError> {
        Ok(0)
    }
}

#[async_trait]
impl Plans for DynamoLedger {
    async fn put_plans(&self, plans: &[StoredPlan], audit: &AuditEntry) -> Result<(), LedgerError> {
        let items: Result<Vec<_>, _> = plans.iter().map(items::plan_items).collect();
        self.write_audited(items?.concat(), audit).await
    }

    async fn plan(
        &self,
        workspace: &WorkspaceId,
        id: PlanId,
        now: Timestamp,
    ) -> Result<Option<StoredPlan>, LedgerError> {
        let Some((first, sealed)) = self.sealed(&items::plan_pk(id), PLAN).await? else { return Ok(None) };
        if items::string(&first, "workspace")? != workspace.as_str() || !items::is_alive(&first, now) {
            return Ok(None);
        }
        let expires_at = items::time(&first, "expires_micros")?;
        Ok(Some(StoredPlan { plan_id: id, workspace: workspace.clone(), sealed, expires_at }))
    }
}

#[async_trait]
impl Outbox for DynamoLedger {
    async fn put_outbox(&self, entry: &OutboxEntry) -> Result<(), LedgerError> {
        self.write(items::outbox_items(entry)?, Some(&Condition::free(self.clock.now()))).await
    }

    async fn outbox(&self, workspace: &WorkspaceId, limit: usize) -> Result<Vec<OutboxEntry>, LedgerError> {
        let search = Search::list(items::outbox_list(workspace), None);
        let mut entries = Vec::new();
        let mut start = None;
        while entries.len() < limit {
            let size = (limit - entries.len()).clamp(LEAST_PAGE, MOST_PAGE);
            let (keys, next) = self.page(&search, size, start).await?;
            let ids = keys.iter().map(items::job_id).collect::<Result<Vec<JobId>, _>>()?;
            let pks: Vec<String> = ids.into_iter().map(items::job_pk).collect();
            let mut found = self.get(pks.iter().cloned().collect(), OUTBOX).await?;
            let now = self.clock.now();
            for first in pks.iter().filter_map(|pk| found.remove(pk)).filter(|item| items::is_alive(item, now)) {
                entries.extend(self.outbox_entry(workspace, first).await?);
            }
            start = next;
            if start.is_none() {
                break;
            }
        }
        entries.truncate(limit);
        Ok(entries)
    }
}

#[async_trait]
impl Keys for DynamoLedger {
    async fn put_key(&self, key: &KeyRecord) -> Result<bool, LedgerError> {
        let free = Condition::free(self.clock.now());
        let audit = items::audit_item(&key.audit_of_making())?;
        let actions = [self.put(items::key_item(key)?, Some(&free))?, self.put(audit, None)?];
        Ok(matches!(self.transact(&actions).await?, Written::Done))
    }

    async fn key(&self, id: &KeyId) -> Result<Option<KeyRecord>, LedgerError> {
        let pk = items::key_pk(id);
        let found = self.get(HashSet::from([pk.clone()]), KEY).await?;
        found.get(&pk).map(items::read_key).transpose()
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, LedgerError> {
        let search = Search::list(items::KEYS_LIST.to_owned(), None);
        let mut keys = Vec::new();
        let mut start = None;
        loop {
            let (entries, next) = self.page(&search, MOST_PAGE, start).await?;
            let pks = entries.iter().map(|entry| items::string(entry, "pk").map(ToOwned::to_owned));
            let found = self.get(pks.collect::<Result<_, _>>()?, KEY).await?;
            keys.extend(found.values().map(items::read_key).collect::<Result<Vec<_>, _>>()?);
            start = next;
            if start.is_none() {
                break;
            }
        }
        keys.sort_by(|a, b| (a.created_at, &a.key_id).cmp(&(b.created_at, &b.key_id)));
        Ok(keys)
    }

    async fn revoke_key(&self, id: &KeyId, now: Timestamp) -> Result<bool, LedgerError> {
        let Some(mut key) = self.key(id).await? else { return Ok(false) };
        let revoked_at = *key.revoked_at.get_or_insert(now);
        self.write_audited(vec![items::key_item(&key)?], &key.audit_of_end(revoked_at)).await?;
        Ok(true)
    }
}

#[async_trait]
impl Connections for DynamoLedger {
    async fn connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
    ) -> Result<Option<StoredConnection>, LedgerError> {
        let pk = items::connection_pk(workspace, provider);
        let found = self.get(HashSet::from([pk.clone()]), CONNECTION).await?;
        found.get(&pk).map(items::read_connection).transpose()
    }

    async fn put_connection(&self, connection: &StoredConnection, over: Option<Uuid>) -> Result<Save, LedgerError> {
        let condition = over.map_or_else(|| Condition::free(self.clock.now()), Condition::is_version);
        let item = items::connection_item(connection)?;
        Ok(match self.put_item(item.clone(), Some(&condition)).await? {
            // The same version may be there because it was written before and only the answer was lost.
            Some(there) if there.get("version") != item.get("version") => Save::Stale,
            _ => Save::Done,
        })
    }

    async fn delete_connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        version: Uuid,
    ) -> Result<Save, LedgerError> {
        let key = items::key(&items::connection_pk(workspace, provider), CONNECTION);
        let deleted = self.delete_item(key, &Condition::is_version_or_gone(version)).await?;
        Ok(if deleted { Save::Done } else { Save::Stale })
    }
}

#[async_trait]
impl Settings for DynamoLedger {
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, LedgerError> {
        let pk = items::rollout_pk(provider);
        let found = self.get(HashSet::from([pk.clone()]), ROLLOUT).await?;
        Ok(found.get(&pk).and_then(|item| items::integer(item, "percent")).and_then(|percent| percent.try_into().ok()))
    }

    async fn set_rollout_percent(
        &self,
        provider: Provider,
        percent: u8,
        audit: &AuditEntry,
    ) -> Result<(), LedgerError> {
        if percent > 100 {
            return Err(LedgerError::permanent("a rollout is 0 to 100 percent"));
        }
        let mut item = items::key(&items::rollout_pk(provider), ROLLOUT);
        item.insert("percent".to_owned(), items::number(&percent));
        self.write_audited(vec![item], audit).await
    }

    async fn workspace(&self, id: &WorkspaceId) -> Result<Option<WorkspaceSettings>, LedgerError> {
        let pk = items::workspace_pk(id);
        let found = self.get(HashSet::from([pk.clone()]), WORKSPACE).await?;
        found.get(&pk).map(items::read_body).transpose()
    }

    async fn put_workspace(
        &self,
        id: &WorkspaceId,
        settings: &WorkspaceSettings,
        audit: &AuditEntry,
    ) -> Result<(), LedgerError> {
        let mut item = items::key(&items::workspace_pk(id), WORKSPACE);
        item.insert("body".to_owned(), items::body(settings)?);
        self.write_audited(vec![item], audit).await
    }
}

#[async_trait]
impl Audit for DynamoLedger {
    async fn put_audit(&self, entry: &AuditEntry) -> Result<(), LedgerError> {
        let free = Condition::free(self.clock.now());
        self.put_item(items::audit_item(entry)?, Some(&free)).await.map(drop)
    }

    async fn list_audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, LedgerError> {
        let after = filter.after.map(|last| items::place(last.at, last.entry_id));
        let search = Search::list(items::audit_list(filter.workspace.as_ref()), after);
        let mut listed = Vec::new();
        let mut start = None;
        while listed.len() < filter.limit {
            let size = (filter.limit - listed.len()).clamp(LEAST_PAGE, MOST_PAGE);
            let (keys, next) = self.page(&search, size, start).await?;
            let pks: Vec<String> =
                keys.iter().map(|key| items::string(key, "pk").map(ToOwned::to_owned)).collect::<Result<_, _>>()?;
            let found = self.get(pks.iter().cloned().collect(), AUDIT).await?;
            let now = self.clock.now();
            for item in pks.iter().filter_map(|pk| found.get(pk)).filter(|item| items::is_alive(item, now)) {
                listed.push(items::read_body(item)?);
            }
            start = next;
            if start.is_none() {
                break;
            }
        }
        listed.truncate(filter.limit);
        Ok(listed)
    }
}

#[async_trait]
impl Upkeep for DynamoLedger {
    /// Nothing to do: DynamoDB deletes what has expired.
    async fn erase_expired(&self, _: Timestamp) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.get(HashSet::from(["PING".to_owned()]), "PING").await.map(drop)
    }
}

/// The revision before; as DynamoDB's numbers are read here.
fn before(revision: u64) -> i64 {
    i64::try_from(revision).map_or(i64::MAX, |revision| revision - 1)
}
