//! The ledger's ports over a store of [`Records`]: the record of each aggregate, and the precondition of each write.

pub(crate) mod chain;
mod job_body;
mod records;

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    AuditEntry, AuditHead, AuditVerdict, ContentHash, Delivery, DeliveryId, EndpointId, Job, JobId, KeyId, KeyRecord,
    Notice, PlanId, Provider, WorkspaceId, WorkspaceSettings, sha256_hex,
};
use engine::{
    JobMessage,
    ports::{
        Audit, AuditFilter, Connections, Contents, Endpoints, Held, Insert, JobFilter, JobList, Jobs, Keys,
        LedgerError, Outbox, OutboxEntry, Plans, Position, Purpose, Queue, Save, Sealed, SealedPage, SealedText,
        SealedTexts, Settings, StoredConnection, StoredPlan, Upkeep, Webhooks,
    },
};
use futures_util::future::try_join_all;
use jiff::{Timestamp, civil::Date};
pub use records::{Derive, END, Found, If, Key, List, Record, Records, SCANNED, Scanned, Write, Written, place};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// The ledger over a store of records.
///
/// | record | partition, kind | body | list, place |
/// | --- | --- | --- | --- |
/// | job | `JOB#<job id>`, `JOB` | the job; its revision is the version | `W#<workspace>`, by acceptance; with the status `open` while it is pending or running, and `error` if it ended so |
/// | its params | `JOB#<job id>`, `CONTENTS` | sealed | |
/// | a mail in the outbox | `JOB#<job id>`, `OUTBOX` | sealed | `W#<workspace>#OUTBOX`, by time of writing |
/// | plan | `PLAN#<workspace>#<plan id>`, `PLAN` | sealed | |
/// | API key | `KEY#<key id>`, `KEY` | its record | `KEYS`, by time of making |
/// | its last day of use | `USED#<key id>`, `USED` | the day, which is the version | |
/// | connected account | `CONNECTION#<workspace>#<provider>`, `CONNECTION` | its record, tokens and address sealed | `ACCOUNT#<provider>#<account>`, by workspace |
/// | settings of a workspace | `WORKSPACE#<workspace>`, `WORKSPACE` | the settings | |
/// | entry of the audit | `AUDIT#<workspace, or nothing>#<place>`, `AUDIT` | the entry, linked to the one before | `AUDIT#<workspace, or nothing>`, by time |
/// | head of a chain | `CHAIN#<list>#<chain>`, `CHAIN` | its last entry; its sequence is the version | `CHAINS`, by list and chain |
/// | share of a rollout | `ROLLOUT#<provider>`, `ROLLOUT` | percent | |
/// | webhook endpoints of a workspace | `WEBHOOKS#<workspace>`, `WEBHOOKS` | all of them, URLs and secrets sealed | |
/// | delivery of a webhook | `DELIVERY#<delivery id>`, `DELIVERY` | the delivery; its revision is the version | `W#<workspace>#<endpoint id>`, by time of the event |
///
/// Bodies are JSON unless sealed. A workspace's id contains no `#`. A job is due while it is open, and waits until a
/// worker claims it. A held job has the name `HELD`, and one that went out, or may have, the name
/// `SENT#<workspace>#<beginning of its content's hash>`, by the time of its end. A delivery is due while it is open.
///
/// A write that endpoints are told of writes their deliveries too, and sends their messages.
pub struct RecordLedger<R> {
    pub(crate) records: R,
    pub(crate) queue: Option<Arc<dyn Queue>>,
}

/// The deliveries that came with a write.
#[derive(Default)]
struct Told(Arc<Mutex<Vec<Delivery>>>);

impl Told {
    /// The write of the deliveries of a notice, or of those of all notices of one workspace.
    fn write(&self, notices: Vec<Notice>) -> Option<Write> {
        let told = Arc::clone(&self.0);
        let key = webhooks_key(&notices.first()?.workspace_id);
        let derive = move |found: &Found| {
            let endpoints = read::<Endpoints>(found)?.endpoints;
            let mut deliveries = Vec::new();
            for notice in &notices {
                let wanted = endpoints.iter().filter(|endpoint| endpoint.wants(notice));
                let to: Vec<EndpointId> = wanted.map(|endpoint| endpoint.endpoint_id).collect();
                match notices.len() {
                    1 => deliveries.extend(to.into_iter().map(|endpoint| Delivery::new(notice, endpoint))),
                    _ if to.is_empty() => {}
                    _ => deliveries.push(Delivery::to_all(notice, to)),
                }
            }
            let records = deliveries.iter().map(delivery_record).collect();
            *told.lock().unwrap_or_else(PoisonError::into_inner) = deliveries;
            records
        };
        Some(Write::Derived(key, Derive(Arc::new(derive))))
    }

