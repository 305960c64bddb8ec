//! The engine's ports, played by the [`World`], and an action whose mails go to it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    Address, AuditEntry, Evidence, Job, JobId, KeyId, KeyRecord, PlanId, Provider, Violation, WorkspaceId,
    WorkspaceSettings,
};
use engine::{
    Engine, Rollouts, Settings,
    catalogue::Catalogue,
    keys::Keys,
    limits::{Limits, OpenJobs},
    ports::{
        About, Access, Action, Answer, AuditFilter, Authorization, Budget, Cache, CacheError, Call, Clock, Connection,
        ConnectionError, Connections, Consent, Contents, Delivery, Exchange, FirstSight, Granted, Guide, Identity, Ids,
        Insert, JobFilter, KeyClaim, Ledger, LedgerError, Model, ModelError, ModelRequest, OAuth, OAuthError,
        OAuthScopes, OutboxEntry, Passage, Purpose, Queue, QueueError, QueuedMessage, RenderError, Rendered,
        Reservation, Reserved, Save, Sealed, SendError, Sent, Stamp, StoredConnection, StoredPlan, Toll, Vault,
        VaultError,
    },
    settings::Workspaces,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use telemetry::Metrics;
use uuid::Uuid;

use crate::world::{Message, PROVIDER_TIMEOUT, Phase, Setup, Site, Twist, VISIBILITY, World};

/// The action that the explorer's jobs carry out.
pub const ACTION: &str = "test.send";
const SEND: &[&str] = &["send"];
const DRAFT: &[&str] = &["draft"];

/// An engine over `world`.
pub fn engine(world: &World) -> Engine {
    let about = About {
        id: ACTION,
        provider: Provider::Google,
        description: "Sends a mail of the explorer.",
        scopes: OAuthScopes { send: SEND, draft: DRAFT },
        guide: Guide::default(),
    };
    let world = Arc::new(world.clone());
    Engine {
        catalogue: Catalogue::new(vec![Arc::new(MailAction { about, world: World::clone(&world) })]),
        ledger: Arc::<World>::clone(&world),
        cache: Arc::<World>::clone(&world),
        budget: Arc::<World>::clone(&world),
        queue: Arc::<World>::clone(&world),
        model: Arc::<World>::clone(&world),
        connections: Arc::<World>::clone(&world),
        oauth: Arc::<World>::clone(&world),
        vault: Arc::<World>::clone(&world),
        clock: Arc::<World>::clone(&world),
        ids: world,
        rollouts: Rollouts::good_for(SignedDuration::ZERO),
        keys: Keys::default(),
        metrics: Metrics::detached(),
        workspaces: Workspaces::default(),
        open_jobs: OpenJobs::default(),
        settings: Settings {
            allowlist: std::iter::once(ACTION.parse().expect("an action id")).collect(),
            recipient_domains: domain::RecipientDomains::default(),
            require_plan: false,
            google_rollout_percent: 100,
            microsoft_rollout_percent: 100,
            max_tokens_per_minute: 0,
            public_url: "http://127.0.0.1:8787".to_owned(),
            limits: Limits { requests_per_key: 1, requests_per_workspace: 1, open_jobs: 1, prompt_bytes: 1 },
            provider_timeout: PROVIDER_TIMEOUT,
            visibility_timeout: VISIBILITY,
        },
    }
}

fn ledger_down<E>(_: E) -> LedgerError {
    LedgerError("cut off".to_owned())
}

#[async_trait]
impl Ledger for World {
    async fn insert_jobs(&self, jobs: &[(Job, Contents)]) -> Result<Insert, LedgerError> {
        let insert = self.write(Site::Insert, |state| {
            if jobs.iter().any(|(job, _)| state.jobs.contains_key(&job.job_id)) {
                return Insert::Taken;
            }
            for (job, contents) in jobs {
                state.jobs.insert(job.job_id, job.clone());
                state.contents.insert(job.job_id, contents.clone());
            }
            Insert::Done
        });
        insert.await.map_err(ledger_down)
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, LedgerError> {
        let find = |state: &mut crate::world::State| ids.iter().map(|id| state.jobs.get(id).cloned()).collect();
        self.read(Site::Jobs, find).await.map_err(ledger_down)
    }

    async fn save(&self, job: &Job) -> Result<Save, LedgerError> {
        self.write(Site::Save, |state| state.save(job)).await.map_err(ledger_down)
    }

    async fn contents(&self, id: JobId) -> Result<Option<Contents>, LedgerError> {
        self.read(Site::Contents, |state| state.contents.get(&id).cloned()).await.map_err(ledger_down)
    }

    async fn overdue_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError> {
        let find = |state: &mut crate::world::State| {
            let overdue = state.jobs.values().filter(|job| !job.state.has_ended() && job.due_at() < before);
            overdue.take(limit).cloned().collect()
        };
        self.read(Site::Overdue, find).await.map_err(ledger_down)
    }

    async fn put_outbox(&self, entry: &OutboxEntry) -> Result<(), LedgerError> {
        let put = self.write(Site::Outbox, |state| {
            if state.outbox.insert(entry.job_id) {
                state.deliver(None);
            }
        });
        put.await.map_err(ledger_down)
    }

    async fn rollout_percent(&self, _: Provider) -> Result<Option<u8>, LedgerError> {
        match self.read(Site::Rollout, |state| state.gate_shut.then_some(0)).await {
            Err(Twist::GateShut) => {
                self.lock().gate_shut = true;
                Ok(Some(0))
            }
            other => other.map_err(ledger_down),
        }
    }

    async fn list_jobs(&self, _: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        unused()
    }

    async fn oldest_unclaimed(&self) -> Result<Option<Timestamp>, LedgerError> {
        unused()
    }

    async fn void_leases(&self, _: Timestamp) -> Result<u64, LedgerError> {
        unused()
    }

    async fn put_plan(&self, _: &StoredPlan, _: &AuditEntry) -> Result<(), LedgerError> {
        unused()
    }

    async fn plan(&self, _: &WorkspaceId, _: PlanId, _: Timestamp) -> Result<Option<StoredPlan>, LedgerError> {
        unused()
    }

    async fn outbox(&self, _: &WorkspaceId, _: usize) -> Result<Vec<OutboxEntry>, LedgerError> {
        unused()
    }

    async fn set_rollout_percent(&self, _: Provider, _: u8, _: &AuditEntry) -> Result<(), LedgerError> {
        unused()
    }

    async fn workspace(&self, _: &WorkspaceId) -> Result<Option<WorkspaceSettings>, LedgerError> {
        Ok(None)
    }

    async fn put_workspace(&self, _: &WorkspaceId, _: &WorkspaceSettings, _: &AuditEntry) -> Result<(), LedgerError> {
        unused()
    }

    /// Refusals alone are written by themselves, and nobody waits for them.
    async fn put_audit(&self, _: &AuditEntry) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn list_audit(&self, _: &AuditFilter) -> Result<Vec<AuditEntry>, LedgerError> {
        unused()
    }

    async fn open_jobs(&self, _: &WorkspaceId, _: usize) -> Result<usize, LedgerError> {
        Ok(0)
    }

    async fn put_key(&self, _: &KeyRecord) -> Result<bool, LedgerError> {
        Ok(false)
    }

    async fn key(&self, _: &KeyId) -> Result<Option<KeyRecord>, LedgerError> {
        Ok(None)
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, LedgerError> {
        Ok(Vec::new())
    }

    async fn revoke_key(&self, _: &KeyId, _: Timestamp) -> Result<bool, LedgerError> {
        Ok(false)
    }

    async fn connection(&self, _: &WorkspaceId, _: Provider) -> Result<Option<StoredConnection>, LedgerError> {
        unused()
    }

    async fn put_connection(&self, _: &StoredConnection, _: Option<Uuid>) -> Result<Save, LedgerError> {
        unused()
    }

    async fn delete_connection(&self, _: &WorkspaceId, _: Provider, _: Uuid) -> Result<Save, LedgerError> {
        unused()
    }

    async fn erase_expired(&self, _: Timestamp) -> Result<(), LedgerError> {
        unused()
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        unused()
    }
}

fn unused<T>() -> T {
    unreachable!("no schedule calls this")
}

#[async_trait]
impl Cache for World {
    /// Never kept, so that the gate asks the ledger, whose answer the explorer steers.
    async fn rollout_percent(&self, _: Provider) -> Result<Option<u8>, CacheError> {
        Ok(None)
    }

    async fn put_rollout_percent(&self, _: Provider, _: u8) -> Result<(), CacheError> {
        Ok(())
    }

    async fn claim_keys(
        &self,
        claims: &[KeyClaim],
        _: Option<&Toll>,
    ) -> Result<(Vec<FirstSight>, Passage), CacheError> {
        let claim = |state: &mut crate::world::State| {
            let mut sights = Vec::new();
            for claim in claims {
                sights.push(match state.keys.get(&claim.job_id) {
                    Some(hash) => FirstSight::Seen(hash.clone()),
                    None => FirstSight::New,
                });
                state.keys.entry(claim.job_id).or_insert_with(|| claim.payload_hash.clone());
            }
            (sights, Passage::Free)
        };
        self.write(Site::ClaimKeys, claim).await.map_err(|_| CacheError("cut off".to_owned()))
    }

    async fn put_jobs(&self, _: &[Job]) -> Result<(), CacheError> {
        // What is kept for polling never comes back to a worker.
        self.read(Site::PutJobs, |_| ()).await.map_err(|_| CacheError("cut off".to_owned()))
    }

    async fn count(&self, _: &Toll) -> Result<Passage, CacheError> {
        unused()
    }

    async fn job(&self, _: JobId, _: Option<&Toll>) -> Result<(Option<Job>, Passage), CacheError> {
        unused()
    }

    async fn put_consent(&self, _: &str, _: &Consent) -> Result<(), CacheError> {
        unused()
    }

    async fn take_consent(&self, _: &str) -> Result<Option<Consent>, CacheError> {
        unused()
    }

    async fn lock(&self, _: &str, _: Uuid, _: Duration) -> Result<bool, CacheError> {
        unused()
    }

    async fn unlock(&self, _: &str, _: Uuid) -> Result<(), CacheError> {
        unused()
    }

    async fn ping(&self) -> Result<(), CacheError> {
        unused()
    }
}

#[async_trait]
impl Budget for World {
    async fn reserve(&self, _: &Reservation) -> Result<Reserved, CacheError> {
        unused()
    }

    async fn settle(&self, _: Uuid, _: u64) -> Result<(), CacheError> {
        unused()
    }

    async fn hold(&self, _: Duration) -> Result<(), CacheError> {
        unused()
    }
}

#[async_trait]
impl Queue for World {
    async fn send(&self, messages: &[QueuedMessage]) -> Result<(), QueueError> {
        let send = self.write(Site::Enqueue, |state| {
            for message in messages {
                let number = state.number();
                let delay = SignedDuration::try_from(message.delay.min(Duration::from_mins(15))).expect("a delay");
                let visible_at = state.now + delay;
                state.messages.push(Message { number, body: message.body.clone(), visible_at, receives: 0 });
            }
        });
        match send.await {
            Ok(()) | Err((_, Twist::Lost)) => Ok(()),
            Err(_) => Err(QueueError("cut off".to_owned())),
        }
    }

    async fn acknowledge(&self, receipt: &str) -> Result<(), QueueError> {
        let number: u64 = receipt.parse().expect("a receipt of this queue");
        let gone =
            self.write(Site::Acknowledge, |state| state.messages.retain(|message| message.number != number)).await;
        gone.map_err(|_| QueueError("cut off".to_owned()))
    }

    async fn receive(&self, _: usize, _: Duration) -> Result<Vec<Delivery>, QueueError> {
        unused()
    }

    async fn depth(&self) -> Result<u64, QueueError> {
        unused()
    }
}

#[async_trait]
impl Connections for World {
    async fn connection(&self, _: &WorkspaceId, _: Provider) -> Result<Connection, ConnectionError> {
        let by_draft = |state: &mut crate::world::State| state.setup.by_draft() && !state.downgraded;
        let by_draft = match self.read(Site::Connection, by_draft).await {
            Err(Twist::Downgrade) => {
                self.lock().downgraded = true;
                false
            }
            other => other.map_err(ledger_down)?,
        };
        if self.lock().setup == Setup::Sandbox {
            return Ok(Connection::Sandbox(address()));
        }
        Ok(Connection::Live(access(by_draft)))
    }

    async fn refreshed(
        &self,
        _: &WorkspaceId,
        _: Provider,
        refused: &Access,
    ) -> Result<Option<Access>, ConnectionError> {
        match self.read(Site::Refresh, |_| ()).await {
            Ok(()) => Ok(Some(refused.clone())),
            Err(Twist::NoToken) => Ok(None),
            Err(twist) => Err(ledger_down(twist).into()),
        }
    }
}

#[async_trait]
impl OAuth for World {
    fn has_client(&self, _: Provider) -> bool {
        false
    }

    fn authorization_url(&self, _: &Authorization<'_>) -> Option<String> {
        None
    }

    async fn exchange(&self, _: &Exchange<'_>) -> Result<(Granted, Identity), OAuthError> {
        unused()
    }

    async fn refresh(&self, _: Provider, _: &secrecy::SecretString) -> Result<Granted, OAuthError> {
        unused()
    }

    async fn revoke(&self, _: Provider, _: &secrecy::SecretString) -> Result<bool, OAuthError> {
        unused()
    }
}

fn address() -> Address {
    "ana@example.com".parse().expect("an address")
}

fn access(by_draft: bool) -> Access {
    let scopes = if by_draft { [SEND, DRAFT].concat() } else { SEND.to_vec() };
    Access {
        token: "token".to_owned().into(),
        scopes: scopes.into_iter().map(str::to_owned).collect(),
        address: Some(address()),
        account: None,
    }
}

#[async_trait]
impl Vault for World {
    async fn seal(&self, _: &WorkspaceId, _: Purpose, _: &str, plaintext: &[u8]) -> Result<Sealed, VaultError> {
        let sealed = Sealed(String::from_utf8_lossy(plaintext).into_owned());
        self.read(Site::Seal, |_| sealed).await.map_err(|_| VaultError::Unavailable("cut off".to_owned()))
    }

    async fn open(&self, _: &WorkspaceId, _: Purpose, _: &str, sealed: &Sealed) -> Result<Vec<u8>, VaultError> {
        let text = sealed.0.clone().into_bytes();
        self.read(Site::Open, |_| text).await.map_err(|_| VaultError::Unavailable("cut off".to_owned()))
    }
}

#[async_trait]
impl Clock for World {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    async fn sleep(&self, duration: Duration) {
        let then = self.now() + SignedDuration::try_from(duration).expect("a short sleep");
        // Only the scheduler's own twists happen to a sleep.
        let _ = self.read(Site::Sleep, |_| ()).await;
        self.lock().pass(then);
    }
}

impl Ids for World {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.lock().number()))
    }
}

