//! The engine's ports, played by the [`World`], and the actions that it carries out.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    AuditEntry, AuditHead, AuditVerdict, ContentHash, DeliveryFault, DeliveryId, Effect, EndpointId, Evidence,
    FindKind, Job, JobId, KeyId, KeyRecord, PlanId, Provider, RequireApproval, Via, Violation, WorkspaceId,
    WorkspaceSettings,
};
use engine::{
    Engine, Options, Parts,
    accounts::PastedTokens,
    approval::ApprovalOptions,
    catalogue::Catalogue,
    limits::Limits,
    ports::{
        Access, Action, ActionSpec, Answer, Audit, AuditFilter, Authorization, Budget, CacheError, CacheHealth,
        CachePorts, Call, Claims, Clock, Comparison, Connections, Consent, Consents, Contents, Decision, Done,
        Endpoints, Exchange, Finder, FoundEvent, FoundPerson, Granted, Held, Identity, Ids, Insert, Instructions,
        JobCache, JobFilter, Jobs, Keys, LedgerError, LedgerPorts, Locks, Model, ModelError, ModelRequest, OAuth,
        OAuthError, OAuthScopes, OAuthSpec, Outbox, OutboxEntry, Place, Plans, Position, Posting, ProviderError,
        ProviderSpec, Purpose, Queue, QueueError, QueuedMessage, RateLimit, RateLimits, ReceivedMessage, RenderContext,
        RenderError, Rendered, Reservation, Reserved, RolloutCache, Save, Sealed, SealedPage, SealedText, SealedTexts,
        Settings, Span, StoredConnection, StoredPlan, StoredSecrets, Upkeep, Vault, VaultError, WebhookSender,
        Webhooks, Wording,
    },
};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value, json};
use telemetry::Metrics;
use uuid::Uuid;

use crate::world::{Effective, Message, PROVIDER_TIMEOUT, Phase, Setup, Site, State, Twist, VISIBILITY, World};

/// The action that the explorer's jobs carry out.
pub const ACTION: &str = "test.send";
const SEND: &[&str] = &["send"];
const DRAFT: &[&str] = &["draft"];

/// The provider, as far as the engine asks.
const PROVIDER: ProviderSpec = ProviderSpec {
    id: Provider::Google,
    name: "Test",
    account: "Test",
    oauth: OAuthSpec {
        auth_url: "",
        token_url: "",
        revoke_url: None,
        tenant: None,
        identity_scopes: &[],
        parameters: &[],
        scope_prefix: "",
        implies: &[],
        pasted_scopes: &[],
        is_issuer: |_, _| false,
        name: |_| None,
    },
    apis: &[],
    revoke_page: "",
};

/// An engine over `world`.
pub fn engine(world: &World) -> Engine {
    let setup = world.lock().setup;
    let spec = ActionSpec {
        id: ACTION,
        title: "Test",
        provider: Provider::Google,
        effect: if setup.changes() { Effect::Change } else { Effect::Send },
        description: "Does what the explorer looks for.",
        scopes: OAuthScopes { required: SEND, draft: if setup.changes() { &[] } else { DRAFT } },
        instructions: Instructions::default(),
        wording: Wording { noun: "it", ask_recipients: "", ask_text: "", look: "Look at the provider" },
    };
    let sandbox = setup == Setup::Sandbox;
    let world = Arc::new(world.clone());
    Engine::new(Parts {
        catalogue: Catalogue::new(vec![&PROVIDER], vec![Arc::new(TestAction { spec, world: World::clone(&world) })]),
        ledger: LedgerPorts {
            jobs: Arc::<World>::clone(&world),
            plans: Arc::new(Unused),
            outbox: Arc::<World>::clone(&world),
            keys: Arc::new(Unused),
            connections: Arc::<World>::clone(&world),
            settings: Arc::<World>::clone(&world),
            audit: Arc::<World>::clone(&world),
            upkeep: Arc::new(Unused),
            sealed_texts: Arc::new(Unused),
            webhooks: Arc::new(Unused),
        },
        cache: CachePorts {
            claims: Arc::<World>::clone(&world),
            jobs: Arc::<World>::clone(&world),
            rate_limits: Arc::new(Unused),
            locks: Arc::<World>::clone(&world),
            consents: Arc::new(Unused),
            rollouts: Arc::<World>::clone(&world),
            health: Arc::new(Unused),
        },
        budget: Arc::new(Unused),
        queue: Arc::<World>::clone(&world),
        model: Arc::new(Unused),
        fallback_model: None,
        oauth: Arc::<World>::clone(&world),
        finders: [].into(),
        sandbox_finder: Arc::new(Unused),
        tokens: None,
        vault: Arc::<World>::clone(&world),
        secrets: Arc::new(Unused),
        webhooks: Arc::new(Unused),
        clock: Arc::<World>::clone(&world),
        metrics: Metrics::default(),
        options: Options {
            approval: ApprovalOptions {
                require: if setup.held() { RequireApproval::All } else { RequireApproval::None },
                ..ApprovalOptions::default()
            },
            allowlist: Some(std::iter::once(ACTION.parse().expect("an action id")).collect()),
            recipient_domains: domain::RecipientDomains::default(),
            internal_domains: domain::RecipientDomains::default(),
            require_plan: false,
            rollout: [(Provider::Google, 100)].into(),
            rollout_good_for: SignedDuration::ZERO,
            ledger_good_for: SignedDuration::ZERO,
            provider_mode: sandbox.then_some(Via::Sandbox),
            pasted: PastedTokens { workspace: "nobody".parse().expect("a workspace"), tokens: [].into() },
            max_tokens_per_minute: 0,
            public_url: "http://127.0.0.1:8787".to_owned(),
            limits: Limits { requests_per_key: 1, requests_per_workspace: 1, open_jobs: 1, prompt_bytes: 1 },
            provider_timeout: PROVIDER_TIMEOUT,
            visibility_timeout: VISIBILITY,
        },
        ids: world,
    })
}