    fn take(self) -> Vec<Delivery> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<R: Records> RecordLedger<R> {
    /// The same ledger, which sends the messages of new deliveries through a queue. Without one, the sweep does.
    #[must_use]
    pub fn announcing(self, queue: Arc<dyn Queue>) -> Self {
        Self { queue: Some(queue), ..self }
    }

    /// Sends the messages of new deliveries.
    async fn announce(&self, new: &[Delivery]) {
        let Some(queue) = self.queue.as_ref().filter(|_| !new.is_empty()) else { return };
        let messages: Vec<_> = new.iter().map(|delivery| JobMessage::of_delivery(delivery, Duration::ZERO)).collect();
        if let Err(error) = queue.send(&messages).await {
            tracing::warn!(%error, "messages of new deliveries were not sent; the sweep will");
        }
    }

    async fn get(&self, key: Key) -> Result<Option<Found>, LedgerError> {
        Ok(self.records.get(vec![key], None).await?.pop().flatten())
    }

    async fn read<T: DeserializeOwned>(&self, key: Key) -> Result<Option<T>, LedgerError> {
        self.get(key).await?.as_ref().map(read).transpose()
    }

    /// Writes a record and an entry of the audit, whatever is there.
    async fn put_audited(&self, record: Record, audit: &AuditEntry) -> Result<(), LedgerError> {
        self.records.write(vec![Write::Put(record, If::Any)], vec![audited(audit)?]).await.map(drop)
    }

    /// Writes a version of a record over another one, and `more` with it.
    async fn save_version(
        &self,
        record: Record,
        condition: If,
        more: Vec<Write>,
        entry: Option<AuditEntry>,
    ) -> Result<Save, LedgerError> {
        let body = record.body.clone();
        let writes = std::iter::once(Write::Put(record, condition)).chain(more).collect();
        let entries = entry.iter().map(audited).collect::<Result<_, _>>()?;
        Ok(match self.records.write(writes, entries).await? {
            // The same version exists if an earlier write succeeded and only its answer was lost.
            Written::Refused(there) if there.as_ref().is_none_or(|there| there.body != body) => Save::Stale,
            _ => Save::Done,
        })
    }

    /// Writes a version of a record, with the deliveries of a notice, and sends their messages.
    async fn save_and_tell(
        &self,
        record: Record,
        condition: If,
        mut more: Vec<Write>,
        entry: Option<AuditEntry>,
        notice: Option<Notice>,
    ) -> Result<Save, LedgerError> {
        let told = Told::default();
        more.extend(told.write(notice.into_iter().collect()));
        let saved = self.save_version(record, condition, more, entry).await?;
        if saved == Save::Done {
            self.announce(&told.take()).await;
        }
        Ok(saved)
    }
}

#[async_trait]
impl<R: Records> Jobs for RecordLedger<R> {
    async fn insert_jobs(&self, jobs: &[(Job, Contents)]) -> Result<Insert, LedgerError> {
        let ids: HashSet<JobId> = jobs.iter().map(|(job, _)| job.job_id).collect();
        if ids.len() < jobs.len() {
            return Ok(Insert::Taken);
        }
        let mut writes = Vec::with_capacity(2 * jobs.len());
        for (job, Contents(Sealed(sealed))) in jobs {
            let mut contents = Record::new(contents_key(job.job_id), sealed.clone());
            contents.expires_at = job.contents_expire_at();
            writes.extend([Write::Put(job_record(job)?, If::Absent), Write::Put(contents, If::Any)]);
        }
        let told = Told::default();
        writes.extend(told.write(jobs.iter().filter_map(|(job, _)| Notice::of_job(job)).collect()));
        let entries = jobs.iter().filter_map(|(job, _)| job.audit()).map(|entry| audited(&entry));
        Ok(match self.records.write(writes, entries.collect::<Result<_, _>>()?).await? {
            Written::Done => {
                self.announce(&told.take()).await;
                Insert::Done
            }
            Written::Refused(_) => Insert::Taken,
        })
    }

