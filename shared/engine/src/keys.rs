//! API keys: who a credential stands for, and how keys are made and ended.

use std::collections::BTreeSet;

use domain::{ActorHash, ActorId, Allowlist, ApiKey, KeyId, KeyRecord, Scope, WorkspaceId};
use subtle::ConstantTimeEq as _;

use crate::{
    Caller, Engine, Problem, ProblemCode, Recent,
    ports::{Clock, Ids, Ledger, LedgerError},
};

/// The keys that this process found in the ledger last: so long, a minute, a revoked key may go on.
pub type Keys = Recent<KeyId, KeyRecord>;

/// What a new key is to be.
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

impl Engine {
    /// Whom the text of an `Authorization` header stands for. What is missing, malformed, unknown
    /// and revoked is refused alike.
    pub async fn authenticate(&self, authorization: Option<&str>) -> Result<Caller, Problem> {
        let refused = || Problem::new(ProblemCode::Unauthenticated, "send Authorization: Bearer with an API key");
        let (scheme, token) = authorization.and_then(|text| text.split_once(' ')).ok_or_else(refused)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(refused());
        }
        let key: ApiKey = token.trim().parse().map_err(|_| refused())?;
        let record = self.key_record(key.id()).await?.ok_or_else(refused)?;
        // In constant time, so that no guess tells how much of it was right.
        let same = record.secret_sha256.as_bytes().ct_eq(key.secret_sha256().as_bytes());
        if !bool::from(same) || record.revoked_at.is_some() {
            return Err(refused());
        }
        let own_name = || {
            let name = record.key_id.as_str().parse().expect("a key's id is visible characters");
            ActorHash::of(&record.workspace_id, &name)
        };
        Ok(Caller {
            default_actor: record.bound_actor.clone().unwrap_or_else(own_name),
            workspace: record.workspace_id,
            key_id: Some(record.key_id),
            bound_actor: record.bound_actor,
            scopes: record.scopes,
            allow: record.allow,
        })
    }

    pub(crate) async fn key_record(&self, id: &KeyId) -> Result<Option<KeyRecord>, LedgerError> {
        let now = self.clock.now();
        if let Some(record) = self.keys.recall(id, now) {
            return Ok(Some(record));
        }
        let record = self.ledger.key(id).await?;
        if let Some(record) = &record {
            self.keys.remember(id.clone(), record.clone(), now);
        }
        Ok(record)
    }
}

/// Makes a key and stores what is kept of it. The key itself is in the answer and nowhere else.
pub async fn create_key(
    ledger: &dyn Ledger,
    clock: &dyn Clock,
    ids: &dyn Ids,
    new: NewKey,
) -> Result<ApiKey, LedgerError> {
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
        // An id that is taken already is a chance of one in 62^12.
        if ledger.put_key(&record).await? {
            return Ok(key);
        }
    }
}