fn ledger_down<E>(_: E) -> LedgerError {
    LedgerError::new("cut off")
}

#[async_trait]
impl Jobs for World {
    async fn insert_jobs(&self, jobs: &[(Job, Contents)]) -> Result<Insert, LedgerError> {
        let insert = self.write(Site::Insert, |state| {
            if jobs.iter().any(|(job, _)| state.jobs.contains_key(&job.job_id)) {
                return Insert::Taken;
            }
            for (job, contents) in jobs {
                let kept = state.sabotage.kept(job.clone());
                state.jobs.insert(job.job_id, kept);
                state.contents.insert(job.job_id, contents.clone());
            }
            Insert::Done
        });
        insert.await.map_err(ledger_down)
    }

    async fn jobs(&self, _: &WorkspaceId, ids: &[JobId]) -> Result<Vec<Option<Job>>, LedgerError> {
        let find = |state: &mut State| ids.iter().map(|id| state.jobs.get(id).cloned()).collect();
        self.read(Site::Jobs, find).await.map_err(ledger_down)
    }

    async fn save(&self, job: &Job) -> Result<Save, LedgerError> {
        self.write(Site::Save, |state| state.save(job)).await.map_err(ledger_down)
    }

    async fn contents_of(&self, ids: &[JobId]) -> Result<Vec<Option<Contents>>, LedgerError> {
        let find = |state: &mut State| ids.iter().map(|id| state.contents.get(id).cloned()).collect();
        self.read(Site::Contents, find).await.map_err(ledger_down)
    }

    async fn overdue_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError> {
        let find = |state: &mut State| {
            let overdue = state.jobs.values().filter(|job| !job.state.has_ended() && job.due_at() < before);
            overdue.take(limit).cloned().collect()
        };
        self.read(Site::Overdue, find).await.map_err(ledger_down)
    }

    async fn list_jobs(&self, _: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        unused()
    }

    async fn open_jobs(&self, _: &WorkspaceId, _: usize) -> Result<usize, LedgerError> {
        unused()
    }

    async fn held(&self, _: usize) -> Result<Held, LedgerError> {
        unreachable!("nobody scrapes")
    }

    async fn oldest_unclaimed(&self) -> Result<Option<Timestamp>, LedgerError> {
        unused()
    }

    async fn last_with_content(
        &self,
        _: &WorkspaceId,
        _: &ContentHash,
        _: Timestamp,
    ) -> Result<Option<Job>, LedgerError> {
        unused()
    }

    async fn void_leases(&self, _: Timestamp) -> Result<u64, LedgerError> {
        unused()
    }
}

#[async_trait]
impl Outbox for World {
    async fn put_outbox(&self, entry: &OutboxEntry) -> Result<(), LedgerError> {
        let put = self.write(Site::Outbox, |state| {
            if state.outbox.insert(entry.job_id) {
                state.take_effect(&Effective::Send);
            }
        });
        put.await.map_err(ledger_down)
    }