    async fn jobs(&self, workspace: &WorkspaceId, ids: &[JobId]) -> Result<Vec<Option<Job>>, LedgerError> {
        let list = Some(jobs_list(workspace, JobList::All).name);
        let found = self.records.get(ids.iter().copied().map(job_key).collect(), list).await?;
        found.iter().map(|found| found.as_ref().map(read_job).transpose()).collect()
    }

    async fn save(&self, job: &Job) -> Result<Save, LedgerError> {
        let before = If::Version(job.revision.saturating_sub(1).to_string());
        let (mut more, entry) = (Vec::new(), job.audit());
        // Only an audited version ends a job or opens it again, and so changes when its contents expire.
        if entry.is_some() {
            more.push(Write::Expire(contents_key(job.job_id), job.contents_expire_at()));
        }
        self.save_and_tell(job_record(job)?, before, more, entry, Notice::of_job(job)).await
    }

    async fn contents_of(&self, ids: &[JobId]) -> Result<Vec<Option<Contents>>, LedgerError> {
        let found = self.records.get(ids.iter().copied().map(contents_key).collect(), None).await?;
        Ok(found.into_iter().map(|found| Some(Contents(Sealed(found?.body)))).collect())
    }

    async fn job_with_contents(
        &self,
        workspace: &WorkspaceId,
        id: JobId,
    ) -> Result<Option<(Job, Option<Contents>)>, LedgerError> {
        let mut found = self.records.get(vec![job_key(id), contents_key(id)], None).await?;
        let sealed = found.pop().flatten();
        let Some(job) = found.pop().flatten().as_ref().map(read_job).transpose()? else { return Ok(None) };
        if job.workspace_id != *workspace {
            return Ok(None);
        }
        Ok(Some((job, sealed.map(|found| Contents(Sealed(found.body))))))
    }

    async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        let list = jobs_list(&filter.workspace, filter.list);
        let mut before = before(filter.after);
        let mut jobs = Vec::new();
        loop {
            let found = self.records.list(list.clone(), before, filter.limit).await?;
            jobs.extend(found.iter().filter_map(readable));
            // A record that cannot be read leaves its place in the page to the next one.
            let more = found.last().filter(|_| found.len() == filter.limit && jobs.len() < filter.limit);
            jobs.truncate(filter.limit);
            let Some(place) = more.and_then(|found| found.place.clone()) else { return Ok(jobs) };
            before = place;
        }
    }

    async fn overdue_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError> {
        Ok(self.records.due("JOB", before, limit).await?.iter().filter_map(readable).collect())
    }

    async fn open_jobs(&self, workspace: &WorkspaceId, at_most: usize) -> Result<usize, LedgerError> {
        self.records.count(vec![jobs_list(workspace, JobList::Open)], at_most).await
    }

    async fn oldest_unclaimed(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.records.waiting_since().await
    }

    async fn held(&self, at_most: usize) -> Result<Held, LedgerError> {
        let (count, since) = self.records.named(HELD, at_most).await?;
        Ok(Held { count, since })
    }

    async fn last_with_content(
        &self,
        workspace: &WorkspaceId,
        content: &ContentHash,
        now: Timestamp,
    ) -> Result<Option<Job>, LedgerError> {
        let job = self.records.latest(sent(workspace, content)).await?.as_ref().map(read_job).transpose()?;
        let is_recent = |job: &Job| job.may_repeat_until().is_some_and(|until| now < until);
        Ok(job.filter(|job| job.content_hash.as_ref() == Some(content) && is_recent(job)))
    }

    /// Ends none where other workers share the ledger: their leases expire.
    async fn void_leases(&self, now: Timestamp) -> Result<u64, LedgerError> {
        if R::SHARED {
            return Ok(0);
        }
        let open = self.overdue_jobs(Timestamp::MAX, usize::MAX).await?;
        let voided = open
            .iter()
            .filter(|job| job.lease.is_some())
            .map(async |job| self.save(&job.orphaned(now).map_err(LedgerError::permanent)?).await);
        let saves = try_join_all(voided).await?;
        Ok(saves.iter().map(|save| u64::from(*save == Save::Done)).sum())
    }
}

#[async_trait]
impl<R: Records> Plans for RecordLedger<R> {
    async fn put_plans(&self, plans: &[StoredPlan], audit: &AuditEntry) -> Result<(), LedgerError> {
        let plans = plans.iter().map(|StoredPlan { plan_id, workspace, sealed, expires_at }| {
            let mut record = Record::new(plan_key(workspace, *plan_id), sealed.0.clone());
            record.expires_at = Some(*expires_at);
            Write::Put(record, If::Any)
        });
        self.records.write(plans.collect(), vec![audited(audit)?]).await.map(drop)
    }

