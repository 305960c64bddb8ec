//! Behaviours of [`engine::ports::Keys`].

use std::collections::BTreeSet;

use domain::{ActorHash, ApiKey, KeyRecord, Scope};
use jiff::Timestamp;
use uuid::Uuid;

use crate::support::{Adapter, entries, minute, workspace};

/// A key is stored once, found, listed and revoked, and both ends are audited.
pub async fn keeps_and_revokes_keys(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let make = |n: u8| {
        let mut random = [n; 64];
        random[..16].copy_from_slice(seed.as_bytes());
        let key = ApiKey::of(&random);
        KeyRecord {
            key_id: key.id().clone(),
            workspace_id: workspace("keys", seed),
            scopes: BTreeSet::from([Scope::ActionsPreview, Scope::MetricsRead]),
            bound_actor: Some(ActorHash::of(&workspace("keys", seed), &"ana".parse().expect("an actor id"))),
            allow: Some(std::iter::once("gmail.send".parse().expect("an action")).collect()),
            secret_sha256: key.secret_sha256(),
            created_at: minute(now, i64::from(n)),
            revoked_at: None,
        }
    };
    let (first, mut other) = (make(1), make(2));
    other.key_id = "zzzzzzzzzzz0".parse().expect("a key's id");
    assert_eq!(ledger.key(&first.key_id).await.expect("reads"), None);
    assert!(ledger.put_key(&first).await.expect("writes"));
    assert!(ledger.key(&first.key_id).await.expect("reads").is_some_and(|key| key == first));
    let stranger = KeyRecord { workspace_id: workspace("strangers", seed), ..first.clone() };
    assert!(!ledger.put_key(&stranger).await.expect("writes"), "an id is given once");
    assert_eq!(ledger.key(&first.key_id).await.expect("reads"), Some(first.clone()));
    // Another run of the suite may have left it.
    ledger.put_key(&other).await.expect("writes");
    let listed = ledger.keys().await.expect("reads");
    assert!(listed.contains(&first) && listed.iter().any(|key| key.key_id == other.key_id));
    assert!(listed.is_sorted_by_key(|key| (key.created_at, key.key_id.clone())), "oldest first");

    assert!(ledger.revoke_key(&first.key_id, minute(now, 3)).await.expect("writes"));
    assert!(ledger.revoke_key(&first.key_id, minute(now, 4)).await.expect("writes"), "once more changes nothing");
    let revoked = ledger.key(&first.key_id).await.expect("reads").expect("it is still there");
    assert_eq!(revoked, KeyRecord { revoked_at: Some(minute(now, 3)), ..first.clone() });
    let unknown = "000000000000".parse().expect("a key's id");
    assert!(!ledger.revoke_key(&unknown, now).await.expect("writes"), "there is no such key");
    let told = entries(&ledger, Some(&revoked.workspace_id)).await;
    let of_first = [revoked.audit(), first.audit()];
    assert!(of_first.iter().all(|entry| told.contains(entry)), "both are audited, with the time they have");
    assert_eq!(told.iter().filter(|entry| entry.key_id.as_ref() == Some(&revoked.key_id)).count(), 2);
}
