//! Webhook endpoints: this file keeps them, [`deliver`] sends what happened.

mod deliver;

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    AuditBy, AuditEntry, AuditEvent, Delivery, Endpoint, EndpointId, MAX_ENDPOINTS, Notice, WebhookEvent, WorkspaceId,
    sha256,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

pub(crate) use self::deliver::{Flights, Later};
use crate::{
    Caller, Problem, ProblemCode,
    audit::Auditor,
    paging::Paging,
    ports::{
        Clock, Endpoints, Ids, LedgerError, Position, Purpose, Queue, Save, Sealed, Vault, VaultError, WebhookSender,
        Webhooks,
    },
};

/// The longest URL.
const MAX_URL: usize = 2048;
/// How long a replaced secret still signs.
const SIGNS_FOR: SignedDuration = SignedDuration::from_hours(24);
/// How often a write that met another one is tried again.
const ROUNDS: usize = 5;

/// Keeps a workspace's webhook endpoints, and sends what happened to them.
pub struct WebhookService {
    pub(crate) ledger: Arc<dyn Webhooks>,
    pub(crate) sender: Arc<dyn WebhookSender>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) flights: Flights,
}

/// What is sealed of an endpoint.
#[derive(Serialize, Deserialize)]
struct Target {
    url: String,
    #[serde(serialize_with = "crate::ports::exposed")]
    secret: SecretString,
    /// The secret before, and until when it signs too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
}

#[derive(Serialize, Deserialize)]
struct Previous {
    #[serde(serialize_with = "crate::ports::exposed")]
    secret: SecretString,
    until: Timestamp,
}

/// An endpoint as its workspace sees it.
#[derive(Debug, Clone)]
pub struct EndpointView {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its URL; none if its sealed text cannot be read.
    pub url: Option<String>,
}