    async fn plan(
        &self,
        workspace: &WorkspaceId,
        id: PlanId,
        now: Timestamp,
    ) -> Result<Option<StoredPlan>, LedgerError> {
        Ok(self.get(plan_key(workspace, id)).await?.and_then(|found| {
            let expires_at = found.expires_at.filter(|end| *end > now)?;
            Some(StoredPlan { plan_id: id, workspace: workspace.clone(), sealed: Sealed(found.body), expires_at })
        }))
    }
}

#[async_trait]
impl<R: Records> Outbox for RecordLedger<R> {
    async fn put_outbox(&self, entry: &OutboxEntry) -> Result<(), LedgerError> {
        let OutboxEntry { job_id, workspace, written_at, sealed, expires_at } = entry;
        let mut record = Record::new(key(format!("JOB#{job_id}"), "OUTBOX"), sealed.0.clone());
        record.expires_at = Some(*expires_at);
        record.list = Some((outbox_list(workspace), place(*written_at, job_id)));
        self.records.write(vec![Write::Put(record, If::Absent)], Vec::new()).await.map(drop)
    }

    async fn outbox(
        &self,
        workspace: &WorkspaceId,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<OutboxEntry>, LedgerError> {
        let entry = |found: Found| {
            let (micros, id) = found.place.as_deref()?.split_once('#')?;
            Some(OutboxEntry {
                job_id: id.parse().ok()?,
                workspace: workspace.clone(),
                written_at: Timestamp::from_microsecond(micros.parse().ok()?).ok()?,
                expires_at: found.expires_at?,
                sealed: Sealed(found.body),
            })
        };
        let found = self.records.list(outbox_list(workspace), before(after), limit).await?;
        Ok(found.into_iter().filter_map(entry).collect())
    }
}

#[async_trait]
impl<R: Records> Keys for RecordLedger<R> {
    async fn put_key(&self, key: &KeyRecord) -> Result<bool, LedgerError> {
        let write = self.records.write(vec![Write::Put(key_record(key)?, If::Absent)], vec![audited(&key.audit())?]);
        Ok(matches!(write.await?, Written::Done))
    }

    async fn key(&self, id: &KeyId) -> Result<Option<KeyRecord>, LedgerError> {
        self.read(key_key(id)).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, LedgerError> {
        let mut keys = read_all(&self.records.list(keys_list(), END.to_owned(), usize::MAX).await?)?;
        keys.reverse();
        Ok(keys)
    }

    async fn revoke_key(&self, id: &KeyId, now: Timestamp) -> Result<bool, LedgerError> {
        let Some(mut key) = self.key(id).await? else { return Ok(false) };
        key.revoked_at.get_or_insert(now);
        self.put_audited(key_record(&key)?, &key.audit()).await?;
        Ok(true)
    }

    async fn last_used(&self, ids: &[KeyId]) -> Result<Vec<Option<Date>>, LedgerError> {
        let found = self.records.get(ids.iter().map(used_key).collect(), None).await?;
        Ok(found.into_iter().map(|found| found?.body.parse().ok()).collect())
    }

    async fn put_last_used(&self, id: &KeyId, day: Date) -> Result<(), LedgerError> {
        let (there, day) = (self.get(used_key(id)).await?, day.to_string());
        let condition = match there {
            Some(there) if there.body >= day => return Ok(()),
            Some(there) => If::Version(there.body),
            None => If::Absent,
        };
        let record = Record { version: Some(day.clone()), ..Record::new(used_key(id), day) };
        // Whoever was quicker wrote the same day.
        self.records.write(vec![Write::Put(record, condition)], Vec::new()).await.map(drop)
    }
}

#[async_trait]
impl<R: Records> Connections for RecordLedger<R> {
    async fn connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
    ) -> Result<Option<StoredConnection>, LedgerError> {
        self.read(connection_key(workspace, provider)).await
    }

    async fn is_connected(
        &self,
        provider: Provider,
        account: &str,
        elsewhere_than: Option<&WorkspaceId>,
    ) -> Result<bool, LedgerError> {
        let found = self.records.list(account_list(provider, account), END.to_owned(), 2).await?;
        let connections: Vec<StoredConnection> = read_all(&found)?;
        Ok(connections.iter().any(|connection| Some(&connection.workspace) != elsewhere_than))
    }

