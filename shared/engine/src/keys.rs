//! API keys: tells callers apart by their credentials, and makes and ends keys.

use std::{collections::BTreeSet, sync::Arc};

use domain::{ActorHash, ActorId, Allowlist, ApiKey, KeyId, KeyRecord, Scope, WorkspaceId};
use jiff::SignedDuration;
use subtle::ConstantTimeEq as _;
use telemetry::labels::AuthFailure;

use crate::{
    Caller,
    limits::{RateLimiter, Ticket},
    ports::{Clock, Ids, Keys, LedgerError},
    recent::Recent,
    refusals::Refusal,
};

/// How long a process remembers that there is no key of an id.
pub(crate) const MISSING_FOR: SignedDuration = SignedDuration::from_secs(10);

/// The properties of a new key.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The workspace that it belongs to.
    pub workspace: WorkspaceId,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// The one actor it may act for; any, if not set.
    pub actor: Option<ActorId>,
    /// The actions that it may run; those of its workspace, if not set.
    pub allow: Option<Allowlist>,
}

/// Tells callers apart by their API keys, and makes and ends keys.
pub struct KeyStore {
    pub(crate) keys: Arc<dyn Keys>,
    pub(crate) limiter: Arc<RateLimiter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    /// The keys that were read last: a revoked key may go on for this long, a minute.
    pub(crate) read: Recent<KeyId, KeyRecord>,
    /// The ids without a key that were looked up last, so that forged keys cost one read of the ledger in a while.
    pub(crate) missing: Recent<KeyId, ()>,
}

impl KeyStore {
    /// The caller that an `Authorization` header stands for. A missing, malformed, unknown
    /// or revoked key is refused alike. The request is charged through `ticket`.
    pub async fn authenticate(&self, authorization: Option<&str>, ticket: Ticket) -> Result<Caller, Box<Refusal>> {
        let text = authorization.ok_or_else(|| Refusal::of_credential(AuthFailure::Missing))?;
        let bearer = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let key: Option<ApiKey> = bearer.and_then(|(_, token)| token.trim().parse().ok());
        let key = key.ok_or_else(|| Refusal::of_credential(AuthFailure::Malformed))?;
        let Some(record) = self.record(key.id()).await? else {
            return Err(Refusal { key: Some(key.id().clone()), ..*Refusal::of_credential(AuthFailure::Unknown) }.into());
        };
        // In constant time, so that no guess tells how much of it was right.
        let same = record.secret_sha256.as_bytes().ct_eq(key.secret_sha256().as_bytes());
        let failure = if bool::from(same) {
            record.revoked_at.map(|_| AuthFailure::Revoked)
        } else {
            Some(AuthFailure::WrongSecret)
        };
        if let Some(failure) = failure {
            let (key, workspace) = (Some(record.key_id), Some(record.workspace_id));
            return Err(Refusal { key, workspace, ..*Refusal::of_credential(failure) }.into());
        }
        let own_name = || {
            let name = record.key_id.as_str().parse().expect("a key's id is visible characters");
            ActorHash::of(&record.workspace_id, &name)
        };
        self.limiter.issue(&ticket, &record.workspace_id, &record.key_id, self.clock.now())?;
        Ok(Caller {
            default_actor: record.bound_actor.clone().unwrap_or_else(own_name),
            workspace: record.workspace_id,
            key_id: Some(record.key_id),
            bound_actor: record.bound_actor,
            scopes: record.scopes,
            allow: record.allow,
            ticket,
        })
    }

    /// A key as it was within the last minute.
    pub(crate) async fn record(&self, id: &KeyId) -> Result<Option<KeyRecord>, LedgerError> {
        let now = self.clock.now();
        if let Some(record) = self.read.recall(id, now) {
            return Ok(Some(record));
        }
        if self.missing.recall(id, now).is_some() {
            return Ok(None);
        }
        let record = self.keys.key(id).await?;
        match &record {
            Some(record) => self.read.remember(id.clone(), record.clone(), now),
            None => self.missing.remember(id.clone(), (), now),
        }
        Ok(record)
    }

    /// Every key, revoked ones too, oldest first.
    pub async fn list(&self) -> Result<Vec<KeyRecord>, LedgerError> {
        self.keys.keys().await
    }

    /// Ends a key; false when there is none of this id.
    pub async fn revoke(&self, id: &KeyId) -> Result<bool, LedgerError> {
        self.keys.revoke_key(id, self.clock.now()).await
    }

    /// Makes a key.
    pub async fn create(&self, new: NewKey) -> Result<ApiKey, LedgerError> {
        let key = create_key(&*self.keys, &*self.clock, &*self.ids, new).await?;
        self.missing.take(key.id(), self.clock.now());
        Ok(key)
    }
}

/// Makes a key and stores its record. The key itself is in the answer and nowhere else.
pub async fn create_key(keys: &dyn Keys, clock: &dyn Clock, ids: &dyn Ids, new: NewKey) -> Result<ApiKey, LedgerError> {
    loop {
        let mut random = [0; 64];
        // Four UUIDs of 122 random bits each; the fixed bits of each fall on two of its characters.
        for part in random.chunks_exact_mut(16) {
            part.copy_from_slice(ids.uuid().as_bytes());
        }
        let key = ApiKey::of(&random);
        let record = KeyRecord {
            key_id: key.id().clone(),
            bound_actor: new.actor.as_ref().map(|actor| ActorHash::of(&new.workspace, actor)),
            workspace_id: new.workspace.clone(),
            scopes: new.scopes.clone(),
            allow: new.allow.clone(),
            secret_sha256: key.secret_sha256(),
            created_at: clock.now(),
            revoked_at: None,
        };
        // An id is taken already with a chance of one in 62^12.
        if keys.put_key(&record).await? {
            return Ok(key);
        }
    }
}
