//! API keys: who a credential stands for, and how keys are made and ended.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use domain::{ActorId, ApiKey, KeyId, KeyRecord, Scope, WorkspaceId};
use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq as _;

use crate::{
    Caller, Engine, Problem, ProblemCode,
    ports::{Clock, Ids, Ledger, LedgerError},
};

/// How long a key that was found in the ledger is taken without another look: so long a revoked
/// key may go on.
const GOOD_FOR: SignedDuration = SignedDuration::from_secs(60);
/// At most so many keys are remembered.
const REMEMBERED: usize = 10_000;

/// The keys that this process found in the ledger last.
#[derive(Debug, Default)]
pub struct Keys(Mutex<HashMap<KeyId, (Timestamp, KeyRecord)>>);

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
        let own_name = || record.key_id.to_string().parse().expect("a key's id is visible characters");
        Ok(Caller {
            default_actor: record.bound_actor.clone().unwrap_or_else(own_name),
            workspace: record.workspace_id,
            bound_actor: record.bound_actor,
            scopes: record.scopes,
        })
    }

    async fn key_record(&self, id: &KeyId) -> Result<Option<KeyRecord>, LedgerError> {
        let now = self.clock.now();
        if let Some(record) = self.keys.recall(id, now) {
            return Ok(Some(record));
        }
        let record = self.ledger.key(id).await?;
        if let Some(record) = &record {
            self.keys.remember(record.clone(), now);
        }
        Ok(record)
    }
}

impl Keys {
    fn recall(&self, id: &KeyId, now: Timestamp) -> Option<KeyRecord> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, record) = known.get(id)?;
        (now.duration_since(*read_at).abs() < GOOD_FOR).then(|| record.clone())
    }

    fn remember(&self, record: KeyRecord, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (read_at, _)| now.duration_since(*read_at).abs() < GOOD_FOR);
        }
        if known.len() < REMEMBERED {
            known.insert(record.key_id.clone(), (now, record));
        }
    }
}

/// Makes a key and stores what is kept of it. The key itself is in the answer and nowhere else.
pub async fn create_key(
    ledger: &dyn Ledger,
    clock: &dyn Clock,
    ids: &dyn Ids,
    workspace: WorkspaceId,
    scopes: BTreeSet<Scope>,
    actor: Option<ActorId>,
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
            workspace_id: workspace.clone(),
            scopes: scopes.clone(),
            bound_actor: actor.clone(),
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