    async fn put_connection(&self, connection: &StoredConnection, over: Option<Uuid>) -> Result<Save, LedgerError> {
        let key = connection_key(&connection.workspace, connection.provider);
        let mut record = Record::new(key, json(connection)?);
        record.version = Some(connection.version.to_string());
        record.list = Some((account_list(connection.provider, &connection.account), connection.workspace.to_string()));
        let condition = over.map_or(If::Absent, |over| If::Version(over.to_string()));
        let notice = connection.needs_reauth_since.map(|since| {
            let StoredConnection { workspace, provider, version, .. } = connection;
            Notice::of_connection(workspace, *provider, *version, since)
        });
        self.save_and_tell(record, condition, Vec::new(), None, notice).await
    }

    async fn delete_connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        version: Uuid,
    ) -> Result<Save, LedgerError> {
        let delete = Write::Delete(connection_key(workspace, provider), If::Version(version.to_string()));
        Ok(match self.records.write(vec![delete], Vec::new()).await? {
            Written::Refused(Some(_)) => Save::Stale,
            _ => Save::Done,
        })
    }
}

#[async_trait]
impl<R: Records> Settings for RecordLedger<R> {
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, LedgerError> {
        self.read(rollout_key(provider)).await
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
        self.put_audited(Record::new(rollout_key(provider), percent.to_string()), audit).await
    }

    async fn workspace(&self, id: &WorkspaceId) -> Result<Option<WorkspaceSettings>, LedgerError> {
        self.read(workspace_key(id)).await
    }

    async fn put_workspace(
        &self,
        id: &WorkspaceId,
        settings: &WorkspaceSettings,
        over: Option<&WorkspaceSettings>,
        audit: &AuditEntry,
    ) -> Result<Save, LedgerError> {
        let there = self.get(workspace_key(id)).await?;
        if there.as_ref().map(read::<WorkspaceSettings>).transpose()?.as_ref() != over {
            return Ok(Save::Stale);
        }
        let condition = match there {
            None => If::Absent,
            // A record from before there were versions.
            Some(there) => there.version.map_or(If::Any, If::Version),
        };
        let mut record = Record::new(workspace_key(id), json(settings)?);
        record.version = Some(sha256_hex(record.body.as_bytes()));
        self.save_version(record, condition, Vec::new(), Some(audit.clone())).await
    }
}

#[async_trait]
impl<R: Records> Audit for RecordLedger<R> {
    async fn put_audit(&self, entry: &AuditEntry) -> Result<(), LedgerError> {
        self.records.write(Vec::new(), vec![audited(entry)?]).await.map(drop)
    }

    async fn list_audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, LedgerError> {
        let list = audit_list(filter.workspace.as_ref());
        read_all(&self.records.list(list, before(filter.after), filter.limit).await?)
    }

    async fn audit_heads(&self, now: Timestamp) -> Result<Vec<AuditHead>, LedgerError> {
        chain::heads(&self.records, now).await
    }

    async fn verify_audit(
        &self,
        workspace: Option<&WorkspaceId>,
        logged: Option<&AuditHead>,
        now: Timestamp,
    ) -> Result<AuditVerdict, LedgerError> {
        chain::verify(&self.records, workspace, logged, now).await
    }
}

#[async_trait]
impl<R: Records> Webhooks for RecordLedger<R> {
    async fn endpoints(&self, workspace: &WorkspaceId) -> Result<Endpoints, LedgerError> {
        Ok(self.read(webhooks_key(workspace)).await?.unwrap_or_default())
    }

    async fn put_endpoints(
        &self,
        workspace: &WorkspaceId,
        endpoints: &Endpoints,
        over: Option<Uuid>,
        audit: &AuditEntry,
    ) -> Result<Save, LedgerError> {
        let mut record = Record::new(webhooks_key(workspace), json(endpoints)?);
        record.version = endpoints.version.map(|version| version.to_string());
        let condition = over.map_or(If::Absent, |over| If::Version(over.to_string()));
        self.save_version(record, condition, Vec::new(), Some(audit.clone())).await
    }

    async fn put_delivery(&self, delivery: &Delivery) -> Result<(), LedgerError> {
        self.records.write(vec![Write::Put(delivery_record(delivery)?, If::Absent)], Vec::new()).await?;
        self.announce(std::slice::from_ref(delivery)).await;
        Ok(())
    }