    async fn outbox(&self, _: &WorkspaceId, _: Option<Position>, _: usize) -> Result<Vec<OutboxEntry>, LedgerError> {
        unused()
    }
}

#[async_trait]
impl Settings for World {
    async fn rollout_percent(&self, _: Provider) -> Result<Option<u8>, LedgerError> {
        match self.read(Site::Rollout, |state| state.gate_shut.then_some(0)).await {
            Err(Twist::GateShut) => {
                self.lock().gate_shut = true;
                Ok(Some(0))
            }
            other => other.map_err(ledger_down),
        }
    }

    async fn set_rollout_percent(&self, _: Provider, _: u8, _: &AuditEntry) -> Result<(), LedgerError> {
        unused()
    }

    /// A setup's own jobs are draft-only by their key: only the twist sets the workspace.
    async fn workspace(&self, _: &WorkspaceId) -> Result<Option<WorkspaceSettings>, LedgerError> {
        let state = self.lock();
        let draft_only = state.setup != Setup::DraftOnly && state.draft_only_since.is_some();
        Ok(Some(WorkspaceSettings { allow: None, draft_only }))
    }

    async fn put_workspace(
        &self,
        _: &WorkspaceId,
        _: &WorkspaceSettings,
        _: Option<&WorkspaceSettings>,
        _: &AuditEntry,
    ) -> Result<Save, LedgerError> {
        unused()
    }
}

#[async_trait]
impl Audit for World {
    /// Only refusals are written by themselves, and nobody waits for them.
    async fn put_audit(&self, _: &AuditEntry) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn list_audit(&self, _: &AuditFilter) -> Result<Vec<AuditEntry>, LedgerError> {
        unused()
    }

    async fn audit_heads(&self, _: Timestamp) -> Result<Vec<AuditHead>, LedgerError> {
        unused()
    }

    async fn verify_audit(
        &self,
        _: Option<&WorkspaceId>,
        _: Option<&AuditHead>,
        _: Timestamp,
    ) -> Result<AuditVerdict, LedgerError> {
        unused()
    }
}

/// One account is connected, whose token lasts for ever. Renewing it is the one step that is played.
#[async_trait]
impl Connections for World {
    async fn connection(&self, _: &WorkspaceId, provider: Provider) -> Result<Option<StoredConnection>, LedgerError> {
        let by_draft = |state: &mut State| state.setup.by_draft() && !state.downgraded;
        let by_draft = match self.read(Site::Connection, by_draft).await {
            Err(Twist::Downgrade) => {
                self.lock().downgraded = true;
                false
            }
            other => other.map_err(ledger_down)?,
        };
        let scopes = if by_draft { [SEND, DRAFT].concat() } else { SEND.to_vec() };
        Ok(Some(StoredConnection {
            workspace: workspace(),
            provider,
            account: "account".to_owned(),
            sealed: tokens(),
            scopes: scopes.into_iter().map(str::to_owned).collect(),
            needs_reauth: false,
            needs_reauth_since: None,
            setup_problem: None,
            version: Uuid::nil(),
            connected_at: Timestamp::UNIX_EPOCH,
        }))
    }

    async fn is_connected(&self, _: Provider, _: &str, _: Option<&WorkspaceId>) -> Result<bool, LedgerError> {
        unused()
    }

    async fn put_connection(&self, _: &StoredConnection, _: Option<Uuid>) -> Result<Save, LedgerError> {
        Ok(Save::Done)
    }

    async fn delete_connection(&self, _: &WorkspaceId, _: Provider, _: Uuid) -> Result<Save, LedgerError> {
        unused()
    }
}

fn workspace() -> WorkspaceId {
    "w".parse().expect("a workspace")
}

fn tokens() -> Sealed {
    let (access, expires_at) = ("token", "2200-01-01T00:00:00Z");
    let tokens = json!({ "access": access, "refresh": "r", "expires_at": expires_at, "address": "ana@example.com" });
    Sealed(tokens.to_string())
}

#[async_trait]
impl Locks for World {
    async fn lock(&self, _: &str, _: Uuid, _: Duration) -> Result<bool, CacheError> {
        Ok(true)
    }

    async fn unlock(&self, _: &str, _: Uuid) -> Result<(), CacheError> {
        Ok(())
    }
}