/// Who asks. An operator gets only what needs no sealed text.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// A caller.
    Caller(&'a Caller),
    /// The operator, for a workspace.
    Operator(&'a WorkspaceId),
}

/// An endpoint with its secret, which is shown once.
#[derive(Debug)]
pub struct NewSecret {
    /// The endpoint.
    pub view: EndpointView,
    secret: SecretString,
}

impl NewSecret {
    /// The secret: `whsec_` and 32 random bytes in base64.
    pub fn reveal(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl WebhookService {
    /// Adds an endpoint that is told of these events, or of all if none is named.
    pub async fn add(
        &self,
        caller: &Caller,
        url: String,
        events: BTreeSet<WebhookEvent>,
    ) -> Result<NewSecret, Problem> {
        let wrong = |detail: String| Problem::invalid("/url", detail);
        if url.len() > MAX_URL {
            return Err(wrong(format!("must have at most {MAX_URL} bytes")));
        }
        self.sender.check(&url).map_err(wrong)?;
        let (endpoint_id, secret) = (EndpointId(self.ids.uuid()), self.secret());
        let target = Target { url, secret, previous: None };
        let endpoint = Endpoint {
            endpoint_id,
            events,
            actor: caller.bound_actor.clone(),
            allow: caller.allow.clone(),
            created_at: self.clock.now(),
            disabled: None,
            sealed: self.seal(&caller.workspace, endpoint_id, &target).await?,
        };
        self.change(
            &caller.workspace,
            self.entry(By::Caller(caller), AuditEvent::WebhookAdded, endpoint_id),
            |endpoints| {
                if endpoints.len() >= MAX_ENDPOINTS {
                    let detail = format!("a workspace has at most {MAX_ENDPOINTS} endpoints; remove one first");
                    return Err(Problem::new(ProblemCode::TooManyWebhooks, detail));
                }
                endpoints.push(endpoint.clone());
                Ok(())
            },
        )
        .await?;
        Ok(NewSecret { view: EndpointView { endpoint, url: Some(target.url) }, secret: target.secret })
    }

    /// The endpoints that somebody may see, oldest first.
    pub async fn endpoints(&self, by: By<'_>) -> Result<Vec<Endpoint>, Problem> {
        let mut endpoints = self.ledger.endpoints(by.workspace()).await?.endpoints;
        endpoints.retain(|endpoint| by.knows(endpoint));
        Ok(endpoints)
    }

    /// The endpoints that a caller may see, oldest first, each with its URL.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<EndpointView>, Problem> {
        let mut views = Vec::new();
        for endpoint in self.endpoints(By::Caller(caller)).await? {
            let (workspace, id) = (&caller.workspace, endpoint.endpoint_id);
            let sealed = Sealed(endpoint.sealed.clone());
            let target = self.vault.open_part::<Target>(workspace, Purpose::Webhook, id, &sealed).await?;
            views.push(EndpointView { endpoint, url: target.map(|target| target.url) });
        }
        Ok(views)
    }

    /// Removes an endpoint. What is on its way to it may still arrive.
    pub async fn remove(&self, by: By<'_>, id: EndpointId) -> Result<(), Problem> {
        let entry = self.entry(by, AuditEvent::WebhookRemoved, id);
        self.change(by.workspace(), entry, |endpoints| {
            known(by, endpoints, id)?;
            endpoints.retain(|endpoint| endpoint.endpoint_id != id);
            Ok(())
        })
        .await
    }

    /// Replaces an endpoint's secret. The one before signs too for 24 hours.
    pub async fn rotate(&self, caller: &Caller, id: EndpointId) -> Result<NewSecret, Problem> {
        let mut endpoints = self.ledger.endpoints(&caller.workspace).await?.endpoints;
        let by = By::Caller(caller);
        let before = known(by, &mut endpoints, id)?.clone();
        let old = self.open(&caller.workspace, &before).await?;
        let previous = Previous { secret: old.secret, until: self.clock.now() + SIGNS_FOR };
        let target = Target { url: old.url, secret: self.secret(), previous: Some(previous) };
        let sealed = self.seal(&caller.workspace, id, &target).await?;
        let entry = self.entry(by, AuditEvent::WebhookRotated, id);
        self.change(&caller.workspace, entry, |endpoints| {
            let endpoint = known(by, endpoints, id)?;
            // Another rotation came between: its secret must not be lost without having signed.
            if endpoint.sealed != before.sealed {
                return Err(contested().into());
            }
            endpoint.sealed.clone_from(&sealed);
            Ok(())
        })
        .await?;
        let view = EndpointView { endpoint: Endpoint { sealed, ..before }, url: Some(target.url) };
        Ok(NewSecret { view, secret: target.secret })
    }

    /// Sends a test to an endpoint, as any other delivery. One that was disabled since it fails is active again once a
    /// test reaches it.
    pub async fn test(&self, by: By<'_>, id: EndpointId) -> Result<Delivery, Problem> {
        let mut endpoints = self.ledger.endpoints(by.workspace()).await?.endpoints;
        if !known(by, &mut endpoints, id)?.takes(WebhookEvent::Test) {
            let detail = "the endpoint answered 410, so nothing is sent to it any more; remove it, and add it again";
            return Err(Problem::new(ProblemCode::WebhookGone, detail));
        }
        let notice = Notice::test(by.workspace(), self.ids.uuid(), self.clock.now());
        let delivery = Delivery::new(&notice, id);
        self.ledger.put_delivery(&delivery).await?;
        Ok(delivery)
    }

    /// The deliveries to an endpoint, newest first, and where the next page begins.
    pub async fn deliveries(
        &self,
        caller: &Caller,
        id: EndpointId,
        after: Option<Position>,
        limit: usize,
    ) -> Result<(Vec<Delivery>, Option<Position>), Problem> {
        known(By::Caller(caller), &mut self.ledger.endpoints(&caller.workspace).await?.endpoints, id)?;
        let mut paging = Paging::new(after, limit);
        while let Some((after, limit)) = paging.next() {
            let page = self.ledger.deliveries(&caller.workspace, id, after, limit).await?;
            paging.take(page, |_| true);
        }
        Ok(paging.finish())
    }

    /// Changes a workspace's endpoints, with an entry of the audit.
    async fn change(
        &self,
        workspace: &WorkspaceId,
        entry: AuditEntry,
        change: impl Fn(&mut Vec<Endpoint>) -> Result<(), Problem> + Send + Sync,
    ) -> Result<(), Problem> {
        for _ in 0..ROUNDS {
            let mut there = self.ledger.endpoints(workspace).await?;
            let over = there.version;
            change(&mut there.endpoints)?;
            let next = Endpoints { version: Some(self.ids.uuid()), ..there };
            if self.ledger.put_endpoints(workspace, &next, over, &entry).await? == Save::Done {
                return Ok(());
            }
        }
        Err(contested().into())
    }

    fn entry(&self, by: By<'_>, event: AuditEvent, id: EndpointId) -> AuditEntry {
        let entry = match by {
            By::Caller(caller) => self.auditor.entry_of(caller, event),
            By::Operator(workspace) => self.auditor.entry(Some(workspace.clone()), event, AuditBy::CommandLine),
        };
        AuditEntry { value: Some(id.to_string()), ..entry }
    }

    async fn seal(&self, workspace: &WorkspaceId, id: EndpointId, target: &Target) -> Result<String, Problem> {
        Ok(self.vault.seal_json(workspace, Purpose::Webhook, id, target).await?.0)
    }

    async fn open(&self, workspace: &WorkspaceId, endpoint: &Endpoint) -> Result<Target, VaultError> {
        let sealed = Sealed(endpoint.sealed.clone());
        self.vault.open_json(workspace, Purpose::Webhook, endpoint.endpoint_id, &sealed).await
    }

    /// 256 bits that nobody can guess: three UUIDs have 122 random bits each.
    fn secret(&self) -> SecretString {
        let mut random = [0; 48];
        self.ids.fill(&mut random);
        format!("whsec_{}", STANDARD.encode(sha256(&random))).into()
    }
}

impl By<'_> {
    fn workspace(&self) -> &WorkspaceId {
        match self {
            Self::Caller(caller) => &caller.workspace,
            Self::Operator(workspace) => workspace,
        }
    }

    /// Whether an endpoint is theirs to know of: a key that is bound to an actor, or narrowed to actions, knows those that
    /// were made with the same bounds.
    fn knows(&self, endpoint: &Endpoint) -> bool {
        let Self::Caller(caller) = self else { return true };
        (caller.bound_actor.is_none() || caller.bound_actor == endpoint.actor)
            && (caller.allow.is_none() || caller.allow == endpoint.allow)
    }
}

fn known<'a>(by: By<'_>, endpoints: &'a mut [Endpoint], id: EndpointId) -> Result<&'a mut Endpoint, Problem> {
    let is_it = |endpoint: &&mut Endpoint| endpoint.endpoint_id == id && by.knows(endpoint);
    let unknown = || Problem::new(ProblemCode::NotFound, "this workspace has no such webhook endpoint");
    endpoints.iter_mut().find(is_it).ok_or_else(unknown)
}

fn contested() -> LedgerError {
    LedgerError::new("the endpoints were changed by others over and over")
}