    async fn delivery(
        &self,
        workspace: &WorkspaceId,
        id: DeliveryId,
    ) -> Result<Option<(Delivery, Endpoints)>, LedgerError> {
        let mut found = self.records.get(vec![delivery_key(id), webhooks_key(workspace)], None).await?;
        let endpoints = found.pop().flatten().as_ref().map(read).transpose()?.unwrap_or_default();
        let delivery = found.pop().flatten().as_ref().map(read::<Delivery>).transpose()?;
        Ok(delivery.filter(|delivery| delivery.workspace_id == *workspace).map(|delivery| (delivery, endpoints)))
    }

    async fn save_delivery(&self, delivery: &Delivery) -> Result<Save, LedgerError> {
        let before = If::Version(delivery.revision.saturating_sub(1).to_string());
        self.save_version(delivery_record(delivery)?, before, Vec::new(), None).await
    }

    async fn spread_delivery(&self, delivery: &Delivery, now: Timestamp) -> Result<Save, LedgerError> {
        let (each, done) = delivery.spread(now);
        let before = If::Version(delivery.revision.to_string());
        let records = each.iter().map(|one| Ok(Write::Put(delivery_record(one)?, If::Any)));
        let more = records.collect::<Result<_, LedgerError>>()?;
        let saved = self.save_version(delivery_record(&done)?, before, more, None).await?;
        if saved == Save::Done {
            self.announce(&each).await;
        }
        Ok(saved)
    }

    async fn deliveries(
        &self,
        workspace: &WorkspaceId,
        endpoint: EndpointId,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Delivery>, LedgerError> {
        let list = deliveries_list(workspace, endpoint);
        read_all(&self.records.list(list, before(after), limit).await?)
    }

    async fn due_deliveries(&self, before: Timestamp, limit: usize) -> Result<Vec<Delivery>, LedgerError> {
        let due = self.records.due("DELIVERY", before, limit).await?;
        Ok(due.iter().filter_map(|found| if_readable(found, read(found))).collect())
    }
}

#[async_trait]
impl<R: Records> Upkeep for RecordLedger<R> {
    async fn erase_expired(&self, now: Timestamp) -> Result<(), LedgerError> {
        self.records.erase_expired(now).await
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.records.ping().await
    }
}

#[async_trait]
impl<R: Records> SealedTexts for RecordLedger<R> {
    async fn sealed_texts(&self, after: Option<String>) -> Result<SealedPage, LedgerError> {
        let (records, next) = self.records.scan(SEALED, after).await?;
        let owned = records.iter().filter(|(key, _)| ["CONTENTS", "OUTBOX"].contains(&key.kind));
        let owners: Vec<&String> = owned.map(|(key, _)| &key.partition).collect();
        let jobs = owners.iter().map(|partition| key((*partition).clone(), "JOB")).collect();
        let jobs = owners.into_iter().zip(self.records.get(jobs, None).await?);
        let workspaces: HashMap<&String, WorkspaceId> =
            jobs.filter_map(|(partition, job)| Some((partition, read_job(&job?).ok()?.workspace_id))).collect();
        let mut page = SealedPage { next, ..SealedPage::default() };
        for (key, found) in &records {
            match sealed_in(key, found, workspaces.get(&key.partition)) {
                Some(texts) => page.texts.extend(texts),
                None => page.unreadable += 1,
            }
        }
        Ok(page)
    }