#[async_trait]
impl Claims for World {
    async fn claim_keys(&self, jobs: &[JobId], _: Option<&RateLimit>) -> Result<(Vec<bool>, Decision), CacheError> {
        let claim = |state: &mut State| {
            let results = jobs.iter().map(|id| state.keys.insert(*id)).collect();
            (results, Decision::Allowed)
        };
        self.write(Site::ClaimKeys, claim).await.map_err(|_| CacheError::new("cut off"))
    }
}

#[async_trait]
impl JobCache for World {
    async fn put_jobs(&self, _: &[Job]) -> Result<(), CacheError> {
        // A job that is cached for polling never comes back to a worker.
        self.read(Site::PutJobs, |_| ()).await.map_err(|_| CacheError::new("cut off"))
    }

    async fn put_claimed(&self, _: &Job, _: &str) -> Result<Duration, CacheError> {
        self.put_jobs(&[]).await?;
        Ok(Duration::ZERO)
    }

    async fn cached_job(
        &self,
        _: &WorkspaceId,
        _: JobId,
        _: Option<&RateLimit>,
    ) -> Result<(Option<Job>, Decision), CacheError> {
        unused()
    }
}

/// Never cached, so that the gate asks the ledger, whose answer the explorer steers.
#[async_trait]
impl RolloutCache for World {
    async fn rollout_percent(&self, _: Provider) -> Result<Option<u8>, CacheError> {
        Ok(None)
    }

    async fn put_rollout_percent(&self, _: Provider, _: u8) -> Result<(), CacheError> {
        Ok(())
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
            Err(_) => Err(QueueError::new("cut off")),
        }
    }

    async fn acknowledge(&self, receipt: &str) -> Result<(), QueueError> {
        let number: u64 = receipt.parse().expect("a receipt of this queue");
        let gone =
            self.write(Site::Acknowledge, |state| state.messages.retain(|message| message.number != number)).await;
        gone.map_err(|_| QueueError::new("cut off"))
    }

    async fn receive(&self, _: usize, _: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        unused()
    }

    async fn depth(&self) -> Result<u64, QueueError> {
        unused()
    }
}

#[async_trait]
impl OAuth for World {
    fn has_client(&self, _: Provider) -> bool {
        true
    }

    fn authorization_url(&self, _: &Authorization<'_>) -> Option<String> {
        unused()
    }

    async fn exchange(&self, _: &Exchange<'_>) -> Result<(Granted, Identity), OAuthError> {
        unused()
    }

    async fn refresh(&self, _: Provider, _: &secrecy::SecretString) -> Result<Granted, OAuthError> {
        match self.read(Site::Refresh, |_| ()).await {
            Ok(()) => Ok(Granted {
                access_token: "token".to_owned().into(),
                expires_in: Duration::from_hours(1),
                refresh_token: None,
                scopes: None,
            }),
            Err(Twist::NoToken) => Err(OAuthError::InvalidGrant),
            Err(_) => Err(OAuthError::unavailable("cut off")),
        }
    }

    async fn revoke(&self, _: Provider, _: &secrecy::SecretString) -> Result<bool, OAuthError> {
        unused()
    }
}

/// The account's tokens are sealed at no cost: only a job's params and result are steps of its own.
#[async_trait]
impl Vault for World {
    async fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Sealed, VaultError> {
        let sealed = Sealed(String::from_utf8_lossy(plaintext).into_owned());
        if place.purpose == Purpose::Connection {
            return Ok(sealed);
        }
        self.read(Site::Seal, |_| sealed).await.map_err(|_| VaultError::unavailable("cut off"))
    }

    async fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Vec<u8>, VaultError> {
        let text = sealed.0.clone().into_bytes();
        if place.purpose == Purpose::Connection {
            return Ok(text);
        }
        self.read(Site::Open, |_| text).await.map_err(|_| VaultError::unavailable("cut off"))
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

/// The ports that no schedule uses.
struct Unused;

fn unused<T>() -> T {
    unreachable!("no schedule calls this")
}

#[async_trait]
impl Finder for Unused {
    fn scopes(&self, _: FindKind) -> &'static [&'static str] {
        unused()
    }

    fn directory_scopes(&self) -> &'static [&'static str] {
        unused()
    }

    async fn people(&self, _: &str, _: &Access) -> Result<Vec<FoundPerson>, ProviderError> {
        unused()
    }

    async fn events(&self, _: Span, _: &TimeZone, _: &Access) -> Result<Vec<FoundEvent>, ProviderError> {
        unused()
    }

    async fn busy(&self, _: Span, _: &TimeZone, _: &Access) -> Result<Vec<Span>, ProviderError> {
        unused()
    }
}

