//! Behaviours of [`engine::ports::Keys`].

use std::collections::BTreeSet;

use domain::{ActorHash, ApiKey, KeyRecord, Scope};
use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use crate::support::{Adapter, at_once, entries, minute, workspace};

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
            expires_at: (n == 1).then(|| minute(now, 1000)),
            name: (n == 1).then(|| "Nightly report".parse().expect("a name")),
            agent: n == 1,
            draft_only: n == 1,
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

/// The last day of a key's use only moves forward, whoever records it, and its key stays as it is.
pub async fn records_the_last_day_of_use(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let [first, other] = [1, 2].map(|n: u8| {
        let mut random = [n; 64];
        random[1..17].copy_from_slice(seed.as_bytes());
        ApiKey::of(&random).id().clone()
    });
    let today = now.to_zoned(TimeZone::UTC).date();
    let (yesterday, tomorrow) = (today.yesterday().expect("a day"), today.tomorrow().expect("a day"));
    let used = async || ledger.last_used(&[other.clone(), first.clone()]).await.expect("reads");
    assert_eq!(used().await, [None, None]);
    for (day, expected) in
        [(yesterday, yesterday), (yesterday, yesterday), (today, today), (yesterday, today), (tomorrow, tomorrow)]
    {
        ledger.put_last_used(&first, day).await.expect("writes");
        assert_eq!(used().await, [None, Some(expected)]);
    }
    at_once((0..8).map(|_| {
        let (ledger, other) = (ledger.clone(), other.clone());
        async move { ledger.put_last_used(&other, today).await.expect("writes") }
    }))
    .await;
    assert_eq!(used().await, [Some(today), Some(tomorrow)]);
    assert_eq!(ledger.key(&first).await.expect("reads"), None, "a use makes no key");
}