    async fn replace_sealed(&self, text: &SealedText, with: &Sealed) -> Result<bool, LedgerError> {
        let key = sealed_key(text);
        let Some(Found { body, .. }) = self.get(key.clone()).await? else { return Ok(false) };
        // No two sealed texts are equal, and none needs an escape in JSON.
        let changed = body.replace(&text.sealed.0, &with.0);
        if changed == body {
            return Ok(false);
        }
        Ok(matches!(self.records.write(vec![Write::Body(key, [body, changed])], Vec::new()).await?, Written::Done))
    }
}

/// The name of jobs that wait for a person.
const HELD: &str = "HELD";

/// The kinds of records with sealed texts.
const SEALED: &[&str] = &["JOB", "CONTENTS", "OUTBOX", "PLAN", "CONNECTION", "WEBHOOKS"];

/// The sealed texts of a record; none if it cannot be read, or nobody knows whose it is.
fn sealed_in(key: &Key, found: &Found, workspace: Option<&WorkspaceId>) -> Option<Vec<SealedText>> {
    let (_, id) = key.partition.split_once('#')?;
    let text = |purpose, workspace: &WorkspaceId, id: &str, sealed: &str| SealedText {
        workspace: workspace.clone(),
        purpose,
        id: id.to_owned(),
        sealed: Sealed(sealed.to_owned()),
    };
    Some(match key.kind {
        "CONTENTS" => vec![text(Purpose::JobParams, workspace?, id, &found.body)],
        "OUTBOX" => vec![text(Purpose::Outbox, workspace?, id, &found.body)],
        "PLAN" => {
            let (workspace, id) = id.split_once('#')?;
            vec![text(Purpose::Plan, &workspace.parse().ok()?, id, &found.body)]
        }
        "CONNECTION" => {
            let stored: StoredConnection = read(found).ok()?;
            vec![text(Purpose::Connection, &stored.workspace, &stored.sealed_for(), &stored.sealed.0)]
        }
        "WEBHOOKS" => {
            let workspace = id.parse().ok()?;
            let endpoints = read::<Endpoints>(found).ok()?.endpoints;
            let sealed = |endpoint: &domain::Endpoint| {
                text(Purpose::Webhook, &workspace, &endpoint.endpoint_id.to_string(), &endpoint.sealed)
            };
            endpoints.iter().map(sealed).collect()
        }
        _ => {
            let job = read_job(found).ok()?;
            let parts = [(Purpose::JobResult, job.sealed_result), (Purpose::ProviderSays, job.sealed_provider_says)];
            let parts = parts.into_iter().filter_map(|(purpose, sealed)| Some((purpose, sealed?)));
            parts.map(|(purpose, sealed)| text(purpose, &job.workspace_id, id, &sealed)).collect()
        }
    })
}

/// The record that holds a sealed text.
fn sealed_key(SealedText { workspace, purpose, id, .. }: &SealedText) -> Key {
    match purpose {
        Purpose::JobParams => key(format!("JOB#{id}"), "CONTENTS"),
        Purpose::Outbox => key(format!("JOB#{id}"), "OUTBOX"),
        Purpose::Plan => key(format!("PLAN#{workspace}#{id}"), "PLAN"),
        Purpose::Connection => {
            let provider = id.split('/').next().unwrap_or_default();
            key(format!("CONNECTION#{workspace}#{provider}"), "CONNECTION")
        }
        Purpose::Webhook => webhooks_key(workspace),
        // `Consent` never comes here: a pending consent is in the cache, and no record holds it.
        Purpose::JobResult | Purpose::ProviderSays | Purpose::Consent => key(format!("JOB#{id}"), "JOB"),
    }
}

fn job_record(job: &Job) -> Result<Record, LedgerError> {
    let is_open = !job.state.has_ended();
    let list = jobs_list(&job.workspace_id, JobList::with(job.state.status()));
    Ok(Record {
        version: Some(job.revision.to_string()),
        expires_at: job.record_expires_at(),
        list: Some((list, place(job.created_at, job.job_id))),
        due_at: is_open.then(|| job.due_at()),
        due_from: is_open.then(|| job.due_from()),
        waits_since: job.waits_since(),
        name: job_name(job),
        ..Record::new(job_key(job.job_id), job_body::write(job)?)
    })
}

fn job_name(job: &Job) -> Option<(String, Timestamp)> {
    let held = job.held_since().map(|since| (HELD.to_owned(), since));
    held.or_else(|| {
        job.may_repeat_until()?;
        Some((sent(&job.workspace_id, job.content_hash.as_ref()?), job.finished_at?))
    })
}

fn delivery_record(delivery: &Delivery) -> Result<Record, LedgerError> {
    let list = deliveries_list(&delivery.workspace_id, delivery.endpoint_id);
    Ok(Record {
        version: Some(delivery.revision.to_string()),
        expires_at: delivery.record_expires_at(),
        list: Some((list, place(delivery.created_at, delivery.delivery_id))),
        due_at: delivery.due_at(),
        due_from: delivery.due_at(),
        ..Record::new(delivery_key(delivery.delivery_id), json(delivery)?)
    })
}

fn key_record(key: &KeyRecord) -> Result<Record, LedgerError> {
    let list = Some((keys_list(), place(key.created_at, &key.key_id)));
    Ok(Record { list, ..Record::new(key_key(&key.key_id), json(key)?) })
}

/// The entry of the audit. Its key begins with the time, so that new entries lie side by side.
pub(crate) fn audited(entry: &AuditEntry) -> Result<Record, LedgerError> {
    let list = audit_list(entry.workspace_id.as_ref());
    let place = place(entry.at, entry.entry_id);
    let mut record = Record::new(key(format!("{}#{place}", list.name), "AUDIT"), json(entry)?);
    record.expires_at = Some(entry.expires_at());
    record.list = Some((list, place));
    Ok(record)
}

/// Below the place of this entry.
fn before(after: Option<Position>) -> String {
    after.map_or_else(|| END.to_owned(), |last| place(last.at, last.id))
}

const fn key(partition: String, kind: &'static str) -> Key {
    Key { partition, kind }
}

fn job_key(id: JobId) -> Key {
    key(format!("JOB#{id}"), "JOB")
}

fn contents_key(id: JobId) -> Key {
    key(format!("JOB#{id}"), "CONTENTS")
}

fn sent(workspace: &WorkspaceId, content: &ContentHash) -> String {
    // Half of the hash is enough to find it.
    format!("SENT#{workspace}#{:.32}", content.as_str())
}

fn plan_key(workspace: &WorkspaceId, id: PlanId) -> Key {
    key(format!("PLAN#{workspace}#{id}"), "PLAN")
}

fn key_key(id: &KeyId) -> Key {
    key(format!("KEY#{id}"), "KEY")
}

fn used_key(id: &KeyId) -> Key {
    key(format!("USED#{id}"), "USED")
}

fn connection_key(workspace: &WorkspaceId, provider: Provider) -> Key {
    key(format!("CONNECTION#{workspace}#{}", provider.as_str()), "CONNECTION")
}

fn rollout_key(provider: Provider) -> Key {
    key(format!("ROLLOUT#{}", provider.as_str()), "ROLLOUT")
}

fn workspace_key(id: &WorkspaceId) -> Key {
    key(format!("WORKSPACE#{id}"), "WORKSPACE")
}

fn webhooks_key(workspace: &WorkspaceId) -> Key {
    key(format!("WEBHOOKS#{workspace}"), "WEBHOOKS")
}

fn delivery_key(id: DeliveryId) -> Key {
    key(format!("DELIVERY#{id}"), "DELIVERY")
}

fn jobs_list(workspace: &WorkspaceId, list: JobList) -> List {
    let status = match list {
        JobList::All => None,
        JobList::Open => Some("open"),
        JobList::Failed => Some("error"),
    };
    List { name: format!("W#{workspace}"), status }
}

fn deliveries_list(workspace: &WorkspaceId, endpoint: EndpointId) -> List {
    List { name: format!("W#{workspace}#{endpoint}"), status: None }
}

fn outbox_list(workspace: &WorkspaceId) -> List {
    List { name: format!("W#{workspace}#OUTBOX"), status: None }
}

fn account_list(provider: Provider, account: &str) -> List {
    List { name: format!("ACCOUNT#{}#{account}", provider.as_str()), status: None }
}

fn audit_list(workspace: Option<&WorkspaceId>) -> List {
    let workspace = workspace.map_or("", WorkspaceId::as_str);
    List { name: format!("AUDIT#{workspace}"), status: None }
}

fn keys_list() -> List {
    List { name: "KEYS".to_owned(), status: None }
}

/// A record with an invalid format. The JSON error's own text may quote the record, so it is left out.
fn unreadable(error: &serde_json::Error) -> LedgerError {
    let (line, column) = (error.line(), error.column());
    LedgerError::permanent(format!("a record has an invalid format, at line {line} column {column}"))
}

fn json(value: &impl Serialize) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|error| unreadable(&error))
}

fn read<T: DeserializeOwned>(found: &Found) -> Result<T, LedgerError> {
    serde_json::from_str(&found.body).map_err(|error| unreadable(&error))
}

fn read_job(found: &Found) -> Result<Job, LedgerError> {
    job_body::read(&found.body)
}

/// A job of a list, if it is readable.
fn readable(found: &Found) -> Option<Job> {
    if_readable(found, read_job(found))
}

/// A record of a list, or none, with a line in the log: one that cannot be read must not hide the others.
fn if_readable<T>(found: &Found, read: Result<T, LedgerError>) -> Option<T> {
    let place = found.place.as_deref().unwrap_or_default();
    read.inspect_err(|error| tracing::error!(%error, ledger.place = place, "a record is left out")).ok()
}

fn read_all<T: DeserializeOwned>(found: &[Found]) -> Result<Vec<T>, LedgerError> {
    found.iter().map(read).collect()
}