#[async_trait]
impl Plans for Unused {
    async fn put_plans(&self, _: &[StoredPlan], _: &AuditEntry) -> Result<(), LedgerError> {
        unused()
    }

    async fn plan(&self, _: &WorkspaceId, _: PlanId, _: Timestamp) -> Result<Option<StoredPlan>, LedgerError> {
        unused()
    }
}

#[async_trait]
impl Keys for Unused {
    async fn put_key(&self, _: &KeyRecord) -> Result<bool, LedgerError> {
        unused()
    }

    async fn key(&self, _: &KeyId) -> Result<Option<KeyRecord>, LedgerError> {
        unused()
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, LedgerError> {
        unused()
    }

    async fn revoke_key(&self, _: &KeyId, _: Timestamp) -> Result<bool, LedgerError> {
        unused()
    }

    async fn last_used(&self, _: &[KeyId]) -> Result<Vec<Option<Date>>, LedgerError> {
        unused()
    }

    async fn put_last_used(&self, _: &KeyId, _: Date) -> Result<(), LedgerError> {
        unused()
    }
}

#[async_trait]
impl Upkeep for Unused {
    async fn erase_expired(&self, _: Timestamp) -> Result<(), LedgerError> {
        unused()
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        unused()
    }
}

#[async_trait]
impl SealedTexts for Unused {
    async fn sealed_texts(&self, _: Option<String>) -> Result<SealedPage, LedgerError> {
        unused()
    }

    async fn replace_sealed(&self, _: &SealedText, _: &Sealed) -> Result<bool, LedgerError> {
        unused()
    }
}

#[async_trait]
impl Webhooks for Unused {
    async fn endpoints(&self, _: &WorkspaceId) -> Result<Endpoints, LedgerError> {
        unused()
    }

    async fn put_endpoints(
        &self,
        _: &WorkspaceId,
        _: &Endpoints,
        _: Option<Uuid>,
        _: &AuditEntry,
    ) -> Result<Save, LedgerError> {
        unused()
    }

    async fn put_delivery(&self, _: &domain::Delivery) -> Result<(), LedgerError> {
        unused()
    }

    async fn delivery(
        &self,
        _: &WorkspaceId,
        _: DeliveryId,
    ) -> Result<Option<(domain::Delivery, Endpoints)>, LedgerError> {
        unused()
    }

    async fn save_delivery(&self, _: &domain::Delivery) -> Result<Save, LedgerError> {
        unused()
    }

    async fn spread_delivery(&self, _: &domain::Delivery, _: Timestamp) -> Result<Save, LedgerError> {
        unused()
    }

    async fn deliveries(
        &self,
        _: &WorkspaceId,
        _: EndpointId,
        _: Option<Position>,
        _: usize,
    ) -> Result<Vec<domain::Delivery>, LedgerError> {
        unused()
    }

    /// The sweep looks for them.
    async fn due_deliveries(&self, _: Timestamp, _: usize) -> Result<Vec<domain::Delivery>, LedgerError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl WebhookSender for Unused {
    fn check(&self, _: &str) -> Result<(), String> {
        unused()
    }

    async fn post(&self, _: &Posting<'_>) -> Result<u16, DeliveryFault> {
        unused()
    }
}

#[async_trait]
impl RateLimits for Unused {
    async fn count(&self, _: &RateLimit) -> Result<Decision, CacheError> {
        unused()
    }

    async fn revoke(&self, _: &WorkspaceId, _: &KeyId) -> Result<(), CacheError> {
        unused()
    }

    /// There is one job, which knows its own wait.
    async fn hold(&self, _: &str, _: Duration) -> Result<(), CacheError> {
        Ok(())
    }
}

#[async_trait]
impl Consents for Unused {
    async fn put_consent(&self, _: &str, _: &Consent) -> Result<(), CacheError> {
        unused()
    }

    async fn take_consent(&self, _: &str) -> Result<Option<Consent>, CacheError> {
        unused()
    }
}

#[async_trait]
impl StoredSecrets for Unused {
    async fn without_value(&self) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl CacheHealth for Unused {
    async fn ping(&self) -> Result<(), CacheError> {
        unused()
    }
}

#[async_trait]
impl Budget for Unused {
    async fn reserve(&self, _: &Reservation) -> Result<Reserved, CacheError> {
        unused()
    }

    async fn settle(&self, _: Uuid, _: u64) -> Result<(), CacheError> {
        unused()
    }