#[async_trait]
impl Model for World {
    fn name(&self) -> &'static str {
        "none"
    }

    fn max_output_tokens(&self) -> Option<u32> {
        None
    }

    async fn ask(&self, _: &ModelRequest) -> Result<Answer, ModelError> {
        unused()
    }
}

struct MailAction {
    about: About,
    world: World,
}

impl Action for MailAction {
    fn about(&self) -> &About {
        &self.about
    }

    fn params_schema(&self) -> Value {
        json!({ "type": "object" })
    }

    fn parse(&self, _: &Value) -> Result<Box<dyn Call>, Vec<Violation>> {
        Ok(Box::new(Mail(self.world.clone())))
    }
}

struct Mail(World);

#[async_trait]
impl Call for Mail {
    fn params(&self) -> Value {
        json!({})
    }

    fn addresses(&self) -> Vec<(String, &Address)> {
        Vec::new()
    }

    fn map_addresses(&self, _: &mut dyn FnMut(Address) -> Address) -> Box<dyn Call> {
        Box::new(Self(self.0.clone()))
    }

    fn render(&self, _: &Stamp) -> Result<Rendered, RenderError> {
        Ok(Rendered { content_type: "message/rfc822", body: "mail".to_owned(), warnings: Vec::new() })
    }

    async fn prepare(&self, _: &Rendered, _: &Access) -> Result<Evidence, SendError> {
        let made = self.0.write(Site::Prepare, |state| {
            let draft_id = format!("d{}", state.number());
            state.drafts.insert(draft_id.clone());
            let internet_message_id = (state.setup == Setup::GraphDrafts).then(|| format!("<{draft_id}@example.com>"));
            Evidence { draft_id, internet_message_id }
        });
        // A draft whose answer is lost lies around, and is never sent.
        made.await.map_err(|(_, twist)| refusal(twist).unwrap_or(SendError::NotReached("cut off".to_owned())))
    }

