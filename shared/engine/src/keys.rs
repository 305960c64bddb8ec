//! Credentials: tells callers apart by their API keys or access tokens, and makes and ends keys.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use domain::{ActorHash, ActorId, Allowlist, ApiKey, KeyId, KeyName, KeyRecord, Scope, WorkspaceId};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use subtle::ConstantTimeEq as _;
use telemetry::labels::AuthFailure;

use crate::{
    Caller, Problem, ProblemCode,
    limits::{RateLimiter, Ticket},
    ports::{AccessTokens, Clock, Ids, Keys, LedgerError, TokenBearer, TokenError},
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
    /// How long it is good for; until it is revoked, if not set.
    pub lifetime: Option<Duration>,
    /// What people call it.
    pub name: Option<KeyName>,
    /// An agent has it: its jobs are held, and it cannot approve.
    pub agent: bool,
    /// Its sends end after their drafts.
    pub draft_only: bool,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum NewKeyError {
    /// An agent would approve its own jobs.
    #[error("an agent's key cannot have the scope actions:approve")]
    AgentApproves,
    /// The ledger did not store it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<NewKeyError> for Problem {
    fn from(error: NewKeyError) -> Self {
        match error {
            NewKeyError::AgentApproves => Self::invalid("/scopes", error.to_string()),
            NewKeyError::Ledger(error) => error.into(),
        }
    }
}

/// Tells callers apart by their credentials, and makes and ends keys.
pub struct KeyStore {
    pub(crate) keys: Arc<dyn Keys>,
    /// None where API keys are the only credentials.
    pub(crate) tokens: Option<Arc<dyn AccessTokens>>,
    pub(crate) limiter: Arc<RateLimiter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    /// The keys that were read last. A revoked key is found earlier, when its request is counted.
    pub(crate) read: Recent<KeyId, KeyRecord>,
    /// The ids without a key that were looked up last, so that forged keys cost one read of the ledger in a while.
    pub(crate) missing: Recent<KeyId, ()>,
    /// The last day of use of each key, as far as this process has recorded it.
    pub(crate) used: Recent<KeyId, Date>,
}

impl KeyStore {
    /// The caller that an `Authorization` header stands for. A missing, malformed, unknown
    /// or revoked key is refused alike, and so is a token that is not good here; only the owner of an expired key is told
    /// so. The request is charged through `ticket`.
    pub async fn authenticate(&self, authorization: Option<&str>, ticket: Ticket) -> Result<Caller, Box<Refusal>> {
        let text = authorization.ok_or_else(|| Refusal::of_credential(AuthFailure::Missing))?;
        let bearer = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = bearer.map(|(_, token)| token.trim()).unwrap_or_default();
        let Ok(key) = token.parse::<ApiKey>() else { return self.bearer_of(token, ticket).await };
        let Some(record) = self.record(key.id()).await? else {
            return Err(Refusal { key: Some(key.id().clone()), ..*Refusal::of_credential(AuthFailure::Unknown) }.into());
        };
        // In constant time, so that no guess tells how much of it was right.
        let same = record.secret_sha256.as_bytes().ct_eq(key.secret_sha256().as_bytes());
        let now = self.clock.now();
        let failure = if !bool::from(same) {
            Some(AuthFailure::WrongSecret)
        } else if record.revoked_at.is_some() {
            Some(AuthFailure::Revoked)
        } else {
            record.expires_at.filter(|end| *end <= now).map(|_| AuthFailure::Expired)
        };
        if let Some(failure) = failure {
            let refusal = match record.expires_at {
                Some(end) if failure == AuthFailure::Expired => Refusal::of_expired(end),
                _ => Refusal::of_credential(failure),
            };
            let (key, workspace) = (Some(record.key_id), Some(record.workspace_id));
            return Err(Refusal { key, workspace, ..*refusal }.into());
        }
        let own_name = || {
            let name = record.key_id.as_str().parse().expect("a key's id is visible characters");
            ActorHash::of(&record.workspace_id, &name)
        };
        self.limiter.issue(&ticket, &record.workspace_id, &record.key_id, self.clock.now())?;
        Ok(Caller {
            default_actor: record.bound_actor.clone().unwrap_or_else(own_name),
            scopes: record.usable_scopes(),
            workspace: record.workspace_id,
            key_id: Some(record.key_id),
            bound_actor: record.bound_actor,
            allow: record.allow,
            agent: record.agent,
            draft_only: record.draft_only,
            ticket,
        })
    }

    /// The caller whom an access token stands for: the one actor that it names, within the same limits as a key.
    async fn bearer_of(&self, token: &str, ticket: Ticket) -> Result<Caller, Box<Refusal>> {
        let malformed = || Refusal::of_credential(AuthFailure::Malformed);
        let tokens = self.tokens.as_ref().ok_or_else(malformed)?;
        let TokenBearer { workspace, actor, scopes } = tokens.bearer(token).await.map_err(|error| match error {
            TokenError::Refused(failure) => Refusal::of_credential(failure),
            TokenError::Unavailable(_) => Problem::new(ProblemCode::StoreUnavailable, error.to_string()).into(),
        })?;
        let actor = ActorHash::of(&workspace, &actor);
        // Requests are counted by key, and this is the name of one that nobody has.
        let counted: KeyId = actor.as_str()[..12].parse().expect("hexadecimal digits make a key's id");
        self.limiter.issue(&ticket, &workspace, &counted, self.clock.now())?;
        Ok(Caller {
            workspace,
            key_id: None,
            bound_actor: Some(actor.clone()),
            default_actor: actor,
            scopes,
            allow: None,
            agent: false,
            draft_only: false,
            ticket,
        })
    }

    /// A key as it was read last.
    pub async fn record(&self, id: &KeyId) -> Result<Option<KeyRecord>, LedgerError> {
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

    /// The last day of use of each of these keys, in UTC.
    pub async fn last_used(&self, ids: &[KeyId]) -> Result<Vec<Option<Date>>, LedgerError> {
        self.keys.last_used(ids).await
    }

    /// Records that a key is used today, for a task beside the request; none if this process has recorded it.
    pub fn first_use_today(self: &Arc<Self>, id: &KeyId) -> Option<impl Future<Output = ()> + Send + use<>> {
        let now = self.clock.now();
        let today = now.to_zoned(TimeZone::UTC).date();
        if self.used.recall(id, now) == Some(today) {
            return None;
        }
        self.used.remember(id.clone(), today, now);
        let (store, id) = (Arc::clone(self), id.clone());
        Some(async move {
            if let Err(error) = store.keys.put_last_used(&id, today).await {
                tracing::warn!(%error, key.id = %id, "the day of a key's last use was not recorded");
                store.used.take(&id, now);
            }
        })
    }

    /// Ends a key. None when there is none of this id; else whether the cache was told, so that all servers that share it
    /// refuse the key at once.
    pub async fn revoke(&self, id: &KeyId) -> Result<Option<bool>, LedgerError> {
        let now = self.clock.now();
        let Some(record) = self.keys.key(id).await? else { return Ok(None) };
        self.keys.revoke_key(id, now).await?;
        self.read.take(id, now);
        Ok(Some(self.limiter.counts.revoke(&record.workspace_id, id).await.is_ok()))
    }

    /// Makes a key.
    pub async fn create(&self, new: NewKey) -> Result<ApiKey, NewKeyError> {
        let key = create_key(&*self.keys, &*self.clock, &*self.ids, new).await?;
        self.missing.take(key.id(), self.clock.now());
        Ok(key)
    }
}

/// The refusal of a credential, which does not say what is wrong with it.
pub(crate) fn unauthenticated() -> Problem {
    Problem::new(ProblemCode::Unauthenticated, "send Authorization: Bearer with a valid credential")
}

/// Makes a key and stores its record. The key itself is in the answer and nowhere else.
pub async fn create_key(keys: &dyn Keys, clock: &dyn Clock, ids: &dyn Ids, new: NewKey) -> Result<ApiKey, NewKeyError> {
    if new.agent && new.scopes.contains(&Scope::ActionsApprove) {
        return Err(NewKeyError::AgentApproves);
    }
    loop {
        let mut random = [0; 64];
        // Four UUIDs of 122 random bits each; the fixed bits of each fall on two of its characters.
        ids.fill(&mut random);
        let (key, now) = (ApiKey::of(&random), clock.now());
        let record = KeyRecord {
            key_id: key.id().clone(),
            bound_actor: new.actor.as_ref().map(|actor| ActorHash::of(&new.workspace, actor)),
            workspace_id: new.workspace.clone(),
            scopes: new.scopes.clone(),
            allow: new.allow.clone(),
            secret_sha256: key.secret_sha256(),
            created_at: now,
            revoked_at: None,
            expires_at: new.lifetime.map(|lifetime| now.checked_add(lifetime).unwrap_or(Timestamp::MAX)),
            name: new.name.clone(),
            agent: new.agent,
            draft_only: new.draft_only,
        };
        // An id is taken already with a chance of one in 62^12.
        if keys.put_key(&record).await? {
            return Ok(key);
        }
    }
}