    async fn hold(&self, _: &str, _: Duration) -> Result<(), CacheError> {
        unused()
    }
}

#[async_trait]
impl Model for Unused {
    fn name(&self) -> &str {
        unused()
    }

    fn max_output_tokens(&self) -> Option<u32> {
        unused()
    }

    async fn ask(&self, _: &ModelRequest) -> Result<Answer, ModelError> {
        unused()
    }
}

struct TestAction {
    spec: ActionSpec,
    world: World,
}

impl Action for TestAction {
    fn spec(&self) -> &ActionSpec {
        &self.spec
    }

    fn params_schema(&self) -> &Value {
        static SCHEMA: LazyLock<Value> = LazyLock::new(|| json!({ "type": "object" }));
        &SCHEMA
    }

    fn parse(&self, _: &Value) -> Result<Box<dyn Call>, Vec<Violation>> {
        Ok(Box::new(TestCall(self.world.clone())))
    }
}

struct TestCall(World);

#[async_trait]
impl Call for TestCall {
    fn params(&self) -> Value {
        json!({})
    }

    fn title(&self) -> String {
        "test".to_owned()
    }

    /// The body is the id that the engine gives, which a change is made under.
    fn render(&self, context: &RenderContext) -> Result<Rendered, RenderError> {
        Ok(Rendered { content_type: "text/plain", body: context.id.clone().unwrap_or_default() })
    }

    async fn prepare(&self, _: &Rendered, _: &Access) -> Result<Evidence, ProviderError> {
        self.0.lock().reach();
        let made = self.0.write(Site::Prepare, |state| {
            let draft_id = format!("d{}", state.number());
            state.drafts.insert(draft_id.clone());
            let internet_message_id = (state.setup == Setup::GraphDrafts).then(|| format!("<{draft_id}@example.com>"));
            Evidence { draft_id, internet_message_id }
        });
        // A draft whose answer is lost stays unsent.
        made.await.map_err(|(_, twist)| refusal(twist).unwrap_or(ProviderError::Unreachable("cut off".to_owned())))
    }

    async fn perform(&self, rendered: &Rendered, _: &Access, draft: Option<&Evidence>) -> Result<Done, ProviderError> {
        self.0.lock().begin_call();
        let setup = self.0.lock().setup;
        let (changes, is_silent) = (setup.changes(), setup == Setup::SilentChanges);
        let what = match draft {
            _ if changes => Effective::Change(rendered.body.clone()),
            Some(draft) => Effective::Draft(draft.draft_id.clone()),
            None => Effective::Send,
        };
        let lost = || ProviderError::AnswerLost("cut off".to_owned());
        match self.0.write(Site::Perform, |state| state.take_effect(&what)).await {
            Ok(effective) if effective || is_silent => Ok(Done { details: json!({ "id": "m" }) }),
            Ok(_) if changes => Err(ProviderError::Exists),
            Ok(_) => Err(ProviderError::DraftGone),
            Err((Phase::After, _)) => Err(lost()),
            Err((Phase::Before, Twist::Late)) => {
                let mut state = self.0.lock();
                let then = state.now + SignedDuration::from_secs(30);
                state.late.push((then, what));
                Err(lost())
            }
            Err((Phase::Before, twist)) => {
                Err(refusal(twist).unwrap_or(ProviderError::Unreachable("cut off".to_owned())))
            }
        }
    }

    async fn compare(&self, rendered: &Rendered, _: &Access) -> Result<Comparison, ProviderError> {
        // Where the second time is silent, only what is there can be found.
        let is_there = |state: &mut State| {
            state.changes.contains(&rendered.body) && !(state.change_deleted && state.setup == Setup::SilentChanges)
        };
        let ours = self.0.read(Site::Compare, is_there).await;
        match ours {
            Ok(true) => Ok(Comparison::Ours(Done { details: json!({ "id": "m" }) })),
            Ok(false) => Ok(Comparison::NotOurs),
            Err(twist) => Err(refusal(twist).unwrap_or(ProviderError::Unreachable("cut off".to_owned()))),
        }
    }
}

fn refusal(twist: Twist) -> Option<ProviderError> {
    match twist {
        Twist::RateLimited => Some(ProviderError::RateLimited(Some(Duration::from_secs(20)))),
        Twist::Unauthorized => Some(ProviderError::Unauthorized),
        Twist::Forbidden => Some(ProviderError::Forbidden("scope".into())),
        _ => None,
    }
}