    async fn send(&self, _: &Rendered, _: &Access, draft: Option<&Evidence>) -> Result<Sent, SendError> {
        self.0.lock().begin_send();
        let draft = draft.map(|evidence| evidence.draft_id.clone());
        let lost = || SendError::MaybeSent("cut off".to_owned());
        match self.0.write(Site::Send, |state| state.deliver(draft.as_deref())).await {
            Ok(true) => Ok(Sent { details: json!({ "message_id": "m" }), presumed: false }),
            Ok(false) => Err(SendError::DraftGone),
            Err((Phase::After, _)) => Err(lost()),
            Err((Phase::Before, Twist::Late)) => {
                let mut state = self.0.lock();
                let then = state.now + SignedDuration::from_secs(30);
                state.late.push((then, draft));
                Err(lost())
            }
            Err((Phase::Before, twist)) => Err(refusal(twist).unwrap_or(SendError::NotReached("cut off".to_owned()))),
        }
    }
}

fn refusal(twist: Twist) -> Option<SendError> {
    match twist {
        Twist::RateLimited => Some(SendError::RateLimited(Some(Duration::from_secs(20)))),
        Twist::Unauthorized => Some(SendError::Unauthorized),
        Twist::Forbidden => Some(SendError::Forbidden("scope".to_owned())),
        _ => None,
    }
}
